//! A chain of operators that call each other directly, as one task runs it. Synchronous.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use crate::error::{Error, Result};
use crate::operators::{Context, Flush, Operator, OperatorSpec};
use crate::state::{OperatorSnapshot, StateTable, snapshot};
use crate::stream::{Changes, Counter, Counters, EventTime, ProcTime};

/// The running operators of a task.
pub struct Chain {
    links: Vec<Link>,
    /// When the first operator that asked wants to be called.
    wake_at: Option<ProcTime>,
}

struct Link {
    /// `0.WindowAssign`: place in the chain and kind.
    name: String,
    kind: &'static str,
    signature: String,
    operator: Box<dyn Operator>,
    counters: Counters,
    /// When this operator wants its next tick.
    wake_at: Option<ProcTime>,
}

/// What left a chain.
#[derive(Debug, Default)]
pub struct Emitted {
    pub main: Vec<Changes>,
    /// Late rows with the index of the operator that refused them.
    pub late: Vec<(usize, RecordBatch)>,
}

impl Chain {
    /// Fresh operators.
    pub fn new(specs: &[Arc<dyn OperatorSpec>]) -> Result<Self> {
        let links = specs.iter().enumerate().map(|(index, spec)| {
            Ok(Link {
                name: format!("{index}.{}", spec.name()),
                kind: spec.name(),
                signature: spec.signature(),
                operator: spec.build()?,
                counters: Counters::default(),
                wake_at: None,
            })
        });
        Ok(Self { links: links.collect::<Result<_>>()?, wake_at: None })
    }

    /// Lets `load` put saved rows back into each table, which it is shown with the place of its operator.
    pub fn load(&mut self, mut load: impl FnMut(usize, &mut dyn StateTable) -> Result<()>) -> Result<()> {
        for (index, link) in self.links.iter_mut().enumerate() {
            link.operator.state().into_iter().try_for_each(|table| load(index, table))?;
        }
        Ok(())
    }

    /// Goes on from counts of an earlier run. Operators are found by their kind and not by their place, where some
    /// without state may have come or gone before them.
    pub fn load_counters(&mut self, counters: &BTreeMap<String, Counters>) {
        let mut saved: Vec<(usize, &str, &Counters)> = Vec::new();
        for (name, counters) in counters {
            if let Some((place, kind)) = name.split_once('.') {
                saved.push((place.parse().unwrap_or(usize::MAX), kind, counters));
            }
        }
        saved.sort_by_key(|(place, ..)| *place);
        for link in &mut self.links {
            if let Some(found) = saved.iter().position(|(_, kind, _)| *kind == link.kind) {
                link.counters.merge(saved.remove(found).2);
            }
        }
    }

    /// The sum of all operators' counts.
    pub fn count_of(&self, counter: Counter) -> u64 {
        self.links.iter().map(|link| link.counters.get(counter)).sum()
    }

    /// Counts by operator.
    pub fn counters(&self) -> BTreeMap<String, Counters> {
        self.links.iter().map(|link| (link.name.clone(), link.counters.clone())).collect()
    }

    /// Kinds and signatures, in order.
    pub fn signatures(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.links.iter().map(|link| (link.kind, link.signature.as_str()))
    }

    /// Bytes of state held in memory.
    pub fn state_bytes(&mut self) -> usize {
        self.links.iter_mut().flat_map(|link| link.operator.state()).map(|table| table.bytes()).sum()
    }

    /// Rows for the first operator.
    pub fn rows(&mut self, port: usize, rows: Changes, now: ProcTime, emitted: &mut Emitted) -> Result<()> {
        self.push(0, port, rows, now, emitted)
    }

    /// A watermark for all operators, each after the rows that the one before it released. Returns the time to pass on.
    pub fn watermark(&mut self, time: EventTime, now: ProcTime, emitted: &mut Emitted) -> Result<EventTime> {
        let mut time = time;
        for index in 0..self.links.len() {
            time = self.call(index, now, emitted, |operator, context| operator.on_watermark(time, context))?;
        }
        Ok(time)
    }

    /// Input `port` of the first operator is complete, and with the last port those behind it.
    pub fn end(&mut self, port: usize, is_last: bool, now: ProcTime, emitted: &mut Emitted) -> Result<()> {
        for index in 0..self.links.len() {
            if index > 0 && !is_last {
                break;
            }
            let port = if index == 0 { port } else { 0 };
            self.call(index, now, emitted, |operator, context| operator.on_end(port, context))?;
        }
        Ok(())
    }

    /// Rows that were held back leave.
    pub fn flush(&mut self, why: Flush, now: ProcTime, emitted: &mut Emitted) -> Result<()> {
        for index in 0..self.links.len() {
            self.call(index, now, emitted, |operator, context| operator.flush(why, context))?;
        }
        Ok(())
    }

    /// Calls the operators whose time has come, and those that wait for none: rows may have given them one.
    pub fn tick(&mut self, now: ProcTime, emitted: &mut Emitted) -> Result<()> {
        for index in 0..self.links.len() {
            if self.links[index].wake_at.is_none_or(|at| at <= now) {
                self.links[index].wake_at =
                    self.call(index, now, emitted, |operator, context| operator.on_tick(context))?;
            }
        }
        self.wake_at = self.links.iter().filter_map(|link| link.wake_at).min();
        Ok(())
    }

    /// When `tick` should be called.
    pub fn wake_at(&self) -> Option<ProcTime> {
        self.wake_at
    }

    /// Hands the state over, table by table; everything was flushed before.
    pub fn snapshot(&mut self) -> Result<Vec<OperatorSnapshot>> {
        self.links.iter_mut().map(|link| snapshot(link.operator.state())).collect()
    }

    fn push(&mut self, index: usize, port: usize, rows: Changes, now: ProcTime, emitted: &mut Emitted) -> Result<()> {
        if index == self.links.len() {
            emitted.main.push(rows);
            return Ok(());
        }
        let count = rows.len() as u64;
        self.links[index].counters.add(Counter::NumRecordsIn, count);
        self.call(index, now, emitted, |operator, context| operator.on_rows(port, rows, context))
    }

    /// Calls one operator and passes on what it emits.
    fn call<T>(
        &mut self,
        index: usize,
        now: ProcTime,
        emitted: &mut Emitted,
        call: impl FnOnce(&mut dyn Operator, &mut Context) -> Result<T>,
    ) -> Result<T> {
        let link = &mut self.links[index];
        let mut context = Context::new(now);
        let answer = call(link.operator.as_mut(), &mut context).map_err(|error| in_operator(error, link.kind))?;
        link.counters.merge(&context.counters);
        let out = context.take_out();
        emitted.late.extend(context.take_late().into_iter().map(|rows| (index, rows)));
        link.counters.add(Counter::NumRecordsOut, out.iter().map(|rows| rows.len() as u64).sum());
        for rows in out {
            self.push(index + 1, 0, rows, now, emitted)?;
        }
        Ok(answer)
    }
}

fn in_operator(error: Error, kind: &str) -> Error {
    match error.blame() {
        crate::error::Blame::Bug => error.context(format!("operator {kind}")),
        _ => error,
    }
}
