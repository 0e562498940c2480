//! What GROUP BY leaves to be named: its keys, and the aggregate functions that the query calls.

use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::AggregateFunction as AggregateExpr;

use super::conversion::cast;
use super::group_window::GroupedBy;
use super::scope::{Scope, ScopeColumn};
use super::typed::Typed;
use crate::error::{Error, Result};
use crate::expressions::{AggregateFunction, NotBuilt, aggregate, is_alike, is_random, not_built, text};

/// The keys and calls of one aggregation, collected while its outputs are bound.
#[derive(Debug, Default)]
pub struct Aggregation {
    /// The window that is a key, as in `GROUP BY TUMBLE(ts, size)`.
    pub window: Option<GroupedBy>,
    keys: Vec<Key>,
    /// Which keys each grouping set has, by index; none where all rows are grouped by all keys.
    sets: Option<Vec<Vec<usize>>>,
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

/// What a call reads.
#[derive(Debug, Default)]
pub struct Arguments {
    /// `COUNT(*)` has none.
    pub argument: Option<Typed>,
    /// What is the same for all rows, as [`Constant`](crate::expressions::Constant) reads it.
    pub constant: Option<Expr>,
    /// How often the argument counts: a BIGINT.
    pub weight: Option<Typed>,
}

impl Aggregation {
    /// No keys and no calls yet, but perhaps a window.
    pub fn by_window(window: Option<GroupedBy>) -> Self {
        Self { window, ..Self::default() }
    }

    /// Whether a function of that (upper-case) name aggregates.
    pub fn is_aggregate(name: &str) -> bool {
        matches!(name, "JSON_ARRAYAGG" | "JSON_OBJECTAGG")
            || AggregateFunction::named(name).is_some()
            || matches!(not_built(name), Some((NotBuilt::Aggregate, _)))
    }

    /// Adds a key; a key that is there already is not added again. As in Flink a draw that is written like a key is the key.
    pub fn add_key(&mut self, typed: Typed, scope: &Scope) {
        if self.key_index(&typed.expression).is_some() {
            return;
        }
        let plain = match &typed.expression {
            Expr::Column(column) => scope.columns.iter().find(|known| known.name == column.name),
            _ => None,
        };
        let column = match plain {
            // A grouped column is a value like any other, but for the bounds of a window, which stay what they are.
            Some(known) => {
                let is_rowtime = known.is_rowtime && known.window.is_some();
                ScopeColumn { is_rowtime, is_proctime: false, ..known.clone() }
            }
            None => ScopeColumn {
                declared: typed.declared.clone(),
                ..ScopeColumn::new(text(&typed.expression), typed.data_type.clone(), typed.nullable)
            },
        };
        self.keys.push(Key { expression: typed.expression, column });
    }

    /// Groups by sets of keys, and not by all. A key that some set leaves out may be NULL.
    pub fn set_grouping_sets(&mut self, sets: Vec<Vec<usize>>) {
        for (index, key) in self.keys.iter_mut().enumerate() {
            key.column.nullable |= sets.iter().any(|set| !set.contains(&index));
        }
        self.sets = Some(sets);
    }

    /// Which keys each grouping set has.
    pub fn grouping_sets(&self) -> Option<&[Vec<usize>]> {
        self.sets.as_deref()
    }

    /// The place of the key that an expression is.
    pub fn key_index(&self, expression: &Expr) -> Option<usize> {
        self.keys.iter().position(|key| is_alike(&key.expression, expression))
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
    pub fn key(&self, expression: &Expr) -> Option<Typed> {
        let key = &self.keys[self.key_index(expression)?];
        let column = Expr::Column(Column::new_unqualified(&key.column.name));
        let declared = key.column.declared.clone();
        Some(Typed { declared, ..Typed::new(column, key.column.data_type.clone(), key.column.nullable) })
    }

    /// Adds a call of an aggregate function over these arguments, over different values or all, and
    /// filter, or finds it again; returns the column that holds its result.
    pub fn call(
        &mut self,
        function: AggregateFunction,
        arguments: Arguments,
        distinct: bool,
        filter: Option<Typed>,
    ) -> Result<Typed> {
        let Arguments { argument, constant, weight } = arguments;
        let distinct = distinct && !function.ignores_duplicates();
        // The least and the greatest of truth values are found as numbers.
        let is_truth =
            function.is_extreme() && argument.as_ref().is_some_and(|argument| argument.data_type == DataType::Boolean);
        let argument = match argument {
            Some(argument) if is_truth => Some(cast(argument, &DataType::Int8)?),
            other => other,
        };
        let (udf, output) =
            aggregate(function, argument.as_ref().map(|argument| &argument.data_type)).map_err(|reason| {
                let error = Error::query(format!("{function}: {reason}"));
                match &argument {
                    Some(argument) if argument.data_type == DataType::Utf8 => {
                        let part = if constant.is_some() { ", 0.5" } else { "" };
                        error.with_help(format!("write {function}(CAST(… AS DOUBLE){part})"))
                    }
                    Some(_) if function == AggregateFunction::ListAgg => {
                        error.with_help("write LISTAGG(CAST(… AS STRING))")
                    }
                    _ => error,
                }
            })?;
        let is_one_of_them =
            function.is_extreme() || matches!(function, AggregateFunction::FirstValue | AggregateFunction::LastValue);
        let declared = argument.as_ref().filter(|_| is_one_of_them).and_then(|argument| argument.declared.clone());
        let argument = argument.map(|argument| self.argument(argument));
        let weight = weight.map(|weight| self.argument(weight));
        let arguments: Vec<Expr> = argument.into_iter().chain(constant).chain(weight).collect();
        let filter = filter.map(|filter| Box::new(self.argument(filter)));
        let expression =
            Expr::AggregateFunction(AggregateExpr::new_udf(udf, arguments, distinct, filter, Vec::new(), None));
        let nullable = function.is_nullable();
        let column =
            ScopeColumn { declared: declared.clone(), ..ScopeColumn::new(text(&expression), output.clone(), nullable) };
        if !self.calls.iter().any(|call| call.column.name == column.name) {
            self.calls.push(Aggregated { expression, column: column.clone() });
        }
        let value = Expr::Column(Column::new_unqualified(&column.name));
        let result = Typed { declared, ..Typed::new(value, output, nullable) };
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
        let name = match text(&typed.expression) {
            written if is_random(&typed.expression) => self.name_of_draw(&written, &typed.expression),
            written => written,
        };
        if !self.arguments.iter().any(|(known, _)| *known == name) {
            self.arguments.push((name.clone(), typed.expression));
        }
        Expr::Column(Column::new_unqualified(name))
    }

    /// Calls that draw are as different as their places, which are not in their text.
    fn name_of_draw(&self, written: &str, expression: &Expr) -> String {
        let is_other = |name: &String| {
            let arguments = self.arguments.iter().any(|(known, other)| known == name && other != expression);
            arguments || self.keys.iter().any(|key| key.column.name == *name && key.expression != *expression)
        };
        let mut name = written.to_owned();
        let mut number = 1;
        while is_other(&name) {
            number += 1;
            name = format!("{written} {number}");
        }
        name
    }
}
