//! Paths of JSON_VALUE and its kin: `[lax | strict] $.name[0]…`, compiled once for all rows that share one.
//!
//! They are Flink's, which are those of the library JsonPath: `$..name` looks at every depth, `[1:3]` is a slice, indices
//! below 0 count from the end, and a path that may find several values gives an array of them. Without a mode a path is
//! strict. Filters and functions are refused by name.

use std::borrow::Cow;

use super::document::Node;

/// A compiled path.
#[derive(Debug, PartialEq, Eq)]
pub struct Path {
    /// Whether nothing is a mistake: what is not found, or is no JSON, is empty.
    pub is_lax: bool,
    steps: Vec<Step>,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Name(String),
    /// `['a', 'b']`
    Names(Vec<String>),
    Wildcard,
    Index(i64),
    /// `[0, 2]`
    Indices(Vec<i64>),
    Slice(Option<i64>, Option<i64>),
    /// `..`: the step behind it at every depth.
    Scan,
}

/// A strict path found nothing where it had to.
#[derive(Debug, PartialEq, Eq)]
pub struct NotFound;

impl Path {
    /// Reads a path; or what is wrong with it.
    pub fn compile(text: &str) -> Result<Self, String> {
        let trimmed = text.trim_start();
        let mode = |word: &str| {
            let rest = trimmed.get(word.len()..).filter(|_| trimmed[..word.len()].eq_ignore_ascii_case(word))?;
            rest.starts_with(char::is_whitespace).then_some(rest)
        };
        let (is_lax, path) = match (mode("lax"), mode("strict")) {
            (Some(path), _) => (true, path),
            (_, Some(path)) => (false, path),
            _ => (false, text),
        };
        let broken = || format!("the path '{text}' cannot be read: write '$.name', '$.list[0]' or '$[''a name'']'");
        let mut reader = Reader { rest: path.trim(), text };
        // The root may be left out in front of a name.
        let is_rooted = reader.takes("$") || reader.takes("@");
        let mut steps = Vec::new();
        if !is_rooted {
            steps.push(reader.name().ok_or_else(broken)??);
        }
        while !reader.rest.is_empty() {
            if reader.takes("..") {
                steps.push(Step::Scan);
                let step = if reader.rest.starts_with('[') { reader.bracket() } else { reader.name() };
                steps.push(step.ok_or_else(broken)??);
            } else if reader.takes(".") {
                let step = if reader.rest.starts_with('[') { reader.bracket() } else { reader.name() };
                steps.push(step.ok_or_else(broken)??);
            } else {
                steps.push(reader.bracket().ok_or_else(broken)??);
            }
        }
        Ok(Self { is_lax, steps })
    }

    /// What the path finds in a document; none where a lax path finds nothing. A NULL is nothing.
    pub fn find<'a>(&self, document: &'a Node<'a>) -> Result<Option<Cow<'a, Node<'a>>>, NotFound> {
        let mut found = Vec::new();
        let walked = walk(&self.steps, document, true, &mut found);
        let is_definite = |(index, step): (usize, &Step)| match step {
            Step::Name(_) | Step::Index(_) => true,
            // Several names at the end are one object.
            Step::Names(_) => index + 1 == self.steps.len(),
            _ => false,
        };
        if self.steps.iter().enumerate().all(is_definite) {
            return match found.pop() {
                Some(node) if walked.is_ok() && *node != Node::Null => Ok(Some(node)),
                _ if self.is_lax => Ok(None),
                _ => Err(NotFound),
            };
        }
        match walked {
            Err(error) if !self.is_lax => Err(error),
            _ => Ok(Some(Cow::Owned(Node::List(found.into_iter().map(Cow::into_owned).collect())))),
        }
    }
}

type Found<'a> = Vec<Cow<'a, Node<'a>>>;

