//! The names of state files: whose rows a file holds can be read off its path, and which names are ours.

use std::path::Path;

use crate::stream::{Epoch, Generation};

/// Whose file it is: everything that its path says.
#[derive(Debug, Clone, Copy)]
pub struct FileName<'a> {
    /// The checkpoint that it is written for.
    pub epoch: Epoch,
    /// The start that writes it.
    pub generation: Generation,
    /// The operator's identity.
    pub operator: &'a str,
    /// The table's name.
    pub table: &'a str,
    /// Who writes it.
    pub writer: Writer,
}

/// Who writes a file. Each name is used once: whatever stands there is never written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// A task, with what one of its barriers handed over. Another attempt follows one that failed.
    Task { task: usize, attempt: u32 },
    /// A compaction, by number within its start.
    Compaction { number: u64, part: usize },
    /// A start that begins from a savepoint, by number of the copied file.
    Savepoint { number: u64 },
}

impl FileName<'_> {
    /// The path below the job's directory.
    pub fn path(&self) -> String {
        let Self { epoch, generation, operator, table, writer } = self;
        let (operator, table) = (path_name(operator), path_name(table));
        let writer = match writer {
            Writer::Task { task, attempt } => format!("{task}.{attempt}"),
            Writer::Compaction { number, part } => format!("c{number}.{part}"),
            Writer::Savepoint { number } => format!("s{number}.0"),
        };
        format!("data/{epoch}-{generation}/{operator}.{table}.{writer}.parquet")
    }
}

/// Reads the name of a directory `<epoch>-<generation>`.
pub(in crate::state) fn epoch_directory(path: &Path) -> Option<(Epoch, Generation)> {
    let (epoch, generation) = path.file_name()?.to_str()?.split_once('-')?;
    Some((Epoch(epoch.parse().ok()?), Generation(generation.parse().ok()?)))
}

/// Whether a file's name is one that [`FileName`] makes.
pub(in crate::state) fn is_file_name(name: &str) -> bool {
    let Some(name) = name.strip_suffix(".parquet") else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-%".contains(&byte));
    match name.split('.').collect::<Vec<_>>()[..] {
        [operator, table, writer, last] => {
            is_name(operator)
                && is_name(table)
                && is_number(writer.strip_prefix(['c', 's']).unwrap_or(writer))
                && is_number(last)
        }
        _ => false,
    }
}

/// `name` as part of a file's name: letters, digits, `_` and `-` as they are, every other byte as `%` and two digits.
pub fn path_name(name: &str) -> String {
    use std::fmt::Write;
    name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"_-".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}
