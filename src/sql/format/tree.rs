//! Tokens in their brackets.

use super::tokens::Token;

/// A token, or brackets with what is in them.
#[derive(Debug)]
pub enum Node<'t> {
    Token(&'t Token<'t>),
    Group(Group<'t>),
}

/// `( … )`, `[ … ]`, `< … >` of a type, or `CASE … END`.
#[derive(Debug)]
pub struct Group<'t> {
    pub open: &'t Token<'t>,
    pub nodes: Vec<Node<'t>>,
    /// None where it is not closed.
    pub close: Option<&'t Token<'t>>,
}

impl<'t> Node<'t> {
    pub fn token(&self) -> Option<&'t Token<'t>> {
        match self {
            Self::Token(token) => Some(token),
            Self::Group(_) => None,
        }
    }

    /// Whether it is the unquoted word, in any case.
    pub fn is(&self, word: &str) -> bool {
        self.token().is_some_and(|token| token.is(word))
    }

    pub fn is_one_of(&self, words: &[&str]) -> bool {
        self.token().is_some_and(|token| token.is_one_of(words))
    }

    pub fn is_sign(&self, sign: &str) -> bool {
        self.token().is_some_and(|token| token.is_sign(sign))
    }
}

impl Group<'_> {
    pub fn is_case(&self) -> bool {
        self.open.is("CASE")
    }
}

/// Whether the words stand at the place.
pub fn sees(nodes: &[Node], index: usize, words: &[&str]) -> bool {
    words.iter().enumerate().all(|(offset, word)| nodes.get(index + offset).is_some_and(|node| node.is(word)))
}

/// Puts tokens into their brackets. What closes nothing is a token like others, what is not closed ends with the text.
pub fn grow<'t>(tokens: &'t [Token<'t>]) -> Vec<Node<'t>> {
    let mut open: Vec<Group<'t>> = Vec::new();
    let mut nodes = Vec::new();
    for token in tokens {
        let closes = |sign: &str| open.last().is_some_and(|group| group.open.is_sign(sign));
        let is_end = (token.is_sign(")") && closes("("))
            || (token.is_sign("]") && closes("["))
            || (token.is_bracket && token.is_sign(">") && closes("<"))
            || (token.is("END") && !token.is_name && open.last().is_some_and(Group::is_case));
        let is_bracket = token.is_sign("(") || token.is_sign("[") || (token.is_bracket && token.is_sign("<"));
        if is_bracket || (token.is("CASE") && !token.is_name) {
            open.push(Group { open: token, nodes: std::mem::take(&mut nodes), close: None });
        } else if is_end {
            close(&mut open, &mut nodes, Some(token));
        } else {
            nodes.push(Node::Token(token));
        }
    }
    while !open.is_empty() {
        close(&mut open, &mut nodes, None);
    }
    nodes
}

/// While a group is open, its `nodes` are those before it.
fn close<'t>(open: &mut Vec<Group<'t>>, nodes: &mut Vec<Node<'t>>, token: Option<&'t Token<'t>>) {
    if let Some(mut group) = open.pop() {
        group.close = token;
        std::mem::swap(&mut group.nodes, nodes);
        nodes.push(Node::Group(group));
    }
}
