//! What both text formats promise, checked against texts that Flink 2.3.0 wrote and answers that it gave.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;

use super::spelling::texts;
use super::{Decoded, Format, find, java::Java};
use crate::options::Options;

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    let fields: Vec<Field> =
        columns.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect();
    Arc::new(Schema::new(fields))
}

fn options(pairs: &[(&str, &str)]) -> Options {
    Options::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
}

/// Decodes a text under options; those that begin with `beadline.` are settings.
fn decode(format: &str, table: &SchemaRef, pairs: &[(&str, &str)], text: &[u8]) -> Decoded {
    let (settings, own): (Vec<_>, Vec<_>) = pairs.iter().partition(|(key, _)| key.starts_with("beadline."));
    let projection: Vec<usize> = (0..table.fields().len()).collect();
    let reader = find(format).unwrap().reader(table, &options(&own), &options(&settings)).unwrap();
    reader.decoder(&projection).unwrap().decode(&Bytes::copy_from_slice(text), 1).unwrap()
}

/// Rows as Flink's `print` shows them.
fn shown(rows: &RecordBatch) -> Vec<String> {
    let columns: Vec<_> = rows.columns().iter().map(|column| texts(&Java, column.as_ref()).unwrap()).collect();
    (0..rows.num_rows())
        .map(|row| {
            let values: Vec<_> = columns.iter().map(|texts| String::from_utf8_lossy(texts.row(row))).collect();
            values.join(" | ")
        })
        .collect()
}

fn bad(decoded: &Decoded) -> Vec<(u64, String)> {
    decoded.bad.iter().map(|row| (row.line, row.error.clone())).collect()
}

fn list(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", element, true)))
}

fn row(fields: &[(&str, DataType)]) -> DataType {
    DataType::Struct(schema(fields).fields().clone())
}

fn map(key: DataType, value: DataType) -> DataType {
    let entries = DataType::Struct(vec![Field::new("key", key, false), Field::new("value", value, true)].into());
    DataType::Map(Arc::new(Field::new("entries", entries, false)), false)
}

