//! The one integration-test binary: a module a subject.

mod damage;
mod kill;
mod queries;
mod simulated;
mod simulation;
mod support;
mod tidy;
