//! A job with ten million keys: what its checkpoints name, how soon it is back after a kill, and a window that fires.
//!
//! `cargo bench --bench state [-- FILTER] [-- KEYS] [-- PARALLELISM]`. Each part runs in processes of its own, so that
//! each has its own peak of memory, and one can be killed.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures with the machine's clock")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use beadline::connectors::{
    Committable, Committer, Delivery, History, JobIdentity, SinkContext, SinkFactory, SinkMode, SinkWriter, World,
};
use beadline::error::Result;
use beadline::session::{Handle, JobHandle, Outcome, Session};
use beadline::stream::{Changes, Epoch};
use futures::future::BoxFuture;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEYS: usize = 10_000_000;
/// Each key changes about every four seconds.
const SECONDS_PER_CHANGE: usize = 4;
/// How long the job runs before it is killed.
const RUN: Duration = Duration::from_secs(40);
/// Barriers in flight while a window fires.
const FIRE_BARRIERS: usize = 32;
/// Between two barriers while a window fires.
const PROBE: Duration = Duration::from_millis(100);
/// Between two looks at what the manifests name.
const LOOK: Duration = Duration::from_millis(200);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let mut numbers = arguments.iter().filter_map(|argument| argument.parse::<usize>().ok());
    let size = Size { keys: numbers.next().unwrap_or(KEYS), parallelism: numbers.next().unwrap_or(2) };
    match arguments.first().map(String::as_str) {
        Some("child-count") => return counting(Path::new(&arguments[3]), &size),
        Some("child-fire") => return firing(Path::new(&arguments[3]), &size),
        _ => {}
    }
    let filter = arguments.iter().find(|argument| argument.parse::<usize>().is_err());
    let wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter.as_str()));
    let directory = tempfile::tempdir().expect("a scratch directory");
    if wanted("restore") || wanted("space") {
        space_and_restore(directory.path(), &size);
    }
    if wanted("fire") {
        let mut child = spawn("child-fire", directory.path(), &size);
        for line in child.lines() {
            println!("fire: {line}");
        }
    }
}

struct Size {
    keys: usize,
    parallelism: usize,
}

// ------------------------------------------------------------------------------------------- the process that measures

/// A process of its own that works on one part, and says what it meets line by line.
struct Part {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

fn spawn(name: &str, directory: &Path, size: &Size) -> Part {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command.args([name, &size.keys.to_string(), &size.parallelism.to_string()]).arg(directory);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("a process");
    let output = BufReader::new(child.stdout.take().expect("its output is piped"));
    Part { child, output }
}

impl Part {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the process speaks text");
        assert!(!line.is_empty(), "the process ended before its time");
        line.trim_end().to_owned()
    }

    fn lines(&mut self) -> impl Iterator<Item = String> {
        self.output.by_ref().lines().map(|line| line.expect("the process speaks text"))
    }

    /// Megabytes of memory, of now and at most.
    fn memory(&self) -> (u64, u64) {
        memory_of(&self.child.id().to_string())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Megabytes that a process holds, and the most that it ever held; zero where the system does not say (outside Linux).
fn memory_of(process: &str) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) / 1024
    };
    (of("VmRSS:"), of("VmHWM:"))
}

fn space_and_restore(directory: &Path, size: &Size) {
    let mut job = spawn("child-count", directory, size);
    job.line();
    let started = Instant::now();
    let (mut shares, mut newest) = (Vec::new(), PathBuf::new());
    while started.elapsed() < RUN {
        std::thread::sleep(LOOK);
        let Some((path, rows, bytes, files)) = newest_manifest(directory) else { continue };
        if path != newest {
            shares.push((rows as f64 / size.keys as f64, bytes, files));
            newest = path;
        }
    }
    let (_, running) = job.memory();
    drop(job);
    let most = shares.iter().map(|share| share.0).fold(0.0, f64::max);
    let mut sorted: Vec<f64> = shares[shares.len() / 2..].iter().map(|share| share.0).collect();
    sorted.sort_by(f64::total_cmp);
    let (_, bytes, files) = shares.last().expect("a checkpoint");
    println!(
        "space: {} checkpoints in {} s; a manifest names {most:.2} times the live rows at most, {:.2} in the middle; \
         the last one {} MB in {files} files",
        shares.len(),
        RUN.as_secs(),
        sorted[sorted.len() / 2],
        bytes / 1_000_000,
    );
    let before = Instant::now();
    let mut job = spawn("child-count", directory, size);
    job.line();
    println!("restore: first row {:.2} s after exec", before.elapsed().as_secs_f64());
    let (_, restored) = job.memory();
    println!(
        "restore: {restored} MB at most until then, {running} MB at most while it ran: {:.2} times as much",
        restored as f64 / running as f64
    );
}

