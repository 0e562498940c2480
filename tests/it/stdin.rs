//! Standard input as a table, with the real binary at the end of a pipe: rows as they come, files exactly once, and no
//! second reading.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use beadline::error::{Error, Result};
use beadline::session::{Input, Outcome, Pipe, Session};
use bytes::Bytes;

use crate::support::{Scratch, Variant, checkout};

/// Starts the program with a pipe at each end.
fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// Runs the program on an input that is all there.
fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child = start(command);
    // The program may end before it has read everything.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    child.wait_with_output().expect("the program ends")
}

fn query(scratch: &Scratch, arguments: &[&str], input: &str) -> (i32, String, String) {
    let output = run(scratch.command(&Variant::default()).args(arguments), input.as_bytes());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// A program that runs at the end of a pipe.
struct Running {
    child: Child,
    input: Option<ChildStdin>,
    rows: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn new(command: &mut Command) -> Self {
        let mut child = start(command);
        let input = child.stdin.take();
        let rows = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, input, rows }
    }

    fn write(&mut self, text: &str) {
        let input = self.input.as_mut().expect("an open pipe");
        input.write_all(text.as_bytes()).and_then(|()| input.flush()).expect("the program reads");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.rows.read_line(&mut line).expect("the program writes");
        line.trim_end().to_owned()
    }

    /// Waits for the end; what else it wrote, its exit code, and its messages.
    fn end(mut self) -> (Vec<String>, Option<i32>, String) {
        drop(self.input.take());
        let mut said = String::new();
        let rest = (&mut self.rows).lines().map(|line| line.expect("UTF-8")).collect();
        self.child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("UTF-8");
        (rest, self.child.wait().expect("the program ends").code(), said)
    }
}

#[test]
fn rows_of_a_live_pipe_are_shown_as_they_come() {
    let scratch = Scratch::new();
    for (options, updating) in [(&[][..], false), (&["-D", "parallelism.default=2"], false), (&["--changes"], true)] {
        let sql = match updating {
            false => "SELECT n FROM stdin WHERE n <> 2",
            true => "SELECT COUNT(*) AS n FROM stdin WHERE n <> 2",
        };
        let mut running = Running::new(scratch.command(&Variant::default()).args(options).args(["-c", sql]));
        let expect = |rows: &[&'static str]| -> Vec<String> { rows.iter().map(|row| (*row).to_owned()).collect() };
        running.write("{\"n\":1}\n{\"n\":2}\n{\"n\":");
        let first = if updating { "{\"op\":\"+I\",\"n\":1}" } else { "{\"n\":1}" };
        assert_eq!(running.line(), first);
        running.write("3}\n");
        if updating {
            assert_eq!([running.line(), running.line()], ["{\"op\":\"-U\",\"n\":1}", "{\"op\":\"+U\",\"n\":2}"]);
        } else {
            assert_eq!(running.line(), "{\"n\":3}");
        }
        running.write("{\"n\":4}");
        let (rest, code, said) = running.end();
        let last = ["{\"op\":\"-U\",\"n\":2}", "{\"op\":\"+U\",\"n\":3}"];
        assert_eq!(rest, if updating { expect(&last) } else { expect(&["{\"n\":4}"]) });
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("CREATE TABLE stdin (`n` BIGINT) WITH ('connector' = 'stdin', 'format' = 'json')"),
            "{said}"
        );
        assert!(said.contains("4 in"), "{said}");
    }
}

#[test]
fn stdin_is_left_alone_unless_a_statement_names_it() {
    let scratch = Scratch::new();
    // Nobody closes the input before the program has ended.
    let sql = "WITH stdin AS (SELECT 1 AS x) SELECT x FROM stdin; SHOW TABLES;";
    let mut running = Running::new(scratch.command(&Variant::default()).args(["-c", sql]));
    assert_eq!(running.line(), "{\"x\":1}");
    assert_eq!(running.line(), "");
    assert_eq!(running.child.wait().expect("the program ends").code(), Some(0));
}

