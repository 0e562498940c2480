//! Runs scripts statement by statement: prints rows, waits for jobs, hears signals.
//!
//! A job over bounded input is waited for; others go on and are awaited together at the end. The first error ends the
//! run, unless told otherwise; whatever still runs is then stopped with a checkpoint.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior};

use super::engine::Engine;
use super::health::Health;
use super::interrupt::{Interrupts, Presses, Signal, Wish};
use super::live::{self, FrameLook};
use super::render::{Format, Look, PagedRenderer, Renderer, Shape, renderer};
use super::report::{error_text, notice_text};
use super::screen::Screen;
use super::script::ScriptText;
use super::{Exit, Failure, footer};
use crate::error::{Error, Result};
use crate::session::{
    Ending, JobHandle, JobState, JobSummary, Notice, Outcome, ResultMode, RowStream, Standing, StatementAt,
};
use crate::stream::{Changes, Clock};

/// How often a progress line changes, and how long a table waits for more rows before it chooses widths.
const TICK: Duration = Duration::from_millis(500);

/// How often a long run says how it stands where there is no progress line; the first time after a sixth of it.
const FIGURES: Duration = Duration::from_secs(60);

/// The flags that matter once scripts run.
#[derive(Debug, Clone)]
pub struct Manner {
    pub look: Look,
    /// What shows a bounded result that is taller than the terminal.
    pub pager: Option<String>,
    pub keep_going: bool,
    /// Whether somebody types the statements: a signal then ends a query and not the run, and INSERTs go on in the
    /// background.
    pub is_interactive: bool,
    /// Whether a footer stands below a result.
    pub has_footer: bool,
}

/// Runs scripts on one engine.
pub struct Runner<E> {
    pub(super) engine: E,
    pub(super) screen: Arc<Screen>,
    pub(super) manner: Manner,
    clock: Arc<dyn Clock>,
    pub(super) interrupts: Interrupts,
    presses: Presses,
    ticks: Interval,
    /// Jobs that go on while the script does.
    background: Vec<JobHandle>,
    /// A stop of all jobs that is under way.
    stop: Option<BoxFuture<'static, Vec<Error>>>,
    /// Those that show how a job in the background of a prompt ends; each says whether it went well.
    watchers: Vec<JoinHandle<bool>>,
    /// What is known of each job from looking at it.
    health: BTreeMap<String, Health>,
    /// When figures are due.
    next_figures: Duration,
    interrupted_by: Option<Signal>,
    /// A job was stopped that nothing can go on from.
    lost: bool,
    failed: bool,
}

