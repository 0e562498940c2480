//! The one integration-test binary: a module a subject.

mod changed;
mod contracts;
mod damage;
mod docs;
mod finished;
mod fire;
mod idle;
mod keyed_sinks;
mod kill;
mod late;
mod naming;
mod output;
mod outside;
mod plans;
mod pushed;
mod queries;
mod removed;
mod restoring;
mod simulated;
mod simulation;
mod support;
mod slt;
mod stdin;
mod stores;
mod tidy;
mod two_inputs;
