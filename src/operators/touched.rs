//! Which slots a batch touches: each once, in the order of their first rows.

/// The slots of the present batch.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Each slot once.
    pub(super) slots: Vec<u32>,
    /// The row in which each came first.
    pub(super) first_rows: Vec<u32>,
    /// By slot: the last batch that touched it.
    marks: Vec<u32>,
    batch: u32,
}

impl Touched {
    /// Begins with a batch whose rows have these slots, all below `length`.
    pub(super) fn find(&mut self, slots: &[u32], length: usize) {
        self.batch = self.batch.wrapping_add(1);
        if self.batch == 0 {
            self.marks.fill(0);
            self.batch = 1;
        }
        self.marks.resize(length, 0);
        self.slots.clear();
        self.first_rows.clear();
        for (row, slot) in slots.iter().enumerate() {
            let mark = &mut self.marks[*slot as usize];
            if *mark != self.batch {
                *mark = self.batch;
                self.slots.push(*slot);
                self.first_rows.push(row as u32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_is_named_once_a_batch_also_when_batches_are_counted_anew() {
        let mut touched = Touched { batch: u32::MAX - 1, ..Touched::default() };
        for slots in [&[2, 0, 2][..], &[1, 1], &[2]] {
            touched.find(slots, 3);
            let mut wanted = slots.to_vec();
            wanted.dedup();
            wanted.truncate(2);
            assert_eq!(touched.slots, wanted);
        }
        touched.find(&[1, 0, 1, 2], 3);
        assert_eq!((&touched.slots[..], &touched.first_rows[..]), (&[1, 0, 2][..], &[0, 1, 3][..]));
    }
}
