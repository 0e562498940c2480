//! The aggregate functions of a batch: the kernels that streams use, as functions that DataFusion calls.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::filter;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::{ExprSchema, ScalarValue, internal_datafusion_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::AggregateFunction as AggregateExpr;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, Expr, ExprSchemable, GroupsAccumulator, LogicalPlan, Signature, Volatility,
};
use datafusion::prelude::lit;

use crate::error::Error;
use crate::expressions::{Constant, external, planned_aggregate};
use crate::operators::{AggregateCall, Aggregates};
use crate::state::SlotColumns;

/// A call of a plan with its kernel in the function's place.
pub(super) fn with_kernel(call: Expr, input: &dyn ExprSchema) -> Result<Expr> {
    let (call, name) = match call {
        Expr::Alias(alias) => (*alias.expr, Some((alias.relation, alias.name))),
        other => (other, None),
    };
    let Expr::AggregateFunction(AggregateExpr { func, mut params }) = call else {
        return Err(internal_datafusion_err!("an aggregation of what is no aggregate"));
    };
    let function = planned_aggregate(&func).map_err(external)?;
    // DataFusion takes no call without an argument, which COUNT(*) is.
    if params.args.is_empty() {
        params.args.push(lit(1_i64));
    }
    let constant = Constant::of(&params.args).map_err(external)?;
    if params.args.len() > 1 {
        params.args.remove(1);
    }
    let input_type = params.args[0].get_type(input)?;
    let output = function.output_type(Some(&input_type)).map_err(|reason| external(Error::bug(reason)))?;
    let call = AggregateCall {
        function,
        argument: Some(0),
        distinct: std::mem::take(&mut params.distinct),
        weight: (params.args.len() > 1).then_some(1),
        constant,
        retract: false,
        of_sessions: false,
        filter: None,
        input_type,
        output: Field::new(func.name(), output, function.is_nullable()),
    };
    let call = Expr::AggregateFunction(AggregateExpr { func: Arc::new(KernelFunction::new(call).into()), params });
    Ok(match name {
        Some((relation, name)) => call.alias_qualified(relation, name),
        None => call,
    })
}

/// Whether some aggregate of a plan depends on the order of rows.
pub(super) fn go_by_order(plan: &LogicalPlan) -> crate::error::Result<bool> {
    if let LogicalPlan::Aggregate(aggregate) = plan {
        for call in &aggregate.aggr_expr {
            let Expr::AggregateFunction(call) = call.clone().unalias() else { continue };
            if planned_aggregate(&call.func)?.is_ordered() {
                return Ok(true);
            }
        }
    }
    plan.inputs().into_iter().try_fold(false, |found, input| Ok(found || go_by_order(input)?))
}

/// One call as a function of its own: over different values or all, as the call says.
#[derive(Debug, PartialEq)]
struct KernelFunction {
    name: String,
    call: AggregateCall,
    signature: Signature,
}

impl Eq for KernelFunction {}

impl Hash for KernelFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, &self.call.input_type).hash(state);
    }
}

impl KernelFunction {
    fn new(call: AggregateCall) -> Self {
        let distinct = if call.distinct { " DISTINCT" } else { "" };
        Self {
            name: format!("{}{distinct}{}", call.function, call.constant),
            call,
            signature: Signature::variadic_any(Volatility::Immutable),
        }
    }

    fn kernel(&self) -> Result<Kernel> {
        let states = Aggregates::new(std::slice::from_ref(&self.call)).map_err(external)?;
        let mut rows = vec![Field::new("argument", self.call.input_type.clone(), true)];
        rows.extend(self.call.weight.map(|_| Field::new("weight", DataType::Int64, true)));
        let mut filtered = rows.clone();
        filtered.push(Field::new("filter", DataType::Boolean, true));
        let (rows, filtered) = (Arc::new(Schema::new(rows)), Arc::new(Schema::new(filtered)));
        Ok(Kernel { call: self.call.clone(), states, rows, filtered, groups: 0 })
    }
}

impl AggregateUDFImpl for KernelFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.call.output.data_type().clone())
    }

    fn is_nullable(&self) -> bool {
        self.call.output.is_nullable()
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        if *data_type == DataType::Int64 && !self.is_nullable() {
            return Ok(ScalarValue::Int64(Some(0)));
        }
        ScalarValue::try_from(data_type)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let named = |field: Field| {
            let name = format!("{}[{}]", arguments.name, field.name());
            Arc::new(field.with_name(name))
        };
        Ok(self.kernel()?.states.fields().into_iter().map(named).collect())
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let mut kernel = self.kernel()?;
        kernel.make_room(1);
        Ok(Box::new(Whole(kernel)))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.kernel()?))
    }
}

