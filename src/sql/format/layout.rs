//! Where the lines of a statement end.
//!
//! What fits stays on a line, and a query, a list of columns or of options and a CASE of several cases stay only if they
//! are short. A query breaks at its clauses, a clause at its commas or at AND, and what is left at its brackets.

use unicode_width::UnicodeWidthStr;

use super::super::lexer::Kind;
use super::tokens::Token;
use super::tree::{Group, Node, sees};
use super::writer::{WIDTH, Writer};

/// How much an inner line is moved to the right.
pub const STEP: usize = 2;
/// The longest query, list of columns or of options, or CASE of several cases that is one line.
const SHORT: usize = 60;

/// The text of a statement whose first line begins at the indent.
pub fn statement(nodes: &[Node], indent: usize) -> String {
    let mut layout = Layout { out: Writer::at(indent) };
    match columns_of_table(nodes) {
        Some(columns) => layout.create_table(nodes, columns, indent),
        None => layout.clauses(nodes, indent),
    }
    layout.out.end()
}

/// Where the columns stand in a CREATE TABLE; where they would stand, if there are none.
fn columns_of_table(nodes: &[Node]) -> Option<usize> {
    if !nodes.first()?.is_one_of(&["CREATE", "REPLACE"]) {
        return None;
    }
    let table = nodes.iter().take(4).position(|node| node.is("TABLE"))?;
    let is_end = |node: &Node| matches!(node, Node::Group(_)) || starts_rest(node);
    Some(nodes[table..].iter().position(is_end).map_or(nodes.len(), |offset| table + offset))
}

/// Whether a clause of CREATE TABLE behind its columns begins here.
fn starts_rest(node: &Node) -> bool {
    node.is_one_of(&["AS", "COMMENT", "DISTRIBUTED", "LIKE", "PARTITIONED", "WITH"])
}

/// A part of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clause {
    /// What stands before the query, as `INSERT INTO t`.
    Head,
    With,
    Select,
    From,
    Join,
    Condition,
    Group,
    Order,
    Values,
    /// A query in parentheses.
    Operand,
    /// UNION and its like.
    Between,
    /// LIMIT and its like.
    Tail,
    Late,
}

/// A clause, and the nodes from and to which it stands.
#[derive(Debug, Clone, Copy)]
struct Part {
    clause: Clause,
    start: usize,
    end: usize,
}

struct Layout {
    out: Writer,
}

impl Layout {
    fn fits(&self, nodes: &[Node], at_most: usize) -> bool {
        Width::of(nodes, at_most.min(self.out.room())).is_some()
    }

    fn flat(&mut self, nodes: &[Node], indent: usize) {
        for node in nodes {
            match node {
                Node::Token(token) => self.out.token(token, indent),
                Node::Group(group) => {
                    self.out.token(group.open, indent);
                    self.flat(&group.nodes, indent);
                    group.close.iter().for_each(|close| self.out.token(close, indent));
                }
            }
        }
    }

    /// A query, or a statement that may hold one.
    fn clauses(&mut self, nodes: &[Node], indent: usize) {
        let parts = parts(nodes);
        if let [Part { clause: Clause::Head, .. }] = parts.as_slice() {
            return self.item(nodes, indent);
        }
        if self.fits(nodes, SHORT) {
            return self.flat(nodes, indent);
        }
        let has_operands = parts.iter().any(|part| part.clause == Clause::Between);
        let mut index = 0;
        while let Some(part) = parts.get(index) {
            if index > 0 {
                self.out.line(indent);
            }
            let end = index + operand_length(&parts[index..], has_operands);
            let operand = &nodes[part.start..parts[end - 1].end];
            if end > index + 1 && self.fits(operand, SHORT) {
                self.flat(operand, indent);
                index = end;
            } else {
                self.clause(part.clause, &nodes[part.start..part.end], indent);
                index += 1;
            }
        }
    }

