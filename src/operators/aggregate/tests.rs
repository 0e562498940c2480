//! Each function and type against Flink's rules, raw, merged, taken away and filtered.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array,
    StringArray, TimestampMillisecondArray,
};
use arrow::util::display::array_value_to_string;

use super::*;

/// The result for all rows in one slot: computed at once; from two halves merged; and, where rows can be taken back,
/// after adding everything once more and taking it away again.
fn result(function: AggregateFunction, values: ArrayRef, filter: Option<Vec<Option<bool>>>) -> String {
    result_of(function, false, values, filter)
}

fn result_of(
    function: AggregateFunction,
    distinct: bool,
    values: ArrayRef,
    filter: Option<Vec<Option<bool>>>,
) -> String {
    let rows = values.len();
    let input_type = values.data_type().clone();
    let filter: ArrayRef = Arc::new(BooleanArray::from(filter.clone().unwrap_or(vec![Some(true); rows])));
    let batch = RecordBatch::try_from_iter([("v", values), ("f", filter)]).unwrap();
    let output = Field::new("r", function.output_type(Some(&input_type)).unwrap(), true);
    let call = AggregateCall::new(function, Some(0), input_type, output);
    let calls = [AggregateCall { distinct, filter: Some(1), ..call }];

    let show = |states: &Aggregates| {
        let column = &states.evaluate(None).unwrap()[0];
        assert_eq!(column.data_type(), calls[0].output.data_type());
        assert_eq!(column, &states.evaluate(Some(&[0])).unwrap()[0]);
        if column.is_null(0) { "NULL".to_owned() } else { array_value_to_string(column, 0).unwrap() }
    };
    let whole = |batch: &RecordBatch| {
        let mut states = Aggregates::new(&calls).unwrap();
        states.resize(1);
        states.update(&vec![0; batch.num_rows()], batch, None).unwrap();
        states
    };
    let mut states = whole(&batch);
    let shown = show(&states);

    let mut merged = Aggregates::new(&calls).unwrap();
    merged.resize(1);
    for (offset, length) in [(0, rows / 2), (rows / 2, rows - rows / 2)] {
        let half = batch.slice(offset, length);
        let partial = whole(&half).gather(&[0]).unwrap();
        merged.merge(&[0], &partial).unwrap();
        let taken = whole(&half).take().unwrap();
        if !distinct {
            assert_eq!(partial, taken);
        }
        let mut from_taken = Aggregates::new(&calls).unwrap();
        from_taken.resize(1);
        from_taken.merge(&[0], &taken).unwrap();
        assert_eq!(show(&from_taken), show(&whole(&half)), "moved out");
    }
    assert_eq!(show(&merged), shown, "merged");
    let singles = Aggregates::each(&calls, &batch, None).unwrap();
    let mut single = Aggregates::new(&calls).unwrap();
    single.resize(1);
    single.merge(&vec![0; rows], &singles).unwrap();
    assert_eq!(show(&single), shown, "one state a row");

    if !function.is_extreme() && !distinct {
        states.update(&vec![0; rows], &batch, None).unwrap();
        states.update(&vec![0; rows], &batch, Some(&vec![-1; rows])).unwrap();
        assert_eq!(show(&states), shown, "taken back");
    }
    if states.invertible() {
        states.merge(&vec![0; rows], &singles).unwrap();
        states.unmerge(&vec![0; rows], &singles).unwrap();
        assert_eq!(show(&states), shown, "unmerged");
    }
    states.clear(&[0]);
    assert_eq!(show(&states), if function == AggregateFunction::Count { "0" } else { "NULL" });
    shown
}

fn all(values: impl Into<Vec<Option<i64>>>) -> ArrayRef {
    Arc::new(Int64Array::from(values.into()))
}

use AggregateFunction::{Avg, Count, Deviation, Max, Min, Sum, Variance};

