//! The binder of FROM: tables one beside the other, of which all but the first are an UNNEST of what stands before them.

use datafusion::common::Column;
use datafusion::logical_expr::Expr;
use sqlparser::ast;

use super::expression::Binder;
use super::query::QueryBinder;
use super::relation::{BoundQuery, filter, project};
use super::scope::{Scope, ScopeColumn};
use super::typed::Typed;
use super::values::one_row;
use super::{at, not_built};
use crate::error::{Error, Result};
use crate::expressions::{Unnest, is_random, not_drawn, type_name, unnested};
use crate::plan::nodes::{WINDOW_COLUMNS, WindowNode, Windowing, Windows};
use crate::plan::unnest::{UNNEST_COLUMN, UnnestNode, Unnested};

/// How an UNNEST is joined.
enum Kind<'a> {
    /// What the condition lets through.
    Inner(Option<&'a ast::Expr>),
    /// The same, and of a row from which nothing comes the row itself.
    Left(&'a ast::Expr),
}

impl QueryBinder<'_> {
    /// What a SELECT reads.
    pub(super) fn from(&mut self, tables: &[ast::TableWithJoins]) -> Result<BoundQuery> {
        let Some((first, others)) = tables.split_first() else { return one_row() };
        let mut bound = match &first.relation {
            unnest @ ast::TableFactor::UNNEST { .. } => self.unnest(one_row()?, unnest, Kind::Inner(None))?,
            table => self.table_factor(table)?,
        };
        bound = self.joins(bound, &first.joins)?;
        for table in others {
            bound = match &table.relation {
                unnest @ ast::TableFactor::UNNEST { .. } => self.unnest(bound, unnest, Kind::Inner(None))?,
                other => return Err(at(not_built::joined("JOIN (a comma in FROM)", other), table)),
            };
            bound = self.joins(bound, &table.joins)?;
        }
        Ok(bound)
    }

    fn joins(&mut self, mut bound: BoundQuery, joins: &[ast::Join]) -> Result<BoundQuery> {
        use ast::{JoinConstraint as C, JoinOperator as J};
        for join in joins {
            if !matches!(join.relation, ast::TableFactor::UNNEST { .. }) {
                return Err(at(not_built::joined("JOIN", &join.relation), join));
            }
            let kind = match &join.join_operator {
                J::CrossJoin(C::None) => Kind::Inner(None),
                J::Join(C::On(condition)) | J::Inner(C::On(condition)) => Kind::Inner(Some(condition)),
                J::Left(C::On(condition)) | J::LeftOuter(C::On(condition)) => Kind::Left(condition),
                J::Join(_) | J::Inner(_) | J::Left(_) | J::LeftOuter(_) | J::CrossJoin(_) => {
                    return Err(at(
                        Error::query("a join with UNNEST has a condition behind ON, or is a CROSS JOIN"),
                        join,
                    )
                    .with_help("LEFT JOIN UNNEST(a) AS u(x) ON TRUE keeps rows that have nothing in a"));
                }
                _ => {
                    return Err(at(
                        Error::query("UNNEST is joined by CROSS JOIN, JOIN or LEFT JOIN, here as in Flink"),
                        join,
                    )
                    .with_help("LEFT JOIN UNNEST(a) AS u(x) ON TRUE keeps rows that have nothing in a"));
                }
            };
            bound = self.unnest(bound, &join.relation, kind).map_err(|error| at(error, join))?;
        }
        Ok(bound)
    }

    /// Rows beside what is in one of their values.
    fn unnest(&mut self, input: BoundQuery, factor: &ast::TableFactor, kind: Kind<'_>) -> Result<BoundQuery> {
        let ast::TableFactor::UNNEST { alias, array_exprs, with_offset, with_ordinality, .. } = factor else {
            return Err(Error::bug("a table is no UNNEST"));
        };
        let [value] = array_exprs.as_slice() else {
            return Err(at(Error::query("UNNEST takes one ARRAY, MAP or MULTISET"), factor));
        };
        if *with_offset {
            return Err(at(Error::query("WITH OFFSET is not Flink's SQL"), factor)
                .with_help("WITH ORDINALITY counts the elements from 1"));
        }
        let collection = Binder::new(&input.scope).bind(value)?;
        let Some(fields) = unnested(&collection.data_type) else {
            let found = type_name(&collection.data_type);
            return Err(at(
                Error::query(format!("Cannot apply 'UNNEST' to arguments of type 'UNNEST(<{found}>)'")),
                value,
            )
            .with_help("UNNEST takes an ARRAY, a MAP or a MULTISET"));
        };
        let is_outer = matches!(kind, Kind::Left(_));
        let unnest = Unnest { is_outer, with_ordinality: *with_ordinality, condition: None };
        let columns = unnest.columns(&collection.data_type).ok_or_else(|| Error::bug("elements of a plain value"))?;
        let mut own: Vec<ScopeColumn> = columns
            .iter()
            .map(|field| ScopeColumn::new(field.name(), field.data_type().clone(), field.is_nullable()))
            .collect();
        name(&mut own, alias.as_ref(), fields.len() == 1).map_err(|error| at(error, factor))?;
        let condition = match kind {
            Kind::Left(condition) if !is_true(condition) => {
                Some(element_condition(condition, &own, &fields, &input.scope)?)
            }
            _ => None,
        };
        let bound = match window_below(&input, &collection) {
            Some(window) => beside_window(&window.clone(), input.scope, collection, own, value, unnest, condition)?,
            None => beside(input, collection, own, value, unnest, condition)?,
        };
        match kind {
            Kind::Inner(Some(condition)) if !is_true(condition) => {
                let condition = Binder::new(&bound.scope).bind_condition(condition)?;
                filter(bound, condition)
            }
            _ => Ok(bound),
        }
    }
}

