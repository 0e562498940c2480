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
    let rows = values.len();
    let input_type = values.data_type().clone();
    let filter: ArrayRef = Arc::new(BooleanArray::from(filter.clone().unwrap_or(vec![Some(true); rows])));
    let batch = RecordBatch::try_from_iter([("v", values), ("f", filter)]).unwrap();
    let output = Field::new("r", function.output_type(&input_type).unwrap(), true);
    let call = AggregateCall { function, argument: Some(0), filter: Some(1), input_type, output };
    let calls = [call];

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
        assert_eq!(partial, whole(&half).take().unwrap());
    }
    assert_eq!(show(&merged), shown, "merged");
    let singles = Aggregates::each(&calls, &batch, None).unwrap();
    let mut single = Aggregates::new(&calls).unwrap();
    single.resize(1);
    single.merge(&vec![0; rows], &singles).unwrap();
    assert_eq!(show(&single), shown, "one state a row");

    if !function.is_extreme() {
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

use AggregateFunction::{Avg, Count, Max, Min, Sum};

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
    let mut states = Aggregates::new(&[AggregateCall {
        function: Sum,
        argument: Some(0),
        filter: None,
        input_type: DataType::Float64,
        output: Field::new("s", DataType::Float64, true),
    }])
    .unwrap();
    states.resize(1);
    let batch = RecordBatch::try_from_iter([("v", reals(&[f64::INFINITY, 1.0]))]).unwrap();
    states.update(&[0, 0], &batch, None).unwrap();
    assert_eq!(array_value_to_string(&states.evaluate(None).unwrap()[0], 0).unwrap(), "inf");
}

#[test]
fn decimals_keep_the_scale_of_a_sum_and_round_an_average() {
    let decimals = |values: &[i128], precision, scale| {
        let array = Decimal128Array::from(values.to_vec()).with_precision_and_scale(precision, scale).unwrap();
        Arc::new(array) as ArrayRef
    };
    assert_eq!(result(Sum, decimals(&[150, 275], 5, 2), None), "4.25");
    assert_eq!(result(Avg, decimals(&[100, 100, 200], 5, 2), None), "1.333333");
    assert_eq!(result(Avg, decimals(&[-100, -200, -200], 5, 2), None), "-1.666667");
    assert_eq!(result(Max, decimals(&[-100, 7], 5, 2), None), "0.07");
    let greatest = 10_i128.pow(38) - 1;
    let batch = decimals(&[greatest, 1], 38, 0);
    let calls = [AggregateCall {
        function: Sum,
        argument: Some(0),
        filter: None,
        input_type: batch.data_type().clone(),
        output: Field::new("s", DataType::Decimal128(38, 0), true),
    }];
    let mut states = Aggregates::new(&calls).unwrap();
    states.resize(1);
    let batch = RecordBatch::try_from_iter([("v", batch)]).unwrap();
    states.update(&[0, 0], &batch, None).unwrap();
    assert!(states.evaluate(None).unwrap()[0].is_null(0), "39 digits are NULL");
    assert!(states.update(&[0, 0], &batch, None).is_err(), "more than 128 bits are refused");
}

#[test]
fn texts_and_times_have_extremes() {
    let texts = Arc::new(StringArray::from(vec![Some("b"), None, Some("abc"), Some("ä")])) as ArrayRef;
    assert_eq!((result(Min, Arc::clone(&texts), None), result(Max, texts, None)), ("abc".into(), "ä".into()));
    let times = Arc::new(TimestampMillisecondArray::from(vec![5, -5, 0]).with_timezone("UTC")) as ArrayRef;
    assert_eq!(result(Min, times, None), "1969-12-31T23:59:59.995Z");
}

#[test]
fn unsupported_types_are_refused_by_name() {
    let error = Sum.output_type(&DataType::Utf8).unwrap_err();
    assert!(error.to_string().contains("SUM does not support the type Utf8"), "{error}");
}