#[test]
fn integers_wrap_and_averages_are_cut_off() {
    let ints = |values: &[i32]| Arc::new(Int32Array::from(values.to_vec())) as ArrayRef;
    assert_eq!(result(Sum, ints(&[i32::MAX, i32::MAX]), None), "-2");
    assert_eq!(result(Avg, ints(&[1, 2]), None), "1");
    assert_eq!(result(Avg, ints(&[-1, -2]), None), "-1");
    assert_eq!(result(Avg, ints(&[i32::MAX, i32::MAX]), None), i32::MAX.to_string());
    assert_eq!(result(Sum, Arc::new(Int8Array::from(vec![100, 100])), None), "-56");
    assert_eq!(result(Sum, all([Some(i64::MAX), Some(1), None]), None), i64::MIN.to_string());
    assert_eq!((result(Min, ints(&[3, -5, 4]), None), result(Max, ints(&[3, -5, 4]), None)), ("-5".into(), "4".into()));
}

#[test]
fn nothing_is_null_but_a_count_is_not() {
    for values in [all([None, None]), Arc::new(Int64Array::from(Vec::<i64>::new()))] {
        let results = [Count, Sum, Avg, Min, Max].map(|function| result(function, Arc::clone(&values), None));
        assert_eq!(results, ["0", "NULL", "NULL", "NULL", "NULL"]);
    }
}

#[test]
fn filters_let_only_true_through() {
    let values = all([Some(1), Some(10), Some(100), None, Some(1000)]);
    let filter = Some(vec![Some(true), Some(false), None, Some(true), Some(true)]);
    let results = [Count, Sum, Avg, Min, Max].map(|function| result(function, Arc::clone(&values), filter.clone()));
    assert_eq!(results, ["2", "1001", "500", "1", "1000"]);
}

#[test]
fn floats_are_compensated() {
    let reals = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
    assert_eq!(result(Sum, reals(&[1e100, 1.0, -1e100, 1.0]), None), "2.0");
    assert_eq!(result(Avg, reals(&[1.0, 2.0]), None), "1.5");
    assert_eq!(result(Max, reals(&[1.0, f64::INFINITY, 2.0]), None), "inf");
    assert_eq!(result(Sum, Arc::new(Float32Array::from(vec![1.5_f32, 2.25])), None), "3.75");
    let mut states = Aggregates::new(&[AggregateCall::new(
        Sum,
        Some(0),
        DataType::Float64,
        Field::new("s", DataType::Float64, true),
    )])
    .unwrap();
    states.resize(1);
    let batch = RecordBatch::try_from_iter([("v", reals(&[f64::INFINITY, 1.0]))]).unwrap();
    states.update(&[0, 0], &batch, None).unwrap();
    assert_eq!(array_value_to_string(&states.evaluate(None).unwrap()[0], 0).unwrap(), "inf");
}

fn decimals(values: &[i128], precision: u8, scale: i8) -> ArrayRef {
    let array = Decimal128Array::from(values.to_vec()).with_precision_and_scale(precision, scale).unwrap();
    Arc::new(array)
}

#[test]
fn decimals_keep_the_scale_of_a_sum_and_round_an_average() {
    assert_eq!(result(Sum, decimals(&[150, 275], 5, 2), None), "4.25");
    assert_eq!(result(Avg, decimals(&[100, 100, 200], 5, 2), None), "1.333333");
    assert_eq!(result(Avg, decimals(&[-100, -200, -200], 5, 2), None), "-1.666667");
    assert_eq!(result(Max, decimals(&[-100, 7], 5, 2), None), "0.07");
}

#[test]
fn decimal_sums_are_exact_however_far_they_go() {
    let greatest = 10_i128.pow(38) - 1;
    let both = |values: &[i128]| [Sum, Avg].map(|function| result(function, decimals(values, 38, 0), None));
    assert_eq!(both(&[greatest, 1]), ["NULL", "NULL"], "39 digits");
    assert_eq!(both(&[-greatest; 7]), ["NULL", "NULL"], "more than 128 bits");
    assert_eq!(both(&[greatest, greatest, greatest, greatest, 6, -greatest, -greatest, -greatest, -greatest])[0], "6");
    assert_eq!(both(&[-greatest, -greatest, 3, -greatest, greatest, greatest, greatest]), ["3", "0.428571"]);
    let all = [greatest, -greatest, greatest, greatest, 5, greatest, -greatest, -greatest, -greatest];
    for cut in 0..all.len() {
        let turned = [&all[cut..], &all[..cut]].concat();
        assert_eq!(both(&turned), ["5", "0.555556"], "{turned:?}");
    }
}

