//! A chain of operators that call each other directly, as one task runs it. Synchronous.
//!
//! What an operator emits waits before the next one. The deepest operator with something to do always goes first, so
//! little waits at any time; when enough has left the chain, it stops and the task sends that.
//!
//! ```text
//!   rows, watermark, end ─▶ [ … ] operator 0 ─▶ [ rows, watermark ] operator 1 ─▶ [ … ] operator 2 ─▶ what left
//!                                                                   goes on first if it was stopped in a call
//! ```

use std::collections::VecDeque;

use arrow::record_batch::RecordBatch;

use super::{BuildContext, Context, Flush, Operator, OperatorSpec, OutputBudget, Progress};
use crate::error::{Error, Result};
use crate::state::{OperatorSnapshot, StateTable, snapshot};
use crate::stream::{Changes, Counter, Counters, EventTime, ProcTime};

/// The running operators of a task.
pub struct Chain {
    links: Vec<Link>,
    budget: OutputBudget,
    /// The operators before this one have been flushed, of a flush that is under way.
    flushed: usize,
}

struct Link {
    kind: &'static str,
    operator: Box<dyn Operator>,
    counters: Counters,
    /// What waits for the operator, in order.
    waiting: VecDeque<Item>,
    /// A call stopped before its end.
    is_unfinished: bool,
    /// The watermark that it has been told; `None` before the first.
    met: Option<EventTime>,
    /// The watermark that has been passed on; `None` before the first.
    passed_on: Option<EventTime>,
    /// Its end is to be passed on once the call is done.
    is_ending: bool,
}

/// What comes to an operator.
enum Item {
    Rows { port: usize, rows: Changes },
    Watermark(EventTime),
    End { port: usize, is_last: bool },
}

/// What left a chain.
#[derive(Debug, Default)]
pub struct Emitted {
    pub main: Vec<Changes>,
    /// Late rows with the index of the operator that refused them.
    pub late: Vec<(usize, RecordBatch)>,
    /// The watermark behind the rows.
    pub watermark: Option<EventTime>,
    /// Nothing will follow.
    pub is_ended: bool,
    rows: usize,
    bytes: usize,
}

impl Emitted {
    /// Takes everything out.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

impl Chain {
    /// Fresh operators.
    pub fn new(specs: &[&dyn OperatorSpec], cx: &BuildContext) -> Result<Self> {
        let links = specs.iter().map(|spec| {
            Ok(Link {
                kind: spec.name(),
                operator: spec.build(cx)?,
                counters: Counters::default(),
                waiting: VecDeque::new(),
                is_unfinished: false,
                met: None,
                passed_on: None,
                is_ending: false,
            })
        });
        Ok(Self { links: links.collect::<Result<_>>()?, budget: cx.output, flushed: 0 })
    }

    /// Shows each table with the place of its operator: to put saved rows back into it, or to ask what it is.
    pub fn each_table(&mut self, mut visit: impl FnMut(usize, &mut dyn StateTable) -> Result<()>) -> Result<()> {
        for (index, link) in self.links.iter_mut().enumerate() {
            link.operator.state().into_iter().try_for_each(|table| visit(index, table))?;
        }
        Ok(())
    }

    /// Goes on from counts of an earlier run, by operator.
    pub fn load_counters<'a>(&mut self, counters: impl IntoIterator<Item = Option<&'a Counters>>) {
        for (link, counters) in self.links.iter_mut().zip(counters) {
            counters.into_iter().for_each(|counters| link.counters.merge(counters));
        }
    }

    /// Tells operators with restored state how far time had come, each its own; also where none had come yet, as with this
    /// call an operator knows its state for restored.
    pub fn go_on_from(&mut self, times: &[EventTime]) {
        for (index, time) in times.iter().enumerate() {
            self.enqueue(index, Item::Watermark(*time));
        }
    }

    /// The sum of all operators' counts.
    pub fn count_of(&self, counter: Counter) -> u64 {
        self.links.iter().map(|link| link.counters.get(counter)).sum()
    }

    /// The watermark that closes the next of the operators' windows.
    pub fn next_window(&mut self) -> Option<EventTime> {
        self.links.iter_mut().filter_map(|link| link.operator.next_window()).min()
    }

    /// Counts of each operator.
    pub fn counters(&self) -> impl Iterator<Item = &Counters> {
        self.links.iter().map(|link| &link.counters)
    }

    /// The watermark that each operator has been told; what it does behind that is in its state.
    pub fn watermarks(&self) -> impl Iterator<Item = EventTime> {
        self.links.iter().map(|link| link.met.unwrap_or(EventTime::NONE))
    }

