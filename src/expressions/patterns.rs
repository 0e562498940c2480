//! Functions with regular expressions: REGEXP, REGEXP_EXTRACT, REGEXP_REPLACE, SIMILAR TO.
//!
//! Patterns are Java's. The engine below knows no look-around, no back-references and no possessive repetition: a
//! pattern that holds one is refused by name, and one whose signs mean something else here is translated, so that
//! nothing is ever matched that Java would not match.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, StringBuilder};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::functions::regex::compile_regex;

use super::function::{Call, Function, Nulls, Style};
use super::strings::any_null;
use super::types::{is_integer, type_name};
use super::typing::{Argument, Typing, count};
use crate::error::{Error, Result};

/// The list.
pub const FUNCTIONS: &[Function] = &[
    pattern_function(
        "REGEXP",
        "REGEXP(text, pattern): whether a part of the text matches",
        |arguments| typing(arguments, 2, 2, DataType::Boolean),
        |_, arguments, rows| matches(arguments, rows, false),
    )
    .example("REGEXP('banana', 'n.n')", "true"),
    pattern_function(
        "REGEXP_EXTRACT",
        "REGEXP_EXTRACT(text, pattern [, group]): the first match, or a group of it; NULL if there is none",
        extract_typing,
        extract,
    )
    .example("REGEXP_EXTRACT('k=v', '(.)=(.)', 2)", "v"),
    pattern_function(
        "REGEXP_REPLACE",
        "REGEXP_REPLACE(text, pattern, other): every match replaced by the other text as it stands",
        |arguments| typing(arguments, 3, 3, DataType::Utf8),
        replace,
    )
    .example("REGEXP_REPLACE('banana', 'an', '-')", "b--a"),
];

/// `text SIMILAR TO pattern [ESCAPE character]`, in which % and _ are those of LIKE and all else is a regular expression.
pub static SIMILAR: Function = Function {
    fallible: true,
    style: Style::Infix("SIMILAR TO"),
    ..Function::strict(
        "SIMILAR",
        "text SIMILAR TO pattern",
        |arguments| {
            for argument in arguments {
                is_text(argument)?;
            }
            if let Some(text) = &arguments[1].text {
                let pattern = similar(text, arguments.get(2).and_then(|escape| escape.text.as_deref()))?;
                compile_regex(&pattern, None).map_err(|_| unreadable(text))?;
            }
            Ok(Typing::new(vec![DataType::Utf8; arguments.len()], DataType::Boolean))
        },
        |_, arguments, rows| matches(arguments, rows, true),
    )
};

pub(super) const fn pattern_function(
    name: &'static str,
    doc: &'static str,
    typing: fn(&[Argument]) -> Result<Typing, String>,
    body: fn(&Call, &[ArrayRef], usize) -> Result<ArrayRef>,
) -> Function {
    // A pattern that comes from a column may be one that is not built.
    Function { nulls: Nulls::Possible, fallible: true, ..Function::strict(name, doc, typing, body) }
}

fn is_text(argument: &Argument) -> Result<(), String> {
    match &argument.data_type {
        DataType::Utf8 | DataType::Null => Ok(()),
        other => Err(format!("it takes text, not {}; use CAST(… AS STRING)", type_name(other))),
    }
}

/// Texts, of which the second is a pattern; one that is written in the query is checked at once.
pub(super) fn typing(arguments: &[Argument], least: usize, most: usize, output: DataType) -> Result<Typing, String> {
    count(arguments, least, most)?;
    arguments.iter().take(least.max(2)).try_for_each(is_text)?;
    if let Some(pattern) = &arguments[1].text {
        let translated = translated(pattern)?;
        // Flink finds nothing with a pattern that it cannot read; where it stands in the query it is better to say so.
        compile_regex(&translated, None).map_err(|_| unreadable(pattern))?;
    }
    Ok(Typing::new(vec![DataType::Utf8; arguments.len()], output))
}

pub(super) fn extract_typing(arguments: &[Argument]) -> Result<Typing, String> {
    let mut typing = typing(arguments, 2, 3, DataType::Utf8)?;
    if let Some(group) = arguments.get(2) {
        if !is_integer(&group.data_type) && group.data_type != DataType::Null {
            return Err(format!("its group is a whole number, not {}", type_name(&group.data_type)));
        }
        typing.arguments[2] = DataType::Int32;
    }
    Ok(typing)
}

fn unreadable(pattern: &str) -> String {
    format!("the pattern '{pattern}' cannot be read")
}

