//! ALTER: the declaration of a table with one thing changed, checked as a new one is.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast;

use super::create::TypeOf;
use super::table::Handle;
use super::{Catalog, Entry, Table, View, own_name};
use crate::error::{Error, Result, Span};
use crate::sql::{
    AlterTable, AlterView, ColumnDefinition, ColumnKind, ColumnPlace, CreateTable, ObjectName, TableChange,
    TableElements, ViewChange,
};

impl Catalog {
    /// Changes a table. What runs keeps the table as it was.
    pub fn alter_table(&mut self, alter: &AlterTable, type_of: TypeOf<'_>) -> Result<()> {
        let name = own_name(&alter.name)?;
        if alter.if_exists && !self.entries.contains_key(name) {
            return Ok(());
        }
        let Entry::Table(table) = self.entry(&alter.name)? else {
            return Err(Error::query("ALTER TABLE for a view is not allowed")
                .with_span(alter.name.span)
                .with_help(format!("write ALTER VIEW {name} …")));
        };
        let table = Arc::clone(table);
        if table.is_temporary {
            return Err(Error::query(format!("`{name}` is a temporary table, which Flink does not alter"))
                .with_span(alter.name.span)
                .with_help(format!("DROP TEMPORARY TABLE {name}, and create it anew")));
        }
        if let Handle::Given { .. } = table.handle {
            return Err(Error::query(format!("`{name}` is a table of the program itself and cannot be altered"))
                .with_span(alter.name.span));
        }
        if let TableChange::Rename(new) = &alter.change {
            let new = self.free_name(new)?.to_owned();
            self.entries.remove(&table.name);
            self.entries.insert(new.clone(), Entry::Table(Arc::new(Table { name: new, ..table.as_ref().clone() })));
            return Ok(());
        }
        let changed = changed(&table, &alter.change, alter.name.span)?;
        let changed = self.checked(&changed, table.settings.clone(), type_of)?;
        self.entries.insert(changed.name.clone(), Entry::Table(Arc::new(changed)));
        Ok(())
    }

    /// Changes a view; `check` plans its query.
    pub fn alter_view(&mut self, alter: &AlterView, check: impl FnOnce(&View) -> Result<()>) -> Result<()> {
        let Entry::View(view) = self.entry(&alter.name)? else {
            return Err(Error::query("ALTER VIEW for a table is not allowed")
                .with_span(alter.name.span)
                .with_help(format!("write ALTER TABLE {} …", alter.name.table())));
        };
        let mut view = view.as_ref().clone();
        if view.is_temporary {
            return Err(Error::query(format!("`{}` is a temporary view, which Flink does not alter", view.name))
                .with_span(alter.name.span)
                .with_help(format!("write CREATE OR REPLACE TEMPORARY VIEW {} AS …", view.name)));
        }
        match &alter.change {
            ViewChange::Rename(new) => {
                let new = self.free_name(new)?.to_owned();
                self.entries.remove(&view.name);
                view.name = new;
            }
            ViewChange::Query { query, query_text } => {
                view = View { query: query.clone(), text: query_text.clone(), columns: Vec::new(), ..view };
                check(&view).map_err(|error| error.with_span(alter.name.span))?;
            }
        }
        self.entries.insert(view.name.clone(), Entry::View(Arc::new(view)));
        Ok(())
    }

    fn free_name<'a>(&self, name: &'a ObjectName) -> Result<&'a str> {
        let own = own_name(name)?;
        if self.entries.contains_key(own) {
            return Err(Error::query(format!("a table or view named `{own}` exists already"))
                .with_span(name.span)
                .with_help("choose another name, or DROP that one first"));
        }
        Ok(own)
    }
}

