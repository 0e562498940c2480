//! Runs scripts statement by statement: prints rows, waits for jobs, hears signals.
//!
//! A job over bounded input is waited for; others go on and are awaited together at the end. The first error ends the
//! run, unless told otherwise; whatever still runs is then stopped with a checkpoint.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::time::{Interval, MissedTickBehavior};

use super::engine::Engine;
use super::interrupt::{Interrupts, Presses, Wish};
use super::live::{self, FrameLook};
use super::render::{Format, Look, PagedRenderer, Renderer, Shape, renderer};
use super::report::{error_text, notice_text};
use super::screen::Screen;
use super::{Exit, Failure, footer};
use crate::error::{Error, Result};
use crate::session::{Ending, JobHandle, JobSummary, Notice, Outcome, ResultMode, RowStream, Standing, StatementAt};
use crate::stream::{Changes, Clock};

/// How often a progress line changes, and how long a table waits for more rows before it chooses widths.
const TICK: Duration = Duration::from_millis(500);

/// SQL and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptText {
    /// For messages.
    pub name: String,
    /// The file, if it is one: it names jobs.
    pub path: Option<PathBuf>,
    /// The SQL.
    pub text: String,
}

/// The flags that matter once scripts run.
#[derive(Debug, Clone)]
pub struct Manner {
    pub look: Look,
    /// What shows a bounded result that is taller than the terminal.
    pub pager: Option<String>,
    pub keep_going: bool,
}

/// Runs scripts on one engine.
pub struct Runner<E> {
    engine: E,
    screen: Arc<Screen>,
    manner: Manner,
    clock: Arc<dyn Clock>,
    interrupts: Interrupts,
    presses: Presses,
    ticks: Interval,
    /// Jobs that go on while the script does.
    background: Vec<JobHandle>,
    /// A stop of all jobs that is under way.
    stop: Option<BoxFuture<'static, Vec<Error>>>,
    was_interrupted: bool,
    /// A job was stopped that nothing can go on from.
    lost: bool,
    failed: bool,
}

