//! `blackhole`: a sink that forgets what it is given, to measure everything before it.

use std::sync::Arc;

use async_trait::async_trait;

use super::one_phase::{NothingToCommit, only_a_sink};
use super::{
    Committable, Committer, Connector, Delivery, JobIdentity, SinkFactory, SinkMode, SinkTask, SinkWriter,
    SourceFactory, TableContext, World,
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

    fn writer(&self, _task: &SinkTask, _world: &World) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(*self))
    }

    fn committer(&self, _job: &JobIdentity, _world: &World) -> Result<Box<dyn Committer>> {
        Ok(Box::new(NothingToCommit))
    }

    fn remove_published(&self, _job: &JobIdentity, _world: &World) -> Result<usize> {
        Ok(0)
    }
}

#[async_trait]
impl SinkWriter for Forget {
    async fn write(&mut self, _rows: &Changes) -> Result<()> {
        Ok(())
    }

    async fn prepare(&mut self, _epoch: Epoch) -> Result<Option<Committable>> {
        Ok(None)
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
