//! CREATE TABLE and CREATE VIEW: from what was written to a checked entry.

use std::sync::Arc;

use super::check::{connector, option_errors};
use super::table::{Column, ColumnSource, Handle, Table, View, Watermark};
use super::{Catalog, Entry, own_name};
use crate::error::{Error, Result, Span};
use crate::options::{Options, nearest};
use crate::sql::{ColumnDefinition, ColumnKind, CreateTable, CreateView, ObjectName, SqlType};

/// What a CREATE did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    New,
    /// `IF NOT EXISTS`, and it did.
    Existed,
}

/// Gives computed columns their types: the planner's work, which this layer is handed.
pub type TypeOf<'a> = &'a dyn Fn(&sqlparser::ast::Expr, &[Column]) -> Result<(SqlType, bool)>;

impl Catalog {
    /// Adds a table. `settings` are the `beadline.*` settings that belong to it.
    pub fn create_table(&mut self, create: &CreateTable, settings: Options, type_of: TypeOf<'_>) -> Result<Created> {
        let Some(whole) = self.whole(create)? else { return Ok(Created::Existed) };
        let table = self.checked(&whole, settings, type_of)?;
        self.entries.insert(table.name.clone(), Entry::Table(Arc::new(table)));
        Ok(Created::New)
    }

    /// The declaration with what LIKE adds to it; none if the table exists and may.
    pub fn whole(&self, create: &CreateTable) -> Result<Option<CreateTable>> {
        if self.is_taken(&create.name, create.if_not_exists)? {
            return Ok(None);
        }
        Ok(Some(match &create.like {
            Some(like) => self.merged(create, like)?,
            None => create.clone(),
        }))
    }

    /// A table from a declaration with its WITH clause, all checked; not added yet.
    pub(super) fn checked(&self, create: &CreateTable, settings: Options, type_of: TypeOf<'_>) -> Result<Table> {
        if let Some(error) = with_clause_errors(create).into_iter().next() {
            return Err(error);
        }
        let options = Options::new(create.options.iter().cloned());
        let connector = connector(&options)?;
        self.declare(create, options, settings, Handle::Connector(connector), type_of)
    }

    /// A table from a declaration, with columns and watermark checked; not added yet.
    pub fn declare(
        &self,
        create: &CreateTable,
        options: Options,
        settings: Options,
        handle: Handle,
        type_of: TypeOf<'_>,
    ) -> Result<Table> {
        let columns = columns(create, type_of)?;
        for key in &create.primary_key {
            let known = columns.iter().find(|column| column.name == *key);
            let Some(known) = known else {
                return Err(Error::query(format!("the primary key names `{key}`, which is no column of the table"))
                    .with_span(create.name.span));
            };
            if !known.is_physical() {
                return Err(Error::query(format!("the primary key names `{key}`, which is not stored"))
                    .with_span(create.name.span));
            }
        }
        let watermark = watermark(create, &columns, type_of)?;
        Ok(Table {
            name: own_name(&create.name)?.to_owned(),
            is_temporary: create.temporary,
            columns,
            watermark,
            primary_key: create.primary_key.clone(),
            key_name: create.key_name.clone(),
            distribution: create.distribution.clone(),
            comment: create.comment.clone(),
            options,
            settings,
            handle,
        })
    }

    /// Adds a view; `check` plans its query, so that a mistake shows now.
    pub fn create_view(&mut self, create: &CreateView, check: impl FnOnce(&View) -> Result<()>) -> Result<Created> {
        if !create.or_replace && self.is_taken(&create.name, create.if_not_exists)? {
            return Ok(Created::Existed);
        }
        let view = View {
            name: own_name(&create.name)?.to_owned(),
            is_temporary: create.temporary,
            comment: create.comment.clone(),
            columns: create.columns.clone(),
            query: create.query.clone(),
            text: create.query_text.clone(),
        };
        check(&view).map_err(|error| error.with_span(create.name.span))?;
        if create.or_replace && matches!(self.entries.get(&view.name), Some(Entry::Table(_))) {
            return Err(Error::query(format!("`{}` is a table, which a view does not replace", view.name))
                .with_span(create.name.span)
                .with_help("choose another name, or DROP TABLE first"));
        }
        self.entries.insert(view.name.clone(), Entry::View(Arc::new(view)));
        Ok(Created::New)
    }

    pub(super) fn is_taken(&self, name: &ObjectName, if_not_exists: bool) -> Result<bool> {
        let table = own_name(name)?;
        match self.entries.get(table) {
            None => Ok(false),
            Some(_) if if_not_exists => Ok(true),
            Some(_) => Err(Error::query(format!("a table or view named `{table}` exists already"))
                .with_span(name.span)
                .with_help("write CREATE … IF NOT EXISTS, or DROP it first")),
        }
    }
}

/// All that is wrong with the clauses behind the columns.
pub fn with_clause_errors(create: &CreateTable) -> Vec<Error> {
    let options = Options::new(create.options.iter().cloned());
    let mut errors = match connector(&options) {
        Ok(connector) => option_errors(connector, &options, create.name.table()),
        Err(error) => vec![error],
    };
    errors = errors.into_iter().map(|error| error.with_span(create.options_span)).collect();
    if !create.partitioned_by.is_empty() {
        errors.push(
            Error::query("PARTITIONED BY is not built yet")
                .with_span(create.name.span)
                .with_help("leave it out; the part files then lie in one directory"),
        );
    }
    errors
}