#[test]
fn the_first_line_declares_the_table() {
    let scratch = Scratch::new();
    let (code, rows, _) = query(
        &scratch,
        &["-c", "DESCRIBE stdin; SELECT * FROM stdin"],
        "{\"b\":[1, {\"x\":2}],\"a\":1.5}\n{\"a\":2}\n",
    );
    assert_eq!(code, 0);
    let rows: Vec<&str> = rows.lines().collect();
    assert!(
        rows[0].contains("\"name\":\"b\",\"type\":\"STRING\"")
            && rows[1].contains("\"name\":\"a\",\"type\":\"DOUBLE\"")
    );
    assert_eq!(rows[2..], ["{\"b\":\"[1,{\\\"x\\\":2}]\",\"a\":1.5}", "{\"b\":null,\"a\":2.0}"]);

    let (code, rows, said) = query(&scratch, &["-c", "SELECT line FROM stdin"], "a, \"b\n\n{}");
    assert_eq!((code, rows.as_str()), (0, "{\"line\":\"a, \\\"b\"}\n{\"line\":\"\"}\n{\"line\":\"{}\"}\n"), "{said}");
    assert!(said.contains("WITH ('connector' = 'stdin', 'format' = 'raw')"), "{said}");

    let (code, rows, said) = query(&scratch, &["-q", "-c", "EXPLAIN SELECT line FROM stdin"], "");
    assert!(
        code == 0 && rows.contains("Source(table=[stdin], columns=[line]) bounded") && said.is_empty(),
        "{rows}{said}"
    );
}

#[test]
fn views_last_states_and_batches_read_it_too() {
    let scratch = Scratch::new();
    let sql = "CREATE VIEW v AS SELECT line, COUNT(*) AS n FROM stdin GROUP BY line; SELECT * FROM v";
    for mode in [&[][..], &["--batch"]] {
        let (code, rows, said) = query(&scratch, &[mode, &["-c", sql]].concat(), "a\nb\na\n");
        let mut rows: Vec<&str> = rows.lines().collect();
        rows.sort_unstable();
        assert_eq!((code, rows), (0, vec!["{\"line\":\"a\",\"n\":2}", "{\"line\":\"b\",\"n\":1}"]), "{said}");
    }
    let arguments = ["--format", "json", "-c", "SELECT line FROM stdin"];
    assert_eq!(query(&scratch, &arguments, "a\n").1.split_whitespace().collect::<String>(), "[{\"line\":\"a\"}]");
}

#[test]
fn bad_rows_are_named_by_their_line() {
    let scratch = Scratch::new();
    let create = "CREATE TABLE stdin (a INT, b INT) WITH ('connector' = 'stdin', 'format' = 'csv')";
    let sql = format!("SET 'beadline.csv.header' = 'true'; {create}; SELECT b, a FROM stdin");
    let (code, _, said) = query(&scratch, &["-c", &sql], "a,b\n1,2\nx,3\n");
    assert!(code == 1 && said.contains("stdin, line 3: column `a`: 'x'"), "{said}");
    let skip = ["-D", "beadline.on-error=skip", "-c", &sql];
    let (code, rows, said) = query(&scratch, &skip, "a,b\n1,2\nx,3\n4,5");
    assert_eq!((code, rows.as_str()), (0, "{\"b\":2,\"a\":1}\n{\"b\":5,\"a\":4}\n"));
    assert!(said.contains("skipped 1"), "{said}");
}

#[test]
fn sql_and_rows_cannot_both_come_from_stdin() {
    let scratch = Scratch::new();
    let create = "CREATE TABLE t (a INT) WITH ('connector' = 'stdin', 'format' = 'csv');";
    for sql in ["SELECT * FROM stdin".to_owned(), format!("{create} SELECT * FROM t")] {
        for arguments in [&["-f", "-"][..], &["-"], &[]] {
            let (code, rows, said) = query(&scratch, arguments, &sql);
            assert_eq!((code, rows.as_str()), (1, ""));
            assert!(said.contains("SQL is read from stdin here") && said.contains("behind -c"), "{said}");
        }
    }
}

