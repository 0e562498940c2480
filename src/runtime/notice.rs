//! What a job tells the user beside its rows.

use std::sync::Arc;

/// Something to tell the user beside the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// What happens, for whoever looks: `resumed job a from checkpoint 12`.
    Note(String),
    /// Something that is probably not meant, or is not as it should be: shown to those too who want it quiet.
    Warning(String),
}

/// Takes notes and warnings, from any thread.
pub type Notices = Arc<dyn Fn(Notice) + Send + Sync>;
