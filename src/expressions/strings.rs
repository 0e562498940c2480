//! Functions on text. Positions count characters from 1.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Int32Type};

use super::function::{Call, Function, Nulls};
use super::types::{is_integer, type_name};
use super::typing::{Argument, Typing, count};
use crate::error::Result;

/// The list.
pub const FUNCTIONS: &[Function] = &[
    Function::strict(
        "BTRIM",
        "BTRIM(text [, characters]): without blanks (or these characters) at both ends",
        texts_1_2,
        |_, a, n| trimmed(a, n, |text, set| text.trim_matches(set)),
    )
    .example("BTRIM('xxaxx', 'x')", "a"),
    Function::strict("CHARACTER_LENGTH", "CHARACTER_LENGTH(text): as CHAR_LENGTH", text_to_int, |_, a, n| {
        lengths(a, n)
    })
    .example("CHARACTER_LENGTH('größe')", "5"),
    Function::strict("CHAR_LENGTH", "CHAR_LENGTH(text): how many characters it has", text_to_int, |_, a, n| {
        lengths(a, n)
    })
    .example("CHAR_LENGTH('größe')", "5"),
    Function::strict("CONCAT", "CONCAT(text, …): put together; NULL if any is NULL", many_texts, concat)
        .example("CONCAT('a', 'b', 'c')", "abc"),
    Function {
        nulls: Nulls::Possible,
        ..Function::strict(
            "CONCAT_WS",
            "CONCAT_WS(separator, text, …): put together with the separator; NULLs are left out",
            many_texts,
            concat_ws,
        )
        .example("CONCAT_WS('-', 'a', CAST(NULL AS STRING), 'b')", "a-b")
    },
    Function::strict("LEFT", "LEFT(text, n): the first n characters", text_and_int, |_, a, n| {
        each(a, n, |text, k| Cow::Owned(text.chars().take(usize::try_from(k[0]).unwrap_or(0)).collect()))
    })
    .example("LEFT('flink', 2)", "fl"),
    Function::strict(
        "LOCATE",
        "LOCATE(part, text [, start]): where the part begins, from 1; 0 if nowhere",
        locate_typing,
        positions,
    )
    .example("LOCATE('na', 'banana', 4)", "5"),
    Function::strict("LOWER", "LOWER(text): in lower case", one_text, |_, a, n| {
        each(a, n, |text, _| text.to_lowercase().into())
    })
    .example("LOWER('ABC')", "abc"),
    Function::strict(
        "LTRIM",
        "LTRIM(text [, characters]): without blanks (or these characters) at the start",
        texts_1_2,
        |_, a, n| trimmed(a, n, |text, set| text.trim_start_matches(set)),
    )
    .example("LTRIM('  a')", "a"),
    Function::strict(
        "POSITION",
        "POSITION(part IN text): where the part begins, from 1; 0 if nowhere",
        two_texts_to_int,
        positions,
    )
    .example("POSITION('na' IN 'banana')", "3"),
    Function::strict("REPEAT", "REPEAT(text, n): n times", text_and_int, |_, a, n| {
        each(a, n, |text, k| text.repeat(usize::try_from(k[0]).unwrap_or(0)).into())
    })
    .example("REPEAT('ab', 3)", "ababab"),
    Function::strict("REPLACE", "REPLACE(text, part, other): every part replaced", three_texts, replace)
        .example("REPLACE('banana', 'na', 'x')", "baxx"),
    Function::strict("REVERSE", "REVERSE(text): backwards", one_text, |_, a, n| {
        each(a, n, |text, _| text.chars().rev().collect::<String>().into())
    })
    .example("REVERSE('abc')", "cba"),
    Function::strict("RIGHT", "RIGHT(text, n): the last n characters", text_and_int, |_, a, n| {
        each(a, n, |text, k| {
            let keep = usize::try_from(k[0]).unwrap_or(0);
            let skip = text.chars().count().saturating_sub(keep);
            text.chars().skip(skip).collect::<String>().into()
        })
    })
    .example("RIGHT('flink', 3)", "ink"),
    Function::strict(
        "RTRIM",
        "RTRIM(text [, characters]): without blanks (or these characters) at the end",
        texts_1_2,
        |_, a, n| trimmed(a, n, |text, set| text.trim_end_matches(set)),
    )
    .example("RTRIM('axx', 'x')", "a"),
    Function {
        nulls: Nulls::Possible,
        ..Function::strict("SUBSTR", "SUBSTR(text, start [, length]): as SUBSTRING", text_and_ints, substrings)
            .example("SUBSTR('flink', 2, 3)", "lin")
    },
    Function {
        nulls: Nulls::Possible,
        ..Function::strict(
            "SUBSTRING",
            "SUBSTRING(text, start [, length]): from the start, counted from 1 or, negative, from the end",
            text_and_ints,
            substrings,
        )
        .example("SUBSTRING('flink' FROM -3)", "ink")
    },
    Function::strict(
        "TRIM",
        "TRIM([BOTH | LEADING | TRAILING] [characters FROM] text): without blanks or these characters",
        texts_1_2,
        |_, a, n| trimmed(a, n, |text, set| text.trim_matches(set)),
    )
    .example("TRIM(LEADING 'x' FROM 'xxax')", "ax"),
    Function::strict("UPPER", "UPPER(text): in upper case", one_text, |_, a, n| {
        each(a, n, |text, _| text.to_uppercase().into())
    })
    .example("UPPER('abc')", "ABC"),
];

