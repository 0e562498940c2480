//! Statements as data: the text, and in a line what was read from it, or the error with its place.

use proptest::prelude::*;

use super::*;

/// What was read, in the order of the fields; what is absent is left out.
fn show(statement: &Statement) -> String {
    match statement {
        Statement::CreateTable(table) => {
            let mut out = format!("table {}", table.name.parts.join("."));
            flags(&mut out, table.or_replace, table.temporary, table.if_not_exists);
            for column in &table.columns {
                let kind = match &column.kind {
                    ColumnKind::Physical { data_type, not_null } => {
                        format!(" {data_type}{}", if *not_null { " not null" } else { "" })
                    }
                    ColumnKind::Computed(expression) => format!(" as {expression}"),
                    ColumnKind::Metadata { data_type, key, is_virtual } => {
                        let key = key.as_ref().map(|key| format!(" from {key}")).unwrap_or_default();
                        format!(" {data_type} metadata{key}{}", if *is_virtual { " virtual" } else { "" })
                    }
                };
                let comment = column.comment.as_ref().map(|comment| format!(" -- {comment}")).unwrap_or_default();
                out.push_str(&format!(" | {}{kind}{comment}", column.name));
            }
            if let Some(watermark) = &table.watermark {
                out.push_str(&format!(" | watermark {} = {}", watermark.rowtime, watermark.expression));
            }
            list(&mut out, "key", &table.primary_key);
            list(&mut out, "partitioned", &table.partitioned_by);
            out.extend(table.comment.iter().map(|comment| format!(" | comment {comment}")));
            out.extend(table.options.iter().map(|(key, value)| format!(" | {key}={value}")));
            out.extend(table.distribution.iter().map(|distribution| format!(" | {distribution}")));
            out.extend(table.like.iter().map(|like| format!(" | like {}", like.source.parts.join("."))));
            out
        }
        Statement::CreateView(view) => {
            let mut out = format!("view {}", view.name.parts.join("."));
            flags(&mut out, view.or_replace, view.temporary, view.if_not_exists);
            list(&mut out, "columns", &view.columns);
            format!("{out} | {} | {}", view.query_text, view.query)
        }
        Statement::Insert(insert) => show_insert(insert),
        Statement::StatementSet(inserts) => {
            format!("set [{}]", inserts.iter().map(show_insert).collect::<Vec<_>>().join("; "))
        }
        Statement::Query { query, late: None } => format!("query {query}"),
        Statement::Query { query, late: Some(late) } => format!("query {query} | late {}", late.parts.join(".")),
        Statement::Explain(inner) => format!("explain {}", show(inner)),
        Statement::Describe(name) => format!("describe {}", name.parts.join(".")),
        Statement::Drop { kind, name, temporary, if_exists } => {
            let mut out = format!("drop {kind:?} {}", name.parts.join("."));
            flags(&mut out, false, *temporary, false);
            out.push_str(if *if_exists { " if exists" } else { "" });
            out
        }
        Statement::Namespace(NamespaceStatement { action, kind, name }) => {
            format!("{action:?} {kind:?} {}", name.parts.join("."))
        }
        Statement::CreateTableAs(create) => {
            let order: Vec<String> = create.order.iter().map(|(name, _)| name.clone()).collect();
            let mut out = show(&Statement::CreateTable(create.create.clone()));
            list(&mut out, "order", &order);
            format!("{out}{} | as {}", if create.is_replace { " | replaces" } else { "" }, create.query)
        }
        Statement::Show(ShowKind::List { kind, database, chosen }) => {
            let mut out = format!("list {kind:?}");
            out.extend(database.iter().map(|name| format!(" of {}", name.parts.join("."))));
            out.extend(chosen.iter().map(|chosen| {
                let (not, i) = (if chosen.is_negated { "not " } else { "" }, if chosen.is_caseless { "i" } else { "" });
                format!(" {not}{i}like {}", chosen.pattern)
            }));
            out
        }
        Statement::Show(ShowKind::CreateTable(name)) => format!("show create table {}", name.parts.join(".")),
        Statement::Show(ShowKind::CreateView(name)) => format!("show create view {}", name.parts.join(".")),
        other => format!("{other:?}"),
    }
}

fn show_insert(insert: &Insert) -> String {
    let mut out = format!("insert {}", insert.target.parts.join("."));
    list(&mut out, "columns", &insert.columns);
    out.push_str(&format!(" | {}", insert.query));
    out.extend(insert.late.iter().map(|late| format!(" | late {}", late.parts.join("."))));
    out
}

fn flags(out: &mut String, or_replace: bool, temporary: bool, if_not_exists: bool) {
    for (flag, name) in [(or_replace, "replace"), (temporary, "temporary"), (if_not_exists, "if not exists")] {
        if flag {
            out.push_str(&format!(" {name}"));
        }
    }
}

