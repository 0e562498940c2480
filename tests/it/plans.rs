//! Plans as reviewed text: each `tests/plans/*.sql` ends with an EXPLAIN whose output is the `.txt` beside it.
//!
//! `BEADLINE_UPDATE=1 cargo test plans` writes the texts anew; the diff is then to be read by a person.

use std::path::Path;

use beadline::session::{Outcome, Session};

use crate::programs::RunningSum;

#[test]
fn plans_are_as_reviewed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let found = std::fs::read_dir(&folder).expect("the folder of plans");
    let mut scripts: Vec<_> = found.map(|entry| entry.expect("an entry of it").path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    scripts.sort();
    assert!(scripts.len() >= 10, "there are only {} plans", scripts.len());
    let is_update = std::env::var("BEADLINE_UPDATE").is_ok_and(|value| value == "1");
    let mut faults = Vec::new();
    for script in scripts {
        let text = plan(&std::fs::read_to_string(&script).expect("a script"));
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", script.display()));
        let reviewed = script.with_extension("txt");
        if is_update {
            std::fs::write(&reviewed, &text).expect("room for a plan");
        } else if std::fs::read_to_string(&reviewed).unwrap_or_default() != text {
            faults.push(format!("{} is now\n{text}", reviewed.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn plan(script: &str) -> beadline::error::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut session = Session::new();
    session.register_process_function("running_sum", RunningSum::default)?;
    match runtime.block_on(session.sql(script))? {
        Outcome::Text(text) => Ok(text),
        _ => Err(beadline::error::Error::query("the last statement is no EXPLAIN")),
    }
}
