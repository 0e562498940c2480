//! A chart in plain text: horizontal bars for labels and their numbers, a line for each series of numbers over a time.
//!
//! ```text
//!   label, number(s)         a bar a row, a block for each column of numbers
//!   time, number(s)          a line for each column of numbers
//!   time, label, number      a line for each label
//! ```

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, Schema, TimeUnit, TimestampMillisecondType};
use chrono::DateTime;
use unicode_width::UnicodeWidthStr;

use super::table::{cut, escaped, is_number};
use super::{Renderer, Shape, Style, ValueWriter};
use crate::error::{Error, Result};
use crate::stream::{Changes, Zone};

/// Lines of one plot.
const PLOT_LINES: usize = 8;
/// The widest label beside a bar or a plot.
const LABEL_WIDTH: usize = 24;

/// What the columns of a result are to a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Roles {
    label: Option<usize>,
    time: Option<usize>,
    numbers: Vec<usize>,
}

/// Collects rows and draws them at the end.
pub struct ChartRenderer {
    roles: Roles,
    names: Vec<String>,
    values: ValueWriter,
    width: usize,
    points: Vec<Point>,
}

/// A row.
struct Point {
    label: String,
    /// Milliseconds since 1970.
    time_ms: Option<i64>,
    numbers: Vec<Option<f64>>,
}

impl Roles {
    fn of(schema: &Schema) -> Result<Self> {
        let types: Vec<&DataType> = schema.fields().iter().map(|field| field.data_type()).collect();
        let is_time = |data_type: &DataType| matches!(data_type, DataType::Timestamp(..) | DataType::Date32);
        let first = |wanted: &dyn Fn(&DataType) -> bool| types.iter().position(|data_type| wanted(data_type));
        let time = first(&is_time);
        let mut label = first(&|data_type| !is_time(data_type) && !is_number(data_type));
        let mut numbers: Vec<usize> = (0..types.len()).filter(|column| is_number(types[*column])).collect();
        if time.is_none() && label.is_none() && numbers.len() > 1 {
            label = Some(numbers.remove(0));
        }
        match numbers.is_empty() {
            true => Err(Error::query("--format chart needs a column of numbers, and this query has none")
                .with_help("select a label or a time and its numbers: SELECT level, COUNT(*) AS n … GROUP BY level")),
            false => Ok(Self { label, time, numbers }),
        }
    }
}

impl ChartRenderer {
    /// An empty chart of at most `width` columns.
    pub fn new(shape: &Shape, zone: Zone, width: usize) -> Result<Self> {
        if shape.is_updating || !shape.is_bounded {
            return Err(Error::query("--format chart draws an answer, and these rows are changes or never end")
                .with_help("leave --changes out, or end the query with LIMIT n"));
        }
        let names = shape.schema.fields().iter().map(|field| escaped(field.name())).collect();
        let (roles, values) = (Roles::of(&shape.schema)?, ValueWriter::new(Style::Table, zone));
        Ok(Self { roles, names, values, width: width.max(20), points: Vec::new() })
    }

    /// Its lines.
    fn drawn(&self) -> Vec<String> {
        let lines = if self.roles.time.is_some() { self.lines() } else { self.bars() };
        lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
    }

    /// A block of bars for each column of numbers.
    fn bars(&self) -> Vec<String> {
        let labels: Vec<(String, usize)> = self.points.iter().map(|point| shortened(&point.label)).collect();
        let label_width = labels.iter().map(|(_, width)| *width).max().unwrap_or(0);
        let mut lines = Vec::new();
        for (place, column) in self.roles.numbers.iter().enumerate() {
            let numbers: Vec<Option<f64>> = self.points.iter().map(|point| point.numbers[place]).collect();
            let texts: Vec<String> = numbers.iter().map(|number| number.map_or("NULL".to_owned(), short)).collect();
            let text_width = texts.iter().map(|text| text.width()).max().unwrap_or(0);
            let room = self.width.saturating_sub(label_width + text_width + 3).max(4);
            let most = numbers.iter().flatten().fold(0.0_f64, |most, number| most.max(number.abs()));
            if self.roles.numbers.len() > 1 {
                lines.push(self.names[*column].clone());
            }
            for (((label, width), number), text) in labels.iter().zip(&numbers).zip(&texts) {
                let share = number.filter(|_| most > 0.0).map_or(0.0, |number| number.abs() / most);
                let sign = if number.is_some_and(|number| number < 0.0) { "-" } else { "" };
                let padding = " ".repeat(label_width - width);
                lines.push(format!("{label}{padding} │{sign}{} {text}", bar(share, room)));
            }
        }
        lines
    }

