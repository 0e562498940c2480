//! Scripts and what becomes of them.

use expect_test::{Expect, expect};

use super::*;
use crate::sql::SQL_BYTES;

fn check(text: &str, expected: Expect) {
    let formatted = format_script(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    expected.assert_eq(&formatted);
    assert_eq!(format_script(&formatted).unwrap(), formatted, "formatted once is formatted");
}

fn check_same(text: &str) {
    assert_eq!(format_script(text).unwrap(), format!("{text}\n"));
}

#[test]
fn tables() {
    check(
        "create table orders (id int not null comment 'one; a row',`order by` string metadata from 'k' virtual, tags array<string>, \
         place row<`from` int, to_place map<string,int>>, ts timestamp (3), day_of as dayofmonth(ts), watermark for ts as ts-interval '5' second, \
         constraint pk primary key(id) not enforced) comment 'all' partitioned by(id) with('connector'='kafka','topic'='a;b', 'x.y' = 'it''s');\
         create table small (a int, b decimal (10,2)) with ('connector' = 'blackhole');\
         create temporary table if not exists l like orders (including all overwriting options);\
         create table c with ('connector' = 'blackhole') as select id from orders",
        expect![[r#"
            CREATE TABLE orders (
              id         INT NOT NULL COMMENT 'one; a row',
              `order by` STRING METADATA FROM 'k' VIRTUAL,
              tags       ARRAY<STRING>,
              place      ROW<`from` INT, to_place MAP<STRING, INT>>,
              ts         TIMESTAMP(3),
              day_of     AS dayofmonth(ts),
              WATERMARK FOR ts AS ts - INTERVAL '5' SECOND,
              CONSTRAINT pk PRIMARY KEY (id) NOT ENFORCED
            ) COMMENT 'all' PARTITIONED BY (id) WITH (
              'connector' = 'kafka',
              'topic' = 'a;b',
              'x.y' = 'it''s'
            );

            CREATE TABLE small (a INT, b DECIMAL(10, 2)) WITH ('connector' = 'blackhole');
            CREATE TEMPORARY TABLE IF NOT EXISTS l LIKE orders (INCLUDING ALL OVERWRITING OPTIONS);

            CREATE TABLE c WITH ('connector' = 'blackhole') AS
            SELECT id FROM orders
        "#]],
    );
}

#[test]
fn queries() {
    check(
        "select a,-1,a- -1,a*-b,m['k'],array[1,2],map['a',1],x<>2,f(data=>a),t.*,e'\\n' from t where a between 1 and 2;\
         with big as (select id, count(*) as n from orders where amount > 1000 group by id having count(*) > 3), few(a) as (select 1) \
         select distinct b.id, case when b.n > 10 then 'many' when b.n > 5 then 'some' else 'a few of them' end as how_many, \
         sum(x) filter (where y is not distinct from z) from big b left join (values (1, 2)) as v (id, x) on b.id = v.id and b.n = v.x \
         where exists (select 1 from few /*+ OPTIONS('a'='b') */ where few.a = b.id) and (b.n > 5 or b.n < 3) and b.long_name_of_a_column like '%x' \
         group by b.id, b.n",
        expect![[r#"
            SELECT a, -1, a - -1, a * -b, m['k'], ARRAY[1, 2], MAP['a', 1], x <> 2, f(data => a), t.*, e'\n'
            FROM t
            WHERE a BETWEEN 1 AND 2;

            WITH big AS (
              SELECT id, count(*) AS n
              FROM orders
              WHERE amount > 1000
              GROUP BY id
              HAVING count(*) > 3
            ),
            few(a) AS (SELECT 1)
            SELECT DISTINCT
              b.id,
              CASE
                WHEN b.n > 10 THEN 'many'
                WHEN b.n > 5 THEN 'some'
                ELSE 'a few of them'
              END AS how_many,
              sum(x) FILTER (WHERE y IS NOT DISTINCT FROM z)
            FROM big b
            LEFT JOIN (VALUES (1, 2)) AS v(id, x) ON b.id = v.id AND b.n = v.x
            WHERE EXISTS (SELECT 1 FROM few /*+ OPTIONS('a'='b') */ WHERE few.a = b.id)
              AND (b.n > 5 OR b.n < 3)
              AND b.long_name_of_a_column LIKE '%x'
            GROUP BY b.id, b.n
        "#]],
    );
    check(
        "select window_start, count(*) from table(tumble(table t, descriptor(ts), interval '1' minute)) group by window_start, window_end \
         union all select window_start, n from table(hop(data => table (select * from other where this_is > 3), timecol => descriptor(ts), \
         slide => interval '1' second, size => interval '1' day)) order by window_start limit 3",
        expect![[r#"
            SELECT window_start, count(*)
            FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
            GROUP BY window_start, window_end
            UNION ALL
            SELECT window_start, n
            FROM TABLE(
              HOP(
                data => TABLE(SELECT * FROM other WHERE this_is > 3),
                timecol => DESCRIPTOR(ts),
                slide => INTERVAL '1' SECOND,
                size => INTERVAL '1' DAY
              )
            )
            ORDER BY window_start
            LIMIT 3
        "#]],
    );
}

#[test]
fn inserts_and_statement_sets() {
    check(
        "insert into t (a,b) select 1, 2; insert into t /*+ OPTIONS('k'='v') */ values (1, 'a long text in a row'), \
         (2, 'another long text in a row'), (3, 'and a third one');\n\nbegin statement set; insert into a select 1; insert into b select 2 late records into c; end;\
         execute statement set begin insert into hours select window_start, count(*) from tumble(table t, descriptor(ts), interval '1' hour) \
         group by window_start, window_end late records into l; insert into b select case when a then 1 end from t; end",
        expect![[r#"
            INSERT INTO t (a, b) SELECT 1, 2;

            INSERT INTO t /*+ OPTIONS('k'='v') */
            VALUES (1, 'a long text in a row'), (2, 'another long text in a row'), (3, 'and a third one');

            BEGIN STATEMENT SET;
              INSERT INTO a SELECT 1;
              INSERT INTO b SELECT 2 LATE RECORDS INTO c;
            END;

            EXECUTE STATEMENT SET BEGIN
              INSERT INTO hours
              SELECT window_start, count(*)
              FROM TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR)
              GROUP BY window_start, window_end
              LATE RECORDS INTO l;

              INSERT INTO b SELECT CASE WHEN a THEN 1 END FROM t;
            END
        "#]],
    );
}

#[test]
fn comments_stay_where_they_are() {
    check(
        "\n\n-- head\n\n-- of the file\nselect a -- first\n, /* inner */ b -- second\n -- alone\n , c from t -- end\n;-- behind\n\n\n// other\nset 'a'='b' -- set\n\
         ; /* two\r\n   lines */ select 1 -- kept\n-- where x\n;\n-- last",
        expect![[r#"
            -- head

            -- of the file
            SELECT
              a, -- first
              /* inner */
              b, -- second
              -- alone
              c
            FROM t -- end
            ; -- behind

            // other
            SET 'a' = 'b' -- set
            ; /* two
               lines */

            SELECT 1 -- kept
            -- where x
            ;
            -- last
        "#]],
    );
}

#[test]
fn settings_keep_what_they_hold() {
    for text in ["SET 'a.b' = 'c  d';", "SET a.b = file:///x/y;", "SET a = b   c;", "RESET;", "RESET 'a';", "SET;"] {
        check_same(text);
    }
    check("set\n'a'='b';reset  a.b;set", expect![["SET 'a' = 'b';\nRESET a.b;\nSET\n"]]);
    check_same("set a /* why */ = b");
    // Its value reaches to the end of the text.
    assert_eq!(format_script("SET a = b  'c").unwrap(), "SET a = b  'c");
}

#[test]
fn words_that_are_names_keep_their_case() {
    check(
        "select user, t.`date`, session, t.table, cast(r as row<value int>) as value, hop.first from session, hop where value is null",
        expect![[r#"
            SELECT user, t.`date`, session, t.table, CAST(r AS ROW<value INT>) AS value, hop.first
            FROM session, hop
            WHERE value IS NULL
        "#]],
    );
    check(
        "select timestampdiff(day, a, b), extract(day from a), floor(a to hour), localtime, TRUE, 'from' from t",
        expect![[r#"
            SELECT timestampdiff(day, a, b), EXTRACT(day FROM a), FLOOR(a TO HOUR), localtime, TRUE, 'from'
            FROM t
        "#]],
    );
}

#[test]
fn other_statements() {
    for text in [
        "",
        "EXPLAIN PLAN FOR SELECT 1;",
        "SHOW TABLES FROM d LIKE 'a%';",
        "DESCRIBE t;",
        "DROP TEMPORARY VIEW IF EXISTS a.b.`c d`;",
        "USE CATALOG default_catalog;",
        "ALTER TABLE t ADD (x INT, y STRING);",
        "ALTER TABLE t SET ('k' = 'v');",
        "CREATE VIEW v (a, b) COMMENT 'x' AS SELECT 1, 2;",
        "CHECKPOINT;",
        "SAVEPOINT JOB 'x';",
        "STOP JOB 'x' WITH SAVEPOINT;",
    ] {
        let formatted = format_script(&text.to_lowercase()).unwrap();
        assert_eq!(formatted.trim_end(), text);
    }
}

#[test]
fn what_cannot_be_read_is_an_error_with_its_place() {
    let error = format_script("select 1;\nselec 2").unwrap_err();
    assert_eq!(error.span().map(|span| span.start), Some(10), "{error}");
    assert!(format_script("select 'a").is_err());
    assert!(format_script(&"(".repeat(1000)).is_err());
    assert!(format_script(&" ".repeat(SQL_BYTES + 1)).is_err());
    // Each comma gets a space.
    let ones = ",1".repeat(20);
    let text = format!("SELECT '{}'{ones}", "x".repeat(SQL_BYTES - ones.len() - 9));
    assert_eq!(text.len(), SQL_BYTES);
    let error = format_script(&text).unwrap_err();
    assert_eq!(error.id(), Some("BL-LIM-SQL-BYTES"), "{error}");
}

#[test]
fn a_reading_tells_statements_apart() {
    let of = |text: &str| Reading::of(text, 7).unwrap();
    assert_eq!(of("select a\n from t"), of("SELECT a FROM t"));
    assert_eq!(of("create view v as select 1"), of("CREATE VIEW v AS\nSELECT 1"));
    let windows = "select * from tumble(table t, descriptor(a), interval '1' day)";
    assert_eq!(of(windows), of("SELECT * FROM TUMBLE(TABLE t, DESCRIPTOR(a), INTERVAL '1' DAY)"));
    for (one, other) in [
        ("SELECT a FROM t", "SELECT A FROM t"),
        ("SELECT a FROM t", "SELECT `a` FROM t"),
        ("SELECT 'a\\\"b' FROM t", "SELECT 'a\\\"B' FROM t"),
        ("SELECT hop FROM t", "SELECT HOP FROM t"),
        ("SET a = b  c", "SET a = b c"),
    ] {
        assert_ne!(of(one), of(other), "{one}");
    }
}