/// The newest manifest below this directory: its path, and rows, bytes and number of the state files that it names.
fn newest_manifest(directory: &Path) -> Option<(PathBuf, u64, u64, usize)> {
    let log = std::fs::read_dir(directory.join("count/log")).ok()?;
    let mut entries: Vec<PathBuf> = log.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort();
    entries.iter().rev().filter(|path| path.extension().is_some_and(|end| end == "json")).find_map(|path| {
        let entry: serde_json::Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        let operators = entry.get("operators")?.as_object()?;
        let tables = operators.values().filter_map(|operator| operator.get("tables")?.as_array()).flatten();
        let files: Vec<_> = tables.filter_map(|table| table.get("files")?.as_array()).flatten().collect();
        let sum = |what: &str| files.iter().filter_map(|file| file.get(what)?.as_u64()).sum();
        Some((path.clone(), sum("rows"), sum("length"), files.len()))
    })
}

// ------------------------------------------------------------------------------------------ the processes that work

fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().expect("somebody listens");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

fn session(name: &str, directory: &Path, size: &Size, interval: &str) -> Session {
    let mut session = Session::new();
    for (key, value) in [
        ("pipeline.name", name),
        ("execution.checkpointing.interval", interval),
        ("execution.checkpointing.dir", &directory.to_string_lossy()),
        ("parallelism.default", &size.parallelism.to_string()),
    ] {
        session.settings_mut().set(key, value).expect("a setting");
    }
    session
}

async fn begin(session: &mut Session, script: &str) -> JobHandle {
    match session.sql(script).await.unwrap_or_else(|error| panic!("{error}")) {
        Outcome::Job(job) => job,
        _ => panic!("an INSERT is a job"),
    }
}

/// Counts rows of random keys of 36 characters until it is killed; speaks when the first row is out.
fn counting(directory: &Path, size: &Size) {
    runtime().block_on(async {
        let mut session = session("count", directory, size, "1 s");
        let heard = Heard::default();
        session.add_table("CREATE TABLE counts (k STRING, n BIGINT)", heard.table(true)).expect("a declaration");
        let script = format!(
            "CREATE TABLE keys (k BIGINT) WITH ('connector' = 'datagen', 'fields.k.min' = '0', 'fields.k.max' = '{}',
                'rows-per-second' = '{}');
            INSERT INTO counts SELECT k, COUNT(*) FROM
                (SELECT LPAD(CAST(k AS STRING), 36, 'abcdefghijklmnopqrstuvwxyz0123456789') AS k FROM keys) GROUP BY k",
            size.keys - 1,
            size.keys / SECONDS_PER_CHANGE
        );
        let job = begin(&mut session, &script).await;
        job.wait().await.expect("it is killed, and does not fail");
    });
}

