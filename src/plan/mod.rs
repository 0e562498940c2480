//! Statements to logical plans to stream plans; checks; EXPLAIN. Opens nothing.

mod arrangement;
pub mod bind;
mod changelog_mode;
mod emit;
pub mod expand;
mod explain;
mod inner_order;
mod job;
mod kept_group;
mod lower;
pub mod nodes;
mod prepare;
pub mod process;
pub mod random;
pub mod replicate;
pub mod state_ttl;
mod stream_plan;
pub mod unnest;
pub mod unary;
mod windowed_text;
pub mod windows;
mod zones;

pub use arrangement::{Arrangement, OrderKey};
pub use changelog_mode::{ChangelogMode, Delete};
pub use emit::EmitSettings;
pub use explain::{explain, explain_batch};
pub use job::{
    LogicalQuery, Planned, bind_insert, bind_select, check_view, insert_target, plan_inserts, plan_query,
    query_columns, sink_target, type_of, view_columns,
};
pub use lower::{
    KeyedShuffle, LateSink, Materialize, PlanSettings, SinkTarget, TypeLengths, conditions_below_sessions,
    constant_rows, only_once, optimize, source_node,
};
pub use prepare::{Payload, Placed, Preparation, Prepared};
pub use stream_plan::{
    Edge, Exchange, Node, NodeKind, OnError, Output, Parallelism, SinkNode, SourceNode, StreamPlan, WatermarkAlignment,
    WatermarkSpec, WindowEnds,
};