/// The table's declaration with the change.
fn changed(table: &Table, change: &TableChange, span: Span) -> Result<CreateTable> {
    let mut new = table.definition(span);
    match change {
        TableChange::Rename(_) => {}
        TableChange::RenameColumn { from: (from, from_span), to: (to, to_span) } => {
            let index = find(&new, from, *from_span)?;
            check_unused(&new, from, *from_span)?;
            if new.columns.iter().any(|column| column.name == *to) {
                return Err(
                    Error::query(format!("The column `{to}` already existed in table schema.")).with_span(*to_span)
                );
            }
            new.columns[index].name.clone_from(to);
            new.primary_key.iter_mut().filter(|key| *key == from).for_each(|key| key.clone_from(to));
        }
        TableChange::Set { options, span } => {
            new.options_span = *span;
            new.options.extend(options.iter().cloned());
        }
        TableChange::Reset { keys, span } => {
            new.options_span = *span;
            if keys.is_empty() {
                return Err(Error::query("ALTER TABLE RESET does not support empty key").with_span(*span));
            }
            if let Some((_, place)) = keys.iter().find(|(key, _)| key == "connector") {
                return Err(Error::query("ALTER TABLE RESET does not support changing 'connector'")
                    .with_span(*place)
                    .with_help("write ALTER TABLE t SET ('connector' = '…')"));
            }
            new.options.retain(|(option, _)| !keys.iter().any(|(key, _)| key == option));
        }
        TableChange::Add(elements) => add(&mut new, table, elements)?,
        TableChange::Modify(elements) => modify(&mut new, elements)?,
        TableChange::DropColumns(names) => {
            for (name, place) in names {
                let index = find(&new, name, *place)?;
                if new.primary_key.contains(name) {
                    return Err(Error::query(format!("The column `{name}` is used as the primary key."))
                        .with_span(*place)
                        .with_help("ALTER TABLE t DROP PRIMARY KEY first"));
                }
                new.columns.remove(index);
            }
            for (name, place) in names {
                check_unused(&new, name, *place)?;
            }
        }
        TableChange::DropPrimaryKey { constraint, span } => {
            if new.primary_key.is_empty() {
                return Err(Error::query("The current table does not define any primary key.").with_span(*span));
            }
            let known = table.constraint_name();
            if let Some(constraint) = constraint.as_ref().filter(|constraint| **constraint != known) {
                let message =
                    format!("The current table does not define a primary key constraint named '{constraint}'.");
                return Err(Error::query(message).with_span(*span).with_help(format!("it is called `{known}`")));
            }
            new.primary_key.clear();
            new.key_name = None;
        }
        TableChange::DropWatermark(span) => {
            if new.watermark.take().is_none() {
                return Err(Error::query("The current table does not define any watermark strategy.").with_span(*span));
            }
        }
        TableChange::Distribution(distribution) => {
            for (name, place) in distribution.iter().flat_map(|distribution| &distribution.columns) {
                find(&new, name, *place)?;
            }
            new.distribution.clone_from(distribution);
        }
    }
    Ok(new)
}

fn add(new: &mut CreateTable, table: &Table, elements: &TableElements) -> Result<()> {
    for (column, place) in &elements.columns {
        if new.columns.iter().any(|known| known.name == column.name) {
            return Err(Error::query(format!("Column `{}` already exists in the table.", column.name))
                .with_span(column.span)
                .with_help("to change it write ALTER TABLE t MODIFY …"));
        }
        let at = index_of(new, place, new.columns.len())?;
        new.columns.insert(at, column.clone());
    }
    if let Some(watermark) = &elements.watermark {
        if let Some(known) = &table.watermark {
            let message = format!(
                "The current table has already defined the watermark strategy `{}` AS {}. You might want to drop it before adding a new one.",
                known.rowtime, known.text
            );
            return Err(Error::query(message).with_span(watermark.span));
        }
        new.watermark = Some(watermark.clone());
    }
    if let Some(key) = &elements.primary_key {
        if !new.primary_key.is_empty() {
            let message = format!(
                "The current table has already defined the primary key constraint [{}]. You might want to drop it before adding a new one.",
                new.primary_key.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            );
            return Err(Error::query(message).with_span(elements.span));
        }
        set_key(new, key, elements)?;
    }
    Ok(())
}

