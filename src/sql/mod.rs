//! SQL text to statements: Flink's dialect, its DDL, and the few clauses that are ours. Nothing is looked up here, and
//! nothing is folded: names keep their case.
//!
//! The way of a text: `split` cuts a script into statements, `limits` measures them, `tokens` makes sqlparser's tokens,
//! `parser` decides by the first words who reads them. The places in the syntax tree are byte offsets in the script.

mod alter;
mod create_table;
mod create_view;
mod cursor;
mod data_type;
mod dialect;
mod format;
mod forms;
mod group_window;
mod hints;
mod insert;
mod interval;
mod job_statement;
mod json_call;
mod lexer;
mod like;
mod limits;
mod namespace;
mod parser;
mod process_call;
mod query;
mod refused;
mod reserved;
mod settings;
mod show;
mod split;
mod statement;
mod table_argument;
mod tokens;
mod types;
mod values;
mod window_call;

#[cfg(test)]
mod tests;

pub use alter::{AlterTable, AlterView, ColumnPlace, TableChange, TableElements, ViewChange};
pub use dialect::FlinkDialect;
pub use format::format_script;
pub use forms::SYMMETRIC;
pub use group_window::{GroupWindow, WindowPart, group_window, window_part};
pub use hints::{StateTtl, state_ttl, table_options};
pub use interval::{IntervalLength, interval_length};
pub use json_call::IS_JSON;
pub use lexer::{Kind, Lexeme, Lexer, Open};
pub use like::{LikeClause, MergeStrategy};
pub use limits::{SQL_BYTES, SQL_DEPTH, on_large_stack};
pub use namespace::{DropKind, NamespaceAction, NamespaceKind, NamespaceStatement};
pub use parser::{parse_script, parse_statement};
pub use process_call::{ProcessCall, called_in_from, process_call};
pub use query::{parse_expression, parse_query};
pub use reserved::is_reserved;
pub use show::{ListKind, NamePattern, ShowKind};
pub use split::{created_name, is_complete, split_script};
pub use sqlparser::ast::Query;
pub use statement::{
    ColumnDefinition, ColumnKind, ConflictAction, CreateTable, CreateTableAs, CreateView, Distribution, Insert,
    JobReference, ObjectName, Script, Statement, StatementAt, WatermarkDefinition,
};
pub use table_argument::TableArgument;
pub use tokens::{FOR_FLINK, script_span};
pub use types::SqlType;
pub use window_call::{WindowCall, WindowFunction, table_name, window_call};
