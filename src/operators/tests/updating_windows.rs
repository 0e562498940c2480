//! Windows whose results change, by script: early, late, over rows that are taken back, and closed once.

use expect_test::expect;

use super::*;
use crate::operators::testing::{Compare, check_operator};
use crate::stream::{Counter, Zone};

const WINDOW: WindowKind = WindowKind::Tumble { size_ms: 100, offset_ms: 0 };

/// The operators of such windows over `ts`, further columns and `$watermark`, as they are put together behind each other.
struct Windows {
    assign: WindowAssignSpec,
    spread: WindowSpreadSpec,
    local: GroupLocalSpec,
    emit: Option<WindowEmitSpec>,
    groups: GroupAggregateSpec,
}

impl Windows {
    fn new(
        input: &SchemaRef,
        window: WindowKind,
        keys: &[usize],
        texts: &[&str],
        emission: Option<Emission>,
        retract: bool,
    ) -> Self {
        let lateness_ms = emission.map_or(0, |emission| emission.lateness_ms);
        let (assign, ..) = windowed(input, window, keys, texts);
        let assign = WindowAssignSpec { lateness_ms, ..assign };
        let assigned = assign.output();
        let columns = assigned.fields().len();
        let (pane, open_from) = (columns - 2, columns - 1);
        let spread = WindowSpreadSpec { input: assigned, pane, open_from, window };
        let keys: Vec<usize> = keys.iter().copied().chain([columns]).collect();
        let (local, groups) = grouped(&spread.output(), &keys, texts, retract);
        let local = GroupLocalSpec { holding: Holding::UntilWatermark, ..local };
        let results = if emission.is_some() { WindowResults::Updates } else { WindowResults::Final };
        let groups =
            GroupAggregateSpec { forgetting: Forgetting::Window { lateness_ms, results, zone: Zone::UTC }, ..groups };
        let emit = emission.map(|emission| WindowEmitSpec {
            input: Arc::clone(&groups.input),
            keys: groups.keys,
            calls: groups.calls.clone(),
            retract,
            window,
            zone: Zone::UTC,
            emission,
            query: String::new(),
        });
        Self { assign, spread, local, emit, groups }
    }

    fn chain(&self) -> Vec<&dyn OperatorSpec> {
        let emit = self.emit.as_ref().map(|emit| emit as &dyn OperatorSpec);
        let head: [&dyn OperatorSpec; 3] = [&self.assign, &self.spread, &self.local];
        head.into_iter().chain(emit).chain([&self.groups as &dyn OperatorSpec]).collect()
    }
}

