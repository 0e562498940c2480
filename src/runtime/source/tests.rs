//! The loop over splits that say what the test has them say, word for word: what it sends, in which order, and what it
//! puts into a checkpoint.

use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, AsArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMillisecondType};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

use super::super::channel::{Receiver, Yields, channel};
use super::super::exchange::OutputEdge;
use super::super::source_control::{ControlSender, source_control};
use super::super::status::JobFigures;
use super::super::watermark_group::WatermarkGroups;
use super::*;
use crate::connectors::{Decoder, SourceContext, SourceFactory, SplitReader};
use crate::expressions::Scalar;
use crate::plan::{Exchange, OnError, SourceNode, WatermarkAlignment, WatermarkSpec};
use crate::stream::{BarrierKind, Changes, MemoryPool, ProcTime};

/// When a split counts as idle, and how often others are looked for, in milliseconds.
const TIMEOUT: u64 = 50;

/// What a split has next: so many rows from this time on, a millisecond apart; or nothing any more.
#[derive(Debug, Clone, Copy)]
enum Say {
    Rows(i64, i64),
    End,
}

/// Splits by name, each with what it has said so far.
#[derive(Debug, Clone, Default)]
struct Scripted {
    splits: Arc<Mutex<BTreeMap<String, watch::Sender<Vec<Say>>>>>,
    acknowledged: Arc<Mutex<Vec<(String, u64)>>>,
    opened: Arc<AtomicUsize>,
    /// Nobody else keeps what has been said: a barrier waits for it.
    is_queue: bool,
}

impl Scripted {
    fn say(&self, split: &str, what: Say) {
        let mut splits = self.splits.lock().unwrap();
        splits
            .entry(split.to_owned())
            .or_insert_with(|| watch::Sender::new(Vec::new()))
            .send_modify(|said| said.push(what));
    }
}

impl SourceFactory for Scripted {
    fn is_bounded(&self) -> bool {
        false
    }

    fn open(&self, _: &SourceContext) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Source for Scripted {
    async fn discover(&self, _: &BTreeSet<SplitId>) -> Result<Vec<Split>> {
        let splits = self.splits.lock().unwrap();
        Ok(splits.keys().map(|id| Split { id: SplitId(id.clone()), start: Position(0.into()), bytes: None }).collect())
    }

    async fn open(&self, split: &SplitId, from: &Position) -> Result<Box<dyn SplitReader>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let said = self.splits.lock().unwrap()[&split.0].subscribe();
        Ok(Box::new(ScriptReader { said, next: usize::try_from(from.0.as_u64().unwrap()).unwrap() }))
    }

    async fn acknowledge(&self, durable: &[(SplitId, Position)]) -> Result<()> {
        let durable = durable.iter().map(|(split, position)| (split.0.clone(), position.0.as_u64().unwrap()));
        self.acknowledged.lock().unwrap().extend(durable);
        Ok(())
    }

    fn arrived(&self, split: &SplitId, position: &Position) -> Option<Position> {
        let said = self.splits.lock().unwrap()[&split.0].borrow().len() as u64;
        (self.is_queue && position.0.as_u64().unwrap() < said).then(|| Position(said.into()))
    }

    fn decoder(&self) -> Option<Box<dyn Decoder>> {
        None
    }
}

struct ScriptReader {
    said: watch::Receiver<Vec<Say>>,
    next: usize,
}

#[async_trait]
impl SplitReader for ScriptReader {
    async fn next(&mut self) -> Result<Polled> {
        let next = self.next;
        let said = self.said.wait_for(|said| said.len() > next).await.unwrap()[next];
        let Say::Rows(first, count) = said else { return Ok(Polled::End) };
        self.next += 1;
        let times: ArrayRef = Arc::new(TimestampMillisecondArray::from_iter_values(first..first + count));
        let batch = RecordBatch::try_new(schema(), vec![times]).unwrap();
        Ok(Polled::Rows(Changes::inserts(batch), Position(self.next.into())))
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), true)]))
}

/// Tokio's time, which moves on when no task can run.
#[derive(Debug)]
struct PausedClock(tokio::time::Instant);

