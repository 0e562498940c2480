//! What a table remembers besides keys: columns of state addressed by slot.

use arrow::array::ArrayRef;
use arrow::datatypes::Field;

use crate::error::Result;

/// Columns of state, one value a slot. A slot that was never touched holds the state of no rows.
pub trait SlotColumns: Send {
    /// Names and types of the columns.
    fn fields(&self) -> Vec<Field>;
    /// Makes room for `slots` slots.
    fn resize(&mut self, slots: usize);
    /// Replaces the state of slot `slots[i]` by that in row `i` of `columns`; each slot is named once.
    fn set(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()>;
    /// Adds the state in row `i` of `columns` to slot `slots[i]`.
    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()>;
    /// The state of `slots`, in that order.
    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>>;
    /// The state of all slots, moved out; there are no slots afterwards.
    fn take(&mut self) -> Result<Vec<ArrayRef>>;
    /// Resets `slots` to the state of no rows.
    fn clear(&mut self, slots: &[u32]);
    /// Whether it matters in which order states are merged: that in which they came is then kept.
    fn is_ordered(&self) -> bool {
        false
    }
    /// Bytes held.
    fn bytes(&self) -> usize;
}