fn is_text(argument: &Argument) -> Result<(), String> {
    match &argument.data_type {
        DataType::Utf8 | DataType::Null => Ok(()),
        other => Err(format!("it takes text, not {}; use CAST(… AS STRING)", type_name(other))),
    }
}

fn is_int(argument: &Argument) -> Result<(), String> {
    match &argument.data_type {
        DataType::Null => Ok(()),
        other if is_integer(other) => Ok(()),
        other => Err(format!("it takes a whole number, not {}", type_name(other))),
    }
}

/// Texts, then whole numbers.
pub(super) fn shape(
    arguments: &[Argument],
    texts: (usize, usize),
    integers: (usize, usize),
    output: DataType,
) -> Result<Typing, String> {
    count(arguments, texts.0 + integers.0, texts.1.saturating_add(integers.1))?;
    let cut = if integers.1 == 0 { arguments.len() } else { texts.0 };
    let (head, tail) = arguments.split_at(cut);
    head.iter().try_for_each(is_text)?;
    tail.iter().try_for_each(is_int)?;
    let types = head.iter().map(|_| DataType::Utf8).chain(tail.iter().map(|_| DataType::Int32)).collect();
    Ok(Typing::new(types, output))
}

fn one_text(arguments: &[Argument]) -> Result<Typing, String> {
    shape(arguments, (1, 1), (0, 0), DataType::Utf8)
}

fn texts_1_2(arguments: &[Argument]) -> Result<Typing, String> {
    shape(arguments, (1, 2), (0, 0), DataType::Utf8)
}

fn three_texts(arguments: &[Argument]) -> Result<Typing, String> {
    shape(arguments, (3, 3), (0, 0), DataType::Utf8)
}

fn many_texts(arguments: &[Argument]) -> Result<Typing, String> {
    shape(arguments, (1, usize::MAX), (0, 0), DataType::Utf8)
}

fn text_to_int(arguments: &[Argument]) -> Result<Typing, String> {
    shape(arguments, (1, 1), (0, 0), DataType::Int32)
}

fn two_texts_to_int(arguments: &[Argument]) -> Result<Typing, String> {
    shape(arguments, (2, 2), (0, 0), DataType::Int32)
}

fn locate_typing(arguments: &[Argument]) -> Result<Typing, String> {
    shape(arguments, (2, 2), (0, 1), DataType::Int32)
}

