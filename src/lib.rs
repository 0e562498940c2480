//! Streaming SQL in one binary: Flink's dialect, no cluster.

/// When a checkpoint is complete.
pub mod checkpoint;
/// The command line.
pub mod cli;
/// Where rows come from and go.
pub mod connectors;
/// What can go wrong, by who can mend it.
pub mod error;
/// Compiled expressions.
pub mod expressions;
/// Places where a test lets the process die.
pub mod failpoint;
/// Bytes to rows and back.
pub mod formats;
/// The work on rows.
pub mod operators;
/// Options and how their text is read.
pub mod options;
/// Statements to stream plans.
pub mod plan;
/// The façade that programs embed.
pub mod session;
/// SQL text to statements.
pub mod sql;
/// What a query remembers.
pub mod state;
/// Files: durable, exclusive, listed.
pub mod storage;
/// The vocabulary: changes, messages, epochs, time.
pub mod stream;
