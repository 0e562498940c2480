//! A session: settings, tables, and the statements that are executed in it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::batch_job;
use super::job::{StreamingJob, changes_of};
use super::job_name::job_name;
use super::jobs::Jobs;
use super::machine::default_memory_limit;
use super::{JobSettings, Notice, Notices, Outcome, ResultMode, RowShape, RowStream, RuntimeMode, Settings};
use crate::batch::{self, BatchInsert};
use crate::catalog::{Catalog, Handle, Table, UNDECLARED_STDIN};
use crate::checkpoint::CheckpointMode;
use crate::connectors::memory::{ChannelSink, MemorySource, Pusher};
use crate::connectors::print::PrintOutputs;
use crate::connectors::stdin::Pipe;
use crate::connectors::{Delivery, SinkMode, World};
use crate::error::{Blame, Error, Result};
use crate::operators::process::{ProcessFactory, ProcessFunction};
use crate::plan::{
    self, LogicalQuery, PlanSettings, Planned, SinkTarget, explain, explain_batch, plan_inserts, plan_query, type_of,
};
use crate::runtime::{JobConfig, RestartStrategy, Yields};
use crate::sql::{
    CreateTable, Insert, ObjectName, Statement, StatementAt, WindowFunction, on_large_stack, parse_script,
    parse_statement, split_script,
};
use crate::state::ScriptId;
use crate::storage::{LocalFiles, MemoryFiles, Stores, absolute};
use crate::stream::{Entropy, MemoryPool, SystemClock, ThreadBlocking};

/// Where checkpoints go when nobody says where.
const CHECKPOINT_DIRECTORY: &str = ".beadline/checkpoints";
/// Batches of a SELECT that wait for whoever reads it.
const WAITING_BATCHES: usize = 16;
/// Bytes of rows in a channel between two tasks.
const CHANNEL_BYTES: usize = 4 << 20;

/// A session. Jobs run on the tokio runtime of whoever executes statements.
pub struct Session {
    pub(super) catalog: Catalog,
    pub(super) settings: Settings,
    pub(super) world: World,
    pub(super) notices: Notices,
    fresh: bool,
    /// Names of jobs started here: a second one of the same name gets a number.
    job_names: BTreeSet<String>,
    /// Reserved words that were used as names without back-quotes: each is told once.
    told_reserved: BTreeSet<String>,
    pub(super) jobs: Jobs,
    yields: Yields,
    new_lineage: Arc<dyn Fn() -> String + Send + Sync>,
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// A session over the local file system and the operating system's clock, silent about notes and warnings.
    pub fn new() -> Self {
        let world = World {
            stores: Stores::new(Arc::new(LocalFiles)),
            clock: Arc::new(SystemClock::default()),
            entropy: Entropy::default(),
            blocking: Arc::new(ThreadBlocking),
            input: Arc::default(),
            outputs: PrintOutputs::default(),
        };
        Self::in_world(world)
    }

    /// A session over other files, another clock: a simulation.
    pub fn in_world(world: World) -> Self {
        Self {
            catalog: Catalog::default(),
            settings: Settings::new(),
            world,
            notices: Arc::new(|_| {}),
            fresh: false,
            job_names: BTreeSet::new(),
            told_reserved: BTreeSet::new(),
            jobs: Jobs::default(),
            yields: Yields::default(),
            new_lineage: Arc::new(random_lineage),
        }
    }

    /// Lends the session bytes to read as the table `stdin`. [`Pipe::refused`] says why there are none.
    pub fn with_input(mut self, input: Pipe) -> Self {
        self.world.input = Arc::new(input);
        self
    }

    /// Shows the rows of the connector `print` elsewhere than on the process's own outputs.
    pub fn with_outputs(mut self, outputs: PrintOutputs) -> Self {
        self.world.outputs = outputs;
        self
    }

    /// Sends notes and warnings somewhere.
    pub fn with_notices(mut self, notices: Notices) -> Self {
        self.notices = notices;
        self
    }

    /// Starts every named job over: its old output is removed.
    pub fn with_fresh(mut self, fresh: bool) -> Self {
        self.fresh = fresh;
        self
    }

