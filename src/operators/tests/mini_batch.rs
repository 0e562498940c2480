//! Mini-batches: when what a GROUP BY holds leaves.

use super::*;
use crate::operators::{BuildContext, Chain, Emitted, Flush};
use crate::stream::{Changes, EventTime, ProcTime};
use arrow::array::{Int64Array, RecordBatch};

/// A chain that counts by key, in mini-batches of a second or five rows.
fn chain(input: &SchemaRef) -> Chain {
    let (local, global) = grouped(input, &[0], &["COUNT(*) n"], false);
    let local = GroupLocalSpec { holding: Holding::MiniBatch { latency_ms: 1_000, rows: 5 }, ..local };
    Chain::new(&[&local, &global], &BuildContext::only_task()).unwrap()
}

fn rows(input: &SchemaRef, keys: &[i64]) -> Changes {
    let column = Arc::new(Int64Array::from(keys.to_vec()));
    Changes::inserts(RecordBatch::try_new(Arc::clone(input), vec![column]).unwrap())
}

/// What leaves when the inputs then rest.
fn left(chain: &mut Chain, now: i64, why: Option<Flush>) -> usize {
    let mut emitted = Emitted::default();
    assert_eq!(chain.work(ProcTime(now), &mut emitted).unwrap(), Progress::Done);
    chain.tick(ProcTime(now), &mut emitted).unwrap();
    assert_eq!(chain.work(ProcTime(now), &mut emitted).unwrap(), Progress::Done);
    if let Some(why) = why {
        assert_eq!(chain.flush(why, ProcTime(now), &mut emitted).unwrap(), Progress::Done);
    }
    emitted.main.iter().map(Changes::len).sum()
}

#[test]
fn rows_wait_for_the_clock_for_more_of_them_or_for_a_barrier() {
    let input = schema("k BIGINT");
    let mut chain = chain(&input);
    let rest = Some(Flush::Waiting);
    chain.rows(0, rows(&input, &[1, 1, 2]));
    assert_eq!(left(&mut chain, 0, rest), 0);
    chain.watermark(EventTime(7));
    assert_eq!((left(&mut chain, 999, rest), chain.wake_at()), (0, Some(ProcTime(1_000))));
    assert_eq!((left(&mut chain, 1_000, rest), chain.wake_at()), (2, None));
    // Five rows are enough.
    chain.rows(0, rows(&input, &[3, 3]));
    assert_eq!(left(&mut chain, 1_100, rest), 0);
    chain.rows(0, rows(&input, &[3, 4, 4]));
    assert_eq!((left(&mut chain, 1_200, rest), chain.wake_at()), (2, None));
    // A barrier finds nothing held.
    chain.rows(0, rows(&input, &[5]));
    assert_eq!((left(&mut chain, 1_300, Some(Flush::All)), chain.wake_at()), (1, None));
    // And so does the end.
    chain.rows(0, rows(&input, &[6]));
    chain.watermark(EventTime::END);
    assert_eq!(left(&mut chain, 1_400, None), 1);
}