/// Whether `is_definite`, up to here there is one place at most, and it has to be there.
fn walk<'a>(steps: &[Step], node: &'a Node<'a>, is_definite: bool, found: &mut Found<'a>) -> Result<(), NotFound> {
    let Some((step, rest)) = steps.split_first() else {
        found.push(Cow::Borrowed(node));
        return Ok(());
    };
    let missing = if is_definite { Err(NotFound) } else { Ok(()) };
    match (step, node) {
        (Step::Name(name), Node::Object(members)) => match member(members, name) {
            Some(inner) => walk(rest, inner, is_definite, found),
            // At the end of a path it is noticed by what was found.
            None if rest.is_empty() => Ok(()),
            None => missing,
        },
        (Step::Names(names), Node::Object(members)) => {
            let there = names.iter().filter_map(|name| member(members, name).map(|inner| (name, inner)));
            if rest.is_empty() {
                let merged = there.map(|(name, inner)| (Cow::Owned(name.clone()), inner.clone()));
                found.push(Cow::Owned(Node::Object(merged.collect())));
                return Ok(());
            }
            there.map(|(_, inner)| inner).try_for_each(|inner| walk(rest, inner, false, found))
        }
        (Step::Index(index), Node::List(nodes)) => match at(nodes, *index) {
            Some(inner) => walk(rest, inner, is_definite, found),
            None => Ok(()),
        },
        (Step::Indices(indices), Node::List(nodes)) => {
            indices.iter().filter_map(|index| at(nodes, *index)).try_for_each(|inner| walk(rest, inner, false, found))
        }
        (Step::Slice(from, to), Node::List(nodes)) => {
            slice(nodes, *from, *to).try_for_each(|inner| walk(rest, inner, false, found))
        }
        (Step::Wildcard, Node::Object(members)) => {
            members.iter().try_for_each(|(_, inner)| walk(rest, inner, false, found))
        }
        (Step::Wildcard, Node::List(nodes)) => nodes.iter().try_for_each(|inner| walk(rest, inner, false, found)),
        (Step::Wildcard, _) => Ok(()),
        (Step::Scan, node) => {
            scan(rest, node, found);
            Ok(())
        }
        _ => missing,
    }
}

/// The steps from every place at or below the node.
fn scan<'a>(steps: &[Step], node: &'a Node<'a>, found: &mut Found<'a>) {
    // Nothing is missed where it need not be.
    let _ = walk(steps, node, false, found);
    match node {
        Node::Object(members) => members.iter().for_each(|(_, inner)| scan(steps, inner, found)),
        Node::List(nodes) => nodes.iter().for_each(|inner| scan(steps, inner, found)),
        _ => {}
    }
}

fn member<'a>(members: &'a [(Cow<'a, str>, Node<'a>)], name: &str) -> Option<&'a Node<'a>> {
    members.iter().find(|(known, _)| known == name).map(|(_, node)| node)
}

fn at<'a>(nodes: &'a [Node<'a>], index: i64) -> Option<&'a Node<'a>> {
    let length = i64::try_from(nodes.len()).unwrap_or(i64::MAX);
    let index = if index < 0 { index + length } else { index };
    nodes.get(usize::try_from(index).ok()?)
}

/// With both ends given they are indices one by one, so that `[1:-1]` is empty.
fn slice<'a>(nodes: &'a [Node<'a>], from: Option<i64>, to: Option<i64>) -> impl Iterator<Item = &'a Node<'a>> {
    let length = i64::try_from(nodes.len()).unwrap_or(i64::MAX);
    let (from, to) = match (from, to) {
        (Some(from), Some(to)) => (from.max(-length), to.min(length)),
        (Some(from), None) => (if from < 0 { (from + length).max(0) } else { from }, length),
        (None, Some(to)) => (0, if to < 0 { to + length } else { to.min(length) }),
        (None, None) => (0, length),
    };
    (from..to).filter_map(|index| at(nodes, index))
}

struct Reader<'a> {
    rest: &'a str,
    /// The whole path, for messages.
    text: &'a str,
}

type Read = Option<Result<Step, String>>;

