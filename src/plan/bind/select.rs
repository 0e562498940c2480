//! One SELECT: FROM, WHERE, GROUP BY, HAVING, the list, DISTINCT.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Column;
use datafusion::logical_expr::Expr;
use sqlparser::ast;

use super::aggregation::Aggregation;
use super::expression::Binder;
use super::group_window::{GroupedBy, bounds, settle, with_arrival};
use super::nested::nth_field;
use super::query::QueryBinder;
use super::relation::{BoundQuery, aggregate, distinct, filter, project};
use super::scope::{Scope, ScopeColumn, WindowColumn};
use super::typed::Typed;
use super::{at, not_built};
use crate::error::{Error, Result};
use crate::expressions::{FIRST_ROWS, type_name};
use crate::plan::state_ttl::state_ttl_node;
use crate::sql::{group_window, state_ttl};

/// Grouping sets of one GROUP BY: each row counts in as many groups.
const MOST_GROUPING_SETS: usize = 1_000;

/// A column of the SELECT list before it is bound.
enum Item<'a> {
    /// All visible columns, perhaps of the table of that name, or all fields of the row there.
    All(Vec<ast::Ident>, &'a ast::SelectItem),
    Expression {
        expression: &'a ast::Expr,
        alias: Option<&'a str>,
    },
}

/// For how long the groups of a SELECT are kept by its hint STATE_TTL; the last of several counts, as in Flink.
fn hinted_ttl(select: &ast::Select, scope: &Scope) -> Result<Option<i64>> {
    let mut ttl = None;
    for hint in state_ttl(select)? {
        let mut tables = scope.columns.iter().filter_map(|column| column.table.as_ref());
        if !tables.clone().any(|table| *table == hint.table) {
            let error = "The options of following hints cannot match the name of input tables or views";
            let error = at(Error::query(format!("{error}: `{}` in `STATE_TTL`", hint.table)), select);
            return Err(match tables.next() {
                Some(known) => error.with_help(format!("write the name that FROM gives: '{known}'")),
                None => error,
            });
        }
        ttl = Some(hint.ttl_ms);
    }
    Ok(ttl)
}

