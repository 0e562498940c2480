//! Statements that declare: CREATE, ALTER, DROP and USE.

use std::path::Path;

use super::{Outcome, Session};
use crate::catalog::{Created, Entry, namespace};
use crate::error::{Error, Result};
use crate::plan::{check_view, query_columns, type_of};
use crate::sql::{
    AlterTable, AlterView, ColumnDefinition, ColumnKind, CreateTable, CreateTableAs, CreateView, Distribution,
    DropKind, Insert, NamespaceStatement, ObjectName, SqlType, TableChange, on_large_stack,
};

impl Session {
    pub(super) fn create_table(&mut self, create: &CreateTable) -> Result<Outcome> {
        let settings = self.settings.for_table(create.name.table());
        let created = on_large_stack(|| self.catalog.create_table(create, settings, &type_of))?;
        if let (Created::New, Some(distribution)) = (created, &create.distribution) {
            self.warn_of(distribution);
        }
        Ok(Outcome::Done)
    }

    pub(super) fn create_view(&mut self, create: &CreateView) -> Result<Outcome> {
        let known = self.catalog.clone();
        on_large_stack(|| self.catalog.create_view(create, |view| check_view(view, &known)))?;
        Ok(Outcome::Done)
    }

    /// Declares the table and starts the job that fills it. If that cannot be started there is no table.
    pub(super) async fn create_table_as(&mut self, create: &CreateTableAs, script: Option<&Path>) -> Result<Outcome> {
        let before = self.catalog.clone();
        let insert = self.declare_table_as(create)?;
        let started = self.insert(std::slice::from_ref(&insert), script).await;
        if started.is_err() {
            self.catalog = before;
        }
        started
    }

    /// Declares the table of a CREATE TABLE … AS; the INSERT that fills it.
    pub(super) fn declare_table_as(&mut self, create: &CreateTableAs) -> Result<Insert> {
        let CreateTableAs { create: table, query, span, .. } = create;
        let name = &table.name;
        let mut insert = Insert {
            target: name.clone(),
            options: Vec::new(),
            columns: Vec::new(),
            query: query.clone(),
            on_conflict: None,
            late: None,
            span: *span,
        };
        let replaces = create.is_replace || table.or_replace;
        let replaced = match self.catalog.entry(name).ok() {
            Some(Entry::View(_)) if replaces => {
                return Err(Error::query(format!("`{}` is a view, which a table does not replace", name.table()))
                    .with_span(name.span)
                    .with_help("choose another name, or DROP VIEW first"));
            }
            None if create.is_replace => {
                return Err(Error::query(format!("there is no table `{}` to be replaced", name.table()))
                    .with_span(name.span)
                    .with_help("write CREATE TABLE t WITH (…) AS SELECT …, or CREATE OR REPLACE TABLE t …"));
            }
            Some(_) if table.if_not_exists => return Ok(insert),
            Some(Entry::Table(table)) if replaces => Some(table.is_temporary),
            _ => None,
        };
        let rows = on_large_stack(|| query_columns(query, &self.catalog))?;
        let merged = with_query_columns(create, &rows)?;
        insert.columns = rows.into_iter().map(|(name, ..)| name).collect();
        if let Some(is_temporary) = replaced {
            self.catalog.remove(name, false, is_temporary, true)?;
        }
        self.create_table(&merged)?;
        Ok(insert)
    }

    pub(super) fn alter_table(&mut self, alter: &AlterTable) -> Result<Outcome> {
        on_large_stack(|| self.catalog.alter_table(alter, &type_of))?;
        if let TableChange::Distribution(Some(distribution)) = &alter.change {
            self.warn_of(distribution);
        }
        Ok(Outcome::Done)
    }

    pub(super) fn alter_view(&mut self, alter: &AlterView) -> Result<Outcome> {
        let known = self.catalog.clone();
        on_large_stack(|| self.catalog.alter_view(alter, |view| check_view(view, &known)))?;
        Ok(Outcome::Done)
    }

    pub(super) fn namespace(&mut self, statement: &NamespaceStatement) -> Result<Outcome> {
        namespace(statement).map(|()| Outcome::Done)
    }

    pub(super) fn drop_object(
        &mut self,
        kind: DropKind,
        name: &ObjectName,
        is_temporary: bool,
        if_exists: bool,
    ) -> Result<Outcome> {
        let what = match kind {
            DropKind::Table | DropKind::View => {
                self.catalog.remove(name, kind == DropKind::View, is_temporary, if_exists)?;
                return Ok(Outcome::Done);
            }
            DropKind::Function => "function",
            DropKind::Model => "model",
            DropKind::MaterializedTable => "materialized table",
        };
        if if_exists {
            return Ok(Outcome::Done);
        }
        Err(Error::query(format!("there is no {what} `{}`: none can be made here yet", name.parts.join(".")))
            .with_span(name.span)
            .with_help(format!("leave the statement out, or write DROP {} IF EXISTS", what.to_uppercase())))
    }

    fn warn_of(&self, distribution: &Distribution) {
        self.warn(format!("{distribution} has no effect here: rows are laid out by the connector alone"));
    }
}

/// The columns that only the CREATE names, then those of the query, with the types that the CREATE gives them.
fn with_query_columns(create: &CreateTableAs, rows: &[(String, SqlType, bool)]) -> Result<CreateTable> {
    let mut table = create.create.clone();
    let refuse = |message: String, span| Error::query(message).with_span(span);
    let mut own = std::mem::take(&mut table.columns);
    for (index, (name, data_type, nullable)) in rows.iter().enumerate() {
        if rows[..index].iter().any(|(other, ..)| other == name) {
            return Err(refuse(format!("the query has two columns `{name}`"), create.span)
                .with_help("give each of them a name of its own with AS"));
        }
        let declared = own.iter().position(|column| column.name == *name).map(|index| own.remove(index));
        table.columns.push(match declared {
            Some(column) if matches!(column.kind, ColumnKind::Physical { .. }) => column,
            Some(column) => {
                let message = format!("A column named '{name}' already exists in the source schema.");
                return Err(refuse(message, column.span).with_help("give the column of the query another name with AS"));
            }
            None => ColumnDefinition {
                name: name.clone(),
                kind: ColumnKind::Physical { data_type: data_type.clone(), not_null: !nullable },
                comment: None,
                span: create.span,
            },
        });
    }
    own.append(&mut table.columns);
    table.columns = own;
    if let Some((_, first)) = create.order.first() {
        if create.order.len() != rows.len() {
            let message =
                "The number of columns in the column list must match the number of columns in the source schema.";
            return Err(refuse(message.to_owned(), *first));
        }
        let mut ordered = Vec::new();
        for (name, span) in &create.order {
            let Some(index) = table.columns.iter().position(|column| column.name == *name) else {
                return Err(refuse(format!("Column '{name}' not found in the source schema."), *span));
            };
            ordered.push(table.columns.remove(index));
        }
        table.columns = ordered;
    }
    Ok(table)
}
