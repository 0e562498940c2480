//! A pipe that is stopped: Ctrl-C ends the program that writes the rows as well, so that the end of the input and the
//! signal come in any order. There is one outcome: no window that the watermark had not closed, no half row, and a stop.

use std::process::Command;
use std::time::Duration;

use beadline::error::Result;
use beadline::session::{Ending, Input, Outcome, Pipe, Session};
use beadline::storage::FakeStore;
use bytes::Bytes;
use rexpect::session::{PtySession, spawn_command};

use crate::simulated::{let_time_pass, published, runtime, soon, world};
use crate::support::{Scratch, Variant, full};

/// Rows of one second each, the last one cut in the middle, and an end that is held for a while.
#[derive(Debug)]
struct CutOff(Option<String>);

/// How long.
const HOLD_MS: u64 = 100;
/// Rows, of which ten make a window.
const ROWS: i64 = 35;

impl CutOff {
    fn new() -> Self {
        let rows: String = (0..ROWS).map(|n| format!("{n}000,x\n")).collect();
        Self(Some(format!("{rows}3500")))
    }
}

impl Input for CutOff {
    fn read(&mut self, _most: usize) -> Result<Bytes> {
        Ok(self.0.take().map(Bytes::from).unwrap_or_default())
    }

    fn end_hold(&self) -> Duration {
        Duration::from_millis(HOLD_MS)
    }
}

const TABLES: &str = "
CREATE TABLE stdin (ms BIGINT, v STRING, ts AS TO_TIMESTAMP_LTZ(ms, 3), WATERMARK FOR ts AS ts)
WITH ('connector' = 'stdin', 'format' = 'csv', 'csv.ignore-parse-errors' = 'false');
CREATE TABLE counted (w TIMESTAMP_LTZ(3), n BIGINT)
WITH ('connector' = 'filesystem', 'path' = '/out/counted', 'format' = 'csv');";
const WINDOWS: &str = "SELECT window_start, COUNT(*) AS n
FROM TUMBLE(TABLE stdin, DESCRIPTOR(ts), INTERVAL '10' SECOND) GROUP BY window_start, window_end";

/// Runs it with a stop so many milliseconds after everything has been read; what it publishes, and its end.
fn stopped_after(ms: u64, is_select: bool, parallelism: usize) -> (usize, Ending) {
    runtime().block_on(soon(async {
        let store = FakeStore::new();
        let pipe = Pipe::new(CutOff::new());
        let stop = pipe.stop_signal();
        let mut session = Session::in_world(world(&store, false)).with_seed(ms).with_input(pipe);
        session.settings_mut().set("parallelism.default", &parallelism.to_string()).expect("a setting");
        session.sql(TABLES).await.expect("the tables");
        let started = match is_select {
            true => session.sql(WINDOWS).await,
            false => session.sql(&format!("INSERT INTO counted {WINDOWS}")).await,
        };
        let (job, rows) = match started.expect("a job") {
            Outcome::Rows(rows) => (std::sync::Arc::clone(&rows.job), Some(rows)),
            Outcome::Job(job) => (job, None),
            _ => panic!("it runs"),
        };
        let stopping = std::sync::Arc::clone(&job);
        tokio::spawn(async move {
            while stopping.status().rows_in < ROWS as u64 {
                let_time_pass().await;
            }
            let _ = tokio::time::timeout(Duration::from_millis(ms), std::future::pending::<()>()).await;
            stop.send();
            stopping.stop().await.expect("it can be stopped");
        });
        let windows = match rows {
            Some(mut rows) => {
                let mut count = 0;
                while let Some(changes) = rows.next().await {
                    count += changes.expect("rows").len();
                }
                count
            }
            None => 0,
        };
        let ending = job.wait().await.expect("it ends well").ending;
        let windows =
            if is_select { windows } else { published(&store).remove("counted").map_or(0, |rows| rows.len()) };
        (windows, ending)
    }))
}

#[test]
fn an_end_and_a_stop_have_one_outcome_in_either_order() {
    for is_select in [true, false] {
        for parallelism in [1, 3] {
            for ms in [0, 1, HOLD_MS / 2, HOLD_MS - 5] {
                let (windows, ending) = stopped_after(ms, is_select, parallelism);
                let expected = (3, Ending::Stopped { at: None });
                assert_eq!((windows, ending), expected, "{ms} ms, select: {is_select}, parallelism {parallelism}");
            }
        }
    }
}

/// A pipeline at a terminal of its own, in one process group, as a shell starts it.
struct Pipeline {
    terminal: PtySession,
    said: String,
}

/// Longer than any of it takes.
const PATIENCE_MS: u64 = 60_000;