#[test]
fn texts_and_times_have_extremes() {
    let texts = Arc::new(StringArray::from(vec![Some("b"), None, Some("abc"), Some("ä")])) as ArrayRef;
    assert_eq!((result(Min, Arc::clone(&texts), None), result(Max, texts, None)), ("abc".into(), "ä".into()));
    let times = Arc::new(TimestampMillisecondArray::from(vec![5, -5, 0]).with_timezone("UTC")) as ArrayRef;
    assert_eq!(result(Min, times, None), "1969-12-31T23:59:59.995Z");
}

#[test]
fn variances_keep_their_digits_and_the_type_of_the_argument() {
    let variance = |sample, values: ArrayRef| result(Variance { sample }, values, None);
    let reals = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
    assert_eq!(variance(false, reals(&[1.5, 2.5, 2.5, -0.0])), "1.046875");
    assert_eq!(result(Deviation { sample: true }, reals(&[1.5, 2.5, 2.5, -0.0]), None), "1.181453906563152");
    assert_eq!(variance(false, Arc::new(Int32Array::from(vec![1, 2, 2, 5]))), "2");
    assert_eq!(variance(false, all([Some(10), Some(20), Some(20), Some(50), None])), "225");
    assert_eq!((variance(false, all([Some(7)])), variance(true, all([Some(7)]))), ("0".into(), "NULL".into()));
    // Milliseconds since 1970 a step apart.
    let moments: Vec<f64> = (0..4).map(|step| 1.7e12 + f64::from(step)).collect();
    assert_eq!(variance(false, reals(&moments)), "1.25");
    assert_eq!(variance(false, reals(&[1e200, 1.0])), "NaN", "the square of such a value is infinite");
    assert_eq!(variance(false, reals(&[f64::INFINITY, 1.0])), "NaN");
    let decimals = Decimal128Array::from(vec![150, 250, 250, 525]).with_precision_and_scale(10, 2).unwrap();
    assert_eq!(variance(false, Arc::new(decimals)), "1.949219");
}

#[test]
fn different_values_count_once() {
    let distinct = |function, values: ArrayRef, filter| result_of(function, true, values, filter);
    let values = || all([Some(5), Some(7), None, Some(5), Some(7), Some(5)]);
    let results = [Count, Sum, Avg, Min, Max].map(|function| distinct(function, values(), None));
    assert_eq!(results, ["2", "12", "6", "5", "7"]);
    let filter = Some(vec![Some(false), Some(true), Some(true), None, Some(true), Some(true)]);
    assert_eq!(distinct(Count, values(), filter.clone()), "2");
    let only_sevens = Some(vec![Some(false), Some(true), Some(true), None, Some(true), Some(false)]);
    assert_eq!((distinct(Sum, values(), only_sevens), distinct(Count, all([None]), None)), ("7".into(), "0".into()));
    let texts = Arc::new(StringArray::from(vec![Some("b"), None, Some(""), Some("b")])) as ArrayRef;
    assert_eq!(distinct(Count, texts, None), "2");
    let reals = Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, f64::NAN])) as ArrayRef;
    assert_eq!(distinct(Count, reals, None), "3", "both zeros are different, one NaN is like the other");
}

