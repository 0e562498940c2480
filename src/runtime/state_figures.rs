//! What the state tables of a job hold. Each task writes the figures of its own tables, without a lock; whoever holds the
//! job's handle reads their sums.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Result;
use crate::operators::{Chain, OperatorSpec, StateBound};

/// One state table of one operator, all its tasks together, as they last reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableStatus {
    /// The operator's line in EXPLAIN.
    pub operator: Arc<str>,
    /// The name of the table, as checkpoints have it.
    pub table: Arc<str>,
    /// Rows, with those that are gone and stand in the last checkpoint.
    pub rows: u64,
    /// Bytes in memory.
    pub bytes: u64,
    /// What bounds the operator's state.
    pub bound: StateBound,
}

/// The tables of one task.
#[derive(Debug)]
pub struct TaskTables {
    /// The place of the task's node in the plan.
    node: usize,
    tables: Vec<TableFigures>,
}

#[derive(Debug)]
struct TableFigures {
    operator: Arc<str>,
    table: Arc<str>,
    bound: StateBound,
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl TaskTables {
    /// The tables of a task's chain, which was built from `specs`; they hold nothing as far as is known.
    pub fn new(node: usize, specs: &[Arc<dyn OperatorSpec>], chain: &mut Chain) -> Result<Self> {
        let operators: Vec<(Arc<str>, StateBound)> =
            specs.iter().map(|spec| (spec.to_string().into(), spec.bound())).collect();
        let mut tables = Vec::new();
        chain.each_table(|operator, table| {
            let (operator, bound) = operators[operator].clone();
            let (rows, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
            tables.push(TableFigures { operator, table: table.spec().name.into(), bound, rows, bytes });
            Ok(())
        })?;
        Ok(Self { node, tables })
    }

    /// The state of the chain as it is now, in bytes; what the tables hold of it can be read from here on.
    pub fn measure(&self, chain: &mut Chain) -> usize {
        let mut tables = self.tables.iter();
        chain.measure(|rows, bytes| {
            if let Some(table) = tables.next() {
                table.rows.store(rows as u64, Ordering::Relaxed);
                table.bytes.store(bytes as u64, Ordering::Relaxed);
            }
        })
    }
}

/// The tables of all tasks, in the order of the plan.
pub fn sums(tasks: &[Arc<TaskTables>]) -> Vec<TableStatus> {
    let mut sums = BTreeMap::<(usize, usize), TableStatus>::new();
    for task in tasks {
        for (index, table) in task.tables.iter().enumerate() {
            let sum = sums.entry((task.node, index)).or_insert_with(|| TableStatus {
                operator: Arc::clone(&table.operator),
                table: Arc::clone(&table.table),
                rows: 0,
                bytes: 0,
                bound: table.bound,
            });
            sum.rows += table.rows.load(Ordering::Relaxed);
            sum.bytes += table.bytes.load(Ordering::Relaxed);
        }
    }
    sums.into_values().collect()
}
