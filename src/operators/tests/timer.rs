//! An operator that only tests have: it proves that the contract carries processing-time timers and deleted state.
//!
//! A key is there (`+I`) from its first row until no row has come for a while, then gone (`-D`).

use std::fmt;
use std::time::Duration;

use arrow::array::ArrayRef;
use expect_test::expect;

use super::*;
use crate::error::Result;
use crate::operators::testing::{Compare, check_operator};
use crate::state::{KeyedTable, SlotColumns, StateTable, batch_of, integers};
use crate::stream::{ChangeKind, Changes, EventTime, ProcTime};

const LIFE: Duration = Duration::from_millis(100);

#[derive(Debug)]
struct ExpireSpec {
    input: SchemaRef,
}

/// By slot: when the key goes.
#[derive(Debug, Default)]
struct Ends(Vec<i64>);

struct Expire {
    schema: SchemaRef,
    table: KeyedTable<Ends>,
    watermark: EventTime,
}

impl OperatorSpec for ExpireSpec {
    fn name(&self) -> &'static str {
        "Expire"
    }

    fn signature(&self) -> String {
        "Expire".into()
    }

    fn output(&self) -> SchemaRef {
        Arc::clone(&self.input)
    }

    fn build(&self, _: &BuildContext) -> Result<Box<dyn Operator>> {
        let schema = schema("k STRING, end BIGINT");
        let table = KeyedTable::new("ends", schema, 1, 1, Ends::default())?;
        Ok(Box::new(Expire { schema: Arc::clone(&self.input), table, watermark: EventTime::NONE }))
    }
}

impl fmt::Display for ExpireSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Expire(after=[100 ms])")
    }
}

impl SlotColumns for Ends {
    fn fields(&self) -> Vec<Field> {
        vec![Field::new("end", DataType::Int64, true)]
    }

    fn resize(&mut self, slots: usize) {
        self.0.resize(slots, 0);
    }

    fn set(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        self.clear(slots);
        self.merge(slots, columns)
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        for (slot, end) in slots.iter().zip(integers(&columns[0])?) {
            self.0[*slot as usize] = self.0[*slot as usize].max(*end);
        }
        Ok(())
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let ends = slots.iter().map(|slot| self.0[*slot as usize]);
        Ok(vec![Arc::new(arrow::array::Int64Array::from_iter_values(ends))])
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(arrow::array::Int64Array::from(std::mem::take(&mut self.0)))])
    }

    fn clear(&mut self, slots: &[u32]) {
        slots.iter().for_each(|slot| self.0[*slot as usize] = 0);
    }

    fn bytes(&self) -> usize {
        self.0.capacity() * 8
    }
}

impl Expire {
    fn emit(&self, slots: &[u32], kind: ChangeKind, cx: &mut Context) -> Result<()> {
        let keys = self.table.table().index.gather(slots)?;
        cx.emit(Changes::new(batch_of(&self.schema, keys, slots.len())?, vec![kind; slots.len()]));
        Ok(())
    }
}

impl Operator for Expire {
    fn on_rows(&mut self, _: usize, rows: Changes, cx: &mut Context) -> Result<Progress> {
        let mut slots = Vec::new();
        self.table.assign(rows.batch().columns(), rows.len(), &mut slots)?;
        let mut new: Vec<u32> = Vec::new();
        for slot in &slots {
            if self.table.table().columns.0[*slot as usize] == 0 && !new.contains(slot) {
                new.push(*slot);
            }
        }
        let ends = arrow::array::Int64Array::from_value(cx.now.after(LIFE).0, rows.len());
        self.table.merge(&slots, &[Arc::new(ends)])?;
        self.table.touch(&slots);
        self.emit(&new, ChangeKind::Insert, cx)?;
        Ok(Progress::Done)
    }

    fn on_watermark(&mut self, time: EventTime, _: &mut Context) -> Result<Progress> {
        self.watermark = time;
        Ok(Progress::Done)
    }

    fn watermark(&self) -> EventTime {
        self.watermark
    }

    fn on_tick(&mut self, cx: &mut Context) -> Result<Progress> {
        let ends = &self.table.table().columns.0;
        let gone = |(_, end): &(usize, &i64)| **end != 0 && **end <= cx.now.0;
        let gone: Vec<u32> = ends.iter().enumerate().filter(gone).map(|(slot, _)| slot as u32).collect();
        self.emit(&gone, ChangeKind::Delete, cx)?;
        self.table.remove(&gone);
        Ok(Progress::Done)
    }

    fn next_tick(&self) -> Option<ProcTime> {
        self.table.table().columns.0.iter().copied().filter(|end| *end != 0).min().map(ProcTime)
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        vec![&mut self.table]
    }
}

#[test]
fn timers_and_deletions_survive_restarts() {
    let spec = ExpireSpec { input: schema("k STRING") };
    check_operator(
        &[&spec],
        &spec.input,
        Compare::Changes,
        "
        +I a
        +I b
        tick 50
        +I b
        +I c
        tick 99
        tick 100
        tick 120
        +I a
        tick 149
        tick 150
        tick 500
        +I a
        end",
        expect![[r#"
            2 rows
              +I a
              +I b
            tick 50
            2 rows
              +I c
            tick 99
            tick 100
              -D a
            tick 120
            1 row
              +I a
            tick 149
            tick 150
              -D b
              -D c
            tick 500
              -D a
            1 row
              +I a
            end
        "#]],
    );
}
