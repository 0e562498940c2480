//! A world in which everything is decided by the test: files that a crash forgets, time that only moves when nothing
//! else can, one thread, and an order of tasks that follows from a seed.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use beadline::connectors::World;
use beadline::error::{Error, Result};
use beadline::session::{Ending, JobHandle, JobSummary, Outcome, Session};
use beadline::storage::{FakeStore, Store, Stores};
use beadline::stream::{Blocking, Clock, Entropy, InlineBlocking, ProcTime};
use futures::future::BoxFuture;

use crate::support::checkout;

/// What is published, by table: sorted rows.
pub type Published = BTreeMap<String, Vec<String>>;

/// Longer than anything that a test waits for: with paused time this passes at once when nothing else can happen.
const NOTHING_CAN_RUN: Duration = Duration::from_secs(7 * 24 * 3600);

/// The main job without its source file.
const TABLES: &str = "
CREATE TABLE flights (
  sched TIMESTAMP(3), dep TIMESTAMP(3), carrier STRING, flight INT, origin STRING, dest STRING,
  WATERMARK FOR sched AS sched - INTERVAL '60' MINUTE
) WITH ('connector' = 'filesystem', 'path' = '/in/flights.csv', 'format' = 'csv');
CREATE TABLE departures (hour_start TIMESTAMP(3), origin STRING, flights BIGINT)
WITH ('connector' = 'filesystem', 'path' = '/out/departures', 'format' = 'csv');
CREATE TABLE late_flights (
  sched TIMESTAMP(3), dep TIMESTAMP(3), carrier STRING, flight INT, origin STRING, dest STRING,
  `watermark` TIMESTAMP(3), window_end TIMESTAMP(3), lateness_ms BIGINT, reason STRING
) WITH ('connector' = 'filesystem', 'path' = '/out/late_flights', 'format' = 'csv');";

const INSERT: &str = "
INSERT INTO departures
SELECT window_start, origin, COUNT(*)
FROM TUMBLE(TABLE flights, DESCRIPTOR(sched), INTERVAL '1' HOUR)
GROUP BY window_start, window_end, origin
LATE RECORDS INTO late_flights;";

/// Tokio's time, which moves on when no task can run.
#[derive(Debug)]
struct PausedClock {
    start: tokio::time::Instant,
}