/// The state of one call for all groups.
#[derive(Debug)]
struct Kernel {
    call: AggregateCall,
    states: Aggregates,
    /// The columns that the kernel reads, without and with a filter.
    rows: SchemaRef,
    filtered: SchemaRef,
    groups: usize,
}

/// A kernel with one group.
#[derive(Debug)]
struct Whole(Kernel);

impl Kernel {
    fn make_room(&mut self, groups: usize) {
        self.groups = self.groups.max(groups);
        self.states.resize(self.groups);
    }

    /// The columns that the kernel reads. COUNT(*) has one that it does not.
    fn columns<'v>(&self, values: &'v [ArrayRef]) -> &'v [ArrayRef] {
        &values[..self.rows.fields().len()]
    }

    fn update(&mut self, slots: &[u32], values: &[ArrayRef]) -> Result<()> {
        let options = RecordBatchOptions::new().with_row_count(Some(slots.len()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.rows), self.columns(values).to_vec(), &options)?;
        self.states.update(slots, &rows, None).map_err(external)
    }

    /// Lets go of the first `groups` groups; the others move up.
    fn forget(&mut self, groups: usize) -> Result<()> {
        let mut states = Aggregates::new(std::slice::from_ref(&self.call)).map_err(external)?;
        let rest: Vec<u32> = (groups as u32..self.groups as u32).collect();
        if !rest.is_empty() {
            states.resize(rest.len());
            let slots: Vec<u32> = (0..rest.len() as u32).collect();
            states.merge(&slots, &self.states.gather(&rest).map_err(external)?).map_err(external)?;
        }
        (self.states, self.groups) = (states, rest.len());
        Ok(())
    }

    fn emitted(&self, emit: EmitTo) -> usize {
        match emit {
            EmitTo::All => self.groups,
            EmitTo::First(groups) => groups,
        }
    }
}

impl GroupsAccumulator for Kernel {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.make_room(total_num_groups);
        let slots = slots(group_indices);
        let Some(kept) = opt_filter else { return self.update(&slots, values) };
        let values = values.iter().map(|column| Ok(filter(column, kept)?)).collect::<Result<Vec<_>>>()?;
        let kept_slots = filter(&UInt32Array::from(slots), kept)?;
        let kept_slots = kept_slots.as_any().downcast_ref::<UInt32Array>();
        self.update(kept_slots.map_or(&[], |slots| slots.values()), &values)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = self.emitted(emit_to);
        let slots: Vec<u32> = (0..groups as u32).collect();
        let result = self.states.evaluate(Some(&slots)).map_err(external)?.pop();
        self.forget(groups)?;
        result.ok_or_else(|| internal_datafusion_err!("an aggregate without a result"))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = self.emitted(emit_to);
        let slots: Vec<u32> = (0..groups as u32).collect();
        let states = self.states.gather(&slots).map_err(external)?;
        self.forget(groups)?;
        Ok(states)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.make_room(total_num_groups);
        self.states.merge(&slots(group_indices), values).map_err(external)
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let columns = self.columns(values).iter().cloned();
        let (schema, columns, filter) = match opt_filter {
            None => (&self.rows, columns.collect::<Vec<_>>(), None),
            Some(kept) => {
                let kept: ArrayRef = Arc::new(kept.clone());
                (&self.filtered, columns.chain([kept]).collect(), Some(self.rows.fields().len()))
            }
        };
        let rows = RecordBatch::try_new(Arc::clone(schema), columns)?;
        let call = AggregateCall { filter, ..self.call.clone() };
        Aggregates::each(&[call], &rows, None).map_err(external)
    }

    fn size(&self) -> usize {
        self.states.bytes()
    }
}

impl Accumulator for Whole {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update(&vec![0; values[0].len()], values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let result = self.0.states.evaluate(Some(&[0])).map_err(external)?.pop();
        ScalarValue::try_from_array(
            &result.ok_or_else(|| internal_datafusion_err!("an aggregate without a result"))?,
            0,
        )
    }

    fn size(&self) -> usize {
        self.0.states.bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let states = self.0.states.gather(&[0]).map_err(external)?;
        states.iter().map(|state| ScalarValue::try_from_array(state, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.states.merge(&vec![0; states[0].len()], states).map_err(external)
    }
}

fn slots(groups: &[usize]) -> Vec<u32> {
    groups.iter().map(|group| *group as u32).collect()
}
