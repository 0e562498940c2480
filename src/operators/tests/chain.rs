//! What a chain tells its operators, and in which order.

use std::fmt;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};

use super::*;
use crate::state::StateTable;
use crate::stream::{Changes, EventTime, ProcTime};

/// Notes what it is told. For a watermark it takes three calls.
#[derive(Debug, Clone, Default)]
struct Slow {
    heard: Arc<Mutex<Vec<&'static str>>>,
    left: usize,
}

impl fmt::Display for Slow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Slow")
    }
}

impl OperatorSpec for Slow {
    fn name(&self) -> &'static str {
        "Slow"
    }

    fn signature(&self) -> String {
        String::new()
    }

    fn output(&self) -> SchemaRef {
        schema("n BIGINT")
    }

    fn build(&self, _: &BuildContext) -> crate::error::Result<Box<dyn Operator>> {
        Ok(Box::new(self.clone()))
    }
}

impl Operator for Slow {
    fn on_rows(&mut self, _: usize, _: Changes, _: &mut Context) -> crate::error::Result<Progress> {
        self.heard.lock().unwrap().push("rows");
        Ok(Progress::Done)
    }

    fn on_watermark(&mut self, _: EventTime, cx: &mut Context) -> crate::error::Result<Progress> {
        self.left = 3;
        self.resume(cx)
    }

    fn resume(&mut self, _: &mut Context) -> crate::error::Result<Progress> {
        self.heard.lock().unwrap().push("step");
        self.left -= 1;
        Ok(if self.left > 0 { Progress::More } else { Progress::Done })
    }

    fn on_end(&mut self, _: usize, _: &mut Context) -> crate::error::Result<Progress> {
        self.heard.lock().unwrap().push("end");
        Ok(Progress::Done)
    }

    fn watermark(&self) -> EventTime {
        EventTime::NONE
    }

    fn state(&mut self) -> Vec<&mut dyn StateTable> {
        Vec::new()
    }
}

/// Rows may come while a call goes on; the end of the input comes behind it.
#[test]
fn an_operator_hears_of_the_end_when_it_is_through_with_the_last_watermark() {
    let slow = Slow::default();
    let mut chain = Chain::new(&[&slow], &BuildContext::only_task()).unwrap();
    let (mut emitted, now) = (Emitted::default(), ProcTime(0));
    chain.watermark(EventTime(7));
    assert_eq!(chain.work(now, &mut emitted).unwrap(), Progress::More);
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    chain.rows(0, Changes::inserts(RecordBatch::try_new(schema("n BIGINT"), vec![numbers]).unwrap()));
    chain.end(0, true);
    while chain.work(now, &mut emitted).unwrap() == Progress::More {}
    assert!(emitted.is_ended);
    assert_eq!(*slow.heard.lock().unwrap(), ["step", "step", "rows", "step", "end"]);
}

/// An operator that goes on from a later time than a new one before it: what that passes on until then is old news, and
/// the next checkpoint still says how far the operator had come.
#[test]
fn a_restored_operator_is_not_told_of_earlier_times() {
    let input = schema("ts TIME, k BIGINT, $watermark BIGINT");
    let window = WindowKind::Tumble { size_ms: 10, offset_ms: 0 };
    let (assign, local, global) = windowed(&input, window, &[1], &["COUNT(*) n"]);
    let mut chain = Chain::new(&[&assign, &local, &global], &BuildContext::only_task()).unwrap();
    chain.go_on_from(&[EventTime::NONE, EventTime::NONE, EventTime(70)]);
    let (mut emitted, now) = (Emitted::default(), ProcTime(0));
    for (time, last) in [(30, 70), (70, 70), (80, 80)] {
        chain.watermark(EventTime(time));
        assert_eq!(chain.work(now, &mut emitted).unwrap(), Progress::Done);
        let watermarks: Vec<EventTime> = chain.watermarks().collect();
        assert_eq!(watermarks, [time, time, last].map(EventTime));
    }
}
