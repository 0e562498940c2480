//! Statements to logical plans to stream plans; checks; EXPLAIN. Opens nothing.

pub mod bind;
pub mod nodes;
mod stream_plan;

pub use stream_plan::{
    ChangelogMode, Edge, Exchange, Node, NodeKind, OnError, Output, Parallelism, SinkNode, SourceNode, StreamPlan,
    WatermarkSpec,
};
