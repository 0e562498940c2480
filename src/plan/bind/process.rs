//! The call of a process function: its input, its key, the columns that it says.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use sqlparser::ast::Expr as Expression;

use super::at;
use super::expression::Binder;
use super::query::QueryBinder;
use super::relation::{BoundQuery, aliased, only_visible};
use super::scope::{Scope, ScopeColumn};
use crate::error::{Error, Result};
use crate::expressions::{has_map, type_name};
use crate::operators::process::ProcessFactory;
use crate::plan::process::{ProcessNode, Processing, ROWTIME_COLUMN};
use crate::sql::ProcessCall;
use crate::stream::WATERMARK_COLUMN;

impl QueryBinder<'_> {
    pub(super) fn process(&mut self, function: ProcessFactory, call: ProcessCall) -> Result<BoundQuery> {
        // Columns that stay hidden stand last.
        let input = only_visible(self.table_argument(&call.input)?)?;
        let scope = &input.scope;
        let mut keys: Vec<ScopeColumn> = Vec::new();
        for key in &call.partition_by {
            let Some(column) = scope.visible().find(|column| column.known_name() == key.value) else {
                let names: Vec<&str> = scope.visible().map(ScopeColumn::known_name).collect();
                let error = Error::query(format!(
                    "Invalid column '{}' for PARTITION BY clause. Available columns are: [{}]",
                    key.value,
                    names.join(", ")
                ));
                return Err(at(error, &Expression::Identifier(key.clone())));
            };
            let written = Expression::Identifier(key.clone());
            Binder::new(scope).bind(&written)?;
            if has_map(&column.data_type) {
                return Err(at(Error::query("PARTITION BY a MAP is not built yet"), &written)
                    .with_help("make the key a column of its entries, in a view or a query before"));
            }
            keys.push(ScopeColumn { is_rowtime: false, is_proctime: false, window: None, ..column.clone() });
        }
        let time =
            call.on_time.as_ref().map(|(name, span)| on_time(name, scope).map_err(|error| error.with_span(*span)));
        let time = time.transpose()?;

        let shown: Vec<Field> = scope.visible().map(field).collect();
        let indices: Vec<usize> =
            keys.iter().filter_map(|key| shown.iter().position(|field| *field.name() == key.name)).collect();
        let opened = function
            .open(&Schema::new(shown), &indices)
            .map_err(|error| error.context(format!("process function {}", function.name)))?;
        let late_columns = || {
            let is_there = |name: &&String| scope.visible().any(|column| column.name == **name);
            self.late_columns.iter().filter(is_there).cloned().collect()
        };
        let late_columns = (opened.refuses_late && time.is_some()).then(late_columns);
        let mut columns = keys.clone();
        for own in opened.columns {
            if !has_a_type_of_sql(own.data_type()) {
                return Err(Error::query(format!(
                    "process function {} gives `{}` as {}, which is no type of SQL",
                    function.name,
                    own.name(),
                    own.data_type()
                )));
            }
            let name = free_name(own.name(), &columns);
            columns.push(ScopeColumn::new(name, own.data_type().clone(), true));
        }
        if let Some(time) = &time {
            let name = free_name(ROWTIME_COLUMN, &columns);
            columns.push(ScopeColumn { is_rowtime: true, ..ScopeColumn::new(name, time.data_type.clone(), false) });
        }
        let own = Processing {
            function,
            keys: keys.iter().map(|key| key.name.clone()).collect(),
            on_time: time.as_ref().map(|time| time.name.clone()),
            uid: call.uid,
            late_columns,
            has_watermark: scope.has_watermark(),
            columns: columns.iter().map(field).collect(),
            span: call.span,
        };
        if time.is_some() {
            columns.push(ScopeColumn::new(WATERMARK_COLUMN, DataType::Int64, true));
        }
        columns.iter_mut().for_each(|column| column.table = None);
        let plan = ProcessNode::over(input.plan, own)?;
        aliased(BoundQuery { plan, scope: Scope { columns } }, call.alias.as_ref())
    }
}

fn field(column: &ScopeColumn) -> Field {
    Field::new(&column.name, column.data_type.clone(), column.nullable)
}

/// The time attribute that `on_time` names.
fn on_time(name: &str, scope: &Scope) -> Result<ScopeColumn> {
    let Some(column) = scope.visible().find(|column| column.known_name() == name) else {
        return Err(Error::query(format!(
            "Invalid time attribute declaration. Each column in the `on_time` argument must reference at least one column \
             in one of the table arguments. Unknown references: [{name}]"
        )));
    };
    if !matches!(column.data_type, DataType::Timestamp(TimeUnit::Millisecond, _)) {
        return Err(Error::query(format!(
            "Unsupported data type for time attribute. The `on_time` argument must reference a TIMESTAMP or TIMESTAMP_LTZ \
             column (up to precision 3). However, column '{name}' in table argument 'input' has data type '{}'.",
            type_name(&column.data_type)
        )));
    }
    if !column.is_rowtime || !scope.has_watermark() {
        return Err(Error::query(format!(
            "Column '{name}' is not a valid time attribute. Only columns with a watermark declaration qualify for the \
             `on_time` argument. Also, make sure that the watermarked column is forwarded without any modification."
        )));
    }
    Ok(column.clone())
}

/// A name that no other column has: as in Flink that of the second `k` is `k0`.
fn free_name(name: &str, columns: &[ScopeColumn]) -> String {
    let is_free = |name: &String| columns.iter().all(|column| column.name != *name);
    let numbered = (0..).map(|number: usize| format!("{name}{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
}

fn has_a_type_of_sql(data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal128(..)
        | DataType::Utf8
        | DataType::Binary
        | DataType::Date32
        | DataType::Time32(TimeUnit::Millisecond)
        | DataType::Time64(_) => true,
        DataType::Timestamp(unit, zone) => {
            *unit != TimeUnit::Second && zone.as_ref().is_none_or(|zone| zone.as_ref() == "UTC")
        }
        DataType::List(element) => has_a_type_of_sql(element.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| has_a_type_of_sql(field.data_type())),
        _ => false,
    }
}
