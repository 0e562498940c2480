//! What is left of the changes up to a barrier, against the answer over the rows in front of it.

use std::collections::BTreeMap;

use beadline::storage::FakeStore;
use beadline::stream::Epoch;
use proptest::prelude::*;

use super::grammar::{ID, Level, Query, Window};
use super::model::{self, Row, answer, is_over};
use super::{Place, Run, in_batch, wanted};

/// The end of no window, in milliseconds.
const LONG_AGO: i64 = -1_000_000_000_000;

/// As many batches leave an operator in one step.
const STEP_BATCHES: usize = 16;

/// Where the source stood at a barrier.
struct Barrier {
    epoch: Epoch,
    /// Rows in front of it, by split.
    rows: Vec<usize>,
    watermark: i64,
}

/// The barriers of completed checkpoints, as their manifests tell of them.
fn barriers(store: &FakeStore) -> Vec<Barrier> {
    let files = store.files().into_iter().filter(|(path, _)| path.starts_with("/checkpoints/random/log"));
    let entries = files.filter_map(|(_, bytes)| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    entries.filter(|entry| entry["entry"] == "checkpoint").map(|manifest| barrier(&manifest)).collect()
}

fn barrier(manifest: &serde_json::Value) -> Barrier {
    let epoch = Epoch(manifest["epoch"].as_u64().expect("a number"));
    let operators = || manifest["operators"].as_object().expect("operators by id").values();
    let sources: Vec<_> = operators().filter_map(|operator| operator["splits"].as_object()).collect();
    let [splits] = sources[..] else { panic!("the table is read {} times", sources.len()) };
    let splits: BTreeMap<usize, _> =
        splits.iter().map(|(name, split)| (name.parse().expect("a number"), split)).collect();
    let rows = splits.values().map(|split| split["position"]["rows"].as_u64().expect("a number") as usize).collect();
    let met = |time: &serde_json::Value| time.as_i64().unwrap_or(i64::MIN);
    let left = splits.values().filter(|split| split["ended"] == false).map(|split| met(&split["watermark"])).min();
    // That all has been read the operators may hear behind the barrier.
    let told = operators().flat_map(|operator| operator["watermarks"].as_array().into_iter().flatten());
    let told = told.map(|range| met(&range["watermark"])).min();
    Barrier { epoch, rows, watermark: left.or(told).unwrap_or(i64::MAX) }
}

/// Fails where a barrier has other rows in front of it than the model, or than batch mode, which is asked at one of them.
pub fn check(
    query: &Query,
    splits: &[Vec<Row>],
    run: &Run,
    place: &Place,
    about: &dyn Fn(&str) -> String,
) -> Result<(), TestCaseError> {
    // What waits for the clock may have left or not.
    let waits =
        query.emit.is_some_and(|emit| emit.early.is_some_and(|ms| ms > 0) || emit.late.is_some_and(|late| late.0 > 0));
    if waits {
        return Ok(());
    }
    let barriers = barriers(&place.store);
    let asked = run.seed as usize % barriers.len().max(1);
    for (at, barrier) in barriers.iter().enumerate() {
        let before: Vec<Vec<Row>> =
            splits.iter().zip(&barrier.rows).map(|(rows, count)| rows[..*count].to_vec()).collect();
        let (left, late) = place.found_by(barrier.epoch);
        let expected = answer(query, &before, model::Run::Stream { watermark: barrier.watermark });
        let how = about(&format!("at barrier {} behind rows {:?}", barrier.epoch, barrier.rows));
        prop_assert_eq!(&late, &expected.late, "{}", how);
        let expected = wanted(&expected);
        if !leaves_at_once(query, &before, run, barrier.watermark) {
            // Some of what is on its way out is out.
            let is_expected = |(row, count): (&String, &i64)| expected.get(row) >= Some(count);
            prop_assert!(
                !query.outer.is_empty() || left.iter().all(is_expected),
                "{:#?} {:#?} {}",
                left,
                expected,
                how
            );
            continue;
        }
        prop_assert_eq!(&left, &expected, "{}", how);
        if at == asked {
            in_batch_mode(query, &before, run, barrier, (&left, &late), about)?;
        }
    }
    Ok(())
}

/// Whether no barrier can pass inside a fire: all that windows have given is no more than leaves in one step.
fn leaves_at_once(query: &Query, before: &[Vec<Row>], run: &Run, watermark: i64) -> bool {
    let inner = Level { having: false, ..query.inner.clone() };
    let groups = Query { inner, outer: Vec::new(), ..query.clone() };
    let results = || answer(&groups, before, model::Run::Stream { watermark }).rows.len();
    query.window == Window::None || results() <= STEP_BATCHES * run.batch_rows
}

/// Batch mode over the rows in front of the barrier, but for the late ones, and as far as windows have given results.
fn in_batch_mode(
    query: &Query,
    before: &[Vec<Row>],
    run: &Run,
    barrier: &Barrier,
    (left, late): (&BTreeMap<String, i64>, &[i128]),
    about: &dyn Fn(&str) -> String,
) -> Result<(), TestCaseError> {
    // Of a row that is late for some of its windows batch mode knows nothing, nor that rows were too late to join two sessions.
    let is_fixed = matches!(query.window, Window::None | Window::Tumble { .. });
    // Over no rows at all there is one result without a key in batch mode, and none in a stream.
    let has_keyless = std::iter::once(&query.inner).chain(&query.outer).any(|level| level.keys.is_empty());
    if !is_fixed || has_keyless && (left.is_empty() || query.other.is_some()) {
        return Ok(());
    }
    let is_late = |row: &Row| late.contains(&row[ID].int());
    let on_time: Vec<Vec<Row>> =
        before.iter().map(|rows| rows.iter().filter(|row| !is_late(row)).cloned().collect()).collect();
    let is_early = query.emit.is_some_and(|emit| emit.early.is_some());
    let until = (query.window != Window::None && !is_early).then(|| {
        let ends = on_time.iter().flatten().flat_map(|row| model::ends(query, row));
        ends.filter(|end| is_over(query, *end, barrier.watermark)).max().unwrap_or(LONG_AGO)
    });
    let how = format!("in batch mode at barrier {} behind rows {:?}", barrier.epoch, barrier.rows);
    let batch = in_batch(query, &on_time, run, until)
        .map_err(|error| TestCaseError::fail(format!("{}\n{error}", about(&how))))?;
    prop_assert_eq!(left, &batch.found().0, "{}", about(&how));
    Ok(())
}
