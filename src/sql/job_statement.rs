//! Statements about running jobs: `DESCRIBE JOB`, `EXPLAIN WATERMARK`, `EXPLAIN STATE`, `CHECKPOINT`, `SAVEPOINT`,
//! `STOP JOB`. A job is named by its id or by its name.

use sqlparser::parser::Parser;

use super::cursor::Cursor;
use super::statement::{JobReference, Statement};
use crate::error::{Error, Result};

/// Reads the statement if it is one about a job.
pub(super) fn job_statement(parser: &mut Parser) -> Result<Option<Statement>> {
    if parser.takes(&["DESCRIBE", "JOB"]) || parser.takes(&["DESC", "JOB"]) {
        return job(parser).map(|job| Some(Statement::DescribeJob(job)));
    }
    if parser.takes(&["EXPLAIN", "WATERMARK"]) {
        return Ok(Some(Statement::ExplainWatermark(job_if_named(parser))));
    }
    if parser.takes(&["EXPLAIN", "STATE"]) {
        return Ok(Some(Statement::ExplainState(job_if_named(parser))));
    }
    for (word, is_savepoint) in [("CHECKPOINT", false), ("SAVEPOINT", true)] {
        if parser.takes(&[word]) {
            let job = if parser.takes(&["JOB"]) { Some(job(parser)?) } else { None };
            return Ok(Some(Statement::TakeCheckpoint { job, is_savepoint }));
        }
    }
    if !parser.takes(&["STOP", "JOB"]) {
        return Ok(None);
    }
    let job = job(parser)?;
    let (mut with_savepoint, mut with_drain) = (false, false);
    while parser.sees(&["WITH"]) {
        let span = parser.here();
        parser.expects(&["WITH"])?;
        let (word, flag) = match parser.sees(&["DRAIN"]) {
            true => ("DRAIN", &mut with_drain),
            false => ("SAVEPOINT", &mut with_savepoint),
        };
        parser.expects(&[word])?;
        *flag = true;
        if with_drain && !with_savepoint {
            return Err(Error::query("WITH DRAIN comes behind WITH SAVEPOINT")
                .with_span(span)
                .with_help("STOP JOB '…' WITH SAVEPOINT WITH DRAIN"));
        }
    }
    Ok(Some(Statement::StopJob { job, with_savepoint, with_drain }))
}

fn job(parser: &mut Parser) -> Result<JobReference> {
    let span = parser.here();
    let text = parser.text("the id or the name of a job, in single quotes: SHOW JOBS lists them")?;
    Ok(JobReference { text, span })
}

fn job_if_named(parser: &mut Parser) -> Option<JobReference> {
    let span = parser.here();
    parser.takes_text().map(|text| JobReference { text, span })
}

#[cfg(test)]
mod tests {
    use crate::sql::{Statement, parse_statement};

    fn read(text: &str) -> Result<Statement, String> {
        parse_statement(text, 0).map(|at| at.statement).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn stopping() {
        for (text, flags) in [
            ("STOP JOB '1'", (false, false)),
            ("stop job 'a' with savepoint;", (true, false)),
            ("STOP JOB 'a' WITH SAVEPOINT WITH DRAIN", (true, true)),
        ] {
            match read(text) {
                Ok(Statement::StopJob { with_savepoint, with_drain, .. }) => {
                    assert_eq!((with_savepoint, with_drain), flags, "{text}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(read("STOP JOB 'a' WITH").is_err());
        assert!(read("STOP JOB 'a' WITH DRAIN").unwrap_err().contains("behind WITH SAVEPOINT"));
        assert!(read("STOP JOB").unwrap_err().contains("SHOW JOBS"));
    }

    #[test]
    fn checkpoints_on_request() {
        for (text, name, savepoint) in [
            ("CHECKPOINT", None, false),
            ("checkpoint job 'a';", Some("a"), false),
            ("SAVEPOINT;", None, true),
            ("SAVEPOINT JOB '2'", Some("2"), true),
        ] {
            match read(text) {
                Ok(Statement::TakeCheckpoint { job, is_savepoint }) => {
                    assert_eq!((job.map(|job| job.text).as_deref(), is_savepoint), (name, savepoint), "{text}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(read("CHECKPOINT JOB").unwrap_err().contains("SHOW JOBS"));
        assert!(read("SAVEPOINT s").is_err());
    }

    #[test]
    fn explaining_watermarks_and_state() {
        assert!(matches!(read("EXPLAIN WATERMARK;"), Ok(Statement::ExplainWatermark(None))));
        let read_one = read("explain watermark 'x'");
        assert!(matches!(read_one, Ok(Statement::ExplainWatermark(Some(job))) if job.text == "x"));
        assert!(read("EXPLAIN WATERMARK t").is_err());
        assert!(matches!(read("EXPLAIN STATE;"), Ok(Statement::ExplainState(None))));
        assert!(matches!(read("explain state 'x'"), Ok(Statement::ExplainState(Some(job))) if job.text == "x"));
        assert!(read("EXPLAIN STATE t").is_err());
        assert!(matches!(read("EXPLAIN SELECT 1"), Ok(Statement::Explain(_))));
    }

    #[test]
    fn describing() {
        for text in ["DESCRIBE JOB 'x'", "DESC JOB 'x';"] {
            assert!(matches!(read(text), Ok(Statement::DescribeJob(job)) if job.text == "x"), "{text}");
        }
    }
}