/// Calls `apply` for each row that holds no NULL with the row's pattern, compiled once for all rows in a row that share
/// it; none for a pattern that cannot be read.
fn each_row<R, E>(
    arguments: &[ArrayRef],
    rows: usize,
    translate: impl Fn(usize, &str) -> Result<String, String>,
    compile: impl Fn(&str) -> Result<R, E>,
    mut apply: impl FnMut(usize, Option<Option<&R>>) -> Result<()>,
) -> Result<()> {
    let patterns = arguments[1].as_string::<i32>();
    let mut known: Option<(&str, Option<R>)> = None;
    for row in 0..rows {
        if any_null(arguments, row) {
            apply(row, None)?;
            continue;
        }
        let text = patterns.value(row);
        if known.as_ref().is_none_or(|(pattern, _)| *pattern != text) {
            known = Some((text, compile(&translate(row, text).map_err(Error::data)?).ok()));
        }
        apply(row, Some(known.as_ref().and_then(|(_, compiled)| compiled.as_ref())))?;
    }
    Ok(())
}

/// Finds the first match in a text that begins at a byte or behind it, and where a group of it lies that takes part in it.
type FindGroup<'a> = &'a dyn Fn(&str, usize, usize) -> Option<(Range<usize>, Part)>;
type Part = Option<Range<usize>>;

/// The groups of a pattern.
pub(super) struct Groups<'a> {
    /// How many there are, with the whole match, which is group 0.
    pub(super) count: usize,
    pub(super) find: FindGroup<'a>,
}

/// The same as [`each_pattern`] with the groups of the pattern.
pub(super) fn each_groups(
    arguments: &[ArrayRef],
    rows: usize,
    mut apply: impl FnMut(usize, Option<Groups>),
) -> Result<()> {
    each_row(
        arguments,
        rows,
        |_, text| translated(text),
        |pattern| compile_regex(pattern, None),
        |row, pattern| {
            let Some(pattern) = pattern.flatten() else {
                apply(row, None);
                return Ok(());
            };
            let find = |text: &str, from: usize, group: usize| {
                let found = pattern.captures_at(text, from)?;
                Some((found.get(0)?.range(), found.get(group).map(|part| part.range())))
            };
            apply(row, Some(Groups { count: pattern.captures_len(), find: &find }));
            Ok(())
        },
    )
}

type Finder = Box<dyn Fn(&str, usize) -> Option<(usize, usize)>>;

/// Splits texts at the matches of a pattern, which is compiled once as long as it stays the same.
#[derive(Default)]
pub(super) struct Splitter {
    known: Option<(String, Option<Finder>)>,
}

impl Splitter {
    /// The parts of a text, at most `most` of them; without a bound (0) the empty ones at the end are left out, as in Java.
    /// A pattern that cannot be read is found nowhere.
    pub(super) fn split<'t>(&mut self, text: &'t str, pattern: &str, most: usize) -> Result<Vec<&'t str>> {
        if self.known.as_ref().is_none_or(|(known, _)| known != pattern) {
            let compiled = compile_regex(&translated(pattern).map_err(Error::data)?, None).ok();
            let finder = compiled.map(|compiled| -> Finder {
                Box::new(move |text, from| compiled.find_at(text, from).map(|found| (found.start(), found.end())))
            });
            self.known = Some((pattern.to_owned(), finder));
        }
        let mut parts = Vec::new();
        let mut start = 0;
        if let Some((_, Some(pattern))) = &self.known {
            each_match(text, pattern.as_ref(), |from, to| {
                // Before an empty match at the start there is no part.
                if to > 0 && (most == 0 || parts.len() + 1 < most) {
                    parts.push(&text[start..from]);
                    start = to;
                }
            });
        }
        parts.push(&text[start..]);
        // A text in which nothing was found stays, though it is empty.
        while most == 0 && start > 0 && parts.last().is_some_and(|part| part.is_empty()) {
            parts.pop();
        }
        Ok(parts)
    }
}

/// Finds the first match of a pattern in a text that begins at a byte or behind it.
pub(super) type Find<'a> = &'a dyn Fn(&str, usize) -> Option<(usize, usize)>;

/// Calls `apply` for each row with its pattern; none with a NULL, or for a pattern that cannot be read.
pub(super) fn each_pattern(
    arguments: &[ArrayRef],
    rows: usize,
    mut apply: impl FnMut(usize, Option<Find>),
) -> Result<()> {
    each_row(
        arguments,
        rows,
        |_, text| translated(text),
        |pattern| compile_regex(pattern, None),
        |row, pattern| {
            match pattern.flatten() {
                Some(pattern) => apply(
                    row,
                    Some(&|text, from| pattern.find_at(text, from).map(|found| (found.start(), found.end()))),
                ),
                None => apply(row, None),
            }
            Ok(())
        },
    )
}

