//! The columns that an expression may name, with what is known of each: type, time attribute, window bound.

use arrow::datatypes::DataType;
use sqlparser::ast;

use crate::error::{Error, Result};
use crate::expressions::instant_type;
use crate::options::nearest;
use crate::sql::SqlType;
use crate::stream::{PROCTIME_COLUMN, WATERMARK_COLUMN};

/// The columns in reach, in order.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    pub columns: Vec<ScopeColumn>,
}

/// One column.
#[derive(Debug, Clone, PartialEq)]
pub struct ScopeColumn {
    /// Unique within the scope; the name of the plan's field too.
    pub name: String,
    pub data_type: DataType,
    pub nullable: bool,
    /// The type that was declared for it, where one was.
    pub declared: Option<SqlType>,
    /// Whether it is an event-time attribute: windows may be put on it.
    pub is_rowtime: bool,
    /// Whether it is a processing-time attribute: windows may be put on it, too.
    pub is_proctime: bool,
    /// Whether it is a bound of the window that a window table function assigned.
    pub window: Option<WindowColumn>,
    /// The name that it shares with an earlier column; of one table it can be named by neither.
    pub duplicate_of: Option<String>,
    /// The name by which it may be qualified: its table's, or that one's alias.
    pub table: Option<String>,
}

/// The three columns that a window table function adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowColumn {
    Start,
    End,
    Time,
}

impl WindowColumn {
    /// All three, in order.
    pub const ALL: [Self; 3] = [Self::Start, Self::End, Self::Time];

    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "window_start",
            Self::End => "window_end",
            Self::Time => "window_time",
        }
    }
}

impl ScopeColumn {
    /// A plain column.
    pub fn new(name: impl Into<String>, data_type: DataType, nullable: bool) -> Self {
        Self {
            name: name.into(),
            data_type,
            nullable,
            declared: None,
            is_rowtime: false,
            is_proctime: false,
            window: None,
            duplicate_of: None,
            table: None,
        }
    }

    /// The hidden column of the time at which a row was read.
    pub fn proctime() -> Self {
        Self { is_proctime: true, ..Self::new(PROCTIME_COLUMN, instant_type(), false) }
    }

    fn ambiguous(&self) -> Error {
        Error::query(format!("Column '{}' is ambiguous", self.known_name()))
            .with_help("give each of the columns a name of its own with AS")
    }

    /// The name by which a query knows it.
    pub fn known_name(&self) -> &str {
        self.duplicate_of.as_ref().unwrap_or(&self.name)
    }

    /// Whether a query can name it; columns of ours cannot be named.
    pub fn is_visible(&self) -> bool {
        !self.name.starts_with('$')
    }
}

impl Scope {
    /// The columns that `SELECT *` means.
    pub fn visible(&self) -> impl Iterator<Item = &ScopeColumn> {
        self.columns.iter().filter(|column| column.is_visible())
    }

    /// Whether the watermark that each row meets is at hand.
    pub fn has_watermark(&self) -> bool {
        self.columns.iter().any(|column| column.name == WATERMARK_COLUMN)
    }

    /// Whether the time at which each row was read is at hand.
    pub fn has_proctime(&self) -> bool {
        self.columns.iter().any(|column| column.name == PROCTIME_COLUMN)
    }

    /// The column of that name, perhaps qualified.
    pub fn resolve(&self, idents: &[ast::Ident]) -> Result<&ScopeColumn> {
        let (name, qualifier) = match idents {
            [name] => (name, None),
            [qualifier, name] => (name, Some(qualifier)),
            _ => {
                let text: Vec<&str> = idents.iter().map(|ident| ident.value.as_str()).collect();
                let error = Error::query(format!("`{}` is no column", text.join(".")));
                return Err(idents.first().map_or(error.clone(), |ident| at(error, ident)));
            }
        };
        if let Some(qualifier) = qualifier {
            self.check_qualifier(qualifier)?;
        }
        let table = qualifier.map(|qualifier| qualifier.value.as_str());
        let is_there = |column: &&ScopeColumn| table.is_none() || column.table.as_deref() == table;
        let mut found = self.visible().filter(is_there).filter(|column| column.known_name() == name.value);
        match (found.next(), found.next()) {
            (Some(_), Some(duplicate)) => Err(at(duplicate.ambiguous(), name)),
            (Some(only), None) => Ok(only),
            (None, _) => Err(self.unknown(name)),
        }
    }

