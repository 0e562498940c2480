//! `blackhole`: a sink that forgets what it is given, to measure everything before it.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;

use super::one_phase::{NothingToCommit, nothing_to_prepare, only_a_sink};
use super::{
    Committable, Committer, Connector, Delivery, SinkContext, SinkFactory, SinkMode, SinkWriter, SourceFactory,
    TableContext, World,
};
use crate::error::Result;
use crate::options::OptionSpec;
use crate::stream::{Changes, Epoch};

/// The connector `blackhole`.
#[derive(Debug)]
pub struct BlackHole;

impl Connector for BlackHole {
    fn name(&self) -> &'static str {
        "blackhole"
    }

    fn doc(&self) -> &'static str {
        "Takes rows of every kind and forgets them: for measuring a query without its output."
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn takes_format(&self) -> bool {
        false
    }

    fn source(&self, table: &TableContext) -> Result<Arc<dyn SourceFactory>> {
        Err(only_a_sink(self.name(), &table.name))
    }

    fn sink(&self, _table: &TableContext) -> Result<Arc<dyn SinkFactory>> {
        Ok(Arc::new(Forget))
    }
}

#[derive(Debug, Clone, Copy)]
struct Forget;

impl SinkFactory for Forget {
    fn mode(&self) -> SinkMode {
        SinkMode::Retract
    }

    fn delivery(&self) -> Delivery {
        // Nothing is shown, so nothing is shown twice.
        Delivery::ExactlyOnce
    }

    fn writer(&self, _task: usize, _context: &SinkContext, _world: &World) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(*self))
    }

    fn committer(&self, _context: &SinkContext, _world: &World) -> Result<Box<dyn Committer>> {
        Ok(Box::new(NothingToCommit))
    }

    fn remove_published(&self, _lineages: &str, _world: &World) -> Result<usize> {
        Ok(0)
    }
}

#[async_trait]
impl SinkWriter for Forget {
    async fn write(&mut self, _rows: &Changes) -> Result<()> {
        Ok(())
    }

    fn prepare(&mut self, _epoch: Epoch) -> BoxFuture<'static, Result<Option<Committable>>> {
        nothing_to_prepare()
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
