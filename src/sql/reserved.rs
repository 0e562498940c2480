//! The words that Flink takes as names only in back-quotes, and where a statement has one of them without.
//!
//! Most of them are read as names here all the same: a log file has columns such as `method` and `value`, and whoever asks
//! it one question need not know the list. The file would not run on a Flink cluster, though, so that this is said.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use sqlparser::ast::{self, Expr, Visit, Visitor};

use crate::error::Span;

use super::alter::{TableChange, TableElements, ViewChange};
use super::lexer::{Kind, Lexer};
use super::statement::{ColumnDefinition, ColumnKind, CreateTable, Insert, ObjectName, Statement};
use super::tokens::script_span;

/// Found by asking Flink 2.3 for `SELECT 1 AS word`, `SELECT x word FROM t` and a column of that name, for each word of
/// the standard and of its grammar; the three answers are the same for every word.
const WORDS: &str = "
    ABS ALL ALLOCATE ALLOW ALTER AND ANY ARE ARRAY ARRAY_MAX_CARDINALITY AS ASENSITIVE ASYMMETRIC AT ATOMIC
    AUTHORIZATION AVG BEGIN BEGIN_FRAME BEGIN_PARTITION BETWEEN BIGINT BINARY BIT BLOB BOOLEAN BOTH BUCKETS BY
    BYTES CALL CALLED CARDINALITY CASCADED CASE CAST CATALOGS CEIL CEILING CHAR CHARACTER CHARACTER_LENGTH
    CHAR_LENGTH CHECK CLASSIFIER CLOB CLOSE COALESCE COLLATE COLLECT COLUMN COMMENT COMMIT CONDITION CONNECT
    CONSTRAINT CONTAINS CONVERT CORR CORRESPONDING COUNT COVAR_POP COVAR_SAMP CREATE CROSS CUBE CUME_DIST CURRENT
    CURRENT_CATALOG CURRENT_DATE CURRENT_DEFAULT_TRANSFORM_GROUP CURRENT_PATH CURRENT_ROLE CURRENT_ROW
    CURRENT_SCHEMA CURRENT_TIME CURRENT_TIMESTAMP CURRENT_TRANSFORM_GROUP_FOR_TYPE CURRENT_USER CURSOR CYCLE
    DATABASES DATE DATETIME DATETIME_TRUNC DATE_TRUNC DAY DEALLOCATE DEC DECIMAL DECLARE DEFAULT DEFINE DELETE
    DENSE_RANK DEREF DESCRIBE DETERMINISTIC DISALLOW DISCONNECT DISTINCT DISTRIBUTED DOT DOUBLE DROP DYNAMIC EACH
    ELEMENT ELSE EMPTY END END_FRAME END_PARTITION EQUALS ESCAPE EVERY EXCEPT EXEC EXECUTE EXISTS EXP EXPLAIN
    EXTEND EXTENDED EXTERNAL EXTRACT FALSE FETCH FILTER FIRST_VALUE FLOAT FLOOR FOR FOREIGN FRAME_ROW FREE
    FRESHNESS FROM FULL FUNCTION FUNCTIONS FUSION GET GLOBAL GRANT GROUP GROUPING GROUPS HASH HAVING HOLD HOUR
    IDENTITY ILIKE IMPORT IN INCLUDE INDICATOR INITIAL INNER INOUT INSENSITIVE INSERT INT INTEGER INTERSECT
    INTERSECTION INTERVAL INTO IS JOIN JSON_ARRAY JSON_ARRAYAGG JSON_EXISTS JSON_OBJECT JSON_OBJECTAGG JSON_QUERY
    JSON_VALUE LAG LANGUAGE LARGE LAST_VALUE LATERAL LEAD LEADING LEFT LIKE LIKE_REGEX LIMIT LN LOCAL LOCALTIME
    LOCALTIMESTAMP LOWER MATCH MATCHES MATCH_NUMBER MATCH_RECOGNIZE MATERIALIZED MAX MEASURES MEMBER MERGE METHOD
    MIN MINUS MINUTE MOD MODIFIES MODIFY MODULE MODULES MONTH MULTISET NATIONAL NATURAL NCHAR NCLOB NEW NEXT NO
    NONE NORMALIZE NOT NTH_VALUE NTILE NULL NULLIF NUMERIC OCCURRENCES_REGEX OCTET_LENGTH OF OFFSET OLD OMIT ON
    ONE ONLY OPEN OR ORDER ORDINAL OUT OUTER OVER OVERLAPS OVERLAY PARAMETER PARTITION PATTERN PER PERCENT
    PERCENTILE_CONT PERCENTILE_DISC PERCENT_RANK PERIOD PERMUTE PIVOT PORTION POSITION POSITION_REGEX POWER
    PRECEDES PRECISION PREPARE PREV PRIMARY PROCEDURE QUALIFY RANGE RANK RAW READS REAL RECURSIVE REF REFERENCES
    REFERENCING REFRESH REFRESH_MODE REGR_AVGX REGR_AVGY REGR_COUNT REGR_INTERCEPT REGR_R2 REGR_SLOPE REGR_SXX
    REGR_SXY REGR_SYY RELEASE RENAME RESET RESULT RESUME RETURN RETURNS REVOKE RIGHT RLIKE ROLLBACK ROLLUP ROW
    ROWS ROW_NUMBER RUNNING SAFE_CAST SAFE_OFFSET SAFE_ORDINAL SAVEPOINT SCOPE SCROLL SEARCH SECOND SEEK SELECT
    SENSITIVE SEPARATOR SESSION_USER SET SHOW SIMILAR SKIP SMALLINT SOME SPECIFIC SPECIFICTYPE SQL SQLEXCEPTION
    SQLSTATE SQLWARNING SQRT START STATEMENT STATIC STDDEV_POP STDDEV_SAMP STREAM STRING SUBMULTISET SUBSET
    SUBSTRING SUBSTRING_REGEX SUCCEEDS SUM SUSPEND SYMMETRIC SYSTEM SYSTEM_TIME SYSTEM_USER TABLE TABLES
    TABLESAMPLE THEN TIME TIMESTAMP TIMESTAMP_DIFF TIMESTAMP_LTZ TIMEZONE_HOUR TIMEZONE_MINUTE TINYINT TO TRAILING
    TRANSLATE TRANSLATE_REGEX TRANSLATION TREAT TRIGGER TRIM TRIM_ARRAY TRUE TRUNCATE TRY_CAST UESCAPE UNION
    UNIQUE UNKNOWN UNNEST UNPIVOT UPDATE UPPER UPSERT USE USER USING VALUE VALUES VALUE_OF VARBINARY VARCHAR
    VARIANT VARYING VAR_POP VAR_SAMP VERSIONING VIEWS WATERMARK WATERMARKS WEEKS WHEN WHENEVER WHERE WIDTH_BUCKET
    WINDOW WITH WITHIN WITHOUT YEAR
