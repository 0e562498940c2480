//! What a script says, statement by statement. Queries and expressions stay sqlparser's until `plan/logical.rs`.

use sqlparser::ast;

use super::SqlType;
use super::alter::{AlterTable, AlterView};
use super::like::LikeClause;
use super::namespace::{DropKind, NamespaceStatement};
use super::show::ShowKind;
use crate::error::Span;

/// A parsed script: statements in order.
#[derive(Debug, Clone)]
pub struct Script {
    pub statements: Vec<StatementAt>,
}

/// A statement and where it stands in the script.
#[derive(Debug, Clone)]
pub struct StatementAt {
    pub statement: Statement,
    /// From its first to its last character, without the semicolon.
    pub span: Span,
    /// Its text.
    pub text: String,
    /// The names in it that Flink would take only in back-quotes, each once.
    pub reserved_names: Vec<(String, Span)>,
}

impl StatementAt {
    /// Where a node of this statement's syntax tree stands in the script; the whole statement for one that was made up.
    pub fn span_of(&self, node: sqlparser::tokenizer::Span) -> Span {
        super::script_span(node).unwrap_or(self.span)
    }
}

/// A name as written: case-sensitive, without quotes; `a.b.c` has three parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    pub parts: Vec<String>,
    pub span: Span,
}

impl ObjectName {
    /// The table's own name: the last part.
    pub fn table(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }
}

/// A job as a statement names it: by its id or by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobReference {
    pub text: String,
    pub span: Span,
}

#[derive(Debug, Clone)]
pub enum Statement {
    CreateTable(CreateTable),
    CreateTableAs(Box<CreateTableAs>),
    CreateView(CreateView),
    AlterTable(AlterTable),
    AlterView(AlterView),
    /// `USE`, CREATE and DROP of a catalog or a database.
    Namespace(NamespaceStatement),
    Insert(Box<Insert>),
    /// `EXECUTE STATEMENT SET BEGIN … END`: one job.
    StatementSet(Vec<Insert>),
    /// `query [LATE RECORDS INTO late]`
    Query {
        query: Box<ast::Query>,
        late: Option<ObjectName>,
    },
    /// `SET 'key' = 'value'`
    Set {
        key: String,
        value: String,
    },
    /// `SET`: list what is set.
    ShowSettings,
    /// `RESET 'key'`, or `RESET`: all.
    Reset {
        key: Option<String>,
    },
    Show(ShowKind),
    Describe(ObjectName),
    /// `DESCRIBE JOB 'id'`
    DescribeJob(JobReference),
    /// `EXPLAIN WATERMARK ['job']`
    ExplainWatermark(Option<JobReference>),
    /// `EXPLAIN STATE ['job']`
    ExplainState(Option<JobReference>),
    /// `CHECKPOINT [JOB 'id']`, `SAVEPOINT [JOB 'id']`; without a job every one that runs.
    TakeCheckpoint {
        job: Option<JobReference>,
        is_savepoint: bool,
    },
    /// `STOP JOB 'id' [WITH SAVEPOINT] [WITH DRAIN]`
    StopJob {
        job: JobReference,
        with_savepoint: bool,
        with_drain: bool,
    },
    Drop {
        kind: DropKind,
        name: ObjectName,
        temporary: bool,
        if_exists: bool,
    },
    /// `EXPLAIN [PLAN FOR] statement`
    Explain(Box<Statement>),
}

#[derive(Debug, Clone)]
pub struct CreateTable {
    pub name: ObjectName,
    pub temporary: bool,
    pub if_not_exists: bool,
    pub or_replace: bool,
    pub columns: Vec<ColumnDefinition>,
    pub watermark: Option<WatermarkDefinition>,
    /// `PRIMARY KEY (…) NOT ENFORCED`, names in order; empty without.
    pub primary_key: Vec<String>,
    /// What `CONSTRAINT` calls the primary key.
    pub key_name: Option<String>,
    pub distribution: Option<Distribution>,
    pub partitioned_by: Vec<String>,
    pub comment: Option<String>,
    /// In the order of the text; of a key given twice the last one counts.
    pub options: Vec<(String, String)>,
    /// The span of the WITH clause, for errors about options.
    pub options_span: Span,
    pub like: Option<LikeClause>,
}

/// `DISTRIBUTED [BY [HASH | RANGE] (columns)] [INTO n BUCKETS]`, which says how a store lays out its rows.
#[derive(Debug, Clone)]
pub struct Distribution {
    /// `HASH` or `RANGE`; none: the store chooses.
    pub kind: Option<&'static str>,
    pub columns: Vec<(String, Span)>,
    pub buckets: Option<u32>,
    pub span: Span,
}

impl std::fmt::Display for Distribution {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("DISTRIBUTED")?;
        if !self.columns.is_empty() {
            let names: Vec<String> = self.columns.iter().map(|(name, _)| format!("`{name}`")).collect();
            write!(out, " BY {}({})", self.kind.unwrap_or_default(), names.join(", "))?;
        }
        self.buckets.map_or(Ok(()), |buckets| write!(out, " INTO {buckets} BUCKETS"))
    }
}

/// `CREATE TABLE t … AS query`
#[derive(Debug, Clone)]
pub struct CreateTableAs {
    pub create: CreateTable,
    /// The columns in another order than the query's, where only names stand in the parentheses.
    pub order: Vec<(String, Span)>,
    /// `REPLACE TABLE`: the table has to be there.
    pub is_replace: bool,
    pub query: Box<ast::Query>,
    pub span: Span,
}

#[derive(Debug, Clone)]
pub struct ColumnDefinition {
    pub name: String,
    pub kind: ColumnKind,
    pub comment: Option<String>,
    pub span: Span,
}

#[derive(Debug, Clone)]
pub enum ColumnKind {
    Physical {
        data_type: SqlType,
        not_null: bool,
    },
    /// `name AS expression`
    Computed(Box<ast::Expr>),
    /// `name TYPE METADATA [FROM 'key'] [VIRTUAL]`
    Metadata {
        data_type: SqlType,
        key: Option<String>,
        is_virtual: bool,
    },
}

/// `WATERMARK FOR rowtime AS expression`
#[derive(Debug, Clone)]
pub struct WatermarkDefinition {
    pub rowtime: String,
    pub expression: Box<ast::Expr>,
    pub span: Span,
    /// Whether it is another table's or an earlier statement's, so that places in `expression` mean nothing here.
    pub is_inherited: bool,
}

#[derive(Debug, Clone)]
pub struct CreateView {
    pub name: ObjectName,
    pub temporary: bool,
    pub if_not_exists: bool,
    pub or_replace: bool,
    pub columns: Vec<String>,
    pub comment: Option<String>,
    pub query: Box<ast::Query>,
    /// The text of the query, for SHOW CREATE VIEW.
    pub query_text: String,
}

/// `ON CONFLICT DO ERROR`, `NOTHING` or `DEDUPLICATE`: what becomes of several rows with one primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictAction {
    Error,
    Nothing,
    Deduplicate,
}

/// `INSERT INTO t [(columns)] query [ON CONFLICT DO action] [LATE RECORDS INTO late]`
#[derive(Debug, Clone)]
pub struct Insert {
    pub target: ObjectName,
    /// Of the hint OPTIONS behind the target: they count before those of its WITH clause.
    pub options: Vec<(String, String)>,
    pub columns: Vec<String>,
    /// SELECT, VALUES, WITH …
    pub query: Box<ast::Query>,
    /// With its place.
    pub on_conflict: Option<(ConflictAction, Span)>,
    pub late: Option<ObjectName>,
    pub span: Span,
}
