//! Sessions by script, and against a naive model.

use std::collections::{BTreeMap, BTreeSet};

use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::operators::testing::{Compare, check_operator, run_all_ways};
use crate::stream::{Counter, Counters, Zone};

/// Sessions of the rows of `input`, which begins with the time and ends with `$watermark`.
fn sessions(input: &SchemaRef, gap_ms: i64, keys: &[usize], texts: &[&str]) -> SessionAggregateSpec {
    let calls = calls(input, texts);
    let fields: Vec<Field> = keys.iter().map(|index| input.field(*index).clone()).collect();
    let time = |name| Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, None), false);
    SessionAggregateSpec {
        rows: rows_of(input, gap_ms, keys),
        output: output(&fields, &["window_start", "window_end", "window_time"].map(time), &calls),
        calls,
        query: String::new(),
    }
}

fn rows_of(input: &SchemaRef, gap_ms: i64, keys: &[usize]) -> SessionInput {
    let watermark = input.fields().len() - 1;
    SessionInput {
        zone: Zone::UTC,
        columns: Arc::clone(input),
        keys: keys.to_vec(),
        time: 0,
        watermark,
        gap_ms,
        operator: "session".into(),
        late_columns: (0..watermark).collect(),
        by_clock: false,
    }
}

/// The rows of `input` with the bounds of their sessions.
fn bare(input: &SchemaRef, gap_ms: i64, keys: &[usize]) -> SessionRowsSpec {
    let time = |name: &str| Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, None), false);
    let fields = input.fields().iter().map(|field| field.as_ref().clone());
    let bounds = ["window_start", "window_end", "window_time"].map(time);
    SessionRowsSpec {
        rows: rows_of(input, gap_ms, keys),
        kept: (0..input.fields().len()).collect(),
        query: String::new(),
        output: Arc::new(Schema::new(fields.chain(bounds).collect::<Vec<_>>())),
    }
}

fn pairs(counters: &Counters) -> [u64; 3] {
    use Counter::*;
    [WindowPairsAssigned, WindowPairsCounted, WindowPairsLate].map(|it| counters.get(it))
}

