//! One picture of a live table: a page of rows in a frame, what else there is, and how the job stands. Lines of text that
//! are no wider than the terminal.

use std::time::Duration;

use arrow::array::{Array, RecordBatch};
use hashbrown::HashMap;
use unicode_width::UnicodeWidthStr;

use super::rows::LiveRows;
use crate::cli::footer;
use crate::cli::render::{Shape, Style, ValueWriter, chart_lines, cut, escaped, is_number};
use crate::error::Result;
use crate::session::JobStatus;
use crate::stream::{Changes, Zone};

/// How long a value that has changed is bold.
const FRESH: Duration = Duration::from_secs(1);
/// Lines around the rows: three rules and names above and below, what else there is, and the status.
const AROUND: usize = 7;

/// How a live table looks on this terminal.
#[derive(Debug, Clone)]
pub struct FrameLook {
    pub zone: Zone,
    pub has_colour: bool,
    pub max_column_width: usize,
    /// A chart in place of the table.
    pub is_chart: bool,
}

/// Draws frames one after the other, and so knows what has changed.
pub struct FramePainter {
    look: FrameLook,
    values: ValueWriter,
    /// The cells of the last frame by the text of their first one, and since when each is what it is.
    before: HashMap<String, Vec<(String, Duration)>>,
    has_drawn: bool,
}

/// What a frame shows.
pub struct Moment<'a> {
    pub rows: &'a LiveRows,
    /// The first row of the page.
    pub from: usize,
    pub columns: usize,
    pub lines: usize,
    /// Since the table was begun.
    pub now: Duration,
    pub status: &'a JobStatus,
    pub is_paused: bool,
}

/// Rows that fit on a terminal of so many lines.
pub fn page_rows(lines: usize) -> usize {
    lines.saturating_sub(AROUND).max(1)
}

impl FramePainter {
    /// Nothing drawn yet.
    pub fn new(look: FrameLook) -> Result<Self> {
        let values = ValueWriter::new(Style::Table, look.zone);
        Ok(Self { look, values, before: HashMap::new(), has_drawn: false })
    }

    /// The lines of a frame.
    pub fn draw(&mut self, moment: &Moment) -> Result<Vec<String>> {
        let total = moment.rows.len();
        let page = moment.rows.page(moment.from, page_rows(moment.lines))?;
        let mut lines = match self.look.is_chart {
            true => self.chart(page.clone(), moment.columns)?,
            false => self.table(&page, moment)?,
        };
        let after = total.saturating_sub(moment.from + page.num_rows());
        if moment.from > 0 || after > 0 {
            let before =
                if moment.from > 0 { format!("{} before, ", footer::count(moment.from as u64)) } else { String::new() };
            lines.push(format!("… {before}{} more (n, p: page)", footer::count(after as u64)));
        }
        lines.push(format!(
            "{} {:02}:{:02} · {}",
            if moment.is_paused { "‖ paused" } else { "●" },
            moment.status.elapsed.as_secs() / 60,
            moment.status.elapsed.as_secs() % 60,
            footer::progress("", moment.status)
        ));
        let cut_to = |line: String| match line.width() {
            // What is bold has no width of its own, and stands only in lines that were cut already.
            width if width > moment.columns && !line.contains('\u{1b}') => cut(&line, moment.columns).0,
            _ => line,
        };
        Ok(lines.into_iter().map(cut_to).collect())
    }

    /// Whether something is bold that soon will not be.
    pub fn is_fading(&self, now: Duration) -> bool {
        let is_fresh = |(_, since): &(String, Duration)| !since.is_zero() && now.saturating_sub(*since) < FRESH * 2;
        self.before.values().flatten().any(is_fresh)
    }

    fn chart(&self, page: RecordBatch, columns: usize) -> Result<Vec<String>> {
        let shape = Shape { schema: page.schema(), is_updating: false, is_bounded: true };
        chart_lines(&shape, &Changes::inserts(page), self.look.zone, columns)
    }

