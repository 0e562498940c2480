//! What the tests of the binary share: a scratch directory that looks like a checkout, runs of the real program in it,
//! and the published output of its tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Whether the full product of a test family is asked for (CI), instead of its pairwise selection.
pub fn full() -> bool {
    std::env::var("BEADLINE_TESTS").is_ok_and(|value| value == "full")
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
        command.current_dir(self.path()).env_remove("BEADLINE_FAILPOINT");
        for (key, value) in [
            ("parallelism.default", variant.parallelism),
            ("beadline.limit.batch-rows", variant.batch_rows),
            ("beadline.checkpoint.every-rows", variant.every_rows),
        ] {
            if let Some(value) = value {
                command.arg("-D").arg(format!("{key}={value}"));
            }
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
    /// The words behind `-- verify:`.
    pub verify: Vec<String>,
}

/// All queries of the checkout. Every one must say how it can be verified.
pub fn queries() -> Vec<QueryFile> {
    let files = entries(&checkout().join("queries"));
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "sql"));
    files
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a query file");
            let header = text.lines().find_map(|line| line.strip_prefix("-- verify:"));
            let header = header.unwrap_or_else(|| panic!("{} has no line `-- verify: …`", path.display()));
            let verify = header.split_whitespace().map(str::to_owned).collect();
            QueryFile { path, verify }
        })
        .collect()
}

impl QueryFile {
    pub fn says(&self, word: &str) -> bool {
        self.verify.iter().any(|known| known == word)
    }
}