    /// Gives all columns that a query can name to one table, or to none.
    pub fn set_table(&mut self, table: Option<&str>) {
        self.columns.iter_mut().for_each(|column| column.table = table.map(str::to_owned));
    }

    /// The column that a path begins with, and the fields inside of it that the rest names. A field of a row can be named
    /// without the row, as in Flink, where no column has its name.
    pub fn resolve_path<'i>(&self, idents: &'i [ast::Ident]) -> Result<(&ScopeColumn, &'i [ast::Ident])> {
        let qualified = match idents {
            [qualifier, _, ..] => self.check_qualifier(qualifier).is_ok(),
            _ => false,
        };
        if qualified && let Ok(column) = self.resolve(&idents[..2]) {
            return Ok((column, &idents[2..]));
        }
        let names = &idents[usize::from(qualified)..];
        let Some(first) = names.first() else { return Err(Error::bug("a path without names")) };
        let error = match self.resolve(std::slice::from_ref(first)) {
            Ok(column) if !qualified => return Ok((column, &names[1..])),
            Ok(_) => Error::bug("a column is there and not"),
            Err(error) => error,
        };
        let has_field = |column: &&ScopeColumn| match &column.data_type {
            DataType::Struct(fields) => fields.iter().any(|field| *field.name() == first.value),
            _ => false,
        };
        let mut with_field = self.visible().filter(has_field);
        match (with_field.next(), with_field.next()) {
            (Some(column), None) => Ok((column, names)),
            // What stands before the first point is no table and no column.
            (None, _) if !qualified && names.len() > 1 => self.check_qualifier(first).and(Err(error)),
            _ => Err(error),
        }
    }

    /// The columns that `SELECT *` means, or `SELECT table.*`, if in its table each of them has a name of its own.
    pub fn all(&self, table: Option<&ast::Ident>) -> Result<Vec<&ScopeColumn>> {
        let is_there = |column: &&ScopeColumn| table.is_none_or(|table| column.table.as_ref() == Some(&table.value));
        let columns: Vec<&ScopeColumn> = self.visible().filter(is_there).collect();
        let is_twice = |column: &ScopeColumn| {
            let same =
                |other: &&&ScopeColumn| (other.known_name(), &other.table) == (column.known_name(), &column.table);
            column.duplicate_of.is_some() && columns.iter().filter(same).count() > 1
        };
        match columns.iter().find(|column| is_twice(column)) {
            Some(duplicate) => Err(duplicate.ambiguous()),
            None => Ok(columns),
        }
    }

    /// Whether a path in front of `.*` is the name of what is read here.
    pub fn is_table(&self, path: &[ast::Ident]) -> bool {
        matches!(path, [table] if self.check_qualifier(table).is_ok() || self.resolve_path(path).is_err())
    }

    /// Refuses a qualifier that is not the name of what is read here.
    pub fn check_qualifier(&self, qualifier: &ast::Ident) -> Result<()> {
        let mut known: Vec<&str> = self.columns.iter().filter_map(|column| column.table.as_deref()).collect();
        if known.contains(&qualifier.value.as_str()) {
            return Ok(());
        }
        known.dedup();
        let error = at(Error::query(format!("Table '{}' not found", qualifier.value)), qualifier);
        Err(match known.as_slice() {
            [] => error,
            [only] => error.with_help(format!("the table here is `{only}`")),
            several => error.with_help(format!("the tables here are {}", several.join(", "))),
        })
    }

    fn unknown(&self, name: &ast::Ident) -> Error {
        let error = at(Error::query(format!("Column '{}' not found in any table", name.value)), name);
        let names: Vec<&str> = self.visible().map(|column| column.name.as_str()).collect();
        match nearest(&name.value, names.iter().copied()) {
            Some(meant) => error.with_help(format!("did you mean `{meant}`?")),
            None if names.is_empty() => error,
            None => error.with_help(format!("there are {}", names.join(", "))),
        }
    }
}

/// Adds the place of a name to an error.
fn at(error: Error, name: &ast::Ident) -> Error {
    match crate::sql::script_span(name.span) {
        Some(span) => error.with_span(span),
        None => error,
    }
}
