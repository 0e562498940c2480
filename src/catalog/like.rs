//! `LIKE`: a new table that begins as another, by Flink's rules of what is taken and what may be in both.

use super::{Catalog, Entry};
use crate::error::{Error, Result, Span};
use crate::sql::{ColumnDefinition, ColumnKind, CreateTable, LikeClause, MergeStrategy};

impl Catalog {
    /// The declaration of the new table with what it takes of the other.
    pub(super) fn merged(&self, create: &CreateTable, like: &LikeClause) -> Result<CreateTable> {
        let span = like.source.span;
        let Entry::Table(source) = self.entry(&like.source)? else {
            return Err(Error::query(format!("LIKE takes a table, and `{}` is a view", like.source.table()))
                .with_span(span)
                .with_help("make the table of the view's rows: CREATE TABLE t WITH (…) AS SELECT * FROM …"));
        };
        let base = source.definition(span);
        let mut merged = create.clone();
        merged.columns = columns(&base, create, like)?;
        if create.options.is_empty() {
            merged.options_span = span;
        }
        merged.options = options(&base, create, like.options)?;
        if let Some(watermark) = base.watermark.filter(|_| like.watermarks != MergeStrategy::Excluding) {
            match &create.watermark {
                None => merged.watermark = Some(watermark),
                Some(own) if own.rowtime != watermark.rowtime => {
                    return Err(Error::query("Multiple watermark definitions are not supported yet.")
                        .with_span(own.span)
                        .with_help("to leave out the one of the other table: EXCLUDING WATERMARKS"));
                }
                Some(own) if like.watermarks == MergeStrategy::Including => {
                    let message = format!(
                        "There already exists a watermark spec for column '{}' in the base table. You might want to specify EXCLUDING WATERMARKS or OVERWRITING WATERMARKS.",
                        own.rowtime
                    );
                    return Err(Error::query(message).with_span(own.span));
                }
                Some(_) => {}
            }
        }
        if like.constraints == MergeStrategy::Including && !base.primary_key.is_empty() {
            if !create.primary_key.is_empty() {
                return Err(Error::query(
                    "The base table already has a primary key. You might want to specify EXCLUDING CONSTRAINTS.",
                )
                .with_span(create.name.span));
            }
            merged.primary_key = base.primary_key;
            merged.key_name = base.key_name;
        }
        for name in &create.primary_key {
            let is_nullable = |column: &&ColumnDefinition| {
                column.name == *name && matches!(column.kind, ColumnKind::Physical { not_null: false, .. })
            };
            if merged.columns.iter().any(|column| is_nullable(&column)) {
                let message = format!("Invalid primary key. Column '{name}' is nullable.");
                return Err(Error::query(message)
                    .with_span(create.name.span)
                    .with_help(format!("declare `{name}` as NOT NULL in `{}`", like.source.table())));
            }
        }
        if like.distribution == MergeStrategy::Including {
            if let (Some(own), Some(_)) = (&create.distribution, &base.distribution) {
                return Err(Error::query(
                    "The base table already has a distribution defined. You might want to specify EXCLUDING DISTRIBUTION.",
                )
                .with_span(own.span));
            }
            merged.distribution = merged.distribution.or(base.distribution);
        }
        merged.like = None;
        Ok(merged)
    }
}

/// The other table's columns in their order, then the new ones.
fn columns(base: &CreateTable, create: &CreateTable, like: &LikeClause) -> Result<Vec<ColumnDefinition>> {
    let is_computed = |column: &ColumnDefinition| matches!(column.kind, ColumnKind::Computed(_));
    let taken = base.columns.iter().filter(|column| !is_computed(column) || like.generated != MergeStrategy::Excluding);
    let mut columns: Vec<ColumnDefinition> = taken.cloned().collect();
    let refuse = |message: String, span: Span| Err(Error::query(message).with_span(span));
    for own in &create.columns {
        let Some(known) = columns.iter_mut().find(|column| column.name == own.name) else {
            columns.push(own.clone());
            continue;
        };
        match (is_computed(own), is_computed(known)) {
            (false, _) => {
                return refuse(format!("A column named '{}' already exists in the base table.", own.name), own.span);
            }
            (true, false) => {
                let message = format!(
                    "A column named '{}' already exists in the table. Duplicate columns exist in the compute column and regular column.",
                    own.name
                );
                return refuse(message, own.span);
            }
            (true, true) if like.generated == MergeStrategy::Overwriting => known.clone_from(own),
            (true, true) => {
                let message = format!(
                    "A generated column named '{}' already exists in the base table. You might want to specify EXCLUDING GENERATED or OVERWRITING GENERATED.",
                    own.name
                );
                return refuse(message, own.span);
            }
        }
    }
    Ok(columns)
}

fn options(base: &CreateTable, create: &CreateTable, strategy: MergeStrategy) -> Result<Vec<(String, String)>> {
    let mut options = match strategy {
        MergeStrategy::Excluding => Vec::new(),
        MergeStrategy::Including | MergeStrategy::Overwriting => base.options.clone(),
    };
    if strategy == MergeStrategy::Including {
        let twice = options.iter().find(|(key, _)| create.options.iter().any(|(own, _)| own == key));
        if let Some((key, _)) = twice {
            let message = format!(
                "There already exists an option '{key}' in the base table. You might want to specify EXCLUDING OPTIONS or OVERWRITING OPTIONS."
            );
            return Err(Error::query(message).with_span(create.options_span));
        }
    }
    // Of a key given twice the last one counts.
    options.extend(create.options.iter().cloned());
    Ok(options)
}
