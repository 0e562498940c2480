//! What a running job is told to have: nothing comes out and why, time that stands still and where, state that grows, a
//! clock that runs away. Looks at a job's figures again and again and speaks when something has become so, not as long as
//! it is.

use std::time::Duration;

use super::footer::bytes;
use crate::session::{JobState, JobStatus};
use crate::stream::{EventTime, ProcTime};

/// So long nothing may come out, or time stand still, before a word is said.
const PATIENCE: Duration = Duration::from_secs(10);
/// State from which on each doubling is worth a word.
const LARGE_STATE: u64 = 256 << 20;
/// By so much a watermark may fall behind the clock before a word is said; from there on each doubling is worth one.
const BEHIND_MS: i64 = 60_000;
/// A job whose watermark has never been nearer to the clock reads the past, and is not behind.
const PRESENT_MS: i64 = 3_600_000;

/// What is known of one job from looking at it.
#[derive(Debug)]
pub struct Health {
    /// When rows came in last, or the job began.
    last_in: Duration,
    rows_in: u64,
    /// When rows came out last, or the job began.
    last_out: Duration,
    rows_out: u64,
    /// When time moved last, and where it stands.
    last_moved: Duration,
    watermark: Option<EventTime>,
    /// Rows read when it moved last.
    rows_in_then: u64,
    /// How long it must stand still before the next word about it.
    next_standstill: Duration,
    /// Whether the silence was explained.
    is_explained: bool,
    /// State from which on the next word is said.
    next_state: u64,
    /// How far the watermark was behind the clock at best, and how far it must be for the next word.
    least_lag_ms: i64,
    next_lag_ms: i64,
}

impl Health {
    /// Of a job that was not looked at before `now`, a time that never steps back.
    pub fn new(now: Duration) -> Self {
        Self {
            last_in: now,
            rows_in: 0,
            last_out: now,
            rows_out: 0,
            last_moved: now,
            watermark: None,
            rows_in_then: 0,
            next_standstill: PATIENCE,
            is_explained: false,
            next_state: LARGE_STATE,
            least_lag_ms: i64::MAX,
            next_lag_ms: i64::MAX,
        }
    }

    /// Looks at the job while the clock shows `clock`; what has become so since the last look, in sentences.
    pub fn look(&mut self, now: Duration, clock: ProcTime, status: &JobStatus) -> Vec<String> {
        if !self.take(now, status) {
            return Vec::new();
        }
        let mut news = Vec::new();
        let silence = now.saturating_sub(self.last_out);
        let standstill = now.saturating_sub(self.last_moved);
        if silence >= PATIENCE && !self.is_explained {
            self.is_explained = true;
            news.push(self.why_silent(now, status));
            if standstill >= PATIENCE {
                self.next_standstill = standstill * 4;
            }
        } else if standstill >= self.next_standstill && self.watermark.is_some() && status.rows_in > self.rows_in_then {
            self.next_standstill = standstill * 4;
            news.push(standing(standstill, status));
        }
        if status.state_bytes >= self.next_state {
            news.push(format!("state has grown to {}", bytes(status.state_bytes)));
            self.next_state = status.state_bytes.saturating_mul(2);
        }
        if standstill < PATIENCE {
            news.extend(self.behind(clock, status));
        }
        news
    }

    /// Takes the figures; whether the job runs.
    fn take(&mut self, now: Duration, status: &JobStatus) -> bool {
        if status.state != JobState::Running {
            // Nothing flows: that is no news of the input.
            (self.last_in, self.last_out, self.last_moved) = (now, now, now);
            return false;
        }
        if status.rows_in != self.rows_in {
            (self.rows_in, self.last_in) = (status.rows_in, now);
        }
        if status.rows_out != self.rows_out {
            (self.rows_out, self.last_out, self.is_explained) = (status.rows_out, now, false);
        }
        if status.watermark != self.watermark {
            (self.watermark, self.last_moved, self.rows_in_then) = (status.watermark, now, status.rows_in);
            self.next_standstill = PATIENCE;
        }
        true
    }

