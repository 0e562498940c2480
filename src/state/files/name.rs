//! The names of state files: whose rows a file holds can be read off its path.

use crate::stream::{Epoch, Generation};

/// Whose file it is: everything that its path says.
#[derive(Debug, Clone, Copy)]
pub struct FileName<'a> {
    /// The checkpoint that it is written for.
    pub epoch: Epoch,
    /// The start that writes it.
    pub generation: Generation,
    /// The node's name.
    pub node: &'a str,
    /// The place of the operator in the node's chain.
    pub operator: usize,
    /// The table's name.
    pub table: &'a str,
    /// The task's number.
    pub task: usize,
}

impl FileName<'_> {
    /// The path below the job's directory.
    pub fn path(&self) -> String {
        let Self { epoch, generation, node, operator, table, task } = self;
        let (node, table) = (path_name(node), path_name(table));
        format!("data/{epoch}-{generation}/{node}.{operator}.{table}.{task}.parquet")
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
