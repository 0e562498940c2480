//! TUMBLE, HOP and CUMULATE windows as arithmetic: which pane a time lies in, and which windows hold the pane.
//!
//! A pane is the stretch of time between two neighbouring window borders. All rows of a pane lie in the same windows,
//! so they are aggregated once and the panes of a window are put together when it fires.

use std::fmt;

use crate::error::{Error, Result};

/// A window table function, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowKind {
    /// Windows side by side.
    Tumble { size_ms: i64, offset_ms: i64 },
    /// A window of `size_ms` starts every `slide_ms`, which divides the size or not.
    Hop { slide_ms: i64, size_ms: i64, offset_ms: i64 },
    /// Full windows of `size_ms` side by side, in each of which one window ends every `step_ms` and starts with it.
    Cumulate { step_ms: i64, size_ms: i64, offset_ms: i64 },
}

impl WindowKind {
    /// The length of a window; of CUMULATE, that of the longest.
    pub fn size_ms(self) -> i64 {
        match self {
            Self::Tumble { size_ms, .. } | Self::Hop { size_ms, .. } | Self::Cumulate { size_ms, .. } => size_ms,
        }
    }

    /// The distance of the ends of neighbouring windows.
    pub fn slide_ms(self) -> i64 {
        match self {
            Self::Tumble { size_ms, .. } => size_ms,
            Self::Hop { slide_ms, .. } => slide_ms,
            Self::Cumulate { step_ms, .. } => step_ms,
        }
    }

    /// What the ends of all windows leave when divided by the slide: at least 0, below the slide.
    pub fn offset_ms(self) -> i64 {
        self.declared_offset_ms().rem_euclid(self.slide_ms())
    }

    fn declared_offset_ms(self) -> i64 {
        match self {
            Self::Tumble { offset_ms, .. } | Self::Hop { offset_ms, .. } | Self::Cumulate { offset_ms, .. } => {
                offset_ms
            }
        }
    }

    /// The distance of the starts of neighbouring windows that start at different times.
    pub fn starts_every_ms(self) -> i64 {
        match self {
            Self::Tumble { .. } | Self::Hop { .. } => self.slide_ms(),
            Self::Cumulate { size_ms, .. } => size_ms,
        }
    }

    /// What the starts of all windows leave when divided by their distance: at least 0, below it.
    pub fn starts_offset_ms(self) -> i64 {
        self.declared_offset_ms().rem_euclid(self.starts_every_ms())
    }

    /// What the ends of all windows leave when divided by the slide: at least 0, below the slide.
    pub fn ends_offset_ms(self) -> i64 {
        (self.declared_offset_ms() + self.size_ms()).rem_euclid(self.slide_ms())
    }

    /// Whether all panes are of one length, that of the slide: all windows end where others start.
    pub fn is_even(self) -> bool {
        self.size_ms() % self.slide_ms() == 0
    }

    /// How many windows hold a row at most.
    pub fn most_windows_per_row(self) -> i64 {
        self.size_ms() / self.slide_ms() + i64::from(!self.is_even())
    }

    /// How many windows hold a pane: none between those of HOP that are shorter than the slide.
    pub fn windows_of(self, pane: i64) -> i64 {
        (self.last_end(pane) - self.first_end(pane)) / self.slide_ms() + 1
    }

    /// Refuses windows that no aggregation can share panes of.
    pub fn check(self) -> Result<()> {
        self.check_lengths()?;
        let (slide, size) = (self.slide_ms(), self.size_ms());
        let (name, word) = self.words();
        if slide > size {
            let error = Error::query(format!("{name}: the {word} of {slide} ms is longer than the size of {size} ms"));
            return Err(
                error.with_help(format!("the {word} comes first: {name}(TABLE t, DESCRIPTOR(ts), {word}, size)"))
            );
        }
        if size % slide != 0 {
            let error = format!("{name}: the size of {size} ms is no multiple of the {word} of {slide} ms");
            return Err(Error::query(error).with_help(format!("choose a {word} that divides the size")));
        }
        Ok(())
    }

