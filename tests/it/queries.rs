//! Every query in `queries/`: straight, at several parallelisms and batch sizes, and killed and restored, with one answer.

use crate::support::{QueryFile, Scratch, Variant, full, queries};

/// The published tables and standard output of a run.
type Answer = (std::collections::BTreeMap<String, Vec<String>>, String);

fn plain_answer(query: &QueryFile) -> Answer {
    let scratch = Scratch::new();
    let output = scratch.run_well(&query.path, &Variant { parallelism: Some(1), ..Variant::default() });
    (scratch.published(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn check(query: &QueryFile, variant: &Variant, expected: &Answer) {
    let scratch = Scratch::new();
    let output = scratch.run_well(&query.path, variant);
    let answer = (scratch.published(), String::from_utf8_lossy(&output.stdout).into_owned());
    assert_eq!(&answer, expected, "{} with {variant:?}", query.path.display());
}

/// Runs a query that is killed behind every so many manifests, starting it again until it ends.
fn check_restored(query: &QueryFile, variant: &Variant, expected: &Answer) {
    let scratch = Scratch::new();
    let killed = Variant { failpoint: Some("manifest.published:3".to_owned()), ..variant.clone() };
    let mut kills = 0;
    let stdout = loop {
        let output = scratch.run(&query.path, &killed);
        if output.status.success() {
            break output.stdout;
        }
        kills += 1;
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code().is_none(), "{} failed instead of being killed:\n{text}", query.path.display());
        assert!(kills < 200, "{} makes no progress:\n{text}", query.path.display());
    };
    assert!(kills > 0, "{} with {killed:?} was never killed", query.path.display());
    let answer = (scratch.published(), String::from_utf8_lossy(&stdout).into_owned());
    assert_eq!(&answer, expected, "{} with {killed:?}", query.path.display());
}

fn variant(parallelism: usize, batch_rows: usize, every_rows: Option<usize>) -> Variant {
    Variant { parallelism: Some(parallelism), batch_rows: Some(batch_rows), every_rows, ..Variant::default() }
}

#[test]
fn every_query_gives_one_answer_pairwise() {
    for query in queries() {
        let expected = plain_answer(&query);
        if query.says("parallelism") {
            check(&query, &variant(2, 7, None), &expected);
            check(&query, &variant(4, 8192, Some(500)), &expected);
        }
        if query.says("restore") {
            check_restored(&query, &variant(2, 8192, Some(400)), &expected);
        }
    }
}

#[test]
fn full_every_query_at_every_parallelism_batch_size_and_restart() {
    if !full() {
        return;
    }
    for query in queries() {
        let expected = plain_answer(&query);
        for parallelism in [1, 2, 4] {
            for batch_rows in [1, 7, 8192] {
                if query.says("parallelism") {
                    check(&query, &variant(parallelism, batch_rows, None), &expected);
                }
                if query.says("restore") {
                    check_restored(&query, &variant(parallelism, batch_rows, Some(600)), &expected);
                }
            }
        }
    }
}
