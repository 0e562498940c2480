//! The binary: the allocator, and the command line on top of the library.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    beadline::cli::main(beadline::cli::session)
}
