//! Bytes that are read piece by piece, cut between rows: what files and standard input share.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::Chunk;
use crate::error::{Error, Result};
use crate::formats::RowReader;

/// The longest row (`BL-LIM-RECORD-BYTES`).
pub(super) const LONGEST_ROW: usize = 8 << 20;

/// Bytes that have been read and not been handed out.
pub(super) struct RowBuffer {
    origin: Arc<str>,
    rows: Arc<dyn RowReader>,
    batch_rows: usize,
    bytes: Bytes,
    /// The number of the line that begins at `bytes`, from 1.
    line: u64,
    /// Whether `bytes` is where the input begins, so that a header may come first.
    begins: bool,
}

/// What is at the front of a buffer.
pub(super) enum Cutting {
    /// Bytes that are no rows; they have been taken off.
    Header(Bytes),
    /// Whole rows; they have been taken off.
    Rows(Chunk),
    /// More bytes are needed to know.
    More,
}

impl RowBuffer {
    /// An empty buffer of input that is read on from `line`; `begins` if from its first byte.
    pub(super) fn new(origin: Arc<str>, rows: Arc<dyn RowReader>, batch_rows: usize, line: u64, begins: bool) -> Self {
        Self { origin, rows, batch_rows: batch_rows.max(1), bytes: Bytes::new(), line, begins }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The number of the line that comes next.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Adds what has been read.
    pub(super) fn push(&mut self, bytes: Bytes) {
        append(&mut self.bytes, bytes);
    }

    /// Takes off the header, or at most a batch of whole rows. `at_end` says that no bytes will follow.
    pub(super) fn cut(&mut self, at_end: bool) -> Result<Cutting> {
        if self.begins && !self.bytes.is_empty() {
            let Some(length) = self.rows.skip_header(&self.bytes, at_end) else { return self.more(at_end) };
            self.begins = false;
            if length > 0 {
                let lines = memchr::memchr_iter(b'\n', &self.bytes[..length]).count() as u64;
                self.line += lines;
                return Ok(Cutting::Header(self.bytes.split_to(length)));
            }
        }
        let cut = self.rows.cut(&self.bytes, self.batch_rows, at_end);
        if cut.bytes == 0 {
            return self.more(at_end);
        }
        self.check_length(cut.bytes)?;
        let first_line = self.line;
        self.line += cut.lines;
        let bytes = self.bytes.split_to(cut.bytes);
        Ok(Cutting::Rows(Chunk { bytes, origin: Arc::clone(&self.origin), first_line, stored: None }))
    }

    fn more(&self, at_end: bool) -> Result<Cutting> {
        if at_end {
            return Err(Error::bug(format!("{}: the rest of the input is no row", self.origin)));
        }
        if self.bytes.len() > LONGEST_ROW {
            return Err(too_long(&self.origin, self.line));
        }
        Ok(Cutting::More)
    }

    /// Whether the limit holds does not depend on where blocks end: a long cut is looked at row by row.
    fn check_length(&self, cut: usize) -> Result<()> {
        if cut <= LONGEST_ROW {
            return Ok(());
        }
        let mut at = 0;
        while at < cut {
            let row = self.rows.cut(&self.bytes[at..cut], 1, true);
            if row.bytes > LONGEST_ROW {
                return Err(too_long(&self.origin, self.line));
            }
            at += row.bytes.max(1);
        }
        Ok(())
    }
}

/// Puts bytes behind others; nothing is copied if there are none yet.
pub(super) fn append(to: &mut Bytes, bytes: Bytes) {
    if to.is_empty() {
        *to = bytes;
        return;
    }
    let mut joined = BytesMut::with_capacity(to.len() + bytes.len());
    joined.extend_from_slice(to);
    joined.extend_from_slice(&bytes);
    *to = joined.freeze();
}

/// The error about a row beyond the limit.
pub(super) fn too_long(origin: &str, line: u64) -> Error {
    Error::data(format!(
        "{origin}, line {line}: a row (or a quote that is never closed) is longer than {LONGEST_ROW} bytes"
    ))
    .with_id("BL-LIM-RECORD-BYTES")
}