fn list(out: &mut String, name: &str, items: &[String]) {
    if !items.is_empty() {
        out.push_str(&format!(" | {name} {}", items.join(",")));
    }
}

fn check(text: &str, expected: &str) {
    let found = match parse_statement(text, 0) {
        Ok(statement) => {
            assert_eq!(&text[statement.span.start..statement.span.end], statement.text);
            show(&statement.statement)
        }
        Err(error) => {
            let span = error.span().expect("every error has a span");
            format!("error at [{}]: {}", &text[span.start..span.end], error.message())
        }
    };
    assert_eq!(found, expected, "{text}");
}

#[test]
fn create_table_with_everything() {
    check(
        "CREATE TABLE t (
           id BIGINT NOT NULL COMMENT 'the id', `time` TIMESTAMP(3), -- a comment
           b STRING NULL, c AS id * 2 COMMENT 'twice', d TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
           e INT METADATA, f ROW<x INT, y ARRAY<STRING>> COMMENT 'nested',
           WATERMARK FOR `time` AS `time` - INTERVAL '5' SECOND,
           CONSTRAINT pk PRIMARY KEY (id, b) NOT ENFORCED
         ) COMMENT 'it''s a table' PARTITIONED BY (b) WITH ('connector' = 'filesystem', 'path'='a=b');",
        "table t | id BIGINT not null -- the id | time TIMESTAMP(3) | b STRING not null | c as id * 2 -- twice \
         | d TIMESTAMP_LTZ(3) metadata from timestamp virtual | e INT metadata | f ROW<`x` INT, `y` ARRAY<STRING>> -- nested \
         | watermark time = `time` - INTERVAL '5' SECOND | key id,b | partitioned b | comment it's a table \
         | connector=filesystem | path=a=b",
    );
    check("create temporary table if not exists A.b.C (X int)", "table A.b.C temporary if not exists | X INT");
    check(
        "CREATE OR REPLACE TABLE t (a INT PRIMARY KEY NOT ENFORCED) WITH ()",
        "table t replace | a INT not null | key a",
    );
    check("CREATE TABLE t (a INT CONSTRAINT k PRIMARY KEY NOT ENFORCED NOT NULL)", "table t | a INT not null | key a");
    check(
        "CREATE TABLE t (ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('a'='1','a'='2')",
        "table t | ts TIMESTAMP(3) | watermark ts = ts | a=1 | a=2",
    );
    check(
        "CREATE TABLE t (watermark INT, `constraint` INT, a TIMESTAMP(3) WITH LOCAL TIME ZONE)",
        "table t | watermark INT | constraint INT | a TIMESTAMP_LTZ(3)",
    );
}

