//! Any text that may be typed: cut into statements, judged complete or not, coloured, remembered, completed.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| beadline::cli::check_typed(text));
