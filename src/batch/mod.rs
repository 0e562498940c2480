//! Batch mode.
use crate::connectors::{JobIdentity, World};
use crate::error::{Error, Result};
use crate::plan::{LogicalQuery, SinkTarget};
use crate::stream::Changes;
use arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;

pub struct BatchOptions {
    pub parallelism: usize,
    pub batch_rows: usize,
}
pub async fn run(
    _q: LogicalQuery,
    _w: &World,
    _o: BatchOptions,
) -> Result<(SchemaRef, BoxStream<'static, Result<Changes>>)> {
    Err(Error::query("batch"))
}
pub async fn insert(_q: LogicalQuery, _t: &SinkTarget, _i: JobIdentity, _w: &World, _o: BatchOptions) -> Result<u64> {
    Err(Error::query("batch"))
}