#[test]
fn its_rows_come_only_once() {
    let scratch = Scratch::new();
    let (code, rows, said) = query(&scratch, &["-c", "SELECT line FROM stdin; SELECT line FROM stdin"], "a\n");
    assert_eq!((code, rows.as_str()), (1, "{\"line\":\"a\"}\n"));
    assert!(said.contains("error[BL-SOURCE-ONCE]"), "{said}");
    // One job may read it in several places, unless it is told to read each for itself.
    let twice = "SELECT line FROM stdin UNION ALL SELECT CONCAT(line, '!') FROM stdin";
    let (code, rows, said) = query(&scratch, &["-c", twice], "a\n");
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.sort_unstable();
    assert_eq!((code, rows), (0, vec!["{\"line\":\"a!\"}", "{\"line\":\"a\"}"]), "{said}");
    let each = "SET 'table.optimizer.reuse-source-enabled' = 'false'";
    let (code, _, said) = query(&scratch, &["-c", each, "-c", twice], "a\n");
    assert!(code == 1 && said.contains("can be read only once in a job"), "{said}");
}

#[test]
fn two_inserts_of_a_statement_set_share_a_pipe() {
    let input: String = (0..5_000).map(|n| format!("{{\"n\":{n},\"k\":\"{}\"}}\n", n % 7)).collect();
    let table = |name: &str, columns: &str| {
        let path = format!("'path' = '.beadline/out/{name}', 'format' = 'csv'");
        format!("CREATE TABLE {name} ({columns}) WITH ('connector' = 'filesystem', {path});")
    };
    let sql = format!(
        "{}{} EXECUTE STATEMENT SET BEGIN INSERT INTO odd SELECT n FROM stdin WHERE MOD(n, 2) = 1; \
         INSERT INTO named SELECT k, n FROM stdin WHERE k = '3'; END;",
        table("odd", "n BIGINT"),
        table("named", "k STRING, n BIGINT")
    );
    for parallelism in [1, 2, 4] {
        let scratch = Scratch::new();
        let variant = Variant { parallelism: Some(parallelism), batch_rows: Some(64), ..Variant::default() };
        let output = run(scratch.command(&variant).args(["-c", &sql]), input.as_bytes());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.contains("5,000 in"), "{said}");
        let published = scratch.published();
        assert_eq!((published["odd"].len(), published["named"].len()), (2_500, 714), "{said}");
    }
}

/// The main job with its flights on stdin, and the flights.
fn late_flights(scratch: &Scratch) -> (PathBuf, Vec<u8>) {
    let query = std::fs::read_to_string(checkout().join("queries/late_flights.sql")).expect("the main job");
    let file = "'connector' = 'filesystem',\n  'path' = 'queries/data/flights_week1.csv'";
    assert!(query.contains(file));
    let path = scratch.path().join("piped.sql");
    std::fs::write(&path, query.replace(file, "'connector' = 'stdin'")).expect("room for the query");
    (path, std::fs::read(checkout().join("queries/data/flights_week1.csv")).expect("the flights"))
}

fn counted(scratch: &Scratch) -> (usize, usize) {
    let published = scratch.published();
    (published["departures"].len(), published["late_flights"].len())
}

#[test]
fn windows_and_late_rows_of_a_pipe_become_files_exactly_once() {
    let from_file = Scratch::new();
    from_file.run_well(&checkout().join("queries/late_flights.sql"), &Variant::default());
    for parallelism in [1, 2] {
        let scratch = Scratch::new();
        let (query, flights) = late_flights(&scratch);
        let variant = Variant { parallelism: Some(parallelism), every_rows: Some(700), ..Variant::default() };
        let output = run(scratch.command(&variant).arg(&query), &flights);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(scratch.published(), from_file.published());
    }
}

#[test]
fn a_killed_job_is_not_resumed_in_the_middle_of_another_input() {
    let scratch = Scratch::new();
    let (query, flights) = late_flights(&scratch);
    let variant = Variant { every_rows: Some(700), ..Variant::default() };
    let killing = Variant { failpoint: Some("manifest.published:3".to_owned()), ..variant.clone() };
    assert!(!run(scratch.command(&killing).arg(&query), &flights).status.success());

    let refused = run(scratch.command(&variant).arg(&query), &flights);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("error[BL-SOURCE-ONCE]") && said.contains("--fresh"), "{said}");

    let anew = run(scratch.command(&Variant { fresh: true, ..variant.clone() }).arg(&query), &flights);
    assert!(anew.status.success(), "{}", String::from_utf8_lossy(&anew.stderr));
    assert_eq!(counted(&scratch), (373, 194));
}

