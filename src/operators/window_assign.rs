//! Gives each row its pane and judges lateness by the watermark that the row met in its own split.

use arrow::datatypes::SchemaRef;

use super::WindowKind;

/// TUMBLE or HOP over rows, before any aggregation.
#[derive(Debug, Clone)]
pub struct WindowAssignSpec {
    /// The columns that come in, the hidden watermark among them.
    pub input: SchemaRef,
    /// The rowtime column: `Timestamp(ms)`.
    pub time: usize,
    /// The hidden column of the watermark that the row met: `Int64` ms.
    pub watermark: usize,
    /// The windows.
    pub window: WindowKind,
    /// Names the window operator in late rows.
    pub operator: String,
    /// The columns of a late row, by index into the input.
    pub late_columns: Vec<usize>,
}
