//! The prompt on a terminal: typed, answered, interrupted, left. Screens are reviewed text.

use std::io::Read;
use std::path::Path;
use std::process::Command;

use expect_test::{Expect, expect};
use rexpect::process::Signal;

use super::terminal::Terminal;

const LIVE: &str = "CREATE TABLE live (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '50');";
const HOLE: &str = "CREATE TABLE hole (n BIGINT) WITH ('connector' = 'blackhole');";

/// The program with a home of its own in `directory`.
fn program(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_beadline"));
    command
        .current_dir(directory)
        .env("HOME", directory)
        .env("XDG_CONFIG_HOME", directory.join("config"))
        .env("XDG_STATE_HOME", directory.join("state"))
        .env_remove("BEADLINE_CONFIG");
    command
}

fn prompt(directory: &Path, rows: u16, columns: u16) -> Terminal {
    let mut terminal = Terminal::run(&program(directory), rows, columns);
    terminal.wait_for_prompt();
    terminal
}

fn scratch() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let rows = "1,ann,2026-01-01 10:00:00\n2,\"bob, jr.\",2026-01-01 10:00:07\n3,,2026-01-01 10:01:00\n";
    std::fs::write(directory.path().join("people.csv"), rows).expect("a file of rows");
    directory
}

const PEOPLE: &str = "CREATE TABLE people (id INT, name STRING, seen TIMESTAMP(0)) WITH ('connector' = 'filesystem', \
                      'path' = 'people.csv', 'format' = 'csv', 'csv.null-literal' = '');";