fn text_and_int(arguments: &[Argument]) -> Result<Typing, String> {
    shape(arguments, (1, 1), (1, 1), DataType::Utf8)
}

fn text_and_ints(arguments: &[Argument]) -> Result<Typing, String> {
    shape(arguments, (1, 1), (1, 2), DataType::Utf8)
}

/// Whether a row has a NULL among its arguments.
pub(super) fn any_null(arguments: &[ArrayRef], row: usize) -> bool {
    arguments.iter().any(|array| array.is_null(row))
}

/// One text and some whole numbers to a text, row by row.
fn each(arguments: &[ArrayRef], rows: usize, of: impl for<'a> Fn(&'a str, &[i32]) -> Cow<'a, str>) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let numbers: Vec<_> = arguments[1..].iter().map(|array| array.as_primitive::<Int32Type>()).collect();
    let mut builder = StringBuilder::with_capacity(rows, texts.value_data().len());
    let mut values = vec![0; numbers.len()];
    for row in 0..rows {
        if any_null(arguments, row) {
            builder.append_null();
        } else {
            for (value, array) in values.iter_mut().zip(&numbers) {
                *value = array.value(row);
            }
            builder.append_value(of(texts.value(row), &values));
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// A negative length gives NULL.
fn substrings(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let parts = each(arguments, rows, substring)?;
    let Some(lengths) = arguments.get(2) else { return Ok(parts) };
    let negative = arrow::compute::kernels::cmp::lt(lengths, &Int32Array::new_scalar(0))?;
    Ok(arrow::compute::nullif(&parts, &negative)?)
}

/// Start 0 acts as 1; a negative start counts from the end.
fn substring<'a>(text: &'a str, numbers: &[i32]) -> Cow<'a, str> {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let start = match i64::from(numbers[0]) {
        0 => 0,
        start if start > 0 => start - 1,
        start => length + start,
    };
    let end = numbers.get(1).map_or(length, |wanted| start.saturating_add(i64::from(*wanted)).min(length));
    if start < 0 || start >= length || end <= start {
        return Cow::Borrowed("");
    }
    let byte = |position: i64| {
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        text.char_indices().nth(position).map_or(text.len(), |(byte, _)| byte)
    };
    Cow::Borrowed(&text[byte(start)..byte(end)])
}

fn trimmed(arguments: &[ArrayRef], rows: usize, trim: for<'a> fn(&'a str, &[char]) -> &'a str) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let sets = arguments.get(1).map(|array| array.as_string::<i32>());
    let result: StringArray = (0..rows)
        .map(|row| {
            if any_null(arguments, row) {
                return None;
            }
            let set: Vec<char> = sets.map_or_else(|| vec![' '], |sets| sets.value(row).chars().collect());
            Some(trim(texts.value(row), &set))
        })
        .collect();
    Ok(Arc::new(result))
}

fn lengths(arguments: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    let texts = arguments[0].as_string::<i32>();
    let result: Int32Array =
        texts.iter().map(|text| text.map(|text| i32::try_from(text.chars().count()).unwrap_or(i32::MAX))).collect();
    Ok(Arc::new(result))
}

