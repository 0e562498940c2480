//! What a job is called that has no `pipeline.name`: after the script that it is in and the table that it writes. Where it
//! stands in the script does not matter, nor what a statement set consists of.

use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use crate::sql::Insert;
use crate::state::path_name;

/// The longest name, in bytes of the directory that is called after it: file systems end at 255.
const LONGEST_NAME: usize = 120;

/// `late_flights-departures`; of a statement set that writes several tables `late_flights`, whichever they are.
pub fn job_name(script: &Path, inserts: &[Insert]) -> String {
    let stem = script.file_stem().unwrap_or_default().to_string_lossy();
    let mut tables = inserts.iter().map(|insert| insert.target.table());
    match tables.next().filter(|first| tables.all(|table| table == *first)) {
        Some(table) => shortened(format!("{stem}-{table}")),
        None => shortened(stem.into_owned()),
    }
}

/// The name, or as much of it as leaves room for a digest of the whole.
fn shortened(name: String) -> String {
    if path_name(&name).len() <= LONGEST_NAME {
        return name;
    }
    let digest = format!("-{:08x}", xxh3_64(name.as_bytes()) >> 32);
    let mut kept = name;
    while path_name(&kept).len() + digest.len() > LONGEST_NAME {
        kept.pop();
    }
    kept + &digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Statement, parse_script};

    fn name(script: &str, tables: &[&str]) -> String {
        let inserts: String = tables.iter().map(|table| format!("INSERT INTO {table} SELECT 1;")).collect();
        let set = format!("EXECUTE STATEMENT SET BEGIN {inserts} END;");
        let mut statements = parse_script(&set).expect("a statement set").statements;
        match statements.pop().map(|at| at.statement) {
            Some(Statement::StatementSet(inserts)) => job_name(Path::new(script), &inserts),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_job_is_called_after_its_script_and_its_table() {
        assert_eq!(name("queries/late_flights.sql", &["departures"]), "late_flights-departures");
        assert_eq!(name("a.b.sql", &["x.y.z"]), "a.b-z");
        assert_eq!(name("s.sql", &["a", "a"]), "s-a", "one table, written by two queries");
        for set in [&["b", "a"][..], &["a", "b"], &["e", "d", "c", "b", "a"]] {
            assert_eq!(name("s.sql", set), "s");
        }
    }

    /// A directory bears the name, with three characters for each byte that is no letter of ASCII.
    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let long = |end: &str| name("s.sql", &[&format!("`{}{end}`", "出発".repeat(30))]);
        let (one, other) = (long("1"), long("2"));
        assert_ne!(one, other);
        for name in [&one, &other] {
            assert!(name.starts_with("s-出発") && path_name(name).len() <= LONGEST_NAME, "{name}");
        }
        assert_eq!(one, long("1"));
    }
}