";

static RESERVED: LazyLock<BTreeSet<&str>> = LazyLock::new(|| WORDS.split_whitespace().collect());

/// Words that stand for a value where an expression may stand, and for the column of that name where there is no such
/// value: there Flink takes them without back-quotes.
const NILADIC: &[&str] = &[
    "CURRENT_CATALOG",
    "CURRENT_PATH",
    "CURRENT_ROLE",
    "CURRENT_SCHEMA",
    "CURRENT_USER",
    "SESSION_USER",
    "SYSTEM_USER",
    "USER",
];

/// Whether Flink takes the word as a name only in back-quotes.
pub fn is_reserved(word: &str) -> bool {
    RESERVED.contains(word.to_ascii_uppercase().as_str())
}

/// The names in a statement that Flink takes only in back-quotes and that stand without, in the order of the
/// text, each where it stands first. `text` is the statement's own, `offset` its place in the script.
pub(super) fn reserved_names(statement: &Statement, text: &str, offset: usize) -> Vec<(String, Span)> {
    let mut names = Names { text, offset, found: Vec::new(), units: Vec::new() };
    names.statement(statement);
    let mut found = names.found;
    found.sort_by_key(|(_, span)| span.start);
    let mut known = BTreeSet::new();
    found.retain(|(name, _)| known.insert(name.to_ascii_uppercase()));
    found
}

struct Names<'a> {
    text: &'a str,
    offset: usize,
    found: Vec<(String, Span)>,
    /// Places of words such as the DAY of `TIMESTAMPDIFF(DAY, a, b)`, which are no names.
    units: Vec<Option<Span>>,
}

