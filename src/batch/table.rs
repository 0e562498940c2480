//! A table of ours as DataFusion reads it: splits dealt out to partitions, chunks decoded by several tasks at once,
//! bad rows judged as in a stream.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::{Stream, StreamExt, TryStreamExt, stream};

use super::{BatchOptions, Tally};
use crate::connectors::{Polled, Source, SourceContext, Split, SplitReader, World};
use crate::error::{Error, Result};
use crate::expressions::external;
use crate::formats::Decoder;
use crate::plan::{Payload, Preparation, Prepared, SourceNode};
use crate::stream::{EventTime, ProcTime};

/// A bounded table with its computed columns.
pub(super) struct BatchTable {
    node: SourceNode,
    schema: SchemaRef,
    world: World,
    options: BatchOptions,
    tally: Arc<Tally>,
}

impl BatchTable {
    /// `schema` are the columns that leave the source.
    pub(super) fn new(
        node: SourceNode,
        schema: SchemaRef,
        world: World,
        options: BatchOptions,
        tally: Arc<Tally>,
    ) -> Self {
        tally.expect_table();
        Self { node, schema, world, options, tally }
    }

    /// Finds the splits and deals them out.
    async fn partitions(&self) -> Result<Vec<Arc<dyn PartitionStream>>> {
        let context = SourceContext::new(&self.node.projection, self.options.batch_rows, &self.world);
        let source = self.node.factory.open(&context)?;
        let splits = source.discover(&BTreeSet::new()).await?;
        self.tally.table_holds(splits.iter().map(|split| split.bytes).sum());
        let parallelism = self.options.parallelism.max(1);
        let count = splits.len().clamp(1, parallelism);
        let mut dealt = vec![VecDeque::new(); count];
        for (index, split) in splits.into_iter().enumerate() {
            dealt[index % count].push_back(split);
        }
        let shared = Arc::new(Shared {
            source,
            preparation: Arc::new(Preparation::new(self.node.clone(), &self.schema)),
            // One that is being decoded, and one that waits until those before it are done.
            ahead: parallelism.div_ceil(count) + 1,
            tally: Arc::clone(&self.tally),
        });
        let partition = |splits| Partition { schema: Arc::clone(&self.schema), shared: Arc::clone(&shared), splits };
        Ok(dealt.into_iter().map(|splits| Arc::new(partition(splits)) as Arc<dyn PartitionStream>).collect())
    }
}

impl fmt::Debug for BatchTable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "BatchTable({})", self.node.table)
    }
}

#[async_trait]
impl TableProvider for BatchTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let partitions = self.partitions().await.map_err(external)?;
        let schema = Arc::clone(&self.schema);
        Ok(Arc::new(StreamingTableExec::try_new(schema, partitions, projection, None, false, limit)?))
    }
}

/// What the partitions of a table share.
struct Shared {
    source: Arc<dyn Source>,
    preparation: Arc<Preparation>,
    /// How many chunks of a partition are on their way at once.
    ahead: usize,
    tally: Arc<Tally>,
}

impl Shared {
    async fn decoder(&self, payload: &Payload) -> Option<Box<dyn Decoder>> {
        match payload {
            Payload::Rows(_) => None,
            Payload::Chunk(_) => match self.preparation.idle_decoder() {
                Some(decoder) => Some(decoder),
                None => self.source.decoder(),
            },
        }
    }
}

/// Splits that are read one after the other.
struct Partition {
    schema: SchemaRef,
    shared: Arc<Shared>,
    splits: VecDeque<Split>,
}

impl fmt::Debug for Partition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.splits.iter().map(|split| &split.id.0)).finish()
    }
}

impl PartitionStream for Partition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let reading = Reading { shared: Arc::clone(&self.shared), splits: self.splits.clone(), reader: None };
        let rows = rows(reading).map_err(external);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}

/// All rows of the splits in their order, decoded by tasks of their own.
fn rows(reading: Reading) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    let shared = Arc::clone(&reading.shared);
    let ahead = shared.ahead;
    let payloads = stream::try_unfold(reading, |mut reading| async move {
        Ok(reading.next().await?.map(|payload| (payload, reading)))
    });
    let preparation = Arc::clone(&shared.preparation);
    let prepared = payloads.map(move |payload: Result<_>| {
        let preparation = Arc::clone(&preparation);
        let work =
            payload.map(|(payload, decoder)| SpawnedTask::spawn(async move { preparation.prepare(payload, decoder) }));
        async move { joined(work?).await }
    });
    prepared.buffered(ahead).map(move |prepared| {
        let prepared = prepared?;
        let bytes = prepared.bytes;
        // No watermark moves on: nothing is late here.
        let placed = shared.preparation.place(prepared, EventTime::NONE, ProcTime(0))?;
        shared.tally.read(placed.rows.len(), placed.skipped, bytes);
        Ok(placed.rows.into_batch())
    })
}

async fn joined(work: SpawnedTask<Result<Prepared>>) -> Result<Prepared> {
    work.join().await.unwrap_or_else(|error| Err(Error::bug(format!("a decoding worker failed: {error}"))))
}

/// The way through the splits of a partition.
struct Reading {
    shared: Arc<Shared>,
    splits: VecDeque<Split>,
    reader: Option<Box<dyn SplitReader>>,
}

impl Reading {
    /// What comes next, with a decoder if it needs one; `None` behind the last split.
    async fn next(&mut self) -> Result<Option<(Payload, Option<Box<dyn Decoder>>)>> {
        loop {
            let Some(reader) = &mut self.reader else {
                let Some(split) = self.splits.pop_front() else { return Ok(None) };
                self.reader = Some(self.shared.source.open(&split.id, &split.start).await?);
                continue;
            };
            match Payload::of(reader.next().await?) {
                Ok((payload, _)) => {
                    let decoder = self.shared.decoder(&payload).await;
                    return Ok(Some((payload, decoder)));
                }
                Err(Polled::End) => self.reader = None,
                Err(_) => {}
            }
        }
    }
}