impl Reader<'_> {
    fn takes(&mut self, sign: &str) -> bool {
        let found = self.rest.strip_prefix(sign);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn not_built(&self, what: &str) -> String {
        format!("{what} in the path '{}' is not built yet", self.text)
    }

    /// A name or `*`; none if there is none.
    fn name(&mut self) -> Read {
        if self.takes("*") {
            return Some(Ok(Step::Wildcard));
        }
        let end = self.rest.find(['.', '[', '(', ' ']).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() || rest.starts_with(' ') {
            return None;
        }
        if rest.starts_with('(') {
            return Some(Err(self.not_built(&format!("the function {name}()"))));
        }
        self.rest = rest;
        Some(Ok(Step::Name(name.to_owned())))
    }

    /// `[…]`
    fn bracket(&mut self) -> Read {
        if !self.takes("[") {
            return None;
        }
        self.blanks();
        let step = if self.takes("*") {
            Step::Wildcard
        } else if self.rest.starts_with('?') {
            return Some(Err(self.not_built("a filter")));
        } else if self.rest.starts_with(['\'', '"']) {
            let mut names = self.list(Self::quoted)?;
            if names.len() == 1 { Step::Name(names.pop()?) } else { Step::Names(names) }
        } else {
            let first = self.number();
            self.blanks();
            if self.takes(":") {
                self.blanks();
                let to = self.number();
                // One of both ends has to be there.
                first.or(to)?;
                Step::Slice(first, to)
            } else {
                let mut indices = vec![first?];
                self.blanks();
                if self.takes(",") {
                    self.blanks();
                    indices.append(&mut self.list(Self::number)?);
                }
                if indices.len() == 1 { Step::Index(indices[0]) } else { Step::Indices(indices) }
            }
        };
        self.blanks();
        self.takes("]").then_some(Ok(step))
    }

    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut all = vec![one(self)?];
        loop {
            self.blanks();
            if !self.takes(",") {
                return Some(all);
            }
            self.blanks();
            all.push(one(self)?);
        }
    }

    /// A name in quotes of either kind; a backslash takes the next character as it is.
    fn quoted(&mut self) -> Option<String> {
        let mut characters = self.rest.chars();
        let quote = characters.next()?;
        let mut name = String::new();
        loop {
            match characters.next()? {
                '\\' => name.push(characters.next()?),
                end if end == quote => break,
                other => name.push(other),
            }
        }
        self.rest = characters.as_str();
        Some(name)
    }

    fn number(&mut self) -> Option<i64> {
        let unsigned = self.rest.strip_prefix('-').unwrap_or(self.rest);
        let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.rest.split_at(self.rest.len() - unsigned.len() + digits);
        let number = number.parse::<i32>().ok()?;
        self.rest = rest;
        Some(number.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{"a":[{"b":1},{"b":2},{"b":[3,4]}],"c":"x","d e":{"f":null},"h":{"i":{"b":7}},"l":[]}"#;

    /// What is found in the document, `-` for nothing, `!` for a mistake of a strict path.
    fn find(path: &str) -> String {
        let document = Node::read(DOCUMENT).unwrap();
        let mut out = String::new();
        match Path::compile(path).unwrap_or_else(|error| panic!("{error}")).find(&document) {
            Ok(Some(node)) => node.write(&mut out),
            Ok(None) => out.push('-'),
            Err(NotFound) => out.push('!'),
        }
        out
    }

    #[test]
    fn paths_find_what_jsonpath_finds() {
        for (path, expected) in [
            ("$.c", "\"x\""),
            (" c ", "\"x\""),
            ("@.c", "\"x\""),
            ("$.['c']", "\"x\""),
            ("lax", "!"),
            ("strict $['d e'].f", "!"),
            ("lax $['d e'].f", "-"),
            ("$.a[0].b", "1"),
            ("$.a[-1].b[1]", "4"),
            ("$.a[*].b", "[1,2,[3,4]]"),
            ("$.a[*].z", "[]"),
            ("$.z[*]", "!"),
            ("lax $.z[*]", "[]"),
            ("$.a[1,7].b", "[2]"),
            ("$.a[:-1].b", "[1,2]"),
            ("$.a[-2:]", r#"[{"b":2},{"b":[3,4]}]"#),
            ("$.a[2:1]", "[]"),
            ("$..b", "[1,2,[3,4],7]"),
            ("$.*.i", r#"[{"b":7}]"#),
            ("$['c','z']", r#"{"c":"x"}"#),
            ("$.c[0]", "!"),
            ("lax $.c[0]", "-"),
            ("$.c[*]", "[]"),
            ("$.l[0]", "!"),
            ("$.a[01].b", "2"),
        ] {
            assert_eq!(find(path), expected, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for path in [
            "",
            "$c",
            "$.",
            "$..",
            "$[",
            "$[]",
            "$.a[x]",
            "$.a[0",
            "$.a.",
            "$.d e",
            "$. c",
            "$ .c",
            "$.\"d e\"",
            "foo $.a",
            "$.a[1 to 2]",
            "$[:]",
        ] {
            let said = Path::compile(path).map(|_| ()).unwrap_err();
            assert!(said.contains("cannot be read"), "{path}: {said}");
        }
        for path in ["$.a[?(@.b > 1)]", "$.a.length()"] {
            assert!(Path::compile(path).unwrap_err().ends_with("is not built yet"), "{path}");
        }
    }
}