impl Clock for PausedClock {
    fn now(&self) -> ProcTime {
        ProcTime(0).after(self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A source that runs, and both ends of what it is connected with.
struct Bench {
    rows: Receiver,
    control: ControlSender,
    events: mpsc::Receiver<Event>,
    memory: MemoryPool,
    running: tokio::task::JoinHandle<Result<()>>,
}

impl Bench {
    fn start(source: &Scripted) -> Self {
        Self::start_as(source, |_| {})
    }

    /// Live and unbounded, unless `change` makes something else of it.
    #[expect(clippy::disallowed_methods, reason = "paused time: the test decides what it is")]
    fn start_as(source: &Scripted, change: impl FnOnce(&mut SourceTask)) -> Self {
        let memory = MemoryPool::new(None);
        let (sender, rows) = channel(1 << 20, memory.holder("channel"), Yields::default());
        let edge =
            OutputEdge::new(Output::Main, Exchange::Forward, vec![sender], 128, 8192, 0, memory.holder("exchange"));
        let (control, control_receiver) = source_control(8);
        let (event_sender, events) = mpsc::channel(64);
        let time = Scalar::column(&schema(), 0);
        let node = SourceNode {
            table: "t".to_owned(),
            signature: String::new(),
            factory: Arc::new(source.clone()),
            projection: vec![0],
            primary_key: Vec::new(),
            columns: vec![time.clone()],
            watermark: Some(WatermarkSpec { rowtime: 0, expression: time }),
            carry_watermark: false,
            carry_proctime: false,
            clock_windows: Vec::new(),
            on_error: OnError::Fail,
            idle_timeout_ms: TIMEOUT,
            alignment: None,
            future_guard: None,
        };
        let mut task = SourceTask {
            id: TaskId { node: "source".to_owned(), task: 0 },
            operator: OperatorPart::default(),
            source: Arc::new(source.clone()),
            preparation: Arc::new(Preparation::new(node, &schema())),
            restored: None,
            is_drained: false,
            counters: Counters::default(),
            is_bounded: false,
            is_live: true,
            idle_timeout: Some(Duration::from_millis(TIMEOUT)),
            group: None,
            clock_windows: Vec::new(),
            discovery_interval: None,
            workers: 2,
            every_rows: None,
            outputs: Outputs::new(vec![edge]),
            memory: memory.holder("source"),
            control: control_receiver,
            events: Events::new(event_sender),
            clock: Arc::new(PausedClock(tokio::time::Instant::now())),
            status: Arc::new(TaskStatus::new(Arc::new(JobFigures::default()), Some("t"))),
            notices: Arc::new(|_| {}),
        };
        change(&mut task);
        Self { rows, control, events, memory, running: tokio::spawn(task.run()) }
    }

    /// What has come until `millis` from now, in words.
    async fn after(&mut self, millis: u64) -> Vec<String> {
        let mut heard = Vec::new();
        let listen = async {
            while let Some(message) = std::future::poll_fn(|context| self.rows.poll_receive(context)).await {
                heard.push(words(&message));
            }
            pending::<()>().await;
        };
        let _ = tokio::time::timeout(Duration::from_millis(millis), listen).await;
        heard
    }

    fn inject(&self, epoch: u64, kind: BarrierKind) {
        let barrier = Barrier { epoch: Epoch(epoch), kind, covered: Epoch::ZERO };
        self.control.send(SourceControl::Inject(barrier));
    }

    /// The splits in the part of this checkpoint.
    async fn splits(&mut self, wanted: u64) -> BTreeMap<String, SplitState> {
        loop {
            if let Event::Acknowledged { epoch, part, .. } = self.events.recv().await.unwrap()
                && epoch == Epoch(wanted)
            {
                return part.operators[0].splits.clone();
            }
        }
    }

    /// Their positions.
    async fn positions(&mut self, wanted: u64) -> BTreeMap<String, u64> {
        let splits = self.splits(wanted).await;
        splits.into_iter().map(|(id, state)| (id, state.position.as_u64().unwrap())).collect()
    }
}

fn words(message: &Message) -> String {
    match message {
        Message::Rows(rows) => {
            let times = rows.column(0).as_primitive::<TimestampMillisecondType>();
            format!("rows {}..{}", times.value(0), times.value(rows.len() - 1))
        }
        Message::Watermark(EventTime::END) => "watermark end".to_owned(),
        Message::Watermark(time) => format!("watermark {}", time.0),
        Message::Idle => "idle".to_owned(),
        Message::Active => "active".to_owned(),
        Message::Barrier(barrier) => format!("barrier {}", barrier.epoch.0),
        Message::End => "end".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_source_says_that_it_counts_again_before_its_rows_and_rows_come_before_their_watermark() {
    let source = Scripted::default();
    source.say("a", Say::Rows(1, 3));
    let mut bench = Bench::start(&source);
    assert_eq!(bench.after(10).await, ["rows 1..3", "watermark 3"]);
    assert_eq!(bench.after(100).await, ["idle"]);
    source.say("a", Say::Rows(4, 2));
    assert_eq!(bench.after(10).await, ["active", "rows 4..5", "watermark 5"]);
    assert_eq!(bench.after(100).await, ["idle"]);
    source.say("a", Say::End);
    assert_eq!(bench.after(10).await, ["active", "watermark end", "end"]);
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_behind_all_rows_and_barriers_behind_the_end() {
    let source = Scripted::default();
    source.say("a", Say::Rows(1, 3));
    source.say("a", Say::End);
    let mut bench = Bench::start(&source);
    assert_eq!(bench.after(10).await, ["rows 1..3", "watermark 3", "watermark end", "end"]);
    bench.inject(1, BarrierKind::Stop);
    assert_eq!(bench.after(10).await, ["barrier 1"]);
    bench.running.await.unwrap().unwrap();
}

/// A stop is not the end: no window closes that the rows to come after it belong to.
#[tokio::test(start_paused = true)]
async fn a_stop_sends_its_barrier_and_no_watermark() {
    let source = Scripted::default();
    source.say("a", Say::Rows(1, 3));
    let mut bench = Bench::start(&source);
    assert_eq!(bench.after(10).await, ["rows 1..3", "watermark 3"]);
    bench.inject(1, BarrierKind::Stop);
    source.say("a", Say::Rows(4, 1));
    assert_eq!(bench.after(10).await, ["barrier 1"]);
    bench.running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_split_that_is_idle_does_not_hold_back_the_others() {
    let source = Scripted::default();
    source.say("a", Say::Rows(10, 1));
    source.say("b", Say::Rows(3, 1));
    let mut bench = Bench::start(&source);
    assert!(bench.after(10).await.contains(&"watermark 3".to_owned()));
    bench.after(30).await;
    source.say("a", Say::Rows(20, 1));
    // Until the other one counts as idle.
    assert_eq!(bench.after(5).await, ["rows 20..20"]);
    assert_eq!(bench.after(30).await, ["watermark 20"]);
    source.say("b", Say::Rows(4, 1));
    assert_eq!(bench.after(5).await, ["rows 4..4"], "the watermark never goes back, and the source was not idle");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_ahead_of_its_group_rests_until_the_others_have_come_after() {
    let source = Scripted::default();
    [0, 100, 200].into_iter().for_each(|first| source.say("a", Say::Rows(first, 1)));
    let mut groups = WatermarkGroups::default();
    let alignment = WatermarkAlignment { group: "g".to_owned(), max_drift_ms: 50 };
    let (own, other) = (groups.join(&alignment), groups.join(&alignment));
    let mut bench = Bench::start_as(&source, |task| task.group = Some(own));
    assert_eq!(bench.after(10).await, ["rows 0..0", "watermark 0"]);
    other.report(Some(EventTime(0)));
    assert_eq!(bench.after(10).await, ["rows 100..100", "watermark 100"]);
    bench.inject(1, BarrierKind::Checkpoint);
    assert_eq!(bench.after(200).await, ["barrier 1"], "it rests, and is not idle");
    other.report(Some(EventTime(60)));
    assert_eq!(bench.after(10).await, ["rows 200..200", "watermark 200"]);
    source.say("a", Say::End);
    assert!(bench.after(200).await.is_empty());
    other.report(None);
    assert_eq!(bench.after(10).await, ["watermark end", "end"]);
}

/// A split is idle when it has nothing, not when nobody looked because the rows of another were not taken.
#[tokio::test(start_paused = true)]
async fn no_split_is_idle_for_the_time_that_others_were_not_taken() {
    let source = Scripted::default();
    source.say("a", Say::Rows(10, 1));
    source.say("b", Say::Rows(3, 1));
    // It has to wait for each batch to be received.
    let (sender, rows) = channel(1, MemoryPool::new(None).holder("channel"), Yields::default());
    let mut bench = Bench::start_as(&source, |task| {
        let memory = task.memory.clone();
        task.outputs =
            Outputs::new(vec![OutputEdge::new(Output::Main, Exchange::Forward, vec![sender], 128, 2, 0, memory)]);
    });
    bench.rows = rows;
    assert!(bench.after(10).await.contains(&"watermark 3".to_owned()));
    for first in [20, 30, 40] {
        source.say("a", Say::Rows(first, 2));
    }
    // Nobody receives for several times as long as it takes to be idle.
    let _ = tokio::time::timeout(Duration::from_millis(4 * TIMEOUT), pending::<()>()).await;
    assert_eq!(bench.after(20).await, ["rows 20..21", "rows 30..31", "rows 40..41"]);
    assert_eq!(bench.after(TIMEOUT).await, ["watermark 41", "idle"], "its own time has passed");
}

#[tokio::test(start_paused = true)]
async fn a_barrier_stands_behind_the_rows_that_its_positions_count_and_before_all_others() {
    let source = Scripted::default();
    for number in 0..40 {
        source.say("a", Say::Rows(number * 10, 3));
    }
    source.say("a", Say::End);
    // Of input that is there already much is read and decoded ahead of what is sent; here it has to wait for each batch
    // to be received.
    let (sender, rows) = channel(1, MemoryPool::new(None).holder("channel"), Yields::default());
    let mut bench = Bench::start_as(&source, |task| {
        task.is_bounded = true;
        task.is_live = false;
        let memory = task.memory.clone();
        task.outputs =
            Outputs::new(vec![OutputEdge::new(Output::Main, Exchange::Forward, vec![sender], 128, 2, 0, memory)]);
    });
    bench.rows = rows;
    let (mut epoch, mut heard) = (0, Vec::new());
    loop {
        let message = std::future::poll_fn(|context| bench.rows.poll_receive(context)).await.unwrap();
        heard.push(words(&message));
        if matches!(message, Message::End) {
            break;
        }
        if heard.len() % 3 == 0 && !matches!(message, Message::Barrier(_)) {
            epoch += 1;
            bench.inject(epoch, BarrierKind::Checkpoint);
        }
    }
    let mut between = 0;
    for (at, word) in heard.iter().enumerate() {
        let Some(epoch) = word.strip_prefix("barrier ") else { continue };
        let position = bench.positions(epoch.parse().unwrap()).await["a"];
        let before = heard[..at].iter().filter(|word| word.starts_with("rows ")).count() as u64;
        assert_eq!(position, before, "epoch {epoch} of {heard:?}");
        between += u64::from((1..40).contains(&position));
    }
    assert!(between > 5, "barriers came in the middle: {heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_barrier_waits_for_what_had_come_and_for_nothing_that_comes_meanwhile() {
    const WAITING: u64 = 20;
    for (is_queue, counted) in [(true, WAITING), (false, 0)] {
        let source = Scripted { is_queue, ..Scripted::default() };
        for number in 0..WAITING as i64 {
            source.say("a", Say::Rows(number * 10, 3));
        }
        source.say("b", Say::Rows(0, 1));
        // It has to wait for each batch to be received.
        let (sender, rows) = channel(1, MemoryPool::new(None).holder("channel"), Yields::default());
        let mut bench = Bench::start_as(&source, |task| {
            let memory = task.memory.clone();
            task.outputs =
                Outputs::new(vec![OutputEdge::new(Output::Main, Exchange::Forward, vec![sender], 128, 2, 0, memory)]);
        });
        bench.rows = rows;
        // Before the source has opened anything.
        bench.inject(1, BarrierKind::Checkpoint);
        let (mut before, mut more) = (0, 1000);
        loop {
            let message = std::future::poll_fn(|context| bench.rows.poll_receive(context)).await.unwrap();
            match message {
                Message::Barrier(_) => break,
                Message::Rows(_) => before += 1,
                _ => continue,
            }
            more += 10;
            source.say("a", Say::Rows(more, 1));
        }
        let positions = bench.positions(1).await;
        assert_eq!(positions["a"], counted, "a queue: {is_queue}");
        assert_eq!(before, if is_queue { WAITING + 1 } else { 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_durable_is_said_to_a_source_whose_readers_wait() {
    let source = Scripted::default();
    source.say("a", Say::Rows(1, 1));
    source.say("b", Say::Rows(1, 1));
    let mut bench = Bench::start(&source);
    bench.after(10).await;
    bench.inject(1, BarrierKind::Checkpoint);
    bench.after(1).await;
    source.say("a", Say::Rows(2, 1));
    bench.after(1).await;
    bench.inject(2, BarrierKind::Checkpoint);
    bench.after(1).await;
    assert_eq!(*source.acknowledged.lock().unwrap(), []);
    bench.control.send(SourceControl::Completed(Epoch(1)));
    bench.after(1).await;
    let pairs = |pairs: &[(&str, u64)]| pairs.iter().map(|(id, at)| ((*id).to_owned(), *at)).collect::<Vec<_>>();
    assert_eq!(std::mem::take(&mut *source.acknowledged.lock().unwrap()), pairs(&[("a", 1), ("b", 1)]));
    bench.control.send(SourceControl::Completed(Epoch(2)));
    bench.after(1).await;
    assert_eq!(std::mem::take(&mut *source.acknowledged.lock().unwrap()), pairs(&[("a", 2), ("b", 1)]));
}

#[tokio::test(start_paused = true)]
async fn splits_that_come_later_are_found_and_read_from_their_start() {
    let source = Scripted::default();
    source.say("a", Say::Rows(100, 1));
    let mut bench = Bench::start_as(&source, |task| task.discovery_interval = Some(Duration::from_millis(200)));
    assert_eq!(bench.after(150).await, ["rows 100..100", "watermark 100", "idle"]);
    source.say("b", Say::Rows(50, 2));
    source.say("b", Say::Rows(120, 1));
    assert_eq!(bench.after(40).await, Vec::<String>::new());
    // Its time is behind what was said; that does not go back.
    assert_eq!(bench.after(20).await, ["active", "rows 50..120", "watermark 120"]);
    bench.inject(1, BarrierKind::Checkpoint);
    bench.after(1).await;
    assert_eq!(bench.positions(1).await, BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]));
    // All that is known has ended; there may be more.
    source.say("a", Say::End);
    source.say("b", Say::End);
    bench.after(100).await;
    source.say("c", Say::Rows(130, 1));
    assert_eq!(bench.after(300).await, ["rows 130..130", "watermark 130", "idle"]);
}

#[tokio::test(start_paused = true)]
async fn a_restored_source_that_goes_on_finds_what_came_meanwhile() {
    let source = Scripted::default();
    source.say("a", Say::Rows(1, 1));
    source.say("a", Say::Rows(2, 1));
    source.say("b", Say::Rows(7, 1));
    let state = SplitState { position: 1.into(), watermark: Some(1), ended: false, idle: false };
    let restored = BTreeMap::from([("a".to_owned(), state)]);
    let mut bench = Bench::start_as(&source, |task| task.restored = Some(restored));
    let heard = bench.after(10).await;
    // What was read of the one, and the whole of the other.
    assert_eq!(heard, ["rows 2..7", "watermark 2"]);
}

/// What has been read to its end is not looked at again: it may be gone by now, and its time holds nobody back.
#[tokio::test(start_paused = true)]
async fn a_restored_source_leaves_alone_what_had_ended() {
    let source = Scripted::default();
    source.say("a", Say::Rows(1, 1));
    source.say("a", Say::End);
    source.say("b", Say::Rows(7, 1));
    let mut bench = Bench::start(&source);
    bench.after(10).await;
    bench.inject(1, BarrierKind::Stop);
    bench.after(10).await;
    let splits = bench.splits(1).await;
    assert_eq!(
        splits.iter().map(|(id, state)| (id.as_str(), state.ended)).collect::<Vec<_>>(),
        [("a", true), ("b", false)]
    );
    let opened = source.opened.load(Ordering::Relaxed);
    source.say("b", Say::Rows(8, 1));
    let mut bench = Bench::start_as(&source, |task| task.restored = Some(splits));
    assert_eq!(bench.after(10).await, ["watermark 7", "rows 8..8", "watermark 8"]);
    assert_eq!(source.opened.load(Ordering::Relaxed), opened + 1, "the other one");
}

/// How many bytes a source holds that nobody takes rows from, beside a state of this many.
async fn held_beside(state_bytes: usize) -> u64 {
    let source = Scripted::default();
    for number in 0..40 {
        source.say("a", Say::Rows(number * 50_000, 50_000));
    }
    let pool = MemoryPool::new(Some(64 << 20));
    let _state = pool.holder("state").reserve(state_bytes).unwrap();
    let (sender, rows) = channel(1, MemoryPool::new(None).holder("channel"), Yields::default());
    let held = pool.holder("source");
    let mut bench = Bench::start_as(&source, |task| {
        task.is_bounded = true;
        task.is_live = false;
        task.workers = 8;
        task.memory = held.clone();
        let memory = MemoryPool::new(None).holder("exchange");
        task.outputs =
            Outputs::new(vec![OutputEdge::new(Output::Main, Exchange::Forward, vec![sender], 128, 2, 0, memory)]);
    });
    bench.rows = rows;
    let _ = tokio::time::timeout(Duration::from_millis(10), pending::<()>()).await;
    held.held()
}

/// Where memory is short, a split of which something is here is not read on.
#[tokio::test(start_paused = true)]
async fn where_memory_is_short_little_is_read_ahead() {
    let (plenty, short) = (held_beside(0).await, held_beside(60 << 20).await);
    // Rows of 400 kB beside the reader.
    assert!(plenty >= short + 3 * 400_000, "{short} and {plenty} bytes");
}

#[tokio::test(start_paused = true)]
async fn what_many_splits_hold_is_bounded_and_they_are_read_in_the_order_of_time() {
    const ROWS: i64 = 100_000;
    let source = Scripted::default();
    let (splits, batches) = (60, 4);
    for split in 0..splits {
        for batch in 0..batches {
            source.say(&format!("{split:02}"), Say::Rows((batch * splits + split) * ROWS, ROWS));
        }
        source.say(&format!("{split:02}"), Say::End);
    }
    let mut bench = Bench::start_as(&source, |task| {
        task.is_bounded = true;
        task.is_live = false;
        task.idle_timeout = None;
        task.workers = 8;
    });
    let (mut most, mut watermarks, mut rows) = (0, Vec::new(), 0);
    loop {
        let message = std::future::poll_fn(|context| bench.rows.poll_receive(context)).await.unwrap();
        most = most.max(bench.memory.used());
        match message {
            Message::Rows(batch) => rows += batch.len() as i64,
            Message::Watermark(time) => watermarks.push(time),
            Message::End => break,
            _ => {}
        }
    }
    assert_eq!(rows, splits * batches * ROWS);
    assert!(watermarks.is_sorted() && watermarks.len() as i64 > splits * (batches - 1), "each batch moved it");
    // The batches that are sent and received beside.
    assert!(most < HELD_BYTES + (16 << 20), "{most} bytes were held");
    assert!(source.opened.load(Ordering::Relaxed) as i64 > splits, "some were opened again");
}
