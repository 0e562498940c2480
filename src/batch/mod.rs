//! Batch mode: the same logical plan, run by DataFusion over bounded tables. A quick answer for users, an oracle for tests.

mod aggregates;
mod copies;
mod engine;
mod exec;
mod extensions;
mod grouping_sets;
mod random;
mod replicate;
mod rewrite;
mod sessions;
mod table;
mod tally;
#[cfg(test)]
mod tests;
mod unnest;
mod windows;

pub use tally::Tally;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::physical_plan::execute_stream;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::watch;

use self::engine::Engine;
use crate::connectors::{Committable, History, JobIdentity, SinkContext, World};
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

/// Rows become public once, at the end.
const EPOCH: Epoch = Epoch(1);

/// The rows of a query as they are found.
pub type Rows = BoxStream<'static, Result<Changes>>;

/// Refuses, before anything is touched, queries of one statement that would read a table twice whose rows can be read only
/// once, or one that needs what the world does not have, or that would never end.
pub fn check<'a>(queries: impl IntoIterator<Item = &'a LogicalQuery>, world: &World) -> Result<()> {
    let mut seen = BTreeSet::new();
    queries.into_iter().try_for_each(|query| {
        rewrite::check_sources(&query.plan, world, &mut seen)?;
        rewrite::check_end(&query.plan)
    })
}

/// The same for INSERTs, with the tables that they write.
pub fn check_inserts(inserts: &[BatchInsert], world: &World) -> Result<()> {
    check(inserts.iter().map(|insert| &insert.query), world)?;
    for target in inserts.iter().flat_map(BatchInsert::targets) {
        target.factory.check(world).map_err(|error| error.context(format_args!("table `{}`", target.table)))?;
    }
    Ok(())
}

/// Runs a query; its columns, and its rows as they are found. Planning finds the splits; rows are read when the stream is polled.
pub async fn run(
    query: LogicalQuery,
    world: &World,
    options: BatchOptions,
    tally: &Arc<Tally>,
) -> Result<(SchemaRef, Rows)> {
    let schema = SchemaRef::clone(&query.schema);
    let counting = Arc::clone(tally);
    let rows = rows(query, world, options, tally).await?;
    let rows = rows.inspect_ok(move |rows| counting.wrote(rows.len()));
    Ok((schema, rows.boxed()))
}

/// The query of an INSERT, and where its rows go.
pub struct BatchInsert {
    /// The query.
    pub query: LogicalQuery,
    /// The table.
    pub target: SinkTarget,
    /// The table of late rows, which stays empty.
    pub late: Option<SinkTarget>,
}

impl BatchInsert {
    /// The tables that are written.
    fn targets(&self) -> impl Iterator<Item = &SinkTarget> {
        [Some(&self.target), self.late.as_ref()].into_iter().flatten()
    }
}

/// Removes what earlier runs have left in the tables that are written: those whose lineages begin with these digits.
pub async fn clear(inserts: &[BatchInsert], lineages: &str, world: &World) -> Result<()> {
    for target in inserts.iter().flat_map(BatchInsert::targets) {
        let (factory, lineages, lent) = (Arc::clone(&target.factory), lineages.to_owned(), world.clone());
        world.blocking.call(move || factory.remove_published(&lineages, &lent)).await??;
    }
    Ok(())
}

/// Runs INSERTs one after the other; the rows of each become public together at its end. False if it was stopped
/// before that, and the rest left undone.
pub async fn insert(
    inserts: Vec<BatchInsert>,
    identity: &JobIdentity,
    world: &World,
    options: BatchOptions,
    tally: &Arc<Tally>,
    mut stop: watch::Receiver<bool>,
) -> Result<bool> {
    for (index, BatchInsert { query, target, late }) in inserts.into_iter().enumerate() {
        let context = |target: &SinkTarget| SinkContext {
            identity: identity.clone(),
            sink: format!("batch-{index}-{}", target.table),
            is_durable: false,
            parallelism: 1,
            schema: SchemaRef::clone(&target.schema),
        };
        let nothing_before = History::default();
        if let Some(late) = late {
            late.factory.committer(&context(&late), world)?.recover(&nothing_before, &[]).await?;
        }
        let context = context(&target);
        let mut committer = target.factory.committer(&context, world)?;
        committer.recover(&nothing_before, &[]).await?;
        let written = tokio::select! {
            biased;
            () = stopped(&mut stop) => Ok(None),
            written = write(query, &target, &context, world, options, tally) => written.map(Some),
        };
        match written {
            Ok(Some(Some(committable))) => committer.commit(EPOCH, &[committable]).await?,
            Ok(Some(None)) => {}
            Ok(None) => {
                committer.recover(&nothing_before, &[]).await?;
                return Ok(false);
            }
            Err(error) => {
                // What was staged must not stay behind; the error that counts is the one that came first.
                drop(committer.recover(&nothing_before, &[]).await);
                return Err(error);
            }
        }
    }
    Ok(true)
}

/// Ends when somebody asks for a stop, and else never.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|is_asked| *is_asked).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Stages the rows of a query.
async fn write(
    query: LogicalQuery,
    target: &SinkTarget,
    context: &SinkContext,
    world: &World,
    options: BatchOptions,
    tally: &Arc<Tally>,
) -> Result<Option<Committable>> {
    let mut rows = rows(query, world, options, tally).await?;
    let node = target.node(options.drop_nulls);
    let mut writer = target.factory.writer(0, context, world)?;
    while let Some(next) = rows.next().await {
        let (kept, _) = node.without_nulls(next?)?;
        writer.write(&kept).await?;
        tally.wrote(kept.len());
    }
    writer.flush().await?;
    writer.prepare(EPOCH).await
}

async fn rows(query: LogicalQuery, world: &World, options: BatchOptions, tally: &Arc<Tally>) -> Result<Rows> {
    // Several tasks would share the rows out among them, and their order would be lost.
    let parallelism = if aggregates::go_by_order(&query.plan)? { 1 } else { options.parallelism };
    let options = BatchOptions { parallelism, ..options };
    let engine = Engine::new(options)?;
    let plan = rewrite::for_batch(&query.plan, world, options, tally)?;
    let plan = engine.physical(&plan, &world.entropy).await?;
    let rows = execute_stream(plan, engine.task()).map_err(scalar_error)?;
    let rows = rows.map_err(scalar_error).map(move |batch| named(batch?, &query.schema));
    Ok(rows.try_filter(|rows| std::future::ready(!rows.is_empty())).boxed())
}

/// The same rows under the names of the query.
fn named(batch: RecordBatch, schema: &SchemaRef) -> Result<Changes> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let batch = RecordBatch::try_new_with_options(SchemaRef::clone(schema), batch.columns().to_vec(), &options)
        .map_err(|error| Error::bug(format!("batch mode has other columns than the query: {error}")))?;
    Ok(Changes::inserts(batch))
}
