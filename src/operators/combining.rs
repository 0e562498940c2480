//! Whether combining rows before an exchange pays, judged by sampling.

/// Rows after which it is judged.
const SAMPLE_ROWS: usize = 64 * 1024;
/// Rows that are let through when it does not pay, before it is tried again.
const PASS_ROWS: usize = 512 * 1024;

/// The verdict so far.
#[derive(Debug, Default)]
pub(super) struct Combining {
    rows: usize,
    groups: usize,
    /// Rows still to let through.
    pass: usize,
}

impl Combining {
    /// Whether the next `rows` rows pass as they are.
    pub(super) fn passes(&mut self, rows: usize) -> bool {
        let pass = self.pass > 0;
        self.pass = self.pass.saturating_sub(rows);
        pass
    }

    /// Notes that `rows` rows made `groups` new groups. It does not pay if seven of ten rows made one of their own.
    pub(super) fn note(&mut self, rows: usize, groups: usize) {
        self.rows += rows;
        self.groups += groups;
        if self.rows >= SAMPLE_ROWS {
            self.pass = if self.groups * 10 > self.rows * 7 { PASS_ROWS } else { 0 };
            (self.rows, self.groups) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_pass_while_keys_hardly_repeat_and_are_tried_again() {
        let mut combining = Combining::default();
        combining.note(SAMPLE_ROWS, SAMPLE_ROWS / 2);
        assert!(!combining.passes(1));
        combining.note(SAMPLE_ROWS - 1, SAMPLE_ROWS - 1);
        assert!(!combining.passes(1));
        combining.note(1, 1);
        assert!(combining.passes(PASS_ROWS));
        assert!(!combining.passes(1));
    }
}