impl Names<'_> {
    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::CreateTable(create) => self.table(create),
            Statement::CreateTableAs(create) => {
                self.table(&create.create);
                self.listed(&create.order);
                self.query(&create.query);
            }
            Statement::CreateView(view) => {
                self.object(&view.name);
                self.list_behind(&view.name, &view.columns);
                self.query(&view.query);
            }
            Statement::AlterTable(alter) => {
                self.object(&alter.name);
                self.change(&alter.change);
            }
            Statement::AlterView(alter) => {
                self.object(&alter.name);
                match &alter.change {
                    ViewChange::Rename(name) => self.object(name),
                    ViewChange::Query { query, .. } => self.query(query),
                }
            }
            Statement::Insert(insert) => self.insert(insert),
            Statement::StatementSet(inserts) => inserts.iter().for_each(|insert| self.insert(insert)),
            Statement::Query { query, late } => {
                self.query(query);
                late.iter().for_each(|late| self.object(late));
            }
            Statement::Describe(name) | Statement::Drop { name, .. } => self.object(name),
            Statement::Explain(inner) => self.statement(inner),
            Statement::Namespace(_)
            | Statement::Set { .. }
            | Statement::ShowSettings
            | Statement::Reset { .. }
            | Statement::Show(_)
            | Statement::DescribeJob(_)
            | Statement::ExplainWatermark(_)
            | Statement::ExplainState(_)
            | Statement::TakeCheckpoint { .. }
            | Statement::StopJob { .. } => {}
        }
    }

    fn table(&mut self, create: &CreateTable) {
        self.object(&create.name);
        create.columns.iter().for_each(|column| self.column(column));
        if let Some(watermark) = &create.watermark {
            self.expression(&watermark.expression);
        }
    }

    fn column(&mut self, column: &ColumnDefinition) {
        self.words(Span { start: column.span.start, end: column.span.start + column.name.len() });
        if let ColumnKind::Computed(expression) = &column.kind {
            self.expression(expression);
        }
    }

    fn change(&mut self, change: &TableChange) {
        match change {
            TableChange::Rename(name) => self.object(name),
            TableChange::RenameColumn { from, to } => self.listed(&[from.clone(), to.clone()]),
            TableChange::Add(elements) | TableChange::Modify(elements) => self.elements(elements),
            TableChange::DropColumns(columns) => self.listed(columns),
            TableChange::Set { .. }
            | TableChange::Reset { .. }
            | TableChange::DropPrimaryKey { .. }
            | TableChange::DropWatermark(_)
            | TableChange::Distribution(_) => {}
        }
    }

    fn elements(&mut self, elements: &TableElements) {
        elements.columns.iter().for_each(|(column, _)| self.column(column));
        if let Some(watermark) = &elements.watermark {
            self.expression(&watermark.expression);
        }
    }

    fn insert(&mut self, insert: &Insert) {
        self.object(&insert.target);
        self.list_behind(&insert.target, &insert.columns);
        self.query(&insert.query);
        insert.late.iter().for_each(|late| self.object(late));
    }

    fn query(&mut self, query: &ast::Query) {
        let _ = query.visit(self);
    }

    fn expression(&mut self, expression: &Expr) {
        let _ = expression.visit(self);
    }

    fn object(&mut self, name: &ObjectName) {
        self.words(name.span);
    }

    fn listed(&mut self, names: &[(String, Span)]) {
        names.iter().for_each(|(_, span)| self.words(*span));
    }

    /// The names in the parentheses behind that of a table or view, if there are any.
    fn list_behind(&mut self, table: &ObjectName, columns: &[String]) {
        let start = table.span.end - self.offset;
        let rest = self.text.get(start..).unwrap_or_default();
        let list = Lexer::new(rest).skip_while(|lexeme| !lexeme.is_sign(rest, "("));
        let mut list = list.take_while(|lexeme| !lexeme.is_sign(rest, ")"));
        if let (false, Some(first), Some(last)) = (columns.is_empty(), list.next(), list.last()) {
            self.words(Span { start: table.span.end + first.start, end: table.span.end + last.end });
        }
    }

    /// The words that are written without back-quotes at a place where nothing but names stands.
    fn words(&mut self, place: Span) {
        let text = self.text.get(place.start.wrapping_sub(self.offset)..place.end.wrapping_sub(self.offset));
        for lexeme in Lexer::new(text.unwrap_or_default()).filter(|lexeme| lexeme.kind == Kind::Word) {
            let span = Span { start: place.start + lexeme.start, end: place.start + lexeme.end };
            self.name(lexeme.of(text.unwrap_or_default()), span);
        }
    }

    fn identifier(&mut self, name: &ast::Ident) {
        if let (None, Some(span)) = (name.quote_style, script_span(name.span)) {
            self.name(&name.value, span);
        }
    }

    fn alias(&mut self, alias: Option<&ast::TableAlias>) {
        let Some(alias) = alias else { return };
        self.identifier(&alias.name);
        alias.columns.iter().for_each(|column| self.identifier(&column.name));
    }

    fn name(&mut self, name: &str, span: Span) {
        if is_reserved(name) {
            self.found.push((name.to_owned(), span));
        }
    }
}

