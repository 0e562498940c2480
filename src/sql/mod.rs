//! SQL text to statements: Flink's dialect, its DDL, and the few clauses that are ours. Nothing is looked up here.

mod statement;
mod types;

pub use statement::{
    ColumnDefinition, ColumnKind, CreateTable, CreateView, DropKind, Insert, ObjectName, Script, ShowKind, Statement,
    StatementAt, WatermarkDefinition,
};
pub use types::SqlType;