/// A first session: a mistake, a table, a query over several lines, commands of three tongues.
fn first_session(rows: u16, columns: u16, expected: &Expect) {
    let directory = scratch();
    let mut terminal = prompt(directory.path(), rows, columns);
    terminal.line("\\timing off", "footer off");
    terminal.line("SELEC 1;", "error");
    terminal.line(PEOPLE, "");
    terminal.line(".tables", "table name");
    terminal.keys("SELECT name, id\r");
    terminal.keys("FROM people WHERE id < 3;\r");
    terminal.wait_for("bob, jr. |");
    terminal.wait_for_prompt();
    terminal.line("SELECT nme FROM people;", "did you mean");
    terminal.line("SELECT * FROM people WHERE id = 2 \\gx", "-[ row 1 ]");
    expected.assert_eq(&terminal.wait_for_prompt());
    terminal.keys("exit\r");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn a_first_session_on_a_small_terminal() {
    first_session(
        24,
        80,
        &expect![[r#"
        | people     |
        +------------+
        beadline> SELECT name, id
        FROM people WHERE id < 3;
        +----------+----+
        | name     | id |
        +----------+----+
        | ann      |  1 |
        | bob, jr. |  2 |
        +----------+----+
        beadline> SELECT nme FROM people;
        error: Column 'nme' not found in any table
         --> prompt:1:8
          |
        1 | SELECT nme FROM people;
          |        ^^^
          |
          = help: did you mean `name`?
        beadline> SELECT * FROM people WHERE id = 2 \gx
        -[ row 1 ]-
        id   | 2
        name | bob, jr.
        seen | 2026-01-01 10:00:07.000
        beadline>"#]],
    );
}

#[test]
fn a_first_session_on_a_large_terminal() {
    first_session(
        50,
        200,
        &expect![[r#"
        beadline 0.1.0. HELP; lists commands, Ctrl-D leaves.
        beadline> \timing off
        footer off
        beadline> SELEC 1;
        error: expected a statement, found `SELEC`
         --> prompt:1:1
          |
        1 | SELEC 1;
          | ^^^^^
          |
          = help: a statement begins with SELECT, INSERT INTO, CREATE, ALTER, DROP, USE, EXECUTE STATEMENT SET, EXPLAIN, SET, RESET, SHOW, DESCRIBE, CHECKPOINT, SAVEPOINT or STOP JOB
        beadline> CREATE TABLE people (id INT, name STRING, seen TIMESTAMP(0)) WITH ('connector' = 'filesystem', 'path' = 'people.csv', 'format' = 'csv', 'csv.null-literal' = '');
        beadline> .tables
        +------------+
        | table name |
        +------------+
        | people     |
        +------------+
        beadline> SELECT name, id
        FROM people WHERE id < 3;
        +----------+----+
        | name     | id |
        +----------+----+
        | ann      |  1 |
        | bob, jr. |  2 |
        +----------+----+
        beadline> SELECT nme FROM people;
        error: Column 'nme' not found in any table
         --> prompt:1:8
          |
        1 | SELECT nme FROM people;
          |        ^^^
          |
          = help: did you mean `name`?
        beadline> SELECT * FROM people WHERE id = 2 \gx
        -[ row 1 ]-
        id   | 2
        name | bob, jr.
        seen | 2026-01-01 10:00:07.000
        beadline>"#]],
    );
}

#[test]
fn what_is_typed_ahead_is_not_lost() {
    let directory = scratch();
    let mut terminal = prompt(directory.path(), 24, 80);
    terminal.keys("SELECT 11 AS a;\rSELECT 22 AS b;\rSELECT 33 AS c;\r");
    terminal.wait_for("33 |");
    let screen = terminal.wait_for_prompt();
    assert!(screen.contains("| 11 |") && screen.contains("| 22 |"), "{screen}");
    terminal.keys("\\q\r");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn ctrl_c_clears_a_line_and_ends_a_query_and_stays() {
    let directory = scratch();
    let mut terminal = prompt(directory.path(), 24, 80);
    terminal.keys("SELECT 'not this'");
    terminal.wait_for("SELECT 'not this'");
    terminal.keys("\x03");
    terminal.wait_for_prompt();
    terminal.line(LIVE, "");
    terminal.keys("SELECT n FROM live;\r");
    terminal.wait_until("rows", |screen| screen.lines().filter(|line| line.starts_with("| ")).count() > 3);
    terminal.keys("\x03");
    terminal.wait_for("stopped");
    terminal.wait_for_prompt();
    terminal.line("SELECT 40 + 2 AS answer;", "42");
    terminal.keys("\x04");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn jobs_go_on_in_the_background_until_they_are_stopped() {
    let directory = scratch();
    let mut terminal = prompt(directory.path(), 24, 120);
    terminal.line(LIVE, "");
    terminal.line(HOLE, "");
    terminal.line("SET 'pipeline.name' = 'first';", "");
    terminal.line("SET 'execution.checkpointing.interval' = '1 h';", "");
    terminal.line("INSERT INTO hole SELECT n FROM live;", "note: job first is running");
    let jobs = terminal.line("SHOW JOBS;", "RUNNING");
    assert!(jobs.contains("| 1 ") && jobs.contains("first"), "{jobs}");
    terminal.line("EXPLAIN WATERMARK;", "| watermark | status");
    terminal.line("CHECKPOINT;", "| checkpoint");
    terminal.line("SAVEPOINT JOB '1';", "| savepoint path");
    terminal.line("STOP JOB 'frst';", "did you mean 'first'?");
    terminal.line("STOP JOB 'first' WITH SAVEPOINT;", "savepoint");
    terminal.wait_for("job first stopped at checkpoint");
    terminal.line("DESCRIBE JOB '1';", "STOPPED");
    terminal.line("STOP JOB 'first';", "has ended already");
    terminal.keys("\\q\r");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn leaving_asks_what_becomes_of_jobs() {
    let directory = scratch();
    let mut terminal = prompt(directory.path(), 24, 120);
    terminal.line(LIVE, "");
    terminal.line(HOLE, "");
    terminal.line("INSERT INTO hole SELECT n FROM live;", "is running");
    terminal.keys("\x04");
    terminal.wait_for("1 job is running: [w]ait");
    terminal.keys("c\r");
    terminal.line("SELECT 1 AS still_here;", "still_here |");
    terminal.keys("\x04");
    terminal.wait_until("the question again", |screen| screen.matches("[w]ait").count() == 2);
    terminal.keys("s\r");
    let (code, screen) = terminal.end();
    assert!(code == 0 && screen.contains("stopped"), "{code}: {screen}");
}

#[test]
fn a_job_that_ends_is_told_above_the_line_that_is_typed() {
    let directory = scratch();
    let mut terminal = prompt(directory.path(), 24, 120);
    let bounded = LIVE.replace("'50'", "'50', 'number-of-rows' = '50'");
    terminal.line(&bounded, "");
    terminal.line(HOLE, "");
    terminal.line("SET 'pipeline.name' = 'short';", "");
    terminal.line("INSERT INTO hole SELECT n FROM live;", "job short is running");
    terminal.keys("SELECT 'half a line");
    terminal.wait_until("a footer above the line", |screen| {
        screen.contains("short: 50 rows") && screen.ends_with("\nbeadline> SELECT 'half a line")
    });
    terminal.keys("';\r");
    terminal.wait_for("| half a line |");
    terminal.wait_for_prompt();
    terminal.keys("\x04");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn a_keystroke_never_waits_for_a_job() {
    let directory = scratch();
    let mut terminal = prompt(directory.path(), 24, 120);
    terminal.line(&LIVE.replace("'50'", "'2000'"), "");
    terminal.line("CREATE TABLE shown (n BIGINT) WITH ('connector' = 'print');", "");
    terminal.line("SET 'pipeline.name' = 'loud';", "");
    terminal.keys("INSERT INTO shown SELECT n FROM live;\r");
    for typed in ["SEL", "ECT 40 + 2 ", "AS answer"] {
        terminal.keys(typed);
        // Rows of the job stand above the line, and the line is whole.
        terminal.wait_until(typed, |screen| {
            let last = screen.lines().last().unwrap_or_default();
            last.starts_with("beadline> SEL") && last.ends_with(typed.trim_end()) && screen.contains("\n+I[")
        });
    }
    terminal.keys(";\r");
    terminal.wait_for("|     42 |");
    terminal.keys("STOP JOB 'loud';\r");
    terminal.wait_for("job loud stopped");
    terminal.wait_for_prompt();
    terminal.keys("\x04");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn a_live_table_follows_the_size_of_the_terminal_and_stays_as_it_was() {
    let directory = scratch();
    let mut terminal = prompt(directory.path(), 24, 80);
    terminal.line("\\timing off", "footer off");
    terminal.line(&LIVE.replace("'50'", "'50', 'fields.n.min' = '1', 'fields.n.max' = '3'"), "");
    terminal.keys("SELECT n, COUNT(*) AS so_often FROM live GROUP BY n;\r");
    let is_whole = |screen: &str| {
        let headers = screen.lines().filter(|line| line.contains("| so_often")).count();
        headers == 1
            && ["1 ", "2 ", "3 "].iter().all(|n| screen.lines().any(|line| line.starts_with(&format!("| {n}"))))
    };
    terminal.wait_until("a table", is_whole);
    for (rows, columns) in [(30, 60), (12, 40), (40, 120)] {
        terminal.resize(rows, columns);
        let painted = terminal.text();
        terminal.wait_until("the table once more", |screen| screen != painted && is_whole(screen));
    }
    terminal.keys("\x03");
    terminal.wait_for_prompt();
    let screen = terminal.text();
    assert!(is_whole(&screen) && screen.contains("stopped"), "{screen}");
    terminal.keys("\x04");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn colours_are_the_terminals_own_and_none_where_they_are_not_wanted() {
    // Bold, dim, underlined, the eight colours and their bright kin, and the end of all of them.
    let allowed: Vec<String> =
        [0, 1, 2, 4, 22, 24, 39].into_iter().chain(30..38).chain(90..98).map(|n| n.to_string()).collect();
    for has_colour in [true, false] {
        let directory = scratch();
        let mut command = program(directory.path());
        if !has_colour {
            command.env("NO_COLOR", "1");
        }
        let mut terminal = Terminal::run(&command, 24, 80);
        terminal.wait_for_prompt();
        terminal.line(PEOPLE, "");
        terminal.line("SELECT name, 'x' AS x FROM people; -- all", "| NULL ");
        terminal.line("SELECT nme FROM people;", "did you mean");
        terminal.line("HELP", "SHOW JOBS, ");
        terminal.keys("SELECT 'open");
        terminal.wait_for("'open");
        let attributes = terminal.attributes();
        match has_colour {
            true => {
                assert!(attributes.len() > 4, "{attributes:?}");
                assert!(attributes.iter().all(|one| one.is_empty() || allowed.contains(one)), "{attributes:?}");
            }
            false => assert!(attributes.iter().all(|one| one.is_empty() || one == "0"), "{attributes:?}"),
        }
        terminal.keys("\x03");
        terminal.wait_for_prompt();
        terminal.keys("\x04");
        assert_eq!(terminal.end().0, 0);
    }
}

#[test]
fn a_narrow_terminal_breaks_lines_and_loses_nothing() {
    let directory = scratch();
    let mut terminal = prompt(directory.path(), 24, 40);
    terminal.line("\\timing off", "footer off");
    terminal.line(PEOPLE, "");
    terminal.line("SELECT id, name, seen, 'a text that is long' AS wide FROM people;", "wide");
    terminal.line("SELECT id FROM people WHERE nme = 'bob, jr.';", "did you mean");
    expect![[r#"
        | id | name     | seen
          | wide                |
        +----+----------+-----------------------
        --+---------------------+
        |  1 | ann      | 2026-01-01 10:00:00.00
        0 | a text that is long |
        |  2 | bob, jr. | 2026-01-01 10:00:07.00
        0 | a text that is long |
        |  3 | NULL     | 2026-01-01 10:01:00.00
        0 | a text that is long |
        +----+----------+-----------------------
        --+---------------------+
        beadline> SELECT id FROM people WHERE nm
        e = 'bob, jr.';
        error: Column 'nme' not found in any tab
        le
         --> prompt:1:29
          |
        1 | SELECT id FROM people WHERE nme = 'b
        ob, jr.';
          |                             ^^^
          |
          = help: did you mean `name`?
        beadline>"#]]
    .assert_eq(&terminal.broken_text());
    terminal.keys("\x04");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gives_lines() {
    let directory = scratch();
    let mut command = program(directory.path());
    command.env("TERM", "dumb");
    let mut terminal = Terminal::run(&command, 24, 80);
    terminal.wait_for_prompt();
    terminal.keys("SELECT 40 +\r");
    terminal.keys("2 AS answer;\r");
    let screen = terminal.wait_for("|     42 |");
    terminal.wait_for_prompt();
    assert!(!screen.contains('\u{1b}') && terminal.attributes().is_empty(), "{screen}");
    terminal.keys("\x04");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn tab_completes_what_can_stand_there() {
    let directory = scratch();
    let mut terminal = prompt(directory.path(), 24, 100);
    terminal.line(PEOPLE, "");
    terminal.keys("sel\t");
    terminal.wait_for("beadline> select");
    terminal.keys(" na\t");
    terminal.wait_for("select na");
    terminal.keys("\x15SELECT seen FROM peo\t");
    terminal.wait_for("SELECT seen FROM people");
    terminal.keys("\x15SET 'execution.runtime-m\tb\t");
    terminal.wait_for("SET 'execution.runtime-mode' = 'BATCH'");
    terminal.keys("\x15CREATE TABLE t (a INT) WITH ('connector' = 'filesystem', 'path' = 'peo\t");
    terminal.wait_for("'path' = 'people.csv");
    terminal.keys("\x15\x04");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn history_keeps_whole_statements_and_no_secret() {
    let directory = scratch();
    let mut terminal = prompt(directory.path(), 24, 100);
    terminal.keys("SELECT 1\r");
    terminal.keys("  + 41 AS sum;\r");
    terminal.wait_for("42 |");
    terminal.wait_for_prompt();
    terminal.line(" SELECT 'no trace' AS a;", "| no trace |");
    terminal.line("SET 'my.password' = 'hunter2';", "");
    terminal.keys("\x04");
    assert_eq!(terminal.end().0, 0);
    let file = directory.path().join("state/beadline/history");
    let history = std::fs::read_to_string(&file).expect("a history");
    assert!(history.contains("+ 41") && history.contains("'my.password' = '******'"), "{history}");
    assert!(!history.contains("hunter2") && !history.contains("no trace"), "{history}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).expect("its mode").permissions());
    assert_eq!(mode & 0o777, 0o600);

    let mut terminal = prompt(directory.path(), 24, 100);
    terminal.keys("\x12+ 41");
    terminal.wait_for("+ 41 AS sum;");
    terminal.keys("\r");
    terminal.wait_for("42 |");
    terminal.wait_for_prompt();
    terminal.keys("\x1b[A");
    terminal.wait_until("the whole statement", |screen| screen.ends_with("beadline> SELECT 1\n  + 41 AS sum;"));
    terminal.keys("\x03");
    terminal.wait_for_prompt();
    terminal.keys("\x04");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn a_terminal_that_is_gone_stops_jobs_with_a_checkpoint() {
    for signal in [Signal::SIGHUP, Signal::SIGTERM] {
        let directory = scratch();
        let mut terminal = prompt(directory.path(), 24, 120);
        terminal.line(LIVE, "");
        terminal.line(HOLE, "");
        terminal.line("SET 'pipeline.name' = 'kept';", "");
        terminal.line("SET 'execution.checkpointing.interval' = '1 h';", "");
        terminal.line("INSERT INTO hole SELECT n FROM live;", "job kept is running");
        terminal.signal(signal);
        if signal == Signal::SIGHUP {
            // The shell in the terminal passes it on, and the system sends one of its own.
            (0..5).for_each(|_| terminal.signal(signal));
        }
        let (code, screen) = terminal.end();
        assert!(code == 0 && screen.contains("job kept stopped at checkpoint"), "{signal}: {code}: {screen}");
    }
}

#[test]
fn a_terminal_that_is_closed_while_a_line_is_typed_stops_jobs_with_a_checkpoint() {
    let directory = scratch();
    // `script` is the owner of a terminal inside of ours. Who holds the pipe has not ended.
    let ended = directory.path().join("ended");
    let made = Command::new("mkfifo").arg(&ended).status().expect("mkfifo");
    assert!(made.success());
    let typed = program(directory.path());
    let mut owner = Command::new("script");
    owner.args(["-q", "-c", "exec 9>ended; exec \"$BEADLINE\"", "/dev/null"]).current_dir(directory.path());
    owner.envs(typed.get_envs().filter_map(|(name, value)| Some((name, value?))));
    owner.env("BEADLINE", typed.get_program()).env("SHELL", "/bin/sh").env_remove("BEADLINE_CONFIG");
    let mut terminal = Terminal::run(&owner, 24, 120);
    let mut ended = std::fs::File::open(ended).expect("the pipe");
    terminal.wait_for_prompt();
    let settings = ["SET 'pipeline.name' = 'kept';", "SET 'execution.checkpointing.interval' = '1 h';"];
    [LIVE, HOLE, settings[0], settings[1]].iter().for_each(|line| drop(terminal.line(line, "")));
    terminal.line("INSERT INTO hole SELECT n FROM live;", "job kept is running");
    terminal.keys("SELECT half");
    terminal.wait_for("SELECT half");
    terminal.signal(Signal::SIGKILL);
    // Its end, and nothing before it.
    assert_eq!(ended.read_to_end(&mut Vec::new()).expect("the end"), 0);

    let history = std::fs::read_to_string(directory.path().join("state/beadline/history")).expect("a history");
    assert!(history.ends_with("INSERT INTO hole SELECT n FROM live;\n"), "{history}");
    let mut terminal = prompt(directory.path(), 24, 120);
    [LIVE, HOLE, settings[0], settings[1]].iter().for_each(|line| drop(terminal.line(line, "")));
    terminal.line("INSERT INTO hole SELECT n FROM live;", "resumed job kept from checkpoint");
    terminal.signal(Signal::SIGTERM);
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn the_users_own_files_come_first() {
    let directory = scratch();
    let config = directory.path().join("config/beadline");
    std::fs::create_dir_all(&config).expect("a folder");
    std::fs::write(config.join("init.sql"), PEOPLE).expect("an init script");
    std::fs::write(config.join("config.toml"), "format = 'vertical'\n[set]\n\"pipeline.name\" = 'mine'\n")
        .expect("a file");
    let mut terminal = prompt(directory.path(), 200, 120);
    terminal.line("SELECT name FROM people WHERE id = 1;", "name | ann");
    terminal.line("\\format table", "format table");
    terminal.line("SET;", "mine");
    terminal.keys("\x04");
    assert_eq!(terminal.end().0, 0);
    let mut bare = program(directory.path());
    bare.arg("--no-init");
    let mut terminal = Terminal::run(&bare, 24, 120);
    terminal.wait_for_prompt();
    terminal.line("SELECT name FROM people;", "Object 'people' not found");
    terminal.keys("\x04");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn rows_go_to_a_file_and_come_back() {
    let directory = scratch();
    std::fs::write(directory.path().join("a script.sql"), format!("{PEOPLE}\nSELECT id FROM people;")).expect("a file");
    let mut terminal = prompt(directory.path(), 24, 120);
    terminal.line(".mode csv", "format csv");
    terminal.line("\\o out.csv", "rows go to out.csv");
    terminal.line(".read a script.sql", "3 rows");
    terminal.line("\\o", "rows go to the terminal");
    assert_eq!(std::fs::read_to_string(directory.path().join("out.csv")).expect("rows"), "id\n1\n2\n3\n");
    terminal.line("\\foo", "there is no command \\foo");
    terminal.line("SELECT 7 AS seven;", "seven");
    terminal.keys("\\watch 0.1\r");
    terminal.wait_until("it again and again", |screen| screen.matches("seven").count() > 3);
    terminal.keys("\x03");
    terminal.wait_for_prompt();
    terminal.keys("\x04");
    assert_eq!(terminal.end().0, 0);
}