    fn clause(&mut self, clause: Clause, nodes: &[Node], indent: usize) {
        let is_one = commas(nodes) == 0;
        if (clause != Clause::With || is_one) && self.fits(nodes, WIDTH) {
            return self.flat(nodes, indent);
        }
        let head = head_length(clause, nodes);
        match clause {
            Clause::With => {
                self.flat(&nodes[..head], indent);
                self.list(&nodes[head..], indent);
            }
            Clause::From | Clause::Group | Clause::Order | Clause::Values if is_one => {
                self.flat(&nodes[..head], indent);
                self.item(&nodes[head..], indent);
            }
            Clause::Select | Clause::From | Clause::Group | Clause::Order | Clause::Values => {
                self.flat(&nodes[..head], indent);
                self.out.line(indent + STEP);
                self.list(&nodes[head..], indent + STEP);
            }
            Clause::Condition => {
                self.flat(&nodes[..head], indent);
                self.logical(&nodes[head..], indent + STEP);
            }
            Clause::Join => {
                let on = nodes.iter().position(|node| node.is("ON")).unwrap_or(nodes.len());
                self.sequence(&nodes[..on], indent);
                if let Some((on, condition)) = nodes[on..].split_first() {
                    self.out.line(indent + STEP);
                    self.flat(std::slice::from_ref(on), indent);
                    self.logical(condition, indent + 2 * STEP);
                }
            }
            _ => self.sequence(nodes, indent),
        }
    }

    /// What commas part, a line each.
    fn list(&mut self, nodes: &[Node], indent: usize) {
        for (index, (element, comma)) in elements(nodes).into_iter().enumerate() {
            if index > 0 {
                self.out.line(indent);
            }
            self.item(element, indent);
            comma.iter().for_each(|comma| self.out.token(comma, indent));
        }
    }

    /// An expression with or without a name.
    fn item(&mut self, nodes: &[Node], indent: usize) {
        let alias = nodes.len().saturating_sub(2);
        if self.fits(nodes, WIDTH) {
            self.flat(nodes, indent);
        } else if alias > 0
            && nodes[alias].is("AS")
            && nodes[alias + 1].token().is_some()
            && self.fits(&nodes[..alias], WIDTH)
        {
            self.flat(&nodes[..alias], indent);
            self.out.line(indent + STEP);
            self.flat(&nodes[alias..], indent);
        } else if operands(nodes).len() > 1 {
            self.logical(nodes, indent + STEP);
        } else {
            self.sequence(nodes, indent);
        }
    }

    /// A condition, with a line for each that OR joins, or else AND.
    fn logical(&mut self, nodes: &[Node], indent: usize) {
        for (index, operand) in operands(nodes).into_iter().enumerate() {
            let operator = usize::from(index > 0);
            if index > 0 {
                self.out.line(indent);
                self.flat(&operand[..operator], indent);
            }
            self.item(&operand[operator..], indent);
        }
    }

    /// Tokens one behind the other; brackets are broken where they do not fit.
    fn sequence(&mut self, nodes: &[Node], indent: usize) {
        for (index, node) in nodes.iter().enumerate() {
            let Node::Group(group) = node else {
                self.flat(&nodes[index..=index], indent + STEP);
                continue;
            };
            let behind = nodes[index + 1..].iter().map_while(Node::token).map(width).sum();
            if Width::of(&nodes[index..=index], self.out.room().saturating_sub(behind)).is_some() {
                self.flat(&nodes[index..=index], indent + STEP);
            } else {
                self.group(group, indent);
            }
        }
    }

    /// Brackets with what is in them on lines of its own.
    fn group(&mut self, group: &Group, indent: usize) {
        self.out.token(group.open, indent);
        let inner = indent + STEP;
        if group.is_case() {
            let starts = |index: &usize| *index == 0 || group.nodes[*index].is_one_of(&["WHEN", "ELSE"]);
            let mut starts: Vec<usize> = (0..group.nodes.len()).filter(starts).collect();
            starts.push(group.nodes.len());
            for case in starts.windows(2) {
                let case = &group.nodes[case[0]..case[1]];
                if case.first().is_some_and(|first| first.is_one_of(&["WHEN", "ELSE"])) {
                    self.out.line(inner);
                }
                self.item(case, inner);
            }
        } else if !group.nodes.is_empty() {
            self.out.line(inner);
            self.content(&group.nodes, inner);
        }
        if let Some(close) = group.close {
            self.close(close, true, indent);
        }
    }