#[test]
fn sessions_grow_become_one_and_leave() {
    let input = schema("ts TIME, k STRING, v BIGINT, $watermark BIGINT");
    let spec = sessions(&input, 10, &[1], &["COUNT(*) n", "SUM(v) s", "MIN(v) lo"]);
    let counters = check_operator(
        &[&spec],
        &input,
        Compare::Rows,
        "
        +I 0, a, 1, -9223372036854775808
        +I 21, a, 2, -9223372036854775808
        +I 5, NULL, 3, -9223372036854775808
        +I 40, b, NULL, -9223372036854775808
        watermark 8
        +I 10, a, 4, 8
        +I 19, a, 8, 8
        +I -2, b, 16, 8
        watermark 14
        +I 60, a, 32, 20
        +I 60, c, 64, 20
        watermark 30
        +I 25, c, 128, 30
        +I 20, c, 256, 30
        end",
        expect![[r#"
            4 rows
            watermark 8
            3 rows
              late -2, b, 16, session, 8, -2, 8, 1, window_fired
            watermark 14
              +I NULL, 5, 15, 14, 1, 3, 3
            2 rows
            watermark 30
              +I a, 0, 31, 30, 4, 15, 1
            2 rows
            end
              +I c, 20, 35, 34, 2, 384, 128
              +I b, 40, 50, 49, 1, NULL, NULL
              +I c, 60, 70, 69, 1, 64, 64
              +I a, 60, 70, 69, 1, 32, 32
        "#]],
    );
    // The last row would be late alone, but touches a session that is open.
    assert_eq!(pairs(&counters), [11, 10, 1]);
}

/// Rows that are alike leave as often as they came; a row of a later session of the key stays.
#[test]
fn rows_leave_with_the_bounds_of_their_session() {
    let input = schema("ts TIME, k STRING, v BIGINT, $watermark BIGINT");
    let spec = bare(&input, 10, &[1]);
    let counters = check_operator(
        &[&spec],
        &input,
        Compare::Rows,
        "
        +I 0, a, 1, -9223372036854775808
        +I 5, a, NULL, -9223372036854775808
        +I 0, a, 1, -9223372036854775808
        +I 30, a, 2, -9223372036854775808
        +I 3, NULL, 3, -9223372036854775808
        watermark 12
        +I 16, a, 4, 12
        +I -5, b, 5, 12
        watermark 30
        end",
        expect![[r#"
            5 rows
            watermark 12
              +I 3, NULL, 3, -9223372036854775808, 3, 13, 12
            2 rows
              late -5, b, 5, session, 12, -5, 5, 8, window_fired
            watermark 30
              +I 0, a, 1, -9223372036854775808, 0, 15, 14
              +I 0, a, 1, -9223372036854775808, 0, 15, 14
              +I 5, a, NULL, -9223372036854775808, 0, 15, 14
              +I 16, a, 4, -9223372036854775808, 16, 26, 25
            end
              +I 30, a, 2, -9223372036854775808, 30, 40, 39
        "#]],
    );
    assert_eq!(pairs(&counters), [7, 6, 1]);
    // Without keys there is one list of sessions.
    let script = "
        +I 0, a, 1, -9223372036854775808
        watermark 12
        +I -5, b, 5, 12
        +I 13, a, 2, 12
        watermark 30
        +I 40, a, 2, 12
        end";
    let rows = run_all_ways(&[&bare(&input, 10, &[])], &input, Compare::Rows, script).concat();
    let bounds: Vec<&str> = rows.iter().filter_map(|row| row.split_once("808, ").map(|(_, bounds)| bounds)).collect();
    assert_eq!(bounds, ["0, 10, 9", "13, 23, 22", "40, 50, 49"]);
}

/// One that is closed to a row and has not left may begin when the row's own does. Each keeps its rows, behind a restart too.
#[test]
fn two_sessions_of_a_key_may_begin_at_one_time() {
    let input = schema("ts TIME, k STRING, v BIGINT, $watermark BIGINT");
    let script = "
        +I 15, a, 1, -9223372036854775808
        +I 16, a, 2, 22
        +I 15, a, 4, 22
        watermark 22
        end";
    let spec = sessions(&input, 8, &[1], &["COUNT(*) n", "SUM(v) s"]);
    let found = run_all_ways(&[&spec], &input, Compare::Rows, script).concat();
    assert_eq!(found, ["+I a, 15, 23, 22, 1, 1", "+I a, 15, 24, 23, 2, 6"]);
    let rows = run_all_ways(&[&bare(&input, 8, &[1])], &input, Compare::Rows, script).concat();
    assert_eq!(
        rows,
        [
            "+I 15, a, 1, -9223372036854775808, 15, 23, 22",
            "+I 15, a, 4, -9223372036854775808, 15, 24, 23",
            "+I 16, a, 2, -9223372036854775808, 15, 24, 23",
        ]
    );
}

/// N25: a session that is closed by the watermark which a row met takes it no more, whether it has left or not.
#[test]
fn a_row_at_the_end_of_a_closed_session_opens_a_new_one() {
    let input = schema("ts TIME, id BIGINT, $watermark BIGINT");
    let spec = sessions(&input, 10, &[], &["COUNT(*) n", "SUM(id) ids"]);
    let counters = check_operator(
        &[&spec],
        &input,
        Compare::Rows,
        "
        +I 0, 1, -9223372036854775808
        +I 10, 2, 8
        +I 20, 4, 19
        +I 11, 8, 19
        +I 10, 16, 19
        watermark 19
        +I 29, 32, 28
        watermark 38
        end",
        expect![[r#"
            5 rows
            watermark 19
              +I 0, 20, 19, 2, 3
            1 row
            watermark 38
              +I 10, 39, 38, 4, 60
            end
        "#]],
    );
    assert_eq!(pairs(&counters), [6, 6, 0]);
}

/// Time, key, value of a row.
type Row = (i64, i64, i64);

/// Number and sum of the rows of a session, by key, start and end.
type Sessions = BTreeMap<(i64, i64, i64), (i64, i64)>;

/// Sessions of one split, and the number of late rows.
fn model(rows: &[Row], gap: i64, delay: i64) -> (Sessions, usize) {
    /// Start, end, number, sum.
    type Open = Vec<(i64, i64, i64, i64)>;
    let (mut open, mut closed, mut late) = (BTreeMap::<i64, Open>::new(), Sessions::new(), 0);
    let mut watermark = i64::MIN;
    let mut close = |open: &mut BTreeMap<i64, Open>, watermark: i64| {
        for (key, sessions) in open {
            for (start, end, number, sum) in sessions.extract_if(.., |session| session.1 - 1 <= watermark) {
                assert_eq!(closed.insert((*key, start, end), (number, sum)), None, "a session leaves once");
            }
        }
    };
    for (time, key, value) in rows {
        close(&mut open, watermark);
        let sessions = open.entry(*key).or_default();
        let mut merged = (*time, time + gap, 1, *value);
        let touching = sessions.extract_if(.., |session| session.0 <= time + gap && session.1 >= *time);
        let mut touches = false;
        for (start, end, number, sum) in touching {
            touches = true;
            merged = (merged.0.min(start), merged.1.max(end), merged.2 + number, merged.3 + sum);
        }
        match touches || merged.1 - 1 > watermark {
            true => sessions.push(merged),
            false => late += 1,
        }
        watermark = watermark.max(time - delay);
    }
    close(&mut open, i64::MAX);
    (closed, late)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 25, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sessions_are_those_of_a_naive_model(
        rows in prop::collection::vec((0_i64..80, 0_i64..3, -9_i64..10, 0_u8..4), 1..40),
        gap in 1_i64..12,
        delay in 0_i64..10,
    ) {
        // Times wander upwards, with steps back.
        let rows: Vec<(Row, u8)> = rows
            .into_iter()
            .enumerate()
            .map(|(index, (time, key, value, event))| ((time / 4 + index as i64 * 3, key, value), event))
            .collect();
        let plain: Vec<Row> = rows.iter().map(|(row, _)| *row).collect();
        let (wanted, late) = model(&plain, gap, delay);
        let input = schema("ts TIME, k BIGINT, v BIGINT, $watermark BIGINT");
        let spec = sessions(&input, gap, &[1], &["COUNT(*) n", "SUM(v) s", "COUNT(DISTINCT v) d"]);
        let mut script = String::new();
        let mut watermark = i64::MIN;
        for ((time, key, value), event) in &rows {
            script += &format!("+I {time}, {key}, {value}, {watermark}\n");
            watermark = watermark.max(time - delay);
            if *event == 0 {
                script += &format!("watermark {watermark}\n");
            }
        }
        script += "end";
        let mut found: Vec<String> = run_all_ways(&[&spec], &input, Compare::Rows, &script).concat();
        // Without an aggregation all rows that are not late leave, each once.
        let rows_out = run_all_ways(&[&bare(&input, gap, &[1])], &input, Compare::Rows, &script).concat();
        let (mut added, mut different) = (Sessions::new(), BTreeMap::<_, BTreeSet<i64>>::new());
        for row in &rows_out {
            let numbers: Vec<i64> = row[3..].split(", ").map(|number| number.parse().unwrap()).collect();
            let session = (numbers[1], numbers[4], numbers[5]);
            different.entry(session).or_default().insert(numbers[2]);
            let of_session = added.entry(session).or_default();
            *of_session = (of_session.0 + 1, of_session.1 + numbers[2]);
        }
        prop_assert_eq!(&added, &wanted, "{}", script);
        prop_assert_eq!(rows_out.len() + late, rows.len());
        let text = |((key, start, end), (number, sum)): (&(i64, i64, i64), &(i64, i64))| {
            let different = different[&(*key, *start, *end)].len();
            format!("+I {key}, {start}, {end}, {}, {number}, {sum}, {different}", end - 1)
        };
        let mut wanted: Vec<String> = wanted.iter().map(text).collect();
        wanted.sort();
        found.sort();
        prop_assert_eq!(found, wanted, "{} late rows, of\n{}", late, script);
    }
}
