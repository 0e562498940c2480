//! Groups that nobody touches for a while, by script: results, bytes, checkpoints.

use arrow::array::{Int64Array, RecordBatch};
use expect_test::expect;

use super::*;
use crate::operators::testing::{Compare, check_operator};
use crate::operators::{BuildContext, Chain, Emitted, Flush};
use crate::state::SnapshotWriter;
use crate::stream::{Changes, EventTime, ProcTime};

const TTL_MS: i64 = 100;

fn forgetful(input: &SchemaRef, keys: &[usize], texts: &[&str], retract: bool) -> (GroupLocalSpec, GroupAggregateSpec) {
    let (local, global) = grouped(input, keys, texts, retract);
    (local, GroupAggregateSpec { forgetting: Forgetting::Untouched { ttl_ms: TTL_MS }, ..global })
}

#[test]
fn a_group_that_nobody_touches_begins_anew() {
    let input = schema("k STRING, v BIGINT");
    let texts = &["COUNT(*) n", "SUM(v) s", "COUNT(DISTINCT v) different"];
    let (local, global) = forgetful(&input, &[0], texts, false);
    // An unchanged result leaves again, so that whoever keeps it behind this does not forget it.
    check_operator(
        &[&local, &global],
        &input,
        Compare::Upserts(1),
        "
        +I a, 1
        +I b, 1
        tick 99
        +I a, 2
        tick 150
        +I b, 2
        +I a, 1
        tick 248
        +I a, 5
        tick 400
        +I a, 5
        end",
        expect![[r#"
            2 rows
              +I a, 1, 1, 1
              +I b, 1, 1, 1
            tick 99
            1 row
              -U a, 1, 1, 1
              +U a, 2, 3, 2
            tick 150
            2 rows
              +I b, 1, 2, 1
              -U a, 2, 3, 2
              +U a, 3, 4, 3
            tick 248
            1 row
              -U a, 3, 4, 3
              +U a, 4, 9, 4
            tick 400
            1 row
              +I a, 1, 5, 1
            end
        "#]],
    );
}

#[test]
fn a_different_value_is_forgotten_by_itself_as_on_flink() {
    let input = schema("k STRING, v BIGINT");
    let (local, global) = forgetful(&input, &[0], &["COUNT(DISTINCT v) different"], false);
    check_operator(
        &[&local, &global],
        &input,
        Compare::Changes,
        "
        +I a, 1
        tick 60
        +I a, 2
        tick 120
        +I a, 1
        end",
        expect![[r#"
            1 row
              +I a, 1
            tick 60
            1 row
              -U a, 1
              +U a, 2
            tick 120
            1 row
              -U a, 2
              +U a, 3
            end
        "#]],
    );
}

#[test]
fn rows_that_are_taken_back_are_forgotten_with_all_their_values() {
    let input = schema("k STRING, v BIGINT");
    let (local, global) = forgetful(&input, &[0], &["COUNT(*) n", "MAX(v) most"], true);
    check_operator(
        &[&local, &global],
        &input,
        Compare::Upserts(1),
        "
        +I a, 9
        +I a, 3
        -D a, 9
        tick 100
        +I a, 1
        +I a, 2
        -D a, 2
        end",
        expect![[r#"
            3 rows
              +I a, 1, 3
            tick 100
            3 rows
              +I a, 1, 1
            end
        "#]],
    );
}

/// Memory goes with the groups, and so do their rows in the next checkpoint: what is restored never comes back.
#[test]
fn what_is_forgotten_takes_no_memory_and_stands_in_no_checkpoint() {
    let input = schema("k BIGINT, v BIGINT");
    let (local, global) = forgetful(&input, &[0], &["COUNT(*) n", "COUNT(DISTINCT v) different"], false);
    let specs: [&dyn OperatorSpec; 2] = [&local, &global];
    let mut chain = Chain::new(&specs, &BuildContext::only_task()).unwrap();
    let work = |chain: &mut Chain, now: i64| {
        let mut emitted = Emitted::default();
        let now = ProcTime(now);
        chain.tick(now, &mut emitted).unwrap();
        while chain.work(now, &mut emitted).unwrap() == Progress::More {
            emitted.take();
        }
        while chain.flush(Flush::All, now, &mut emitted).unwrap() == Progress::More {
            emitted.take();
        }
    };
    let rows = |keys: std::ops::Range<i64>| {
        let column = || Arc::new(Int64Array::from_iter_values(keys.clone())) as arrow::array::ArrayRef;
        Changes::inserts(RecordBatch::try_new(Arc::clone(&input), vec![column(), column()]).unwrap())
    };
    chain.watermark(EventTime(0));
    chain.rows(0, rows(0..50_000));
    work(&mut chain, 0);
    let saved: usize = puts(&mut chain);
    assert_eq!(saved, 100_000, "each group, and each value");
    let full = chain.state_bytes();
    chain.rows(0, rows(0..10));
    work(&mut chain, 80);
    // Looked for a few times before they have had their time, and then gone.
    for now in [125, 150, 175] {
        work(&mut chain, now);
    }
    puts(&mut chain);
    for now in [176, 201] {
        work(&mut chain, now);
    }
    assert!(chain.state_bytes() * 10 < full, "{} of {full} bytes", chain.state_bytes());
    assert_eq!(puts(&mut chain), 0);
    assert_eq!(chain.wake_at(), None, "nothing is left to look for");
}

/// Rows that a barrier hands over.
fn puts(chain: &mut Chain) -> usize {
    let rows = |writer: &SnapshotWriter| writer.puts.iter().map(RecordBatch::num_rows).sum::<usize>();
    let snapshots = chain.snapshot().unwrap();
    snapshots.iter().flatten().map(|(_, writer)| rows(writer)).sum()
}
