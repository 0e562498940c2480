//! A plan in the session's time zone. Binding does not know the zone: what depends on it is told here, in one place.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DataFusionResult};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, Extension, LogicalPlan};

use super::nodes::WindowNode;
use crate::error::Result;
use crate::expressions::{Call, evaluate_constant, external, scalar_error};
use crate::stream::Zone;

/// The plan with its zone in each call and each window whose result depends on one. Calls over constants are computed,
/// which could not be done without.
pub fn in_zone(plan: LogicalPlan, zone: Zone) -> Result<LogicalPlan> {
    let told = plan.transform_up(|plan| {
        if let Some(window) = WindowNode::of(&plan) {
            let window = window.in_zone(zone).map_err(external)?;
            return Ok(Transformed::yes(LogicalPlan::Extension(Extension { node: std::sync::Arc::new(window) })));
        }
        let mut schema = DFSchema::empty();
        plan.inputs().into_iter().for_each(|input| schema.merge(input.schema()));
        plan.map_expressions(|expression| expression.transform_up(|inner| tell(inner, &schema, zone)))
    });
    Ok(told.map_err(scalar_error)?.data)
}

fn tell(expression: Expr, schema: &DFSchema, zone: Zone) -> DataFusionResult<Transformed<Expr>> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = &expression else {
        return Ok(Transformed::no(expression));
    };
    let Some(call) = Call::of(func) else { return Ok(Transformed::no(expression)) };
    if !call.is_zoned(args.iter().map(|argument| argument.get_type(schema)))? {
        return Ok(Transformed::no(expression));
    }
    let told = call.clone().in_zone(zone).on(args.clone());
    let is_constant = args.iter().all(|argument| matches!(argument, Expr::Literal(..)));
    if is_constant && let Some(value) = evaluate_constant(&told).map_err(external)? {
        return Ok(Transformed::yes(Expr::Literal(value, None)));
    }
    Ok(Transformed::yes(told))
}
