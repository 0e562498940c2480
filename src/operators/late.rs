//! The columns that a late row carries besides its own: who refused it, when, and why.

use arrow::datatypes::{DataType, Field, TimeUnit};

/// The row's last window had closed by the watermark of its own split.
pub const WINDOW_FIRED: &str = "window_fired";
/// The row was on time by the watermark of its own split. But that split had been idle, and the others had moved on and
/// closed the row's last window.
pub const SPLIT_IDLE: &str = "split_idle";

/// Names of the columns that [`late_columns`] appends, in order.
pub const LATE_COLUMNS: [&str; 6] = ["operator", "watermark", "window_start", "window_end", "lateness_ms", "reason"];

/// `operator STRING, watermark TIMESTAMP(3), window_start TIMESTAMP(3), window_end TIMESTAMP(3), lateness_ms BIGINT,
/// reason STRING`: the operator that refused the row, the watermark that the row met in its own split, the last
/// window that would have held it (NULL where there is none), by how many milliseconds the watermark had passed that
/// window's last moment, and one of `window_fired`, `split_idle`.
pub fn late_columns() -> Vec<Field> {
    let timestamp = DataType::Timestamp(TimeUnit::Millisecond, None);
    let types = [DataType::Utf8, timestamp.clone(), timestamp.clone(), timestamp, DataType::Int64, DataType::Utf8];
    LATE_COLUMNS.iter().zip(types).map(|(name, data_type)| Field::new(*name, data_type, true)).collect()
}
