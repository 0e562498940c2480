//! An input that is fed by the test: rows as they come, nothing lost, nothing read twice.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use bytes::Bytes;

use super::*;
use crate::options::Options;
use crate::storage::{FakeStore, Stores};
use crate::stream::{Blocking, Entropy, InlineBlocking, ManualClock, ProcTime, ThreadBlocking};

/// Pieces that are all there.
#[derive(Debug)]
struct Pieces(VecDeque<Bytes>);

impl Input for Pieces {
    fn read(&mut self, most: usize) -> Result<Bytes> {
        let Some(mut first) = self.0.pop_front() else { return Ok(Bytes::new()) };
        if first.len() > most {
            self.0.push_front(first.split_off(most));
        }
        Ok(first)
    }
}

/// Pieces that come one by one, and the end when the sender goes.
#[derive(Debug)]
struct Live(Receiver<Result<Bytes>>);

impl Input for Live {
    fn read(&mut self, _most: usize) -> Result<Bytes> {
        self.0.recv().unwrap_or_else(|_| Ok(Bytes::new()))
    }
}

/// Pieces that are all there, with an end that is held.
#[derive(Debug)]
struct Held(Pieces, Duration);

impl Input for Held {
    fn read(&mut self, most: usize) -> Result<Bytes> {
        self.0.read(most)
    }

    fn end_hold(&self) -> Duration {
        self.1
    }
}

/// Whole rows and a half one, and an end that is held for so long.
fn held(hold_ms: u64) -> Pipe {
    let pieces = [text("1\n22\n3")].into_iter().map(Result::unwrap).collect();
    Pipe::new(Held(Pieces(pieces), Duration::from_millis(hold_ms)))
}

fn pieces(pieces: &[&str]) -> Pipe {
    Pipe::new(Pieces(pieces.iter().map(|piece| Bytes::copy_from_slice(piece.as_bytes())).collect()))
}

fn live() -> (SyncSender<Result<Bytes>>, Pipe) {
    let (send, receive) = sync_channel(8);
    (send, Pipe::new(Live(receive)))
}

fn world(pipe: Pipe, blocking: impl Blocking + 'static) -> World {
    let (stores, clock) = (Stores::new(Arc::new(FakeStore::new())), Arc::new(ManualClock::default()));
    let entropy = Entropy::seeded(0);
    World { stores, clock, entropy, blocking: Arc::new(blocking), input: Arc::new(pipe), outputs: Default::default() }
}

fn table(settings: &[(&str, &str)]) -> TableContext {
    let read = |pairs: &[(&str, &str)]| Options::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    TableContext {
        name: "t".to_owned(),
        schema: Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)])),
        options: read(&[("format", "csv")]),
        settings: read(settings),
    }
}

async fn open(world: &World, settings: &[(&str, &str)], from: Option<Position>) -> Result<Box<dyn SplitReader>> {
    let source = Stdin.source(&table(settings)).unwrap().open(&SourceContext::new(&[0], 3, world)).unwrap();
    let splits = source.discover(&BTreeSet::new()).await.unwrap();
    source.open(&splits[0].id, &from.unwrap_or_else(|| splits[0].start.clone())).await
}

/// The next chunk: its numbers and the line of its first row.
async fn next(reader: &mut Box<dyn SplitReader>) -> Option<(Vec<i64>, u64)> {
    match reader.next().await.unwrap() {
        Polled::Chunk(chunk, _) => {
            // They are of the moment at which they are read.
            assert_eq!(chunk.stored, Some(ProcTime(0)));
            let rows =
                format(&table(&[])).unwrap().0.reader(&table(&[]).schema, &Options::default(), &Options::default());
            let decoded = rows.unwrap().decoder(&[0]).unwrap().decode(&chunk.bytes, chunk.first_line).unwrap();
            assert_eq!(decoded.bad, []);
            Some((decoded.rows.column(0).as_primitive::<Int64Type>().values().to_vec(), chunk.first_line))
        }
        Polled::End => None,
        other => panic!("{other:?}"),
    }
}

