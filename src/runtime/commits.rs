//! Commits: who makes prepared rows public, and the patience with an outside world that refuses for now.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::connectors::{Committable, Committer};
use crate::error::Result;
use crate::stream::Epoch;

/// How often a commit that failed for the outside world's sake is tried again before the job restarts.
const COMMIT_ATTEMPTS: u32 = 5;
const COMMIT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// The committer of each sink that is at rest, by the sink's name.
pub type Committers = BTreeMap<String, Box<dyn Committer>>;

/// Commits what a checkpoint holds of one sink; what the outside world refuses for now is tried again a few times.
pub async fn commit(committer: &mut dyn Committer, sink: &str, epoch: Epoch, staged: &[Committable]) -> Result<()> {
    let mut attempt = 0;
    while let Err(error) = committer.commit(epoch, staged).await {
        attempt += 1;
        if !error.is_retryable() || attempt >= COMMIT_ATTEMPTS {
            return Err(error.context(format!("commit of epoch {epoch} to {sink}")));
        }
        tokio::time::sleep(COMMIT_RETRY_DELAY * attempt).await;
    }
    Ok(())
}
