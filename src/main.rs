//! The binary: the allocator, and the command line on top of the library.

use std::process::ExitCode;

use async_trait::async_trait;
use beadline::cli::Engine;
use beadline::error::{Error, Result};
use beadline::session::{JobSettings, Outcome, StatementAt};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    beadline::cli::main(|_start| Err::<Unfitted, _>(Error::bug("the session is not fitted to the command line yet")))
}

/// Stands where the session's adapter goes; there is no value of it.
enum Unfitted {}

#[async_trait(?Send)]
impl Engine for Unfitted {
    fn parse(&self, _script: &str) -> Result<Vec<StatementAt>> {
        match *self {}
    }

    async fn execute(&mut self, _statement: StatementAt, _job: Option<&str>) -> Result<Outcome> {
        match *self {}
    }

    fn settings(&self) -> Result<JobSettings> {
        match *self {}
    }
}
