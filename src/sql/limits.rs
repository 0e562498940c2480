//! Limits on SQL text, checked before anything is built from it: its size, and how deep a tree it would make.
//!
//! Parsers and planners recurse, and so does dropping what they built. Limiting brackets is not enough, since `1 + 1 + …`
//! nests without any; one pass over the lexemes measures both, and a text beyond the limit is never parsed.

use crate::error::{Error, Result, Span};

use super::lexer::{Kind, Lexeme, Lexer};

/// The most bytes that a script may have.
pub const SQL_BYTES: usize = 1 << 20;

/// The most levels of brackets, CASE and subqueries, and the longest chain of operators, joins, or set operations on
/// one level.
pub const SQL_DEPTH: usize = 256;

/// The most levels and links together on one path of the tree.
const TREE_DEPTH: usize = 4 * SQL_DEPTH;

/// How often parentheses that stand directly behind one another in a FROM may make sqlparser read the same text: it tries
/// both a subquery and a bracketed join at each of them.
const READINGS: usize = SQL_DEPTH;

/// The stack of `on_large_stack`: enough for a tree at the limit in a build without optimisation.
const LARGE_STACK: usize = 64 << 20;

/// Refuses a text above the limit of bytes.
pub(super) fn check_bytes(text: &str) -> Result<()> {
    if text.len() <= SQL_BYTES {
        return Ok(());
    }
    Err(Error::query(format!("the SQL text has {} bytes; the limit is {SQL_BYTES}", text.len()))
        .with_id("BL-LIM-SQL-BYTES")
        .with_help("put data into a file and read it as a table, or cut the script into several"))
}

/// Measures a statement and refuses it beyond the limits; the depth of the tree that it makes at most. Spans begin at
/// `offset`.
pub(super) fn check_depth(text: &str, offset: usize) -> Result<usize> {
    let mut lexemes = Lexer::new(text).peekable();
    let mut levels = vec![Level::default()];
    let mut previous: Option<Lexeme> = None;
    let mut dots = 0;
    let mut deepest = 0;
    while let Some(lexeme) = lexemes.next() {
        let here = || Span { start: offset + lexeme.start, end: offset + lexeme.end };
        dots = match lexeme.kind {
            Kind::Sign if lexeme.of(text) == "." => dots + 1,
            Kind::Word | Kind::Name if previous.is_some_and(|previous| previous.is_sign(text, ".")) => dots,
            _ => 0,
        };
        if dots > SQL_DEPTH {
            return Err(too_long(here()));
        }
        let level = levels.last_mut().expect("the lowest level is never closed");
        match lexeme.kind {
            Kind::Word => {
                let word = lexeme.of(text);
                if word.eq_ignore_ascii_case("CASE") {
                    let inner = Level::inside(level, Bracket::Case);
                    levels.push(inner);
                } else if word.eq_ignore_ascii_case("END") {
                    if level.bracket == Bracket::Case {
                        close(&mut levels);
                    }
                } else {
                    let next = lexemes.peek().map(|next| next.of(text));
                    level.word(word, previous.map(|previous| previous.of(text)), next);
                }
            }
            Kind::Sign => match lexeme.of(text) {
                "(" => {
                    let inner = Level::behind(level, previous, text);
                    levels.push(inner);
                }
                "[" | "{" => {
                    let inner = Level::inside(level, Bracket::Other);
                    levels.push(inner);
                }
                ")" | "]" | "}" => while levels.len() > 1 && close(&mut levels) == Bracket::Case {},
                "," => level.comma(),
                ";" => {
                    while levels.len() > 1 {
                        close(&mut levels);
                    }
                    deepest = deepest.max(levels[0].depth());
                    levels[0] = Level::default();
                }
                "." | ":" | "::" | "?" | "=>" => {}
                _ => level.operator(),
            },
            _ => {}
        }
        let level = levels.last().expect("the lowest level is never closed");
        if levels.len() > SQL_DEPTH + 1 || level.readings > READINGS {
            return Err(too_deep(here()));
        }
        if level.operators > SQL_DEPTH || level.joins > SQL_DEPTH || level.sets > SQL_DEPTH {
            return Err(too_long(here()));
        }
        if level.depth() > TREE_DEPTH {
            return Err(too_deep(here()));
        }
        previous = Some(lexeme);
    }
    while levels.len() > 1 {
        close(&mut levels);
    }
    deepest = deepest.max(levels[0].depth());
    if deepest > TREE_DEPTH {
        return Err(too_deep(Span { start: offset, end: offset + text.len() }));
    }
    Ok(deepest)
}

/// Runs `work` on a thread of its own with a stack that holds a tree at the limits, and waits for it. For parsing and
/// planning, which recurse.
pub fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let mut work = Some(work);
    let mut result = None;
    let started = std::thread::scope(|scope| {
        let run = || result = work.take().map(|work| work());
        let thread = std::thread::Builder::new().name("sql".into()).stack_size(LARGE_STACK).spawn_scoped(scope, run);
        thread.map(|thread| thread.join())
    });
    match started {
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Ok(Ok(())) => result.expect("the thread has ended, and it sets the result last"),
        // No thread to be had: the work is still here, and most statements are shallow.
        Err(_) => work.take().expect("only the thread takes it, and it did not start")(),
    }
}