/// Calls `apply` with the start and the end of each match, the empty one right behind another included, as in Java.
pub(super) fn each_match(text: &str, find: Find, mut apply: impl FnMut(usize, usize)) {
    let mut from = 0;
    while let Some((start, end)) = find(text, from) {
        apply(start, end);
        from = end;
        if start == end {
            let Some(next) = text[end..].chars().next() else { return };
            from += next.len_utf8();
        }
    }
}

fn matches(arguments: &[ArrayRef], rows: usize, is_similar: bool) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let escapes = arguments.get(2).map(|array| array.as_string::<i32>());
    let mut found = BooleanArray::builder(rows);
    each_row(
        arguments,
        rows,
        |row, text| if is_similar { similar(text, escapes.map(|array| array.value(row))) } else { translated(text) },
        |pattern| compile_regex(pattern, None),
        |row, pattern| {
            match pattern {
                None => found.append_null(),
                Some(pattern) => {
                    // Flink finds nothing with the empty pattern.
                    let is_empty = !is_similar && arguments[1].as_string::<i32>().value(row).is_empty();
                    found.append_value(!is_empty && pattern.is_some_and(|pattern| pattern.is_match(texts.value(row))));
                }
            }
            Ok(())
        },
    )?;
    Ok(Arc::new(found.finish()))
}

fn extract(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let groups = arguments.get(2).map(|array| array.as_primitive::<Int32Type>());
    let mut out = StringBuilder::with_capacity(rows, texts.value_data().len());
    each_row(
        arguments,
        rows,
        |_, text| translated(text),
        |pattern| compile_regex(pattern, None),
        |row, pattern| {
            let group = usize::try_from(groups.map_or(0, |groups| groups.value(row)));
            let captures = pattern.flatten().and_then(|pattern| pattern.captures(texts.value(row)));
            out.append_option(captures.as_ref().and_then(|captures| Some(captures.get(group.ok()?)?.as_str())));
            Ok(())
        },
    )?;
    Ok(Arc::new(out.finish()))
}

fn replace(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let (texts, others) = (arguments[0].as_string::<i32>(), arguments[2].as_string::<i32>());
    let mut out = StringBuilder::with_capacity(rows, texts.value_data().len());
    let mut whole = String::new();
    each_pattern(arguments, rows, |row, pattern| {
        let (text, other) = (texts.value(row), others.value(row));
        out.append_option(pattern.map(|pattern| {
            whole.clear();
            let mut copied = 0;
            each_match(text, pattern, |start, end| {
                whole.push_str(&text[copied..start]);
                whole.push_str(other);
                copied = end;
            });
            whole.push_str(&text[copied..]);
            &whole
        }));
    })?;
    Ok(Arc::new(out.finish()))
}

/// A pattern of SIMILAR TO as a regular expression for the whole text.
fn similar(pattern: &str, escape: Option<&str>) -> Result<String, String> {
    let escape = match escape {
        None => None,
        Some(text) if text.chars().count() == 1 => text.chars().next(),
        Some(other) => return Err(format!("ESCAPE takes one character, not '{other}'")),
    };
    let mut out = String::from("\\A(?:");
    let mut inner = String::new();
    let mut in_class = false;
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            _ if Some(character) == escape => match characters.next() {
                Some(next @ ('%' | '_')) => inner.push(next),
                Some(next) if Some(next) == escape || "[](){}|*+?^$.-".contains(next) => inner.extend(['\\', next]),
                _ => return Err(format!("Invalid escape sequence in the pattern '{pattern}'")),
            },
            '[' if inner.ends_with('[') && in_class => inner.push('['),
            '[' => {
                in_class = true;
                inner.push('[');
            }
            ']' => {
                in_class = inner.ends_with(':');
                inner.push(']');
            }
            '\\' => inner.push_str("\\\\"),
            '%' if !in_class => inner.push_str("(?s:.*)"),
            '_' if !in_class => inner.push_str("(?s:.)"),
            other => inner.push(other),
        }
    }
    // Classes have names in upper case there and in lower case here.
    for class in ["ALPHA", "ALNUM", "DIGIT", "LOWER", "UPPER", "SPACE"] {
        inner = inner.replace(&format!("[:{class}:]"), &format!("[:{}:]", class.to_ascii_lowercase()));
    }
    out.push_str(&translated(&inner)?);
    out.push_str(")\\z");
    Ok(out)
}