/// Makes plain columns of metadata columns, so that the rest of the table can be checked; the errors about them.
pub fn replace_metadata(create: &mut CreateTable) -> Vec<Error> {
    let mut errors = Vec::new();
    for column in &mut create.columns {
        if let ColumnKind::Metadata { data_type, .. } = &column.kind {
            errors.push(no_metadata(column.span));
            column.kind = ColumnKind::Physical { data_type: data_type.clone(), not_null: false };
        }
    }
    errors
}

/// Leaves out the computed column or the watermark that an error is about, so that the rest of the table can be checked;
/// false if it is about neither.
pub fn leave_out(create: &mut CreateTable, place: Option<Span>) -> bool {
    let Some(place) = place else { return false };
    let holds = |span: Span| span.start <= place.start && place.end <= span.end;
    if create.watermark.as_ref().is_some_and(|watermark| holds(watermark.span)) {
        create.watermark = None;
        return true;
    }
    let before = create.columns.len();
    let is_wrong = |column: &ColumnDefinition| matches!(column.kind, ColumnKind::Computed(_)) && holds(column.span);
    create.columns.retain(|column| !is_wrong(column));
    create.columns.len() < before
}

fn no_metadata(span: Span) -> Error {
    Error::query("metadata columns are not built yet").with_span(span).with_help("leave the column out")
}

fn columns(create: &CreateTable, type_of: TypeOf<'_>) -> Result<Vec<Column>> {
    let mut columns: Vec<Column> = Vec::new();
    let in_key = |name: &str| create.primary_key.iter().any(|key| key == name);
    for definition in &create.columns {
        let duplicate = columns.iter().any(|column| column.name == definition.name);
        if duplicate {
            return Err(Error::query(format!("there are two columns `{}`", definition.name)).with_span(definition.span));
        }
        let (data_type, nullable, source) = match &definition.kind {
            ColumnKind::Physical { data_type, not_null } => {
                (data_type.clone(), !not_null && !in_key(&definition.name), ColumnSource::Physical)
            }
            // Computed columns come when all physical ones are known: they may stand before what they use.
            ColumnKind::Computed(expression) => {
                let text = expression.to_string();
                (SqlType::Boolean, true, ColumnSource::Computed { expression: expression.clone(), text })
            }
            ColumnKind::Metadata { .. } => {
                return Err(no_metadata(definition.span));
            }
        };
        columns.push(Column {
            name: definition.name.clone(),
            data_type,
            nullable,
            source,
            comment: definition.comment.clone(),
        });
    }
    let physical: Vec<Column> = columns.iter().filter(|column| column.is_physical()).cloned().collect();
    for (column, definition) in columns.iter_mut().zip(&create.columns) {
        if let ColumnSource::Computed { expression, .. } = &column.source {
            let typed = type_of(expression, &physical).map_err(|error| error.with_span(definition.span))?;
            (column.data_type, column.nullable) = typed;
        }
    }
    Ok(columns)
}

fn watermark(create: &CreateTable, columns: &[Column], type_of: TypeOf<'_>) -> Result<Option<Watermark>> {
    let Some(definition) = &create.watermark else { return Ok(None) };
    let Some(rowtime) = columns.iter().find(|column| column.name == definition.rowtime) else {
        let error = Error::query(format!("the rowtime `{}` is no column of the table", definition.rowtime));
        let error = error.with_span(definition.span);
        return Err(match nearest(&definition.rowtime, columns.iter().map(|column| column.name.as_str())) {
            Some(meant) => error.with_help(format!("did you mean `{meant}`?")),
            None => error,
        });
    };
    if rowtime.is_proctime() {
        return Err(Error::query("A watermark can not be defined for a processing-time attribute.")
            .with_span(definition.span)
            .with_help("leave WATERMARK out: windows over it are closed by the clock"));
    }
    match rowtime.data_type {
        SqlType::Timestamp(0..=3) | SqlType::TimestampLtz(0..=3) => {}
        ref other => {
            return Err(Error::query(format!(
                "Invalid data type of time field for watermark definition. The field must be of type TIMESTAMP(p) or \
                 TIMESTAMP_LTZ(p), the supported precision 'p' is from 0 to 3, but the time field `{}` is {other}.",
                rowtime.name
            ))
            .with_span(definition.span)
            .with_help("declare it as TIMESTAMP(3); a TIMESTAMP without a number has precision 6"));
        }
    }
    let (data_type, _) = type_of(&definition.expression, columns).map_err(|error| match definition.is_inherited {
        true => error.moved_to(definition.span),
        false => error.with_span(definition.span),
    })?;
    if !matches!(data_type, SqlType::Timestamp(_) | SqlType::TimestampLtz(_)) {
        return Err(Error::query(format!(
            "the watermark must be a TIMESTAMP, but `{}` is {data_type}",
            definition.expression
        ))
        .with_span(definition.span)
        .with_help(format!("for example: WATERMARK FOR {0} AS {0} - INTERVAL '5' SECOND", rowtime.name)));
    }
    let text = definition.expression.to_string();
    Ok(Some(Watermark { rowtime: rowtime.name.clone(), expression: definition.expression.clone(), text }))
}
