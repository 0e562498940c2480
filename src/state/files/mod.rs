//! State files: what a table handed over at a barrier, as typed Parquet that any tool can read, and back.
//!
//! A file leads with the column `key_group`, by which its rows are ordered; one of a keyed table goes on with `deleted`;
//! the table's own columns follow. Within a key group of a file and over the files of a table, in order, later rows
//! speak for earlier ones. A file is checked against the length and digest in its manifest before a byte of it is
//! decoded.

mod compact;
mod digest;
mod name;
mod read;
mod restore_progress;
mod schema;
mod state_file;
#[cfg(test)]
mod tests;
mod write;

pub use compact::{compact_table, is_overgrown, run_to_compact};
pub use digest::digest;
pub(super) use digest::text as digest_text;
pub use name::{FileName, Writer, path_name};
pub(super) use name::{epoch_directory, is_file_name};
pub use read::{TableRows, read_table};
pub use restore_progress::RestoreProgress;
pub use schema::{check_schema, schema_text};
pub use write::{EncodedTable, encode, write_table};

use crate::error::Error;

/// Damage: never passed over, never repaired.
pub(super) fn corrupt(what: impl Into<String>) -> Error {
    Error::world(what).with_id("BL-STATE-CORRUPT").with_help(
        "the checkpoint is damaged; start over with --fresh, which removes what the job has written and reads all \
         input again, or put back a copy of the directory that was made since the job last ran",
    )
}
