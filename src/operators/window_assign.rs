//! Gives each row its pane and judges lateness by the watermark that the row met in its own split.
//!
//! A row is late when its last window had ended by that watermark, or so long before it that the window takes no more rows;
//! it leaves on the late output. A row of which only some windows were closed goes on, marked with the first window that
//! still counts it.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::late::{Refused, kept, late_schema, refuse, without_future};
use super::local_time::LocalTime;
use super::{BuildContext, Context, Milliseconds, Operator, OperatorSpec, Progress, WindowKind};
use crate::error::{Error, Result};
use crate::state::{StateTable, batch_of, integers};
use crate::stream::{Changes, Counter, EventTime, Zone};

/// The hidden column with the start of the row's pane, `Int64` ms.
pub const PANE_COLUMN: &str = "$pane";
/// The hidden column with the end of the first window that counts the row, `Int64` ms.
pub const OPEN_FROM_COLUMN: &str = "$open_from";

/// Windows of a fixed length over rows, before any aggregation.
#[derive(Debug, Clone)]
pub struct WindowAssignSpec {
    /// The columns that come in, the hidden watermark among them.
    pub input: SchemaRef,
    /// The rowtime column: `Timestamp(ms)`.
    pub time: usize,
    /// The hidden column of the watermark that the row met: `Int64` ms.
    pub watermark: usize,
    /// The windows.
    pub window: WindowKind,
    /// Names the window operator in late rows.
    pub operator: String,
    /// The columns of a late row, by index into the input.
    pub late_columns: Vec<usize>,
    /// Whether the time is that of the clock, by which no row is late.
    pub by_clock: bool,
    /// In which zone the windows lie.
    pub zone: Zone,
    /// For so many milliseconds behind its end a window still takes rows.
    pub lateness_ms: i64,
}

impl OperatorSpec for WindowAssignSpec {
    fn name(&self) -> &'static str {
        "WindowAssign"
    }

    fn signature(&self) -> String {
        String::new()
    }

    fn output(&self) -> SchemaRef {
        let own = self.input.fields().iter().enumerate().filter(|(index, _)| *index != self.watermark);
        let hidden = [PANE_COLUMN, OPEN_FROM_COLUMN].map(|name| Arc::new(Field::new(name, DataType::Int64, false)));
        Arc::new(Schema::new(own.map(|(_, field)| Arc::clone(field)).chain(hidden).collect::<Vec<_>>()))
    }

    fn late(&self) -> Option<SchemaRef> {
        (!self.by_clock).then(|| late_schema(&self.input, &self.late_columns))
    }

    fn build(&self, _: &BuildContext) -> Result<Box<dyn Operator>> {
        self.window.check_lengths()?;
        Ok(Box::new(WindowAssign {
            output: self.output(),
            late: late_schema(&self.input, &self.late_columns),
            spec: self.clone(),
            met: EventTime::NONE,
            local_time: LocalTime::new(self.zone),
            refused: Vec::new(),
        }))
    }
}

impl fmt::Display for WindowAssignSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = in_zone(self.zone);
        write!(out, "WindowAssign(time=[{}], window=[{}]{zone}", self.input.field(self.time).name(), self.window)?;
        if self.lateness_ms > 0 {
            write!(out, ", lateness=[{}]", Milliseconds(self.lateness_ms))?;
        }
        out.write_str(if self.by_clock { ", by clock)" } else { ")" })
    }
}

#[derive(Debug)]
struct WindowAssign {
    spec: WindowAssignSpec,
    output: SchemaRef,
    late: SchemaRef,
    /// The watermark that this operator has met. It is never ahead of what a row of an active split met, so it only
    /// judges the rows of splits that were idle or came late.
    met: EventTime,
    local_time: LocalTime,
    refused: Vec<Refused>,
}

/// How many pairs of a row and a window that holds it there are.
#[derive(Debug, Default)]
struct Pairs {
    assigned: usize,
    /// Those of late rows.
    late: usize,
    /// Those of other rows whose window had closed.
    closed: usize,
}

impl Operator for WindowAssign {
    fn on_rows(&mut self, _: usize, mut rows: Changes, cx: &mut Context) -> Result<Progress> {
        let spec = &self.spec;
        let (late_columns, operator) = (&spec.late_columns, &spec.operator);
        if let Some(present) = without_future(&rows, spec.watermark, &self.late, late_columns, operator, cx)? {
            rows = present;
        }
        let times = timestamps(rows.column(self.spec.time), self.spec.input.field(self.spec.time))?;
        let met = integers(rows.column(self.spec.watermark))?;
        self.check(times)?;

        let (mut panes, mut open_from) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let times = self.local_time.shown(times);
        let reached = self.local_time.reached_by(met);
        let pairs = self.assign(&times, met, &reached, &mut panes, &mut open_from);

        cx.count(Counter::WindowPairsAssigned, pairs.assigned);
        cx.count(Counter::WindowPairsLate, pairs.late);
        cx.count(Counter::WindowPairsPartiallyLate, pairs.closed);
        cx.count(Counter::WindowPairsCounted, pairs.assigned - pairs.late - pairs.closed);
        let (columns, operator) = (&self.spec.late_columns, &self.spec.operator);
        refuse(&self.late, rows.batch(), columns, operator, &self.refused, &mut self.local_time, cx)?;

        let columns = rows.batch().columns().iter().enumerate().filter(|(index, _)| *index != self.spec.watermark);
        let mut columns: Vec<ArrayRef> = columns.map(|(_, column)| Arc::clone(column)).collect();
        columns.push(Arc::new(Int64Array::from(panes)));
        columns.push(Arc::new(Int64Array::from(open_from)));
        let assigned = rows.with_batch(batch_of(&self.output, columns, rows.len())?);
        let is_all = self.refused.is_empty();
        cx.emit(if is_all { assigned } else { assigned.filter(&kept(&self.refused, rows.len()))? });
        Ok(Progress::Done)
    }