#[test]
fn create_table_with_mistakes() {
    check("CREATE TABLE t (a INT, a STRING)", "error at [a]: the table has two columns `a`");
    check("CREATE TABLE t (a INT,)", "error at [)]: expected the name of a column, found `)`");
    check("CREATE TABLE t (a INT b INT)", "error at [b]: expected `,` or `)`, found `b`");
    check("CREATE TABLE t (a NUMBER)", "error at [NUMBER]: there is no type NUMBER");
    check("CREATE TABLE t (a INT", "error at []: expected `,` or `)`, but the statement ends here");
    check("CREATE TABLE t", "error at []: expected `(` and the columns, but the statement ends here");
    check("CREATE TABLE (a INT)", "error at [(]: expected the name of the table, found `(`");
    check(
        "CREATE TABLE t (a INT, PRIMARY KEY (a))",
        "error at [PRIMARY KEY (a)]: a PRIMARY KEY cannot be enforced: the table does not own its data and cannot check it",
    );
    check(
        "CREATE TABLE t (a INT PRIMARY KEY ENFORCED)",
        "error at [a INT PRIMARY KEY ENFORCED]: a PRIMARY KEY cannot be enforced: the table does not own its data and cannot check it",
    );
    check(
        "CREATE TABLE t (a INT, PRIMARY KEY (b) NOT ENFORCED)",
        "error at [b]: the PRIMARY KEY names `b`, which is not a column of the table",
    );
    check(
        "CREATE TABLE t (a AS 1, PRIMARY KEY (a) NOT ENFORCED)",
        "error at [a]: the PRIMARY KEY names `a`, which is not stored",
    );
    check("CREATE TABLE t (a INT, PRIMARY KEY (a, a) NOT ENFORCED)", "error at [a]: the PRIMARY KEY names `a` twice");
    check(
        "CREATE TABLE t (a INT PRIMARY KEY NOT ENFORCED, PRIMARY KEY (a) NOT ENFORCED)",
        "error at [PRIMARY KEY (a) NOT ENFORCED]: a table has one PRIMARY KEY at most",
    );
    check("CREATE TABLE t (a INT UNIQUE)", "error at [UNIQUE]: UNIQUE constraint is not supported yet");
    check("CREATE TABLE t (a INT, UNIQUE (a))", "error at [UNIQUE]: UNIQUE constraint is not supported yet");
    check(
        "CREATE TABLE t (a INT, WATERMARK FOR b AS b)",
        "error at [b]: the WATERMARK names `b`, which is not a column of the table",
    );
    check(
        "CREATE TABLE t (a INT, WATERMARK FOR a AS a, WATERMARK FOR a AS a)",
        "error at [WATERMARK FOR a AS a]: a table has one WATERMARK at most",
    );
    check(
        "CREATE TABLE t (a INT) PARTITIONED BY (A)",
        "error at [A]: PARTITIONED BY names `A`, which is not a column of the table",
    );
    check(
        "CREATE TABLE t (a INT) WITH (connector = 'x')",
        "error at [connector]: expected the name of an option in quotes, as 'connector', found `connector`",
    );
    check(
        "CREATE TABLE t (a INT) WITH ('a' = 1)",
        "error at [1]: expected the value of the option in quotes, found `1`",
    );
    check(
        "CREATE TABLE t (a INT) ENGINE x",
        "error at [ENGINE]: expected WITH, PARTITIONED BY, COMMENT, LIKE, AS or the end of the statement, found `ENGINE`",
    );
    check("CREATE TABLE t WITH ('a'='b')", "error at []: expected LIKE or AS, but the statement ends here");
    check("CREATE TABLE t (a, b) WITH ('a'='b')", "error at []: expected LIKE or AS, but the statement ends here");
    check(
        "CREATE TABLE t WITH ('a'='b') LIKE u AS SELECT 1",
        "error at [AS]: expected the end of the statement, found `AS`",
    );
    check(
        "CREATE TABLE t LIKE u (OVERWRITING CONSTRAINTS)",
        "error at [OVERWRITING]: Illegal merging strategy 'OVERWRITING' for 'CONSTRAINTS' option.",
    );
    check(
        "CREATE TABLE t LIKE u (INCLUDING OPTIONS EXCLUDING OPTIONS)",
        "error at [EXCLUDING]: Each like option feature can be declared only once: OPTIONS",
    );
    check("CREATE TABLE t LIKE u ()", "error at [)]: expected INCLUDING, EXCLUDING or OVERWRITING, found `)`");
    check(
        "CREATE TABLE t (a INT) DISTRIBUTED BY HASH(b)",
        "error at [b]: DISTRIBUTED BY names `b`, which is not a column of the table",
    );
    check(
        "CREATE TABLE t (a INT) DISTRIBUTED INTO 0 BUCKETS",
        "error at [DISTRIBUTED INTO 0 BUCKETS]: Invalid bucket count '0'. The number of buckets for a distributed table must be at least 1.",
    );
    check(
        "CREATE TEMPORARY TABLE t WITH ('a'='b') AS SELECT 1",
        "error at [t]: CREATE TABLE AS SELECT syntax does not support to create temporary table yet.",
    );
    check(
        "REPLACE TABLE t (a INT) WITH ('a'='b')",
        "error at [t]: REPLACE TABLE is for tables that are made by a query",
    );
    check("CREATE TABLE t (a AS b +)", "error at [)]: expected an expression, found `)`");
    check(
        "CREATE TABLE a.b.c.d (a INT)",
        "error at [a.b.c.d]: a name has at most three parts: catalog, database and table",
    );
    let many: Vec<String> = (0..2001).map(|column| format!("c{column} INT")).collect();
    let error = parse_statement(&format!("CREATE TABLE t ({})", many.join(", ")), 0).unwrap_err();
    assert_eq!(error.id(), Some("BL-LIM-COLUMNS"));
}

#[test]
fn tables_of_other_tables_and_of_queries() {
    check("CREATE TABLE t LIKE a.b.u", "table t | like a.b.u");
    check(
        "CREATE TABLE t (x INT, PRIMARY KEY (y) NOT ENFORCED, WATERMARK FOR ts AS ts) WITH ('a'='b') LIKE u (EXCLUDING ALL INCLUDING OPTIONS)",
        "table t | x INT | watermark ts = ts | key y | a=b | like u",
    );
    check("CREATE TABLE t WITH ('a'='b') AS SELECT 1", "table t | a=b | as SELECT 1");
    check("CREATE TABLE t (a, b) WITH ('a'='b') AS VALUES (1, 2)", "table t | a=b | order a,b | as VALUES (1, 2)");
    check("CREATE OR REPLACE TABLE t (c INT) AS SELECT 1", "table t replace | c INT | as SELECT 1");
    check(
        "REPLACE TABLE t AS WITH q AS (SELECT 1) SELECT * FROM q",
        "table t | replaces | as WITH q AS (SELECT 1) SELECT * FROM q",
    );
    check(
        "CREATE TABLE t (a INT) DISTRIBUTED BY HASH(a) INTO 4 BUCKETS WITH ('a'='b')",
        "table t | a INT | a=b | DISTRIBUTED BY HASH(`a`) INTO 4 BUCKETS",
    );
}

