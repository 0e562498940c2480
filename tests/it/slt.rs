//! SQL behaviour: every file of `tests/slt`, each in a fresh session at several parallelisms and batch sizes.
//!
//! A query's rows are what remains of its changes, one text a row, in the spelling of Flink's own rows. `$OUT` in a
//! statement is a scratch directory of the file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use beadline::session::{Notice, Outcome, Session};
use beadline::stream::{ChangeKind, Changes};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

#[test]
fn scalars() {
    check("scalars");
}

#[test]
fn aggregates() {
    check("aggregates");
}

#[test]
fn windows() {
    check("windows");
}

/// Whatever else lies in the folder, so that no file is forgotten.
#[test]
fn all_others() {
    for path in files() {
        let name = path.file_stem().expect("a file with a name").to_string_lossy().into_owned();
        if !["scalars", "aggregates", "windows"].contains(&name.as_str()) {
            check(&name);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files() -> Vec<PathBuf> {
    let found = std::fs::read_dir(root().join("tests/slt")).expect("the folder of these tests");
    let mut paths: Vec<PathBuf> = found.map(|entry| entry.expect("an entry of it").path()).collect();
    paths.sort();
    paths
}

/// Runs a file at every parallelism and batch size and reports all its failures together.
fn check(name: &str) {
    let path = root().join("tests/slt").join(format!("{name}.slt"));
    let records = sqllogictest::parse_file::<DefaultColumnType>(&path).expect("a file that can be parsed");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut failures = Vec::new();
    for (parallelism, batch_rows) in [(1, 8192), (2, 8192), (1, 1), (2, 1)] {
        runtime.block_on(async {
            let mut runner = Runner::new(|| async { Database::new(parallelism, batch_rows) });
            for record in &records {
                if let Err(error) = runner.run_async(record.clone()).await {
                    failures
                        .push(format!("parallelism {parallelism}, batches of {batch_rows}: {}", error.display(false)));
                }
            }
        });
        if !failures.is_empty() {
            break;
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// A session as the database of a file.
pub(crate) struct Database {
    session: Session,
    out: tempfile::TempDir,
    warnings: Arc<Mutex<Vec<String>>>,
}

/// An error or a warning of a statement, as a user reads it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Said(String);

impl Database {
    pub(crate) fn new(parallelism: usize, batch_rows: usize) -> Result<Self, Said> {
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&warnings);
        let mut session = Session::new().with_notices(Arc::new(move |notice| {
            if let Notice::Warning(warning) = notice {
                heard.lock().expect("no one panics while listening").push(warning);
            }
        }));
        for (key, value) in [("parallelism.default", parallelism), ("beadline.limit.batch-rows", batch_rows)] {
            session.settings_mut().set(key, &value.to_string()).map_err(said)?;
        }
        Ok(Self { session, out: tempfile::tempdir().map_err(|error| Said(error.to_string()))?, warnings })
    }

    pub(crate) async fn execute(&mut self, sql: &str) -> beadline::error::Result<Option<Vec<String>>> {
        match self.session.sql(sql).await? {
            Outcome::Done => Ok(None),
            Outcome::Text(text) => Ok(Some(text.lines().map(str::to_owned).collect())),
            Outcome::Table(_, batches) => Ok(Some(batches.iter().flat_map(texts).collect())),
            Outcome::Job(job) => {
                job.wait().await?;
                Ok(None)
            }
            Outcome::Rows(mut rows) => {
                let mut standing = Vec::new();
                while let Some(changes) = rows.next().await {
                    fold(&mut standing, &changes?);
                }
                rows.job.wait().await?;
                Ok(Some(standing))
            }
        }
    }
}

#[async_trait]
impl AsyncDB for Database {
    type Error = Said;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Said> {
        let out = self.out.path().to_string_lossy().into_owned();
        let sql = sql.replace("$OUT", &out);
        // `WARNINGS` in place of a statement: what was said since the last time.
        let rows = if sql == "WARNINGS" {
            Some(std::mem::take(&mut *self.warnings.lock().expect("no one panics while listening")))
        } else {
            self.execute(&sql).await.map_err(said)?
        };
        Ok(match rows {
            None => DBOutput::StatementComplete(0),
            Some(rows) => DBOutput::Rows {
                types: vec![DefaultColumnType::Text],
                rows: rows.into_iter().map(|row| vec![row.replace(&out, "$OUT")]).collect(),
            },
        })
    }

    async fn shutdown(&mut self) {}
}

/// The whole error on one line: message, then its helps.
fn said(error: beadline::error::Error) -> Said {
    let parts = std::iter::once(error.message()).chain(error.helps().iter().map(String::as_str));
    Said(parts.collect::<Vec<_>>().join(" / ").replace('\n', " "))
}

/// Adds rows, and removes those that are taken back.
fn fold(standing: &mut Vec<String>, changes: &Changes) {
    for (index, text) in texts(changes.batch()).into_iter().enumerate() {
        match changes.kind(index) {
            ChangeKind::Insert | ChangeKind::UpdateAfter => standing.push(text),
            kind @ (ChangeKind::UpdateBefore | ChangeKind::Delete) => {
                let place = standing.iter().position(|row| *row == text);
                let place = place.unwrap_or_else(|| panic!("{} takes back {text}, which is not there", kind.symbol()));
                standing.swap_remove(place);
            }
        }
    }
}

fn texts(batch: &RecordBatch) -> Vec<String> {
    let row = |row| batch.columns().iter().map(|column| value(column, row)).collect::<Vec<_>>().join(" | ");
    (0..batch.num_rows()).map(row).collect()
}

/// One value as Java writes it: `1.0`, `1.0E7`, `2024-01-01T00:00`.
fn value(column: &dyn Array, row: usize) -> String {
    if column.is_null(row) {
        return "NULL".to_owned();
    }
    let options = FormatOptions::default().with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.f"));
    let shown = || ArrayFormatter::try_new(column, &options).expect("a type that can be shown").value(row).to_string();
    match column.data_type() {
        DataType::Float32 => float(&format!("{:e}", column.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => float(&format!("{:e}", column.as_primitive::<Float64Type>().value(row))),
        DataType::Timestamp(_, None) | DataType::Time32(_) | DataType::Time64(_) => without_seconds(&shown()),
        // An instant, in UTC whatever the session's zone.
        DataType::Timestamp(unit, _) => {
            let utc = arrow::compute::cast(&column.slice(row, 1), &DataType::Timestamp(*unit, Some("+00:00".into())));
            let utc = utc.expect("an instant in another zone");
            let options = options.with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"));
            ArrayFormatter::try_new(&utc, &options).expect("a type that can be shown").value(0).to_string()
        }
        DataType::List(_) => {
            let values = column.as_list::<i32>().value(row);
            let values = (0..values.len()).map(|row| value(&values, row)).collect::<Vec<_>>();
            format!("[{}]", values.join(","))
        }
        DataType::Struct(_) => {
            let fields = column.as_struct().columns().iter().map(|field| value(field, row)).collect::<Vec<_>>();
            format!("({})", fields.join(","))
        }
        // Java's maps have no order: by key.
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            let entry = |row| format!("{}={}", value(entries.column(0), row), value(entries.column(1), row));
            let mut entries = (0..entries.len()).map(entry).collect::<Vec<_>>();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        DataType::Binary => column.as_binary::<i32>().value(row).iter().map(|byte| format!("{byte:02x}")).collect(),
        _ => shown(),
    }
}

/// Without the seconds where they are 0, as Java's LocalDateTime and LocalTime are written.
fn without_seconds(text: &str) -> String {
    match text.strip_suffix(":00") {
        Some(short) if ["2024-01-01T00:00".len(), "00:00".len()].contains(&short.len()) => short.to_owned(),
        _ => text.to_owned(),
    }
}

/// Rust's `1e7` is Java's `1.0E7`, its `1.5e0` Java's `1.5`, its `inf` Java's `Infinity`.
fn float(text: &str) -> String {
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text.replace("inf", "Infinity");
    };
    match exponent.parse::<i32>().expect("an exponent") {
        -3..=6 => format!("{:?}", text.parse::<f64>().expect("a number")),
        _ => format!("{mantissa}{}E{exponent}", if mantissa.contains('.') { "" } else { ".0" }),
    }
}
