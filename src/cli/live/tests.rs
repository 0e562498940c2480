//! What a terminal shows, as reviewed text: what is painted goes through a terminal of 80×24, 200×50 or less.

use std::num::NonZero;

use arrow::array::AsArray;
use bytes::Bytes;
use expect_test::{Expect, expect};

use super::super::footer::samples;
use super::super::screen::fake::Paper;
use super::*;
use crate::session::samples::batch;
use crate::session::{Arrangement, Input, JobStatus, OrderKey, Pipe, Session};
use crate::stream::{ChangeKind, EventTime, MemoryPool, SystemClock, Zone};

fn cells(number: u16) -> NonZero<u16> {
    NonZero::new(number).expect("a terminal of some size")
}

/// A terminal and what paints it.
struct Scene {
    live: LiveRows,
    painter: FramePainter,
    screen: Screen,
    paper: Paper,
    terminal: vt100::Parser,
    seen: usize,
    size: (u16, u16),
}

impl Scene {
    fn new((columns, lines): (u16, u16)) -> Self {
        let key = OrderKey { column: 1, is_descending: true, nulls_first: false, text: "n".to_owned() };
        let standing = Standing {
            schema: batch(&[], &[]).schema(),
            key: vec![0],
            arrangement: Arrangement { keys: vec![key], ..Arrangement::none(2) },
            memory: MemoryPool::new(None).holder("rows"),
        };
        let look = FrameLook { zone: Zone::UTC, has_colour: true, max_column_width: 30, is_chart: false };
        let paper = Paper::default();
        Self {
            live: LiveRows::new(standing).unwrap(),
            painter: FramePainter::new(look).unwrap(),
            screen: Screen::of_test(paper.clone(), paper.clone(), false),
            paper,
            terminal: vt100::Parser::new(cells(lines), cells(columns), 0),
            seen: 0,
            size: (columns, lines),
        }
    }

    /// Rows `name: n` of all names from `first` on, as new ones.
    fn insert(&mut self, names: &[&str], counts: &[i64]) {
        let names: Vec<Option<&str>> = names.iter().copied().map(Some).collect();
        self.live.add(&Changes::inserts(batch(&names, counts))).unwrap();
    }

    fn update(&mut self, name: &str, from: i64, to: i64) {
        let rows = batch(&[Some(name), Some(name)], &[from, to]);
        self.live.add(&Changes::new(rows, vec![ChangeKind::UpdateBefore, ChangeKind::UpdateAfter])).unwrap();
    }

    fn paint(&mut self, now_ms: u64) {
        let status = JobStatus {
            rows_in: 503_000,
            late: 12,
            bytes_in: 0,
            bytes_total: None,
            watermark: Some(EventTime(1_357_000_000_000)),
            elapsed: Duration::from_secs(41),
            ..samples::status()
        };
        let moment = Moment {
            rows: &self.live,
            from: 0,
            columns: usize::from(self.size.0),
            lines: usize::from(self.size.1),
            now: Duration::from_millis(now_ms),
            status: &status,
            is_paused: false,
        };
        let lines = self.painter.draw(&moment).unwrap();
        self.screen.paint_at(&lines, usize::from(self.size.0));
    }

    /// What the terminal shows, without empty lines at its end.
    fn text(&mut self) -> String {
        let text = self.paper.text();
        // The terminal makes a new line of each line's end.
        self.terminal.process(text[self.seen..].replace('\n', "\r\n").as_bytes());
        self.seen = text.len();
        let shown = self.terminal.screen().contents();
        format!("{}\n", shown.trim_end())
    }

    fn check(&mut self, expected: &Expect) {
        let text = self.text();
        expected.assert_eq(&text);
    }
}