#[test]
fn the_catalog_and_the_database() {
    check("USE CATALOG c", "Use Catalog c");
    check("USE c.d", "Use Database c.d");
    check("CREATE DATABASE IF NOT EXISTS d COMMENT 'x' WITH ('a'='b')", "Create { if_not_exists: true } Database d");
    check("CREATE CATALOG c WITH ('type'='jdbc')", "Create { if_not_exists: false } Catalog c");
    check("DROP DATABASE IF EXISTS d CASCADE", "Drop { if_exists: true } Database d");
    check("DROP DATABASE d RESTRICT", "Drop { if_exists: false } Database d");
    check("DROP TEMPORARY SYSTEM FUNCTION IF EXISTS f", "drop Function f temporary if exists");
    check("DROP TABLE t CASCADE", "error at [CASCADE]: expected the end of the statement, found `CASCADE`");
    check("DROP TEMPORARY DATABASE d", "error at [DATABASE]: expected TABLE or VIEW, found `DATABASE`");
}

#[test]
fn alterations() {
    let alter = |text: &str, expected: &str| {
        let found = match parse_statement(text, 0).map(|at| at.statement) {
            Ok(Statement::AlterTable(alter)) => match alter.change {
                TableChange::Rename(new) => format!("rename {}", new.table()),
                TableChange::RenameColumn { from, to } => format!("rename {} to {}", from.0, to.0),
                TableChange::Set { options, .. } => format!("set {options:?}"),
                TableChange::Reset { keys, .. } => format!("reset {}", keys[0].0),
                TableChange::Add(elements) | TableChange::Modify(elements) => {
                    let columns: Vec<String> = elements
                        .columns
                        .iter()
                        .map(|(column, place)| match place {
                            ColumnPlace::Unsaid => column.name.clone(),
                            ColumnPlace::First => format!("{} first", column.name),
                            ColumnPlace::After(other, _) => format!("{} after {other}", column.name),
                        })
                        .collect();
                    let key = elements.primary_key.map(|key| format!(" key {}", key[0].0)).unwrap_or_default();
                    let watermark = elements.watermark.map(|_| " watermark").unwrap_or_default();
                    format!("elements [{}]{key}{watermark}", columns.join(", "))
                }
                TableChange::DropColumns(names) => format!("drop {}", names.len()),
                TableChange::DropPrimaryKey { constraint, .. } => format!("drop key {constraint:?}"),
                TableChange::DropWatermark(_) => "drop watermark".to_owned(),
                TableChange::Distribution(distribution) => format!("distribution {}", distribution.is_some()),
            },
            Ok(other) => format!("{other:?}"),
            Err(error) => error.message().to_owned(),
        };
        assert_eq!(found, expected, "{text}");
    };
    alter("ALTER TABLE t RENAME TO u", "rename u");
    alter("ALTER TABLE IF EXISTS a.b.t RENAME x TO y", "rename x to y");
    alter("ALTER TABLE t SET ('a'='b')", "set [(\"a\", \"b\")]");
    alter("ALTER TABLE t RESET ('a')", "reset a");
    alter("ALTER TABLE t ADD x INT COMMENT 'x' FIRST", "elements [x first]");
    alter(
        "ALTER TABLE t ADD (x INT, y AS x + 1 AFTER x, WATERMARK FOR ts AS ts, CONSTRAINT c PRIMARY KEY (x) NOT ENFORCED)",
        "elements [x, y after x] key x watermark",
    );
    alter("ALTER TABLE t MODIFY WATERMARK FOR ts AS ts", "elements [] watermark");
    alter("ALTER TABLE t DROP (x, y)", "drop 2");
    alter("ALTER TABLE t DROP x", "drop 1");
    alter("ALTER TABLE t DROP PRIMARY KEY", "drop key None");
    alter("ALTER TABLE t DROP CONSTRAINT c", "drop key Some(\"c\")");
    alter("ALTER TABLE t DROP WATERMARK", "drop watermark");
    alter("ALTER TABLE t ADD DISTRIBUTION BY HASH(x)", "distribution true");
    alter("ALTER TABLE t ADD COLUMN x INT", "ADD COLUMN is not Flink's SQL");
    alter("ALTER TABLE t ADD PARTITION (d = '1')", "partitions are not built yet");
    alter("ALTER TABLE t OWNER TO me", "expected RENAME, SET, RESET, ADD, MODIFY or DROP, found `OWNER`");
    alter("ALTER TABLE t COMMENT 'x'", "expected RENAME, SET, RESET, ADD, MODIFY or DROP, found `COMMENT`");
}

