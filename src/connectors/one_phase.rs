//! What sinks without a second phase share: a committer with nothing to commit, and the refusal to be read.

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use super::{Committable, Committer, History};
use crate::error::{Error, Result};
use crate::stream::Epoch;

/// Commits nothing: the rows have been shown as they came.
#[derive(Debug)]
pub(super) struct NothingToCommit;

#[async_trait]
impl Committer for NothingToCommit {
    async fn recover(&mut self, _history: &History, _pending: &[Committable]) -> Result<()> {
        Ok(())
    }

    async fn commit(&mut self, _epoch: Epoch, _staged: &[Committable]) -> Result<()> {
        Ok(())
    }
}

/// What a writer without two phases prepares.
pub(super) fn nothing_to_prepare() -> BoxFuture<'static, Result<Option<Committable>>> {
    ready(Ok(None)).boxed()
}

/// The error about reading a table that can only be written.
pub(super) fn only_a_sink(connector: &str, table: &str) -> Error {
    Error::query(format!("Connector '{connector}' can only be used as a sink. It cannot be used as a source."))
        .with_help(format!("the table `{table}` can stand behind INSERT INTO"))
}

/// The error about writing a table that can only be read.
pub(super) fn only_a_source(connector: &str, table: &str) -> Error {
    Error::query(format!("Connector '{connector}' can only be used as a source. It cannot be used as a sink."))
        .with_help(format!("the table `{table}` can stand behind FROM"))
}
