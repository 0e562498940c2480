//! How DataFusion calls one of our functions.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature};

use super::external;
use super::function::Call;

impl ScalarUDFImpl for Call {
    fn name(&self) -> &str {
        self.function.name
    }

    fn schema_name(&self, arguments: &[Expr]) -> DataFusionResult<String> {
        Ok(self.text(&arguments.iter().map(super::text).collect::<Vec<_>>()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.output.clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        Ok(Arc::new(Field::new(self.function.name, self.output.clone(), self.nullable)))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let rows = call.number_rows;
        let length = |value: &ColumnarValue| match value {
            ColumnarValue::Scalar(_) if self.function.takes_constants => 1,
            _ => rows,
        };
        let arguments = call.args.into_iter().map(|value| {
            let length = length(&value);
            value.into_array(length)
        });
        let arguments = arguments.collect::<DataFusionResult<Vec<_>>>()?;
        let values = (self.function.body)(self, &arguments, rows).map_err(external)?;
        Ok(ColumnarValue::Array(values))
    }
}
