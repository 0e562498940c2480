//! What a table costs that is painted anew on a terminal while its query runs: the processor time of `beadline` on a
//! terminal of 24 lines, beside the same query whose changes go nowhere.
//!
//! `cargo bench --bench live [-- SECONDS] [-- ROWS_PER_SECOND]`. Rows come at a fixed pace and each changes a row that
//! stands, so that twice as many changes as rows reach the table. Runs with and without it take turns.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures with the machine's clock")]

use std::fs::File;
use std::io::Read;
use std::process::Command;
use std::time::{Duration, Instant};

use rexpect::process::{PtyProcess, Signal};

const RUNS: usize = 3;
/// Until all keys are there, a row adds one in place of changing one.
const WARM_UP: Duration = Duration::from_secs(3);
const KEYS: u32 = 50_000;

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let seconds = numbers.first().copied().unwrap_or(10);
    let rows_per_second = numbers.get(1).copied().unwrap_or(100_000);
    println!("{rows_per_second} rows a second over {KEYS} keys, {seconds} s; per cent of one core");
    let (mut without, mut live) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        without.push(share_of_core(&to_nowhere(rows_per_second), seconds));
        live.push(share_of_core(&to_a_terminal(rows_per_second), seconds));
    }
    let (without, live) = (median(&mut without), median(&mut live));
    println!("to nowhere {without:.1} · live table {live:.1} · the table alone {:.1}", live - without);
}

fn source(rows_per_second: u64) -> String {
    format!(
        "CREATE TABLE hits (k INT) WITH ('connector' = 'datagen', 'rows-per-second' = '{rows_per_second}', \
         'fields.k.min' = '1', 'fields.k.max' = '{KEYS}');"
    )
}

fn to_nowhere(rows_per_second: u64) -> String {
    let source = source(rows_per_second);
    format!(
        "{source} CREATE TABLE nowhere (k INT, n BIGINT, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'blackhole'); \
         INSERT INTO nowhere SELECT k, COUNT(*) FROM hits GROUP BY k"
    )
}

fn to_a_terminal(rows_per_second: u64) -> String {
    format!("{} SELECT k, COUNT(*) AS n FROM hits GROUP BY k", source(rows_per_second))
}

/// Runs a script on a terminal, and returns how much of a core it takes after it has warmed up, in per cent.
fn share_of_core(script: &str, seconds: u64) -> f64 {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let mut command = Command::new("sh");
    command.args(["-c", "stty rows 24 cols 80; echo $$ > pid; exec \"$@\"", "sh"]);
    command.args([env!("CARGO_BIN_EXE_beadline"), "-c", script]).current_dir(directory.path());
    command.env("TERM", "xterm-256color");
    let mut process = PtyProcess::new(command).expect("a terminal");
    let mut output = process.get_file_handle().expect("its output");
    let begun = Instant::now();
    read_until(&mut output, begun + WARM_UP);
    let pid = std::fs::read_to_string(directory.path().join("pid")).expect("the shell says its number");
    let before = ticks(pid.trim());
    read_until(&mut output, begun + WARM_UP + Duration::from_secs(seconds));
    let used = ticks(pid.trim()) - before;
    process.signal(Signal::SIGTERM).expect("the program still runs");
    // What nobody reads any more must not hold up the end; a terminal that nobody holds is an error to read.
    while matches!(output.read(&mut vec![0; 1 << 16]), Ok(1..)) {}
    process.wait().expect("its end");
    used as f64 / seconds as f64
}

/// Reads what is painted up to that moment: at least a progress line comes every half second.
fn read_until(output: &mut File, moment: Instant) {
    let mut block = vec![0; 1 << 16];
    while Instant::now() < moment {
        let length = output.read(&mut block).expect("the program still runs");
        assert!(length > 0, "the program still runs");
    }
}

/// Processor time of a process so far, in hundredths of a second: what Linux counts in.
fn ticks(pid: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a Linux with /proc");
    let behind_name = stat.rsplit(')').next().expect("a name in brackets");
    let fields: Vec<&str> = behind_name.split_whitespace().collect();
    // utime and stime are fields 14 and 15 of proc(5); the third is the first behind the name.
    [11, 12].iter().map(|field| fields[*field].parse::<u64>().expect("a number of ticks")).sum()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
