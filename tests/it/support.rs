//! What the tests of the binary share: a scratch directory that looks like a checkout, runs of the real program in it,
//! and the published output of its tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use beadline::operators::Holding;
use beadline::plan::{EmitSettings, KeyedShuffle, Materialize, PlanSettings, TypeLengths};
use beadline::stream::Zone;

/// Whether the full product of a test family is asked for (CI), instead of its pairwise selection.
pub fn full() -> bool {
    std::env::var("BEADLINE_TESTS").is_ok_and(|value| value == "full")
}

/// What planning is told where nothing is set, with small batches.
pub fn plan_settings(idle_timeout_ms: u64) -> PlanSettings {
    PlanSettings {
        idle_timeout_ms,
        max_future_drift_ms: None,
        drop_nulls: false,
        type_lengths: TypeLengths::Ignore,
        keyed_shuffle: KeyedShuffle::Auto,
        materialize: Materialize::Auto,
        requires_on_conflict: true,
        batch_rows: 64,
        windows_per_row: 10_000,
        reuse_sources: true,
        zone: Zone::UTC,
        ttl_ms: None,
        emit: EmitSettings::default(),
        holding: Holding::UntilRest,
    }
}

/// The checkout.
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A scratch directory with the checkout's `queries/` in it, in which the program is run.
pub struct Scratch {
    directory: tempfile::TempDir,
}

/// How one run of the program differs from the plain one.
#[derive(Debug, Clone, Default)]
pub struct Variant {
    pub parallelism: Option<usize>,
    pub batch_rows: Option<usize>,
    /// A barrier behind each so many rows.
    pub every_rows: Option<usize>,
    /// `name:visit` of the place where the process is killed.
    pub failpoint: Option<String>,
    pub fresh: bool,
    /// In batch mode from the first statement on.
    pub batch: bool,
}

impl Scratch {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a scratch directory");
        std::os::unix::fs::symlink(checkout().join("queries"), directory.path().join("queries"))
            .expect("a link to the queries");
        Self { directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The program, about to run here.
    pub fn command(&self, variant: &Variant) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_beadline"));
        command.current_dir(self.path()).env_remove("BEADLINE_FAILPOINT").env("BEADLINE_CONFIG", "");
        for (key, value) in [
            ("parallelism.default", variant.parallelism),
            ("beadline.limit.batch-rows", variant.batch_rows),
            ("beadline.checkpoint.every-rows", variant.every_rows),
        ] {
            if let Some(value) = value {
                command.arg("-D").arg(format!("{key}={value}"));
            }
        }
        if variant.batch {
            command.args(["-D", "execution.runtime-mode=batch"]);
        }
        if let Some(failpoint) = &variant.failpoint {
            command.env("BEADLINE_FAILPOINT", failpoint);
        }
        if variant.fresh {
            command.arg("--fresh");
        }
        command
    }

    /// Runs a file to its end, however that comes about.
    pub fn run(&self, file: &Path, variant: &Variant) -> Output {
        self.command(variant).arg(file).output().expect("the program starts")
    }