impl QueryBinder<'_> {
    /// Binds a SELECT.
    pub fn select(&mut self, select: &ast::Select) -> Result<BoundQuery> {
        refuse_clauses(select)?;
        let mut input = self.from(&select.from)?;
        let ttl_ms = hinted_ttl(select, &input.scope)?;
        let kept = |bound: BoundQuery| match ttl_ms {
            Some(ttl_ms) => Ok(BoundQuery { plan: state_ttl_node(bound.plan, ttl_ms)?, ..bound }),
            None => Ok(bound),
        };
        if let Some(condition) = &select.selection {
            let condition = Binder::new(&input.scope).bind_condition(condition)?;
            input = filter(input, condition)?;
        }
        let items: Vec<Item<'_>> = select.projection.iter().map(item).collect::<Result<_>>()?;
        let group_by = match &select.group_by {
            ast::GroupByExpr::Expressions(keys, modifiers) if modifiers.is_empty() => keys.as_slice(),
            _ => return Err(not_built::grouping_sets("GROUP BY with ALL, ROLLUP or CUBE")),
        };
        let (input, window) = self.group_window(input, group_by)?;
        let calls_aggregates = select.having.is_some() || items.iter().any(|item| item.calls_aggregate());
        let bound = if group_by.is_empty() && !calls_aggregates {
            let scope = input.scope.clone();
            project_items(input, &scope, &items, &mut Binder::new(&scope))?
        } else {
            kept(self.aggregated(input, window, &items, group_by, select.having.as_ref())?)?
        };
        match &select.distinct {
            None | Some(ast::Distinct::All) => Ok(bound),
            Some(ast::Distinct::Distinct) => distinct(bound).and_then(kept),
            Some(ast::Distinct::On(_)) => Err(not_built("DISTINCT ON")),
        }
    }

    fn aggregated(
        &mut self,
        input: BoundQuery,
        window: Option<GroupedBy>,
        items: &[Item<'_>],
        group_by: &[ast::Expr],
        having: Option<&ast::Expr>,
    ) -> Result<BoundQuery> {
        let scope = input.scope.clone();
        let mut aggregation = Aggregation::by_window(window);
        if aggregation.window.is_some() {
            bounds(&scope).for_each(|bound| aggregation.add_key(bound, &scope));
        }
        self.group_keys(group_by, &scope, items, &mut aggregation)?;
        self.warn_of_half_a_window(&aggregation);
        let mut binder = Binder { scope: &scope, aggregation: Some(&mut aggregation) };
        let having = having.map(|having| binder.bind_condition(having)).transpose()?;
        let outputs = bind_items(items, &scope, &mut binder)?;
        let mut bound = aggregate(input, &aggregation)?;
        if aggregation.window.is_some() {
            settle(&mut bound.scope);
        }
        let read = outputs.iter().map(|(typed, _)| &typed.expression);
        let read = read.chain(having.as_ref().map(|having| &having.expression));
        bound = with_arrival(bound, aggregation.window.as_ref(), read)?;
        if let Some(having) = having {
            bound = filter(bound, having)?;
        }
        let columns = named_outputs(outputs, &bound.scope);
        project(bound, columns)
    }

    /// The keys of GROUP BY, and the sets of them where there are several: those of each element with those of each other.
    fn group_keys(
        &mut self,
        group_by: &[ast::Expr],
        scope: &Scope,
        items: &[Item<'_>],
        aggregation: &mut Aggregation,
    ) -> Result<()> {
        // The bounds of a window are keys of every set.
        let mut sets: Vec<Vec<usize>> = vec![(0..aggregation.keys().len()).collect()];
        for element in group_by.iter().filter(|element| group_window(element).is_none()) {
            let mut own: Vec<Vec<usize>> = Vec::new();
            for keys in grouping_sets(element)? {
                let mut set = Vec::new();
                for key in keys {
                    let typed = self.group_key(key, scope, items)?;
                    let expression = typed.expression.clone();
                    aggregation.add_key(typed, scope);
                    set.extend(aggregation.key_index(&expression));
                }
                own.push(set);
            }
            if sets.len() * own.len() > MOST_GROUPING_SETS {
                return Err(at(
                    Error::query(format!("GROUP BY makes more than {MOST_GROUPING_SETS} grouping sets")),
                    element,
                )
                .with_help("name those that are wanted: GROUP BY GROUPING SETS ((a, b), (a), ())"));
            }
            sets = sets.iter().flat_map(|set| own.iter().map(|own| [set.as_slice(), own].concat())).collect();
        }
        let is_plain = |element: &ast::Expr| {
            !matches!(element, ast::Expr::GroupingSets(_) | ast::Expr::Cube(_) | ast::Expr::Rollup(_))
        };
        if !group_by.iter().all(is_plain) {
            aggregation.set_grouping_sets(sets);
        }
        Ok(())
    }

    /// A key of GROUP BY: an expression, or the number of an item of the list.
    fn group_key(&self, key: &ast::Expr, scope: &Scope, items: &[Item<'_>]) -> Result<Typed> {
        match Binder::new(scope).bind(key) {
            Ok(typed) if typed.number.is_none() => Ok(typed),
            // A position is a constant to Flink, which would put all rows into one group.
            Ok(typed) => Err(at(constant_key(typed.number, items), key)),
            Err(error) => {
                let alias = match key {
                    ast::Expr::Identifier(ident) => items.iter().any(|item| item.alias() == Some(ident.value.as_str())),
                    _ => false,
                };
                Err(if alias {
                    error.with_help("an alias of the SELECT list is not known in GROUP BY: repeat the expression")
                } else {
                    error
                })
            }
        }
    }

    /// N8: with one of the two bounds alone nothing ever closes a window.
    fn warn_of_half_a_window(&mut self, aggregation: &Aggregation) {
        let has = |bound: WindowColumn| aggregation.keys().iter().any(|key| key.column.window == Some(bound));
        let missing = match (has(WindowColumn::Start), has(WindowColumn::End)) {
            (true, false) => "window_end",
            (false, true) => "window_start",
            _ => return,
        };
        self.warnings.push(format!(
            "GROUP BY lacks {missing}: without both bounds this is no window aggregate but one that is never complete; \
             it emits updates and keeps every group"
        ));
    }
}

/// The sets of keys that an element of GROUP BY stands for: a key or a list of them for one.
fn grouping_sets(element: &ast::Expr) -> Result<Vec<Vec<&ast::Expr>>> {
    fn joined<'a>(parts: &[&'a Vec<ast::Expr>]) -> Vec<&'a ast::Expr> {
        parts.iter().flat_map(|part| part.iter()).collect()
    }
    Ok(match element {
        ast::Expr::GroupingSets(sets) => sets.iter().map(|set| joined(&[set])).collect(),
        ast::Expr::Rollup(parts) => {
            let parts: Vec<_> = parts.iter().collect();
            (0..=parts.len()).rev().map(|length| joined(&parts[..length])).collect()
        }
        ast::Expr::Cube(parts) if parts.len() >= MOST_GROUPING_SETS.ilog2() as usize => {
            return Err(at(
                Error::query(format!("CUBE of {} parts makes too many grouping sets", parts.len())),
                element,
            )
            .with_help("name those that are wanted: GROUP BY GROUPING SETS ((a, b), (a), ())"));
        }
        ast::Expr::Cube(parts) => {
            let chosen = |mask: usize| {
                let bit = |index: usize| mask >> (parts.len() - 1 - index) & 1 == 1;
                joined(
                    &parts
                        .iter()
                        .enumerate()
                        .filter(|(index, _)| bit(*index))
                        .map(|(_, part)| part)
                        .collect::<Vec<_>>(),
                )
            };
            (0..1_usize << parts.len()).rev().map(chosen).collect()
        }
        // GROUP BY () is one group of everything.
        ast::Expr::Tuple(keys) => vec![keys.iter().collect()],
        key => vec![vec![key]],
    })
}