#[test]
fn views_and_inserts() {
    check("CREATE VIEW v AS SELECT 1 -- one\n", "view v | SELECT 1 | SELECT 1");
    check(
        "CREATE OR REPLACE TEMPORARY VIEW IF NOT EXISTS v (a, `b c`) COMMENT 'x' AS WITH q AS (SELECT 1) SELECT * FROM q",
        "view v replace temporary if not exists | columns a,b c | WITH q AS (SELECT 1) SELECT * FROM q | WITH q AS (SELECT 1) SELECT * FROM q",
    );
    check("CREATE VIEW v SELECT 1", "error at [SELECT]: expected AS, found `SELECT`");
    check("CREATE VIEW v (a, a) AS SELECT 1", "error at [a]: the view has two columns `a`");
    check("INSERT INTO t SELECT a FROM b", "insert t | SELECT a FROM b");
    check(
        "insert into X.`y z` (a, B) values (1, 'x'), (2, 'y')",
        "insert X.y z | columns a,B | VALUES (1, 'x'), (2, 'y')",
    );
    check("INSERT INTO t WITH q AS (SELECT 1) SELECT * FROM q", "insert t | WITH q AS (SELECT 1) SELECT * FROM q");
    check("INSERT INTO t (SELECT 1)", "insert t | (SELECT 1)");
    check("INSERT INTO t ((SELECT 1) UNION ALL (SELECT 2))", "insert t | ((SELECT 1) UNION ALL (SELECT 2))");
    check("EXECUTE INSERT INTO t SELECT 1", "insert t | SELECT 1");
    check("EXECUTE SELECT 1", "query SELECT 1");
    check(
        "INSERT INTO c SELECT window_start, COUNT(*) FROM TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '1' MINUTE)
         GROUP BY window_start, window_end LATE RECORDS INTO late_t;",
        "insert c | SELECT window_start, COUNT(*) FROM TUMBLE(TABLE(e), DESCRIPTOR(ts), INTERVAL '1' MINUTE) \
         GROUP BY window_start, window_end | late late_t",
    );
    check("INSERT INTO c SELECT * FROM t LATE RECORDS INTO a.b", "insert c | SELECT * FROM t | late a.b");
    check("INSERT INTO c SELECT late FROM records late", "insert c | SELECT late FROM records late");
}

#[test]
fn inserts_with_mistakes() {
    check("INSERT OVERWRITE t SELECT 1", "error at [INSERT OVERWRITE]: INSERT OVERWRITE is not built yet");
    check("INSERT INTO t", "error at []: expected a query: SELECT, WITH or VALUES, but the statement ends here");
    check("INSERT INTO t (a, a) SELECT 1, 2", "error at [a]: the list of columns names `a` twice");
    check("INSERT INTO t PARTITION (a = 1) SELECT 1", "error at [PARTITION]: INSERT INTO … PARTITION is not built yet");
    check(
        "INSERT INTO t SELECT 1 ON CONFLICT DO UPDATE",
        "error at [UPDATE]: expected what to do about a conflict, found `UPDATE`",
    );
    check(
        "INSERT INTO t SELECT 1 LATE RECORDS INTO",
        "error at []: expected the name of the table for late rows, but the statement ends here",
    );
    check("INSERT INTO t SELECT 1 LATE RECORDS INTO a b", "error at [b]: expected the end of the statement, found `b`");
    check(
        "INSERT INTO t SELECT * FROM (SELECT 1 LATE RECORDS INTO a)",
        "error at [LATE RECORDS INTO]: LATE RECORDS INTO belongs to the whole statement",
    );
    check("SELECT 1 LATE RECORDS INTO a", "query SELECT 1 | late a");
    check("SHOW TABLES LATE RECORDS INTO a", "error at [LATE RECORDS INTO]: LATE RECORDS INTO belongs to a query");
    check("INSERT INTO t SELECT 1 FROM", "error at []: expected a name, but the statement ends here");
    check(
        "INSERT INTO t SELECT 1 FROM LATE RECORDS INTO a",
        "error at []: expected a name, but the statement ends here",
    );
    check("INSERT t SELECT 1", "error at [t]: expected INTO, found `t`");
}

