//! Scripts on a fake engine whose jobs end when told to.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Mutex;

use arrow::array::{ArrayRef, Int64Array};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use tokio::sync::{mpsc, watch};

use super::super::render::Format;
use super::super::screen::LogFormat;
use super::super::screen::fake::{ClosedPipe, Paper};
use super::*;
use crate::error::Span;
use crate::session::{
    Arrangement, JobSettings, JobState, JobStatus, RestartFigures, RowShape, RunningJob, Settings, Statement,
    TakenCheckpoint,
};
use crate::stream::{ChangeKind, Epoch, ManualClock, MemoryPool, Zone};

/// A job that ends when it is stopped, or at once.
struct FakeJob {
    name: String,
    is_awaited: bool,
    /// What a stop leaves to go on from.
    checkpoint: Option<Epoch>,
    ending: watch::Sender<Option<Ending>>,
    stop_never_ends: bool,
}

impl FakeJob {
    fn ended(name: &str) -> Self {
        let ending = watch::Sender::new(Some(Ending::Finished));
        Self { name: name.to_owned(), is_awaited: true, checkpoint: None, ending, stop_never_ends: false }
    }

    fn endless(name: &str, checkpoint: Option<Epoch>) -> Self {
        let ending = watch::Sender::new(None);
        Self { name: name.to_owned(), is_awaited: true, checkpoint, ending, stop_never_ends: false }
    }
}

#[async_trait]
impl RunningJob for FakeJob {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_awaited(&self) -> bool {
        self.is_awaited
    }

    fn status(&self) -> JobStatus {
        JobStatus {
            state: JobState::Running,
            rows_in: 5,
            rows_out: 2,
            late: 1,
            future: 0,
            partially_late: 0,
            skipped: 0,
            bytes_in: 0,
            bytes_total: None,
            watermark: None,
            held_by: None,
            state_bytes: 0,
            checkpoints: 0,
            pause_max: Duration::ZERO,
            restarts: RestartFigures::default(),
            elapsed: Duration::from_millis(10),
        }
    }

    async fn stop(&self) -> Result<()> {
        if self.stop_never_ends {
            std::future::pending::<()>().await;
        }
        self.ending.send_replace(Some(Ending::Stopped { at: self.checkpoint }));
        Ok(())
    }

    async fn savepoint(&self, _: Option<PathBuf>) -> Result<TakenCheckpoint> {
        Ok(Epoch(1).into())
    }

    async fn stop_with_savepoint(&self, _: Option<PathBuf>) -> Result<TakenCheckpoint> {
        self.stop().await.map(|()| Epoch(1).into())
    }

    async fn drain_with_savepoint(&self, target: Option<PathBuf>) -> Result<TakenCheckpoint> {
        self.stop_with_savepoint(target).await
    }

    async fn checkpoint(&self) -> Result<Epoch> {
        Ok(Epoch(1))
    }

    async fn wait(&self) -> Result<JobSummary> {
        let mut ending = self.ending.subscribe();
        let ended = ending.wait_for(Option::is_some).await.map_err(|error| Error::bug(error.to_string()))?;
        Ok(JobSummary { ending: ended.expect("waited for"), status: self.status(), counts_in_windows: false })
    }
}

/// Answers statements in order.
#[derive(Default)]
struct FakeEngine {
    answers: VecDeque<Result<Outcome>>,
    /// The script of each statement.
    scripts: Arc<Mutex<Vec<Option<PathBuf>>>>,
    /// How many signals arrive with the first answer, and where they go.
    signals: usize,
    interrupt: Option<mpsc::Sender<()>>,
}

#[async_trait(?Send)]
impl Engine for FakeEngine {
    /// Each word is a statement.
    fn parse_each(&self, script: &str) -> Result<Vec<Result<StatementAt>>> {
        let statement = |word: &str| StatementAt {
            statement: Statement::ShowSettings,
            span: Span { start: 0, end: word.len() },
            text: word.to_owned(),
            reserved_names: Vec::new(),
        };
        Ok(script.split_whitespace().map(|word| Ok(statement(word))).collect())
    }

    async fn execute(&mut self, _statement: StatementAt, script: Option<&Path>) -> Result<Outcome> {
        self.scripts.lock().unwrap().push(script.map(Path::to_owned));
        for _ in 0..std::mem::take(&mut self.signals) {
            self.interrupt.as_ref().unwrap().send(()).await.unwrap();
        }
        self.answers.pop_front().unwrap_or(Ok(Outcome::Done))
    }

    fn settings(&self) -> Result<JobSettings> {
        Settings::new().job()
    }
}

struct Run {
    exit: Exit,
    rows: String,
    rest: String,
    scripts: Vec<Option<PathBuf>>,
}

#[derive(Default)]
struct Case {
    script: &'static str,
    answers: Vec<Result<Outcome>>,
    keep_going: bool,
    /// Signals that arrive while the first statement starts.
    signals: usize,
    pipe_is_closed: bool,
}