    /// A plot for each series over time.
    fn lines(&self) -> Vec<String> {
        let mut series: BTreeMap<(usize, String), Vec<(i64, f64)>> = BTreeMap::new();
        for point in &self.points {
            let Some(time_ms) = point.time_ms else { continue };
            for (place, column) in self.roles.numbers.iter().enumerate() {
                let name = match (self.roles.label, self.roles.numbers.len()) {
                    (None, _) => self.names[*column].clone(),
                    (Some(_), 1) => point.label.clone(),
                    (Some(_), _) => format!("{} {}", point.label, self.names[*column]),
                };
                let line = series.entry((place, name)).or_default();
                line.extend(point.numbers[place].map(|number| (time_ms, number)));
            }
        }
        let times = series.values().flatten().map(|(time_ms, _)| *time_ms);
        let (Some(first), Some(last)) = (times.clone().min(), times.max()) else { return Vec::new() };
        let mut lines = Vec::new();
        for ((_, name), mut points) in series {
            points.sort_by_key(|(time_ms, _)| *time_ms);
            lines.push(name);
            lines.extend(plot(&points, (first, last), self.width));
        }
        lines.push(span_line(first, last, self.width));
        lines
    }
}

/// The lines of a chart of these rows.
pub fn chart_lines(shape: &Shape, rows: &Changes, zone: Zone, width: usize) -> Result<Vec<String>> {
    let mut chart = ChartRenderer::new(shape, zone, width)?;
    chart.rows(rows, &mut Vec::new())?;
    Ok(chart.drawn())
}

impl Renderer for ChartRenderer {
    fn rows(&mut self, changes: &Changes, _out: &mut Vec<u8>) -> Result<()> {
        let columns = changes.batch().columns();
        let numbers: Vec<ArrayRef> = self
            .roles
            .numbers
            .iter()
            .map(|column| cast(&columns[*column], &DataType::Float64))
            .collect::<std::result::Result<_, _>>()?;
        let times = self.roles.time.map(|column| milliseconds(&columns[column])).transpose()?;
        for row in 0..changes.len() {
            let mut label = String::new();
            match self.roles.label.or(self.roles.time) {
                Some(column) => self.values.write(&columns[column], row, &mut label)?,
                None => label = (self.points.len() + 1).to_string(),
            }
            let time_ms = times.as_ref().and_then(|times| {
                let times = times.as_primitive::<Int64Type>();
                times.is_valid(row).then(|| times.value(row))
            });
            let number = |column: &ArrayRef| {
                let column = column.as_primitive::<Float64Type>();
                column.is_valid(row).then(|| column.value(row)).filter(|number| number.is_finite())
            };
            let numbers = numbers.iter().map(number).collect();
            self.points.push(Point { label: escaped(&label), time_ms, numbers });
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        for line in self.drawn() {
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
        }
    }
}

/// A column of times in milliseconds since 1970.
fn milliseconds(column: &ArrayRef) -> Result<ArrayRef> {
    let times = cast(column, &DataType::Timestamp(TimeUnit::Millisecond, None))?;
    let times = times.as_primitive::<TimestampMillisecondType>();
    Ok(std::sync::Arc::new(times.reinterpret_cast::<Int64Type>()))
}

/// A bar of eighths of a character; what is more than nothing is seen.
fn bar(share: f64, room: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share * room as f64 * 8.0).round() as usize;
    let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// A line through points in order of time, of braille dots: two a character across, four down.
fn plot(points: &[(i64, f64)], (first, last): (i64, i64), width: usize) -> Vec<String> {
    let numbers = points.iter().map(|(_, number)| *number);
    let least = numbers.clone().fold(f64::INFINITY, f64::min);
    let most = numbers.fold(f64::NEG_INFINITY, f64::max);
    let (top, bottom) = (short(most), short(least));
    let axis = top.width().max(bottom.width());
    let columns = width.saturating_sub(axis + 2).max(8);
    let mut cells = vec![vec![0_u8; columns]; PLOT_LINES];
    let share = |value: f64, from: f64, to: f64| if to > from { (value - from) / (to - from) } else { 0.5 };
    let place = |(time_ms, number): (i64, f64)| {
        let across = share(time_ms as f64, first as f64, last as f64) * (columns * 2 - 1) as f64;
        let down = (1.0 - share(number, least, most)) * (PLOT_LINES * 4 - 1) as f64;
        (across.round() as i64, down.round() as i64)
    };
    let mut before = None;
    for point in points {
        let to = place(*point);
        dots(before.unwrap_or(to), to, &mut cells);
        before = Some(to);
    }
    let side = |line: usize| match line {
        0 => top.as_str(),
        line if line + 1 == PLOT_LINES => bottom.as_str(),
        _ => "",
    };
    let text = |(line, cells): (usize, Vec<u8>)| {
        let dots: String =
            cells.into_iter().map(|dots| char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' ')).collect();
        format!("{:>axis$} │{}", side(line), dots.replace('\u{2800}', " "))
    };
    cells.into_iter().enumerate().map(text).collect()
}