async fn all(reader: &mut Box<dyn SplitReader>) -> Vec<i64> {
    let mut numbers = Vec::new();
    while let Some((more, _)) = next(reader).await {
        numbers.extend(more);
    }
    numbers
}

fn text(text: &str) -> Result<Bytes> {
    Ok(Bytes::copy_from_slice(text.as_bytes()))
}

#[tokio::test]
async fn rows_are_whole_however_the_input_is_cut() {
    let input = "n\n1\n22\n\"3\"\n4";
    for cut in 1..input.len() {
        for other in cut + 1..=input.len() {
            let world = world(pieces(&[&input[..cut], &input[cut..other], &input[other..]]), InlineBlocking);
            let mut reader = open(&world, &[("beadline.csv.header", "true")], None).await.unwrap();
            assert_eq!(all(&mut reader).await, [1, 22, 3, 4], "cut at {cut} and {other}");
        }
    }
    let world = world(pieces(&[]), InlineBlocking);
    assert!(all(&mut open(&world, &[], None).await.unwrap()).await.is_empty());
}

#[tokio::test]
async fn batches_and_lines_are_counted() {
    let world = world(pieces(&["1\n2\n3\n4\n"]), InlineBlocking);
    let mut reader = open(&world, &[], None).await.unwrap();
    assert_eq!(next(&mut reader).await, Some((vec![1, 2, 3], 1)));
    assert_eq!(next(&mut reader).await, Some((vec![4], 4)));
    assert_eq!(next(&mut reader).await, None);
}

#[tokio::test]
async fn rows_of_a_live_input_come_before_its_end_and_waiting_can_be_given_up() {
    let (send, pipe) = live();
    let world = world(pipe, ThreadBlocking);
    let mut reader = open(&world, &[], None).await.unwrap();
    send.send(text("1\n2\n3")).unwrap();
    assert_eq!(next(&mut reader).await, Some((vec![1, 2], 1)));
    // Nobody sends: the call has to wait, and losing it loses nothing.
    assert!(next(&mut reader).now_or_never().is_none());
    send.send(text("3\n")).unwrap();
    assert_eq!(next(&mut reader).await, Some((vec![33], 3)));
    send.send(text("4")).unwrap();
    drop(send);
    assert_eq!(all(&mut reader).await, [4]);
}

#[tokio::test]
async fn the_first_line_stays_to_be_read() {
    let pipe = pieces(&["1", "2\n3", "\n"]);
    assert_eq!(pipe.first_line().unwrap(), "12");
    assert_eq!(pipe.first_line().unwrap(), "12");
    let world = world(pipe, InlineBlocking);
    assert_eq!(all(&mut open(&world, &[], None).await.unwrap()).await, [12, 3]);
    assert_eq!(pieces(&["no end"]).first_line().unwrap(), "no end");
    assert_eq!(pieces(&[]).first_line().unwrap(), "");
    let long = "x".repeat(9 << 20);
    assert_eq!(pieces(&[&long]).first_line().unwrap_err().id(), Some("BL-LIM-RECORD-BYTES"));
}

#[tokio::test]
async fn a_row_may_be_long_but_not_endless() {
    let long = format!("{}1\n2\n", " ".repeat(3 << 20));
    let mut reader = open(&world(pieces(&[&long]), InlineBlocking), &[], None).await.unwrap();
    assert_eq!(all(&mut reader).await, [1, 2]);
    let endless = " ".repeat(9 << 20);
    let mut reader = open(&world(pieces(&[&endless]), InlineBlocking), &[], None).await.unwrap();
    assert_eq!(reader.next().await.unwrap_err().id(), Some("BL-LIM-RECORD-BYTES"));
}