    fn content(&mut self, nodes: &[Node], indent: usize) {
        if is_query(nodes) {
            self.clauses(nodes, indent);
        } else if commas(nodes) > 0 && !nodes[0].is_one_of(&["ORDER", "PARTITION"]) {
            self.list(nodes, indent);
        } else {
            self.item(nodes, indent);
        }
    }

    fn create_table(&mut self, nodes: &[Node], columns: usize, indent: usize) {
        self.flat(&nodes[..columns], indent + STEP);
        let mut index = columns;
        let mut is_broken = false;
        if let Some(Node::Group(group)) = nodes.get(columns) {
            is_broken = self.short_group(group, SHORT, indent, Self::columns);
            index += 1;
        }
        while index < nodes.len() {
            if nodes[index].is("AS") && nodes.len() > index + 1 {
                self.flat(&nodes[index..=index], indent);
                self.out.line(indent);
                return self.clauses(&nodes[index + 1..], indent);
            }
            let next = nodes[index + 1..].iter().position(starts_rest).map_or(nodes.len(), |next| index + 1 + next);
            let clause = &nodes[index..next];
            match clause {
                [with, Node::Group(options)] if with.is("WITH") => {
                    self.flat(&clause[..1], indent);
                    let at_most = if is_broken && commas(&options.nodes) > 0 { 0 } else { SHORT };
                    self.short_group(options, at_most, indent, Self::list);
                }
                _ => self.sequence(clause, indent),
            }
            index = next;
        }
    }

    /// Parentheses with a list that stays on the line only if it is short. Whether it does not.
    fn short_group(
        &mut self,
        group: &Group,
        at_most: usize,
        indent: usize,
        list: fn(&mut Self, &[Node], usize),
    ) -> bool {
        let has_comment = group.open.ends_line() || group.close.is_some_and(|close| !close.before.is_empty());
        let is_broken = has_comment || !self.fits(&group.nodes, at_most);
        self.out.token(group.open, indent);
        if is_broken {
            self.out.line(indent + STEP);
            list(self, &group.nodes, indent + STEP);
        } else {
            self.flat(&group.nodes, indent);
        }
        if let Some(close) = group.close {
            self.close(close, is_broken, indent);
        }
        is_broken
    }

    fn close(&mut self, close: &Token, is_broken: bool, indent: usize) {
        self.out.comments(&close.before, indent + STEP);
        if is_broken {
            self.out.line(indent);
        }
        self.out.bare(close, indent);
    }

    /// The columns of a table, a line each, with their types below one another.
    fn columns(&mut self, nodes: &[Node], indent: usize) {
        let elements = elements(nodes);
        let names = elements.iter().filter_map(|(element, _)| column_name(element));
        let longest = names.map(|name| name.text.width()).max().unwrap_or_default();
        for (index, (element, comma)) in elements.into_iter().enumerate() {
            if index > 0 {
                self.out.line(indent);
            }
            match column_name(element) {
                Some(name) => {
                    self.out.token(name, indent);
                    self.out.pad(longest - name.text.width());
                    self.item(&element[1..], indent);
                }
                None => self.item(element, indent),
            }
            comma.iter().for_each(|comma| self.out.token(comma, indent));
        }
    }
}

/// The name of a column that has a type or an expression behind it.
fn column_name<'t>(element: &[Node<'t>]) -> Option<&'t Token<'t>> {
    let is_other = sees(element, 0, &["WATERMARK", "FOR"])
        || sees(element, 0, &["PRIMARY", "KEY"])
        || element.first()?.is("CONSTRAINT")
        || matches!(element.get(1), None | Some(Node::Group(_)));
    if is_other { None } else { element[0].token() }
}