/// A pattern of Java's as one of the engine's; what the engine does not have is refused.
fn translated(pattern: &str) -> Result<String, String> {
    let refuse = |what: &str| Err(format!("{what} in the pattern '{pattern}' is not built yet"));
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut depth_of_class = 0_usize;
    let mut characters = pattern.chars().peekable();
    // Whether what stands before is a repetition, behind which a `+` would make it possessive.
    let mut repeated = false;
    while let Some(character) = characters.next() {
        let was_repeated = std::mem::replace(&mut repeated, false);
        match character {
            '\\' => {
                let Some(next) = characters.next() else { return Err(unreadable(pattern)) };
                match next {
                    // Letters of Java's classes mean ASCII.
                    'd' => out.push_str("[0-9]"),
                    'D' => out.push_str("[^0-9]"),
                    'w' => out.push_str("[a-zA-Z_0-9]"),
                    'W' => out.push_str("[^a-zA-Z_0-9]"),
                    's' => out.push_str("[ \\t\\n\\x0B\\f\\r]"),
                    'S' => out.push_str("[^ \\t\\n\\x0B\\f\\r]"),
                    '1'..='9' | 'k' => return refuse("a back-reference"),
                    't' | 'n' | 'r' | 'f' | 'a' | 'b' | 'B' | 'A' | 'z' | 'x' | 'p' | 'P' => out.extend(['\\', next]),
                    letter if letter.is_ascii_alphanumeric() => return refuse(&format!("\\{letter}")),
                    sign if sign.is_ascii_punctuation() => out.extend(['\\', sign]),
                    other => out.push(other),
                }
            }
            '[' => {
                depth_of_class += 1;
                out.push('[');
                if characters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            ']' if depth_of_class > 0 => {
                depth_of_class -= 1;
                out.push(']');
            }
            // Signs in a class that would be operators here.
            '-' | '~' if depth_of_class > 0 && characters.peek() == Some(&character) => out.extend(['\\', character]),
            _ if depth_of_class > 0 => out.push(character),
            '(' if characters.next_if_eq(&'?').is_some() => {
                out.push_str("(?");
                match characters.peek() {
                    Some('=' | '!') => return refuse("looking ahead"),
                    Some('>') => return refuse("an atomic group"),
                    Some('<') => {
                        out.push('<');
                        characters.next();
                        if matches!(characters.peek(), Some('=' | '!')) {
                            return refuse("looking behind");
                        }
                    }
                    _ => {
                        while let Some(flag) = characters.next_if(|flag| flag.is_ascii_alphabetic() || *flag == '-') {
                            if !matches!(flag, 'i' | 'm' | 's' | 'x' | 'u' | '-') {
                                return refuse(&format!("the flag {flag}"));
                            }
                            // Letters are compared as in all of Unicode anyway.
                            if flag != 'u' {
                                out.push(flag);
                            }
                        }
                    }
                }
            }
            '+' if was_repeated => return refuse("a possessive repetition"),
            '*' | '+' | '}' => {
                repeated = true;
                out.push(character);
            }
            '?' => {
                // Behind a repetition it makes that one lazy.
                repeated = !was_repeated;
                out.push('?');
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;

    fn texts(values: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    #[test]
    fn t19_what_the_engine_does_not_have_is_refused() {
        for pattern in
            ["a(?=b)", "a(?!b)", "(?<=a)b", "(?<!a)b", "(a)\\1", "a*+b", "a?+", "(?>a)", "\\Ra", "(?U)a", "\\"]
        {
            assert!(translated(pattern).is_err(), "{pattern}");
        }
        for (pattern, expected) in [
            ("a+?b", "a+?b"),
            ("[a-c&&[^b]]+", "[a-c&&[^b]]+"),
            ("[--x]", "[\\--x]"),
            ("\\d{2}", "[0-9]{2}"),
            ("[\\w.]", "[[a-zA-Z_0-9].]"),
            ("(?iu)a(?<n>b)", "(?i)a(?<n>b)"),
        ] {
            assert_eq!(translated(pattern).as_deref(), Ok(expected));
            assert!(compile_regex(expected, None).is_ok(), "{expected}");
        }
    }

    #[test]
    fn digits_are_those_of_ascii() {
        let found = matches(&[texts(&["7", "٧"]), texts(&["^\\d$", "^\\d$"])], 2, false).unwrap();
        assert_eq!(found.as_boolean().iter().collect::<Vec<_>>(), [Some(true), Some(false)]);
    }

    #[test]
    fn a_pattern_of_a_column_that_cannot_be_read_finds_nothing() {
        let found = matches(&[texts(&["a"]), texts(&["("])], 1, false).unwrap();
        assert!(!found.as_boolean().value(0));
        assert!(matches(&[texts(&["a"]), texts(&["(?=a)"])], 1, false).is_err());
    }
}
