//! Windows against a naive model: random rows of several splits in random interleavings, each row judged by the
//! watermark of its own split alone.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray};
use proptest::prelude::*;

use super::*;
use crate::operators::testing::windows_holding;
use crate::state::{integers, snapshot};
use crate::stream::{Changes, Counter, Counters, EventTime, ProcTime};

/// A row of a split: time, key, value.
type Row = (i64, Option<i64>, i64);
/// What a window says of a key: count, sum, and what the third call does.
type Results = (i64, i64, i64);

/// The third call: none, one that cannot be taken away again, or one over different values.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Third {
    None,
    Least,
    Different,
}
type Windows = BTreeMap<(i64, Option<i64>), Results>;

/// Pairs of rows and windows that hold them: all, those of late rows, those of other rows whose window had closed.
#[derive(Default)]
struct Pairs {
    assigned: u64,
    late: u64,
    partially: u64,
}

/// Windows by (end, key), late rows, pairs: computed split by split.
fn model(splits: &[Vec<Row>], window: WindowKind, delay: i64, third: Third) -> (Windows, usize, Pairs) {
    let (mut windows, mut late, mut pairs) = (BTreeMap::<(i64, Option<i64>), Vec<i64>>::new(), 0, Pairs::default());
    for split in splits {
        let mut watermark = i64::MIN;
        for (time, key, value) in split {
            let holding = windows_holding(window, *time);
            let counted: Vec<_> = holding.iter().filter(|(_, end)| end - 1 > watermark).collect();
            pairs.assigned += holding.len() as u64;
            if counted.is_empty() {
                late += 1;
                pairs.late += holding.len() as u64;
            } else {
                pairs.partially += (holding.len() - counted.len()) as u64;
            }
            counted.iter().for_each(|(_, end)| windows.entry((*end, *key)).or_default().push(*value));
            watermark = watermark.max(time - delay);
        }
    }
    let result = |values: Vec<i64>| {
        let last = match third {
            Third::None => 0,
            Third::Least => values.iter().min().copied().unwrap_or_default(),
            Third::Different => values.iter().collect::<BTreeSet<_>>().len() as i64,
        };
        (values.len() as i64, values.iter().sum(), last)
    };
    (windows.into_iter().map(|(window, values)| (window, result(values))).collect(), late, pairs)
}

/// The same through the operators: rows of the splits in the order of `picks`, in batches, with watermarks that are
/// the least of all splits, and barriers now and then.
fn operators(
    splits: &[Vec<Row>],
    picks: &[(usize, u8)],
    window: WindowKind,
    delay: i64,
    calls: &[&str],
) -> (Windows, usize, Counters) {
    let input = schema("ts TIME, k BIGINT, v BIGINT, $watermark BIGINT");
    let (assign, local, global) = windowed(&input, window, &[1], calls);
    let mut chain = [
        assign.build(&BuildContext::only_task()).unwrap(),
        local.build(&BuildContext::only_task()).unwrap(),
        global.build(&BuildContext::only_task()).unwrap(),
    ];
    let mut cx = [0; 3].map(|_| Context::new(ProcTime(0)));
    let (mut windows, mut late) = (Windows::new(), 0);

    let mut at = vec![0; splits.len()];
    let mut met = vec![i64::MIN; splits.len()];
    let mut pending: Vec<(Row, i64)> = Vec::new();
    let mut picks = picks.iter().copied().cycle();
    loop {
        let open: Vec<usize> = (0..splits.len()).filter(|split| at[*split] < splits[*split].len()).collect();
        let (pick, event) = picks.next().unwrap_or((0, 0));
        if let Some(split) = open.get(pick % open.len().max(1)) {
            let row = splits[*split][at[*split]];
            pending.push((row, met[*split]));
            met[*split] = met[*split].max(row.0 - delay);
            at[*split] += 1;
        }
        let ended = (0..splits.len()).all(|split| at[split] == splits[split].len());
        if event % 4 == 0 || ended {
            let column = |value: &dyn Fn(&(Row, i64)) -> i64| pending.iter().map(value).collect::<Vec<i64>>();
            let columns: Vec<ArrayRef> = vec![
                Arc::new(TimestampMillisecondArray::from(column(&|(row, _)| row.0))),
                Arc::new(pending.iter().map(|(row, _)| row.1).collect::<Int64Array>()),
                Arc::new(Int64Array::from(column(&|(row, _)| row.2))),
                Arc::new(Int64Array::from(column(&|(_, met)| *met))),
            ];
            pending.clear();
            let rows = Changes::inserts(RecordBatch::try_new(Arc::clone(&input), columns).unwrap());
            // A split that has ended holds the watermark no longer.
            let active = (0..splits.len()).filter(|split| at[*split] < splits[*split].len());
            let watermark = EventTime(active.map(|split| met[split]).min().unwrap_or(i64::MAX));
            let mut flow = vec![rows];
            for (operator, cx) in chain.iter_mut().zip(&mut cx) {
                flow.drain(..).for_each(|rows| operator.on_rows(0, rows, cx).map(drop).unwrap());
                if event % 8 == 0 || ended {
                    assert_eq!(operator.on_watermark(watermark, cx).unwrap(), Progress::Done);
                }
                if event % 16 == 0 {
                    assert_eq!(operator.flush(Flush::All, cx).unwrap(), Progress::Done);
                    snapshot(operator.state()).unwrap();
                }
                late += cx.take_late().iter().map(|late| late.num_rows()).sum::<usize>();
                flow = cx.take_out();
            }
            for out in flow {
                for row in 0..out.len() {
                    let number = |column: usize| integers(out.column(column)).unwrap()[row];
                    let end = out.column(2).as_any().downcast_ref::<TimestampMillisecondArray>().unwrap().value(row);
                    let key = out.column(0).is_valid(row).then(|| number(0));
                    let third = if calls.len() > 2 { number(6) } else { 0 };
                    let before = windows.insert((end, key), (number(4), number(5), third));
                    assert!(before.is_none(), "window {end} fired twice for {key:?}");
                }
            }
        }
        if ended {
            break;
        }
    }
    let mut counters = Counters::default();
    cx.iter().for_each(|cx| counters.merge(&cx.counters));
    (windows, late, counters)
}

