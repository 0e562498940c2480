//! The line below a result, and the line that shows how far a job is: rows, time, lateness.

use std::time::Duration;

use crate::session::{Ending, JobState, JobStatus, JobSummary};

/// `late_flights-1: 373 rows · 6,064 in · 0.84 s · late 194`. `shown` counts the rows of a SELECT as printed.
pub fn footer(name: &str, shown: Option<u64>, summary: &JobSummary) -> String {
    let status = &summary.status;
    let rows = shown.unwrap_or(status.rows_out);
    let mut parts = vec![
        format!("{} {}", count(rows), if rows == 1 { "row" } else { "rows" }),
        format!("{} in", count(status.rows_in)),
        seconds(status.elapsed),
        format!("late {}", count(status.late)),
    ];
    push_rare(&mut parts, status);
    match named(name, &parts) {
        line if matches!(summary.ending, Ending::Stopped { .. }) => format!("{line} · stopped"),
        line => line,
    }
}

/// What became of the rows of a job that nothing goes on from.
pub fn stopped(name: &str, summary: &JobSummary) -> String {
    let rows = summary.status.rows_in;
    let read = format!("{} {} read", count(rows), if rows == 1 { "row" } else { "rows" });
    let windows = match summary.counts_in_windows {
        true => "; what windows that were still open held of them is in no output",
        false => "",
    };
    match name {
        "" => format!("note: stopped: {read}{windows}"),
        _ => format!("note: job {name} stopped: {read}{windows}; nothing can go on from here"),
    }
}

/// `late_flights-1: 62 % · 1.2M in · 340k/s · late 194 · watermark 2013-01-03 05:00:00.000 · 1 s left`
pub fn progress(name: &str, status: &JobStatus) -> String {
    let mut parts = Vec::new();
    match status.state {
        JobState::Restarting => parts.push("restarting".to_owned()),
        JobState::Stopping => parts.push("stopping".to_owned()),
        JobState::Running | JobState::Ended => {}
    }
    let share = status
        .bytes_total
        .filter(|total| *total > 0)
        .map(|total| (status.bytes_in as f64 / total as f64).clamp(0.0, 1.0));
    if let Some(share) = share {
        parts.push(format!("{:.0} %", share * 100.0));
    }
    parts.push(format!("{} in", count(status.rows_in)));
    let elapsed = status.elapsed.as_secs_f64();
    if elapsed > 0.0 {
        parts.push(format!("{}/s", short(status.rows_in as f64 / elapsed)));
    }
    parts.push(format!("late {}", count(status.late)));
    push_rare(&mut parts, status);
    if let Some(watermark) = status.watermark.filter(|watermark| watermark.is_some()) {
        parts.push(format!("watermark {watermark}"));
    }
    if let Some(share) = share.filter(|share| *share > 0.01) {
        parts.push(format!("{:.0} s left", elapsed / share - elapsed));
    }
    named(name, &parts)
}

/// That a SELECT has left rows out for their time, and how to see them.
pub fn left_out(late: u64) -> String {
    format!(
        "{} came too late for {} window and {} not in the result. To see {}: SELECT … LATE RECORDS INTO t, where t is a table \
         with their columns; to count {}: a WATERMARK that waits longer",
        if late == 1 { "1 row".to_owned() } else { format!("{} rows", count(late)) },
        if late == 1 { "its" } else { "their" },
        if late == 1 { "is" } else { "are" },
        if late == 1 { "it" } else { "them" },
        if late == 1 { "it" } else { "them" },
    )
}

/// That a SELECT has left rows out that lie too far in the future, and how to see them.
pub fn from_the_future(rows: u64) -> String {
    format!(
        "{} in the future than 'beadline.watermark.max-future-drift' allows and {} not in the result. To see {}: SELECT … LATE \
         RECORDS INTO t, where t is a table with their columns",
        if rows == 1 { "1 row lies further".to_owned() } else { format!("{} rows lie further", count(rows)) },
        if rows == 1 { "is" } else { "are" },
        if rows == 1 { "it" } else { "them" },
    )
}