/// The names of the new columns: those of the alias; one element without a name is called as its table is.
fn name(columns: &mut [ScopeColumn], alias: Option<&ast::TableAlias>, is_plain: bool) -> Result<()> {
    let Some(alias) = alias else { return Ok(()) };
    let table = &alias.name.value;
    columns.iter_mut().for_each(|column| column.table = Some(table.clone()));
    if alias.columns.is_empty() {
        if let (true, [element, ..]) = (is_plain, &mut *columns) {
            element.name.clone_from(table);
        }
        return Ok(());
    }
    if alias.columns.len() != columns.len() {
        let (names, there) = (alias.columns.len(), columns.len());
        let known: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        return Err(Error::query(format!(
            "List of column aliases must have same degree as table; table has {there} columns ({}), whereas alias list \
             has {names} columns",
            known.join(", ")
        )));
    }
    for (column, name) in columns.iter_mut().zip(&alias.columns) {
        column.name.clone_from(&name.name.value);
    }
    Ok(())
}

fn is_true(condition: &ast::Expr) -> bool {
    matches!(condition, ast::Expr::Value(value) if value.value == ast::Value::Boolean(true))
}

/// A condition about elements alone, over their own columns.
fn element_condition(
    condition: &ast::Expr,
    columns: &[ScopeColumn],
    fields: &arrow::datatypes::Fields,
    input: &Scope,
) -> Result<Expr> {
    let scope = Scope { columns: columns[..fields.len()].to_vec() };
    let bound = Binder::new(&scope).bind_condition(condition).map_err(|error| {
        let mut all = input.clone();
        all.columns.extend(columns.iter().cloned());
        match Binder::new(&all).bind_condition(condition) {
            Ok(_) => at(
                Error::query("a condition of LEFT JOIN UNNEST about other columns than its elements is not built yet"),
                condition,
            )
            .with_help("what is asked of the row itself may stand in a CASE: UNNEST(CASE WHEN id < 5 THEN a END)"),
            Err(_) => error,
        }
    })?;
    if is_random(&bound.expression) {
        return Err(at(not_drawn(), condition));
    }
    // The kernel knows the elements under their own names.
    let own = |column: &Column| {
        let place = columns.iter().position(|known| known.name == column.name)?;
        Some(Expr::Column(Column::new_unqualified(fields.get(place)?.name())))
    };
    replaced(bound.expression, own)
}