/// The columns of a token and of the space before it, with its comments as far as they do not end the line.
fn width(token: &Token) -> usize {
    let comments = token.after.iter().filter(|comment| !comment.ends_line);
    usize::from(token.space) + token.text.width() + comments.map(|comment| comment.text.width() + 1).sum::<usize>()
}

/// The columns of nodes on one line.
struct Width {
    columns: usize,
    limit: usize,
    is_first: bool,
    /// Whether a comment has ended the line.
    is_over: bool,
}

impl Width {
    /// None if they are more than the limit, or cannot be one line.
    fn of(nodes: &[Node], limit: usize) -> Option<usize> {
        let mut width = Self { columns: 0, limit, is_first: true, is_over: false };
        width.take_all(nodes).then_some(width.columns)
    }

    fn take_all(&mut self, nodes: &[Node]) -> bool {
        nodes.iter().all(|node| match node {
            Node::Token(token) => self.take(token),
            Node::Group(group) => {
                let cases = group.nodes.iter().filter(|node| node.is("WHEN")).count();
                let is_limited = (group.is_case() && cases > 1) || (!group.is_case() && is_query(&group.nodes));
                let is_short = !is_limited || Self::of(&group.nodes, SHORT).is_some();
                is_short
                    && self.take(group.open)
                    && self.take_all(&group.nodes)
                    && group.close.is_none_or(|close| self.take(close))
            }
        })
    }

    fn take(&mut self, token: &Token) -> bool {
        if self.is_over || token.text.contains('\n') || !(self.is_first || token.before.is_empty()) {
            return false;
        }
        self.columns += width(token) - usize::from(self.is_first && token.space);
        self.is_over = token.ends_line();
        self.is_first = false;
        self.columns <= self.limit
    }
}

fn commas(nodes: &[Node]) -> usize {
    nodes.iter().filter(|node| node.is_sign(",")).count()
}

/// What commas part, each with its comma.
fn elements<'n, 't>(nodes: &'n [Node<'t>]) -> Vec<(&'n [Node<'t>], Option<&'t Token<'t>>)> {
    let parts = nodes.split_inclusive(|node| node.is_sign(","));
    let cut = |part: &'n [Node<'t>]| match part.split_last() {
        Some((last, element)) if last.is_sign(",") => (element, last.token()),
        _ => (part, None),
    };
    parts.map(cut).collect()
}

/// What OR joins, or else AND; all but the first begin with the word.
fn operands<'n, 't>(nodes: &'n [Node<'t>]) -> Vec<&'n [Node<'t>]> {
    let word = if nodes.iter().any(|node| node.is("OR")) { "OR" } else { "AND" };
    let mut operands = Vec::new();
    let mut start = 0;
    let mut is_between = false;
    for (index, node) in nodes.iter().enumerate() {
        if node.is(word) && !(is_between && word == "AND") && index > start {
            operands.push(&nodes[start..index]);
            start = index;
        }
        is_between = node.is("BETWEEN") || (is_between && !node.is("AND"));
    }
    operands.push(&nodes[start..]);
    operands
}

/// Whether these are a query.
fn is_query(nodes: &[Node]) -> bool {
    match nodes.first() {
        Some(Node::Group(group)) if !group.is_case() => is_query(&group.nodes) && commas(nodes) == 0,
        Some(node) => node.is_one_of(&["SELECT", "VALUES"]) || (node.is("WITH") && starts_with(nodes, 0)),
        None => false,
    }
}

/// Whether a WITH gives names to queries.
fn starts_with(nodes: &[Node], index: usize) -> bool {
    let behind = nodes.get(index + 2..).unwrap_or_default();
    let columns = usize::from(matches!(behind.first(), Some(Node::Group(_))));
    sees(behind, columns, &["AS"])
}