    /// Runs a file that has to succeed.
    pub fn run_well(&self, file: &Path, variant: &Variant) -> Output {
        let output = self.run(file, variant);
        assert!(
            output.status.success(),
            "{} with {variant:?} ended with {}:\n{}",
            file.display(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    /// The rows of a batch query over the tables that a query file declares, sorted.
    pub fn select(&self, query: &QueryFile, sql: &str) -> Vec<String> {
        let mut command = self.command(&Variant { batch: true, ..Variant::default() });
        command.args(["--format", "csv", "-c", &query.declarations(), "-c", sql]);
        let output = command.output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {sql}\n{said}", query.name());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // The first line names the columns.
        let mut rows: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
        rows.sort();
        rows
    }

    /// The published rows of every table below `.beadline/out`, sorted, by table.
    pub fn published(&self) -> BTreeMap<String, Vec<String>> {
        published_below(&self.path().join(".beadline/out"))
    }
}

/// The published rows of the tables that are directories of `root`, sorted, by name.
pub fn published_below(root: &Path) -> BTreeMap<String, Vec<String>> {
    let mut tables = BTreeMap::new();
    for table in entries(root) {
        let mut rows = Vec::new();
        for file in entries(&table).into_iter().filter(|file| !is_hidden(file)) {
            let text = std::fs::read_to_string(&file).expect("a published file is readable");
            rows.extend(text.lines().map(str::to_owned));
        }
        rows.sort();
        tables.insert(name_of(&table), rows);
    }
    tables
}

/// Paths of a directory's entries, sorted; none if it does not exist.
pub fn entries(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = match std::fs::read_dir(directory) {
        Ok(found) => found.map(|entry| entry.expect("an entry").path()).collect(),
        Err(_) => Vec::new(),
    };
    paths.sort();
    paths
}

pub fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn is_hidden(path: &Path) -> bool {
    name_of(path).starts_with('.')
}

/// A query file under `queries/` and what its header says of it.
#[derive(Debug, Clone)]
pub struct QueryFile {
    pub path: PathBuf,
    text: String,
    /// The words behind `-- verify:`.
    verify: Vec<String>,
    /// How many rows which table has (or `stdout`): `-- golden: departures 373 rows, stdout 8 rows`.
    pub golden: Vec<(String, usize)>,
    /// For a table whose query has late rows: how they are added back, `-- batch: departures = SELECT …`.
    pub with_late: BTreeMap<String, String>,
    /// For a table of results of windows: where the window of a row ends, `-- closes: departures = hour_start + …`.
    pub closes: BTreeMap<String, String>,
}

/// What `-- verify:` may say.
const WORDS: [&str; 5] = ["restore", "at-least-once", "parallelism", "batch", "ordered"];

/// All queries of the checkout. Every one must say how it can be verified.
pub fn queries() -> Vec<QueryFile> {
    let files = entries(&checkout().join("queries"));
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "sql"));
    files.map(QueryFile::read).collect()
}

impl QueryFile {
    fn read(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).expect("a query file");
        let mut query = Self {
            path,
            text: text.clone(),
            verify: Vec::new(),
            golden: Vec::new(),
            with_late: BTreeMap::new(),
            closes: BTreeMap::new(),
        };
        for (key, value) in header(&text) {
            match key.as_str() {
                "verify" => query.verify = value.split_whitespace().map(str::to_owned).collect(),
                "golden" => query.golden = value.split(',').map(|figure| query.figure(figure)).collect(),
                "batch" => {
                    let (table, sql) = value.split_once(" = ").expect("`-- batch: table = SELECT …`");
                    query.with_late.insert(table.trim().to_owned(), sql.to_owned());
                }
                "closes" => {
                    let (table, end) = value.split_once(" = ").expect("`-- closes: table = end`");
                    query.closes.insert(table.trim().to_owned(), end.to_owned());
                }
                _ => {}
            }
        }
        assert!(!query.verify.is_empty(), "{} has no line `-- verify: …`", query.name());
        for word in &query.verify {
            assert!(WORDS.contains(&word.as_str()), "{}: `-- verify:` knows no word {word}", query.name());
        }
        query
    }

    /// `departures 373 rows`.
    fn figure(&self, text: &str) -> (String, usize) {
        match text.split_whitespace().collect::<Vec<_>>()[..] {
            [table, rows, "rows"] => (table.to_owned(), rows.parse().expect("a number of rows")),
            _ => panic!("{}: `{text}` is not as `departures 373 rows`", self.name()),
        }
    }

    /// The file without its ending.
    pub fn name(&self) -> String {
        self.path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    pub fn says(&self, word: &str) -> bool {
        self.verify.iter().any(|known| known == word)
    }

    /// The tables that take late rows.
    pub fn late_tables(&self) -> Vec<String> {
        let code: Vec<&str> = self.text.lines().filter(|line| !line.starts_with("--")).collect();
        let code = code.join("\n");
        let names = code.split("LATE RECORDS INTO").skip(1).filter_map(|rest| rest.split_whitespace().next());
        names.map(|name| name.trim_end_matches(';').to_owned()).collect()
    }

    /// Its statements without comments, up to and with the first that is a job.
    pub fn statements(&self) -> Vec<String> {
        let code: Vec<&str> = self.text.lines().filter(|line| !line.starts_with("--")).collect();
        let code = code.join("\n");
        let mut statements = Vec::<String>::new();
        for statement in code.split(";\n").map(str::trim) {
            match statements.last_mut().filter(|last| last.starts_with("EXECUTE") && !last.ends_with("END")) {
                Some(set) => *set += &format!(";\n{statement}"),
                None => statements.push(statement.to_owned()),
            }
        }
        let is_job = |statement: &String| statement.starts_with("INSERT") || statement.starts_with("EXECUTE");
        let jobs = statements.iter().position(is_job).map_or(0, |job| job + 1);
        statements.truncate(jobs);
        statements
    }

    /// Its CREATE statements.
    fn declarations(&self) -> String {
        let statements = self.statements();
        let statements = statements.iter().filter(|statement| statement.starts_with("CREATE"));
        statements.map(|statement| format!("{statement};\n")).collect()
    }
}

/// The lines `-- key: value` at the start of a file; `--   ` carries a value on.
fn header(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.lines().map_while(|line| line.strip_prefix("--")) {
        let key = line.split_once(": ").filter(|(key, _)| key.trim_start().chars().all(|c| c.is_ascii_lowercase()));
        match (key, line.strip_prefix("   "), found.last_mut()) {
            (_, Some(more), Some((_, value))) => {
                value.push(' ');
                value.push_str(more.trim());
            }
            (Some((key, value)), ..) => found.push((key.trim().to_owned(), value.trim().to_owned())),
            _ => {}
        }
    }
    found
}