impl Pipeline {
    fn start(scratch: &Scratch, producer: &str, sql: &str) -> Self {
        let mut program = scratch.command(&Variant { parallelism: Some(2), ..Variant::default() });
        program.args(["--format", "csv", "--progress", "never", "--color", "never", "-c", TABLES, "-c", sql]);
        // The shell outlives the signal, as one does at which commands are typed. The terminal must not throw away what it
        // has not shown yet, as it does at Ctrl-C by itself.
        let script = format!("stty noflsh; trap : INT; {producer} | \"$0\" \"$@\"; echo \"exit $?\"");
        let mut command = Command::new("sh");
        command.current_dir(scratch.path()).args(["-c", &script]).arg(program.get_program()).args(program.get_args());
        Self { terminal: spawn_command(command, Some(PATIENCE_MS)).expect("a terminal"), said: String::new() }
    }

    /// Reads on until so many windows have been shown, then presses Ctrl-C and reads the rest.
    fn stop_after(mut self, windows: usize) -> Stopped {
        let mut seen = 0;
        while seen < windows {
            let line = self.terminal.read_line().expect("the program goes on");
            seen += usize::from(window(&line).is_some());
            self.said.push_str(&format!("{line}\n"));
        }
        self.terminal.send_control('c').expect("a terminal");
        self.end()
    }

    fn end(mut self) -> Stopped {
        self.said.push_str(&self.terminal.exp_eof().expect("it ends").replace('\r', ""));
        let windows = self.said.lines().filter_map(window).collect();
        let footer = self.said.lines().find_map(|line| Some((line, rows_in(line)?)));
        let (footer, rows_in) = footer.unwrap_or_else(|| panic!("no footer: {}", self.said));
        Stopped { windows, rows_in, is_stopped: footer.ends_with("stopped"), said: self.said.clone() }
    }
}

/// What the terminal has shown in the end.
struct Stopped {
    windows: Vec<i64>,
    rows_in: i64,
    is_stopped: bool,
    said: String,
}

impl Stopped {
    /// All windows that the rows which were read have closed, each whole, and no other.
    fn check(&self, about: &str) {
        assert!(self.is_stopped && self.said.contains("exit 130"), "{about}: {}", self.said);
        assert!(self.windows.iter().all(|count| *count == 10), "{about}: {}", self.said);
        assert_eq!(self.windows.len() as i64, (self.rows_in - 1) / 10, "{about}: {}", self.said);
        assert!(self.said.contains("rows read; what windows"), "{about}: {}", self.said);
    }
}

/// The count of a window as it is shown: `1970-01-01 00:00:10.000,10` or `+I[1970-01-01T00:00:10Z, 10]`.
fn window(line: &str) -> Option<i64> {
    let (time, count) = line.trim_end_matches(']').rsplit_once(',')?;
    time.contains("1970-").then(|| count.trim().parse().ok()).flatten()
}

/// Of `3 rows · 1,035 in · …`, in which the dots come byte by byte.
fn rows_in(line: &str) -> Option<i64> {
    let (before, _) = line.split_once(" in ").filter(|_| line.contains(" late "))?;
    before.rsplit(' ').next()?.replace(',', "").parse().ok()
}

/// Rows without end, as fast as they are taken.
const FLOOD: &str = "(n=0; while :; do echo \"${n}000,x\"; n=$((n+1)); done)";
const INSERT: &str =
    "CREATE TABLE shown (w TIMESTAMP_LTZ(3), n BIGINT) WITH ('connector' = 'print'); INSERT INTO shown ";

fn stop_floods(moments: impl Iterator<Item = usize>) {
    let scratch = Scratch::new();
    for (number, windows) in moments.enumerate() {
        let sql = format!("{}{WINDOWS}", if number % 2 == 0 { "" } else { INSERT });
        let stopped = Pipeline::start(&scratch, FLOOD, &sql).stop_after(windows);
        stopped.check(&format!("{sql} behind {windows} windows"));
    }
}

#[test]
fn ctrl_c_in_a_pipe_has_one_outcome_at_any_moment() {
    stop_floods([1, 2, 40].into_iter());
}

#[test]
fn full_ctrl_c_in_a_pipe_at_fifty_moments() {
    if full() {
        // Spread as by chance, and the same every time.
        stop_floods((1..=50).map(|number: usize| 1 + number * 7919 % 997));
    }
}

/// The pipe is quiet when it is stopped.
#[test]
fn ctrl_c_in_a_quiet_pipe_shows_no_window_of_the_future() {
    let scratch = Scratch::new();
    let rows: String = (0..ROWS).map(|n| format!("{n}000,x\n")).collect();
    std::fs::write(scratch.path().join("rows.csv"), rows).expect("room for rows");
    for insert in ["", INSERT] {
        let producer = "tail -n +1 -f rows.csv";
        let stopped = Pipeline::start(&scratch, producer, &format!("{insert}{WINDOWS}")).stop_after(3);
        assert_eq!(stopped.rows_in, ROWS);
        stopped.check(insert);
    }
}

#[test]
fn a_pipe_that_ends_at_a_terminal_has_all_its_windows() {
    let scratch = Scratch::new();
    let ended = Pipeline::start(&scratch, "printf '0,x\\n12000,x\\n13000,y'", WINDOWS).end();
    assert_eq!((ended.windows, ended.is_stopped), (vec![1, 2], false));
    assert!(ended.said.contains("exit 0"), "{}", ended.said);
}
