//! Increments are written once, in whatever order the work gets done and whichever of it fails.

use std::path::PathBuf;
use std::sync::Mutex;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use tokio::sync::mpsc;

use super::*;
use crate::state::TableKind;
use crate::storage::{FakeStore, Fault, Stores};
use crate::stream::{BarrierKind, Blocking, Entropy, ProcTime};

type Work = Box<dyn FnOnce() + Send>;

/// Keeps work until the test lets it be done.
#[derive(Default)]
struct HeldBlocking {
    work: Mutex<Vec<(Work, tokio::sync::oneshot::Sender<()>)>>,
}

impl std::fmt::Debug for HeldBlocking {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("HeldBlocking")
    }
}

impl Blocking for HeldBlocking {
    fn run(&self, work: Work) -> BoxFuture<'static, Result<()>> {
        let (done, is_done) = tokio::sync::oneshot::channel();
        self.work.lock().unwrap().push((work, done));
        Box::pin(async {
            let _ = is_done.await;
            Ok(())
        })
    }
}

#[derive(Debug)]
struct NoTime;

impl crate::stream::Clock for NoTime {
    fn now(&self) -> ProcTime {
        ProcTime(0)
    }

    fn elapsed(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

struct Task {
    store: FakeStore,
    blocking: Arc<HeldBlocking>,
    kept: KeptIncrements,
    target: SnapshotTarget,
    events: mpsc::Receiver<Event>,
}

impl Task {
    fn new() -> Self {
        let (store, blocking) = (FakeStore::new(), Arc::new(HeldBlocking::default()));
        let (sender, events) = mpsc::channel(16);
        let world = World {
            stores: Stores::new(Arc::new(store.clone())),
            clock: Arc::new(NoTime),
            entropy: Entropy::seeded(0),
            blocking: Arc::clone(&blocking) as Arc<dyn Blocking>,
            input: Arc::default(),
            outputs: Default::default(),
        };
        let target = SnapshotTarget {
            directory: Some(JobDirectory { store: Arc::new(store.clone()), path: PathBuf::from("/job") }),
            generation: Generation(1),
            max_parallelism: 128,
            groups: (0, 127),
            world,
            events: Events::new(sender),
        };
        Self { store, blocking, kept: KeptIncrements::default(), target, events }
    }

    /// A barrier at which the only table hands over one row.
    async fn barrier(&mut self, epoch: u64, covered: u64) {
        self.retiring_barrier(epoch, covered, None).await;
    }

    /// The same, and rows before this time are gone.
    async fn retiring_barrier(&mut self, epoch: u64, covered: u64, before: Option<i64>) {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let rows = Arc::new(Int64Array::from(vec![epoch as i64]));
        let mut writer = SnapshotWriter::default();
        writer.put(RecordBatch::try_new(Arc::clone(&schema), vec![rows]).unwrap());
        before.into_iter().for_each(|before| writer.retire(EventTime(before)));
        let spec = TableSpec { name: "panes".to_owned(), schema, key: vec![0], kind: TableKind::Append };
        let facts = TaskFacts {
            task: TaskId { node: "window".to_owned(), task: 0 },
            operators: vec![OperatorPart { id: OperatorId::of("window", "w"), ..OperatorPart::default() }],
            groups: (0, 127),
            shares_watermark: false,
        };
        let barrier = Barrier { epoch: Epoch(epoch), kind: BarrierKind::Checkpoint, covered: Epoch(covered) };
        upload(&mut self.kept, barrier, vec![vec![(spec, writer)]], facts, &self.target);
        turns().await;
    }

    /// Does the piece of work that has waited for the longest, or the last one.
    async fn work(&self, newest_first: bool) -> bool {
        let next = {
            let mut work = self.blocking.work.lock().unwrap();
            match newest_first {
                true => work.pop(),
                false => (!work.is_empty()).then(|| work.remove(0)),
            }
        };
        let Some((work, done)) = next else { return false };
        work();
        let _ = done.send(());
        turns().await;
        true
    }

    /// The epochs and files of the parts, and the epochs that were declined.
    fn events(&mut self) -> Vec<(u64, Option<Vec<String>>)> {
        let mut events = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            events.push(match event {
                Event::Acknowledged { epoch, part, .. } => {
                    let files = &part.operators[0].tables[0].files;
                    (epoch.0, Some(files.iter().map(|file| file.path.clone()).collect()))
                }
                Event::Declined { epoch, .. } => (epoch.0, None),
                other => panic!("{other:?}"),
            });
        }
        events
    }
}

/// Lets everything run that can.
async fn turns() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn path(epoch: u64, attempt: u32) -> String {
    format!("data/{epoch}-1/window-aceee8f5.panes.0.{attempt}.parquet")
}

/// Checkpoint 1 is given up while its file is being written, and checkpoint 2 names that file: nobody writes it again,
/// in whatever order the work gets done.
#[tokio::test]
async fn an_increment_is_written_once_whoever_began_it() {
    for newest_first in [false, true] {
        let mut task = Task::new();
        task.barrier(1, 0).await;
        task.barrier(2, 0).await;
        while task.work(newest_first).await {}
        let events = task.events();
        assert!(events.contains(&(1, Some(vec![path(1, 0)]))), "{events:?}");
        assert!(events.contains(&(2, Some(vec![path(1, 0), path(2, 0)]))), "{events:?}");
        let files = task.store.files();
        assert_eq!(files.len(), 2, "{files:?}");
        let operations = task.store.operations();
        task.barrier(3, 0).await;
        while task.work(newest_first).await {}
        assert_eq!(task.events(), [(3, Some(vec![path(1, 0), path(2, 0), path(3, 0)]))]);
        assert!(task.store.operations() > operations);
        assert!(files.iter().all(|(path, bytes)| task.store.files()[path] == *bytes), "none was touched again");
        assert_eq!(task.kept.bytes(), 0);
        task.barrier(4, 2).await;
        while task.work(newest_first).await {}
        assert_eq!(task.events(), [(4, Some(vec![path(3, 0), path(4, 0)]))], "2 covers the first two");
    }
}

#[tokio::test]
async fn a_write_that_failed_is_tried_again_under_another_name() {
    let mut task = Task::new();
    task.barrier(1, 0).await;
    // Its directories are made, then the file, which gets half of its bytes.
    task.store.plant(task.store.operations() + 9, Fault::Fail);
    while task.work(false).await {}
    assert_eq!(task.events(), [(1, None)]);
    assert!(task.kept.bytes() > 0, "the rows wait for another attempt");
    task.barrier(2, 0).await;
    while task.work(false).await {}
    assert_eq!(task.events(), [(2, Some(vec![path(1, 1), path(2, 0)]))]);
    assert_eq!(task.kept.bytes(), 0);
}

/// What a given-up checkpoint was to say is gone is said by the next, until a complete one covers it.
#[tokio::test]
async fn rows_that_were_retired_at_a_given_up_checkpoint_are_gone_in_the_next() {
    let mut task = Task::new();
    let mut said = Vec::new();
    for (epoch, covered, before) in [(1, 0, Some(50)), (2, 0, None), (3, 0, Some(70)), (4, 3, None)] {
        task.retiring_barrier(epoch, covered, before).await;
        while task.work(false).await {}
        let Ok(Event::Acknowledged { part, .. }) = task.events.try_recv() else { panic!("epoch {epoch}") };
        said.push(part.operators[0].tables[0].retired.map(|retired| retired.before));
    }
    assert_eq!(said, [Some(50), Some(50), Some(70), None]);
}
