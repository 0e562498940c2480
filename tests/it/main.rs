//! The one integration-test binary: a module a subject.

mod kill;
mod plans;
mod queries;
mod support;
mod slt;
mod tidy;