impl<'a> Item<'a> {
    fn alias(&self) -> Option<&'a str> {
        match self {
            Self::All(..) => None,
            Self::Expression { alias, .. } => *alias,
        }
    }

    fn calls_aggregate(&self) -> bool {
        use sqlparser::ast::{Visit, Visitor};
        use std::ops::ControlFlow;
        struct Finder;
        impl Visitor for Finder {
            type Break = ();
            fn pre_visit_expr(&mut self, expression: &ast::Expr) -> ControlFlow<()> {
                match expression {
                    ast::Expr::Function(function)
                        if function.over.is_none()
                            && Aggregation::is_aggregate(&function.name.to_string().to_ascii_uppercase()) =>
                    {
                        ControlFlow::Break(())
                    }
                    _ => ControlFlow::Continue(()),
                }
            }
        }
        match self {
            Self::All(..) => false,
            Self::Expression { expression, .. } => expression.visit(&mut Finder).is_break(),
        }
    }
}

fn item(item: &ast::SelectItem) -> Result<Item<'_>> {
    Ok(match item {
        ast::SelectItem::UnnamedExpr(expression) => Item::Expression { expression, alias: None },
        ast::SelectItem::ExprWithAlias { expr, alias } => {
            Item::Expression { expression: expr, alias: Some(alias.value.as_str()) }
        }
        all @ ast::SelectItem::Wildcard(_) => Item::All(Vec::new(), all),
        all @ ast::SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
            let idents: Option<Vec<ast::Ident>> = name.0.iter().map(|part| part.as_ident().cloned()).collect();
            let idents = idents.filter(|idents| !idents.is_empty());
            Item::All(idents.ok_or_else(|| at(Error::query(format!("{all} names no table of this query")), all))?, all)
        }
        other => return Err(Error::query(format!("{other} has no place in a SELECT list"))),
    })
}