    fn table(&mut self, page: &RecordBatch, moment: &Moment) -> Result<Vec<String>> {
        let schema = page.schema();
        let names: Vec<String> = schema.fields().iter().map(|field| escaped(field.name())).collect();
        let mut cells: Vec<Vec<String>> = Vec::new();
        for row in 0..page.num_rows() {
            let mut texts = Vec::new();
            for column in page.columns() {
                let mut text = String::new();
                self.values.write(column, row, &mut text)?;
                texts.push(escaped(&text));
            }
            cells.push(texts);
        }
        let widths = self.widths(&names, &cells, moment.columns);
        let fresh = self.freshness(&cells, moment.now);
        let rule = format!("+{}", widths.iter().map(|width| format!("{}+", "-".repeat(width + 2))).collect::<String>());
        let is_right: Vec<bool> = schema.fields().iter().map(|field| is_number(field.data_type())).collect();
        let line = |texts: &[String], is_bold: &dyn Fn(usize) -> bool, is_null: &dyn Fn(usize) -> bool| {
            let mut line = String::from("|");
            for (column, (text, width)) in texts.iter().zip(&widths).enumerate() {
                let (text, own) = if text.width() > *width { cut(text, *width) } else { (text.clone(), text.width()) };
                let padding = " ".repeat(width.saturating_sub(own));
                let text = match (self.look.has_colour, is_bold(column), is_null(column)) {
                    (true, true, _) => format!("\u{1b}[1m{text}\u{1b}[0m"),
                    (true, false, true) => format!("\u{1b}[2m{text}\u{1b}[0m"),
                    _ => text,
                };
                line.push_str(&if is_right[column] {
                    format!(" {padding}{text} |")
                } else {
                    format!(" {text}{padding} |")
                });
            }
            line
        };
        let mut lines = vec![rule.clone(), line(&names, &|_| true, &|_| false), rule.clone()];
        for (row, (texts, fresh)) in cells.iter().zip(&fresh).enumerate() {
            lines.push(line(texts, &|column| fresh[column], &|column| page.column(column).is_null(row)));
        }
        lines.push(rule);
        Ok(lines)
    }

    /// How wide each column is: as its widest text, cut at the widest that is allowed, and the widest cut further until
    /// all fit.
    fn widths(&self, names: &[String], cells: &[Vec<String>], columns: usize) -> Vec<usize> {
        let widest = |column: usize| cells.iter().map(|texts| texts[column].width()).max().unwrap_or(0);
        let own = |(column, name): (usize, &String)| {
            widest(column).max(name.width()).clamp(1, self.look.max_column_width.max(1))
        };
        let mut widths: Vec<usize> = names.iter().enumerate().map(own).collect();
        let room = columns.saturating_sub(3 * widths.len() + 1);
        while widths.iter().sum::<usize>() > room {
            match widths.iter_mut().max() {
                Some(widest) if *widest > 2 => *widest -= 1,
                _ => break,
            }
        }
        widths
    }

    /// Which cells have changed within the last second. Rows are told apart by their first cell; a frame's own rows are
    /// never fresh in the first frame.
    fn freshness(&mut self, cells: &[Vec<String>], now: Duration) -> Vec<Vec<bool>> {
        let mut after: HashMap<String, Vec<(String, Duration)>> = HashMap::with_capacity(cells.len());
        let mut fresh = Vec::with_capacity(cells.len());
        for texts in cells {
            let before = texts.first().and_then(|first| self.before.get(first));
            let since = |column: usize, text: &String| match before.and_then(|before| before.get(column)) {
                Some((known, since)) if known == text => *since,
                _ if self.has_drawn => now,
                _ => Duration::ZERO,
            };
            let marked: Vec<(String, Duration)> =
                texts.iter().enumerate().map(|(column, text)| (text.clone(), since(column, text))).collect();
            fresh
                .push(marked.iter().map(|(_, since)| !since.is_zero() && now.saturating_sub(*since) < FRESH).collect());
            after.insert(texts.first().cloned().unwrap_or_default(), marked);
        }
        self.before = after;
        self.has_drawn = true;
        fresh
    }
}
