//! Window aggregation by script: assignment, both halves, late rows.

use expect_test::expect;

use super::*;
use crate::operators::testing::{Compare, check_operator};
use crate::stream::{Changes, Counter, Counters, ProcTime};

const MINUTE: i64 = 60_000;

/// The eight rows of the semantics page, with the watermark that each met; times since 00:00.
const EIGHT_ROWS: &str = "
    +I 1000, 1, -9223372036854775808
    +I 30000, 2, -9000
    +I 80000, 3, 20000
    watermark 70000
    +I 40000, 4, 70000
    +I 130000, 5, 70000
    watermark 120000
    +I 110000, 6, 120000
    +I 300000, 7, 120000
    watermark 290000
    +I 5000, 8, 290000
    end";

fn pairs(counters: &Counters) -> [u64; 4] {
    use Counter::*;
    [WindowPairsAssigned, WindowPairsCounted, WindowPairsLate, WindowPairsPartiallyLate].map(|it| counters.get(it))
}

#[test]
fn eight_rows_in_tumbling_windows() {
    let input = schema("ts TIME, id BIGINT, $watermark BIGINT");
    let window = WindowKind::Tumble { size_ms: MINUTE, offset_ms: 0 };
    let (assign, local, global) = windowed(&input, window, &[], &["COUNT(*) n"]);
    let counters = check_operator(
        &[&assign, &local, &global],
        &input,
        Compare::Rows,
        EIGHT_ROWS,
        expect![[r#"
        3 rows
        watermark 70000
          +I 0, 60000, 59999, 2
        2 rows
          late 40000, 4, window, 70000, 0, 60000, 10001, window_fired
        watermark 120000
          +I 60000, 120000, 119999, 1
        2 rows
          late 110000, 6, window, 120000, 60000, 120000, 1, window_fired
        watermark 290000
          +I 120000, 180000, 179999, 1
        1 row
          late 5000, 8, window, 290000, 0, 60000, 230001, window_fired
        end
          +I 300000, 360000, 359999, 1
    "#]],
    );
    assert_eq!(pairs(&counters), [8, 5, 3, 0]);
    assert_eq!(counters.get(Counter::NumLateRecordsDropped), 3);
}

#[test]
fn eight_rows_in_hopping_windows() {
    let input = schema("ts TIME, id BIGINT, $watermark BIGINT");
    let window = WindowKind::Hop { slide_ms: MINUTE / 2, size_ms: MINUTE, offset_ms: 0 };
    // MIN cannot be taken away again, so that both ways to move a window are met.
    for calls in [&["COUNT(*) n"][..], &["COUNT(*) n", "MIN(id) least"][..]] {
        let (assign, local, global) = windowed(&input, window, &[], calls);
        let expected = match calls.len() {
            1 => expect![[r#"
                3 rows
                watermark 70000
                  +I -30000, 30000, 29999, 1
                  +I 0, 60000, 59999, 2
                2 rows
                watermark 120000
                  +I 30000, 90000, 89999, 3
                  +I 60000, 120000, 119999, 1
                2 rows
                watermark 290000
                  +I 90000, 150000, 149999, 2
                  +I 120000, 180000, 179999, 1
                1 row
                  late 5000, 8, window, 290000, 0, 60000, 230001, window_fired
                end
                  +I 270000, 330000, 329999, 1
                  +I 300000, 360000, 359999, 1
            "#]],
            _ => expect![[r#"
                3 rows
                watermark 70000
                  +I -30000, 30000, 29999, 1, 1
                  +I 0, 60000, 59999, 2, 1
                2 rows
                watermark 120000
                  +I 30000, 90000, 89999, 3, 2
                  +I 60000, 120000, 119999, 1, 3
                2 rows
                watermark 290000
                  +I 90000, 150000, 149999, 2, 5
                  +I 120000, 180000, 179999, 1, 5
                1 row
                  late 5000, 8, window, 290000, 0, 60000, 230001, window_fired
                end
                  +I 270000, 330000, 329999, 1, 7
                  +I 300000, 360000, 359999, 1, 7
            "#]],
        };
        let counters = check_operator(&[&assign, &local, &global], &input, Compare::Rows, EIGHT_ROWS, expected);
        assert_eq!(pairs(&counters), [16, 12, 2, 2]);
    }
}

#[test]
fn eight_rows_in_cumulating_windows() {
    let input = schema("ts TIME, id BIGINT, $watermark BIGINT");
    let window = WindowKind::Cumulate { step_ms: MINUTE / 2, size_ms: MINUTE, offset_ms: 0 };
    let (assign, local, global) = windowed(&input, window, &[], &["COUNT(*) n", "MIN(id) least"]);
    let counters = check_operator(
        &[&assign, &local, &global],
        &input,
        Compare::Rows,
        EIGHT_ROWS,
        expect![[r#"
            3 rows
            watermark 70000
              +I 0, 30000, 29999, 1, 1
              +I 0, 60000, 59999, 2, 1
            2 rows
              late 40000, 4, window, 70000, 0, 60000, 10001, window_fired
            watermark 120000
              +I 60000, 90000, 89999, 1, 3
              +I 60000, 120000, 119999, 1, 3
            2 rows
              late 110000, 6, window, 120000, 60000, 120000, 1, window_fired
            watermark 290000
              +I 120000, 150000, 149999, 1, 5
              +I 120000, 180000, 179999, 1, 5
            1 row
              late 5000, 8, window, 290000, 0, 60000, 230001, window_fired
            end
              +I 300000, 330000, 329999, 1, 7
              +I 300000, 360000, 359999, 1, 7
        "#]],
    );
    assert_eq!(pairs(&counters), [13, 9, 4, 0]);
}

/// Each key stands in every step from its first one on, until all begin anew at the end of the full window.
#[test]
fn two_keys_in_windows_that_cumulate() {
    let input = schema("ts TIME, k STRING, v BIGINT, $watermark BIGINT");
    let window = WindowKind::Cumulate { step_ms: 2, size_ms: 6, offset_ms: 1 };
    let (assign, local, global) = windowed(&input, window, &[1], &["SUM(v) s", "MAX(v) hi"]);
    let counters = check_operator(
        &[&assign, &local, &global],
        &input,
        Compare::Rows,
        "
        +I 1, a, 10, -9223372036854775808
        +I 4, b, 20, -9223372036854775808
        watermark 3
        +I 2, a, 40, 3
        +I 2, NULL, 3, 3
        +I 13, a, 1, 3
        watermark 5
        watermark 8
        +I 3, b, 2, 8
        watermark 16
        end",
        expect![[r#"
            2 rows
            watermark 3
              +I a, 1, 3, 2, 10, 10
            3 rows
            watermark 5
              +I a, 1, 5, 4, 50, 40
              +I NULL, 1, 5, 4, 3, 3
              +I b, 1, 5, 4, 20, 20
            watermark 8
              +I a, 1, 7, 6, 50, 40
              +I NULL, 1, 7, 6, 3, 3
              +I b, 1, 7, 6, 20, 20
            1 row
              late 3, b, 2, window, 8, 1, 7, 2, window_fired
            watermark 16
              +I a, 13, 15, 14, 1, 1
              +I a, 13, 17, 16, 1, 1
            end
              +I a, 13, 19, 18, 1, 1
        "#]],
    );
    // Both rows of 2 missed the step that ended at 3; the row of 3 missed both of its own.
    assert_eq!(pairs(&counters), [16, 12, 2, 2]);
}

#[test]
fn all_functions_by_key_with_nulls_and_a_filter() {
    let input = schema("ts TIME, k STRING, v INT, f BOOLEAN, $watermark BIGINT");
    let texts = ["COUNT(v) n", "SUM(v) FILTER f s", "AVG(v) a", "MIN(v) lo", "MAX(v) hi"];
    let window = WindowKind::Tumble { size_ms: 10, offset_ms: 3 };
    let (assign, local, global) = windowed(&input, window, &[1], &texts);
    check_operator(
        &[&assign, &local, &global],
        &input,
        Compare::Rows,
        "
        +I 4, a, 5, true, -9223372036854775808
        +I 4, NULL, NULL, true, -9223372036854775808
        +I 5, a, -2, false, -9223372036854775808
        +I -5, b, 2147483647, true, -9223372036854775808
        +I 12, a, 8, NULL, 1
        +I 13, '', 1, true, 1
        watermark 11
        +I 6, NULL, NULL, true, 11
        +I 12, NULL, 3, true, 11
        watermark 12
        end",
        expect![[r#"
            6 rows
            watermark 11
              +I b, -7, 3, 2, 1, 2147483647, 2147483647, 2147483647, 2147483647
            2 rows
            watermark 12
              +I a, 3, 13, 12, 3, 5, 3, -2, 8
              +I NULL, 3, 13, 12, 1, 3, 3, 3, 3
            end
              +I , 13, 23, 22, 1, 1, 1, 1, 1
        "#]],
    );
}

#[test]
fn two_keys_and_hops_of_many_panes() {
    let input = schema("ts TIME, a BIGINT, b INT, v BIGINT, $watermark BIGINT");
    let window = WindowKind::Hop { slide_ms: 2, size_ms: 10, offset_ms: 0 };
    let (assign, local, global) = windowed(&input, window, &[1, 2], &["SUM(v) s"]);
    check_operator(
        &[&assign, &local, &global],
        &input,
        Compare::Rows,
        "
        +I 0, 1, 1, 10, -9223372036854775808
        +I 3, 1, NULL, 20, -9223372036854775808
        watermark 3
        +I 1, 1, 1, 40, 3
        +I 30, 2, 2, 5, 3
        watermark 9
        watermark 20
        end",
        expect![[r#"
            2 rows
            watermark 3
              +I 1, 1, -8, 2, 1, 10
              +I 1, 1, -6, 4, 3, 10
              +I 1, NULL, -6, 4, 3, 20
            2 rows
            watermark 9
              +I 1, 1, -4, 6, 5, 50
              +I 1, NULL, -4, 6, 5, 20
              +I 1, 1, -2, 8, 7, 50
              +I 1, NULL, -2, 8, 7, 20
              +I 1, 1, 0, 10, 9, 50
              +I 1, NULL, 0, 10, 9, 20
            watermark 20
              +I 1, NULL, 2, 12, 11, 20
            end
              +I 2, 2, 22, 32, 31, 5
              +I 2, 2, 24, 34, 33, 5
              +I 2, 2, 26, 36, 35, 5
              +I 2, 2, 28, 38, 37, 5
              +I 2, 2, 30, 40, 39, 5
        "#]],
    );
}

#[test]
fn times_too_far_away_and_null_are_the_datas_fault() {
    let input = schema("ts TIME, id BIGINT, $watermark BIGINT");
    let window = WindowKind::Tumble { size_ms: MINUTE, offset_ms: 0 };
    let (assign, ..) = windowed(&input, window, &[], &["COUNT(*) n"]);
    let refuse = |time: Option<i64>| {
        let columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(arrow::array::TimestampMillisecondArray::from(vec![Some(0), time])),
            Arc::new(arrow::array::Int64Array::from(vec![1, 2])),
            Arc::new(arrow::array::Int64Array::from(vec![i64::MIN, i64::MAX])),
        ];
        let batch = arrow::array::RecordBatch::try_new(Arc::clone(&input), columns).unwrap();
        let mut cx = Context::new(ProcTime(0));
        assign.build(&BuildContext::only_task()).unwrap().on_rows(0, Changes::inserts(batch), &mut cx)
    };
    for time in [Some(i64::MIN), Some(i64::MAX), Some(i64::MAX - 5), None] {
        let error = refuse(time).unwrap_err();
        assert_eq!(error.blame(), crate::error::Blame::Data, "{error}");
        assert!(error.to_string().contains("column ts"), "{error}");
    }
    assert!(refuse(Some(-1)).is_ok());
}

#[test]
fn keys_that_hardly_repeat_pass_and_merge_to_the_same() {
    let input = schema("ts TIME, k BIGINT, $watermark BIGINT");
    let window = WindowKind::Tumble { size_ms: 1000, offset_ms: 0 };
    let (assign, local, global) = windowed(&input, window, &[1], &["COUNT(*) n"]);
    let mut operators = [
        assign.build(&BuildContext::only_task()).unwrap(),
        local.build(&BuildContext::only_task()).unwrap(),
        global.build(&BuildContext::only_task()).unwrap(),
    ];
    let (mut emitted, mut partials) = (std::collections::BTreeMap::new(), 0);
    for turn in 0..=40_i64 {
        let rows = 5000;
        let numbers = |value: &dyn Fn(i64) -> i64| (0..rows).map(value).collect::<Vec<_>>();
        let columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(arrow::array::TimestampMillisecondArray::from(numbers(&|row| row % 3000))),
            Arc::new(arrow::array::Int64Array::from(numbers(&|row| (turn % 20) * rows + row))),
            Arc::new(arrow::array::Int64Array::from(numbers(&|_| i64::MIN))),
        ];
        let mut flow = vec![Changes::inserts(arrow::array::RecordBatch::try_new(Arc::clone(&input), columns).unwrap())];
        for (index, operator) in operators.iter_mut().enumerate() {
            let mut cx = Context::new(ProcTime(0));
            for rows in flow {
                partials += if index == 2 { rows.len() } else { 0 };
                operator.on_rows(0, rows, &mut cx).map(drop).unwrap();
            }
            if turn == 40 {
                assert_eq!(operator.on_watermark(crate::stream::EventTime::END, &mut cx).unwrap(), Progress::Done);
            }
            flow = cx.take_out();
        }
        for out in flow {
            assert!(out.len() <= 8192);
            let (keys, counts) = (out.column(0).clone(), out.column(4).clone());
            for row in 0..out.len() {
                let value = |column| crate::state::integers(column).unwrap()[row];
                *emitted.entry(value(&keys)).or_insert(0) += value(&counts);
            }
        }
    }
    assert!(partials > 150_000, "most rows passed: {partials}");
    assert_eq!(emitted.len(), 100_000);
    assert!(emitted.iter().all(|(key, count)| *count == if *key < 5000 { 3 } else { 2 }));
}

#[test]
fn a_long_window_under_many_barriers_holds_a_few_runs() {
    let input = schema("ts TIME, k BIGINT, $watermark BIGINT");
    let window = WindowKind::Tumble { size_ms: 60 * MINUTE, offset_ms: 0 };
    let (assign, local, global) = windowed(&input, window, &[1], &["COUNT(*) n"]);
    let mut operators = [
        assign.build(&BuildContext::only_task()).unwrap(),
        local.build(&BuildContext::only_task()).unwrap(),
        global.build(&BuildContext::only_task()).unwrap(),
    ];
    let (mut saved, mut counts) = (0, Vec::new());
    for turn in 0..=200_i64 {
        let column = |value: &dyn Fn(i64) -> i64| (0..1000).map(value).collect::<Vec<i64>>();
        let columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(arrow::array::TimestampMillisecondArray::from(column(&|_| turn * 1000))),
            Arc::new(arrow::array::Int64Array::from(column(&|row| row))),
            Arc::new(arrow::array::Int64Array::from(column(&|_| i64::MIN))),
        ];
        let mut flow = vec![Changes::inserts(arrow::array::RecordBatch::try_new(Arc::clone(&input), columns).unwrap())];
        for operator in &mut operators {
            let mut cx = Context::new(ProcTime(0));
            flow.drain(..).for_each(|rows| operator.on_rows(0, rows, &mut cx).map(drop).unwrap());
            if turn == 200 {
                assert_eq!(operator.on_watermark(crate::stream::EventTime::END, &mut cx).unwrap(), Progress::Done);
            }
            assert_eq!(operator.flush(Flush::All, &mut cx).unwrap(), Progress::Done);
            flow = cx.take_out();
        }
        counts.extend(flow.iter().flat_map(|out| crate::state::integers(out.column(4)).unwrap().to_vec()));
        let snapshot = crate::state::snapshot(operators[2].state()).unwrap();
        saved += snapshot[0].1.puts.iter().map(|batch| batch.num_rows()).sum::<usize>();
        // A run of a thousand keys is 32 kB.
        let bytes: usize = operators[2].state().iter().map(|table| table.bytes()).sum();
        assert!(bytes < 20 * 32_000, "turn {turn}: {bytes} bytes");
    }
    assert_eq!(saved, 200_000, "an increment holds what came since the last barrier");
    assert_eq!(counts, vec![201; 1000]);
}

/// What a restart reads, anybody may read: names say what a column is.
#[test]
fn columns_of_state_files_have_names() {
    let input = schema("ts TIME, count BIGINT, v INT, $watermark BIGINT");
    let window = WindowKind::Hop { slide_ms: 2, size_ms: 10, offset_ms: 0 };
    let names = |spec: &dyn OperatorSpec| {
        let mut operator = spec.build(&BuildContext::only_task()).unwrap();
        let specs: Vec<_> = operator.state().iter().map(|table| table.spec()).collect();
        let fields = specs.iter().flat_map(|spec| spec.schema.fields().iter());
        fields.map(|field| field.name().as_str()).collect::<Vec<_>>().join(" ")
    };
    let (.., global) = windowed(&input, window, &[1], &["COUNT(*) COUNT(*)", "AVG(v) AVG(v)"]);
    let firing = "of_group window_end through_hash passed_on";
    assert_eq!(names(&global), format!("pane_start counted_from count count_ sum_v count_v {firing}"));
    let (_, global) = grouped(&schema("k STRING, v INT"), &[0], &["SUM(v) s", "MAX(v) hi"], true);
    assert_eq!(names(&global), "k rows sum_s count_s k value weight");
}

#[test]
fn values_keep_the_order_of_their_rows_within_a_pane_and_panes_that_of_time() {
    let input = schema("ts TIME, k BIGINT, s STRING, $watermark BIGINT");
    let hop = WindowKind::Hop { slide_ms: 10, size_ms: 20, offset_ms: 0 };
    let (assign, local, global) =
        windowed(&input, hop, &[1], &["LISTAGG(s) l", "LISTAGG(DISTINCT s) d", "LAST_VALUE(s) e"]);
    check_operator(
        &[&assign, &local, &global],
        &input,
        Compare::Changes,
        "
        +I 1, 1, c, -9223372036854775808
        +I 12, 1, b, 1
        +I 3, 1, c, 2
        +I 2, 2, x, 2
        watermark 2
        +I 14, 1, a, 3
        +I 4, 1, a, 4
        watermark 5
        +I 5, 1, z, 5
        +I 11, 1, b, 5
        watermark 20
        +I 21, 1, q, 20
        end",
        expect![[r#"
            4 rows
            watermark 2
            2 rows
            watermark 5
            2 rows
            watermark 20
              +I 1, -10, 10, 9, c,c,a,z, c,a,z, z
              +I 2, -10, 10, 9, x, x, x
              +I 1, 0, 20, 19, c,c,a,z,b,a,b, c,a,z,b, b
              +I 2, 0, 20, 19, x, x, x
            1 row
            end
              +I 1, 10, 30, 29, b,a,b,q, b,a,q, q
              +I 1, 20, 40, 39, q, q, q
        "#]],
    );
}