    /// What the shorter length is called, and how the call begins that names it first.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Tumble { .. } | Self::Hop { .. } => ("HOP", "slide"),
            Self::Cumulate { .. } => ("CUMULATE", "step"),
        }
    }

    /// Refuses windows that nobody can compute with.
    pub fn check_lengths(self) -> Result<()> {
        let (slide, size) = (self.slide_ms(), self.size_ms());
        if slide <= 0 || size <= 0 {
            let word = self.words().1;
            return Err(Error::query(format!("the size and the {word} of a window must be longer than 0 ms")));
        }
        if size.max(slide) > i64::MAX / 16 {
            return Err(Error::query(format!("a window of {} ms is too long", size.max(slide))));
        }
        let offset = self.declared_offset_ms();
        // Flink takes any offset of CUMULATE.
        if !matches!(self, Self::Cumulate { .. }) && offset.unsigned_abs() >= size.unsigned_abs() {
            let error = format!("the offset of {offset} ms must be shorter than the window of {size} ms");
            return Err(Error::query(error));
        }
        Ok(())
    }

    /// The times for which all borders of all windows fit into 64 bits with room to spare.
    pub fn times(self) -> std::ops::RangeInclusive<i64> {
        let room = 4 * self.size_ms().max(self.slide_ms());
        i64::MIN + room..=i64::MAX - room
    }

    /// The start of the pane that holds `time`, which must be within [`times`](Self::times).
    pub fn pane(self, time: i64) -> i64 {
        let start = self.last_of(self.offset_ms(), time);
        if self.is_even() { start } else { start.max(self.last_of(self.ends_offset_ms(), time)) }
    }

    /// Where the next pane starts.
    pub fn pane_end(self, pane: i64) -> i64 {
        if self.is_even() {
            return pane + self.slide_ms();
        }
        let next_start = self.last_of(self.offset_ms(), pane) + self.slide_ms();
        next_start.min(self.last_of(self.ends_offset_ms(), pane) + self.slide_ms())
    }

    /// The last time, `time` or before it, that leaves `rest` when divided by the slide.
    fn last_of(self, rest: i64, time: i64) -> i64 {
        time - (time - rest).rem_euclid(self.slide_ms())
    }

    /// The end of the first window that holds the pane, if any does.
    pub fn first_end(self, pane: i64) -> i64 {
        if self.is_even() {
            return pane + self.slide_ms();
        }
        self.last_of(self.ends_offset_ms(), pane) + self.slide_ms()
    }

    /// The end of the last window that holds the pane.
    pub fn last_end(self, pane: i64) -> i64 {
        match self {
            Self::Tumble { size_ms, .. } => pane + size_ms,
            Self::Hop { size_ms, .. } if self.is_even() => pane + size_ms,
            Self::Hop { size_ms, .. } => self.last_of(self.offset_ms(), pane) + size_ms,
            Self::Cumulate { size_ms, .. } => self.full_start(pane) + size_ms,
        }
    }

    /// The start of the window that ends at `end`.
    pub fn start(self, end: i64) -> i64 {
        match self {
            Self::Tumble { size_ms, .. } | Self::Hop { size_ms, .. } => end - size_ms,
            Self::Cumulate { step_ms, .. } => self.full_start(end - step_ms),
        }
    }

    /// The start of the full window of CUMULATE that holds `time`.
    fn full_start(self, time: i64) -> i64 {
        time - (time - self.starts_offset_ms()).rem_euclid(self.starts_every_ms())
    }

    /// The end of the first window that has not fired at `watermark`, clamped to what can be computed with.
    pub fn first_open_end(self, watermark: i64) -> i64 {
        let times = self.times();
        // A window fires at its end − 1 ms: the first open one ends at watermark + 2 ms or later.
        let earliest = watermark.clamp(*times.start(), *times.end()) + 2;
        self.pane(earliest + self.slide_ms() - 1)
    }

    /// The start of the first pane that some window still needs at `watermark`.
    pub fn first_open_pane(self, watermark: i64) -> i64 {
        self.start(self.first_open_end(watermark))
    }
}

impl fmt::Display for WindowKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = match *self {
            Self::Tumble { size_ms, offset_ms } => {
                write!(out, "TUMBLE(size=[{}]", Milliseconds(size_ms))?;
                offset_ms
            }
            Self::Hop { slide_ms, size_ms, offset_ms } => {
                write!(out, "HOP(slide=[{}], size=[{}]", Milliseconds(slide_ms), Milliseconds(size_ms))?;
                offset_ms
            }
            Self::Cumulate { step_ms, size_ms, offset_ms } => {
                write!(out, "CUMULATE(step=[{}], size=[{}]", Milliseconds(step_ms), Milliseconds(size_ms))?;
                offset_ms
            }
        };
        if offset != 0 {
            write!(out, ", offset=[{}]", Milliseconds(offset))?;
        }
        out.write_str(")")
    }
}

/// Milliseconds in the largest unit that divides them, as Flink's plans write them: `10 s`, `1 min`.
#[derive(Debug, Clone, Copy)]
pub struct Milliseconds(pub i64);