/// The list as (bound expression, name asked for).
fn bind_items(items: &[Item<'_>], scope: &Scope, binder: &mut Binder<'_>) -> Result<Vec<(Typed, Option<String>)>> {
    let mut outputs = Vec::new();
    for item in items {
        match item {
            Item::All(path, _) if !path.is_empty() && !scope.is_table(path) => {
                let row = binder.column(path)?;
                let DataType::Struct(fields) = &row.data_type else {
                    return Err(Error::query(format!("a value of type {} has no fields", type_name(&row.data_type))));
                };
                let field =
                    |(place, field): (usize, &FieldRef)| (nth_field(row.clone(), place), Some(field.name().clone()));
                outputs.extend(fields.iter().enumerate().map(field));
            }
            Item::All(table, place) => {
                table.iter().try_for_each(|table| scope.check_qualifier(table))?;
                if let Some(aggregation) = &binder.aggregation {
                    return Err(at(aggregation.not_grouped("*"), *place));
                }
                for column in scope.all(table.first()).map_err(|error| at(error, *place))? {
                    let expression = Expr::Column(Column::new_unqualified(&column.name));
                    outputs.push((
                        Typed::new(expression, column.data_type.clone(), column.nullable),
                        Some(column.known_name().to_owned()),
                    ));
                }
            }
            Item::Expression { expression, alias } => {
                let name = alias.map(str::to_owned).or_else(|| name_of(expression));
                outputs.push((binder.bind(expression)?, name));
            }
        }
    }
    Ok(outputs)
}

fn project_items(input: BoundQuery, scope: &Scope, items: &[Item<'_>], binder: &mut Binder<'_>) -> Result<BoundQuery> {
    let outputs = bind_items(items, scope, binder)?;
    let columns = named_outputs(outputs, scope);
    project(input, columns)
}

/// The name that a plain column keeps.
fn name_of(expression: &ast::Expr) -> Option<String> {
    match expression {
        ast::Expr::Identifier(ident) => Some(ident.value.clone()),
        ast::Expr::CompoundIdentifier(idents) => idents.last().map(|ident| ident.value.clone()),
        ast::Expr::Nested(inner) => name_of(inner),
        // CURRENT_DATE and its kin.
        ast::Expr::Function(function) if matches!(function.args, ast::FunctionArguments::None) => {
            Some(function.name.to_string().to_ascii_uppercase())
        }
        _ => None,
    }
}

/// Gives every output its name: the one asked for, else `EXPR$n`; a name that is taken gets a number, as in Flink.
fn named_outputs(outputs: Vec<(Typed, Option<String>)>, scope: &Scope) -> Vec<(Typed, ScopeColumn)> {
    let mut names: Vec<String> = Vec::new();
    outputs
        .into_iter()
        .enumerate()
        .map(|(index, (typed, name))| {
            let wanted = name.unwrap_or_else(|| format!("EXPR${index}"));
            let mut name = wanted.clone();
            let mut number = 0;
            while names.contains(&name) {
                name = format!("{wanted}{number}");
                number += 1;
            }
            names.push(name.clone());
            let source = match &typed.expression {
                Expr::Column(column) => scope.columns.iter().find(|known| known.name == column.name),
                _ => None,
            };
            let duplicate_of = (name != wanted).then_some(wanted);
            let column = match source {
                Some(source) => ScopeColumn { name, duplicate_of, ..source.clone() },
                None => ScopeColumn {
                    duplicate_of,
                    declared: typed.declared.clone(),
                    ..ScopeColumn::new(name, typed.data_type.clone(), typed.nullable)
                },
            };
            (typed, column)
        })
        .collect()
}

/// The error about `GROUP BY 1`.
fn constant_key(number: Option<i64>, items: &[Item<'_>]) -> Error {
    let error = Error::query("GROUP BY takes expressions, not positions");
    let item = number.and_then(|number| items.get(usize::try_from(number).ok()?.checked_sub(1)?));
    match item {
        Some(Item::Expression { expression, .. }) => error.with_help(format!("write GROUP BY {expression}")),
        _ => error.with_help("for one group of all rows write GROUP BY ()"),
    }
}

fn refuse_clauses(select: &ast::Select) -> Result<()> {
    if select.qualify.is_some() {
        return Err(not_built("QUALIFY").with_help(FIRST_ROWS));
    }
    match select.named_window.is_empty() {
        true => Ok(()),
        false => Err(not_built::for_flink("WINDOW")),
    }
}