impl Visitor for Names<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        let queries = query.with.iter().flat_map(|with| &with.cte_tables);
        queries.for_each(|query| self.alias(Some(&query.alias)));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &ast::Select) -> ControlFlow<()> {
        for item in &select.projection {
            if let ast::SelectItem::ExprWithAlias { alias, .. } = item {
                self.identifier(alias);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &ast::TableFactor) -> ControlFlow<()> {
        match factor {
            ast::TableFactor::Table { name, alias, args, .. } => {
                if args.is_none() {
                    name.0.iter().filter_map(|part| part.as_ident()).for_each(|part| self.identifier(part));
                }
                self.alias(alias.as_ref());
            }
            ast::TableFactor::Derived { alias, .. }
            | ast::TableFactor::Function { alias, .. }
            | ast::TableFactor::TableFunction { alias, .. }
            | ast::TableFactor::UNNEST { alias, .. }
            | ast::TableFactor::NestedJoin { alias, .. } => self.alias(alias.as_ref()),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => {
                let is_unit = self.units.contains(&script_span(name.span));
                if !is_unit && !NILADIC.iter().any(|word| word.eq_ignore_ascii_case(&name.value)) {
                    self.identifier(name);
                }
            }
            Expr::CompoundIdentifier(names) => names.iter().for_each(|name| self.identifier(name)),
            Expr::Function(call) => self.units.extend(unit_of(call)),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Where the unit of `TIMESTAMPADD(DAY, 1, a)` and of `TIMESTAMPDIFF(DAY, a, b)` stands.
fn unit_of(call: &ast::Function) -> Option<Option<Span>> {
    let name = call.name.to_string();
    let takes_unit = ["TIMESTAMPADD", "TIMESTAMPDIFF"].iter().any(|with_unit| name.eq_ignore_ascii_case(with_unit));
    let ast::FunctionArguments::List(list) = &call.args else { return None };
    match list.args.first()? {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(Expr::Identifier(unit))) if takes_unit => {
            Some(script_span(unit.span))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::sql::parse_statement;

    fn check(text: &str, expected: &[&str]) {
        let statement = parse_statement(text, 100).unwrap_or_else(|error| panic!("{text}: {error}"));
        for (name, span) in &statement.reserved_names {
            assert_eq!(&text[span.start - 100..span.end - 100], name, "{text}");
        }
        let names: Vec<&str> = statement.reserved_names.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, expected, "{text}");
    }

    #[test]
    fn names_of_declarations() {
        check("CREATE TABLE t (value INT, `order` INT, n INT) WITH ('connector'='datagen')", &["value"]);
        check("CREATE TABLE t (`timestamp` timestamp(3), PRIMARY KEY (`timestamp`) NOT ENFORCED)", &[]);
        check("CREATE TABLE db.method (a INT, b AS percent + 1, date DATE)", &["method", "percent", "date"]);
        check("CREATE TABLE t (ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)", &[]);
        check("CREATE TABLE t (method) AS SELECT a FROM s", &["method"]);
        check("CREATE VIEW v (a, year) AS SELECT 1, 2", &["year"]);
        check("CREATE VIEW v AS SELECT user, t.user FROM t", &["user"]);
        check("ALTER TABLE t ADD (value INT)", &["value"]);
        check("ALTER TABLE t RENAME value TO `value`", &["value"]);
        check("ALTER VIEW v AS SELECT a AS percent FROM t", &["percent"]);
        check("DROP TABLE system", &["system"]);
    }

    #[test]
    fn names_of_queries() {
        check("SELECT user, current_user FROM t", &[]);
        check("SELECT a AS value, b count FROM t AS period", &["value", "count", "period"]);
        check("SELECT method, COUNT(*) FROM t WHERE METHOD = 'GET' GROUP BY method", &["method"]);
        check("WITH result AS (SELECT 1) SELECT * FROM result", &["result"]);
        check("SELECT * FROM (VALUES (1)) AS t (number, value)", &["value"]);
        check("INSERT INTO t (a, value) SELECT 1, percent FROM system", &["value", "percent", "system"]);
        check("INSERT INTO t (SELECT 1)", &[]);
        check("EXPLAIN SELECT date FROM t", &["date"]);
        check("SELECT a FROM t LATE RECORDS INTO none", &["none"]);
        check(
            "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT method FROM t; INSERT INTO method SELECT 1; END",
            &["method"],
        );
    }

    #[test]
    fn what_is_no_name_is_left_alone() {
        check(
            "SELECT TIMESTAMPDIFF(DAY, a, b), EXTRACT(YEAR FROM a), FLOOR(a TO HOUR), CURRENT_DATE, LOCALTIME FROM t",
            &[],
        );
        check("SELECT CAST(a AS TIMESTAMP(3)), DATE '2024-01-01', INTERVAL '1' DAY, ROW(1, 2), ARRAY[1] FROM t", &[]);
        check("SELECT SUM(a), MIN(b), TRIM(BOTH ' ' FROM c), `value` FROM `order` ORDER BY a LIMIT 1", &[]);
        check(
            "SELECT * FROM TABLE(TUMBLE(DATA => TABLE t, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '1' HOUR))",
            &[],
        );
        check("SELECT a IS UNKNOWN, b IS TRUE, NULL FROM t", &[]);
    }
}
