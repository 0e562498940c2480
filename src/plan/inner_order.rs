//! Where in a query an ORDER BY or LIMIT stands that a stream does not carry out: the logical plan no longer says.

use std::ops::ControlFlow;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::LogicalPlan;
use sqlparser::ast::{self, Visit, Visitor};

use super::bind::at;
use crate::error::Error;

/// Puts the blame for an error of lowering where it belongs, as far as the text tells. `top`: whether ORDER BY and LIMIT
/// of the query itself are in the plan too.
pub fn blamed(error: Error, plan: &LogicalPlan, query: &ast::Query, top: bool) -> Error {
    let mut is_ordered = false;
    let looked = plan.apply(|node| {
        is_ordered |= matches!(node, LogicalPlan::Sort(_) | LogicalPlan::Limit(_));
        Ok(if is_ordered { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    if looked.is_err() || !is_ordered {
        return at(error, query);
    }
    let mut ordered = Ordered { depth: usize::from(top), found: None };
    let _ = query.visit(&mut ordered);
    match ordered.found {
        Some(found) if found.limit_clause.is_some() || found.fetch.is_some() => at_limit(error, &found),
        Some(found) => at_order(error, &found),
        // It stands in a view.
        None => at(error, query),
    }
}

/// Puts the blame on a query's ORDER BY.
pub fn at_order(error: Error, query: &ast::Query) -> Error {
    match &query.order_by {
        Some(order) => at(error, order),
        None => at(error, query),
    }
}

/// Puts the blame on a query's LIMIT, or what says the same.
pub fn at_limit(error: Error, query: &ast::Query) -> Error {
    match (&query.limit_clause, &query.fetch) {
        (Some(limit), _) => at(error, limit),
        (None, Some(fetch)) => at(error, fetch),
        (None, None) => at(error, query),
    }
}

/// Finds the first query with an ORDER BY or LIMIT below the top, or from there on.
struct Ordered {
    depth: usize,
    found: Option<ast::Query>,
}

impl Visitor for Ordered {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        let is_counted = std::mem::replace(&mut self.depth, 1) > 0;
        if is_counted && (query.order_by.is_some() || query.limit_clause.is_some() || query.fetch.is_some()) {
            self.found = Some(query.clone());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
