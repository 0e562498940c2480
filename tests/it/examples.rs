//! The examples of the page of functions, each run as a stream and in batch mode over the tables that the page shows.

use std::fmt::Write;

use beadline::expressions::{Form, function_list};

use crate::slt::Database;
use crate::support::checkout;

/// What is NULL in a batch, which has no watermark.
const OF_STREAMS: &[&str] = &["CURRENT_WATERMARK"];

#[test]
fn every_example_of_a_function_has_the_result_that_its_page_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let failures = runtime.block_on(async { [failures("streaming").await, failures("batch").await].concat() });
    assert!(failures.is_empty(), "\n{failures}");
}

async fn failures(mode: &str) -> String {
    let mut database = Database::new(1, 8192).expect("a session");
    let setting = format!("SET 'execution.runtime-mode' = '{mode}'");
    for statement in tables().split_inclusive(';').chain([setting.as_str()]) {
        database.execute(statement.trim_end().trim_end_matches(';')).await.expect("a table of the page");
    }
    let mut failures = String::new();
    for form in function_list() {
        if mode == "batch" && OF_STREAMS.contains(&form.name) {
            continue;
        }
        let query = query(&form);
        let result = match database.execute(&query).await {
            Ok(rows) => rows.unwrap_or_default().join("\n"),
            Err(error) => error.to_string(),
        };
        if result != form.example.result {
            let _ = writeln!(failures, "{mode}: {query}\n  {result}\n  and not {}", form.example.result);
        }
    }
    failures
}

/// The SQL that the page shows.
fn tables() -> String {
    let page = std::fs::read_to_string(checkout().join("docs/functions.md")).expect("the page of functions");
    let block = page.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next());
    block.expect("a block of SQL").trim().to_owned()
}

fn query(form: &Form) -> String {
    let call = form.example.call;
    match call.starts_with("SELECT ") {
        true => call.to_owned(),
        false if form.is_aggregate => format!("SELECT {call} FROM t"),
        false => format!("SELECT {call}"),
    }
}