    /// Makes the order in which tasks run, random values and the names of lineages follow from a seed: for simulations.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.yields = Yields::seeded(seed);
        self.world.entropy = Entropy::seeded(seed);
        self.new_lineage = Arc::new(move || format!("{seed:032x}"));
        self
    }

    /// The tables and views.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The jobs that were started here.
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// The settings.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// The settings of the next job, typed.
    pub fn job_settings(&self) -> Result<JobSettings> {
        self.settings.job()
    }

    /// Executes statements one after another and returns what the last one came to. Jobs get the name that
    /// `pipeline.name` says; without, they never resume. An INSERT is started, not waited for.
    pub async fn sql(&mut self, text: &str) -> Result<Outcome> {
        self.execute_all(text, false).await
    }

    /// Runs a SELECT and returns its answer: over input that ends the rows that stand at the end, each once, in the order
    /// of ORDER BY. Over input that never ends an updating query has no such rows, and gives its changes.
    pub async fn query(&mut self, text: &str) -> Result<RowStream> {
        rows_of(self.execute_all(text, false).await?)
    }

    /// Runs a SELECT and returns its changes as they come, those that take rows back included.
    pub async fn changes(&mut self, text: &str) -> Result<RowStream> {
        rows_of(self.execute_all(text, true).await?)
    }

    /// Declares a table whose rows the program pushes in: a CREATE TABLE without a WITH clause. At most
    /// `waiting_batches` batches wait to be read.
    pub fn input(&mut self, declaration: &str, waiting_batches: usize) -> Result<Pusher> {
        let create = self.declaration(declaration)?;
        let handle = Handle::Given { source: None, sink: None };
        let mut table = self.declare(&create, handle)?;
        let (source, pusher) = MemorySource::pushed(table.physical_schema(), waiting_batches);
        table.handle = Handle::Given { source: Some(Arc::new(source)), sink: None };
        self.catalog.add_table(table);
        Ok(pusher)
    }

    /// Declares a table that the program has made itself: how it is read, how it is written.
    pub fn add_table(&mut self, declaration: &str, handle: Handle) -> Result<()> {
        let create = self.declaration(declaration)?;
        let table = self.declare(&create, handle)?;
        self.catalog.add_table(table);
        Ok(())
    }

    /// Makes a function of the program known to queries: `SELECT * FROM name(input => TABLE t PARTITION BY k)`. `make` gives a
    /// copy for each task. A name is the same in any case; a function takes the place of one that has its name.
    pub fn register_process_function<F: ProcessFunction + 'static>(
        &mut self,
        name: &str,
        make: impl Fn() -> F + Send + Sync + 'static,
    ) -> Result<()> {
        let is_taken = WindowFunction::named(name).is_some() || name.eq_ignore_ascii_case("TABLE");
        if name.is_empty() || is_taken {
            return Err(Error::query(format!("a process function cannot be called `{name}`")));
        }
        self.catalog.add_process_function(ProcessFactory::new(name, make));
        Ok(())
    }

    /// The statements of a script.
    pub fn parse(&self, script: &str) -> Result<Vec<StatementAt>> {
        on_large_stack(|| parse_script(script)).map(|script| script.statements)
    }

    /// The statements of a script, with the mistake in place of each that cannot be read.
    pub fn parse_each(&self, script: &str) -> Result<Vec<Result<StatementAt>>> {
        let pieces = split_script(script)?;
        Ok(pieces.into_iter().map(|(span, text)| on_large_stack(|| parse_statement(text, span.start))).collect())
    }

    /// Executes one statement. Jobs that `pipeline.name` does not name are called after the `script` that the statement is
    /// from and the table that they write; without either they never resume.
    pub async fn execute(&mut self, statement: StatementAt, script: Option<&Path>) -> Result<Outcome> {
        self.execute_placed(statement, script, false).await
    }

    /// Executes statements one after another; `wants_changes`: a SELECT gives its changes, whatever the setting says.
    async fn execute_all(&mut self, text: &str, wants_changes: bool) -> Result<Outcome> {
        let mut outcome = Outcome::Done;
        for (span, statement) in split_script(text)? {
            let statement = on_large_stack(|| parse_statement(statement, span.start))?;
            outcome = self.execute_placed(statement, None, wants_changes).await?;
        }
        Ok(outcome)
    }

    async fn execute_placed(
        &mut self,
        statement: StatementAt,
        script: Option<&Path>,
        wants_changes: bool,
    ) -> Result<Outcome> {
        let StatementAt { statement, span, reserved_names, .. } = statement;
        for (name, _) in reserved_names {
            if self.told_reserved.insert(name.to_ascii_uppercase()) {
                self.warn(reserved_name(&name));
            }
        }
        // What blames the query without saying where means the whole statement.
        self.execute_anything(&statement, script, wants_changes).await.map_err(|error| match error.blame() {
            Blame::Query => error.with_span(span),
            _ => error,
        })
    }

    /// Executes a statement; if it names the table `stdin`, which needs no declaration, once more with that declared.
    async fn execute_anything(
        &mut self,
        statement: &Statement,
        script: Option<&Path>,
        wants_changes: bool,
    ) -> Result<Outcome> {
        match self.execute_declared(statement, script, wants_changes).await {
            Err(missing) if missing.id() == Some(UNDECLARED_STDIN) => {
                self.declare_stdin(&missing).await?;
                self.execute_declared(statement, script, wants_changes).await
            }
            done => done,
        }
    }

    async fn execute_declared(
        &mut self,
        statement: &Statement,
        script: Option<&Path>,
        wants_changes: bool,
    ) -> Result<Outcome> {
        match statement {
            Statement::Insert(insert) => self.insert(std::slice::from_ref(insert), script).await,
            Statement::StatementSet(inserts) => self.insert(inserts, script).await,
            Statement::Query { query, late } => self.select(query, late.as_ref(), wants_changes).await,
            Statement::CreateTableAs(create) => self.create_table_as(create, script).await,
            Statement::TakeCheckpoint { job, is_savepoint } => self.take_checkpoints(job.as_ref(), *is_savepoint).await,
            Statement::StopJob { job, with_savepoint, with_drain } => {
                self.stop_job(job, *with_savepoint, *with_drain).await
            }
            other => self.execute_at_once(other),
        }
    }

    /// Executes a statement that starts no job and stops none.
    pub(super) fn execute_at_once(&mut self, statement: &Statement) -> Result<Outcome> {
        match statement {
            Statement::CreateTable(create) => self.create_table(create),
            Statement::CreateView(create) => self.create_view(create),
            Statement::AlterTable(alter) => self.alter_table(alter),
            Statement::AlterView(alter) => self.alter_view(alter),
            Statement::Namespace(statement) => self.namespace(statement),
            Statement::Set { key, value } => {
                for warning in self.settings.set(key, value)? {
                    self.warn(warning);
                }
                Ok(Outcome::Done)
            }
            Statement::Reset { key } => {
                self.settings.reset(key.as_deref());
                Ok(Outcome::Done)
            }
            Statement::ShowSettings => self.show_settings(),
            Statement::Show(kind) => self.show(kind),
            Statement::Describe(name) => self.describe(name, None),
            Statement::Drop { kind, name, temporary, if_exists } => {
                self.drop_object(*kind, name, *temporary, *if_exists)
            }
            Statement::DescribeJob(job) => self.jobs.describe(job),
            Statement::ExplainWatermark(job) => self.jobs.watermarks(job.as_ref()),
            Statement::ExplainState(job) => self.jobs.state(job.as_ref()),
            Statement::Explain(statement) => self.explain(statement),
            Statement::Insert(_)
            | Statement::StatementSet(_)
            | Statement::Query { .. }
            | Statement::CreateTableAs(_)
            | Statement::TakeCheckpoint { .. }
            | Statement::StopJob { .. } => Err(Error::bug("a statement that takes its time is executed at once")),
        }
    }

    pub(super) async fn insert(&mut self, inserts: &[Insert], script: Option<&Path>) -> Result<Outcome> {
        let settings = self.settings.job()?;
        if settings.runtime_mode == RuntimeMode::Batch {
            return self.insert_batch(inserts, &settings, script);
        }
        let planned = on_large_stack(|| plan_inserts(inserts, &self.catalog, &plan_settings(&settings)))?;
        self.warn_all(&planned);
        let (name, is_named) = self.free_name(inserts, &settings, script);
        if settings.checkpoints.begin_from.is_some() && !settings.checkpoints.is_on() {
            return Err(Error::query(format!("job {name} keeps no checkpoints, so that it cannot begin from one"))
                .with_help("SET 'execution.checkpointing.interval' = '10 s'")
                .with_help("or begin anew: RESET 'execution.state-recovery.path'"));
        }
        if settings.checkpoints.claims && settings.checkpoints.begin_from.is_some() && settings.checkpoints.is_in_memory
        {
            return Err(Error::query(
                "a savepoint that is claimed is removed, and checkpoints in memory would be all that is left",
            )
            .with_help("SET 'execution.state-recovery.claim-mode' = 'NO_CLAIM'"));
        }
        let config = self.job_config(&settings, name.clone(), script, settings.checkpoints.is_on());
        let is_named = is_named && config.in_memory.is_none();
        if !is_named && config.in_memory.is_none() && config.directory.is_some() {
            self.note(format!("job {name} has no 'pipeline.name': no later run goes on from its checkpoints"));
        }
        let is_awaited = planned.is_bounded || settings.dml_sync;
        let job = StreamingJob::start(
            name,
            is_named,
            planned.stream,
            config,
            self.world.clone(),
            Arc::clone(&self.notices),
            is_awaited,
        );
        self.jobs.add(Arc::clone(&job), self.world.clock.now());
        Ok(Outcome::Job(job))
    }

    async fn select(
        &mut self,
        query: &crate::sql::Query,
        late: Option<&ObjectName>,
        wants_changes: bool,
    ) -> Result<Outcome> {
        let settings = self.settings.job()?;
        let wants_changes = wants_changes || settings.result_mode != ResultMode::Table;
        if settings.runtime_mode == RuntimeMode::Batch {
            if let Some(late) = late {
                self.catalog.table(late)?;
                self.warn(none_is_late(late.table()));
            }
            return self.select_batch(query, &settings, wants_changes).await;
        }
        let (sink, receiver) = ChannelSink::new(SinkMode::Retract, WAITING_BATCHES);
        let planned =
            on_large_stack(|| plan_query(query, late, &self.catalog, &plan_settings(&settings), Arc::new(sink)))?;
        self.warn_all(&planned);
        let config = JobConfig {
            checkpoint_interval: None,
            checkpoint_every_rows: None,
            restart: RestartStrategy::None,
            ..self.job_config(&settings, "select".to_owned(), None, false)
        };
        if wants_changes {
            check_changes(&planned)?;
        }
        let Planned { stream, schema, keys, all, arrangement, is_updating, is_bounded, is_live, .. } = planned;
        let shape = RowShape {
            keys,
            all,
            shown: schema,
            is_updating,
            wants_changes,
            is_bounded,
            is_live,
            keeps_late: late.is_some(),
            arrangement,
        };
        let (notices, memory) = (Arc::clone(&self.notices), config.memory.clone());
        let job = StreamingJob::start(String::new(), false, stream, config, self.world.clone(), notices, is_bounded);
        let changes = changes_of(receiver, Arc::clone(&job));
        Ok(Outcome::Rows(Box::new(RowStream::new(shape, changes, job, &memory)?)))
    }

    async fn select_batch(
        &mut self,
        query: &crate::sql::Query,
        settings: &JobSettings,
        wants_changes: bool,
    ) -> Result<Outcome> {
        let query = on_large_stack(|| {
            plan::bind_select(query, &self.catalog, settings.zone)?.with_windows_per_row(settings.windows_per_row)
        })?;
        query.warnings.iter().for_each(|warning| self.warn(warning.clone()));
        let options = self.batch_options(settings);
        let rows = batch_job::select(query, wants_changes, &self.world, options).await?;
        Ok(Outcome::Rows(Box::new(rows)))
    }

    fn insert_batch(&mut self, inserts: &[Insert], settings: &JobSettings, script: Option<&Path>) -> Result<Outcome> {
        let mut batch = Vec::new();
        for insert in inserts {
            let target = plan::insert_target(insert, &self.catalog)?;
            let query = on_large_stack(|| {
                plan::bind_insert(insert, &self.catalog, None, settings.zone, settings.type_lengths)?
                    .with_windows_per_row(settings.windows_per_row)
            })?;
            query.warnings.iter().for_each(|warning| self.warn(warning.clone()));
            let late = insert.late.as_ref().map(|late| plan::sink_target(self.catalog.table(late)?)).transpose()?;
            if let Some(SinkTarget { table, .. }) = &late {
                self.warn(none_is_late(table));
            }
            batch.push(BatchInsert { query, target, late });
        }
        let (job, _) = self.free_name(inserts, settings, script);
        let script = script.map(|script| self.script_id(script, settings));
        let ephemeral_lineages = ephemeral_lineages(&job, script.as_ref(), settings);
        let lineage = ephemeral_lineage(&ephemeral_lineages, &(self.new_lineage)());
        let identity = crate::connectors::JobIdentity { job, lineage, generation: crate::stream::Generation(1) };
        let former = self.fresh.then_some(ephemeral_lineages);
        let job = batch_job::insert(batch, identity, former, &self.world, self.batch_options(settings))?;
        self.jobs.add(Arc::clone(&job), self.world.clock.now());
        Ok(Outcome::Job(job))
    }

    fn batch_options(&self, settings: &JobSettings) -> crate::batch::BatchOptions {
        crate::batch::BatchOptions {
            parallelism: parallelism(settings),
            batch_rows: settings.batch_rows,
            drop_nulls: settings.drop_nulls,
        }
    }

    pub(super) fn explain(&mut self, statement: &Statement) -> Result<Outcome> {
        if let Statement::CreateTableAs(create) = statement {
            let before = self.catalog.clone();
            let insert = self.declare_table_as(create);
            let explained = insert.and_then(|insert| self.explain(&Statement::Insert(Box::new(insert))));
            self.catalog = before;
            return explained;
        }
        let settings = self.settings.job()?;
        if settings.runtime_mode == RuntimeMode::Batch {
            return self.explain_batch(statement, &settings);
        }
        let promise = match settings.checkpoints.mode {
            CheckpointMode::ExactlyOnce => Delivery::ExactlyOnce,
            CheckpointMode::AtLeastOnce => Delivery::AtLeastOnce,
        };
        let settings = plan_settings(&settings);
        let planned = on_large_stack(|| match statement {
            Statement::Insert(insert) => plan_inserts(std::slice::from_ref(insert), &self.catalog, &settings),
            Statement::StatementSet(inserts) => plan_inserts(inserts, &self.catalog, &settings),
            Statement::Query { query, late } => {
                let (sink, _) = ChannelSink::new(SinkMode::Retract, 1);
                plan_query(query, late.as_ref(), &self.catalog, &settings, Arc::new(sink))
            }
            _ => Err(unexplained()),
        })?;
        self.warn_all(&planned);
        Ok(Outcome::Text(explain(&planned, promise)))
    }

    /// In batch mode there is no streaming plan.
    fn explain_batch(&self, statement: &Statement, settings: &JobSettings) -> Result<Outcome> {
        let insert = |insert: &Insert| {
            plan::bind_insert(insert, &self.catalog, None, settings.zone, settings.type_lengths)?
                .with_windows_per_row(settings.windows_per_row)
        };
        let queries: Vec<LogicalQuery> = on_large_stack(|| match statement {
            Statement::Insert(only) => Ok(vec![insert(only)?]),
            Statement::StatementSet(inserts) => inserts.iter().map(insert).collect(),
            Statement::Query { query, .. } => {
                let query = plan::bind_select(query, &self.catalog, settings.zone)?;
                Ok(vec![query.with_windows_per_row(settings.windows_per_row)?])
            }
            _ => Err(unexplained()),
        })?;
        batch::check(&queries, &self.world)?;
        queries.iter().flat_map(|query| &query.warnings).for_each(|warning| self.warn(warning.clone()));
        Ok(Outcome::Text(explain_batch(&queries)?))
    }

    /// A name that no other job of this session has, and whether a later session will come to the same one.
    fn free_name(&mut self, inserts: &[Insert], settings: &JobSettings, script: Option<&Path>) -> (String, bool) {
        let lasting = settings.name.clone().or_else(|| script.map(|script| job_name(script, inserts)));
        let is_lasting = lasting.is_some();
        let wanted = lasting.unwrap_or_else(|| format!("unnamed-{}", &(self.new_lineage)()[..12]));
        let mut name = wanted.clone();
        let mut number = 2;
        while !self.job_names.insert(name.clone()) {
            name = format!("{wanted}.{number}");
            number += 1;
        }
        (name, is_lasting)
    }

    /// What a claim says of the script that a job is from.
    fn script_id(&self, script: &Path, settings: &JobSettings) -> ScriptId {
        let given = absolute(script);
        // One that is gone by now was where its path says.
        let file = self.world.stores.local().canonical(script).unwrap_or_else(|_| given.clone());
        ScriptId::new(&file, &given, &absolute(checkpoint_directory(settings)))
    }

    fn job_config(&self, settings: &JobSettings, job: String, script: Option<&Path>, is_durable: bool) -> JobConfig {
        let checkpoints = &settings.checkpoints;
        let is_in_memory = is_durable && checkpoints.is_in_memory;
        if is_in_memory {
            self.note(format!(
                "checkpoints of job {job} are kept in memory: a restart within this process goes on from them, a new process \
                 begins anew"
            ));
        } else if is_durable && checkpoints.directory.is_none() {
            self.note(format!("checkpoints of job {job} go to {CHECKPOINT_DIRECTORY}"));
        }
        let directory = is_durable.then(|| checkpoint_directory(settings).to_owned());
        let script = script.map(|script| self.script_id(script, settings));
        let ephemeral_lineages = ephemeral_lineages(&job, script.as_ref(), settings);
        let random = (self.new_lineage)();
        let limit = settings.memory_limit.or_else(|| default_memory_limit(self.world.stores.local().as_ref()));
        let memory = MemoryPool::new(limit);
        JobConfig {
            job,
            script,
            is_name_chosen: settings.name.is_some(),
            new_lineage: if is_durable && !is_in_memory {
                random
            } else {
                ephemeral_lineage(&ephemeral_lineages, &random)
            },
            ephemeral_lineages,
            directory,
            in_memory: is_in_memory.then(|| MemoryFiles::new(&memory.holder("checkpoints in memory"))),
            begin_from: settings.checkpoints.begin_from.clone().filter(|_| is_durable),
            claims: settings.checkpoints.claims,
            ignore_unclaimed_state: settings.checkpoints.ignore_unclaimed_state,
            fresh: self.fresh,
            parallelism: parallelism(settings),
            max_parallelism: settings.max_parallelism,
            batch_rows: settings.batch_rows,
            channel_bytes: CHANNEL_BYTES,
            checkpoint_interval: checkpoints.interval,
            checkpoint_every_rows: checkpoints.every_rows,
            checkpoint_min_pause: checkpoints.min_pause,
            checkpoint_timeout: checkpoints.timeout,
            checkpoint_mode: checkpoints.mode,
            max_concurrent_checkpoints: checkpoints.max_concurrent,
            tolerable_failures: checkpoints.tolerable_failures,
            retained: checkpoints.retained,
            retention: checkpoints.retention,
            max_pending_epochs: checkpoints.max_pending_epochs,
            restart: settings.restart,
            memory,
            stop_timeout: settings.stop_timeout,
            yields: self.yields.clone(),
        }
    }

    pub(super) fn declaration(&self, text: &str) -> Result<CreateTable> {
        let mut statements = self.parse(text)?;
        match (statements.pop().map(|at| at.statement), statements.is_empty()) {
            (Some(Statement::CreateTable(create)), true) => Ok(create),
            _ => Err(Error::query("one CREATE TABLE is expected here")),
        }
    }

    fn declare(&self, create: &CreateTable, handle: Handle) -> Result<Table> {
        let settings = self.settings.for_table(create.name.table());
        let options = crate::options::Options::new(create.options.iter().cloned());
        on_large_stack(|| self.catalog.declare(create, options, settings, handle, &type_of))
    }

    fn note(&self, note: String) {
        (self.notices)(Notice::Note(note));
    }

    pub(super) fn warn(&self, warning: String) {
        (self.notices)(Notice::Warning(warning));
    }

    fn warn_all(&self, planned: &Planned) {
        planned.warnings.iter().for_each(|warning| self.warn(warning.clone()));
    }
}

