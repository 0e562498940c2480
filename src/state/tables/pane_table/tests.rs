//! What a barrier has handed over and what it has not, whatever was merged in between.

use arrow::array::AsArray;
use arrow::datatypes::{Field, Int64Type, Schema};

use super::super::restarts::Sums;
use super::*;

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