/// Sets the dots of a line from one place to another.
fn dots(from: (i64, i64), to: (i64, i64), cells: &mut [Vec<u8>]) {
    /// The bit of each dot of a character, by row and column.
    const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
    let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).max(1);
    for step in 0..=steps {
        let between = |from: i64, to: i64| from + ((to - from) as f64 * step as f64 / steps as f64).round() as i64;
        let (across, down) = (between(from.0, to.0) as usize, between(from.1, to.1) as usize);
        cells[down / 4][across / 2] |= BITS[down % 4][across % 2];
    }
}

/// The line below the plots: when they begin and end.
fn span_line(first_ms: i64, last_ms: i64, width: usize) -> String {
    let text = |time_ms: i64| match DateTime::from_timestamp_millis(time_ms) {
        Some(time) => time.format("%Y-%m-%d %H:%M:%S").to_string(),
        None => time_ms.to_string(),
    };
    let (first, last) = (text(first_ms), text(last_ms));
    if first == last {
        return first;
    }
    let gap = width.saturating_sub(first.width() + last.width()).max(3);
    format!("{first}{}{last}", " ".repeat(gap))
}

fn shortened(label: &str) -> (String, usize) {
    match label.width() {
        width if width > LABEL_WIDTH => cut(label, LABEL_WIDTH),
        width => (label.to_owned(), width),
    }
}

/// A number as people read it beside a bar: `12`, `0.25`, `1200000`.
fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, StringArray, TimestampMillisecondArray};
    use arrow::record_batch::RecordBatch;
    use expect_test::expect;

    use super::super::samples::{batch, updates};
    use super::*;

    fn draw(batch: RecordBatch) -> String {
        let shape = Shape { schema: batch.schema(), is_updating: false, is_bounded: true };
        let mut chart = ChartRenderer::new(&shape, Zone::UTC, 40).unwrap();
        let mut out = Vec::new();
        chart.rows(&Changes::inserts(batch), &mut out).unwrap();
        chart.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_bar_a_label() {
        let names = [Some("error"), Some("日本"), None, Some("a label that is longer than there is room")];
        expect![[r#"
            error                    │██████████ 120
            日本                     │█████ 60
            NULL                     │ 0
            a label that is longer … │▏ 1
        "#]]
        .assert_eq(&draw(batch(&names, &[120, 60, 0, 1])));
    }

    #[test]
    fn a_line_a_series() {
        let hours: Vec<i64> = (0..24).map(|hour| hour * 3_600_000).collect();
        let of = |shift: f64| hours.iter().map(move |hour| (*hour as f64 / 1e7 + shift).sin() * 10.0);
        let times: Vec<i64> = hours.iter().chain(&hours).copied().collect();
        let names: Vec<&str> = hours.iter().map(|_| "JFK").chain(hours.iter().map(|_| "LGA")).collect();
        let numbers: Vec<f64> = of(0.0).chain(of(2.0)).collect();
        let columns: [(&str, ArrayRef); 3] = [
            ("hour", Arc::new(TimestampMillisecondArray::from(times))),
            ("origin", Arc::new(StringArray::from(names))),
            ("n", Arc::new(Float64Array::from(numbers))),
        ];
        expect![[r#"
            JFK
             9.98 │   ⢀⠔⠊⠉⠑⢄                   ⢀⠔⠊⠉⠒
                  │  ⢠⠊     ⠑⢄                ⡠⠃
                  │ ⡠⠃       ⠈⢆              ⡜
                  │⡰⠁         ⠈⡆            ⡜
                  │            ⠘⡄         ⢀⠜
                  │             ⠘⢄       ⢀⠎
                  │              ⠈⢆     ⡠⠃
            -9.99 │                ⠑⠤⣀⡠⠜
            LGA
             9.96 │⠢⡀                  ⢀⠔⠊⠉⠑⢄
                  │ ⠑⢄                ⢠⠊     ⠱⡀
                  │  ⠈⢆              ⡠⠃       ⠘⡄
                  │   ⠘⡄            ⡰⠁         ⠘⡄
                  │    ⠘⡄          ⡰⠁           ⠱⡀
                  │     ⠈⢆        ⡔⠁             ⠱⡀
                  │      ⠈⠢⡀    ⢠⠊                ⠈⢆
            -9.86 │        ⠑⠤⣀⣀⠔⠁
            1970-01-01 00:00:00   1970-01-01 23:00:00
        "#]]
        .assert_eq(&draw(RecordBatch::try_from_iter(columns).unwrap()));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        let refused = |shape: Shape| ChartRenderer::new(&shape, Zone::UTC, 80).err().unwrap().to_string();
        let schema = Arc::new(updates().schema().project(&[0]).unwrap());
        assert!(refused(Shape { schema, is_updating: false, is_bounded: true }).contains("a column of numbers"));
        assert!(refused(Shape { schema: updates().schema(), is_updating: true, is_bounded: true }).contains("changes"));
    }
}