#[test]
fn statement_sets() {
    let expected = "set [insert a | SELECT CASE x WHEN 1 THEN 2 END FROM t | late l; insert b | VALUES (1)]";
    let body = "INSERT INTO a SELECT CASE x WHEN 1 THEN 2 END FROM t LATE RECORDS INTO l; INSERT INTO b VALUES (1);";
    check(&format!("EXECUTE STATEMENT SET BEGIN {body} END;"), expected);
    check(&format!("STATEMENT SET BEGIN {body} END").replace("STATEMENT SET", "EXECUTE STATEMENT SET"), expected);
    check(&format!("BEGIN STATEMENT SET; {body} END;"), expected);
    check(&format!("EXPLAIN STATEMENT SET BEGIN {body} END"), &format!("explain {expected}"));
    check(&format!("EXPLAIN EXECUTE STATEMENT SET BEGIN {body} END"), &format!("explain {expected}"));
    check("EXECUTE STATEMENT SET BEGIN END", "error at [STATEMENT SET BEGIN END]: the statement set is empty");
    check("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1 END", "error at [END]: expected `;` before END");
    check("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1;", "error at []: the statement set has no END");
    check("EXECUTE STATEMENT SET INSERT INTO a SELECT 1", "error at [INSERT]: expected BEGIN, found `INSERT`");
    check(
        "EXECUTE STATEMENT SET BEGIN SELECT 1; END",
        "error at [SELECT]: expected INSERT INTO or END, found `SELECT`",
    );
    check(
        "EXECUTE STATEMENT SET BEGIN INSERT OVERWRITE a SELECT 1; END",
        "error at [INSERT OVERWRITE]: INSERT OVERWRITE is not built yet",
    );
    check(
        "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT +; END",
        "error at [;]: expected an expression, but the statement ends here",
    );
    check(
        "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; END x",
        "error at [x]: expected the end of the statement, found `x`",
    );
    check("BEGIN STATEMENT SET INSERT INTO a SELECT 1; END", "error at [INSERT]: expected `;`, found `INSERT`");
}

#[test]
fn the_small_statements() {
    check("SELECT 1;", "query SELECT 1");
    check("VALUES (1), (2)", "query VALUES (1), (2)");
    check("WITH a AS (SELECT 1) SELECT * FROM a", "query WITH a AS (SELECT 1) SELECT * FROM a");
    check("(SELECT 1) UNION ALL (SELECT 2)", "query (SELECT 1) UNION ALL (SELECT 2)");
    check("SHOW TABLES", "list Tables");
    check("show views", "list Views");
    check("SHOW FUNCTIONS;", "list Functions");
    check("SHOW CONNECTORS", "list Connectors");
    check("SHOW FORMATS", "list Formats");
    check("SHOW TABLES IN a.b NOT LIKE 'x%'", "list Tables of a.b not like x%");
    check("SHOW CATALOGS ILIKE 'x%'", "list Catalogs ilike x%");
    check("SHOW MATERIALIZED TABLES", "list Nothing(\"materialized table name\")");
    check("DESCRIBE EXTENDED t", "describe t");
    check("SHOW CREATE TABLE a.T", "show create table a.T");
    check("SHOW CREATE VIEW `a b`", "show create view a b");
    check("DESCRIBE t", "describe t");
    check("DESC a.b", "describe a.b");
    check("DROP TABLE IF EXISTS t", "drop Table t if exists");
    check("DROP TEMPORARY VIEW v", "drop View v temporary");
    check("EXPLAIN SELECT 1", "explain query SELECT 1");
    check("EXPLAIN PLAN FOR INSERT INTO t SELECT 1", "explain insert t | SELECT 1");
    check("EXPLAIN CHANGELOG_MODE SELECT 1", "explain query SELECT 1");
    check("SET 'a' = 'b';", "Set { key: \"a\", value: \"b\" }");
    check("SET;", "ShowSettings");
    check("RESET", "Reset { key: None }");
    check("SHOW JOBS", "list Jobs");
}

