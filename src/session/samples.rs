//! Rows that the tests of this folder share.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;

use crate::stream::{ChangeKind, Changes};

/// Names and numbers.
pub fn batch(names: &[Option<&str>], counts: &[i64]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([
        ("name", Arc::new(StringArray::from(names.to_vec())) as ArrayRef, true),
        ("n", Arc::new(Int64Array::from(counts.to_vec())) as ArrayRef, true),
    ])
    .unwrap()
}

/// `a` once, then twice; and a row with NULL.
pub fn updates() -> Changes {
    use ChangeKind::*;
    let batch = batch(&[Some("a"), None, Some("a"), Some("a")], &[1, 1, 1, 2]);
    Changes::new(batch, vec![Insert, Insert, UpdateBefore, UpdateAfter])
}
