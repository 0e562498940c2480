//! Names to tables and views, with what was declared of them. Looks nothing up in the outside world.

mod alter;
mod check;
mod create;
mod describe;
mod like;
mod namespace;
mod table;

pub use create::{Created, leave_out, replace_metadata, with_clause_errors};
pub use describe::{describe, describe_view, show_create_table, show_create_view};
pub use namespace::{CATALOG, DATABASE, check_database, namespace};
pub use table::{Column, ColumnSource, Handle, Table, View, Watermark};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::connectors;
use crate::error::{Error, Result};
use crate::operators::process::ProcessFactory;
use crate::options::nearest;
use crate::sql::ObjectName;

/// The names that Flink gives to its catalog and database when nobody chose others.
const DEFAULT_PATH: [&str; 2] = ["default_catalog", "default_database"];

/// The id of the error about a table `stdin` that nobody declared: whoever lends an input can.
pub const UNDECLARED_STDIN: &str = "BL-STDIN-UNDECLARED";

/// The id of the error about a name whose CREATE was refused in a check: whoever uses it is not checked.
pub const UNCHECKED: &str = "BL-UNCHECKED";

/// A table or a view.
#[derive(Debug, Clone)]
pub enum Entry {
    Table(Arc<Table>),
    View(Arc<View>),
}

/// Whether a name is that of a file of data.
fn is_file(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    name.contains('/')
        || extension.is_some_and(|extension| {
            ["json", "jsonl", "ndjson", "csv", "tsv", "txt", "log", "gz", "parquet"].contains(&extension.as_str())
        })
}

/// How a file comes into FROM.
fn file_help(path: &str) -> String {
    format!(
        "a file is no table by itself: SELECT … FROM stdin with < {path} behind the command, or CREATE TABLE t (…) WITH \
         ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'json')"
    )
}

/// All tables and views of a session, by case-sensitive name.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    entries: BTreeMap<String, Entry>,
    /// Names of which a check knows that their CREATE was refused.
    unchecked: BTreeSet<String>,
    /// Process functions by their names in lower case.
    functions: BTreeMap<String, ProcessFactory>,
}

impl Catalog {
    /// The table or view of that name; an error with the nearest name if there is none.
    pub fn entry(&self, name: &ObjectName) -> Result<&Entry> {
        let table = own_name(name)?;
        self.entries.get(table).ok_or_else(|| {
            let error = Error::query(format!("Object '{table}' not found")).with_span(name.span);
            if self.unchecked.contains(table) {
                return error.with_id(UNCHECKED);
            }
            if table == connectors::stdin::TABLE {
                return error.with_id(UNDECLARED_STDIN);
            }
            if is_file(table) {
                return error.with_help(file_help(table));
            }
            match nearest(table, self.entries.keys().map(String::as_str)) {
                Some(meant) => error.with_help(format!("did you mean `{meant}`?")),
                None if self.entries.is_empty() => error.with_help("there are no tables yet: CREATE TABLE makes one"),
                None => error.with_help(format!(
                    "there are {}",
                    self.entries.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
                )),
            }
        })
    }

    /// The table of that name; a view is an error.
    pub fn table(&self, name: &ObjectName) -> Result<&Arc<Table>> {
        match self.entry(name)? {
            Entry::Table(table) => Ok(table),
            Entry::View(_) => {
                Err(Error::query(format!("`{}` is a view, not a table", name.table())).with_span(name.span))
            }
        }
    }

    /// Adds a table, for a program that embeds the crate and has made it itself.
    pub fn add_table(&mut self, table: Table) {
        self.entries.insert(table.name.clone(), Entry::Table(Arc::new(table)));
    }

    /// Adds a process function, whose name is the same in any case; it takes the place of one that has it.
    pub fn add_process_function(&mut self, function: ProcessFactory) {
        self.functions.insert(function.name.to_lowercase(), function);
    }

    /// The process function of that name.
    pub fn process_function(&self, name: &str) -> Option<&ProcessFactory> {
        self.functions.get(&name.to_lowercase())
    }

    /// The names of all process functions.
    pub fn process_functions(&self) -> impl Iterator<Item = &str> {
        self.functions.values().map(|function| function.name.as_str())
    }

    /// Remembers that nothing is known of a name but that it should have been declared.
    pub fn leave_unchecked(&mut self, name: &str) {
        if !self.entries.contains_key(name) {
            self.unchecked.insert(name.to_owned());
        }
    }

    /// Removes a table or view.
    pub fn remove(&mut self, name: &ObjectName, is_view: bool, is_temporary: bool, if_exists: bool) -> Result<()> {
        let own = own_name(name)?;
        if self.unchecked.remove(own) {
            return Ok(());
        }
        let what = if is_view { "view" } else { "table" };
        let (is_other_kind, is_kept) = match self.entries.get(own) {
            Some(Entry::Table(table)) => (is_view, table.is_temporary),
            Some(Entry::View(view)) => (!is_view, view.is_temporary),
            None => (false, is_temporary),
        };
        let is_there = self.entries.contains_key(own) && !is_other_kind;
        if is_there && is_kept == is_temporary {
            self.entries.remove(own);
            return Ok(());
        }
        let word = what.to_uppercase();
        if is_there && is_kept {
            return Err(Error::query(format!("`{own}` is a temporary {what}"))
                .with_span(name.span)
                .with_help(format!("write DROP TEMPORARY {word} {own}")));
        }
        if if_exists {
            return Ok(());
        }
        let temporary = if is_temporary { "temporary " } else { "" };
        let error = Error::query(format!("there is no {temporary}{what} `{own}`")).with_span(name.span);
        Err(if is_other_kind {
            error.with_help(format!(
                "it is a {0}: write DROP {1} {own}",
                if is_view { "table" } else { "view" },
                if is_view { "TABLE" } else { "VIEW" }
            ))
        } else if is_there {
            error.with_help(format!("it is not temporary: write DROP {word} {own}"))
        } else {
            error.with_help(format!("write DROP {}{word} IF EXISTS to go on without it", temporary.to_uppercase()))
        })
    }

    /// Names of all tables and views.
    pub fn names(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }
}

/// The name within the one database that there is.
fn own_name(name: &ObjectName) -> Result<&str> {
    let Some((table, path)) = name.parts.split_last() else { return Err(Error::bug("a name has at least one part")) };
    if path.len() > 2 || !DEFAULT_PATH.ends_with(&path.iter().map(String::as_str).collect::<Vec<_>>()) {
        let whole = name.parts.join(".");
        if is_file(&whole) {
            return Err(Error::query(format!("Object '{whole}' not found"))
                .with_span(name.span)
                .with_help(file_help(&whole)));
        }
        return Err(namespace::no_database(&path.join("."), name.span));
    }
    Ok(table)
}