#[test]
fn the_small_statements_with_mistakes() {
    check(
        "SHOW",
        "error at []: expected TABLES, VIEWS, COLUMNS, FUNCTIONS, CONNECTORS, FORMATS, CATALOGS, DATABASES, MODULES, CURRENT CATALOG, CURRENT DATABASE, CREATE TABLE or CREATE VIEW, but the statement ends here",
    );
    check("SHOW TABLES ILIKE 'a'", "error at [ILIKE]: SHOW TABLES takes LIKE, not ILIKE");
    check("SHOW TABLES NOT 'a'", "error at ['a']: expected LIKE and a pattern in quotes, found `'a'`");
    check("SHOW CATALOGS FROM a", "error at [FROM]: SHOW CATALOGS takes no database");
    check("SHOW COLUMNS t", "error at [t]: expected FROM and the name of a table, found `t`");
    check("DESCRIBE", "error at []: expected the name of a table or view, but the statement ends here");
    check("DROP t", "error at [t]: expected TABLE or VIEW, found `t`");
    check("EXPLAIN ESTIMATED_COST SELECT 1", "error at [ESTIMATED_COST]: EXPLAIN ESTIMATED_COST is not built yet");
    check(
        "EXPLAIN CHANGELOG_MODE, JSON_EXECUTION_PLAN SELECT 1",
        "error at [JSON_EXECUTION_PLAN]: EXPLAIN JSON_EXECUTION_PLAN is not built yet",
    );
    check("EXPLAIN DROP TABLE t", "error at [DROP]: EXPLAIN takes a query, an INSERT or a statement set");
    check("EXPLAIN EXPLAIN SELECT 1", "error at [EXPLAIN]: EXPLAIN takes a query, an INSERT or a statement set");
    check("EXPLAIN", "error at []: expected a statement, but the statement ends here");
    check("FROB x", "error at [FROB]: expected a statement, found `FROB`");
    check("", "error at []: there is no statement");
    check("SELECT 1; SELECT 2", "error at [SELECT 2]: one statement was expected, and a second one begins here");
    check("SELECT a, FROM t", "error at [FROM]: expected an expression, found `FROM`");
    for (text, name) in [
        ("CREATE FUNCTION f AS 'x'", "CREATE FUNCTION"),
        ("CREATE TEMPORARY SYSTEM FUNCTION f AS 'x'", "CREATE TEMPORARY SYSTEM FUNCTION"),
        ("ALTER DATABASE d SET ('a'='b')", "ALTER DATABASE"),
        ("ANALYZE TABLE t COMPUTE STATISTICS", "ANALYZE"),
        ("USE MODULES core", "USE MODULES"),
        ("ADD JAR 'x'", "ADD"),
        ("COMPILE PLAN 'x' FOR INSERT INTO t SELECT 1", "COMPILE"),
        ("UPDATE t SET a = 1", "UPDATE"),
        ("DELETE FROM t", "DELETE"),
        ("TRUNCATE TABLE t", "TRUNCATE"),
    ] {
        check(text, &format!("error at [{name}]: {name} is not built yet"));
    }
    for statement in ["ALTER TABLE t", "SHOW CATALOGS IN a", "SELECT a != b", "SELECT (", "FROB"] {
        let error = parse_statement(statement, 0).unwrap_err();
        assert!(!error.helps().is_empty(), "{statement} gets a next step");
    }
}

#[test]
fn a_script_and_its_places() {
    let text = "-- ü\nSET 'a' = 'b';\nSELECT ä, b FROM t;\nSELECT x FROM";
    let pieces = split_script(text).unwrap();
    assert_eq!(pieces.len(), 3);
    let second = parse_statement(pieces[1].1, pieces[1].0.start).unwrap();
    let Statement::Query { query, .. } = &second.statement else { panic!("a query") };
    let sqlparser::ast::SetExpr::Select(select) = &*query.body else { panic!("a SELECT") };
    let place = second.span_of(sqlparser::ast::Spanned::span(&select.projection[1]));
    assert_eq!(&text[place.start..place.end], "b");
    assert_eq!(second.span_of(sqlparser::tokenizer::Span::empty()), second.span);
    let error = parse_script(text).unwrap_err();
    assert_eq!(error.span().map(|span| span.start), Some(text.len()));
    assert_eq!(parse_script(&format!("{text} t")).unwrap().statements.len(), 3);
    assert!(parse_script("").unwrap().statements.is_empty());
}

#[test]
fn statements_at_the_limits_are_read() {
    for text in [
        format!("SELECT {}1{}", "(".repeat(SQL_DEPTH), ")".repeat(SQL_DEPTH)),
        format!("SELECT {}1{}", "f(".repeat(SQL_DEPTH), ")".repeat(SQL_DEPTH)),
        format!("SELECT {}1{}", "CAST(".repeat(SQL_DEPTH), " AS INT)".repeat(SQL_DEPTH)),
        format!("SELECT {}1{}", "CASE WHEN a THEN ".repeat(SQL_DEPTH), " END".repeat(SQL_DEPTH)),
        format!("SELECT {}1{}", "(SELECT ".repeat(SQL_DEPTH), ")".repeat(SQL_DEPTH)),
        format!("{}SELECT 1{}", "SELECT * FROM (".repeat(SQL_DEPTH), ")".repeat(SQL_DEPTH)),
        format!("SELECT {}a", "NOT ".repeat(SQL_DEPTH)),
        format!("SELECT {}a", "- ".repeat(SQL_DEPTH)),
        format!("SELECT a{}", ".a".repeat(SQL_DEPTH)),
        format!("SELECT a{}", " + a".repeat(SQL_DEPTH)),
        format!("SELECT a{}", " UNION SELECT a".repeat(SQL_DEPTH)),
        format!("SELECT a FROM a{}", " JOIN a ON a".repeat(SQL_DEPTH)),
        format!("SELECT {}1{}", "(".repeat(200), " + 1 + 1)".repeat(200)),
        format!("SELECT {}a{}", "NOT NOT (".repeat(SQL_DEPTH), ")".repeat(SQL_DEPTH)),
        format!("SELECT * FROM {}1{}", "(SELECT * FROM TUMBLE((SELECT a IN (".repeat(64), "))))".repeat(64)),
    ] {
        let statement = parse_statement(&text, 0);
        assert!(statement.is_ok(), "{:?} for {}…", statement.err(), &text[..60.min(text.len())]);
        // It may be dropped anywhere; whoever copies it does so on a large stack.
        let copy = on_large_stack(|| statement.clone());
        drop((statement, copy));
    }
    let many = format!("INSERT INTO t VALUES (1){}", ", (1)".repeat(20_000));
    assert!(parse_statement(&many, 0).is_ok());
}