/// What is worth a word only when it happened.
fn push_rare(parts: &mut Vec<String>, status: &JobStatus) {
    if status.future > 0 {
        parts.push(format!("future {}", count(status.future)));
    }
    if status.partially_late > 0 {
        parts.push(format!("partially late {}", count(status.partially_late)));
    }
    if status.skipped > 0 {
        parts.push(format!("skipped {}", count(status.skipped)));
    }
    if status.restarts.count > 0 {
        parts.push(format!("restarts {}", count(status.restarts.count)));
    }
}

fn named(name: &str, parts: &[String]) -> String {
    let line = parts.join(" · ");
    if name.is_empty() { line } else { format!("{name}: {line}") }
}

/// `6,064`, `1.2M`.
pub fn count(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        1_000..1_000_000 => format!("{},{:03}", number / 1_000, number % 1_000),
        _ => short(number as f64),
    }
}

/// `340`, `340k`, `1.2M`, `3.4G`.
fn short(number: f64) -> String {
    match number {
        n if n < 999.5 => format!("{n:.0}"),
        n if n < 999_500.0 => format!("{:.0}k", n / 1e3),
        n if n < 999_950_000.0 => format!("{:.1}M", n / 1e6),
        n => format!("{:.1}G", n / 1e9),
    }
}

/// `900 kB`, `256 MB`, `1.5 GB`: by powers of 1,024.
pub fn bytes(number: u64) -> String {
    match number as f64 {
        n if n < 999.5 * 1024.0 => format!("{:.0} kB", n / 1024.0),
        n if n < 999.5 * 1_048_576.0 => format!("{:.0} MB", n / 1_048_576.0),
        n => format!("{:.1} GB", n / 1_073_741_824.0),
    }
}

/// `0.84 s`, `12.3 s`, `2 min 05 s`.
fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 9.995 => format!("{s:.2} s"),
        s if s < 99.95 => format!("{s:.1} s"),
        _ => format!("{} min {:02} s", time.as_secs() / 60, time.as_secs() % 60),
    }
}

#[cfg(test)]
pub mod samples {
    //! Figures that tests start from.

    use super::*;
    use crate::session::RestartFigures;
    use crate::stream::EventTime;

    pub fn status() -> JobStatus {
        JobStatus {
            state: JobState::Running,
            rows_in: 1_234_567,
            rows_out: 3,
            late: 0,
            future: 0,
            partially_late: 0,
            skipped: 0,
            bytes_in: 50,
            bytes_total: Some(100),
            watermark: Some(EventTime(0)),
            held_by: None,
            state_bytes: 0,
            checkpoints: 0,
            pause_max: Duration::ZERO,
            restarts: RestartFigures::default(),
            elapsed: Duration::from_millis(840),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::status;
    use super::*;

    #[test]
    fn footers() {
        let mut summary = JobSummary { ending: Ending::Finished, status: status(), counts_in_windows: true };
        assert_eq!(footer("", None, &summary), "3 rows · 1.2M in · 0.84 s · late 0");
        summary.status.late = 194;
        summary.status.partially_late = 2;
        summary.status.future = 1;
        summary.status.rows_in = 6_064;
        summary.ending = Ending::Stopped { at: None };
        assert_eq!(
            footer("job-1", Some(1), &summary),
            "job-1: 1 row · 6,064 in · 0.84 s · late 194 · future 1 · partially late 2 · stopped"
        );
        let windows = "note: stopped: 6,064 rows read; what windows that were still open held of them is in no output";
        assert_eq!(stopped("", &summary), windows);
        (summary.counts_in_windows, summary.status.rows_in) = (false, 1);
        assert_eq!(stopped("j", &summary), "note: job j stopped: 1 row read; nothing can go on from here");
    }

    #[test]
    fn progress_lines() {
        assert_eq!(
            progress("j", &status()),
            "j: 50 % · 1.2M in · 1.5M/s · late 0 · watermark 1970-01-01 00:00:00.000 · 1 s left"
        );
        let unknown = JobStatus { bytes_total: None, watermark: None, elapsed: Duration::ZERO, ..status() };
        assert_eq!(progress("", &unknown), "1.2M in · late 0");
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!([0, 999, 1_000, 328_521, 1_000_000].map(count), ["0", "999", "1,000", "328,521", "1.0M"]);
        assert_eq!([84_000, 125_000].map(|ms| seconds(Duration::from_millis(ms))), ["84.0 s", "2 min 05 s"]);
    }
}
