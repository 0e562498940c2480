//! The updating GROUP BY against a naive model: random rows that come and go again, run in all ways of the driver.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::operators::testing::{Compare, run_all_ways};

/// A row by key and value.
type Row = (u8, Option<i8>);

/// Rows come, rows that are there go, and now and then a step ends.
fn script(choices: &[(u8, u8, Option<i8>)]) -> (String, Vec<Vec<Row>>) {
    let (mut text, mut there, mut steps) = (String::new(), Vec::<Row>::new(), Vec::new());
    let line = |kind: &str, (key, value): Row| {
        let positive = value.is_some_and(|value| value > 0);
        let value = value.map_or("NULL".to_owned(), |value| value.to_string());
        format!("{kind} {key}, {value}, {positive}\n")
    };
    for (choice, key, value) in choices {
        match choice % 8 {
            0 => {
                if !text.is_empty() && !text.ends_with("watermark 1\n") {
                    steps.push(there.clone());
                }
                text.push_str("watermark 1\n");
                steps.push(there.clone());
            }
            1..=3 if !there.is_empty() => {
                let gone = there[usize::from(*key) * 7 % there.len()];
                // Of rows that are alike the oldest goes.
                let oldest = there.iter().position(|row| *row == gone).unwrap_or_default();
                there.remove(oldest);
                text.push_str(&line(if choice % 2 == 0 { "-U" } else { "-D" }, gone));
            }
            _ => {
                let row = (key % 3, value.map(|value| value % 5));
                there.push(row);
                text.push_str(&line(if choice % 2 == 0 { "+U" } else { "+I" }, row));
            }
        }
    }
    if !text.is_empty() && !text.ends_with("watermark 1\n") {
        steps.push(there.clone());
    }
    (text, steps)
}

fn model(rows: &[Row]) -> Vec<String> {
    let mut groups: BTreeMap<u8, Vec<Option<i8>>> = BTreeMap::new();
    rows.iter().for_each(|(key, value)| groups.entry(*key).or_default().push(*value));
    let text = |(key, values): (&u8, &Vec<Option<i8>>)| {
        let present: Vec<i64> = values.iter().flatten().map(|value| i64::from(*value)).collect();
        let or_null = |value: Option<i64>| value.map_or("NULL".to_owned(), |value| value.to_string());
        let sum = (!present.is_empty()).then(|| present.iter().sum::<i64>());
        let average = sum.map(|sum| sum / present.len() as i64);
        let (least, greatest) = (present.iter().min().copied(), present.iter().max().copied());
        let different: std::collections::BTreeSet<i64> = present.iter().copied().collect();
        let positive = || different.iter().filter(|value| **value > 0);
        let of_different = (positive().count() > 0).then(|| positive().sum());
        let count = Some(different.len() as i64);
        let (first, last) = (present.first().copied(), present.last().copied());
        let numbers = [Some(values.len() as i64), sum, average, least, greatest, count, of_different, first, last];
        let all: Vec<String> =
            values.iter().map(|value| value.map_or(String::new(), |value| value.to_string())).collect();
        format!("{key}, {}, [{}]", numbers.map(or_null).join(", "), all.join(", "))
    };
    groups.iter().map(text).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_and_goes_adds_up(
        choices in prop::collection::vec((any::<u8>(), any::<u8>(), any::<Option<i8>>()), 0..60),
    ) {
        let input = schema("k BIGINT, v BIGINT, p BOOLEAN");
        let different = ["COUNT(DISTINCT v) d", "SUM(DISTINCT v) FILTER p e"];
        let by_order = ["FIRST_VALUE(v) f", "LAST_VALUE(v) l", "ARRAY_AGG(v) g"];
        let sums = ["COUNT(*) n", "SUM(v) s", "AVG(v) a", "MIN(v) lo", "MAX(v) hi"];
        let calls = [&sums[..], &different, &by_order].concat();
        let (local, global) = grouped(&input, &[0], &calls, true);
        let (script, steps) = script(&choices);
        let found = run_all_ways(&[&local, &global], &input, Compare::Changes, &script);
        prop_assert_eq!(found.len(), steps.len());
        for (found, rows) in found.iter().zip(&steps) {
            prop_assert_eq!(found, &model(rows), "{}", script);
        }
    }
}
