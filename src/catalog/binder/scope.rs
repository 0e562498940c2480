//! The columns that an expression may name, by table.

use datafusion::common::{Column, Spans, TableReference};
use datafusion::logical_expr::Expr;
use sqlparser::ast::Ident;

use super::Bound;
use crate::error::{Error, Result};
use crate::options::nearest;
use crate::sql::{SqlType, script_span};

/// A column in sight.
#[derive(Debug, Clone)]
pub struct ScopeColumn {
    /// The table's name or alias; none for what has no name.
    pub table: Option<String>,
    pub name: String,
    /// The column of the plan that it stands for.
    pub column: Column,
    pub data_type: SqlType,
    pub nullable: bool,
}

/// All columns in sight, in the order of `SELECT *`.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    pub columns: Vec<ScopeColumn>,
}

impl Scope {
    /// The columns of one table, named as in the plan.
    pub fn table(name: Option<&str>, columns: impl IntoIterator<Item = (String, SqlType, bool)>) -> Self {
        let columns = columns
            .into_iter()
            .map(|(column, data_type, nullable)| ScopeColumn {
                table: name.map(str::to_owned),
                column: Column::new(name.map(TableReference::bare), column.clone()),
                name: column,
                data_type,
                nullable,
            })
            .collect();
        Self { columns }
    }

    /// The column of that name, with or without a table before it.
    pub fn column(&self, names: &[Ident]) -> Result<Bound> {
        let (Some(name), tables) = (names.last(), &names[..names.len().saturating_sub(1)]) else {
            return Err(Error::bug("a column without a name"));
        };
        let table = tables.last().map(|table| table.value.as_str());
        let matches = |column: &&ScopeColumn| {
            column.name == name.value && table.is_none_or(|table| column.table.as_deref() == Some(table))
        };
        let mut found = self.columns.iter().filter(matches);
        let Some(column) = found.next() else {
            return Err(self.missing(name, table));
        };
        if found.next().is_some() {
            let error = Error::query(format!("Column '{}' is ambiguous", name.value));
            return Err(at(error, name).with_help("write the table's name before it: t.column"));
        }
        let mut spans = Spans::new();
        let start = names.first().map_or(name.span, |first| first.span);
        if let Some(span) =
            datafusion::common::Span::try_from_sqlparser_span(sqlparser::tokenizer::Span::new(start.start, name.span.end))
        {
            spans.add_span(span);
        }
        let expr = Expr::Column(column.column.clone().with_spans(spans));
        Ok(Bound::new(expr, column.data_type.clone(), column.nullable))
    }

    fn missing(&self, name: &Ident, table: Option<&str>) -> Error {
        if let Some(table) = table
            && !self.columns.iter().any(|column| column.table.as_deref() == Some(table))
        {
            // A column of a ROW looks the same; it is not built yet either.
            let error = Error::query(format!("Table '{table}' not found"));
            let tables = self.columns.iter().filter_map(|column| column.table.as_deref());
            return at(hint(error, nearest(table, tables)), name);
        }
        let place = table.map_or_else(|| "any table".to_owned(), |table| format!("table '{table}'"));
        let names = self
            .columns
            .iter()
            .filter(|column| table.is_none() || column.table.as_deref() == table)
            .map(|column| column.name.as_str());
        let candidates: Vec<&str> = names.collect();
        match nearest(&name.value, candidates.iter().copied()) {
            Some(near) => at(
                Error::query(format!("Column '{}' not found in {place}; did you mean '{near}'?", name.value)),
                name,
            ),
            None => {
                let error = Error::query(format!("Column '{}' not found in {place}", name.value));
                let shown = candidates.iter().take(20).copied().collect::<Vec<_>>().join(", ");
                at(if shown.is_empty() { error } else { error.with_help(format!("there are: {shown}")) }, name)
            }
        }
    }
}

fn hint(error: Error, near: Option<&str>) -> Error {
    match near {
        Some(near) => error.with_help(format!("did you mean '{near}'?")),
        None => error,
    }
}

fn at(error: Error, name: &Ident) -> Error {
    match script_span(name.span) {
        Some(span) => error.with_span(span),
        None => error,
    }
}
