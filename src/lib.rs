//! Streaming SQL in one binary: Flink's dialect, no cluster.
//!
//! The modules stand in the order in which a query passes through them; each imports only what stands below it in the
//! table of `docs/ARCHITECTURE.md`.
#![doc = include_str!("../docs/embedding.md")]

/// The façade that programs embed: sessions, jobs, streams of rows.
pub mod session;
/// The command line.
pub mod cli;

/// SQL text to statements.
pub mod sql;
/// Names to tables and views.
pub mod catalog;
/// Statements to logical plans to stream plans.
pub mod plan;
/// The same logical plans over bounded tables, run by DataFusion.
pub mod batch;
/// Stream plans as running tasks.
pub mod runtime;

/// The work on rows.
pub mod operators;
/// Compiled expressions, and the functions where Flink differs.
pub mod expressions;
/// What a query remembers: tables, snapshots, files, the job's log.
pub mod state;
/// When a checkpoint is complete: decisions without I/O.
pub mod checkpoint;
/// Where rows come from and where they go.
pub mod connectors;
/// Bytes to rows and back.
pub mod formats;
/// Files: durable, exclusive, listed.
pub mod storage;

/// The vocabulary of a running query: changes, messages, epochs, time.
pub mod stream;
/// Options and how their text is read.
pub mod options;
/// What can go wrong, by who can mend it.
pub mod error;
/// Places where a test lets the process die.
pub mod failpoint;
