//! The updating GROUP BY by script.

use arrow::array::{Int64Array, RecordBatch};
use expect_test::expect;

use super::*;
use crate::operators::testing::{Compare, check_operator};
use crate::operators::{BuildContext, Chain, Emitted, Progress};
use crate::stream::{ChangeKind, Changes, ProcTime};

#[test]
fn counts_change_once_a_batch() {
    let input = schema("k STRING, v BIGINT");
    let (local, global) = grouped(&input, &[0], &["COUNT(*) n", "SUM(v) s", "MAX(v) hi"], false);
    let script = "
        +I a, 1
        +I b, NULL
        +I a, 2
        watermark 10
        +I a, 0
        +I NULL, 7
        +I NULL, 7
        watermark 20
        +I c, 1
        end";
    check_operator(
        &[&local, &global],
        &input,
        Compare::Changes,
        script,
        expect![[r#"
        3 rows
          +I a, 2, 3, 2
          +I b, 1, NULL, NULL
        watermark 10
        3 rows
          -U a, 2, 3, 2
          +U a, 3, 3, 2
          +I NULL, 2, 14, 7
        watermark 20
        1 row
          +I c, 1, 1, 1
        end
    "#]],
    );
    let upserts = GroupAggregateSpec { emit_update_before: false, ..global };
    check_operator(
        &[&local, &upserts],
        &input,
        Compare::Upserts(1),
        script,
        expect![[r#"
        3 rows
          +I a, 2, 3, 2
          +I b, 1, NULL, NULL
        watermark 10
        3 rows
          +U a, 3, 3, 2
          +I NULL, 2, 14, 7
        watermark 20
        1 row
          +I c, 1, 1, 1
        end
    "#]],
    );
}

#[test]
fn an_unchanged_result_says_nothing() {
    let input = schema("k BIGINT, v BIGINT");
    let (local, global) = grouped(&input, &[0], &["MAX(v) hi"], false);
    check_operator(
        &[&local, &global],
        &input,
        Compare::Changes,
        "
        +I 1, 5
        watermark 1
        +I 1, 4
        watermark 2
        +I 1, 6
        end",
        expect![[r#"
            1 row
              +I 1, 5
            watermark 1
            1 row
            watermark 2
            1 row
              -U 1, 5
              +U 1, 6
            end
        "#]],
    );
}

#[test]
fn without_keys_there_is_one_group_once_a_row_came() {
    let input = schema("v DOUBLE");
    let (local, global) = grouped(&input, &[], &["COUNT(*) n", "AVG(v) a"], false);
    check_operator(
        &[&local, &global],
        &input,
        Compare::Changes,
        "
        watermark 1
        +I 1.5
        +I 2.5
        watermark 2
        +I NULL
        end",
        expect![[r#"
            watermark 1
            2 rows
              +I 2, 2.0
            watermark 2
            1 row
              -U 2, 2.0
              +U 3, 2.0
            end
        "#]],
    );
    let (local, global) = grouped(&input, &[], &["COUNT(*) n"], true);
    check_operator(
        &[&local, &global],
        &input,
        Compare::Changes,
        "
        +I 1.5
        watermark 2
        -D 1.5
        watermark 3
        +I 2.5
        end",
        expect![[r#"
            1 row
              +I 1
            watermark 2
            1 row
              -D 1
            watermark 3
            1 row
              +I 1
            end
        "#]],
    );
}

#[test]
fn rows_that_are_taken_back_undo_everything() {
    let input = schema("k STRING, v INT, f BOOLEAN");
    let texts = ["MIN(v) lo", "COUNT(*) n", "MAX(v) FILTER f hi", "SUM(v) s", "AVG(v) a"];
    let (local, global) = grouped(&input, &[0], &texts, true);
    check_operator(
        &[&local, &global],
        &input,
        Compare::Changes,
        "
        +I a, 5, true
        +I a, 3, false
        +I b, NULL, true
        watermark 1
        -U a, 3, false
        +U a, 9, true
        watermark 2
        -D b, NULL, true
        watermark 3
        -D a, 9, true
        +I b, 1, NULL
        watermark 4
        -D a, 5, true
        watermark 5
        +I c, 1, true
        -D c, 1, true
        watermark 6
        +I a, 7, true
        end",
        expect![[r#"
            3 rows
              +I a, 3, 2, 5, 8, 4
              +I b, NULL, 1, NULL, NULL, NULL
            watermark 1
            2 rows
              -U a, 3, 2, 5, 8, 4
              +U a, 5, 2, 9, 14, 7
            watermark 2
            1 row
              -D b, NULL, 1, NULL, NULL, NULL
            watermark 3
            2 rows
              -U a, 5, 2, 9, 14, 7
              +U a, 5, 1, 5, 5, 5
              +I b, 1, 1, NULL, 1, 1
            watermark 4
            1 row
              -D a, 5, 1, 5, 5, 5
            watermark 5
            2 rows
            watermark 6
            1 row
              +I a, 7, 1, 7, 7, 7
            end
        "#]],
    );
}

#[test]
fn the_largest_table_is_gathered_in_order_and_only_what_changed() {
    use crate::state::SnapshotWriter;
    use crate::stream::{Changes, ProcTime};
    use arrow::array::{Int64Array, RecordBatch};

    let input = schema("k BIGINT");
    let (local, global) = grouped(&input, &[0], &["COUNT(*) n"], false);
    let (mut local, mut global) =
        (local.build(&BuildContext::only_task()).unwrap(), global.build(&BuildContext::only_task()).unwrap());
    let mut push = |keys: Vec<i64>, global: &mut Box<dyn Operator>| {
        let mut cx = Context::new(ProcTime(0));
        let batch = RecordBatch::try_new(Arc::clone(&input), vec![Arc::new(Int64Array::from(keys))]).unwrap();
        assert_eq!(local.on_rows(0, Changes::inserts(batch), &mut cx).unwrap(), Progress::Done);
        assert_eq!(local.flush(Flush::All, &mut cx).unwrap(), Progress::Done);
        for partials in cx.take_out() {
            assert_eq!(global.on_rows(0, partials, &mut Context::new(ProcTime(0))).unwrap(), Progress::Done);
        }
    };
    let save = |global: &mut Box<dyn Operator>| {
        let mut writer = SnapshotWriter::default();
        global.state()[0].save(&mut writer).unwrap();
        writer.puts.iter().map(|batch| batch.num_rows()).sum::<usize>()
    };
    push((0..100_000).collect(), &mut global);
    assert_eq!(save(&mut global), 100_000);
    assert_eq!(save(&mut global), 0);
    push(vec![7, 50_000, 7, 200_000], &mut global);
    assert_eq!(save(&mut global), 3);
    assert!(global.state()[0].bytes() > 100_000 * 16);
}

/// Where half of the keys have changed, a barrier hands over all of them, so that older files can go.
#[test]
fn a_barrier_hands_over_what_changed_or_all_keys_where_half_of_them_have() {
    let input = schema("k BIGINT");
    let (local, global) = grouped(&input, &[0], &["COUNT(*) n"], true);
    let mut chain = Chain::new(&[&local, &global], &BuildContext::only_task()).unwrap();
    let mut barrier = |keys: std::ops::Range<i64>, kind| {
        let column = Arc::new(Int64Array::from_iter_values(keys.clone()));
        let rows = RecordBatch::try_new(Arc::clone(&input), vec![column]).unwrap();
        chain.rows(0, Changes::new(rows, vec![kind; keys.count()]));
        let mut emitted = Emitted::default();
        assert_eq!(chain.work(ProcTime(0), &mut emitted).unwrap(), Progress::Done);
        assert_eq!(chain.flush(Flush::All, ProcTime(0), &mut emitted).unwrap(), Progress::Done);
        let (_, groups) = chain.snapshot().unwrap().pop().unwrap().pop().unwrap();
        let rows = |batches: &[RecordBatch]| batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        (groups.is_whole, rows(&groups.puts), rows(&groups.deletes))
    };
    let (come, go) = (ChangeKind::Insert, ChangeKind::Delete);
    assert_eq!(barrier(0..10, come), (true, 10, 0), "all are new");
    assert_eq!(barrier(0..4, come), (false, 4, 0));
    assert_eq!(barrier(3..8, come), (true, 10, 0), "five of ten");
    assert_eq!(barrier(8..10, go), (false, 0, 2));
    assert_eq!(barrier(0..2, come), (false, 2, 0), "of eight");
    assert_eq!(barrier(4..7, go), (false, 3, 0));
    assert_eq!(barrier(7..8, go), (false, 1, 0), "it was there twice");
    assert_eq!(barrier(4..8, go), (true, 4, 4), "as many have gone as are left");
}