/// A window of all keys that fires, and barriers that pass meanwhile. Behind its rows come those of a later window, so
/// that the barriers stand in line with rows that wait.
fn firing(directory: &Path, size: &Size) {
    runtime().block_on(async {
        let mut session = session("fire", directory, size, "1 s");
        let heard = Heard::default();
        session.add_table("CREATE TABLE counts (k BIGINT, n BIGINT)", heard.table(false)).expect("a declaration");
        let (keys, further, further_keys) = (size.keys as u64, size.keys as u64, 1000);
        let script = format!(
            "SET 'execution.checkpointing.max-concurrent-checkpoints' = '{FIRE_BARRIERS}';
            CREATE TABLE numbers (n BIGINT, k AS CASE WHEN n < {keys} THEN n ELSE MOD(n, {further_keys}) END, ts AS TO_TIMESTAMP_LTZ(n / {keys} * 7200000, 3), WATERMARK FOR ts AS ts)
                WITH ('connector' = 'datagen', 'fields.n.kind' = 'sequence', 'fields.n.start' = '0',
                'fields.n.end' = '{}', 'rows-per-second' = '{}');
            INSERT INTO counts SELECT k, COUNT(*) FROM TUMBLE(TABLE numbers, DESCRIPTOR(ts), INTERVAL '1' HOUR)
                GROUP BY k, window_start, window_end",
            keys + further - 1,
            keys / 4,
        );
        let job = Arc::new(begin(&mut session, &script).await);
        while heard.rows() == 0 {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        let ((_, state), begun, mut asked) = (memory_of("self"), Instant::now(), Vec::new());
        while heard.rows() < keys {
            let (job, at) = (Arc::clone(&job), Instant::now());
            asked.push(tokio::spawn(async move { (at, job.checkpoint().await.expect("a checkpoint")) }));
            tokio::time::sleep(PROBE).await;
        }
        let took = begun.elapsed();
        let (_, most) = memory_of("self");
        let mut passed = Vec::new();
        for asked in asked {
            let (at, epoch) = asked.await.expect("an answer");
            passed.extend(heard.barrier(epoch).map(|met| met.saturating_duration_since(at)));
        }
        job.wait().await.expect("it ends well");
        assert_eq!(heard.rows(), keys + further_keys, "every key fires once");
        passed.sort();
        say(&format!(
            "{keys} keys in {:.2} s; {most} MB at most, {state} MB before: {:.2} times as much",
            took.as_secs_f64(),
            most as f64 / state as f64
        ));
        say(&format!(
            "{} barriers meanwhile, from the request to the last sink {:?} in the middle and {:?} at most",
            passed.len(),
            passed.get(passed.len() / 2).copied().unwrap_or_default(),
            passed.last().copied().unwrap_or_default()
        ));
    });
}

// ------------------------------------------------------------------------------------------------- a sink that counts

/// What a sink has met: rows, and when each barrier came.
#[derive(Debug, Clone, Default)]
struct Heard {
    state: Arc<Mutex<(u64, BTreeMap<Epoch, Instant>)>>,
}

impl Heard {
    fn table(&self, speaks: bool) -> Handle {
        Handle::Given { source: None, sink: Some(Arc::new(Counting { heard: self.clone(), speaks })) }
    }

    fn rows(&self) -> u64 {
        self.state.lock().expect("no panic").0
    }

    /// When this barrier came to the last task.
    fn barrier(&self, epoch: Epoch) -> Option<Instant> {
        self.state.lock().expect("no panic").1.get(&epoch).copied()
    }
}

#[derive(Debug, Clone)]
struct Counting {
    heard: Heard,
    /// The first row is told to the process that measures.
    speaks: bool,
}

impl SinkFactory for Counting {
    fn mode(&self) -> SinkMode {
        SinkMode::Retract
    }

    fn delivery(&self) -> Delivery {
        Delivery::AtLeastOnce
    }

    fn writer(&self, _: usize, _: &SinkContext, _: &World) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(self.clone()))
    }

    fn committer(&self, _: &SinkContext, _: &World) -> Result<Box<dyn Committer>> {
        Ok(Box::new(self.clone()))
    }

    fn remove_published(&self, _: &str, _: &World) -> Result<usize> {
        Ok(0)
    }

    fn foreign_files(&self, _: &JobIdentity, _: &World) -> Result<Option<String>> {
        Ok(None)
    }
}

#[async_trait]
impl SinkWriter for Counting {
    async fn write(&mut self, rows: &Changes) -> Result<()> {
        let mut state = self.heard.state.lock().expect("no panic");
        if self.speaks && state.0 == 0 {
            say("first row");
        }
        state.0 += rows.len() as u64;
        Ok(())
    }

    fn prepare(&mut self, epoch: Epoch) -> BoxFuture<'static, Result<Option<Committable>>> {
        self.heard.state.lock().expect("no panic").1.insert(epoch, Instant::now());
        Box::pin(std::future::ready(Ok(None)))
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Committer for Counting {
    async fn recover(&mut self, _: &History, _: &[Committable]) -> Result<()> {
        Ok(())
    }

    async fn commit(&mut self, _: Epoch, _: &[Committable]) -> Result<()> {
        Ok(())
    }
}