    /// The kinds of the operators, in order.
    pub fn kinds(&self) -> Vec<&'static str> {
        self.links.iter().map(|link| link.kind).collect()
    }

    /// Bytes of state held in memory, and of rows that are held back.
    pub fn state_bytes(&mut self) -> usize {
        self.measure(|_, _| ())
    }

    /// The same; `each` is told the rows and the bytes of every table, in the order of [`each_table`](Self::each_table).
    pub fn measure(&mut self, mut each: impl FnMut(usize, usize)) -> usize {
        let mut bytes: usize = self.links.iter().map(|link| link.operator.held_bytes()).sum();
        for table in self.links.iter_mut().flat_map(|link| link.operator.state()) {
            let of_table = table.bytes();
            each(table.row_count(), of_table);
            bytes += of_table;
        }
        bytes
    }

    /// Rows for the first operator; `work` has to follow, as for all that comes in.
    pub fn rows(&mut self, port: usize, rows: Changes) {
        self.enqueue(0, Item::Rows { port, rows });
    }

    /// A watermark for all operators, each after the rows that the one before it released.
    pub fn watermark(&mut self, time: EventTime) {
        self.enqueue(0, Item::Watermark(time));
    }

    /// Input `port` of the first operator is complete, and with the last port those behind it.
    pub fn end(&mut self, port: usize, is_last: bool) {
        self.enqueue(0, Item::End { port, is_last });
    }

    /// Whether there is something to do without anything coming in.
    pub fn is_busy(&self) -> bool {
        self.links.iter().any(|link| link.is_unfinished || !link.waiting.is_empty())
    }

    /// Gives the operators what waits for them, while calls that stopped before their end are left as they are; `More` if
    /// enough has left the chain.
    pub fn take_in(&mut self, now: ProcTime, emitted: &mut Emitted) -> Result<Progress> {
        while !self.budget.is_used_up(emitted.rows, emitted.bytes) {
            let next = self.links.iter().enumerate().rev().find_map(|(index, link)| Some((index, link.next_item()?)));
            let Some((index, item)) = next else { return Ok(Progress::Done) };
            self.give(index, item, now, emitted)?;
        }
        Ok(Progress::More)
    }

    /// Goes on until nothing is left to do, or enough has left the chain, or a call that takes long has been resumed once.
    pub fn work(&mut self, now: ProcTime, emitted: &mut Emitted) -> Result<Progress> {
        let mut has_resumed = false;
        loop {
            if self.budget.is_used_up(emitted.rows, emitted.bytes) {
                return Ok(Progress::More);
            }
            let Some(index) = self.links.iter().rposition(Link::is_busy) else {
                return Ok(Progress::Done);
            };
            match self.links[index].next_item() {
                Some(item) => self.give(index, item, now, emitted)?,
                None if std::mem::replace(&mut has_resumed, true) => return Ok(Progress::More),
                None => self.resume(index, now, emitted)?,
            }
        }
    }

    /// Everything that is in no state table leaves (or, while the inputs rest, what somebody waits for). Called again
    /// after `More`. What an operator keeps in its state tables, a fire that is not finished for instance, stays there.
    pub fn flush(&mut self, why: Flush, now: ProcTime, emitted: &mut Emitted) -> Result<Progress> {
        loop {
            if self.budget.is_used_up(emitted.rows, emitted.bytes) {
                return Ok(Progress::More);
            }
            if let Some(index) = self.links.iter().rposition(|link| link.next_of_data().is_some()) {
                if let Some(item) = self.links[index].next_of_data() {
                    self.give(index, item, now, emitted)?;
                }
                continue;
            }
            let index = self.flushed;
            if index == self.links.len() {
                self.flushed = 0;
                return Ok(Progress::Done);
            }
            if self.call(index, now, emitted, |operator, context| operator.flush(why, context))? == Progress::More {
                continue;
            }
            self.flushed += 1;
            let link = &mut self.links[index];
            if why == Flush::All && link.is_unfinished && link.operator.state().is_empty() {
                // Nothing is left of what it had to do but to pass its watermark on.
                self.resume(index, now, emitted)?;
            }
        }
    }

    /// Calls the operators whose time has come.
    pub fn tick(&mut self, now: ProcTime, emitted: &mut Emitted) -> Result<()> {
        for index in 0..self.links.len() {
            if self.links[index].operator.next_tick().is_some_and(|at| at <= now) {
                let progress = self.call(index, now, emitted, |operator, context| operator.on_tick(context))?;
                self.links[index].is_unfinished |= progress == Progress::More;
            }
        }
        Ok(())
    }

    /// When `tick` should be called.
    pub fn wake_at(&self) -> Option<ProcTime> {
        self.links.iter().filter_map(|link| link.operator.next_tick()).min()
    }

    /// Hands the state over, table by table; everything was flushed before.
    pub fn snapshot(&mut self) -> Result<Vec<OperatorSnapshot>> {
        self.links.iter_mut().map(|link| snapshot(link.operator.state())).collect()
    }

    fn enqueue(&mut self, index: usize, item: Item) {
        self.links[index].waiting.push_back(item);
    }

    /// Gives an operator one of the things that wait for it.
    fn give(&mut self, index: usize, item: usize, now: ProcTime, emitted: &mut Emitted) -> Result<()> {
        let link = &mut self.links[index];
        let Some(item) = link.waiting.remove(item) else { return Ok(()) };
        let progress = match item {
            Item::Rows { port, rows } => {
                link.counters.add(Counter::NumRecordsIn, rows.len() as u64);
                self.call(index, now, emitted, |operator, context| operator.on_rows(port, rows, context))?
            }
            // One that was restored may have come further than those that are new before it.
            Item::Watermark(time) if Some(time) < link.met => Progress::Done,
            Item::Watermark(time) => {
                link.met = Some(time);
                self.call(index, now, emitted, |operator, context| operator.on_watermark(time, context))?
            }
            Item::End { port, is_last } => {
                link.is_ending = is_last;
                self.call(index, now, emitted, |operator, context| operator.on_end(port, context))?
            }
        };
        self.links[index].is_unfinished |= progress == Progress::More;
        self.pass_end(index, emitted);
        Ok(())
    }

    fn resume(&mut self, index: usize, now: ProcTime, emitted: &mut Emitted) -> Result<()> {
        let progress = self.call(index, now, emitted, |operator, context| operator.resume(context))?;
        self.links[index].is_unfinished = progress == Progress::More;
        self.pass_end(index, emitted);
        Ok(())
    }

    /// Behind its last rows an operator's end goes on.
    fn pass_end(&mut self, index: usize, emitted: &mut Emitted) {
        let link = &mut self.links[index];
        if link.is_unfinished || !std::mem::take(&mut link.is_ending) {
            return;
        }
        if index + 1 == self.links.len() {
            emitted.is_ended = true;
        } else {
            self.enqueue(index + 1, Item::End { port: 0, is_last: true });
        }
    }

    /// Calls one operator and passes on what it emits, and behind that its watermark if it has moved.
    fn call(
        &mut self,
        index: usize,
        now: ProcTime,
        emitted: &mut Emitted,
        call: impl FnOnce(&mut dyn Operator, &mut Context) -> Result<Progress>,
    ) -> Result<Progress> {
        let link = &mut self.links[index];
        let mut context = Context::with_budget(now, self.budget);
        let progress = call(link.operator.as_mut(), &mut context).map_err(|error| in_operator(error, link.kind))?;
        link.counters.merge(&context.counters);
        let out = context.take_out();
        emitted.late.extend(context.take_late().into_iter().map(|rows| (index, rows)));
        link.counters.add(Counter::NumRecordsOut, out.iter().map(|rows| rows.len() as u64).sum());
        let watermark = Some(link.operator.watermark()).filter(|time| Some(*time) > link.passed_on);
        link.passed_on = link.passed_on.max(watermark);
        match self.links.get_mut(index + 1) {
            Some(next) => {
                next.waiting.extend(out.into_iter().map(|rows| Item::Rows { port: 0, rows }));
                next.waiting.extend(watermark.map(Item::Watermark));
            }
            None => {
                for rows in out {
                    emitted.rows += rows.len();
                    emitted.bytes += rows.bytes();
                    emitted.main.push(rows);
                }
                emitted.watermark = emitted.watermark.max(watermark);
            }
        }
        Ok(progress)
    }
}

impl Link {
    fn is_busy(&self) -> bool {
        self.is_unfinished || !self.waiting.is_empty()
    }

    /// Which of what waits comes next: rows and watermarks may come to an operator that is not done with a call, its end
    /// may not. None if the call has to go on first.
    fn next_item(&self) -> Option<usize> {
        if self.is_unfinished { self.next_of_data() } else { (!self.waiting.is_empty()).then_some(0) }
    }

    fn next_of_data(&self) -> Option<usize> {
        self.waiting.iter().position(|item| !matches!(item, Item::End { .. }))
    }
}

fn in_operator(error: Error, kind: &str) -> Error {
    match error.blame() {
        crate::error::Blame::Bug => error.context(format!("operator {kind}")),
        _ => error,
    }
}