/// What is said of a name that would keep the statement from running on a Flink cluster.
pub(super) fn reserved_name(name: &str) -> String {
    format!("{name} is a reserved word: Flink takes it as a name only in back-quotes, `{name}`")
}

fn rows_of(outcome: Outcome) -> Result<RowStream> {
    match outcome {
        Outcome::Rows(rows) => Ok(*rows),
        _ => Err(Error::query("this is no query").with_help("other statements go to Session::sql")),
    }
}

/// Changes come as they happen: an order, or a number of rows of which some are taken back, is only of an answer.
fn check_changes(planned: &Planned) -> Result<()> {
    let clause = match &planned.arrangement {
        arrangement if !arrangement.keys.is_empty() => "ORDER BY",
        arrangement if planned.is_updating && arrangement.limit.is_some() => "LIMIT",
        arrangement if planned.is_updating && arrangement.offset > 0 => "OFFSET",
        _ => return Ok(()),
    };
    Err(Error::query(format!("{clause} is for the answer of a query, and its changes are asked for"))
        .with_help(format!("leave {clause} out; or ask for the answer: without --changes, with 'sql-client.execution.result-mode' = 'table'")))
}

fn none_is_late(table: &str) -> String {
    format!("in batch mode every row is counted and none is late: {table} stays empty")
}