fn modify(new: &mut CreateTable, elements: &TableElements) -> Result<()> {
    for (column, place) in &elements.columns {
        let Some(index) = new.columns.iter().position(|known| known.name == column.name) else {
            return Err(Error::query(format!("Column `{}` does not exist in the table.", column.name))
                .with_span(column.span)
                .with_help("to add it write ALTER TABLE t ADD …"));
        };
        let old = new.columns.remove(index);
        let at = index_of(new, place, index)?;
        let comment = column.comment.clone().or(old.comment);
        new.columns.insert(at, ColumnDefinition { comment, ..column.clone() });
    }
    if let Some(watermark) = &elements.watermark {
        if new.watermark.is_none() {
            return Err(Error::query(
                "The current table does not define any watermark strategy. You might want to add a new one.",
            )
            .with_span(watermark.span));
        }
        new.watermark = Some(watermark.clone());
    }
    if let Some(key) = &elements.primary_key {
        if new.primary_key.is_empty() {
            return Err(Error::query(
                "The current table does not define any primary key constraint. You might want to add a new one.",
            )
            .with_span(elements.span));
        }
        set_key(new, key, elements)?;
    }
    Ok(())
}

fn set_key(new: &mut CreateTable, key: &[(String, Span)], elements: &TableElements) -> Result<()> {
    for (name, place) in key {
        find(new, name, *place)?;
    }
    new.primary_key = key.iter().map(|(name, _)| name.clone()).collect();
    new.key_name.clone_from(&elements.key_name);
    Ok(())
}

fn index_of(new: &CreateTable, place: &ColumnPlace, unsaid: usize) -> Result<usize> {
    match place {
        ColumnPlace::Unsaid => Ok(unsaid),
        ColumnPlace::First => Ok(0),
        ColumnPlace::After(name, span) => Ok(find(new, name, *span)? + 1),
    }
}

fn find(new: &CreateTable, name: &str, span: Span) -> Result<usize> {
    new.columns.iter().position(|column| column.name == name).ok_or_else(|| {
        let names: Vec<&str> = new.columns.iter().map(|column| column.name.as_str()).take(20).collect();
        Error::query(format!("The column `{name}` does not exist in the table."))
            .with_span(span)
            .with_help(format!("the columns are {}", names.join(", ")))
    })
}

/// Refuses to take a column's name away from the expressions that use it.
fn check_unused(new: &CreateTable, name: &str, span: Span) -> Result<()> {
    for column in &new.columns {
        if let ColumnKind::Computed(expression) = &column.kind
            && names(expression).contains(name)
        {
            let message = format!("The column `{name}` is referenced by computed column `{}`.", column.name);
            return Err(Error::query(message)
                .with_span(span)
                .with_help(format!("ALTER TABLE t DROP {} first, and add it anew behind that", column.name)));
        }
    }
    match &new.watermark {
        Some(watermark) if watermark.rowtime == name || names(&watermark.expression).contains(name) => {
            Err(Error::query(format!("The column `{name}` is referenced by watermark expression."))
                .with_span(span)
                .with_help("ALTER TABLE t DROP WATERMARK first, and add it anew behind that"))
        }
        _ => Ok(()),
    }
}

/// The columns that an expression names.
fn names(expression: &ast::Expr) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let _: ControlFlow<()> = ast::visit_expressions(expression, |inner| {
        match inner {
            ast::Expr::Identifier(ident) => names.insert(ident.value.clone()),
            ast::Expr::CompoundIdentifier(idents) => {
                idents.last().is_some_and(|ident| names.insert(ident.value.clone()))
            }
            _ => false,
        };
        ControlFlow::Continue(())
    });
    names
}
