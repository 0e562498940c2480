//! What GROUP BY leaves to be named: its keys, and the aggregate functions that the query calls.

use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::AggregateFunction;
use sqlparser::ast;

use super::conversion::cast;
use super::expression::{Binder, Typed};
use super::scope::{Scope, ScopeColumn};
use crate::error::{Error, Result};
use crate::expressions::{AGGREGATE_FUNCTIONS, aggregate, text};

/// The keys and calls of one aggregation, collected while its outputs are bound.
#[derive(Debug, Default)]
pub struct Aggregation {
    keys: Vec<Key>,
    calls: Vec<Aggregated>,
    /// Columns that the calls read, computed before the aggregation, each under its text as a name.
    arguments: Vec<(String, Expr)>,
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Over the input.
    pub expression: Expr,
    /// The column of the result.
    pub column: ScopeColumn,
}

/// One call.
#[derive(Debug)]
pub struct Aggregated {
    /// Over keys and arguments by name.
    pub expression: Expr,
    /// The column of the result: the call's text.
    pub column: ScopeColumn,
}

impl Aggregation {
    /// Whether a function of that (upper-case) name aggregates.
    pub fn is_aggregate(name: &str) -> bool {
        AGGREGATE_FUNCTIONS.iter().any(|(known, _)| *known == name)
            || matches!(
                name,
                "LISTAGG"
                    | "FIRST_VALUE"
                    | "LAST_VALUE"
                    | "ARRAY_AGG"
                    | "COLLECT"
                    | "STDDEV_POP"
                    | "STDDEV_SAMP"
                    | "STDDEV"
                    | "VAR_POP"
                    | "VAR_SAMP"
                    | "VARIANCE"
            )
    }

    /// Adds a key; a key that is there already is not added again.
    pub fn add_key(&mut self, typed: Typed, scope: &Scope) {
        if self.keys.iter().any(|key| key.expression == typed.expression) {
            return;
        }
        let plain = match &typed.expression {
            Expr::Column(column) => scope.columns.iter().find(|known| known.name == column.name),
            _ => None,
        };
        let column = match plain {
            // A grouped column is a value like any other, but for the bounds of a window, which stay what they are.
            Some(known) => ScopeColumn { is_rowtime: known.is_rowtime && known.window.is_some(), ..known.clone() },
            None => ScopeColumn::new(text(&typed.expression), typed.data_type.clone(), typed.nullable),
        };
        self.keys.push(Key { expression: typed.expression, column });
    }

    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    pub fn calls(&self) -> &[Aggregated] {
        &self.calls
    }

    /// Columns that the calls read.
    pub fn arguments(&self) -> &[(String, Expr)] {
        &self.arguments
    }

    /// The key that an expression is, if it is one.
    pub fn key(&self, expression: &ast::Expr, scope: &Scope) -> Option<Typed> {
        let bound = Binder::new(scope).bind(expression).ok()?;
        let key = self.keys.iter().find(|key| key.expression == bound.expression)?;
        let column = Expr::Column(Column::new_unqualified(&key.column.name));
        Some(Typed::new(column, key.column.data_type.clone(), key.column.nullable))
    }

    /// Adds a call, or finds it again; returns the column that holds its result.
    pub fn call(&mut self, name: &str, function: &ast::Function, scope: &Scope) -> Result<Typed> {
        let known = AGGREGATE_FUNCTIONS.iter().find(|(known, _)| *known == name);
        let Some((name, doc)) = known else {
            return Err(Error::query(format!("the aggregate function {name} is not built yet"))
                .with_help("there are COUNT, SUM, AVG, MIN and MAX"));
        };
        let ast::FunctionArguments::List(list) = &function.args else {
            return Err(Error::query(format!("{name} takes an argument")).with_help(*doc));
        };
        if matches!(list.duplicate_treatment, Some(ast::DuplicateTreatment::Distinct)) {
            return Err(Error::query(format!("{name}(DISTINCT …) is not built yet"))
                .with_help("group by the value first: SELECT COUNT(*) FROM (SELECT DISTINCT …)"));
        }
        if !list.clauses.is_empty() || function.null_treatment.is_some() || !function.within_group.is_empty() {
            return Err(Error::query(format!("{name} does not take an order or a treatment of NULLs")));
        }
        let argument = match list.args.as_slice() {
            [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard)] if *name == "COUNT" => None,
            [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(argument))] => {
                Some(Binder::new(scope).bind(argument)?)
            }
            _ => return Err(Error::query(format!("{name} takes one argument")).with_help(*doc)),
        };
        // The least and the greatest of truth values are found as numbers.
        let is_truth = matches!(*name, "MIN" | "MAX")
            && argument.as_ref().is_some_and(|argument| argument.data_type == DataType::Boolean);
        let argument = match argument {
            Some(argument) if is_truth => Some(cast(argument, &DataType::Int8)?),
            other => other,
        };
        let (udf, output) = aggregate(name, argument.as_ref().map(|argument| &argument.data_type))
            .map_err(|reason| Error::query(format!("{name}: {reason}")))?;
        let filter = match &function.filter {
            Some(filter) => Some(Binder::new(scope).bind_condition(filter)?),
            None => None,
        };
        let arguments: Vec<Expr> = argument.into_iter().map(|argument| self.argument(argument)).collect();
        let filter = filter.map(|filter| Box::new(self.argument(filter)));
        let expression =
            Expr::AggregateFunction(AggregateFunction::new_udf(udf, arguments, false, filter, Vec::new(), None));
        let nullable = *name != "COUNT";
        let column = ScopeColumn::new(text(&expression), output.clone(), nullable);
        if !self.calls.iter().any(|call| call.column.name == column.name) {
            self.calls.push(Aggregated { expression, column: column.clone() });
        }
        let result = Typed::new(Expr::Column(Column::new_unqualified(&column.name)), output, nullable);
        if is_truth { cast(result, &DataType::Boolean) } else { Ok(result) }
    }

    /// A column that is not a key.
    pub fn not_grouped(&self, name: &str) -> Error {
        let keys: Vec<&str> = self.keys.iter().map(|key| key.column.name.as_str()).collect();
        Error::query(format!("Expression '{name}' is not being grouped")).with_help(if keys.is_empty() {
            "name it in GROUP BY, or put it into an aggregate function such as MAX".to_owned()
        } else {
            format!("add it to GROUP BY {}, or put it into an aggregate function such as MAX", keys.join(", "))
        })
    }

    /// The column that holds an argument, computed once for all calls that read it.
    fn argument(&mut self, typed: Typed) -> Expr {
        debug_assert!(typed.data_type != DataType::Null || typed.nullable);
        let name = text(&typed.expression);
        if !self.arguments.iter().any(|(known, _)| *known == name) {
            self.arguments.push((name.clone(), typed.expression));
        }
        Expr::Column(Column::new_unqualified(name))
    }
}