impl<E: Engine> Runner<E> {
    /// A runner; needs a tokio runtime with time.
    pub fn new(engine: E, screen: Arc<Screen>, manner: Manner, clock: Arc<dyn Clock>, interrupts: Interrupts) -> Self {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            engine,
            screen,
            manner,
            clock,
            interrupts,
            presses: Presses::default(),
            ticks,
            background: Vec::new(),
            stop: None,
            was_interrupted: false,
            lost: false,
            failed: false,
        }
    }

    /// Runs all scripts and says how the process should exit.
    pub async fn run(mut self, scripts: Vec<ScriptText>) -> Exit {
        for script in &scripts {
            match self.script(script).await {
                Ok(()) if self.was_interrupted => break,
                Ok(()) => {}
                Err(Failure::Error(error)) => {
                    self.report(&error, script);
                    if !self.manner.keep_going {
                        return self.end(Exit::Failed).await;
                    }
                }
                Err(Failure::Closed) => return self.end(Exit::Success).await,
                Err(Failure::Aborted) => return Exit::Interrupted,
            }
        }
        self.await_background().await
    }

    /// Runs one script. With `--keep-going` its errors are reported here.
    async fn script(&mut self, script: &ScriptText) -> Result<(), Failure> {
        let statements = self.engine.parse(&script.text)?;
        for statement in statements {
            match self.statement(statement, script.path.as_deref()).await {
                Err(Failure::Error(error)) if self.manner.keep_going => self.report(&error, script),
                other => other?,
            }
            if self.was_interrupted {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn statement(&mut self, statement: StatementAt, script: Option<&Path>) -> Result<(), Failure> {
        let executed = tokio::select! {
            biased;
            outcome = self.engine.execute(statement, script) => Some(outcome),
            () = self.interrupts.next() => None,
        };
        let Some(outcome) = executed else {
            // There is no job yet that could take a checkpoint.
            self.presses.press(self.clock.elapsed());
            self.was_interrupted = true;
            self.lost = true;
            return Ok(());
        };
        match outcome? {
            Outcome::Done => Ok(()),
            Outcome::Text(text) => {
                let end = if text.ends_with('\n') { "" } else { "\n" };
                self.screen.rows(format!("{text}{end}").as_bytes())
            }
            Outcome::Table(schema, batches) => {
                let mut renderer =
                    self.renderer(Shape { schema, is_updating: false, is_bounded: true }, self.manner.look.max_rows)?;
                let mut out = Vec::new();
                for batch in batches {
                    renderer.rows(&Changes::inserts(batch), &mut out)?;
                }
                renderer.finish(&mut out);
                self.screen.rows(&out)
            }
            Outcome::Rows(rows) => self.select(*rows).await,
            Outcome::Job(job) if job.is_awaited() => self.insert(job).await,
            Outcome::Job(job) => {
                self.screen.note(&format!("note: job {} is running", job.name()));
                self.background.push(job);
                Ok(())
            }
        }
    }

    /// Prints the rows of a SELECT as they come.
    async fn select(&mut self, mut rows: RowStream) -> Result<(), Failure> {
        let job = Arc::clone(&rows.job);
        if let Some(standing) = self.live_table(&mut rows)? {
            return self.watch(rows, standing).await;
        }
        let shape =
            Shape { schema: Arc::clone(&rows.schema), is_updating: rows.is_changelog, is_bounded: rows.is_bounded };
        let max_rows = self.manner.look.max_rows.filter(|_| !rows.is_live);
        let mut renderer = match self.renderer(shape, max_rows) {
            Ok(renderer) => renderer,
            Err(error) => {
                self.stop_quietly(&job).await;
                return Err(error.into());
            }
        };
        if let Some(pager) = self.manner.pager.clone().filter(|_| rows.is_bounded && !rows.is_live) {
            let (screen, lines) = (Arc::clone(&self.screen), self.screen.lines());
            renderer = Box::new(PagedRenderer::new(renderer, screen, pager, lines));
        }
        let shown = match self.print(&mut rows, renderer.as_mut()).await {
            Ok(shown) => shown,
            Err(failure) => {
                if !matches!(failure, Failure::Aborted) {
                    self.stop_quietly(&job).await;
                }
                return Err(failure);
            }
        };
        let keeps_late = rows.keeps_late;
        drop(rows);
        self.end_select(&job, shown, keeps_late).await
    }

    /// Whether a result is shown as one table that changes: on a terminal, if its rows change while somebody may watch.
    fn live_table(&self, rows: &mut RowStream) -> Result<Option<Standing>> {
        let is_drawn = matches!(self.manner.look.resolved(), Format::Table | Format::Chart);
        Ok(if self.screen.can_repaint && is_drawn { rows.take_standing() } else { None })
    }

    /// Shows the rows that stand, then the last of them as a result.
    async fn watch(&mut self, mut rows: RowStream, standing: Standing) -> Result<(), Failure> {
        let job = Arc::clone(&rows.job);
        let settings = self.engine.settings()?;
        let look = FrameLook {
            zone: settings.time_zone,
            has_colour: self.manner.look.has_colour,
            max_column_width: settings.max_column_width,
            is_chart: self.manner.look.format == Format::Chart,
        };
        let (screen, clock) = (Arc::clone(&self.screen), Arc::clone(&self.clock));
        let shown = live::show(&mut rows, standing, look, &screen, clock.as_ref());
        let last = match self.attend(Some(&job), shown, None).await.and_then(|shown| shown) {
            Ok(last) => last,
            Err(failure) => {
                if !matches!(failure, Failure::Aborted) {
                    self.stop_quietly(&job).await;
                }
                return Err(failure);
            }
        };
        let shape = Shape { schema: last.schema(), is_updating: false, is_bounded: true };
        let mut renderer = self.renderer(shape, self.manner.look.max_rows)?;
        let mut out = Vec::new();
        renderer.rows(&last, &mut out)?;
        renderer.finish(&mut out);
        self.screen.rows(&out)?;
        self.end_select(&job, last.len() as u64, rows.keeps_late).await
    }

    /// Waits for the end of a SELECT whose rows have been shown, and says what there is to say.
    async fn end_select(&mut self, job: &JobHandle, shown: u64, keeps_late: bool) -> Result<(), Failure> {
        let waited = Arc::clone(job);
        let summary = self.attend(Some(job), async move { waited.wait().await }, None).await??;
        self.ended(job.name(), Some(shown), &summary);
        if summary.status.late > 0 && !keeps_late {
            show_notice(&self.screen, &Notice::Warning(footer::left_out(summary.status.late)));
        }
        Ok(())
    }

    /// Reads `rows` to their end; returns how many were printed.
    async fn print(&mut self, rows: &mut RowStream, renderer: &mut dyn Renderer) -> Result<u64, Failure> {
        let job = Arc::clone(&rows.job);
        let mut shown = 0;
        let mut out = Vec::new();
        while let Some(changes) = self.attend(Some(&job), rows.next(), Some(&mut *renderer)).await? {
            let changes = changes?;
            shown += changes.len() as u64;
            renderer.rows(&changes, &mut out)?;
            self.screen.rows(&out)?;
            out.clear();
        }
        renderer.finish(&mut out);
        self.screen.rows(&out)?;
        Ok(shown)
    }

    /// Waits for an INSERT.
    async fn insert(&mut self, job: JobHandle) -> Result<(), Failure> {
        let waited = Arc::clone(&job);
        let summary = self.attend(Some(&job), async move { waited.wait().await }, None).await??;
        self.ended(job.name(), None, &summary);
        Ok(())
    }

    /// Waits for the jobs that went on while the script did.
    async fn await_background(mut self) -> Exit {
        while let Some(job) = self.background.first().cloned() {
            if self.was_interrupted && self.stop.is_none() {
                self.start_stop(None);
            }
            let waited = Arc::clone(&job);
            match self.attend(Some(&job), async move { waited.wait().await }, None).await {
                Ok(Ok(summary)) => self.ended(job.name(), None, &summary),
                Ok(Err(error)) => {
                    self.report_of_job(job.name(), &error);
                    if !self.manner.keep_going && self.stop.is_none() {
                        self.background.remove(0);
                        return self.end(Exit::Failed).await;
                    }
                }
                Err(_) => return Exit::Interrupted,
            }
            self.background.remove(0);
        }
        self.exit()
    }

    /// Stops what still runs, then exits as said.
    async fn end(mut self, exit: Exit) -> Exit {
        while let Some(job) = self.background.first().cloned() {
            if self.stop.is_none() {
                self.start_stop(None);
            }
            let waited = Arc::clone(&job);
            match self.attend(Some(&job), async move { waited.wait().await }, None).await {
                Ok(Ok(summary)) => self.ended(job.name(), None, &summary),
                Ok(Err(error)) => self.report_of_job(job.name(), &error),
                Err(_) => return Exit::Interrupted,
            }
            self.background.remove(0);
        }
        exit
    }

    fn exit(&self) -> Exit {
        match () {
            () if self.failed => Exit::Failed,
            () if self.lost => Exit::Interrupted,
            () => Exit::Success,
        }
    }

    /// Waits for `work` of `job`; meanwhile shows progress, hears signals, drives a stop, and lets a table show what
    /// it holds back.
    async fn attend<T>(
        &mut self,
        job: Option<&JobHandle>,
        work: impl Future<Output = T>,
        mut table: Option<&mut dyn Renderer>,
    ) -> Result<T, Failure> {
        tokio::pin!(work);
        loop {
            let stop = async {
                match &mut self.stop {
                    Some(stop) => stop.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.interrupts.next() => match self.presses.press(self.clock.elapsed()) {
                    Wish::Stop => {
                        self.screen.note("note: stopping; Ctrl-C within 2 s ends at once");
                        self.was_interrupted = true;
                        self.start_stop(job);
                    }
                    Wish::Patience => self.screen.note("note: still stopping; Ctrl-C within 2 s ends at once"),
                    Wish::Abort => {
                        self.screen.end_progress();
                        return Err(Failure::Aborted);
                    }
                },
                done = &mut work => return Ok(done),
                errors = stop => {
                    // The jobs' own ends tell the rest.
                    self.stop = Some(std::future::pending().boxed());
                    for error in errors {
                        self.screen.complain(&error_text(&error, None, self.screen.errors_in_colour));
                        self.failed = true;
                    }
                }
                _ = self.ticks.tick() => {
                    if let Some(job) = job {
                        let status = job.status();
                        if status.elapsed >= TICK {
                            self.screen.progress(&footer::progress(job.name(), &status));
                        }
                    }
                    if let Some(table) = &mut table {
                        let mut out = Vec::new();
                        table.pause(&mut out);
                        self.screen.rows(&out)?;
                    }
                }
            }
        }
    }

    /// Asks `job` and all jobs in the background to stop.
    fn start_stop(&mut self, job: Option<&JobHandle>) {
        let mut jobs: Vec<JobHandle> = self.background.clone();
        if let Some(job) = job
            && !jobs.iter().any(|other| Arc::ptr_eq(other, job))
        {
            jobs.push(Arc::clone(job));
        }
        let stops = async move {
            let answers = join_all(jobs.iter().map(|job| job.stop())).await;
            answers.into_iter().filter_map(Result::err).collect()
        };
        self.stop = Some(stops.boxed());
    }

    /// Stops a SELECT whose rows nobody reads any more.
    async fn stop_quietly(&self, job: &JobHandle) {
        // What went wrong is told already, or is a closed pipe.
        let _ = job.stop().await;
    }

    fn ended(&mut self, name: &str, shown: Option<u64>, summary: &JobSummary) {
        match summary.ending {
            Ending::AlreadyFinished => {
                return self
                    .screen
                    .note(&format!("note: job {name} is finished already; nothing was done. --fresh starts it over"));
            }
            Ending::Stopped { at: Some(epoch) } => {
                self.screen.note(&format!(
                    "note: job {name} stopped at checkpoint {epoch}; the same command goes on from there"
                ));
            }
            Ending::Stopped { at: None } => {
                self.lost = true;
                self.screen.note(&footer::stopped(name, summary));
            }
            Ending::Finished => {}
        }
        self.screen.note(&footer::footer(name, shown, summary));
    }

    fn renderer(&self, shape: Shape, max_rows: Option<usize>) -> Result<Box<dyn Renderer>> {
        let settings = self.engine.settings()?;
        let mut look = Look { max_rows, ..self.manner.look.clone() };
        look.max_column_width = settings.max_column_width;
        look.zone = settings.time_zone;
        if settings.result_mode == ResultMode::Tableau && look.format == Format::Auto {
            look.format = Format::Table;
        }
        renderer(&look, shape)
    }

    fn report(&mut self, error: &Error, script: &ScriptText) {
        self.failed = true;
        let place = Some((script.name.as_str(), script.text.as_str()));
        self.screen.complain(&error_text(error, place, self.screen.errors_in_colour));
    }

    fn report_of_job(&mut self, name: &str, error: &Error) {
        self.failed = true;
        let error = error.clone().context(format_args!("job {name}"));
        self.screen.complain(&error_text(&error, None, self.screen.errors_in_colour));
    }
}

/// Shows a notice of the engine.
pub fn show_notice(screen: &Screen, notice: &Notice) {
    let text = notice_text(notice, screen.errors_in_colour);
    match notice {
        Notice::Note(_) => screen.note(&text),
        Notice::Warning(_) => screen.complain(&text),
    }
}

#[cfg(test)]
mod tests;
