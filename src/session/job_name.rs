//! What a job is called that has no `pipeline.name`: after the script that it is in and the tables that it writes. Where
//! it stands in the script does not matter, nor does the order of a statement set.

use std::collections::BTreeSet;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use crate::sql::Insert;
use crate::state::path_name;

/// How many tables of a statement set are named.
const NAMED_TABLES: usize = 3;

/// The longest name, in bytes of the directory that is called after it: file systems end at 255.
const LONGEST_NAME: usize = 120;

/// `late_flights-departures`; of a statement set the first of its tables in alphabetical order.
pub fn job_name(script: &Path, inserts: &[Insert]) -> String {
    let mut name = script.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let tables: BTreeSet<&str> = inserts.iter().map(|insert| insert.target.table()).collect();
    for table in tables.iter().take(NAMED_TABLES) {
        name.push('-');
        name.push_str(table);
    }
    if tables.len() > NAMED_TABLES {
        name.push_str("-and-more");
    }
    shortened(name)
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
    fn a_job_is_called_after_its_script_and_its_tables() {
        assert_eq!(name("queries/late_flights.sql", &["departures"]), "late_flights-departures");
        assert_eq!(name("a.b.sql", &["x.y.z"]), "a.b-z");
        for set in [["b", "a", "c"], ["c", "b", "a"]] {
            assert_eq!(name("s.sql", &set), "s-a-b-c");
        }
        assert_eq!(name("s.sql", &["b", "a", "b"]), "s-a-b", "one table, written by two queries");
        assert_eq!(name("s.sql", &["e", "d", "c", "b", "a"]), "s-a-b-c-and-more");
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