impl<E: Engine> Runner<E> {
    /// A runner; needs a tokio runtime with time.
    pub fn new(engine: E, screen: Arc<Screen>, manner: Manner, clock: Arc<dyn Clock>, interrupts: Interrupts) -> Self {
        let next_figures = clock.elapsed() + FIGURES / 6;
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
            watchers: Vec::new(),
            health: BTreeMap::new(),
            next_figures,
            interrupted_by: None,
            lost: false,
            failed: false,
        }
    }

    /// Runs all scripts and says how the process should exit.
    pub async fn run(mut self, scripts: Vec<ScriptText>) -> Exit {
        for script in &scripts {
            match self.script(script).await {
                Ok(()) if self.interrupted_by.is_some() => break,
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

    /// Runs what was typed, up to its first error; returns the signal that ended it.
    pub async fn typed(&mut self, script: &ScriptText) -> Result<Option<Signal>, Failure> {
        self.health.clear();
        let ran = self.script(script).await;
        self.screen.end_progress();
        self.stop = None;
        self.presses = Presses::default();
        self.lost = false;
        let signal = self.interrupted_by.take();
        ran.map(|()| signal)
    }

    /// Waits until all jobs in the background have ended; the next signal stops them.
    pub async fn wait_for_all(&mut self) -> Exit {
        let watchers = join_all(std::mem::take(&mut self.watchers));
        match self.attend(None, watchers, None).await {
            Ok(ends) if ends.iter().all(|end| matches!(end, Ok(true))) => Exit::Success,
            Ok(_) => Exit::Failed,
            Err(_) => Exit::Interrupted,
        }
    }

    /// Stops all jobs in the background, each with a checkpoint.
    pub async fn stop_all(&mut self) -> Exit {
        self.start_stop(None);
        self.wait_for_all().await
    }

    /// Runs one script. With `--keep-going` its errors are reported here.
    async fn script(&mut self, script: &ScriptText) -> Result<(), Failure> {
        let mut statements = self.engine.parse_each(&script.text)?;
        if !self.manner.keep_going {
            // Nothing of a script runs that has a mistake anywhere.
            statements = statements.into_iter().collect::<Result<Vec<_>>>()?.into_iter().map(Ok).collect();
        }
        for statement in statements {
            let done = match statement {
                Ok(statement) => self.statement(statement, script.path.as_deref()).await,
                Err(error) => Err(error.into()),
            };
            match done {
                Err(Failure::Error(error)) if self.manner.keep_going => self.report(&error, script),
                other => other?,
            }
            if self.interrupted_by.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn statement(&mut self, statement: StatementAt, script: Option<&Path>) -> Result<(), Failure> {
        // That of the last SELECT: none has a name.
        self.health.remove("");
        let executed = tokio::select! {
            biased;
            outcome = self.engine.execute(statement, script) => Ok(outcome),
            signal = self.interrupts.next() => Err(signal),
        };
        let outcome = match executed {
            Ok(outcome) => outcome,
            Err(signal) => {
                // There is no job yet that could take a checkpoint.
                self.presses.press(signal, self.clock.elapsed());
                self.interrupted_by = Some(signal);
                self.lost = true;
                return Ok(());
            }
        };
        match outcome? {
            Outcome::Done => Ok(()),
            Outcome::Text(text) => {
                let end = if text.ends_with('\n') { "" } else { "\n" };
                self.screen.rows(format!("{text}{end}").as_bytes())
            }
            Outcome::Table(schema, batches) => self.draw(schema, batches.into_iter().map(Changes::inserts)),
            Outcome::Rows(rows) => self.select(*rows).await,
            Outcome::Job(job) if self.manner.is_interactive && !self.engine.settings()?.dml_sync => {
                self.screen.note(&format!("note: job {} is running; SHOW JOBS; lists jobs", job.name()));
                self.follow(job);
                Ok(())
            }
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
        if let Some(standing) = self.live_table(&mut rows) {
            return self.watch(rows, standing).await;
        }
        let shape =
            Shape { schema: Arc::clone(&rows.schema), is_updating: rows.is_changelog, is_bounded: rows.is_bounded };
        let max_rows = self.manner.look.max_rows.filter(|_| !rows.is_live);
        let mut renderer = self.or_stop(&job, self.renderer(shape, max_rows).map_err(Failure::from)).await?;
        if let Some(pager) = self.manner.pager.clone().filter(|_| rows.is_bounded && !rows.is_live) {
            let (screen, lines) = (Arc::clone(&self.screen), self.screen.lines());
            renderer = Box::new(PagedRenderer::new(renderer, screen, pager, lines));
        }
        let shown = self.print(&mut rows, renderer.as_mut()).await;
        let shown = self.or_stop(&job, shown).await?;
        let keeps_late = rows.keeps_late;
        drop(rows);
        self.end_select(&job, shown, keeps_late).await
    }

    /// Whether a result is shown as one table that changes: on a terminal, if its rows change while somebody may watch.
    fn live_table(&self, rows: &mut RowStream) -> Option<Standing> {
        let look = &self.manner.look;
        let is_drawn = matches!(look.resolved(), Format::Table | Format::Chart);
        if self.screen.can_repaint && look.is_terminal && is_drawn { rows.take_standing() } else { None }
    }

    /// Shows the rows that stand, then the last of them as a result.
    async fn watch(&mut self, mut rows: RowStream, standing: Standing) -> Result<(), Failure> {
        let job = Arc::clone(&rows.job);
        let settings = self.engine.settings()?;
        let look = FrameLook {
            zone: settings.zone,
            has_colour: self.manner.look.has_colour,
            max_column_width: settings.max_column_width,
            is_chart: self.manner.look.format == Format::Chart,
        };
        let (screen, clock) = (Arc::clone(&self.screen), Arc::clone(&self.clock));
        let shown = live::show(&mut rows, standing, look, &screen, clock.as_ref());
        let last = self.attend(Some(&job), shown, None).await.and_then(|shown| shown);
        let last = self.or_stop(&job, last).await?;
        let count = last.len() as u64;
        self.draw(last.schema(), std::iter::once(last))?;
        self.end_select(&job, count, rows.keeps_late).await
    }

    /// Shows rows that are all there.
    fn draw(&self, schema: SchemaRef, rows: impl Iterator<Item = Changes>) -> Result<(), Failure> {
        let shape = Shape { schema, is_updating: false, is_bounded: true };
        let mut renderer = self.renderer(shape, self.manner.look.max_rows)?;
        let mut out = Vec::new();
        for rows in rows {
            renderer.rows(&rows, &mut out)?;
        }
        renderer.finish(&mut out);
        self.screen.rows(&out)
    }

    /// Waits for the end of a SELECT whose rows have been shown, and says what there is to say.
    async fn end_select(&mut self, job: &JobHandle, shown: u64, keeps_late: bool) -> Result<(), Failure> {
        let waited = Arc::clone(job);
        let summary = self.attend(Some(job), async move { waited.wait().await }, None).await??;
        self.ended(job.name(), Some(shown), &summary);
        if summary.status.late > 0 && !keeps_late {
            show_notice(&self.screen, &Notice::Warning(footer::left_out(summary.status.late)));
        }
        if summary.status.future > 0 && !keeps_late {
            show_notice(&self.screen, &Notice::Warning(footer::from_the_future(summary.status.future)));
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
    async fn await_background(&mut self) -> Exit {
        while let Some(job) = self.background.first().cloned() {
            if self.interrupted_by.is_some() && self.stop.is_none() {
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
    async fn end(&mut self, exit: Exit) -> Exit {
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
                signal = self.interrupts.next() => match self.presses.press(signal, self.clock.elapsed()) {
                    Wish::Stop => {
                        self.screen.note("note: stopping; Ctrl-C within 2 s ends at once");
                        self.interrupted_by = Some(signal);
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
                    self.look_after(job);
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

    /// Looks at `job` and at those in the background: says what has become of them, and where nobody sees a progress
    /// line how they stand, every so often.
    fn look_after(&mut self, job: Option<&JobHandle>) {
        let now = self.clock.elapsed();
        let figures_are_due = self.screen.wants_figures() && now >= self.next_figures;
        let in_background = self.background.iter().filter(|other| job.is_none_or(|job| !Arc::ptr_eq(other, job)));
        for job in job.into_iter().chain(in_background) {
            let status = job.status();
            let name = job.name();
            let health = self.health.entry(name.to_owned()).or_insert_with(|| Health::new(now));
            tell(&self.screen, name, health.look(now, self.clock.now(), &status));
            if figures_are_due && status.state != JobState::Ended {
                self.screen.figures(&footer::progress(name, &status));
            }
        }
        if figures_are_due {
            self.next_figures = now + FIGURES;
        }
    }

    /// Shows the end of a job in the background of a prompt when it comes.
    fn follow(&mut self, job: JobHandle) {
        self.watchers.retain(|watcher| !watcher.is_finished());
        let (screen, clock) = (Arc::clone(&self.screen), Arc::clone(&self.clock));
        self.watchers.push(tokio::spawn(async move {
            let mut health = Health::new(clock.elapsed());
            let mut ticks = tokio::time::interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut wait = job.wait();
            let end = loop {
                tokio::select! {
                    end = &mut wait => break end,
                    _ = ticks.tick() => {
                        tell(&screen, job.name(), health.look(clock.elapsed(), clock.now(), &job.status()));
                    }
                }
            };
            match &end {
                Ok(summary) => {
                    let (note, footer) = ending_notes(job.name(), None, summary);
                    note.into_iter().chain(footer).for_each(|note| screen.note(&note));
                }
                Err(error) => screen.complain(&text_of_job(job.name(), error, screen.errors_in_colour)),
            }
            end.is_ok()
        }));
    }

    /// Asks `job` and all jobs in the background to stop; at a prompt the job alone, or all of them where it is none.
    fn start_stop(&mut self, job: Option<&JobHandle>) {
        let mut jobs: Vec<JobHandle> = match (self.manner.is_interactive, job) {
            (true, Some(_)) => Vec::new(),
            (true, None) => self.engine.running_jobs(),
            (false, _) => self.background.clone(),
        };
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

    /// Stops a SELECT whose rows nobody reads any more, as something went wrong with showing them.
    async fn or_stop<T>(&self, job: &JobHandle, shown: Result<T, Failure>) -> Result<T, Failure> {
        if matches!(shown, Err(Failure::Error(_) | Failure::Closed)) {
            // What went wrong is told already, or is a closed pipe.
            let _ = job.stop().await;
        }
        shown
    }

    fn ended(&mut self, name: &str, shown: Option<u64>, summary: &JobSummary) {
        self.lost |= matches!(summary.ending, Ending::Stopped { at: None });
        let (note, footer) = ending_notes(name, shown, summary);
        note.into_iter().chain(footer.filter(|_| self.manner.has_footer)).for_each(|note| self.screen.note(&note));
    }

    fn renderer(&self, shape: Shape, max_rows: Option<usize>) -> Result<Box<dyn Renderer>> {
        let settings = self.engine.settings()?;
        // A terminal may have been resized since the last result.
        let mut look = Look { max_rows, width: self.screen.columns(), ..self.manner.look.clone() };
        look.max_column_width = settings.max_column_width;
        look.zone = settings.zone;
        if settings.result_mode == ResultMode::Tableau && look.format == Format::Auto {
            look.format = Format::Table;
        }
        renderer(&look, shape)
    }

    fn report(&mut self, error: &Error, script: &ScriptText) {
        self.failed = true;
        self.complain(error, script);
    }

    /// Shows an error with its place in the script.
    pub(super) fn complain(&self, error: &Error, script: &ScriptText) {
        let place = Some((script.name.as_str(), script.text.as_str()));
        self.screen.complain(&error_text(error, place, self.screen.errors_in_colour));
    }

    fn report_of_job(&mut self, name: &str, error: &Error) {
        self.failed = true;
        self.screen.complain(&text_of_job(name, error, self.screen.errors_in_colour));
    }
}

/// What has become of a job.
fn tell(screen: &Screen, name: &str, news: Vec<String>) {
    let whose = if name.is_empty() { String::new() } else { format!("job {name}: ") };
    news.iter().for_each(|news| screen.news(&format!("note: {whose}{news}")));
}

fn text_of_job(name: &str, error: &Error, in_colour: bool) -> String {
    error_text(&error.clone().context(format_args!("job {name}")), None, in_colour)
}

/// What is said of a job that ended well, and its footer.
fn ending_notes(name: &str, shown: Option<u64>, summary: &JobSummary) -> (Option<String>, Option<String>) {
    let first = match summary.ending {
        Ending::AlreadyFinished => {
            let note = format!("note: job {name} is finished already; nothing was done. --fresh starts it over");
            return (Some(note), None);
        }
        Ending::Stopped { at: Some(epoch) } => {
            Some(format!("note: job {name} stopped at checkpoint {epoch}; the same command goes on from there"))
        }
        Ending::Stopped { at: None } => Some(footer::stopped(name, summary)),
        Ending::Finished => None,
    };
    (first, Some(footer::footer(name, shown, summary)))
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