impl fmt::Display for Milliseconds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
        let unit = units.into_iter().find(|(length, _)| self.0 != 0 && self.0 % length == 0);
        let (length, name) = unit.unwrap_or((1, "ms"));
        write!(out, "{} {name}", self.0 / length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_align_right_before_1970_and_with_an_offset() {
        let tumble = WindowKind::Tumble { size_ms: 10, offset_ms: 0 };
        assert_eq!([-11, -10, -1, 0, 9, 10].map(|time| tumble.pane(time)), [-20, -10, -10, 0, 0, 10]);
        let shifted = WindowKind::Tumble { size_ms: 10, offset_ms: -3 };
        assert_eq!([-4, -3, 6, 7].map(|time| shifted.pane(time)), [-13, -3, -3, 7]);
        let hop = WindowKind::Hop { slide_ms: 2, size_ms: 10, offset_ms: 1 };
        assert_eq!((hop.pane(0), hop.first_end(-1), hop.last_end(-1), hop.windows_of(-1)), (-1, 1, 9, 5));
        // Full windows -19 to -9, -9 to 1, 1 to 11; a step ends every 2 ms.
        let cumulate = WindowKind::Cumulate { step_ms: 2, size_ms: 10, offset_ms: 21 };
        assert_eq!([-10, -9, 0, 1, 10].map(|time| cumulate.pane(time)), [-11, -9, -1, 1, 9]);
        assert_eq!([-11, -9, -1, 1].map(|pane| cumulate.last_end(pane)), [-9, 1, 1, 11]);
        assert_eq!([-9, -7, 1, 3].map(|end| cumulate.start(end)), [-19, -9, -9, 1]);
        assert_eq!([-11, -9, -1, 1].map(|pane| cumulate.windows_of(pane)), [1, 5, 1, 5]);
    }

    #[test]
    fn windows_whose_slide_does_not_divide_them_have_panes_of_two_lengths() {
        // Windows -5 to 0, -3 to 2, -1 to 4, 1 to 6: a border at every time.
        let hop = WindowKind::Hop { slide_ms: 2, size_ms: 5, offset_ms: 1 };
        assert_eq!([0, 1, 2].map(|time| (hop.pane(time), hop.pane_end(time))), [(0, 1), (1, 2), (2, 3)]);
        assert_eq!([0, 1, 2].map(|pane| (hop.first_end(pane), hop.last_end(pane))), [(2, 4), (2, 6), (4, 6)]);
        assert_eq!([0, 1, 2].map(|pane| hop.windows_of(pane)), [2, 3, 2]);
        // Windows 0 to 3 and 10 to 13, and none between them.
        let apart = WindowKind::Hop { slide_ms: 10, size_ms: 3, offset_ms: 0 };
        assert_eq!([0, 2, 3, 9, 10].map(|time| apart.pane(time)), [0, 0, 3, 3, 10]);
        assert_eq!([0, 3, 10].map(|pane| apart.windows_of(pane)), [1, 0, 1]);
        assert_eq!((apart.pane_end(0), apart.pane_end(3), apart.most_windows_per_row()), (3, 10, 1));
        assert!(hop.check().is_err() && hop.check_lengths().is_ok());
    }

    #[test]
    fn the_first_open_window_is_the_first_that_has_not_fired() {
        let tumble = WindowKind::Tumble { size_ms: 10, offset_ms: 0 };
        assert_eq!([8, 9, 18, 19].map(|watermark| tumble.first_open_end(watermark)), [10, 20, 20, 30]);
        assert_eq!(tumble.first_open_pane(9), 10);
        assert!(tumble.first_open_end(i64::MAX) > *tumble.times().end());
        assert!(tumble.first_open_pane(i64::MIN) < 0);
        let cumulate = WindowKind::Cumulate { step_ms: 2, size_ms: 10, offset_ms: 0 };
        assert_eq!([0, 1, 8, 9, 10].map(|watermark| cumulate.first_open_end(watermark)), [2, 4, 10, 12, 12]);
        assert_eq!([1, 8, 9].map(|watermark| cumulate.first_open_pane(watermark)), [0, 0, 10]);
    }

    #[test]
    fn useless_windows_are_refused() {
        let hop = |slide_ms, size_ms| WindowKind::Hop { slide_ms, size_ms, offset_ms: 0 }.check();
        assert!(hop(2, 10).is_ok());
        assert!(hop(10, 2).unwrap_err().to_string().contains("slide comes first"));
        assert!(hop(3, 10).is_err() && hop(0, 10).is_err());
        let cumulate = |step_ms, size_ms| WindowKind::Cumulate { step_ms, size_ms, offset_ms: 70 }.check();
        assert!(cumulate(2, 10).is_ok());
        assert!(cumulate(10, 2).unwrap_err().to_string().contains("step comes first"));
        assert!(cumulate(3, 10).unwrap_err().to_string().starts_with("CUMULATE: the size of 10 ms is no multiple"));
        assert!(WindowKind::Tumble { size_ms: 600_000, offset_ms: -960_000 }.check().is_err());
        assert_eq!(
            WindowKind::Hop { slide_ms: 2_000, size_ms: 60_000, offset_ms: 0 }.to_string(),
            "HOP(slide=[2 s], size=[1 min])"
        );
    }
}
