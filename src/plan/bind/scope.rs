//! The columns that an expression may name, with what is known of each: type, time attribute, window bound.

use arrow::datatypes::DataType;
use sqlparser::ast;

use crate::error::{Error, Result};
use crate::expressions::instant_type;
use crate::options::nearest;
use crate::stream::{PROCTIME_COLUMN, WATERMARK_COLUMN};

/// The columns in reach, in order.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The name by which columns may be qualified: the table's, or its alias.
    pub qualifier: Option<String>,
    pub columns: Vec<ScopeColumn>,
}

/// One column.
#[derive(Debug, Clone, PartialEq)]
pub struct ScopeColumn {
    /// Unique within the scope; the name of the plan's field too.
    pub name: String,
    pub data_type: DataType,
    pub nullable: bool,
    /// Whether it is an event-time attribute: windows may be put on it.
    pub is_rowtime: bool,
    /// Whether it is a processing-time attribute: windows may be put on it, too.
    pub is_proctime: bool,
    /// Whether it is a bound of the window that a window table function assigned.
    pub window: Option<WindowColumn>,
    /// The name that it shares with an earlier column; it can be named by neither.
    pub duplicate_of: Option<String>,
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
            is_rowtime: false,
            is_proctime: false,
            window: None,
            duplicate_of: None,
        }
    }

    /// The hidden column of the time at which a row was read.
    pub fn proctime() -> Self {
        Self { is_proctime: true, ..Self::new(PROCTIME_COLUMN, instant_type(), false) }
    }

    fn ambiguous(&self) -> Error {
        let name = self.duplicate_of.as_ref().unwrap_or(&self.name);
        Error::query(format!("Column '{name}' is ambiguous"))
            .with_help("give each of the columns a name of its own with AS")
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
        if let Some(duplicate) = self.visible().find(|column| column.duplicate_of.as_ref() == Some(&name.value)) {
            return Err(at(duplicate.ambiguous(), name));
        }
        let found = self.visible().find(|column| column.name == name.value && column.duplicate_of.is_none());
        found.ok_or_else(|| self.unknown(name))
    }

    /// The columns that `SELECT *` means, if each of them has a name of its own.
    pub fn all(&self) -> Result<Vec<&ScopeColumn>> {
        match self.visible().find(|column| column.duplicate_of.is_some()) {
            Some(duplicate) => Err(duplicate.ambiguous()),
            None => Ok(self.visible().collect()),
        }
    }

    /// Refuses a qualifier that is not the name of what is read here.
    pub fn check_qualifier(&self, qualifier: &ast::Ident) -> Result<()> {
        if self.qualifier.as_deref() == Some(qualifier.value.as_str()) {
            return Ok(());
        }
        let error = at(Error::query(format!("Table '{}' not found", qualifier.value)), qualifier);
        Err(match &self.qualifier {
            Some(known) => error.with_help(format!("the table here is `{known}`")),
            None => error,
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