    fn why_silent(&self, now: Duration, status: &JobStatus) -> String {
        let silence = format!("no rows have come out for {} s", now.saturating_sub(self.last_out).as_secs());
        let (without, standstill) = (now.saturating_sub(self.last_in), now.saturating_sub(self.last_moved));
        let why = match (status.watermark, &status.held_by) {
            _ if status.rows_in == 0 => "none have come in".to_owned(),
            _ if without >= PATIENCE => format!("none have come in for {} s", without.as_secs()),
            _ if status.late > 0 && status.late == status.rows_in => {
                "all rows that came in are late: each lies before the watermark when it arrives".to_owned()
            }
            (None, Some(split)) => {
                format!("there is no watermark yet, and windows wait for it: none has come from {split}")
            }
            (None, None) => "there is no watermark yet, and windows wait for it".to_owned(),
            (Some(watermark), _) if watermark == EventTime::END => "all input is read".to_owned(),
            (Some(_), _) if standstill >= PATIENCE => standing(standstill, status),
            (Some(watermark), _) => {
                format!("the watermark is at {watermark}, and windows that end later are open")
            }
        };
        format!("{silence}: {why}")
    }

    /// Whether a watermark that was near the clock runs away from it. Where all of the input is there, it may.
    fn behind(&mut self, clock: ProcTime, status: &JobStatus) -> Option<String> {
        let watermark = status.watermark.filter(|watermark| *watermark != EventTime::END)?;
        if status.bytes_total.is_some() {
            return None;
        }
        let lag_ms = clock.0.saturating_sub(watermark.0);
        self.least_lag_ms = self.least_lag_ms.min(lag_ms);
        let least_ms = self.least_lag_ms;
        if lag_ms < least_ms.saturating_add(BEHIND_MS / 2) {
            self.next_lag_ms = least_ms.saturating_add(BEHIND_MS);
        }
        if lag_ms < self.next_lag_ms || least_ms > PRESENT_MS {
            return None;
        }
        self.next_lag_ms = least_ms.saturating_add(lag_ms.saturating_sub(least_ms).saturating_mul(2));
        let before = if least_ms > 0 { format!("was {} s", least_ms / 1_000) } else { "was not".to_owned() };
        Some(format!(
            "the job is falling behind: its watermark {before} behind the clock and is {} s now, at {watermark}",
            lag_ms / 1_000
        ))
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
        health.look(Duration::from_secs(second), ProcTime(0), status).join("\n")
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

    #[test]
    fn rows_that_have_stopped_coming_in_are_the_reason() {
        let mut health = Health::new(Duration::ZERO);
        let quiet = JobStatus { rows_in: 7, rows_out: 3, ..status() };
        assert_eq!(look(&mut health, 1, &quiet), "");
        assert_eq!(look(&mut health, 12, &quiet), "no rows have come out for 11 s: none have come in for 11 s");
        let waiting = JobStatus { rows_in: 7, rows_out: 0, watermark: None, held_by: Some("b.csv".into()), ..status() };
        let mut health = Health::new(Duration::ZERO);
        look(&mut health, 9, &JobStatus { rows_in: 6, ..waiting.clone() });
        assert!(look(&mut health, 10, &waiting).ends_with("none has come from b.csv"));
    }

    #[test]
    fn a_watermark_that_runs_away_from_the_clock_is_falling_behind() {
        let mut health = Health::new(Duration::ZERO);
        let mut rows = 0;
        let mut at = |second: u64, watermark_s: i64, bytes_total| {
            rows += 1;
            let watermark = Some(EventTime(watermark_s * 1_000));
            let status = JobStatus { rows_in: rows, rows_out: rows, watermark, bytes_total, ..status() };
            health
                .look(Duration::from_secs(second), ProcTime(i64::try_from(second).unwrap() * 1_000), &status)
                .join("\n")
        };
        assert_eq!(at(100, 98, None), "");
        assert_eq!(at(200, 139, None), "");
        let said = "the job is falling behind: its watermark was 2 s behind the clock and is 62 s now, at 1970-01-01 00:02:20.000";
        assert_eq!(at(202, 140, None), said);
        assert_eq!(at(250, 150, None), "", "said already");
        assert!(at(290, 160, None).contains("is 130 s now"));
        assert_eq!(at(300, 290, None), "", "it has caught up");
        assert!(at(400, 330, None).contains("is 70 s now"), "and falls behind again");
        assert_eq!(at(900, 340, Some(5)), "", "a file may take its time");
    }

    #[test]
    fn a_job_that_reads_the_past_is_not_behind() {
        let mut health = Health::new(Duration::ZERO);
        let day_ms = 86_400_000;
        for minute in 0..60_u64 {
            let moved = i64::try_from(minute).unwrap();
            let status = JobStatus {
                rows_in: minute + 1,
                rows_out: minute + 1,
                bytes_total: None,
                watermark: Some(EventTime(moved)),
                ..status()
            };
            let now = Duration::from_secs(60 * minute);
            assert!(health.look(now, ProcTime(day_ms + 60_000 * moved), &status).is_empty());
        }
    }
}
