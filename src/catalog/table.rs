//! A table and a view as declared and checked.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use sqlparser::ast;

use crate::connectors::{Connector, SinkFactory, SourceFactory, TableContext};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::sql::SqlType;

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    /// In the order of the declaration.
    pub columns: Vec<Column>,
    pub watermark: Option<Watermark>,
    /// Names of the primary key's columns.
    pub primary_key: Vec<String>,
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

    /// Its name and Arrow type.
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.data_type.arrow(), self.nullable)
    }
}