#[tokio::test]
async fn it_is_read_once() {
    let once = |result: Result<Box<dyn SplitReader>>| {
        let error = result.err().unwrap();
        assert!(error.id() == Some("BL-SOURCE-ONCE") && error.to_string().contains("--fresh"), "{error}");
    };
    let world = world(pieces(&["1\n2\n3\n4\n"]), InlineBlocking);
    let mut reader = open(&world, &[], None).await.unwrap();
    once(open(&world, &[], None).await);
    // A reader that took nothing leaves all to the next one.
    drop(reader);
    reader = open(&world, &[], None).await.unwrap();
    let Polled::Chunk(_, behind) = reader.next().await.unwrap() else { panic!("no rows") };
    drop(reader);
    once(open(&world, &[], None).await);
    assert_eq!(world.input.first_line().unwrap_err().id(), Some("BL-SOURCE-ONCE"));
    let anew = self::world(pieces(&["1\n"]), InlineBlocking);
    once(open(&anew, &[], Some(behind)).await);
}

#[tokio::test]
async fn no_input_and_a_broken_one_are_said() {
    let none = world(Pipe::default(), InlineBlocking);
    let error = open(&none, &[], None).await.err().unwrap();
    assert!(error.to_string().contains("with_input"), "{error}");
    assert!(none.input.first_line().is_err());
    let (send, pipe) = live();
    send.send(text("1\n")).unwrap();
    send.send(Err(Error::world("broken"))).unwrap();
    let world = world(pipe, InlineBlocking);
    let mut reader = open(&world, &[], None).await.unwrap();
    let mut said = String::new();
    for _ in 0..2 {
        if let Err(error) = reader.next().await {
            said = error.to_string();
        }
    }
    assert_eq!(said, "broken");
}

/// What comes within this time, which passes at once.
async fn within(ms: u64, reader: &mut Box<dyn SplitReader>) -> Option<Option<Vec<i64>>> {
    let next = tokio::time::timeout(Duration::from_millis(ms), next(reader)).await.ok();
    next.map(|rows| rows.map(|(numbers, _)| numbers))
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_held_is_one_if_no_stop_comes() {
    let world = world(held(100), InlineBlocking);
    let mut reader = open(&world, &[], None).await.unwrap();
    // Whole rows are not held back with it, and a wait that is given up goes on.
    assert_eq!(within(1, &mut reader).await, Some(Some(vec![1, 22])));
    assert_eq!(within(60, &mut reader).await, None);
    assert_eq!(within(60, &mut reader).await, Some(Some(vec![3])));
    assert_eq!(within(1, &mut reader).await, Some(None));
}

#[tokio::test(start_paused = true)]
async fn an_end_with_a_stop_is_none_and_the_half_row_before_it_is_no_row() {
    for stopped_after_ms in [None, Some(0), Some(99)] {
        for hold_ms in [0, 100].into_iter().filter(|hold| stopped_after_ms.is_none_or(|after| after < *hold)) {
            let world = world(held(hold_ms), InlineBlocking);
            if stopped_after_ms.is_none() {
                world.input.stop_signal().send();
            }
            let mut reader = open(&world, &[], None).await.unwrap();
            assert_eq!(within(1, &mut reader).await, Some(Some(vec![1, 22])));
            if let Some(after_ms) = stopped_after_ms {
                assert_eq!(within(after_ms, &mut reader).await, None);
                world.input.stop_signal().send();
            }
            assert_eq!(within(10_000, &mut reader).await, None, "{stopped_after_ms:?}, held {hold_ms} ms");
        }
    }
}

#[test]
fn it_is_a_bounded_live_source_and_no_sink() {
    let source = Stdin.source(&table(&[])).unwrap();
    assert!(source.is_bounded() && source.is_live() && source.reads_once() && !source.can_resume());
    assert!(Stdin.sink(&table(&[])).unwrap_err().to_string().contains("not be written"));
}
