//! Where blocking work (files, encoding) runs: threads of its own, or in line under the simulator.

use std::fmt::Debug;

use futures::future::BoxFuture;

use crate::error::{Error, Result};

/// Runs work that would hold up the compute threads.
pub trait Blocking: Debug + Send + Sync {
    /// Runs `work` elsewhere; the future ends when it has run. Dropping the future does not stop the work.
    fn run(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<()>>;
}

impl dyn Blocking {
    /// Runs `work` elsewhere and returns its answer.
    pub async fn call<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (send, receive) = tokio::sync::oneshot::channel();
        self.run(Box::new(move || drop(send.send(work())))).await?;
        receive.await.map_err(|_| Error::bug("blocking work ended without an answer"))
    }
}

/// Runs the work on tokio's threads for blocking calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThreadBlocking;

impl Blocking for ThreadBlocking {
    fn run(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<()>> {
        let handle = tokio::task::spawn_blocking(work);
        Box::pin(async { handle.await.map_err(|error| Error::bug(format!("blocking work failed: {error}"))) })
    }
}

/// Runs the work at once, on the caller's thread: one thread, one order, one answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct InlineBlocking;

impl Blocking for InlineBlocking {
    fn run(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<()>> {
        work();
        Box::pin(async { Ok(()) })
    }
}