impl Clock for PausedClock {
    fn now(&self) -> ProcTime {
        ProcTime(0).after(self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Work with files that takes now more, now less time (one piece in seven by far the most), as on threads, so that what
/// was begun later may be done first; it goes on when whoever waits for it is gone.
#[derive(Debug)]
struct SlowBlocking {
    /// Decides how long each piece of work waits for its turn.
    seed: u64,
    calls: AtomicU64,
}

impl Blocking for SlowBlocking {
    fn run(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, Result<()>> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let is_longest = call % 7 == self.seed % 7;
        let millis = (call + self.seed).wrapping_mul(37 + 2 * self.seed) % 101;
        let time = Duration::from_millis(if is_longest { 20 * millis } else { millis });
        let running = tokio::spawn(async move {
            let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
            work();
        });
        Box::pin(async { running.await.map_err(|error| Error::bug(format!("blocking work failed: {error}"))) })
    }
}

/// A world over this disk, within a runtime of [`runtime`].
pub fn world(store: &FakeStore, is_slow: bool) -> World {
    seeded_world(store, is_slow, 0)
}

/// The same; the seed decides in which order slow work gets done.
#[expect(clippy::disallowed_methods, reason = "paused time: the test decides what it is")]
fn seeded_world(store: &FakeStore, is_slow: bool, seed: u64) -> World {
    World {
        entropy: Entropy::seeded(seed),
        stores: Stores::new(Arc::new(store.clone())),
        clock: Arc::new(PausedClock { start: tokio::time::Instant::now() }),
        blocking: match is_slow {
            true => Arc::new(SlowBlocking { seed, calls: AtomicU64::new(0) }),
            false => Arc::new(InlineBlocking),
        },
        input: Arc::default(),
        outputs: Default::default(),
    }
}

/// One thread, paused time.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// Waits for something that happens in any case: when no task can run and no timer is set, the test has failed.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(NOTHING_CAN_RUN, what).await.expect("no task can run: the job hangs")
}

/// Lets a moment of the paused time pass, and whatever waits for it run.
pub async fn let_time_pass() {
    let _ = tokio::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
}

/// How one start of the main job is made.
#[derive(Debug, Clone)]
pub struct Start {
    pub seed: u64,
    pub parallelism: usize,
    pub every_rows: usize,
    pub fresh: bool,
    /// Whether work with files takes time.
    pub is_slow: bool,
    /// Further settings.
    pub settings: Vec<(&'static str, String)>,
    /// Replaced in the statements: a changed query.
    pub changes: &'static [(&'static str, &'static str)],
}

impl Default for Start {
    fn default() -> Self {
        Self {
            seed: 1,
            parallelism: 2,
            every_rows: 50,
            fresh: false,
            is_slow: false,
            settings: Vec::new(),
            changes: &[],
        }
    }
}

impl Start {
    /// Starts the main job within the runtime of the caller.
    pub async fn begin(&self, store: &FakeStore) -> Result<JobHandle> {
        let world = seeded_world(store, self.is_slow, self.seed);
        self.begin_in(Session::in_world(world).with_seed(self.seed)).await
    }

    /// The same in a world of the test's own.
    pub async fn begin_in(&self, session: Session) -> Result<JobHandle> {
        let mut session = session.with_fresh(self.fresh);
        let settings = session.settings_mut();
        settings.set("pipeline.name", "main")?;
        settings.set("execution.checkpointing.dir", "/checkpoints")?;
        settings.set("parallelism.default", &self.parallelism.to_string())?;
        settings.set("beadline.checkpoint.every-rows", &self.every_rows.to_string())?;
        for (key, value) in &self.settings {
            settings.set(key, value)?;
        }
        let mut script = format!("{TABLES}{INSERT}");
        for (from, to) in self.changes {
            assert!(script.contains(*from), "{from} is not in the main job");
            script = script.replace(from, to);
        }
        match session.sql(&script).await? {
            Outcome::Job(job) => Ok(job),
            _ => Err(Error::bug("an INSERT is a job")),
        }
    }

    /// Runs the main job to its end, however that comes about.
    pub fn run(&self, store: &FakeStore) -> Result<JobSummary> {
        runtime().block_on(soon(async { self.begin(store).await?.wait().await }))
    }

    /// Runs it, and it must finish.
    pub fn finish(&self, store: &FakeStore) -> JobSummary {
        let summary = self.run(store).unwrap_or_else(|error| panic!("{self:?} failed: {error}"));
        assert_eq!(summary.ending, Ending::Finished, "{self:?}");
        summary
    }

    /// Runs it once more, however it was left.
    pub fn finish_again(&self, store: &FakeStore) -> Ending {
        self.run(store).unwrap_or_else(|error| panic!("{self:?} failed: {error}")).ending
    }

    /// Runs it until some checkpoints are complete and then stops it with one more.
    pub fn stop_after(&self, store: &FakeStore, checkpoints: usize) -> JobSummary {
        let stopped = runtime().block_on(soon(async {
            let job = self.begin(store).await?;
            for _ in 0..checkpoints {
                job.checkpoint().await?;
            }
            job.stop().await?;
            job.wait().await
        }));
        let summary = stopped.unwrap_or_else(|error| panic!("{self:?} failed: {error}"));
        assert!(matches!(summary.ending, Ending::Stopped { at: Some(_) }), "{self:?}: {summary:?}");
        summary
    }

    /// Runs it for one checkpoint and stops it, unless it ends before.
    pub fn stop_or_finish(&self, store: &FakeStore) {
        let ended = runtime().block_on(soon(async {
            let job = self.begin(store).await?;
            let _ = job.checkpoint().await;
            job.stop().await?;
            job.wait().await
        }));
        ended.unwrap_or_else(|error| panic!("{self:?} failed: {error}"));
    }

    /// Runs it and leaves it as a kill would once so many checkpoints are complete.
    pub fn kill_after(&self, store: &FakeStore, checkpoints: usize) {
        runtime().block_on(soon(async {
            let job = self.begin(store).await.expect("it starts");
            for _ in 0..checkpoints {
                job.checkpoint().await.expect("it takes checkpoints");
            }
        }));
        store.restart();
    }
}

/// A disk with these rows of the week of flights; from row 600 on many are late.
pub fn disk(rows: std::ops::Range<usize>) -> FakeStore {
    let text = std::fs::read_to_string(checkout().join("queries/data/flights_week1.csv")).expect("the week of flights");
    let lines: String = text.lines().skip(rows.start).take(rows.len()).map(|line| format!("{line}\n")).collect();
    let store = FakeStore::new();
    store.put_if_absent(Path::new("/in/flights.csv"), lines.as_bytes()).expect("room for the input");
    store
}

/// The public rows of every table below `/out`.
pub fn published(store: &FakeStore) -> Published {
    let mut tables = Published::new();
    for (path, bytes) in store.files() {
        let Ok(relative) = path.strip_prefix("/out") else { continue };
        let mut parts = relative.iter().map(|part| part.to_string_lossy().into_owned());
        let (Some(table), Some(file)) = (parts.next(), parts.next()) else { continue };
        let rows = tables.entry(table).or_default();
        if !file.starts_with('.') {
            rows.extend(String::from_utf8_lossy(&bytes).lines().map(str::to_owned));
        }
    }
    tables.values_mut().for_each(|rows| rows.sort());
    tables
}

/// A disk with the same files, of which one has other content or is gone.
pub fn damaged(store: &FakeStore, damaged: &Path, content: Option<&[u8]>) -> FakeStore {
    let copy = FakeStore::new();
    for (path, bytes) in store.files() {
        let bytes = if path == damaged { content } else { Some(bytes.as_slice()) };
        if let Some(bytes) = bytes {
            copy.put_if_absent(&path, bytes).expect("room for a copy");
        }
    }
    copy
}

/// The files of a disk that belong to nobody once the job has finished: pending output and halves of writes, but not
/// the markers of what is public.
pub fn leftovers(store: &FakeStore) -> Vec<String> {
    let names = store.files().into_keys().map(|path| path.display().to_string());
    names.filter(|name| name.contains("/.") && !name.contains("/.committed-")).collect()
}

/// Names what is missing and what is too much.
pub fn assert_same(found: &Published, expected: &Published, what: &str) {
    for (table, rows) in expected {
        let nothing = Vec::new();
        let found = found.get(table).unwrap_or(&nothing);
        let missing: Vec<_> = rows.iter().filter(|row| !found.contains(row)).collect();
        let other: Vec<_> = found.iter().filter(|row| !rows.contains(row)).collect();
        assert!(
            found == rows,
            "after {what}, table {table}: {missing:?} missing, {other:?} added, {} rows",
            found.len()
        );
    }
}
