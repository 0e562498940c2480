//! Rows a second through the text formats on one core, with arrow's own readers beside them.
//!
//! `cargo bench --bench formats`. The JSON lines are bids as the Nexmark generator shapes them, 258 bytes each; two
//! columns of seven are read, as a count per auction and window needs.

use std::hint::black_box;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use beadline::formats::{Format, find};
use beadline::options::Options;
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ROWS: usize = 8_192;

fn schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    Arc::new(Schema::new(vec![
        Field::new("auction", DataType::Int64, true),
        Field::new("bidder", DataType::Int64, true),
        Field::new("price", DataType::Int64, true),
        Field::new("channel", DataType::Utf8, true),
        Field::new("url", DataType::Utf8, true),
        Field::new("dateTime", time, true),
        Field::new("extra", DataType::Utf8, true),
    ]))
}

fn times(row: usize) -> String {
    format!("2013-01-01 {:02}:{:02}:{:02}.{:03}", row / 3600 % 24, row / 60 % 60, row % 60, row % 1000)
}

/// Lines of 258 bytes: the last field fills each up.
fn json_lines(separator: char) -> Bytes {
    let mut lines = String::new();
    for row in 0..ROWS {
        let time = times(row).replace(' ', &separator.to_string());
        let (auction, bidder, price) = (1_000 + row * 7919 % 198_000, 1_000 + row * 31 % 5_000, row * 104_729 % 99_999);
        let start = lines.len();
        lines.push_str(&format!(
            "{{\"auction\":{auction},\"bidder\":{bidder},\"price\":{price},\"channel\":\"channel-{}\",\"url\":\
             \"https://www.nexmark.com/item.htm?query=1&channel_id={row}\",\"dateTime\":\"{time}\",\"extra\":\"",
            row % 1_000
        ));
        let filler = 258 - 3 - (lines.len() - start);
        lines.extend(std::iter::repeat_n('x', filler));
        lines.push_str("\"}\n");
    }
    Bytes::from(lines)
}

fn csv_lines(separator: char) -> Bytes {
    let mut lines = String::new();
    for row in 0..ROWS {
        let time = times(row).replace(' ', &separator.to_string());
        let (auction, bidder, price) = (1_000 + row * 7919 % 198_000, 1_000 + row * 31 % 5_000, row * 104_729 % 99_999);
        let filler = "x".repeat(100);
        lines.push_str(&format!(
            "{auction},{bidder},{price},channel-{},https://www.nexmark.com/item.htm?query=1,{time},{filler}\n",
            row % 1_000
        ));
    }
    Bytes::from(lines)
}

fn decoding(criterion: &mut Criterion, name: &str, lines: &Bytes, projections: [(&str, &[usize]); 2]) {
    let mut group = criterion.benchmark_group(format!("{name} decode"));
    group.throughput(Throughput::Elements(ROWS as u64));
    let format: &dyn Format = find(name).expect("a format of this crate");
    let reader = format.reader(&schema(), &Options::default(), &Options::default()).expect("plain options");
    for (columns, projection) in projections {
        let mut decoder = reader.decoder(projection).expect("columns of the table");
        group.bench_function(format!("beadline, {columns}"), |bencher| {
            bencher.iter(|| {
                let decoded = decoder.decode(black_box(lines), 1).expect("readable rows");
                assert!(decoded.bad.is_empty() && decoded.rows.num_rows() == ROWS);
            });
        });
    }
    group.bench_function("beadline, cut into chunks", |bencher| {
        bencher.iter(|| assert_eq!(reader.cut(black_box(lines), ROWS, true).bytes, lines.len()));
    });
    group.finish();
}

fn json(criterion: &mut Criterion) {
    decoding(
        criterion,
        "json",
        &json_lines(' '),
        [("2 of 7 columns", &[0, 5]), ("all columns", &[0, 1, 2, 3, 4, 5, 6])],
    );
    let mut group = criterion.benchmark_group("json decode");
    group.throughput(Throughput::Elements(ROWS as u64));
    let lines = json_lines('T');
    for (name, schema) in [
        ("arrow-json, 2 of 7 columns", Arc::new(schema().project(&[0, 5]).expect("columns"))),
        ("arrow-json, all columns", schema()),
    ] {
        let mut decoder = arrow::json::ReaderBuilder::new(schema)
            .with_batch_size(ROWS)
            .build_decoder()
            .expect("a schema that it reads");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                assert_eq!(decoder.decode(black_box(&lines)).expect("readable rows"), lines.len());
                assert_eq!(decoder.flush().expect("a batch").map(|batch| batch.num_rows()), Some(ROWS));
            });
        });
    }
    group.finish();
}

fn csv(criterion: &mut Criterion) {
    decoding(criterion, "csv", &csv_lines(' '), [("2 of 7 columns", &[0, 5]), ("all columns", &[0, 1, 2, 3, 4, 5, 6])]);
    let mut group = criterion.benchmark_group("csv decode");
    group.throughput(Throughput::Elements(ROWS as u64));
    let lines = csv_lines('T');
    for (name, projection) in [("arrow-csv, 2 of 7 columns", Some(vec![0, 5])), ("arrow-csv, all columns", None)] {
        let mut builder = arrow::csv::ReaderBuilder::new(schema()).with_batch_size(ROWS);
        if let Some(projection) = projection {
            builder = builder.with_projection(projection);
        }
        let mut decoder = builder.build_decoder();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut rest = &black_box(&lines)[..];
                while !rest.is_empty() {
                    let read = decoder.decode(rest).expect("readable rows");
                    if read == 0 {
                        break;
                    }
                    rest = &rest[read..];
                }
                assert_eq!(decoder.flush().expect("a batch").map(|batch| batch.num_rows()), Some(ROWS));
            });
        });
    }
    group.finish();
}

fn encoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(ROWS as u64));
    let none = Options::default();
    let reader = find("json").and_then(|json| json.reader(&schema(), &none, &none).ok()).expect("plain options");
    let mut decoder = reader.decoder(&[0, 1, 2, 3, 4, 5, 6]).expect("columns of the table");
    let rows = decoder.decode(&json_lines(' '), 1).expect("readable rows").rows;
    for name in ["csv", "json"] {
        let writer = find(name).and_then(|format| format.writer(&schema(), &none, &none).ok()).expect("plain options");
        let mut text = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                text.clear();
                writer.encode(black_box(&rows), &mut text).expect("writable rows");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, json, csv, encoding);
criterion_main!(benches);