/// What a naive model has of a slot: for each value that is there, by how many parts, for each call.
type Model = std::collections::BTreeMap<u32, std::collections::BTreeMap<i64, [u32; 2]>>;

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Calls that share values, over rows and partials that come, go, are moved out and cleared.
    #[test]
    fn shared_values_are_those_of_a_naive_model(
        steps in proptest::collection::vec(
            (0_u8..8, proptest::collection::vec((0_u32..3, 0_i64..6, proptest::prelude::any::<bool>()), 0..12)),
            0..20,
        ),
    ) {
        let call = |function, filter| {
            let output = Field::new("r", DataType::Int64, true);
            AggregateCall { distinct: true, filter, ..AggregateCall::new(function, Some(0), DataType::Int64, output) }
        };
        let calls = [call(Count, None), call(Sum, Some(1))];
        let fresh = || {
            let mut states = Aggregates::new(&calls).unwrap();
            states.resize(3);
            states
        };
        let (mut states, mut model, mut merged) = (fresh(), Model::new(), Vec::new());
        for (kind, rows) in steps {
            let slots: Vec<u32> = rows.iter().map(|(slot, ..)| *slot).collect();
            let values: ArrayRef = Arc::new(rows.iter().map(|(_, value, _)| *value).collect::<Int64Array>());
            let filter: ArrayRef = Arc::new(rows.iter().map(|(.., kept)| Some(*kept)).collect::<BooleanArray>());
            let batch = RecordBatch::try_from_iter([("v", values), ("f", filter)]).unwrap();
            let parts = |model: &mut Model, slot: u32, value: i64, kept: bool, sign: i64| {
                let held = model.entry(slot).or_default().entry(value).or_default();
                for (held, counts) in held.iter_mut().zip([true, kept]) {
                    *held = held.saturating_add_signed(if counts { sign as i32 } else { 0 });
                }
            };
            match kind {
                0..=2 => {
                    states.update(&slots, &batch, None).unwrap();
                    rows.iter().for_each(|(slot, value, kept)| parts(&mut model, *slot, *value, *kept, 1));
                    merged.clear();
                }
                3 | 4 => {
                    // One partial a slot: what it holds counts once.
                    let mut partial = fresh();
                    partial.update(&slots, &batch, None).unwrap();
                    let partial = partial.gather(&[0, 1, 2]).unwrap();
                    states.merge(&[0, 1, 2], &partial).unwrap();
                    let mut own = std::collections::BTreeMap::<(u32, i64), bool>::new();
                    rows.iter().for_each(|(slot, value, kept)| *own.entry((*slot, *value)).or_default() |= kept);
                    own.iter().for_each(|((slot, value), kept)| parts(&mut model, *slot, *value, *kept, 1));
                    merged.push((partial, own));
                }
                5 => if let Some((partial, own)) = merged.pop() {
                    states.unmerge(&[0, 1, 2], &partial).unwrap();
                    own.iter().for_each(|((slot, value), kept)| parts(&mut model, *slot, *value, *kept, -1));
                }
                6 => {
                    let moved = states.take().unwrap();
                    states.resize(3);
                    states.merge(&[0, 1, 2], &moved).unwrap();
                    model.values_mut().flat_map(|values| values.values_mut()).for_each(|held| {
                        held.iter_mut().for_each(|held| *held = (*held).min(1));
                    });
                    merged.clear();
                }
                _ => {
                    let cleared = rows.first().map_or(0, |(slot, ..)| *slot);
                    states.clear(&[cleared]);
                    model.remove(&cleared);
                    merged.clear();
                }
            }
            let results = states.evaluate(None).unwrap();
            for slot in 0..3_u32 {
                let held = |call: usize| {
                    model.get(&slot).into_iter().flatten().filter(move |(_, held)| held[call] > 0).map(|(value, _)| *value)
                };
                let shown = |column: &ArrayRef| array_value_to_string(column, slot as usize).unwrap();
                let sum = if held(1).count() == 0 { String::new() } else { held(1).sum::<i64>().to_string() };
                proptest::prop_assert_eq!(shown(&results[0]), held(0).count().to_string());
                proptest::prop_assert_eq!(shown(&results[1]), sum);
            }
            let kept: usize = model.values().map(|values| values.values().filter(|held| held.iter().any(|held| *held > 0)).count()).sum();
            proptest::prop_assert_eq!(states.held_values(), kept, "what nobody holds is forgotten");
        }
    }
}

#[test]
fn unsupported_types_are_refused_by_name() {
    let error = Sum.output_type(Some(&DataType::Utf8)).unwrap_err();
    assert_eq!(error, "it takes a number, not STRING");
}
