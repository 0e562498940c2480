//! Data in place of SQL: what it is by its first bytes or its name, and how it is queried.

use std::path::Path;

use crate::error::Error;
use crate::sql::SQL_BYTES;

/// Names that end so hold data, whatever is in them.
const DATA: [&str; 6] = ["json", "jsonl", "ndjson", "csv", "tsv", "log"];
/// What compresses: the first bytes, and the command that undoes it.
const COMPRESSED: [(&[u8], &str, &str); 4] = [
    (b"\x1f\x8b", "gzip", "gzip -dc"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc"),
    (b"BZh", "bzip2", "bzip2 -dc"),
    (b"\xfd7zXZ", "xz", "xz -dc"),
];

/// The error that says so if a script is none. `path` is where it is from, if not from stdin.
pub fn error(path: Option<&Path>, bytes: &[u8]) -> Option<Error> {
    let name = path.map_or_else(|| "stdin".to_owned(), |path| path.display().to_string());
    let is = |what: &str| Error::query(format!("{name} is {what}, not SQL"));
    // Through a program that makes lines of it, or as it is.
    let query = |through: &str| {
        let name = quoted(&name);
        let command = "beadline -c 'SELECT * FROM stdin'";
        match (path, through) {
            (Some(_), "") => format!("{command} < {name}"),
            (Some(_), through) => format!("{through} {name} | {command}"),
            (None, "") => format!("… | {command}"),
            (None, through) => format!("… | {through} | {command}"),
        }
    };
    let with_query = |error: Error, through: &str| error.with_help(format!("query it: {}", query(through)));
    if bytes.starts_with(b"PAR1") {
        return Some(is("a Parquet file").with_help("Parquet is not built yet: turn it into JSON lines or csv first"));
    }
    if let Some((_, what, unpack)) = COMPRESSED.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
        return Some(with_query(is(&format!("compressed with {what}")), unpack));
    }
    // No statement begins with a brace or a bracket; a row of JSON is an object on a line.
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => return Some(with_query(is("data"), "")),
        Some(b'[') => return Some(with_query(is("data"), "jq -c '.[]'")),
        _ => {}
    }
    let extension = path.and_then(Path::extension).and_then(|extension| extension.to_str());
    let extension = extension.map(str::to_ascii_lowercase).unwrap_or_default();
    if let ("csv", Some(path)) = (extension.as_str(), path) {
        let lines = format!("its lines as they are: {}", query(""));
        return Some(is("data").with_help(format!("query it in SQL: {}", csv(path, bytes))).with_help(lines));
    }
    let is_long = bytes.len() > SQL_BYTES && extension != "sql";
    (is_long || DATA.contains(&extension.as_str())).then(|| with_query(is("data"), ""))
}

/// A query of a csv file, whose first line may hold the names of its columns.
fn csv(path: &Path, bytes: &[u8]) -> String {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    let cells: Vec<&str> = first.trim_end().split(',').map(|cell| cell.trim().trim_matches('"')).collect();
    let is_name = |cell: &&str| {
        cell.starts_with(|first: char| first.is_ascii_alphabetic())
            && cell.chars().all(|next| next.is_ascii_alphanumeric() || next == '_' || next == ' ')
    };
    let has_names = cells.iter().all(is_name);
    let columns: Vec<String> = (1..)
        .zip(&cells)
        .map(|(number, cell)| match has_names {
            true => format!("`{cell}` STRING"),
            false => format!("c{number} STRING"),
        })
        .collect();
    let set = if has_names { "SET 'beadline.csv.header' = 'true'; " } else { "" };
    format!(
        "{set}CREATE TABLE t ({}) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'csv'); \
         SELECT * FROM t",
        columns.join(", "),
        path.display().to_string().replace('\'', "''")
    )
}

/// A word as a shell takes it.
fn quoted(name: &str) -> String {
    let is_plain = name.chars().all(|next| next.is_alphanumeric() || "/._-+,@%".contains(next));
    if is_plain { name.to_owned() } else { format!("'{}'", name.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, bytes: &[u8], expected: &[&str]) {
        let found = error((path != "-").then_some(Path::new(path)), bytes);
        let found: Vec<String> = found
            .map(|error| std::iter::once(error.message().to_owned()).chain(error.helps().iter().cloned()).collect())
            .unwrap_or_default();
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn sql_is_sql() {
        check("a.sql", b"SELECT 1", &[]);
        check("a", b"SELECT 1", &[]);
        check("a.txt", b"-- a comment", &[]);
        check("a.sql", &vec![b' '; SQL_BYTES + 1], &[]);
        check("-", b"", &[]);
    }

    #[test]
    fn data_is_told_by_its_bytes_or_its_name() {
        let query = "query it: beadline -c 'SELECT * FROM stdin' < a";
        check("a", b"\n {\"a\":1}", &["a is data, not SQL", query]);
        check("a", &vec![b'1'; SQL_BYTES + 1], &["a is data, not SQL", query]);
        check(
            "it's.LOG",
            b"12:00 x",
            &["it's.LOG is data, not SQL", r"query it: beadline -c 'SELECT * FROM stdin' < 'it'\''s.LOG'"],
        );
        check(
            "a.sql",
            b"\x1f\x8b\x08",
            &["a.sql is compressed with gzip, not SQL", "query it: gzip -dc a.sql | beadline -c 'SELECT * FROM stdin'"],
        );
        check(
            "-",
            b"[{}]",
            &["stdin is data, not SQL", "query it: … | jq -c '.[]' | beadline -c 'SELECT * FROM stdin'"],
        );
        check(
            "p",
            b"PAR1",
            &["p is a Parquet file, not SQL", "Parquet is not built yet: turn it into JSON lines or csv first"],
        );
    }

    #[test]
    fn a_csv_file_gets_its_table() {
        let lines = "its lines as they are: beadline -c 'SELECT * FROM stdin' < a.csv";
        check(
            "a.csv",
            b"id,\"user name\"\r\n1,x\n",
            &[
                "a.csv is data, not SQL",
                "query it in SQL: SET 'beadline.csv.header' = 'true'; CREATE TABLE t (`id` STRING, `user name` STRING) WITH \
             ('connector' = 'filesystem', 'path' = 'a.csv', 'format' = 'csv'); SELECT * FROM t",
                lines,
            ],
        );
        check(
            "a.csv",
            b"1,x",
            &[
                "a.csv is data, not SQL",
                "query it in SQL: CREATE TABLE t (c1 STRING, c2 STRING) WITH ('connector' = 'filesystem', 'path' = 'a.csv', \
             'format' = 'csv'); SELECT * FROM t",
                lines,
            ],
        );
    }
}