fn run(case: Case) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (rows, rest) = (Paper::default(), Paper::default());
        let screen = match case.pipe_is_closed {
            true => Screen::of_test(ClosedPipe, rest.clone(), false),
            false => Screen::of_test(rows.clone(), rest.clone(), false),
        };
        let (send, receive) = mpsc::channel(8);
        let engine = FakeEngine {
            answers: case.answers.into(),
            signals: case.signals,
            interrupt: Some(send),
            ..FakeEngine::default()
        };
        let scripts = Arc::clone(&engine.scripts);
        let look = Look {
            format: Format::Auto,
            is_terminal: false,
            has_colour: false,
            max_rows: None,
            width: 80,
            max_column_width: 30,
            zone: Zone::UTC,
        };
        let manner = Manner { look, pager: None, keep_going: case.keep_going, is_interactive: false, has_footer: true };
        let clock = Arc::new(ManualClock::default());
        let runner = Runner::new(engine, Arc::new(screen), manner, clock, Interrupts::scripted(receive));
        let script = ScriptText {
            name: "dir/late.sql".to_owned(),
            path: Some("dir/late.sql".into()),
            text: case.script.to_owned(),
        };
        let exit = runner.run(vec![script]).await;
        let scripts = scripts.lock().unwrap().clone();
        Run { exit, rows: rows.text(), rest: rest.text(), scripts }
    })
}

fn numbers(values: &[i64]) -> RecordBatch {
    RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(values.to_vec())) as ArrayRef)]).unwrap()
}

/// The rows of a SELECT whose job ends by itself.
fn rows_of(source: BoxStream<'static, Result<Changes>>, is_updating: bool, is_bounded: bool) -> RowStream {
    let schema = numbers(&[]).schema();
    let shape = RowShape {
        keys: Vec::new(),
        all: Arc::clone(&schema),
        shown: schema,
        is_updating,
        wants_changes: false,
        is_bounded,
        is_live: !is_bounded,
        keeps_late: false,
        arrangement: Arrangement::none(1),
    };
    RowStream::new(shape, source, Arc::new(FakeJob::ended("")), &MemoryPool::new(None)).unwrap()
}

/// 1, which becomes 2.
fn select(is_updating: bool, is_bounded: bool) -> Outcome {
    use ChangeKind::*;
    let changes = Changes::new(numbers(&[1, 1, 2]), vec![Insert, UpdateBefore, UpdateAfter]);
    Outcome::Rows(Box::new(rows_of(stream::iter([Ok(changes)]).boxed(), is_updating, is_bounded)))
}

#[test]
fn statements_come_with_the_file_that_names_their_jobs() {
    let answers = vec![Ok(Outcome::Done), Ok(Outcome::Job(Arc::new(FakeJob::ended("late-hours"))))];
    let run = run(Case { script: "create insert set insert", answers, ..Case::default() });
    assert_eq!(run.scripts, vec![Some(PathBuf::from("dir/late.sql")); 4]);
    assert_eq!((run.exit, run.rows.as_str()), (Exit::Success, ""));
    assert_eq!(run.rest, "late-hours: 2 rows · 5 in · 0.01 s · late 1\n");
}

#[test]
fn rows_go_to_stdout_and_the_footer_to_stderr() {
    let endless = run(Case { script: "select", answers: vec![Ok(select(true, false))], ..Case::default() });
    assert_eq!(endless.rows, "{\"op\":\"+I\",\"n\":1}\n{\"op\":\"-U\",\"n\":1}\n{\"op\":\"+U\",\"n\":2}\n");
    // The fake's job has left a row out, and a SELECT says so.
    let warned = |rest: &str| rest.contains("\nwarning: 1 row came too late for its window and is not in the result.");
    assert!(endless.rest.starts_with("3 rows · 5 in · 0.01 s · late 1\n") && warned(&endless.rest), "{}", endless.rest);
    let bounded = run(Case { script: "select", answers: vec![Ok(select(true, true))], ..Case::default() });
    assert_eq!(bounded.rows, "{\"n\":2}\n");
    assert!(bounded.rest.starts_with("1 row · 5 in · 0.01 s · late 1\n") && warned(&bounded.rest), "{}", bounded.rest);
}

#[test]
fn the_first_error_ends_the_run_unless_told_otherwise() {
    let failing = || vec![Err(Error::query("no such table").with_span(Span { start: 0, end: 1 })), Ok(Outcome::Done)];
    let stopped = run(Case { script: "a b", answers: failing(), ..Case::default() });
    assert_eq!((stopped.exit, stopped.scripts.len()), (Exit::Failed, 1));
    assert!(stopped.rest.contains("--> dir/late.sql:1:1"), "{}", stopped.rest);
    let went_on = run(Case { script: "a b", answers: failing(), keep_going: true, ..Case::default() });
    assert_eq!((went_on.exit, went_on.scripts.len()), (Exit::Failed, 2));
}