fn every_type() -> SchemaRef {
    let ms = TimeUnit::Millisecond;
    schema(&[
        ("a", DataType::Int32),
        ("b", DataType::Utf8),
        ("ts", DataType::Timestamp(ms, None)),
        ("d", DataType::Decimal128(10, 3)),
        ("dt", DataType::Date32),
        ("tm", DataType::Time32(ms)),
        ("bo", DataType::Boolean),
        ("f", DataType::Float64),
        ("by", DataType::Binary),
        ("fl", DataType::Float32),
        ("l", DataType::Timestamp(ms, Some("UTC".into()))),
        ("t6", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("t9", DataType::Timestamp(TimeUnit::Nanosecond, None)),
        ("arr", list(DataType::Utf8)),
        ("r", row(&[("x", DataType::Int32), ("y", DataType::Utf8)])),
    ])
}

/// What Flink 2.3.0 wrote for the rows of `every_type`, without the row it reads back otherwise.
const FLINK_JSON: &str = r#"{"a":1,"b":"plain","ts":"2013-01-01 05:00:00","d":1.5,"dt":"2013-01-02","tm":"05:06:07","bo":true,"f":1.5,"by":"YWI=","fl":0.1,"l":"2013-01-01 05:00:00Z","t6":"2013-01-01 05:00:00.1234","t9":"2013-01-01 05:00:00.000000001","arr":["a","b;c","d e"],"r":{"x":1,"y":"q"}}
{"a":2,"b":"a,b","ts":"2013-01-01 05:00:00.12","d":1E+5,"dt":"0999-01-02","tm":"05:06:00","bo":false,"f":100.0,"by":"YSBi","fl":1.0E10,"l":"2013-01-01 05:00:00.5Z","t6":"2013-01-01 05:00:00","t9":"2013-01-01 00:00:00","arr":["x"],"r":{"x":2,"y":"a;b"}}
{"a":3,"b":"q\"x","ts":"2013-01-01 00:00:00.001","d":0,"dt":"2013-12-31","tm":"00:00:00","bo":true,"f":1.0E-7,"by":"","fl":1.0,"l":"2013-01-01 00:00:00Z","t6":"2013-01-01 00:00:00.5","t9":"2013-01-01 00:00:00","arr":[""],"r":{"x":3,"y":""}}
{"a":8,"b":"linebreak\nhere","ts":"2013-01-01 00:00:00.001","d":null,"dt":"2013-12-31","tm":"00:00:00","bo":true,"f":1.23456789125E8,"by":"eA==","fl":1.0E-5,"l":null,"t6":"2013-01-01 00:00:00.5","t9":"2013-01-01 00:00:00","arr":null,"r":null}
{"a":9,"b":null,"ts":null,"d":null,"dt":"2013-12-31","tm":"00:00:00","bo":null,"f":null,"by":"eA==","fl":1.0E-5,"l":null,"t6":"2013-01-01 00:00:00.5","t9":"2013-01-01 00:00:00","arr":null,"r":null}
"#;

/// The same rows as Flink 2.3.0 wrote them as csv.
const FLINK_CSV: &str = r#"1,plain,"2013-01-01 05:00:00",1.5,2013-01-02,05:06:07,true,1.5,YWI=,0.1,"2013-01-01 05:00:00Z","2013-01-01 05:00:00.1234","2013-01-01 05:00:00.000000001","a;b;c;d e",1;q
2,"a,b","2013-01-01 05:00:00.12",1E+5,0999-01-02,05:06:00,false,100.0,YSBi,1.0E10,"2013-01-01 05:00:00.5Z","2013-01-01 05:00:00","2013-01-01 00:00:00",x,2;a;b
3,"q""x","2013-01-01 00:00:00.001",0,2013-12-31,00:00:00,true,1.0E-7,,1.0,"2013-01-01 00:00:00Z","2013-01-01 00:00:00.5","2013-01-01 00:00:00",,3;
8,"linebreak
here","2013-01-01 00:00:00.001",,2013-12-31,00:00:00,true,1.23456789125E8,eA==,1.0E-5,,"2013-01-01 00:00:00.5","2013-01-01 00:00:00",,
9,,,,2013-12-31,00:00:00,,,eA==,1.0E-5,,"2013-01-01 00:00:00.5","2013-01-01 00:00:00",,
"#;

fn encode(format: &dyn Format, rows: &RecordBatch, pairs: &[(&str, &str)]) -> String {
    let writer = format.writer(&rows.schema(), &options(pairs), &Options::default()).unwrap();
    let mut text = Vec::new();
    writer.encode(rows, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn what_flink_wrote_is_read_and_written_letter_for_letter() {
    let decoded = decode("json", &every_type(), &[], FLINK_JSON.as_bytes());
    assert_eq!(bad(&decoded), []);
    assert_eq!(
        shown(&decoded.rows)[0],
        "1 | plain | 2013-01-01T05:00 | 1.500 | 2013-01-02 | 05:06:07 | true | 1.5 | [97, 98] | 0.1 | \
         2013-01-01T05:00:00Z | 2013-01-01T05:00:00.123400 | 2013-01-01T05:00:00.000000001 | [a, b;c, d e] | +I[1, q]"
    );
    assert_eq!(encode(&super::json::Json, &decoded.rows, &[]), FLINK_JSON);
    assert_eq!(encode(&super::csv::Csv, &decoded.rows, &[]), FLINK_CSV);
}

#[test]
fn csv_quotes_where_flink_quotes() {
    let table = schema(&[("s", DataType::Utf8), ("n", DataType::Int32)]);
    let strings =
        ["123456789012345678901234", "1234567890123456789012345", "#hash", "aé", "tab\tx", "-", ",", "+", "a\\b"];
    let rows = |strings: &[&str]| {
        let text: ArrayRef = Arc::new(arrow::array::StringArray::from(strings.to_vec()));
        let numbers: ArrayRef = Arc::new(arrow::array::Int32Array::from_iter_values(1..=strings.len() as i32));
        RecordBatch::try_new(Arc::clone(&table), vec![text, numbers]).unwrap()
    };
    let csv = find("csv").unwrap();
    assert_eq!(
        encode(csv, &rows(&strings), &[]),
        "123456789012345678901234,1\n\"1234567890123456789012345\",2\n\"#hash\",3\naé,4\n\"tab\tx\",5\n-,6\n\",\",7\n\
         \"+\",8\n\"a\\b\",9\n"
    );
    let piped = [("field-delimiter", "|"), ("escape-character", "\\"), ("null-literal", "NULL")];
    assert_eq!(
        encode(csv, &rows(&["a\\b", "a\"b", "a|b", "{}", "NULL", "~"]), &piped),
        "\"a\\\\b\"|1\n\"a\"\"b\"|2\n\"a|b\"|3\n\"{}\"|4\n\"NULL\"|5\n~|6\n"
    );
    assert_eq!(encode(csv, &rows(&["a,b", "a\"b"]), &[("disable-quote-character", "true")]), "a,b,1\na\"b,2\n");
    assert_eq!(
        encode(
            csv,
            &rows(&["a\tb", "a'b", "a b", "a\"b", "a(b"]),
            &[("quote-character", "'"), ("field-delimiter", "\\t")]
        ),
        "'a\tb'\t1\n'a''b'\t2\n'a b'\t3\n'a\"b'\t4\na(b\t5\n"
    );
}

#[test]
fn json_decoding_follows_the_table_line_by_line() {
    let table = schema(&[("n", DataType::Int64), ("s", DataType::Utf8)]);
    let one = |text: &str| decode("json", &table, &[], text.as_bytes());
    let value = |text: &str| {
        let decoded = one(text);
        assert_eq!(bad(&decoded), [], "{text}");
        decoded.rows.column(0).as_primitive::<Int64Type>().value(0)
    };
    let error = |text: &str| {
        let decoded = one(text);
        assert_eq!((decoded.rows.num_rows(), decoded.bad.len()), (0, 1), "{text}");
        decoded.bad[0].error.clone()
    };
    assert_eq!(error(r#"{"n":1.9}"#), "column `n`: '1.9' is no BIGINT; declared as DOUBLE or DECIMAL it can be read");
    assert_eq!(value(r#"{"n":1e3}"#), 1000);
    assert_eq!(value(r#"{"n":"12"}"#), 12);
    assert_eq!(value(r#"{"n":" 12 "}"#), 12);
    assert_eq!(error(r#"{"n":0012}"#), "not JSON at byte 7 of the row: a number begins with 0");
    assert_eq!(error(r#"{"n":9223372036854775808}"#), "column `n`: '9223372036854775808' is no BIGINT: out of range");
    assert_eq!(error("[]"), "not JSON at byte 1 of the row: a row must be a JSON object");
    assert_eq!(error("null"), "not JSON at byte 1 of the row: a row must be a JSON object");
    assert_eq!(error(r#"{"n":1,"n":2}"#), "column `n`: the field comes twice");
    assert_eq!(
        error(r#"{"n":1}{"n":2}"#),
        "not JSON at byte 8 of the row: there is more than one document in the line"
    );
    assert_eq!(error(r#"{"n":true}"#), "column `n`: 'true' is no BIGINT: not a number");
    assert_eq!(error(r#"{"n":""}"#), "column `n`: an empty text is no BIGINT");
    let last = decode("json", &table, &[("beadline.json.duplicate-keys", "last")], br#"{"n":1,"n":2}"#);
    assert_eq!(shown(&last.rows), ["2 | null"]);
    let lenient = decode("json", &table, &[("beadline.json.lenient-numbers", "true")], br#"{"n":1.9}"#);
    assert_eq!(shown(&lenient.rows), ["1 | null"]);
    let missing = decode("json", &table, &[("fail-on-missing-field", "true")], br#"{"n":1}"#);
    assert_eq!(bad(&missing), [(1, "column `s`: the field is missing".to_owned())]);
    // Fields that the table does not declare may come as often as they like.
    assert_eq!(value(r#"{"x":1,"x":2,"n":5,"x":{"n":7}}"#), 5);
}

#[test]
fn json_times_are_exact_or_bad() {
    let ms = TimeUnit::Millisecond;
    let table = schema(&[
        ("ts", DataType::Timestamp(ms, None)),
        ("l", DataType::Timestamp(ms, Some("UTC".into()))),
        ("tm", DataType::Time32(ms)),
        ("dt", DataType::Date32),
        ("us", DataType::Timestamp(TimeUnit::Microsecond, None)),
    ]);
    let text = br#"{"ts":"2013-01-01 05:00:00.123456","l":"2013-01-01 05:00:00.5Z","tm":"05:06:07.5","dt":"2013-01-01"}
{"tm":"23:59:60"}
{"ts":"2013-01-01 23:59:60"}
{"ts":1357016400000}
{"ts":"2013-01-01T05:00:00"}
{"l":"2013-01-01 05:00:00"}
{"dt":"2013-02-30"}
{"dt":"2013-1-1"}
{"us":"1677-01-01 00:00:00.000001"}
{"us":"9999-12-31 23:59:59.999999"}
{"us":"12013-01-01 05:00:00"}
"#;
    let decoded = decode("json", &table, &[], text);
    assert_eq!(
        shown(&decoded.rows),
        [
            "2013-01-01T05:00:00.123 | 2013-01-01T05:00:00.500Z | 05:06:07.500 | 2013-01-01 | null",
            "null | null | null | null | 1677-01-01T00:00:00.000001",
            "null | null | null | null | 9999-12-31T23:59:59.999999",
        ]
    );
    let lines: Vec<u64> = decoded.bad.iter().map(|row| row.line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8, 11]);
    assert_eq!(
        decoded.bad[2].error,
        "column `ts`: '1357016400000' is no TIMESTAMP(3): a bare number does not say what it counts"
    );
    let iso = [("timestamp-format.standard", "iso-8601")];
    let decoded = decode("json", &table, &iso, br#"{"ts":"2013-01-01T05:00:00.12","l":"2013-01-01T05:00:00Z"}"#);
    assert_eq!(shown(&decoded.rows), ["2013-01-01T05:00:00.120 | 2013-01-01T05:00:00Z | null | null | null"]);
    assert!(
        encode(&super::json::Json, &decoded.rows, &iso)
            .starts_with(r#"{"ts":"2013-01-01T05:00:00.12","l":"2013-01-01T05:00:00Z","tm":null"#)
    );
}

#[test]
fn json_neighbours_of_a_bad_row_always_arrive() {
    let table = schema(&[("n", DataType::Int32), ("s", DataType::Utf8)]);
    let text = b"{\"n\":1,\"s\":\"a\"}\n\n{\"n\":2,\n  \n{\"n\":3}\r\n{\"n\":\"x\"}\n{\"s\":\"\xFF\"}\n{\"s\":\"\xC3\xA9\\u00e9\",\"n\":6}";
    let decoded = decode("json", &table, &[], text);
    assert_eq!(shown(&decoded.rows), ["1 | a", "3 | null", "6 | éé"]);
    let expected = [
        (3, "not JSON at byte 8 of the row: expected a field name in double quotes"),
        (6, "column `n`: 'x' is no INT: not a number"),
        (7, "the row is not UTF-8"),
    ];
    assert_eq!(bad(&decoded), expected.map(|(line, error)| (line, error.to_owned())));
    assert_eq!(decoded.bad[0].raw, Bytes::from_static(b"{\"n\":2,"));
    assert!(!decoded.bad[0].ignorable);
    let ignored = decode("json", &table, &[("ignore-parse-errors", "true")], text);
    assert_eq!(shown(&ignored.rows), ["1 | a", "3 | null", "null | null", "6 | éé"]);
    assert!(ignored.bad.len() == 2 && ignored.bad.iter().all(|row| row.ignorable));
}

#[test]
fn json_numbers_and_objects_become_text_with_all_their_digits() {
    let table = schema(&[("s", DataType::Utf8), ("d", DataType::Decimal128(38, 3)), ("b", DataType::Boolean)]);
    let text = br#"{"s":12.50,"d":12345678901234567890.125,"b":true}
{"s":true,"d":"1e2","b":"FALSE"}
{"s":{"a": 1.50, "b": [1, 2]}}
{"s":"a\u00e9\n\ud83d\ude00"}
{"d":1.2345}
{"b":1}
"#;
    let decoded = decode("json", &table, &[], text);
    assert_eq!(
        shown(&decoded.rows),
        [
            "12.50 | 12345678901234567890.125 | true",
            "true | 100.000 | false",
            "{\"a\":1.50,\"b\":[1,2]} | null | null",
            "aé\n😀 | null | null",
        ]
    );
    assert_eq!(
        bad(&decoded)[0].1,
        "column `d`: '1.2345' is no DECIMAL(38, 3): more digits behind the point than the type has"
    );
    assert_eq!(bad(&decoded)[1].1, "column `b`: '1' is no BOOLEAN: expected true or false");
}

#[test]
fn json_nested_values_pass_through() {
    let table = schema(&[
        ("ar", list(DataType::Int32)),
        ("m", map(DataType::Utf8, DataType::Int32)),
        ("r", row(&[("x", DataType::Int32), ("deep", list(row(&[("y", DataType::Utf8)])))])),
    ]);
    let text = br#"{"ar":[1,null,"3"],"m":{"k":1,"z":null},"r":{"x":1,"deep":[{"y":"a"},{}],"z":9}}
{"ar":[],"m":{},"r":{}}
{"ar":"x"}
{"ar":[1,"x"]}
{"m":{"k":1,"\u006b":2}}
{"r":{"x":1,"x":2}}
{"r":[]}
"#;
    let decoded = decode("json", &table, &[], text);
    assert_eq!(
        shown(&decoded.rows),
        ["[1, null, 3] | {k=1, z=null} | +I[1, [+I[a], +I[null]]]", "[] | {} | +I[null, null]"]
    );
    assert_eq!(
        bad(&decoded),
        [
            (3, "column `ar`: 'x' is no ARRAY<INT>: not an array".to_owned()),
            (4, "column `ar`: 'x' is no INT: not a number".to_owned()),
            (5, "column `m`: '{\"k\":1,\"\\u006b\":2}' is no MAP<STRING, INT>: a key comes twice".to_owned()),
            (6, "column `r`: '{\"x\":1,\"x\":2}' is no ROW: a field comes twice".to_owned()),
            (7, "column `r`: '[]' is no ROW: not an object".to_owned()),
        ]
    );
    let written = encode(&super::json::Json, &decoded.rows, &[("encode.ignore-null-fields", "true")]);
    assert_eq!(
        written,
        "{\"ar\":[1,null,3],\"m\":{\"k\":1,\"z\":null},\"r\":{\"x\":1,\"deep\":[{\"y\":\"a\"},{}]}}\n\
         {\"ar\":[],\"m\":{},\"r\":{}}\n"
    );
}

#[test]
fn only_projected_columns_are_decoded_and_order_of_fields_does_not_matter() {
    let table = schema(&[("a", DataType::Int32), ("b", DataType::Int32), ("c", DataType::Utf8)]);
    let reader = find("json").unwrap().reader(&table, &Options::default(), &Options::default()).unwrap();
    let mut decoder = reader.decoder(&[2, 0, 2]).unwrap();
    let text = br#"{"a":1,"b":"no number","c":"x"}
{"c":"y","\u0061":2}
{"b":1,"b":2}
{"other":{"a":7},"c":"z","a":3}
"#;
    let decoded = decoder.decode(&Bytes::from_static(text), 10).unwrap();
    assert_eq!(shown(&decoded.rows), ["x | 1 | x", "y | 2 | y", "z | 3 | z"]);
    assert_eq!(bad(&decoded), [(12, "column `b`: the field comes twice".to_owned())]);
    let mut nothing = reader.decoder(&[]).unwrap();
    assert_eq!(nothing.decode(&Bytes::from_static(text), 1).unwrap().rows.num_rows(), 3);
}

#[test]
fn a_null_in_a_not_null_column_is_a_bad_row() {
    let table = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, false)]));
    let decoded = decode("json", &table, &[], b"{\"n\":1}\n{\"n\":null}\n{\"n\":3}\n");
    assert_eq!(decoded.rows.column(0).as_primitive::<Int32Type>().values(), &[1, 3]);
    assert_eq!(decoded.rows.column(0).null_count(), 0);
    assert_eq!(bad(&decoded), [(2, "column `n` is NOT NULL, and the row has no value for it".to_owned())]);
}

#[test]
fn csv_values_as_flink_reads_them() {
    let table = schema(&[
        ("a", DataType::Int32),
        ("b", DataType::Utf8),
        ("ts", DataType::Timestamp(TimeUnit::Millisecond, None)),
        ("d", DataType::Float64),
    ]);
    let text = "1,a,2013-01-01 05:00:00,1.5,\n\
        2,b,2013-01-01 05:00:00,1.5,x\n\
        3,\"q\"\"u\",2013-01-01T05:00:00,1.5\n\
        4,\"a\nb\",2013-01-01 05:00:00.123,NaN\n\
        5,a\"b,2013-01-01 05:00:00.1234567,1e3\n\
        6, \"x\" ,2013-01-01 05:00,+1\n\
        7,\"x\"y,2013-01-01 05:00:00,1d\n\
        1_0,x,2013-01-01 05:00:00,1\n\
        1.0,x,2013-01-01 05:00:00,1\n\
        99999999999,x,2013-01-01 05:00:00,1\n\
        \"11\",x,\"2013-01-01 05:00:00\",\"1\"\n\
        \n\
        12,é,2013-01-01 05:00:00,.5\r\n \
        14 ,x, 2013-01-01 24:00:00 , 1f \n\
        15,x,,1\n\
        16,x\n\
        17,x,2013-01-01 05:00:00,";
    let decoded = decode("csv", &table, &[], text.as_bytes());
    assert_eq!(
        shown(&decoded.rows),
        [
            "1 | a | 2013-01-01T05:00 | 1.5",
            "4 | a\nb | 2013-01-01T05:00:00.123 | NaN",
            "5 | a\"b | 2013-01-01T05:00:00.123 | 1000.0",
            "11 | x | 2013-01-01T05:00 | 1.0",
            "12 | é | 2013-01-01T05:00 | 0.5",
            "14 | x | 2013-01-02T00:00 | 1.0",
        ]
    );
    let mismatch = |found: usize| {
        let help = if found > 4 { " (the table has to declare all of them, in their order)" } else { "" };
        format!("row length mismatch: 4 fields expected but there are {found}{help}")
    };
    let malformed = "is no TIMESTAMP(3): expected yyyy-MM-dd HH:mm:ss[.fraction]";
    assert_eq!(
        bad(&decoded),
        [
            (2, mismatch(5)),
            (3, format!("column `ts`: '2013-01-01T05:00:00' {malformed}")),
            (7, format!("column `ts`: '2013-01-01 05:00' {malformed}")),
            (8, "there is text behind a closing quote".to_owned()),
            (9, "column `a`: '1_0' is no INT: not a whole number".to_owned()),
            (10, "column `a`: '1.0' is no INT: not a whole number".to_owned()),
            (11, "column `a`: '99999999999' is no INT: out of range".to_owned()),
            (13, mismatch(1)),
            (16, "column `ts`: an empty text is no TIMESTAMP(3); with 'csv.null-literal' = '' in the table's options it is NULL".to_owned()),
            (17, mismatch(2)),
            (18, "column `d`: an empty text is no DOUBLE; with 'csv.null-literal' = '' in the table's options it is NULL".to_owned()),
        ]
    );
    let ignored = decode("csv", &table, &[("ignore-parse-errors", "true")], text.as_bytes());
    assert_eq!(ignored.rows.num_rows(), 15);
    assert_eq!(shown(&ignored.rows)[1], "3 | q\"u | null | 1.5");
    assert_eq!(shown(&ignored.rows)[13], "16 | x | null | null");
    assert_eq!(ignored.bad.iter().map(|row| (row.line, row.ignorable)).collect::<Vec<_>>(), [(2, true), (8, true)]);
}

#[test]
fn csv_types_and_options() {
    let table = schema(&[
        ("b", DataType::Boolean),
        ("d", DataType::Date32),
        ("t", DataType::Time32(TimeUnit::Millisecond)),
        ("de", DataType::Decimal128(7, 2)),
        ("by", DataType::Binary),
        ("ar", list(DataType::Utf8)),
        ("r", row(&[("x", DataType::Int32), ("y", DataType::Utf8)])),
    ]);
    let text =
        "true,2013-1-1,05:06,1.256,YWI=,a;b,1;x\n TRUE ,2013-01-01,05:06:07,1e2, ,,;\nfoo,2013-01-01,05:06,1,,,1;x\n";
    let ignore = decode("csv", &table, &[("ignore-parse-errors", "true")], text.as_bytes());
    assert_eq!(
        shown(&ignore.rows),
        [
            "true | 2013-01-01 | 05:06 | 1.26 | [97, 98] | [a, b] | +I[1, x]",
            "true | 2013-01-01 | 05:06:07 | 100.00 | [] | [] | +I[null, ]",
            "null | 2013-01-01 | 05:06 | 1.00 | [] | [] | +I[1, x]",
        ]
    );
    let pair = schema(&[("a", DataType::Utf8), ("b", DataType::Int32)]);
    let options = [("escape-character", "\\"), ("null-literal", "NULL"), ("allow-comments", "true")];
    let text = "# c\na\\,b,1\n\"a\\\"b\",2\n\nNULL,5\n\"NULL\",6\n NULL ,7\n,8\na,NULL\n";
    let decoded = decode("csv", &pair, &options, text.as_bytes());
    assert_eq!(bad(&decoded), []);
    let expected = ["a,b | 1", "a\"b | 2", "null | 5", "null | 6", " NULL  | 7", " | 8", "a | null"];
    assert_eq!(shown(&decoded.rows), expected);
}

#[test]
fn cuts_fall_between_rows_and_respect_quotes() {
    let table = schema(&[("a", DataType::Utf8), ("b", DataType::Utf8)]);
    let csv = find("csv").unwrap();
    let settings = options(&[("beadline.csv.header", "true")]);
    let reader = csv.reader(&table, &Options::default(), &settings).unwrap();
    let text = b"1,\"x\ny\"\n2,z\n3,w";
    let cut = |rows: usize, at_end: bool| {
        let cut = reader.cut(text, rows, at_end);
        (cut.bytes, cut.lines)
    };
    assert_eq!([cut(1, false), cut(2, false), cut(9, false), cut(9, true)], [(8, 2), (12, 3), (12, 3), (15, 4)]);
    assert_eq!(reader.cut(b"1,\"x\n", 9, false).bytes, 0);
    assert_eq!(reader.skip_header(b"\xEF\xBB\xBFa,b\n1,", false), Some(7));
    assert_eq!(reader.skip_header(b"a,\"b\n", false), None);
    assert_eq!(reader.skip_header(b"a,b", true), Some(3));
    let writer = csv.writer(&table, &Options::default(), &settings).unwrap();
    assert_eq!(writer.header(), b"a,b\n");
    let json = find("json").unwrap().reader(&table, &Options::default(), &Options::default()).unwrap();
    assert_eq!(json.skip_header(b"\xEF", false), None);
    assert_eq!(json.skip_header(b"{", false), Some(0));
    assert_eq!(json.skip_header(b"", true), Some(0));
    let cut = json.cut(b"{}\n\n{}", 2, true);
    assert_eq!((cut.bytes, cut.lines), (4, 2));
}

#[test]
fn conflicting_and_impossible_options_are_refused() {
    let table = schema(&[("m", map(DataType::Utf8, DataType::Int32))]);
    let refused = |format: &str, table: &SchemaRef, pairs: &[(&str, &str)]| {
        find(format).unwrap().reader(table, &options(pairs), &Options::default()).unwrap_err().to_string()
    };
    assert!(refused("csv", &table, &[]).contains("has no MAP<STRING, INT>, in the type of column `m`"));
    let plain = schema(&[("a", DataType::Utf8)]);
    let both = [("fail-on-missing-field", "true"), ("ignore-parse-errors", "true")];
    assert!(refused("json", &plain, &both).contains("shouldn't both be true"));
    assert!(refused("csv", &plain, &[("field-delimiter", "§")]).contains("must be an ASCII character"));
    assert!(refused("csv", &plain, &[("quote-character", ",")]).contains("needs different characters"));
}

#[test]
fn every_option_of_every_format_is_documented() {
    for format in super::all() {
        assert!(format.doc().len() > 40);
        assert!(std::ptr::eq(find(format.name()).unwrap(), *format));
        for option in format.options().iter().chain(format.settings()) {
            assert!(option.doc.ends_with('.'), "{}", option.key);
            if let Some(default) = option.default {
                option.check(option.key, default).unwrap();
            }
        }
    }
    assert_options_are_read(include_str!("csv/mod.rs"));
    assert_options_are_read(include_str!("json/mod.rs"));
}

/// Looks through the source of a connector or format: every option that is honoured must be read, not only listed.
pub(crate) fn assert_options_are_read(source: &str) {
    let mut found = 0;
    for declaration in source.split("const ").skip(1) {
        let Some((name, rest)) = declaration.split_once(": OptionSpec") else {
            continue;
        };
        let value = rest.split(";\n").next().unwrap_or(rest);
        if value.contains(".effect(") || value.contains("not_built(") {
            continue;
        }
        found += 1;
        let read = ["(&{})", ", &{})", "(&{},"].iter().any(|call| source.contains(&call.replace("{}", name)));
        assert!(read, "the option {name} is listed as honoured but never read");
    }
    assert!(found > 0 || !source.contains("OptionSpec::honoured"), "no option was recognised");
}
