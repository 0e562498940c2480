//! Batch mode: the same logical plan, run by DataFusion over bounded tables. A quick answer for users, an oracle for tests.

mod engine;
mod rewrite;
mod table;
#[cfg(test)]
mod tests;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::physical_plan::execute_stream;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use self::engine::Engine;
use crate::connectors::{JobIdentity, SinkTask, World};
use crate::error::{Error, Result};
use crate::expressions::scalar_error;
use crate::plan::{LogicalQuery, SinkTarget};
use crate::stream::{Changes, Epoch};

/// How a batch runs.
#[derive(Debug, Clone, Copy)]
pub struct BatchOptions {
    /// Tasks that work at the same time.
    pub parallelism: usize,
    /// Rows of a batch.
    pub batch_rows: usize,
    /// `table.exec.sink.not-null-enforcer` = DROP: an INSERT leaves out rows with NULL in a NOT NULL column.
    pub drop_nulls: bool,
}

/// Runs a query; its columns, and its rows as they are found. Planning finds the splits; rows are read when the stream is polled.
pub async fn run(
    query: LogicalQuery,
    world: &World,
    options: BatchOptions,
) -> Result<(SchemaRef, BoxStream<'static, Result<Changes>>)> {
    let engine = Engine::new(options)?;
    let plan = rewrite::for_batch(&query.plan, world, options)?;
    let plan = engine.physical(&plan).await?;
    let rows = execute_stream(plan, engine.task()).map_err(scalar_error)?;
    let schema = SchemaRef::clone(&query.schema);
    let rows = rows.map_err(scalar_error).map(move |batch| named(batch?, &query.schema));
    let rows = rows.try_filter(|rows| std::future::ready(!rows.is_empty()));
    Ok((schema, rows.boxed()))
}

/// Runs the query of an INSERT and writes its rows, which become public together at the end; says how many.
pub async fn insert(
    query: LogicalQuery,
    target: &SinkTarget,
    identity: JobIdentity,
    world: &World,
    options: BatchOptions,
) -> Result<u64> {
    let mut committer = target.factory.committer(&identity, world)?;
    committer.recover(&[]).await?;
    let written = match write(query, target, identity, world, options).await {
        Ok(written) => written,
        Err(error) => {
            // What was staged must not stay behind; the error that counts is the one that came first.
            drop(committer.recover(&[]).await);
            return Err(error);
        }
    };
    if let Some(committable) = &written.committable {
        committer.commit(committable).await?;
    }
    Ok(written.rows)
}

/// What lies staged at the sink.
struct Written {
    rows: u64,
    committable: Option<crate::connectors::Committable>,
}

async fn write(
    query: LogicalQuery,
    target: &SinkTarget,
    identity: JobIdentity,
    world: &World,
    options: BatchOptions,
) -> Result<Written> {
    let (_, mut stream) = run(query, world, options).await?;
    let node = target.node(options.drop_nulls);
    let task = SinkTask {
        identity,
        sink: format!("batch-{}", target.table),
        task: 0,
        parallelism: 1,
        schema: SchemaRef::clone(&target.schema),
    };
    let mut writer = target.factory.writer(&task, world)?;
    let mut rows = 0;
    while let Some(next) = stream.next().await {
        let (kept, _) = node.without_nulls(next?)?;
        rows += kept.len() as u64;
        writer.write(&kept).await?;
    }
    writer.flush().await?;
    let committable = writer.prepare(Epoch::ZERO.next()).await?;
    Ok(Written { rows, committable })
}

/// The same rows under the names of the query.
fn named(batch: RecordBatch, schema: &SchemaRef) -> Result<Changes> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let batch = RecordBatch::try_new_with_options(SchemaRef::clone(schema), batch.columns().to_vec(), &options)
        .map_err(|error| Error::bug(format!("batch mode has other columns than the query: {error}")))?;
    Ok(Changes::inserts(batch))
}
