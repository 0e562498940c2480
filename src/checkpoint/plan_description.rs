//! What a plan says of itself to be compared with a checkpoint: its operators, what their state means, and what reaches
//! them.

use crate::state::OperatorId;

/// The plan of this start, as far as a checkpoint has to fit it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanDescription {
    /// The number of key groups.
    pub max_parallelism: u32,
    /// All operators that take part in checkpoints, sources and sinks among them, from the sources on.
    pub operators: Vec<OperatorDescription>,
}

/// One operator of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorDescription {
    /// What its id would be if none were like it.
    pub first_id: OperatorId,
    /// Its kind.
    pub name: String,
    /// What it does, in words that change when its state means something else; empty without state.
    pub signature: String,
    /// Of a sink whose rows only add: the query that makes them.
    pub query: String,
    /// The tables that its rows reach, sorted.
    pub reaches: Vec<String>,
    /// Digest of all that lies before and behind it.
    pub surroundings: String,
    /// The sources that its rows come from, by index into the plan's operators.
    pub sources: Vec<usize>,
}

impl OperatorDescription {
    /// Whether a restore compares it.
    pub(super) fn is_signed(&self) -> bool {
        !self.signature.is_empty()
    }
}