/// What the parser says when it meets its own limit.
pub(super) fn too_deep(span: Span) -> Error {
    Error::query(format!("the statement nests too deep; the limit is {SQL_DEPTH} levels"))
        .with_id("BL-LIM-SQL-DEPTH")
        .with_span(span)
        .with_help("give the inner parts names with WITH or CREATE VIEW")
}

fn too_long(span: Span) -> Error {
    Error::query(format!("more than {SQL_DEPTH} operators, joins or set operations in one chain; that is the limit"))
        .with_id("BL-LIM-SQL-DEPTH")
        .with_span(span)
        .with_help("use IN (…) for a long list of alternatives, or give parts of it names with WITH or CREATE VIEW")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Bracket {
    #[default]
    None,
    Case,
    /// A parenthesis where a table may stand.
    From,
    Other,
}

/// What was met since a bracket was opened and is not closed yet.
#[derive(Debug, Default)]
struct Level {
    bracket: Bracket,
    /// Operators of the expression that is being read.
    operators: usize,
    /// Joins of the FROM, or tables of the WITH, that is being read.
    joins: usize,
    sets: usize,
    /// The longest of the chains that are complete.
    longest_operators: usize,
    longest_joins: usize,
    /// The depth of the deepest bracket inside.
    inner: usize,
    /// Whether a comma separates tables.
    lists_tables: bool,
    /// How often sqlparser may read this text, and the same before the run of parentheses that ends here.
    readings: usize,
    readings_outside: usize,
}

impl Level {
    fn inside(outer: &Self, bracket: Bracket) -> Self {
        let readings = outer.readings.max(1);
        Self { bracket, readings, readings_outside: readings, ..Self::default() }
    }

    /// The level of a parenthesis behind `previous`.
    fn behind(outer: &Self, previous: Option<Lexeme>, text: &str) -> Self {
        let mut level = Self::inside(outer, Bracket::Other);
        let Some(previous) = previous else { return level };
        let is_run = outer.bracket == Bracket::From && previous.is_sign(text, "(");
        let is_table = ["FROM", "JOIN", "LATERAL"].iter().any(|word| previous.is_word(text, word))
            || (outer.lists_tables && previous.is_sign(text, ","));
        if is_run {
            level.readings = outer.readings + outer.readings_outside;
            level.readings_outside = outer.readings_outside;
        }
        if is_run || is_table {
            level.bracket = Bracket::From;
        }
        level
    }

    fn depth(&self) -> usize {
        self.operators.max(self.longest_operators) + self.joins.max(self.longest_joins) + self.sets + self.inner + 1
    }

    fn operator(&mut self) {
        self.operators += 1;
    }

    fn comma(&mut self) {
        self.end_expression();
        if self.lists_tables {
            self.joins += 1;
        }
    }

    fn end_expression(&mut self) {
        self.longest_operators = self.longest_operators.max(self.operators);
        self.operators = 0;
    }

    fn end_tables(&mut self) {
        self.end_expression();
        self.longest_joins = self.longest_joins.max(self.joins);
        self.joins = 0;
        self.lists_tables = false;
    }

    fn word(&mut self, word: &str, previous: Option<&str>, next: Option<&str>) {
        let was = |expected: &str| previous.is_some_and(|previous| previous.eq_ignore_ascii_case(expected));
        let mut upper = [0; 12];
        let Some(upper) = upper.get_mut(..word.len()) else { return };
        upper.copy_from_slice(word.as_bytes());
        upper.make_ascii_uppercase();
        match &*upper {
            b"NOT" if was("IS") => {}
            b"IN" | b"LIKE" | b"BETWEEN" | b"SIMILAR" if was("NOT") => {}
            b"AND" | b"OR" | b"NOT" | b"IS" | b"IN" | b"LIKE" | b"BETWEEN" | b"SIMILAR" | b"AT" | b"COLLATE"
            | b"OVERLAPS" | b"ARRAY" | b"MULTISET" | b"INTERVAL" | b"MEMBER" | b"CONTAINS" | b"PRECEDES"
            | b"SUCCEEDS" => self.operator(),
            b"JOIN" => {
                self.end_expression();
                self.joins += 1;
            }
            b"UNION" | b"EXCEPT" | b"INTERSECT" | b"MINUS" => {
                self.end_tables();
                self.sets += 1;
            }
            b"FROM" if !was("DISTINCT") => {
                self.end_tables();
                self.lists_tables = true;
            }
            // A WITH of queries, not of options or of a time zone.
            b"WITH"
                if next.is_some_and(|next| !["(", "LOCAL", "TIME"].iter().any(|no| next.eq_ignore_ascii_case(no))) =>
            {
                self.end_tables();
                self.lists_tables = true;
            }
            b"SELECT" | b"VALUES" | b"WHERE" | b"HAVING" | b"GROUP" | b"ORDER" | b"LIMIT" | b"OFFSET" | b"FETCH"
            | b"WINDOW" | b"QUALIFY" => self.end_tables(),
            b"ON" | b"WHEN" | b"THEN" | b"ELSE" | b"USING" => self.end_expression(),
            _ => {}
        }
    }
}

/// Closes the uppermost level: its depth becomes that of the level around it.
fn close(levels: &mut Vec<Level>) -> Bracket {
    let closed = levels.pop().unwrap_or_default();
    if let Some(level) = levels.last_mut() {
        level.inner = level.inner.max(closed.depth());
    }
    closed.bracket
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(text: &str) -> &'static str {
        check_depth(text, 0).map_or_else(|error| error.id().unwrap_or("without id"), |_| "fine")
    }

    const REFUSED: &str = "BL-LIM-SQL-DEPTH";

    #[test]
    fn nesting_is_refused_just_above_the_limit() {
        for (open, close) in [("(", ")"), ("f(", ")"), ("[", "]"), ("CASE WHEN a THEN ", " END"), ("(SELECT ", ")")] {
            let nested = |levels: usize| format!("SELECT {}1{}", open.repeat(levels), close.repeat(levels));
            assert_eq!(outcome(&nested(SQL_DEPTH)), "fine", "{open}");
            assert_eq!(outcome(&nested(SQL_DEPTH + 1)), REFUSED, "{open}");
        }
    }

    #[test]
    fn chains_are_refused_just_above_the_limit() {
        for (first, link) in [
            ("SELECT 1", " + 1"),
            ("SELECT a", " OR a"),
            ("SELECT ", "NOT "),
            ("SELECT ", "- "),
            ("SELECT a", ".a"),
            ("SELECT a", " IS NOT NULL"),
            ("SELECT a", " NOT IN (1)"),
            ("SELECT 1", " UNION ALL SELECT 1"),
            ("SELECT 1 FROM a", " JOIN b ON a = b"),
            ("SELECT 1 FROM a", ", b"),
            ("WITH a AS (SELECT 1)", ", b AS (SELECT 1)"),
        ] {
            let chain = |links: usize| format!("{first}{}", link.repeat(links));
            assert_eq!(outcome(&chain(SQL_DEPTH)), "fine", "{link}");
            assert_eq!(outcome(&chain(SQL_DEPTH + 1)), REFUSED, "{link}");
        }
    }

    #[test]
    fn lists_are_not_chains() {
        for (first, item) in [
            ("SELECT a", ", a + b"),
            ("SELECT a IN (1", ", 1"),
            ("INSERT INTO t VALUES (1)", ", (1 + 1)"),
            ("CREATE TABLE t (a TIMESTAMP(3) WITH LOCAL TIME ZONE", ", a INT"),
            ("SELECT CASE a", " WHEN b = 1 THEN c"),
            ("SELECT a IS DISTINCT FROM b", ", c"),
            ("CREATE TABLE t (a INT) WITH ('a'='b'", ", 'a'='b'"),
        ] {
            assert_eq!(outcome(&format!("{first}{}", item.repeat(3000))), "fine", "{item}");
        }
        assert_eq!(outcome(&"SELECT 1 + 1 + 1;".repeat(1000)), "fine");
    }

    #[test]
    fn chains_in_brackets_add_up() {
        let text =
            |links: usize| format!("SELECT {}1{}", "(".repeat(200), format!("{})", " + 1".repeat(links)).repeat(200));
        assert_eq!(outcome(&text(2)), "fine");
        assert_eq!(outcome(&text(200)), REFUSED);
    }

    #[test]
    fn parentheses_that_double_the_work_are_refused() {
        let text = |levels: usize| format!("{} a {}", "SELECT * FROM ((".repeat(levels), "))".repeat(levels));
        assert_eq!(outcome(&text(4)), "fine");
        assert_eq!(outcome(&text(30)), REFUSED);
        let joins = format!("SELECT * FROM {}a{}", "(".repeat(100), " JOIN b ON TRUE)".repeat(100));
        assert_eq!(outcome(&joins), "fine");
    }

    #[test]
    fn a_huge_chain_is_refused_at_once() {
        let text = format!("SELECT 1{}", "+1".repeat(400_000));
        let error = check_depth(&text, 100).unwrap_err();
        assert_eq!(error.id(), Some(REFUSED));
        assert_eq!(error.span(), Some(Span { start: 100 + 8 + 512, end: 100 + 8 + 513 }));
        assert_eq!(check_bytes(&"x".repeat(SQL_BYTES + 1)).unwrap_err().id(), Some("BL-LIM-SQL-BYTES"));
        assert!(check_bytes(&"x".repeat(SQL_BYTES)).is_ok());
    }

    #[test]
    fn a_large_stack_gives_its_result_back() {
        fn descend(depth: usize) -> usize {
            let room = std::hint::black_box([depth; 256]);
            if depth == 0 { 0 } else { descend(depth - 1) + room[0] / depth }
        }
        assert_eq!(on_large_stack(|| descend(10_000)), 10_000);
        assert!(std::panic::catch_unwind(|| on_large_stack(|| panic!("through"))).is_err());
    }
}
