//! A table and a view as declared and checked.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use sqlparser::ast;

use super::check::{check_options, connector};
use crate::connectors::{Connector, SinkFactory, SourceFactory, TableContext};
use crate::error::{Error, Result, Span};
use crate::options::Options;
use crate::sql::{ColumnDefinition, ColumnKind, CreateTable, Distribution, ObjectName, SqlType, WatermarkDefinition};

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    pub is_temporary: bool,
    /// In the order of the declaration.
    pub columns: Vec<Column>,
    pub watermark: Option<Watermark>,
    /// Names of the primary key's columns.
    pub primary_key: Vec<String>,
    /// What CONSTRAINT calls the primary key, if it does.
    pub key_name: Option<String>,
    /// Shown, and of no effect.
    pub distribution: Option<Distribution>,
    pub comment: Option<String>,
    /// The WITH clause.
    pub options: Options,
    /// The `beadline.*` settings in force when it was created.
    pub settings: Options,
    pub handle: Handle,
}

/// How a table's rows are reached.
#[derive(Debug, Clone)]
pub enum Handle {
    /// Through the connector that its options name.
    Connector(&'static dyn Connector),
    /// Through what an embedding program has handed over.
    Given { source: Option<Arc<dyn SourceFactory>>, sink: Option<Arc<dyn SinkFactory>> },
}

#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub data_type: SqlType,
    pub nullable: bool,
    pub source: ColumnSource,
    pub comment: Option<String>,
}

#[derive(Debug, Clone)]
pub enum ColumnSource {
    Physical,
    /// Computed from the columns of the same row; `text` as written.
    Computed {
        expression: Box<ast::Expr>,
        text: String,
    },
}

#[derive(Debug, Clone)]
pub struct Watermark {
    pub rowtime: String,
    pub expression: Box<ast::Expr>,
    pub text: String,
}

/// A view: a query under a name.
#[derive(Debug, Clone)]
pub struct View {
    pub name: String,
    pub is_temporary: bool,
    pub comment: Option<String>,
    /// Names of its columns, empty for those of the query.
    pub columns: Vec<String>,
    pub query: Box<ast::Query>,
    pub text: String,
}

impl Table {
    /// The physical columns: what the connector and its format see.
    pub fn physical_schema(&self) -> SchemaRef {
        let fields = self.columns.iter().filter(|column| column.is_physical());
        Arc::new(Schema::new(fields.map(Column::field).collect::<Vec<_>>()))
    }

    /// The columns that an INSERT fills: those that are stored.
    pub fn stored(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.is_physical())
    }

    /// What a checkpoint of a job that reads or writes the table belongs to: options and stored columns.
    pub fn signature(&self) -> String {
        let options = self.options.iter().map(|(key, value)| format!("'{key}'='{value}'"));
        let columns = self.stored().map(|column| format!("{} {}", column.name, column.data_type));
        format!("{} WITH ({})", columns.collect::<Vec<_>>().join(", "), options.collect::<Vec<_>>().join(", "))
    }

    /// How it is read.
    pub fn source(&self) -> Result<Arc<dyn SourceFactory>> {
        match &self.handle {
            Handle::Connector(connector) => connector.source(&self.context()),
            Handle::Given { source: Some(source), .. } => Ok(Arc::clone(source)),
            Handle::Given { .. } => Err(Error::query(format!("table `{}` cannot be read", self.name))),
        }
    }

    /// How it is written.
    pub fn sink(&self) -> Result<Arc<dyn SinkFactory>> {
        match &self.handle {
            Handle::Connector(connector) => connector.sink(&self.context()),
            Handle::Given { sink: Some(sink), .. } => Ok(Arc::clone(sink)),
            Handle::Given { .. } => Err(Error::query(format!("table `{}` cannot be written", self.name))),
        }
    }

    /// The same table with other values of some options, as a hint gives them; checked as in its CREATE TABLE.
    pub fn with_options(&self, options: Vec<(String, String)>) -> Result<Self> {
        if let Handle::Given { .. } = self.handle {
            return Err(Error::query(format!("`{}` is a table of the program itself and takes no options", self.name)));
        }
        let declared = self.options.iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        let options = Options::new(declared.chain(options));
        let connector = connector(&options)?;
        check_options(connector, &options, &self.name)?;
        Ok(Self { options, handle: Handle::Connector(connector), ..self.clone() })
    }

    /// The statement that declares the same table, as if each part of it stood at `span`.
    pub(super) fn definition(&self, span: Span) -> CreateTable {
        let column = |column: &Column| ColumnDefinition {
            name: column.name.clone(),
            kind: match &column.source {
                ColumnSource::Physical => {
                    ColumnKind::Physical { data_type: column.data_type.clone(), not_null: !column.nullable }
                }
                ColumnSource::Computed { expression, .. } => ColumnKind::Computed(expression.clone()),
            },
            comment: column.comment.clone(),
            span,
        };
        CreateTable {
            name: ObjectName { parts: vec![self.name.clone()], span },
            temporary: self.is_temporary,
            if_not_exists: false,
            or_replace: false,
            columns: self.columns.iter().map(column).collect(),
            watermark: self.watermark.as_ref().map(|watermark| WatermarkDefinition {
                rowtime: watermark.rowtime.clone(),
                expression: watermark.expression.clone(),
                span,
                is_inherited: true,
            }),
            primary_key: self.primary_key.clone(),
            key_name: self.key_name.clone(),
            distribution: self.distribution.clone(),
            partitioned_by: Vec::new(),
            comment: self.comment.clone(),
            options: self.options.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            options_span: span,
            like: None,
        }
    }

    /// The name of the primary key: the one that it was given, or Flink's.
    pub(super) fn constraint_name(&self) -> String {
        self.key_name.clone().unwrap_or_else(|| format!("PK_{}", self.primary_key.join("_")))
    }

    fn context(&self) -> TableContext {
        TableContext {
            name: self.name.clone(),
            schema: self.physical_schema(),
            options: self.options.clone(),
            settings: self.settings.clone(),
        }
    }
}

impl Column {
    pub fn is_physical(&self) -> bool {
        matches!(self.source, ColumnSource::Physical)
    }

    /// Whether it is `PROCTIME()`: the time at which a row is read.
    pub fn is_proctime(&self) -> bool {
        match &self.source {
            ColumnSource::Computed { expression, .. } => match expression.as_ref() {
                ast::Expr::Function(function) => function.name.to_string().eq_ignore_ascii_case("PROCTIME"),
                _ => false,
            },
            ColumnSource::Physical => false,
        }
    }

    /// Its name and Arrow type.
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.data_type.arrow(), self.nullable)
    }
}
