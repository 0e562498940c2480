//! SESSION as an operator of DataFusion: all rows of a key that lie no more than a gap apart are in one window. A task
//! holds the rows of its keys until all have come; they leave in the order in which they came.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, TimestampMillisecondArray};
use arrow::datatypes::{SchemaRef, TimestampMillisecondType};
use arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{Distribution, PhysicalExpr};
use datafusion::physical_plan::execution_plan::EmissionType;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::exec::BatchOperator;
use super::windows::with_bounds;
use crate::expressions::{external, local, scalar_error};
use crate::state::KeyIndex;
use crate::stream::Zone;

/// How rows are put into sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    /// They end so many milliseconds behind their last row.
    pub(super) gap_ms: i64,
    /// The input's columns by which rows are dealt out.
    pub(super) keys: Vec<usize>,
    /// In which zone sessions lie.
    pub(super) zone: Zone,
    /// The input's column with the time.
    pub(super) time: usize,
    /// The input's columns that go on.
    pub(super) kept: Vec<usize>,
    /// Those, then the bounds.
    pub(super) schema: SchemaRef,
}

impl Sessions {
    /// The batches with their bounds.
    fn batches(&self, batches: &[RecordBatch]) -> crate::error::Result<Vec<RecordBatch>> {
        let input = batches.first().map(RecordBatch::schema);
        let types: Vec<_> =
            input.iter().flat_map(|input| self.keys.iter().map(|key| input.field(*key).data_type().clone())).collect();
        let mut index = KeyIndex::new(&types)?;
        let (mut of_batch, mut rows) = (Vec::new(), Vec::<(u32, i64)>::new());
        for batch in batches {
            let keys: Vec<ArrayRef> = self.keys.iter().map(|key| Arc::clone(batch.column(*key))).collect();
            index.assign(&keys, batch.num_rows(), &mut of_batch)?;
            let times = local(batch.column(self.time), self.zone)?;
            let times = times.as_primitive::<TimestampMillisecondType>().values();
            rows.extend(of_batch.iter().copied().zip(times.iter().copied()));
        }
        let (starts, ends) = self.bounds(&rows);
        let mut first = 0;
        let bounded = batches.iter().map(|batch| {
            let of_batch = first..first + batch.num_rows();
            first = of_batch.end;
            let bound = |bounds: &[i64], plus: i64| -> ArrayRef {
                Arc::new(TimestampMillisecondArray::from_iter_values(
                    bounds[of_batch.clone()].iter().map(|at| at + plus),
                ))
            };
            let bounds = [bound(&starts, 0), bound(&ends, 0), bound(&ends, -1)];
            with_bounds(batch, &self.kept, bounds, &self.schema, self.zone).map_err(scalar_error)
        });
        bounded.collect()
    }

    /// Start and end of the session of each row, given as key and time.
    fn bounds(&self, rows: &[(u32, i64)]) -> (Vec<i64>, Vec<i64>) {
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        order.sort_unstable_by_key(|row| rows[*row as usize]);
        let (mut starts, mut ends) = (vec![0; rows.len()], vec![0; rows.len()]);
        let ends_before = |(before, row): (&u32, &u32)| {
            let ((key_before, time_before), (key, time)) = (rows[*before as usize], rows[*row as usize]);
            key_before != key || time_before.saturating_add(self.gap_ms) < time
        };
        for session in order.chunk_by(|before, row| !ends_before((before, row))) {
            let (Some(first), Some(last)) = (session.first(), session.last()) else { continue };
            let start = rows[*first as usize].1;
            let end = rows[*last as usize].1.saturating_add(self.gap_ms);
            for row in session {
                (starts[*row as usize], ends[*row as usize]) = (start, end);
            }
        }
        (starts, ends)
    }
}

impl BatchOperator for Sessions {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn text(&self) -> String {
        format!("sessions with a gap of {} ms", self.gap_ms)
    }

    fn emission(&self) -> EmissionType {
        EmissionType::Final
    }

    /// All rows of a key come to one task.
    fn distribution(&self, input: &SchemaRef) -> Distribution {
        let column = |key: &usize| Arc::new(Column::new(input.field(*key).name(), *key)) as Arc<dyn PhysicalExpr>;
        match self.keys.is_empty() {
            true => Distribution::SinglePartition,
            false => Distribution::KeyPartitioned(self.keys.iter().map(column).collect()),
        }
    }

    fn run(self: Arc<Self>, input: SendableRecordBatchStream, _: usize) -> BoxStream<'static, Result<RecordBatch>> {
        let bounded = async move {
            let batches: Vec<RecordBatch> = input.try_collect().await?;
            let bounded = self.batches(&batches).map_err(external)?;
            Ok::<_, DataFusionError>(stream::iter(bounded.into_iter().map(Ok)))
        };
        stream::once(bounded).try_flatten().boxed()
    }
}