/// Cuts a query and what stands before it into its clauses.
fn parts(nodes: &[Node]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut index = 0;
    let mut has_query = false;
    while index < nodes.len() {
        let is_operand = parts.last().is_none_or(|last| last.clause == Clause::Between && index == last.end);
        let (clause, length) = match clause_at(nodes, index, has_query) {
            Some(found) => found,
            None if is_operand && matches!(&nodes[index], Node::Group(group) if is_query(&group.nodes)) => {
                (Clause::Operand, 1)
            }
            None if parts.is_empty() || is_operand => (Clause::Head, 1),
            None => {
                parts.iter_mut().last().expect("there is a part").end = index + 1;
                index += 1;
                continue;
            }
        };
        has_query |= !matches!(clause, Clause::Head | Clause::With);
        parts.push(Part { clause, start: index, end: index + length });
        index += length;
    }
    parts
}

/// The clause that begins at the place, and how many words name it.
fn clause_at(nodes: &[Node], index: usize, has_query: bool) -> Option<(Clause, usize)> {
    let sees = |words: &[&str]| sees(nodes, index, words);
    if sees(&["SELECT"]) {
        return Some((Clause::Select, 1));
    } else if sees(&["VALUES"]) {
        return Some((Clause::Values, 1));
    } else if sees(&["WITH"]) && !has_query && starts_with(nodes, index) {
        return Some((Clause::With, 1));
    } else if !has_query {
        return None;
    }
    let is_distinct_from = || index > 0 && nodes[index - 1].is("DISTINCT");
    let one = |words: &[&str]| nodes[index].is_one_of(words);
    match () {
        () if sees(&["FROM"]) && !is_distinct_from() => Some((Clause::From, 1)),
        () if one(&["WHERE", "HAVING", "QUALIFY"]) => Some((Clause::Condition, 1)),
        () if sees(&["GROUP", "BY"]) => Some((Clause::Group, 2)),
        () if sees(&["ORDER", "BY"]) => Some((Clause::Order, 2)),
        () if one(&["LIMIT", "OFFSET", "FETCH", "WINDOW"]) => Some((Clause::Tail, 1)),
        () if one(&["UNION", "EXCEPT", "INTERSECT", "MINUS"]) => {
            let has_word = nodes.get(index + 1).is_some_and(|next| next.is_one_of(&["ALL", "DISTINCT"]));
            Some((Clause::Between, 1 + usize::from(has_word)))
        }
        () if sees(&["LATE", "RECORDS"]) => Some((Clause::Late, 2)),
        () => {
            let kinds = ["ANTI", "ASOF", "CROSS", "FULL", "INNER", "LEFT", "NATURAL", "OUTER", "RIGHT", "SEMI"];
            let kinds = nodes[index..].iter().take_while(|node| node.is_one_of(&kinds)).count();
            nodes.get(index + kinds).is_some_and(|node| node.is("JOIN")).then_some((Clause::Join, kinds + 1))
        }
    }
}

/// How many of the parts are one query: what orders and cuts a UNION belongs to none of its queries.
fn operand_length(parts: &[Part], has_operands: bool) -> usize {
    if !matches!(parts[0].clause, Clause::Select | Clause::Operand | Clause::Values) {
        return 1;
    }
    let is_end = |part: &Part| match part.clause {
        Clause::Between | Clause::Late => true,
        Clause::Order | Clause::Tail => has_operands,
        _ => false,
    };
    let rest = &parts[1..];
    1 + rest.iter().position(is_end).unwrap_or(rest.len())
}

/// How many nodes of a clause stand before its first element.
fn head_length(clause: Clause, nodes: &[Node]) -> usize {
    let words = if matches!(clause, Clause::Group | Clause::Order) { 2 } else { 1 };
    let is_head = |node: &&Node| {
        clause == Clause::Select
            && node.token().is_some_and(|token| token.kind == Kind::Hint || token.is_one_of(&["ALL", "DISTINCT"]))
    };
    words + nodes[words..].iter().take_while(is_head).count()
}
