//! The one integration-test binary: a module a subject.

mod kill;
mod queries;
mod support;
mod slt;
mod tidy;
