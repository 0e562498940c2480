//! A job that has finished, started once more: left alone where nothing is another, refused where its query is, and
//! with a warning where its input is.

use std::path::Path;

use beadline::storage::{FakeStore, Store};

use crate::changed::{CHEAP, PASSING, TOTALS, WINDOWS, changed, copy, disk, killed, run, set};
use crate::support::Scratch;

fn finished(script: &str) -> FakeStore {
    let store = disk();
    run(&store, script).expect("it runs");
    store
}

#[test]
fn a_finished_job_whose_query_is_another_is_refused() {
    let other = |script: &str, changes: &[(&str, &str)]| (script.to_owned(), changed(script, changes));
    for ((script, after), what) in [
        (other(PASSING, &[("fare > 1", "fare > 2")]), "the query into totals has changed"),
        (other(WINDOWS, &[("window_end, town;", "window_end, town HAVING COUNT(*) > 2;")]), "query into totals"),
        (other(WINDOWS, &[("SUM(price)", "AVG(price)")]), "of the query into totals has changed"),
        ((set(&[TOTALS]), set(&[TOTALS, CHEAP])), "the query into cheap is new"),
        ((set(&[TOTALS]), set(&[CHEAP, TOTALS])), "the query into cheap is new"),
        ((set(&[TOTALS, CHEAP]), set(&[TOTALS])), "cheap is"),
    ] {
        let store = finished(&script);
        let before = store.files();
        let error = run(&store, &after).expect_err("the job is another");
        let text = error.to_string();
        assert_eq!(error.id(), Some("BL-JOB-FINISHED-CHANGED"), "{text}");
        assert!(text.contains(what) && text.contains("--fresh") && text.contains("pipeline.name"), "{text}");
        assert!(store.files() == before, "{what}: a refused start has left a trace");
    }
}

#[test]
fn a_finished_job_that_is_the_same_is_left_alone() {
    let store = finished(&set(&[TOTALS, CHEAP]));
    let before = store.files();
    for after in [&[TOTALS, CHEAP], &[CHEAP, TOTALS]] {
        assert!(run(&store, &set(after)).expect("it has finished").is_empty());
    }
    assert!(store.files() == before);
}

/// What has come since is not read, and what has been read may be another by now.
#[test]
fn input_that_is_another_is_warned_of() {
    let script = changed(WINDOWS, &[("/in/rides.csv", "/in/*.csv")]);
    for store in [finished(&script), killed(&script)] {
        let said_of = |change: &dyn Fn(&FakeStore)| {
            let store = copy(&store);
            change(&store);
            run(&store, &script).expect("other input is no error")
        };
        let warnings = |said: &[String]| said.iter().filter(|text| text.starts_with("warning: ")).count();
        let same = said_of(&|_| {});
        assert_eq!(warnings(&same), 0, "{same:?}");
        let input = store.files()[Path::new("/in/rides.csv")].clone();
        let grown =
            said_of(&|store| store.overwrite(Path::new("/in/rides.csv"), &[&input, &b"7,Oslo,3,1\n"[..]].concat()));
        let expected =
            format!("/in/rides.csv had {} bytes when the job began and has {}", input.len(), input.len() + 11);
        assert!(grown.iter().any(|text| text.contains(&expected)) && warnings(&grown) == 1, "{grown:?}");
        let new = said_of(&|store| {
            for name in ["/in/s.csv", "/in/t.csv"] {
                store.put_if_absent(Path::new(name), b"7,Oslo,3,1\n").expect("room for a file");
            }
        });
        let expected = "/in/s.csv came after the job began (and 1 more)";
        assert!(new.iter().any(|text| text.contains(expected)) && warnings(&new) == 1, "{new:?}");
    }
}

/// Its time alone says nothing.
#[test]
fn a_finished_job_looks_at_the_bytes_of_a_file_that_was_written_to() {
    let script = "SET 'execution.checkpointing.interval' = '1 s';
        SET 'pipeline.name' = 'seen';
        CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'numbers.csv', 'format' = 'csv');
        CREATE TABLE seen (n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'seen', 'format' = 'csv');
        INSERT INTO seen SELECT n FROM numbers WHERE n > 0;";
    let scratch = Scratch::new();
    let file = scratch.path().join("numbers.csv");
    let write = |text: &str| std::fs::write(&file, text).expect("a file");
    let run = |script: &str| {
        let output = scratch.command(&Default::default()).args(["-q", "-c", script]).output().expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    write("1\n2\n");
    assert_eq!(run(script), (Some(0), String::new()));
    let aside = file.with_extension("old");
    std::fs::copy(&file, &aside).expect("a copy");
    std::fs::remove_file(&file).expect("the file");
    std::fs::copy(&aside, &file).expect("a copy");
    assert_eq!(run(script), (Some(0), String::new()), "its bytes are the same");
    write("1\n3\n");
    let (code, said) = run(script);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("warning: numbers.csv has changed since the job read it: "), "{said}");

    // With -q too.
    let (code, said) = run(&script.replace("n > 0", "n > 1"));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("error[BL-JOB-FINISHED-CHANGED]: "), "{said}");
}
