//! Rows that are part of the query: VALUES. One split, read once from the start; a position is a number of rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;

use super::{Polled, Position, Source, SourceContext, SourceFactory, Split, SplitId, SplitReader};
use crate::error::{Error, Result};
use crate::formats::Decoder;
use crate::stream::Changes;

/// Constant rows.
#[derive(Debug, Clone)]
pub struct ValuesSource {
    rows: RecordBatch,
}

impl ValuesSource {
    /// A source of these rows.
    pub fn new(rows: RecordBatch) -> Self {
        Self { rows }
    }
}

impl SourceFactory for ValuesSource {
    fn is_bounded(&self) -> bool {
        true
    }

    fn open(&self, context: &SourceContext) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(Opened { rows: self.rows.project(&context.projection)?, batch_rows: context.batch_rows }))
    }
}

struct Opened {
    rows: RecordBatch,
    batch_rows: usize,
}

#[async_trait]
impl Source for Opened {
    async fn discover(&self, _known: &BTreeSet<SplitId>) -> Result<Vec<Split>> {
        Ok(vec![Split { id: SplitId("values".to_owned()), start: Position(0.into()), bytes: None }])
    }

    async fn open(&self, _split: &SplitId, from: &Position) -> Result<Box<dyn SplitReader>> {
        let next = from.0.as_u64().and_then(|rows| usize::try_from(rows).ok());
        let next = next.filter(|next| *next <= self.rows.num_rows());
        let next = next.ok_or_else(|| Error::bug(format!("{:?} is no position among the rows of VALUES", from.0)))?;
        Ok(Box::new(Reader { rows: self.rows.clone(), batch_rows: self.batch_rows, next }))
    }

    fn decoder(&self) -> Option<Box<dyn Decoder>> {
        None
    }
}

struct Reader {
    rows: RecordBatch,
    batch_rows: usize,
    next: usize,
}

#[async_trait]
impl SplitReader for Reader {
    async fn next(&mut self) -> Result<Polled> {
        let count = self.batch_rows.min(self.rows.num_rows() - self.next);
        if count == 0 {
            return Ok(Polled::End);
        }
        let rows = self.rows.slice(self.next, count);
        self.next += count;
        Ok(Polled::Rows(Changes::inserts(rows), Position(self.next.into())))
    }
}

/// Shared with whoever plans VALUES.
pub fn values(rows: RecordBatch) -> Arc<dyn SourceFactory> {
    Arc::new(ValuesSource::new(rows))
}
