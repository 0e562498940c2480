//! Errors, sorted by who can mend them: the query, the data, the outside world, or us.
//!
//! Every error carries a message, most carry a next step, and those about SQL text carry a span that the
//! command line draws a caret under. A retry is only ever offered for the outside world.

use std::fmt;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who is to blame, and so who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The SQL text or its settings: change the query.
    Query,
    /// A row that cannot be read or may not be written: change the data, or the table's error policy.
    Data,
    /// A file system, a disk, a network: the same call may succeed later when `retryable`.
    World { retryable: bool },
    /// This program: please report it.
    Bug,
    /// Another process owns the job now: this one has to stop at once.
    Fenced,
}

/// A stretch of SQL text, counted in bytes from the start of the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Byte offset of the first character within the script.
    pub start: usize,
    /// Byte offset just behind the last character.
    pub end: usize,
}

/// One failure. Cheap to move: the content is boxed.
#[derive(Debug, Clone)]
pub struct Error(Box<Content>);

#[derive(Debug, Clone)]
struct Content {
    blame: Blame,
    id: Option<&'static str>,
    message: String,
    span: Option<Span>,
    helps: Vec<String>,
}

impl Error {
    /// An error about the SQL text or a setting.
    pub fn query(message: impl Into<String>) -> Self {
        Self::new(Blame::Query, message)
    }

    /// An error about a row: say the table, the position and the raw value in the message.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(Blame::Data, message)
    }

    /// An error of the outside world that will not go away by itself.
    pub fn world(message: impl Into<String>) -> Self {
        Self::new(Blame::World { retryable: false }, message)
    }

    /// An error of the outside world that a later attempt may not meet.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(Blame::World { retryable: true }, message)
    }

    /// A broken promise of this program.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(Blame::Bug, message)
    }

    /// Another start of the same job has taken over (`BL-JOB-FENCED`).
    pub fn fenced(message: impl Into<String>) -> Self {
        Self::new(Blame::Fenced, message).with_id("BL-JOB-FENCED")
    }

    /// An operating-system error met while doing `what`; what may pass by itself, or once somebody has made room, may be
    /// retried.
    pub fn io(what: impl fmt::Display, source: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let retryable = matches!(
            source.kind(),
            ErrorKind::Interrupted
                | ErrorKind::TimedOut
                | ErrorKind::WouldBlock
                | ErrorKind::ResourceBusy
                | ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
        );
        let error = Self::new(Blame::World { retryable }, format!("{what}: {source}"));
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => error.with_help("make room on that disk"),
            _ => error,
        }
    }

    /// A row's number divided by its zero.
    pub fn division_by_zero() -> Self {
        Self::data("division by zero").with_help("to get NULL there: a / NULLIF(b, 0)")
    }

    fn new(blame: Blame, message: impl Into<String>) -> Self {
        Self(Box::new(Content { blame, id: None, message: message.into(), span: None, helps: Vec::new() }))
    }

    /// Adds a stable identifier such as `BL-STATE-CORRUPT` that documentation and tests refer to.
    pub fn with_id(mut self, id: &'static str) -> Self {
        self.0.id = Some(id);
        self
    }

    /// Adds where in the SQL text the blame lies; the innermost span wins.
    pub fn with_span(mut self, span: Span) -> Self {
        self.0.span.get_or_insert(span);
        self
    }

    /// Adds a next step for the reader.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.0.helps.push(help.into());
        self
    }

    /// Puts `context: ` before the message.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// Moves the span, as when a statement is cut out of a script that holds it at `offset`.
    pub fn shift_span(mut self, offset: usize) -> Self {
        if let Some(span) = &mut self.0.span {
            span.start += offset;
            span.end += offset;
        }
        self
    }

    /// The same about another place: the one that it names is in a text that nobody sees now.
    pub fn moved_to(mut self, span: Span) -> Self {
        self.0.span = Some(span);
        self
    }

    /// Who can mend it.
    pub fn blame(&self) -> Blame {
        self.0.blame
    }

    /// Whether doing the same again may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.blame, Blame::World { retryable: true })
    }

    /// The stable identifier, if this error has one.
    pub fn id(&self) -> Option<&'static str> {
        self.0.id
    }

    /// The message alone, without identifier and helps.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where in the SQL text the blame lies.
    pub fn span(&self) -> Option<Span> {
        self.0.span
    }

    /// Next steps for the reader.
    pub fn helps(&self) -> &[String] {
        &self.0.helps
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.message)?;
        if let Some(id) = self.0.id {
            write!(out, " [{id}]")?;
        }
        for help in &self.0.helps {
            write!(out, "\n  help: {help}")?;
        }
        if self.0.blame == Blame::Bug {
            out.write_str("\n  this is a bug in Beadline; please report it with the query that shows it")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<arrow::error::ArrowError> for Error {
    /// Arrow's kernels fail on data (overflow, division by zero, a failed cast) or because we misused them.
    fn from(error: arrow::error::ArrowError) -> Self {
        use arrow::error::ArrowError as A;
        match error {
            A::DivideByZero => Self::division_by_zero(),
            A::ArithmeticOverflow(m) | A::CastError(m) | A::ParseError(m) | A::ComputeError(m) => Self::data(m),
            A::IoError(m, source) => Self::io(m, &source),
            other => Self::bug(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_holds_message_id_and_help() {
        let error = Error::world("no space").with_id("BL-X").with_help("free some").context("write a.parquet");
        assert_eq!(error.to_string(), "write a.parquet: no space [BL-X]\n  help: free some");
        assert!(!error.is_retryable());
        assert!(Error::transient("later").is_retryable());
    }

    #[test]
    fn a_full_disk_may_be_emptied() {
        let full = Error::io("write a", &std::io::ErrorKind::StorageFull.into());
        assert!(full.is_retryable() && full.to_string().contains("make room"), "{full}");
        assert!(!Error::io("write a", &std::io::ErrorKind::PermissionDenied.into()).is_retryable());
    }

    #[test]
    fn the_innermost_span_wins() {
        let error = Error::query("x").with_span(Span { start: 3, end: 4 }).with_span(Span { start: 0, end: 9 });
        assert_eq!(error.shift_span(10).span(), Some(Span { start: 13, end: 14 }));
    }
}