fn any_window() -> impl Strategy<Value = WindowKind> {
    (1_i64..8, 1_i64..12, -3_i64..4, any::<bool>()).prop_map(|(slide_ms, panes, offset, cumulates)| {
        let size_ms = slide_ms * panes;
        let offset_ms = offset.clamp(1 - size_ms, size_ms - 1);
        match panes {
            1 => WindowKind::Tumble { size_ms, offset_ms },
            _ if cumulates => WindowKind::Cumulate { step_ms: slide_ms, size_ms, offset_ms },
            _ => WindowKind::Hop { slide_ms, size_ms, offset_ms },
        }
    })
}

fn any_splits() -> impl Strategy<Value = Vec<Vec<Row>>> {
    let key = prop_oneof![1 => Just(None), 4 => (0_i64..4).prop_map(Some)];
    let row = (-30_i64..60, key, -100_i64..100);
    // Times wander upwards, with steps back.
    let split = prop::collection::vec(row, 0..40).prop_map(|mut rows| {
        rows.iter_mut().enumerate().for_each(|(index, row)| row.0 = row.0 / 4 + index as i64 * 2 - 20);
        rows
    });
    prop::collection::vec(split, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn windows_are_a_function_of_the_splits(
        window in any_window(),
        splits in any_splits(),
        picks in prop::collection::vec((0_usize..3, any::<u8>()), 1..60),
        delay in 0_i64..12,
        third in prop::sample::select(vec![Third::None, Third::Least, Third::Different]),
    ) {
        let mut calls = vec!["COUNT(*) n", "SUM(v) s"];
        calls.extend(match third {
            Third::None => None,
            Third::Least => Some("MIN(v) m"),
            Third::Different => Some("COUNT(DISTINCT v) d"),
        });
        let (wanted, late, pairs) = model(&splits, window, delay, third);
        let (found, found_late, counters) = operators(&splits, &picks, window, delay, &calls);
        prop_assert_eq!(found, wanted);
        prop_assert_eq!(found_late, late);
        prop_assert_eq!(counters.get(Counter::WindowPairsAssigned), pairs.assigned);
        prop_assert_eq!(counters.get(Counter::WindowPairsLate), pairs.late);
        prop_assert_eq!(counters.get(Counter::WindowPairsPartiallyLate), pairs.partially);
        let counted = counters.get(Counter::WindowPairsCounted);
        prop_assert_eq!(counted + pairs.late + pairs.partially, pairs.assigned);
    }
}