fn concat(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let texts: Vec<_> = arguments.iter().map(|array| array.as_string::<i32>()).collect();
    let mut builder = StringBuilder::new();
    let mut whole = String::new();
    for row in 0..rows {
        if any_null(arguments, row) {
            builder.append_null();
        } else {
            whole.clear();
            texts.iter().for_each(|array| whole.push_str(array.value(row)));
            builder.append_value(&whole);
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn concat_ws(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let texts: Vec<_> = arguments.iter().map(|array| array.as_string::<i32>()).collect();
    let result: StringArray = (0..rows)
        .map(|row| {
            let parts: Vec<_> =
                texts[1..].iter().filter(|array| array.is_valid(row)).map(|array| array.value(row)).collect();
            texts[0].is_valid(row).then(|| parts.join(texts[0].value(row)))
        })
        .collect();
    Ok(Arc::new(result))
}

fn positions(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let (parts, texts) = (arguments[0].as_string::<i32>(), arguments[1].as_string::<i32>());
    let starts = arguments.get(2).map(|array| array.as_primitive::<Int32Type>());
    let result: Int32Array = (0..rows)
        .map(|row| {
            if any_null(arguments, row) {
                return None;
            }
            let (text, part) = (texts.value(row), parts.value(row));
            // The empty part is at the start, wherever the search begins.
            let skip = starts.map_or(0, |starts| usize::try_from(starts.value(row) - 1).unwrap_or(0));
            let from =
                if part.is_empty() { 0 } else { text.char_indices().nth(skip).map_or(text.len(), |(byte, _)| byte) };
            let found = text[from..].find(part).map(|byte| text[..from + byte].chars().count() + 1);
            Some(i32::try_from(found.unwrap_or(0)).unwrap_or(i32::MAX))
        })
        .collect();
    Ok(Arc::new(result))
}

fn replace(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let [texts, parts, others] = [0, 1, 2].map(|index| arguments[index].as_string::<i32>());
    let result: StringArray = (0..rows)
        .map(|row| {
            if any_null(arguments, row) {
                return None;
            }
            let (text, part) = (texts.value(row), parts.value(row));
            // As in Java the empty part is found around every character.
            Some(text.replace(part, others.value(row)))
        })
        .collect();
    Ok(Arc::new(result))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expressions::lookup;

    fn call(name: &str, texts: &[Option<&str>], numbers: &[i32]) -> ArrayRef {
        let function = lookup(name).unwrap();
        let mut arguments: Vec<ArrayRef> =
            texts.iter().map(|text| Arc::new(StringArray::from(vec![*text])) as ArrayRef).collect();
        arguments.extend(numbers.iter().map(|number| Arc::new(Int32Array::from(vec![*number])) as ArrayRef));
        let described: Vec<_> = arguments
            .iter()
            .map(|array| Argument { data_type: array.data_type().clone(), number: None, text: None })
            .collect();
        let typing = (function.typing)(&described).unwrap();
        (function.body)(&Call::new(function, typing.output, true, typing.parameters), &arguments, 1).unwrap()
    }

    fn text(name: &str, texts: &[Option<&str>], numbers: &[i32]) -> Option<String> {
        let result = call(name, texts, numbers);
        let result = result.as_string::<i32>();
        result.is_valid(0).then(|| result.value(0).to_owned())
    }

    #[test]
    fn t16_concat_is_null_with_a_null_and_concat_ws_skips_it() {
        assert_eq!(text("CONCAT", &[Some("a"), None], &[]), None);
        assert_eq!(text("CONCAT_WS", &[Some(","), Some("a"), None, Some(""), Some("b")], &[]).unwrap(), "a,,b");
        assert_eq!(text("CONCAT_WS", &[None, Some("a")], &[]), None);
    }

    #[test]
    fn t17_positions_count_from_one() {
        for (numbers, expected) in [
            (&[1, 2][..], "he"),
            (&[0, 2], "he"),
            (&[-3], "llo"),
            (&[-3, 2], "ll"),
            (&[2], "ello"),
            (&[9], ""),
            (&[2, 0], ""),
        ] {
            assert_eq!(text("SUBSTRING", &[Some("hello")], numbers).unwrap(), expected, "{numbers:?}");
        }
        assert_eq!(call("POSITION", &[Some("x"), Some("abc")], &[]).as_primitive::<Int32Type>().value(0), 0);
        assert_eq!(call("POSITION", &[Some("c"), Some("äbc")], &[]).as_primitive::<Int32Type>().value(0), 3);
        assert_eq!(text("LEFT", &[Some("abc")], &[-1]).unwrap(), "");
        assert_eq!(text("TRIM", &[Some("  a ")], &[]).unwrap(), "a");
        assert_eq!(text("REPLACE", &[Some("aXbX"), Some("X"), Some("-")], &[]).unwrap(), "a-b-");
    }
}
