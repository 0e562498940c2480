//! Which kinds of change an edge carries: what whoever reads it must be ready for, and what it may rely on.

use std::fmt;

/// Inserts come on every edge; whatever else comes is said here.
///
/// ```text
///   APPEND    +I              a row stays as it is
///   UPDATE    +I  -U +U       rows change
///   RETRACT   +I  -U +U  -D   rows change and go; what is taken back comes with all its columns
///   by key    +I     +U  -D   a row takes the place of the one with its upsert key, which no `-U` announces
/// ```
///
/// Behind a filter `-U` and `+U` may come without each other, where only one version of the row gets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangelogMode {
    /// Rows change: `+U` comes.
    pub update_after: bool,
    /// The old version comes as `-U` before each `+U`. Without it the upsert key tells which row is meant.
    pub update_before: bool,
    /// What comes of a row that goes.
    pub delete: Delete,
}

/// What comes of a row that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delete {
    /// `-D` does not come.
    None,
    /// `-D` with all columns.
    Full,
    /// `-D` with the columns of its upsert key. The others are NULL, so that on such an edge they are nullable.
    KeyOnly,
}

impl ChangelogMode {
    pub const APPEND: Self = Self { update_after: false, update_before: false, delete: Delete::None };
    pub const UPDATE: Self = Self { update_after: true, update_before: true, delete: Delete::None };
    pub const RETRACT: Self = Self { update_after: true, update_before: true, delete: Delete::Full };

    /// Rows come and go, and none takes the place of another.
    pub const COME_AND_GO: Self = Self { update_after: false, update_before: false, delete: Delete::Full };

    /// Whether rows only come.
    pub fn is_append(self) -> bool {
        self == Self::APPEND
    }

    /// What a stream carries into which both flow.
    pub fn or(self, other: Self) -> Self {
        Self {
            update_after: self.update_after || other.update_after,
            update_before: self.update_before || other.update_before,
            delete: self.delete.max(other.delete),
        }
    }
}

/// As Flink writes it: `I,UB,UA,D`, where `PD` is a delete of which only the key comes.
impl fmt::Display for ChangelogMode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("I")?;
        for (is_carried, kind) in [
            (self.update_before, ",UB"),
            (self.update_after, ",UA"),
            (self.delete == Delete::Full, ",D"),
            (self.delete == Delete::KeyOnly, ",PD"),
        ] {
            out.write_str(if is_carried { kind } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_streams_carry_together_is_what_either_carries() {
        let by_key = ChangelogMode { update_after: true, update_before: false, delete: Delete::KeyOnly };
        for (one, two, both) in [
            (ChangelogMode::APPEND, ChangelogMode::APPEND, "I"),
            (ChangelogMode::APPEND, ChangelogMode::UPDATE, "I,UB,UA"),
            (ChangelogMode::UPDATE, ChangelogMode::RETRACT, "I,UB,UA,D"),
            (ChangelogMode::APPEND, by_key, "I,UA,PD"),
        ] {
            assert_eq!((one.or(two).to_string().as_str(), two.or(one).to_string().as_str()), (both, both));
        }
        assert!(ChangelogMode::APPEND.is_append() && !by_key.is_append());
    }
}