fn unexplained() -> Error {
    Error::query("EXPLAIN takes a SELECT, an INSERT or a statement set")
}

fn parallelism(settings: &JobSettings) -> usize {
    settings.parallelism.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

fn plan_settings(settings: &JobSettings) -> PlanSettings {
    let idle = settings.idle_timeout.map_or(0, |idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX));
    PlanSettings {
        idle_timeout_ms: idle,
        max_future_drift_ms: settings.max_future_drift_ms,
        drop_nulls: settings.drop_nulls,
        type_lengths: settings.type_lengths,
        keyed_shuffle: settings.keyed_shuffle,
        materialize: settings.materialize,
        requires_on_conflict: settings.requires_on_conflict,
        batch_rows: settings.batch_rows,
        windows_per_row: settings.windows_per_row,
        reuse_sources: settings.reuse_sources,
        zone: settings.zone,
        ttl_ms: settings.ttl_ms,
        emit: settings.emit,
        holding: settings.holding,
    }
}

/// 128 bits that no other start has.
fn random_lineage() -> String {
    format!("{:032x}", Entropy::default().draw())
}

/// How the lineages of a job's runs without checkpoints begin. A job is known by its name and the place where its
/// checkpoints would be, and by its script where nobody has chosen the name.
fn ephemeral_lineages(job: &str, script: Option<&ScriptId>, settings: &JobSettings) -> String {
    let place = absolute(checkpoint_directory(settings)).join(job);
    let mut known_by = place.into_os_string().into_encoded_bytes();
    if let Some(script) = script.filter(|_| settings.name.is_none()) {
        known_by.push(0);
        known_by.extend(script.from_checkpoints.bytes());
    }
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&known_by))
}

fn checkpoint_directory(settings: &JobSettings) -> &Path {
    settings.checkpoints.directory.as_deref().unwrap_or(Path::new(CHECKPOINT_DIRECTORY))
}

/// One of them: the rest is drawn.
fn ephemeral_lineage(beginning: &str, random: &str) -> String {
    format!("{beginning}{}", random.get(beginning.len()..).unwrap_or_default())
}