    fn on_watermark(&mut self, time: EventTime, _: &mut Context) -> Result<Progress> {
        self.met = self.met.max(time);
        Ok(Progress::Done)
    }

    fn watermark(&self) -> EventTime {
        self.met
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        Vec::new()
    }
}

impl WindowAssign {
    /// Refuses times whose window borders do not fit into 64 bits.
    fn check(&self, times: &[i64]) -> Result<()> {
        let (mut least, mut greatest) = (i64::MAX, i64::MIN);
        for time in times {
            (least, greatest) = (least.min(*time), greatest.max(*time));
        }
        let allowed = self.spec.window.times();
        match [least, greatest].into_iter().find(|time| !times.is_empty() && !allowed.contains(time)) {
            None => Ok(()),
            Some(time) => {
                let column = self.spec.input.field(self.spec.time).name();
                Err(Error::data(format!(
                    "column {column}: {} lies too far away for {}",
                    EventTime(time),
                    self.spec.window
                )))
            }
        }
    }

    /// Fills in pane and first open window of each row, notes the late rows, and counts pairs. Times, and what was
    /// `reached` when rows met the watermark `met`, are local, and so is the time for which a window takes rows behind its
    /// end, as in Flink.
    fn assign(
        &mut self,
        times: &[i64],
        met: &[i64],
        reached: &[i64],
        panes: &mut Vec<i64>,
        open_from: &mut Vec<i64>,
    ) -> Pairs {
        let window = self.spec.window;
        let (reached_here, lateness_ms) = (self.local_time.reached(self.met), self.spec.lateness_ms);
        let slide = window.slide_ms();
        self.refused.clear();
        let mut pairs = Pairs::default();
        let mut pane = times.first().map_or(0, |time| window.pane(*time));
        let mut length = window.pane_end(pane) - pane;
        let (mut first_end, mut last_end) = (window.first_end(pane), window.last_end(pane));
        let mut windows = window.windows_of(pane) as usize;
        for (row, (time, reached)) in times.iter().zip(reached).enumerate() {
            // Neighbours mostly lie in the same pane, which saves the division.
            if (time.wrapping_sub(pane) as u64) >= length as u64 {
                pane = window.pane(*time);
                length = window.pane_end(pane) - pane;
                (first_end, last_end) = (window.first_end(pane), window.last_end(pane));
                windows = window.windows_of(pane) as usize;
            }
            pairs.assigned += windows;
            let reached = reached_here.max(*reached).saturating_sub(lateness_ms);
            let mut open = first_end;
            // A row between windows is late for none.
            if reached >= open - 1 && windows > 0 {
                if reached >= last_end - 1 {
                    let (start, end) = (window.start(last_end), last_end);
                    let (met, met_of_split) = (self.met.0.max(met[row]), met[row]);
                    self.refused.push(Refused { row: row as u32, met, met_of_split, start, end, lateness_ms });
                    pairs.late += windows;
                } else {
                    // Windows that end at `reached + 1` or before take no more rows.
                    let closed = (reached + 1 - open) / slide + 1;
                    open += closed * slide;
                    pairs.closed += closed as usize;
                }
            }
            panes.push(pane);
            open_from.push(open);
        }
        pairs
    }
}

/// `, zone=[Europe/Berlin]`, as EXPLAIN shows windows over instants.
pub(super) fn in_zone(zone: Zone) -> String {
    if zone.is_utc() { String::new() } else { format!(", zone=[{zone}]") }
}

/// A rowtime column as milliseconds. A NULL is the data's fault; the source should have refused it.
pub(super) fn timestamps<'a>(column: &'a ArrayRef, field: &Field) -> Result<&'a [i64]> {
    let Some(times) = column.as_any().downcast_ref::<TimestampMillisecondArray>() else {
        return Err(Error::bug(format!("the rowtime column {} is {}", field.name(), column.data_type())));
    };
    if times.null_count() > 0 {
        return Err(Error::data(format!("column {}: the rowtime of a row is NULL", field.name())));
    }
    Ok(times.values())
}