#[test]
fn a_job_that_had_read_everything_ends_well_without_reading_again() {
    let scratch = Scratch::new();
    let (query, flights) = late_flights(&scratch);
    let killing = Variant { failpoint: Some("file.publish.before:1".to_owned()), ..Variant::default() };
    // The one checkpoint is the last one.
    let slow = ["-D", "execution.checkpointing.interval=1 h"];
    let text = std::fs::read_to_string(&query).expect("the query");
    std::fs::write(&query, text.replace("SET 'execution.checkpointing.interval' = '1 s';", "")).expect("room");
    assert!(!run(scratch.command(&killing).args(slow).arg(&query), &flights).status.success());
    let last = run(scratch.command(&Variant::default()).args(slow).arg(&query), b"");
    assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stderr));
    assert_eq!(counted(&scratch), (373, 194));
}

#[test]
fn a_stop_says_that_nothing_goes_on_from_there() {
    let scratch = Scratch::new();
    let script = scratch.path().join("shown.sql");
    let sql = "SET 'execution.checkpointing.interval' = '1 h';
        CREATE TABLE shown (line STRING) WITH ('connector' = 'print');
        INSERT INTO shown SELECT line FROM stdin;";
    std::fs::write(&script, sql).expect("room for the query");
    let mut running =
        Running::new(scratch.command(&Variant { parallelism: Some(1), ..Variant::default() }).arg(&script));
    running.write("a\nb\n");
    assert_eq!([running.line(), running.line()], ["+I[a]", "+I[b]"]);
    let signalled = Command::new("kill").args(["-INT", &running.child.id().to_string()]).status();
    assert!(signalled.expect("there is a kill").success());
    // The input stays open until the program has ended by itself.
    let input = running.input.take();
    let (rest, code, said) = running.end();
    drop(input);
    assert_eq!((rest.len(), code), (0, Some(130)), "{said}");
    assert!(said.contains("job shown-shown stopped at checkpoint") && said.contains("comes only once"), "{said}");
}

/// Two rows, then a failure that may pass by itself.
#[derive(Debug)]
struct Failing(Vec<Result<Bytes>>);

impl Input for Failing {
    fn read(&mut self, _most: usize) -> Result<Bytes> {
        self.0.pop().unwrap_or_else(|| Ok(Bytes::new()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_within_the_process_is_refused() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let steps = vec![Err(Error::transient("the line is down")), Ok(Bytes::from_static(b"a\nb\n"))];
    let mut session = Session::new().with_input(Pipe::new(Failing(steps)));
    let settings = [
        ("execution.checkpointing.interval", "1 h"),
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.attempts", "3"),
        ("restart-strategy.fixed-delay.delay", "1 ms"),
    ];
    for (key, value) in settings {
        session.sql(&format!("SET '{key}' = '{value}'")).await.expect("a setting");
    }
    let path = directory.path().display();
    session.sql(&format!("SET 'execution.checkpointing.dir' = '{path}'")).await.expect("a setting");
    session.sql("CREATE TABLE nowhere (line STRING) WITH ('connector' = 'blackhole')").await.expect("a table");
    let started = session.sql("INSERT INTO nowhere SELECT line FROM stdin").await.expect("a job");
    let Outcome::Job(job) = started else { panic!("an INSERT is a job") };
    let error = job.wait().await.expect_err("stdin cannot be read again");
    assert_eq!(error.id(), Some("BL-SOURCE-ONCE"), "{error}");
}

#[tokio::test]
async fn a_session_without_an_input_says_so() {
    let Err(error) = Session::new().query("SELECT * FROM stdin").await else { panic!("there is no input") };
    assert!(error.to_string().contains("Session::with_input") && error.span().is_some(), "{error}");
}
