//! Another engine with the same rows in memory: DuckDB in a process of Python, or DataFusion.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::peer_cases::Case;
use crate::pushing::later;

const THREADS: usize = 2;
/// Names the interpreter that has DuckDB.
const INTERPRETER: &str = "BEADLINE_BENCH_PYTHON";

pub enum Peer<'a> {
    DuckDb(DuckDb),
    DataFusion { context: SessionContext, batches: &'a [RecordBatch] },
}

impl<'a> Peer<'a> {
    /// The best there is here; the rows are handed over as a file in `directory`.
    pub fn find(batches: &'a [RecordBatch], directory: &Path) -> Self {
        match DuckDb::start(batches, directory) {
            Ok(duck) => Self::DuckDb(duck),
            Err(reason) => {
                println!("no DuckDB ({reason}): {INTERPRETER} may name a Python that has it");
                let config = SessionConfig::new().with_target_partitions(THREADS);
                Self::DataFusion { context: SessionContext::new_with_config(config), batches }
            }
        }
    }

    pub fn name(&self) -> String {
        match self {
            Self::DuckDb(duck) => format!("DuckDB {}", duck.version),
            Self::DataFusion { .. } => format!("DataFusion {}", datafusion::DATAFUSION_VERSION),
        }
    }

    /// Has these columns of the rows in a table in memory, `rounds` times, each an hour later.
    pub fn load(&mut self, columns: &str, rounds: usize) -> Result<(), String> {
        match self {
            Self::DuckDb(duck) => duck.load(columns, rounds),
            Self::DataFusion { context, batches } => {
                let schema = batches[0].schema();
                let wanted: Vec<usize> =
                    columns.split(", ").map(|name| schema.index_of(name).expect("a column")).collect();
                let project = |batch: RecordBatch| batch.project(&wanted).expect("columns of the rows");
                let round = |round| batches.iter().map(move |batch| project(later(batch, round)));
                let rows: Vec<RecordBatch> = (0..rounds).flat_map(round).collect();
                let parts = rows.chunks(rows.len().div_ceil(THREADS)).map(<[_]>::to_vec).collect();
                let table = MemTable::try_new(rows[0].schema(), parts).map_err(|error| error.to_string())?;
                let told = |error: datafusion::error::DataFusionError| error.to_string();
                context.deregister_table("bids").map_err(told)?;
                context.register_table("bids", Arc::new(table)).map_err(told)?;
                Ok(())
            }
        }
    }

    /// How long the query takes.
    pub fn run(&mut self, runtime: &Runtime, query: &str) -> Result<Duration, String> {
        match self {
            Self::DuckDb(duck) => {
                let answer = duck.ask(&json!({ "sql": query }))?;
                Ok(Duration::from_secs_f64(answer["seconds"].as_f64().expect("seconds")))
            }
            Self::DataFusion { context, .. } => {
                let started = Instant::now();
                collect(runtime, context, query)?;
                Ok(started.elapsed())
            }
        }
    }

    /// How many rows come out, and the sum of the results, or of their lengths.
    pub fn answer(&mut self, runtime: &Runtime, case: &Case) -> Result<(f64, f64), String> {
        let type_name = case.result.rsplit_once("result ").expect("a result").1;
        let measured = match type_name.split('<').next().expect("a word") {
            "STRING" => "octet_length(CAST(encode(result) AS BLOB))",
            "ARRAY" => "len(result)",
            "MULTISET" => "cardinality(result)",
            _ => "result",
        };
        let query = format!("SELECT count(*), sum({measured}) FROM ({}) AS results", case.theirs);
        match self {
            Self::DuckDb(duck) => {
                let answer = duck.ask(&json!({ "sql": query, "fetch": true }))?;
                let number = |at: usize| answer["row"][at].as_f64().unwrap_or(0.0);
                Ok((number(0), number(1)))
            }
            Self::DataFusion { context, .. } => {
                let rows = collect(runtime, context, &query)?;
                let number = |at: usize| {
                    let value = cast(rows[0].column(at), &DataType::Float64).expect("a number");
                    value.as_primitive::<Float64Type>().value(0)
                };
                Ok((number(0), number(1)))
            }
        }
    }
}

fn collect(runtime: &Runtime, context: &SessionContext, query: &str) -> Result<Vec<RecordBatch>, String> {
    let rows = runtime.block_on(async { context.sql(query).await?.collect().await });
    rows.map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
}

/// A process of Python that asks DuckDB.
pub struct DuckDb {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    version: String,
    file: PathBuf,
}

impl DuckDb {
    fn start(batches: &[RecordBatch], directory: &Path) -> Result<Self, String> {
        let interpreter = std::env::var(INTERPRETER).unwrap_or_else(|_| "python3".to_owned());
        let mut command = Command::new(&interpreter);
        command
            .args(["-c", include_str!("peer.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("{interpreter}: {error}"))?;
        let questions = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let file = directory.join("bids.parquet");
        let mut duck = Self { child, questions, answers, version: String::new(), file };
        let hello = duck.line().map_err(|_| format!("{interpreter} has no module duckdb"))?;
        duck.version = hello["version"].as_str().unwrap_or_default().to_owned();
        let file = std::fs::File::create(&duck.file).expect("a file");
        let mut writer = ArrowWriter::try_new(file, batches[0].schema(), None).expect("columns that Parquet has");
        batches.iter().for_each(|batch| writer.write(batch).expect("room"));
        writer.close().expect("room");
        duck.ask(&json!({ "sql": "CREATE MACRO date_bin(size, time) AS time_bucket(size, time)" }))?;
        Ok(duck)
    }

    fn load(&mut self, columns: &str, rounds: usize) -> Result<(), String> {
        let columns = columns.trim_end_matches(", ts");
        for round in 0..rounds {
            let into = if round == 0 { "CREATE OR REPLACE TABLE bids AS" } else { "INSERT INTO bids" };
            let rows = format!(
                "{into} SELECT {columns}, ts + {round} * INTERVAL '1 hour' AS ts FROM '{}'",
                self.file.display()
            );
            self.ask(&json!({ "sql": rows }))?;
        }
        Ok(())
    }

    fn ask(&mut self, question: &Value) -> Result<Value, String> {
        writeln!(self.questions, "{question}").map_err(|error| error.to_string())?;
        let answer = self.line()?;
        match answer["error"].as_str() {
            Some(reason) => Err(reason.lines().next().unwrap_or_default().to_owned()),
            None => Ok(answer),
        }
    }

    fn line(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line).map_err(|error| error.to_string())? {
            0 => Err("it has ended".to_owned()),
            // Answers would be taken for those of other questions from here on.
            _ => Ok(serde_json::from_str(&line).unwrap_or_else(|_| panic!("no answer of the peer: {line:?}"))),
        }
    }
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