fn replaced(expression: Expr, of: impl Fn(&Column) -> Option<Expr>) -> Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let replaced = expression.transform_up(|inner| {
        let found = match &inner {
            Expr::Column(column) => of(column),
            _ => None,
        };
        Ok(found.map_or_else(|| Transformed::no(inner), Transformed::yes))
    });
    Ok(replaced.map_err(super::bug)?.data)
}

/// The window function that the rows come from, if they may be unnested before they are put into its windows: what is
/// unnested does not depend on the window, and whether a row has elements changes no window.
fn window_below<'i>(input: &'i BoundQuery, collection: &Typed) -> Option<&'i WindowNode> {
    let window = WindowNode::of(&input.plan)?;
    let reads_window = collection.expression.column_refs().iter().any(|it| WINDOW_COLUMNS.contains(&it.name.as_str()));
    (matches!(window.window, Windows::Fixed(_)) && !reads_window).then_some(window)
}

/// The same as [`beside`] where the input is a window function's: it stays one, so that windows close.
fn beside_window(
    window: &WindowNode,
    scope: Scope,
    collection: Typed,
    own: Vec<ScopeColumn>,
    value: &ast::Expr,
    unnest: Unnest,
    condition: Option<Expr>,
) -> Result<BoundQuery> {
    let (bounds, below): (Vec<ScopeColumn>, Vec<ScopeColumn>) =
        scope.columns.into_iter().partition(|column| column.window.is_some());
    let kept = below.iter().filter(|column| column.is_visible()).count();
    let input = BoundQuery { plan: window.input.as_ref().clone(), scope: Scope { columns: below } };
    let mut own = own;
    free_names(&mut own, &bounds);
    let mut bound = beside(input, collection, own, value, unnest, condition)?;
    bound.plan = WindowNode::over(bound.plan, Windowing::clone(window))?;
    bound.scope.columns.extend(bounds.iter().cloned());
    // The bounds stand where they stood: behind the columns of the table.
    let mut columns: Vec<ScopeColumn> = bound.scope.visible().cloned().collect();
    let bounds = columns.split_off(columns.len() - bounds.len());
    columns.splice(kept..kept, bounds);
    let columns = columns.into_iter().map(|column| (itself(&column), column)).collect();
    project(bound, columns)
}

/// A column as it is.
fn itself(column: &ScopeColumn) -> Typed {
    let expression = Expr::Column(Column::new_unqualified(&column.name));
    Typed::new(expression, column.data_type.clone(), column.nullable)
}

/// Gives columns other names where those are taken.
fn free_names(columns: &mut [ScopeColumn], taken: &[ScopeColumn]) {
    let mut names: Vec<String> = taken.iter().map(|column| column.name.clone()).collect();
    for column in columns {
        let wanted = column.name.clone();
        let mut number = 0;
        while names.contains(&column.name) {
            column.name = format!("{wanted}{number}");
            number += 1;
        }
        if column.name != wanted {
            column.duplicate_of.get_or_insert(wanted);
        }
        names.push(column.name.clone());
    }
}

/// The node: the columns of the input, behind them those that come of the value.
fn beside(
    input: BoundQuery,
    collection: Typed,
    mut own: Vec<ScopeColumn>,
    value: &ast::Expr,
    unnest: Unnest,
    condition: Option<Expr>,
) -> Result<BoundQuery> {
    // Of a window a row has no bounds any more that close it.
    let kept: Vec<ScopeColumn> =
        input.scope.visible().map(|column| ScopeColumn { window: None, ..column.clone() }).collect();
    free_names(&mut own, &kept);
    let mut columns: Vec<(Typed, ScopeColumn)> = kept.iter().map(|column| (itself(column), column.clone())).collect();
    let hidden = ScopeColumn::new(UNNEST_COLUMN, collection.data_type.clone(), collection.nullable);
    columns.push((collection, hidden));
    let mut bound = project(input, columns)?;
    let hidden = bound.scope.columns.split_off(kept.len() + 1);
    let unnested = Unnested {
        text: value.to_string(),
        names: own.iter().map(|column| column.name.clone()).collect(),
        is_outer: unnest.is_outer,
        with_ordinality: unnest.with_ordinality,
        condition,
    };
    let plan = UnnestNode::over(bound.plan, unnested)?;
    Ok(BoundQuery { plan, scope: Scope { columns: [kept, own, hidden].concat() } })
}