#[test]
fn early_results_come_with_the_rows_and_are_corrected() {
    let input = schema("ts TIME, k STRING, v BIGINT, $watermark BIGINT");
    let emission = Emission { early_ms: Some(0), late_ms: None, lateness_ms: 0 };
    let windows = Windows::new(&input, WINDOW, &[1], &["COUNT(*) n", "SUM(v) s"], Some(emission), false);
    check_operator(
        &windows.chain(),
        &input,
        Compare::Changes,
        "
        +I 10, a, 1, -9223372036854775808
        watermark 5
        +I 20, a, 2, 5
        +I 110, NULL, 3, 10
        watermark 99
        +I 30, a, 4, 99
        +I 120, NULL, 5, 99
        end",
        expect![[r#"
            1 row
              +I a, 100, 1, 1
            watermark 5
            2 rows
              -U a, 100, 1, 1
              +U a, 100, 2, 3
              +I NULL, 200, 1, 3
            watermark 99
            2 rows
              -U NULL, 200, 1, 3
              +U NULL, 200, 2, 8
              late 30, a, 4, window, 99, 0, 100, 0, window_fired
            end
        "#]],
    );
}

#[test]
fn late_rows_correct_what_has_left_until_the_window_closes() {
    let input = schema("ts TIME, v BIGINT, $watermark BIGINT");
    let emission = Emission { early_ms: None, late_ms: Some(0), lateness_ms: 50 };
    let texts = &["COUNT(*) n", "MIN(v) least", "COUNT(DISTINCT v) different"];
    let windows = Windows::new(&input, WINDOW, &[], texts, Some(emission), false);
    let counters = check_operator(
        &windows.chain(),
        &input,
        Compare::Changes,
        "
        +I 10, 7, -9223372036854775808
        +I 20, 8, 10
        watermark 99
        +I 30, 7, 99
        +I 40, 1, 99
        watermark 148
        +I 50, 9, 148
        watermark 149
        +I 60, 1, 149
        +I 160, 1, 149
        end",
        expect![[r#"
            2 rows
            watermark 99
              +I 100, 2, 7, 2
            2 rows
              -U 100, 2, 7, 2
              +U 100, 4, 1, 3
            watermark 148
            1 row
              -U 100, 4, 1, 3
              +U 100, 5, 1, 4
            watermark 149
            2 rows
              late 60, 1, window, 149, 0, 100, 50, window_fired
            end
              +I 200, 1, 1, 1
        "#]],
    );
    assert_eq!(counters.get(Counter::NumLateRecordsDropped), 1);
}

#[test]
fn what_waits_leaves_with_the_clock_or_with_its_window() {
    let input = schema("ts TIME, v BIGINT, $watermark BIGINT");
    let emission = Emission { early_ms: Some(1_000), late_ms: Some(2_000), lateness_ms: 1_000 };
    let window = WindowKind::Hop { slide_ms: 50, size_ms: 100, offset_ms: 0 };
    let windows = Windows::new(&input, window, &[], &["COUNT(*) n", "SUM(v) s"], Some(emission), false);
    check_operator(
        &windows.chain(),
        &input,
        Compare::Changes,
        "
        +I 10, 1, -9223372036854775808
        tick 999
        +I 60, 2, 10
        tick 1000
        +I 70, 3, 10
        tick 1500
        watermark 99
        +I 20, 4, 99
        +I 110, 5, 99
        tick 3000
        tick 3500
        +I 30, 6, 99
        watermark 1200
        end",
        expect![[r#"
            1 row
            tick 999
            1 row
            tick 1000
              +I 50, 1, 1
              +I 100, 2, 3
              +I 150, 1, 2
            1 row
            tick 1500
            watermark 99
              -U 100, 2, 3
              +U 100, 3, 6
            2 rows
            tick 3000
              -U 150, 1, 2
              +U 150, 3, 10
              +I 200, 1, 5
            tick 3500
              -U 50, 1, 1
              +U 50, 2, 5
              -U 100, 3, 6
              +U 100, 4, 10
            1 row
            watermark 1200
              -U 50, 2, 5
              +U 50, 3, 11
              -U 100, 4, 10
              +U 100, 5, 16
            end
        "#]],
    );
}

/// Taken back in its window a row leaves no trace; a window of which nothing is left is taken back itself.
#[test]
fn rows_that_are_taken_back_are_corrected_early_and_missing_at_the_end() {
    let input = schema("ts TIME, k STRING, v BIGINT, $watermark BIGINT");
    let script = "
        +I 10, a, 1, -9223372036854775808
        +I 20, a, 5, 10
        +I 30, b, 2, 10
        watermark 40
        -U 20, a, 5, 40
        +U 120, a, 6, 40
        -D 30, b, 2, 40
        watermark 99
        -D 10, a, 1, 99
        -D 120, a, 6, 99
        end";
    let texts = &["COUNT(*) n", "MAX(v) most", "COUNT(DISTINCT v) different"];
    let early = Emission { early_ms: Some(0), late_ms: None, lateness_ms: 0 };
    for (emission, expected) in [
        (
            Some(early),
            expect![[r#"
        3 rows
          +I a, 100, 2, 5, 2
          +I b, 100, 1, 2, 1
        watermark 40
        3 rows
          -U a, 100, 2, 5, 2
          +U a, 100, 1, 1, 1
          +I a, 200, 1, 6, 1
          -D b, 100, 1, 2, 1
        watermark 99
        2 rows
          -D a, 200, 1, 6, 1
          late 10, a, 1, window, 99, 0, 100, 0, window_fired
        end
    "#]],
        ),
        (
            None,
            expect![[r#"
        3 rows
        watermark 40
        3 rows
        watermark 99
          +I a, 100, 1, 1, 1
        2 rows
          late 10, a, 1, window, 99, 0, 100, 0, window_fired
        end
    "#]],
        ),
    ] {
        let windows = Windows::new(&input, WINDOW, &[1], texts, emission, true);
        let counters = check_operator(&windows.chain(), &input, Compare::Changes, script, expected);
        assert_eq!(counters.get(Counter::NumLateRecordsDropped), 1);
    }
}
