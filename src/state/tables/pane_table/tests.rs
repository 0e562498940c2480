//! What a barrier has handed over and what it has not, whatever was merged in between.

use arrow::array::AsArray;
use arrow::datatypes::{Field, Int64Type, Schema};

use super::*;

/// A sum by slot.
#[derive(Default)]
struct Sums(Vec<i64>);

impl SlotColumns for Sums {
    fn fields(&self) -> Vec<Field> {
        vec![Field::new("sum", DataType::Int64, false)]
    }

    fn resize(&mut self, slots: usize) {
        self.0.resize(slots, 0);
    }

    fn set(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        self.clear(slots);
        self.merge(slots, columns)
    }

    fn merge(&mut self, slots: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let sums = columns[0].as_primitive::<Int64Type>().values();
        slots.iter().zip(sums).for_each(|(slot, sum)| self.0[*slot as usize] += *sum);
        Ok(())
    }

    fn gather(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(Int64Array::from_iter_values(slots.iter().map(|slot| self.0[*slot as usize])))])
    }

    fn take(&mut self) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(Int64Array::from(std::mem::take(&mut self.0)))])
    }

    fn clear(&mut self, slots: &[u32]) {
        slots.iter().for_each(|slot| self.0[*slot as usize] = 0);
    }

    fn bytes(&self) -> usize {
        self.0.capacity() * 8
    }
}

fn table() -> PaneTable<Sums> {
    let fields = ["pane", "open_from", "k", "sum"].map(|name| Field::new(name, DataType::Int64, false));
    PaneTable::new("panes", Arc::new(Schema::new(fields.to_vec())), 1, || Ok(Sums::default()))
}

fn sum(batches: &[RecordBatch]) -> i64 {
    batches.iter().flat_map(|batch| batch.column(3).as_primitive::<Int64Type>().values().to_vec()).sum()
}

/// A slice may be asked for what it holds between two barriers, in the middle of which runs are merged.
#[test]
fn what_no_barrier_has_handed_over_is_not_merged_with_what_was() {
    let slice = Slice { open_from: 10, pane: 0 };
    let mut table = table();
    let (mut added, mut saved) = (0, 0);
    for turn in 0..40 {
        let column = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
        table.add(slice, &[column(turn % 3)], &[column(turn + 1)], 1).unwrap();
        added += turn + 1;
        if turn % 2 == 0 {
            assert_eq!(sum(&table.sealed(slice).unwrap()), added, "turn {turn}");
        }
        table.tidy().unwrap();
        if turn % 5 != 4 {
            let mut writer = SnapshotWriter::default();
            table.save(&mut writer).unwrap();
            saved += sum(&writer.puts);
            assert_eq!(saved, added, "turn {turn}");
        }
    }
    assert_eq!(sum(&table.sealed(slice).unwrap()), added);
}