#[test]
fn a_signal_stops_with_a_checkpoint_and_says_how_to_go_on() {
    let job = FakeJob::endless("late-hours", Some(Epoch(12)));
    let answers = vec![Ok(Outcome::Job(Arc::new(job)))];
    let run = run(Case { script: "insert b", answers, signals: 1, ..Case::default() });
    assert_eq!((run.exit, run.scripts.len()), (Exit::Success, 1), "{}", run.rest);
    assert!(run.rest.contains("stopped at checkpoint 12; the same command goes on"), "{}", run.rest);
}

#[test]
fn a_stop_with_nothing_to_go_on_from_is_an_interruption() {
    let answers = vec![Ok(Outcome::Job(Arc::new(FakeJob::endless("late-hours", None))))];
    assert_eq!(run(Case { script: "insert", answers, signals: 1, ..Case::default() }).exit, Exit::Interrupted);
}

#[test]
fn a_second_signal_ends_at_once() {
    let job = FakeJob { stop_never_ends: true, ..FakeJob::endless("late-hours", Some(Epoch(1))) };
    let answers = vec![Ok(Outcome::Job(Arc::new(job)))];
    assert_eq!(run(Case { script: "insert", answers, signals: 2, ..Case::default() }).exit, Exit::Interrupted);
}

#[test]
fn a_job_over_unbounded_input_goes_on_and_is_awaited_at_the_end() {
    let job = Arc::new(FakeJob { is_awaited: false, ..FakeJob::endless("late-hours", Some(Epoch(3))) });
    let ending = job.ending.clone();
    ending.send_replace(None);
    let rows = stream::once(async move {
        ending.send_replace(Some(Ending::Finished));
        Ok(Changes::inserts(numbers(&[7])))
    });
    let after = rows_of(rows.boxed(), false, true);
    let run = run(Case {
        script: "insert select",
        answers: vec![Ok(Outcome::Job(job)), Ok(Outcome::Rows(Box::new(after)))],
        ..Case::default()
    });
    assert_eq!((run.exit, run.rows.as_str()), (Exit::Success, "{\"n\":7}\n"));
    assert!(run.rest.starts_with("note: job late-hours is running\n1 row"), "{}", run.rest);
    assert!(run.rest.ends_with("late-hours: 2 rows · 5 in · 0.01 s · late 1\n"), "{}", run.rest);
}

#[test]
fn an_error_stops_the_jobs_that_go_on() {
    let job = Arc::new(FakeJob { is_awaited: false, ..FakeJob::endless("late-hours", Some(Epoch(3))) });
    let answers = vec![Ok(Outcome::Job(job)), Err(Error::query("wrong"))];
    let run = run(Case { script: "insert b", answers, ..Case::default() });
    assert_eq!(run.exit, Exit::Failed);
    assert!(run.rest.contains("stopped at checkpoint 3"), "{}", run.rest);
}

#[test]
fn a_closed_pipe_ends_in_silence() {
    let answers = vec![Ok(select(false, true)), Ok(Outcome::Done)];
    let run = run(Case { script: "select b", answers, pipe_is_closed: true, ..Case::default() });
    assert_eq!((run.exit, run.scripts.len(), run.rest.as_str()), (Exit::Success, 1, ""));
}

/// What is written off a terminal while an endless job goes on, which is looked at every five seconds for so long. Its
/// figures never change.
fn watched_for(seconds: u64, log: LogFormat) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let rest = Paper::default();
        let clock = Arc::new(ManualClock::default());
        let screen = Screen::of_log(rest.clone(), log, Arc::clone(&clock) as Arc<dyn Clock>);
        let look = Look { is_terminal: false, ..super::super::render::samples::pipe(Format::Auto) };
        let manner = Manner { look, pager: None, keep_going: false, is_interactive: false, has_footer: true };
        let (_send, receive) = mpsc::channel(1);
        let interrupts = Interrupts::scripted(receive);
        let mut runner = Runner::new(FakeEngine::default(), Arc::new(screen), manner, clock.clone(), interrupts);
        runner.background.push(Arc::new(FakeJob::endless("late-hours", None)));
        for _ in 0..seconds / 5 {
            clock.advance(Duration::from_secs(5));
            runner.look_after(None);
        }
        rest.text()
    })
}

#[test]
fn off_a_terminal_a_job_says_how_it_is_in_plain_lines_with_a_time() {
    assert_eq!(watched_for(5, LogFormat::Text), "");
    let text = watched_for(140, LogFormat::Text);
    let figures = |time: &str| format!("1970-01-01 00:{time}.000 late-hours: 5 in · 500/s · late 1\n");
    let silence =
        "1970-01-01 00:00:15.000 note: job late-hours: no rows have come out for 10 s: none have come in for 10 s\n";
    assert_eq!(text, figures("00:10") + silence + &figures("01:10") + &figures("02:10"));
    assert!(!text.contains(|character: char| character.is_control() && character != '\n'));
    let objects = watched_for(15, LogFormat::Json);
    let levels: Vec<String> = objects
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["level"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(levels, ["figures", "note"]);
}