#[test]
fn a_huge_statement_is_refused_by_its_id() {
    let error = parse_script(&format!("SELECT 1;\nSELECT 1{}", "+1".repeat(400_000))).unwrap_err();
    assert_eq!(error.id(), Some("BL-LIM-SQL-DEPTH"));
    let error = parse_script(&" ".repeat(SQL_BYTES + 1)).unwrap_err();
    assert_eq!(error.id(), Some("BL-LIM-SQL-BYTES"));
}

#[test]
fn text_that_could_double_the_work_ends() {
    for piece in [
        "SELECT * FROM ((",
        "SELECT * FROM (a JOIN (",
        "SELECT a IN ((",
        "SELECT * FROM TUMBLE((",
        "SELECT CASE ",
        "WITH a AS (",
    ] {
        for count in [6, 60] {
            assert!(parse_statement(&piece.repeat(count), 0).is_err(), "{piece}");
        }
    }
}

/// Words and signs of the language, so that arbitrary text goes deeper than its first word.
fn soup() -> impl Strategy<Value = String> {
    let pieces = [
        "SELECT",
        "FROM",
        "WHERE",
        "GROUP BY",
        "INSERT INTO",
        "CREATE TABLE",
        "t",
        "a",
        "`b`",
        "1",
        "'x'",
        "(",
        ")",
        ",",
        ";",
        ".",
        "+",
        "-",
        "*",
        "=",
        "<",
        ">",
        "<>",
        "NOT",
        "NULL",
        "AND",
        "CASE",
        "WHEN",
        "THEN",
        "END",
        "AS",
        "INT",
        "ROW",
        "ARRAY",
        "MAP",
        "[",
        "]",
        "INTERVAL",
        "HOUR",
        "TO",
        "MINUTE",
        "TABLE",
        "TUMBLE",
        "DESCRIPTOR",
        "=>",
        "WITH",
        "VALUES",
        "UNION ALL",
        "JOIN",
        "ON",
        "WATERMARK FOR",
        "PRIMARY KEY",
        "NOT ENFORCED",
        "LATE RECORDS INTO",
        "EXECUTE STATEMENT SET BEGIN",
        "EXPLAIN",
        "SET",
        "CAST",
        "IN",
        "BETWEEN",
        "LIKE",
        "IS",
        "OVER",
        "PARTITION BY",
        "ORDER BY",
        "LATERAL",
        "EXISTS",
        "\"",
        "'",
        "`",
        "/*",
        "--",
        "VIEW",
        "METADATA",
        "TIMESTAMP",
        "DATE",
        "EXTRACT",
        "TRIM",
        "{",
        "}",
        "E'\\",
        "U&'\\",
        "ü",
        "\n",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()).prop_map(str::to_owned), 0..40)
        .prop_map(|words| words.join(" "))
}

fn never_panics(text: &str) {
    for (span, piece) in split_script(text).unwrap_or_default() {
        match parse_statement(piece, span.start) {
            Ok(statement) => assert_eq!(statement.span, span),
            Err(error) => {
                let place = error.span().expect("every error has a span");
                assert!(
                    place.start <= place.end && text.get(place.start..place.end).is_some(),
                    "{place:?} in {text:?}"
                );
                assert_ne!(error.blame(), crate::error::Blame::Bug);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,80}") {
        never_panics(&text);
    }

    #[test]
    fn arbitrary_words_never_panic(text in soup()) {
        never_panics(&text);
        never_panics(&format!("SELECT {text}"));
        never_panics(&format!("CREATE TABLE t ({text})"));
    }

    #[test]
    fn a_text_that_is_cut_off_never_panics(cut in 0usize..400) {
        let text = "CREATE TABLE t (a ROW<b INT>, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('k'='v');
            EXECUTE STATEMENT SET BEGIN INSERT INTO u SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), \
            INTERVAL '1' HOUR)) GROUP BY window_start, window_end LATE RECORDS INTO l; END;";
        if let Some(text) = text.get(..cut) {
            never_panics(text);
        }
    }
}
