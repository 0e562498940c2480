//! What a running job is told to have: nothing comes out and why, time that stands still and where, state that grows.
//! Looks at a job's figures again and again and speaks when something has become so, not as long as it is.

use std::time::Duration;

use super::footer::bytes;
use crate::session::{JobState, JobStatus};
use crate::stream::EventTime;

/// So long nothing may come out, or time stand still, before a word is said.
const PATIENCE: Duration = Duration::from_secs(10);
/// State from which on each doubling is worth a word.
const LARGE_STATE: u64 = 256 << 20;

/// What is known of one job from looking at it.
#[derive(Debug)]
pub struct Health {
    /// When rows came out last, or the job began.
    last_out: Duration,
    rows_out: u64,
    /// When time moved last, and where it stands.
    last_moved: Duration,
    watermark: Option<EventTime>,
    /// Rows read when it moved last.
    rows_in: u64,
    /// How long it must stand still before the next word about it.
    next_standstill: Duration,
    /// Whether the silence was explained.
    is_explained: bool,
    /// State from which on the next word is said.
    next_state: u64,
}

impl Health {
    /// Of a job that was not looked at before `now`, a time that never steps back.
    pub fn new(now: Duration) -> Self {
        Self {
            last_out: now,
            rows_out: 0,
            last_moved: now,
            watermark: None,
            rows_in: 0,
            next_standstill: PATIENCE,
            is_explained: false,
            next_state: LARGE_STATE,
        }
    }

    /// Looks at the job; what has become so since the last look, in sentences.
    pub fn look(&mut self, now: Duration, status: &JobStatus) -> Vec<String> {
        if status.state != JobState::Running {
            // Nothing flows: that is no news of the input.
            (self.last_out, self.last_moved) = (now, now);
            return Vec::new();
        }
        let mut news = Vec::new();
        if status.rows_out != self.rows_out {
            (self.rows_out, self.last_out, self.is_explained) = (status.rows_out, now, false);
        }
        if status.watermark != self.watermark {
            (self.watermark, self.last_moved, self.rows_in) = (status.watermark, now, status.rows_in);
            self.next_standstill = PATIENCE;
        }
        let silence = now.saturating_sub(self.last_out);
        let standstill = now.saturating_sub(self.last_moved);
        if silence >= PATIENCE && !self.is_explained {
            self.is_explained = true;
            news.push(self.why_silent(silence, standstill, status));
            if standstill >= PATIENCE {
                self.next_standstill = standstill * 4;
            }
        } else if standstill >= self.next_standstill && self.watermark.is_some() && status.rows_in > self.rows_in {
            self.next_standstill = standstill * 4;
            news.push(standing(standstill, status));
        }
        if status.state_bytes >= self.next_state {
            news.push(format!("state has grown to {}", bytes(status.state_bytes)));
            self.next_state = status.state_bytes.saturating_mul(2);
        }
        news
    }

    fn why_silent(&self, silence: Duration, standstill: Duration, status: &JobStatus) -> String {
        let silence = format!("no rows have come out for {} s", silence.as_secs());
        let why = match status.watermark {
            _ if status.rows_in == 0 => "none have come in".to_owned(),
            _ if status.late > 0 && status.late == status.rows_in => {
                "all rows that came in are late: each lies before the watermark when it arrives".to_owned()
            }
            None => "there is no watermark yet: windows wait for one from each split".to_owned(),
            Some(watermark) if watermark == EventTime::END => "all input is read".to_owned(),
            Some(_) if standstill >= PATIENCE => standing(standstill, status),
            Some(watermark) => format!("the watermark is at {watermark}, and windows that end later are open"),
        };
        format!("{silence}: {why}")
    }
}

fn standing(standstill: Duration, status: &JobStatus) -> String {
    let at = status.watermark.map_or_else(String::new, |watermark| format!(" at {watermark}"));
    let seconds = standstill.as_secs();
    match &status.held_by {
        Some(split) => format!(
            "the watermark has stood{at} for {seconds} s, held by {split}; \
             SET 'table.exec.source.idle-timeout' = '5 s' lets the others go on without a split from which nothing comes"
        ),
        None => format!("the watermark has stood{at} for {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::footer::samples::status;

    fn look(health: &mut Health, second: u64, status: &JobStatus) -> String {
        health.look(Duration::from_secs(second), status).join("\n")
    }

    #[test]
    fn silence_is_explained_once() {
        let mut health = Health::new(Duration::ZERO);
        let nothing = JobStatus { rows_in: 0, rows_out: 0, watermark: None, ..status() };
        assert_eq!(look(&mut health, 9, &nothing), "");
        assert_eq!(look(&mut health, 10, &nothing), "no rows have come out for 10 s: none have come in");
        assert_eq!(look(&mut health, 11, &nothing), "");
        let late = JobStatus { rows_in: 7, late: 7, rows_out: 0, watermark: Some(EventTime(0)), ..status() };
        let mut health = Health::new(Duration::ZERO);
        look(&mut health, 9, &late);
        assert!(look(&mut health, 12, &late).contains("all rows that came in are late"));
        let waiting = JobStatus { rows_in: 7, rows_out: 0, watermark: None, ..status() };
        assert!(look(&mut Health::new(Duration::ZERO), 12, &waiting).contains("no watermark yet"));
    }

    #[test]
    fn a_watermark_that_stands_still_is_named_with_the_split_that_holds_it() {
        let mut health = Health::new(Duration::ZERO);
        let at = |rows: u64| JobStatus {
            rows_in: rows,
            rows_out: rows,
            watermark: Some(EventTime(0)),
            held_by: Some("b.csv".into()),
            ..status()
        };
        assert_eq!(look(&mut health, 1, &at(1)), "");
        assert_eq!(look(&mut health, 10, &at(2)), "");
        let said = look(&mut health, 11, &at(3));
        assert!(
            said.starts_with("the watermark has stood at 1970-01-01 00:00:00.000 for 10 s, held by b.csv;"),
            "{said}"
        );
        assert_eq!(look(&mut health, 30, &at(4)), "", "once is enough for a while");
        assert!(look(&mut health, 41, &at(5)).contains("for 40 s"));
    }

    #[test]
    fn state_that_doubles_is_worth_a_word() {
        let mut health = Health::new(Duration::ZERO);
        let with = |bytes: u64| JobStatus { state_bytes: bytes, ..status() };
        assert_eq!(look(&mut health, 1, &with(LARGE_STATE - 1)), "");
        assert_eq!(look(&mut health, 1, &with(LARGE_STATE)), "state has grown to 256 MB");
        assert_eq!(look(&mut health, 2, &with(LARGE_STATE * 3 / 2)), "");
        assert_eq!(look(&mut health, 3, &with(LARGE_STATE * 2)), "state has grown to 512 MB");
    }
}