#[test]
fn a_table_changes_in_its_place_and_notes_stand_above_it() {
    let mut scene = Scene::new((80, 24));
    scene.insert(&["JFK", "LGA", "EWR"], &[3, 2, 1]);
    scene.paint(0);
    scene.check(&expect![[r#"
        +------+---+
        | name | n |
        +------+---+
        | JFK  | 3 |
        | LGA  | 2 |
        | EWR  | 1 |
        +------+---+
        ● 00:41 · 503,000 in · 12k/s · late 12 · watermark 2013-01-01 00:26:40.000
    "#]]);
    scene.update("EWR", 1, 40);
    scene.screen.note("note: checkpoint");
    scene.paint(100);
    scene.check(&expect![[r#"
        note: checkpoint
        +------+----+
        | name |  n |
        +------+----+
        | EWR  | 40 |
        | JFK  |  3 |
        | LGA  |  2 |
        +------+----+
        ● 00:41 · 503,000 in · 12k/s · late 12 · watermark 2013-01-01 00:26:40.000
    "#]]);
    let bold = |scene: &Scene, row: u16, column: u16| scene.terminal.screen().cell(row, column).unwrap().bold();
    // The new number is bold for a second, what has not changed is not.
    assert!(bold(&scene, 4, 10) && !bold(&scene, 5, 10), "{}", scene.text());
    scene.paint(1_200);
    scene.text();
    assert!(!bold(&scene, 4, 10));
    scene.screen.paint_at(&[], 80);
    assert_eq!(scene.text(), "note: checkpoint\n");
}

#[test]
fn more_rows_than_fit_are_counted() {
    let mut scene = Scene::new((40, 12));
    let names: Vec<String> = (0..1_234).map(|name| format!("a rather long name {name}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.insert(&names, &(0..1_234).collect::<Vec<_>>());
    scene.paint(0);
    scene.check(&expect![[r#"
        +-------------------------+------+
        | name                    |    n |
        +-------------------------+------+
        | a rather long name 1233 | 1233 |
        | a rather long name 1232 | 1232 |
        | a rather long name 1231 | 1231 |
        | a rather long name 1230 | 1230 |
        | a rather long name 1229 | 1229 |
        +-------------------------+------+
        … 1,229 more (n, p: page)
        ● 00:41 · 503,000 in · 12k/s · late 12 …
    "#]]);
    // Narrower: what the terminal has broken into more lines is taken away.
    scene.terminal.screen_mut().set_size(cells(12), cells(24));
    scene.size = (24, 12);
    scene.paint(100);
    scene.check(&expect![[r#"
        +---------------+------+
        | name          |    n |
        +---------------+------+
        | a rather lon… | 1233 |
        | a rather lon… | 1232 |
        | a rather lon… | 1231 |
        | a rather lon… | 1230 |
        | a rather lon… | 1229 |
        +---------------+------+
        … 1,229 more (n, p: pag…
        ● 00:41 · 503,000 in · …
    "#]]);
}

#[test]
fn a_wide_terminal() {
    let mut scene = Scene::new((200, 50));
    scene.insert(&["JFK", "日本"], &[3, 2]);
    scene.paint(0);
    scene.check(&expect![[r#"
        +------+---+
        | name | n |
        +------+---+
        | JFK  | 3 |
        | 日本 | 2 |
        +------+---+
        ● 00:41 · 503,000 in · 12k/s · late 12 · watermark 2013-01-01 00:26:40.000
    "#]]);
}

#[test]
fn a_line_that_stays_is_not_written_again() {
    let mut scene = Scene::new((80, 24));
    scene.insert(&["JFK"], &[3]);
    scene.paint(0);
    let first = scene.paper.text().len();
    scene.paint(100);
    let second = scene.paper.text()[first..].to_owned();
    assert!(!second.contains("JFK"), "{second:?}");
}

#[test]
fn pages_stay_within_the_rows() {
    let mut view = View { from: 0, is_paused: false };
    view.press(Key::Previous, 25, 10);
    assert_eq!(view.from, 0);
    for from in [10, 20, 20] {
        view.press(Key::Next, 25, 10);
        assert_eq!(view.from, from);
    }
    view.press(Key::Pause, 25, 10);
    assert!(view.is_paused);
}

/// All that a pipe gives.
#[derive(Debug)]
struct Once(Option<Bytes>);

impl Input for Once {
    fn read(&mut self, _most: usize) -> Result<Bytes> {
        Ok(self.0.take().unwrap_or_default())
    }
}

#[tokio::test]
async fn the_last_state_comes_back_in_order() {
    let mut session = Session::new().with_input(Pipe::new(Once(Some(Bytes::from_static(b"a\nb\nb\n")))));
    let sql = "SELECT line, COUNT(*) AS n FROM stdin GROUP BY line ORDER BY n DESC LIMIT 1";
    let mut rows = session.query(sql).await.unwrap();
    let standing = rows.take_standing().expect("rows of a pipe are watched");
    let paper = Paper::default();
    let screen = Screen::of_test(paper.clone(), paper.clone(), false);
    let look = FrameLook { zone: Zone::UTC, has_colour: false, max_column_width: 30, is_chart: false };
    let last = show(&mut rows, standing, look, &screen, &SystemClock::default()).await.unwrap();
    let lines: Vec<&str> = last.column(0).as_string::<i32>().iter().flatten().collect();
    assert_eq!(lines, ["b"]);
    // The table is gone when the rows come.
    let mut terminal = vt100::Parser::new(cells(24), cells(80), 0);
    terminal.process(paper.text().replace('\n', "\r\n").as_bytes());
    assert_eq!(terminal.screen().contents().trim(), "");
}
