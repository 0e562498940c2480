//! JSON_ARRAYAGG and JSON_OBJECTAGG: the documents of the rows of a group, of one value each, put together to one.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::Int32Type;

use super::document::unescaped;
use super::{json_function, place};
use crate::error::{Error, Result};
use crate::expressions::function::{Call, Function};

/// `[1]`, `[]` and `[2]` as `[1,2]`: of an array of texts.
pub static JSON_ARRAYS_AS_ONE: Function = json_function("JSON_ARRAYS_AS_ONE", arrays);

/// `{"b":1}` and `{"a":2}` as `{"a":2,"b":1}`: of texts, each with how often it is there. A name stands once.
pub static JSON_OBJECTS_AS_ONE: Function = json_function("JSON_OBJECTS_AS_ONE", objects);

fn arrays(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let Some(lists) = arguments.first().and_then(|lists| lists.as_list_opt::<i32>()) else {
        return Err(Error::bug("arrays in JSON that are no list of texts"));
    };
    let (texts, offsets) = (lists.values().as_string::<i32>(), lists.value_offsets());
    let mut out = StringBuilder::with_capacity(rows, texts.value_data().len() + 2 * rows);
    let mut document = String::new();
    for row in 0..rows {
        let row = place(lists, row);
        document.clear();
        document.push('[');
        let of_row = if lists.is_null(row) { 0..0 } else { offsets[row] as usize..offsets[row + 1] as usize };
        for element in of_row.map(|at| inner(texts.value(at))).filter(|element| !element.is_empty()) {
            document.push_str(if document.len() > 1 { "," } else { "" });
            document.push_str(element);
        }
        document.push(']');
        out.append_value(&document);
    }
    Ok(Arc::new(out.finish()))
}

/// Members stand in the order of their names, as in JSON_OBJECT.
fn objects(_: &Call, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let Some(maps) = arguments.first().and_then(|maps| maps.as_map_opt()) else {
        return Err(Error::bug("objects in JSON that are no multiset of texts"));
    };
    let texts = maps.keys().as_string::<i32>();
    let (counts, offsets) = (maps.values().as_primitive::<Int32Type>().values(), maps.value_offsets());
    let mut out = StringBuilder::with_capacity(rows, texts.value_data().len() + 2 * rows);
    let mut document = String::new();
    for row in 0..rows {
        let row = place(maps, row);
        let of_row = offsets[row] as usize..offsets[row + 1] as usize;
        let mut members = Vec::with_capacity(of_row.len());
        for at in of_row {
            let member = inner(texts.value(at));
            if member.is_empty() {
                continue;
            }
            let name = name_of(member).ok_or_else(|| Error::bug(format!("{member} is no member of an object")))?;
            if counts[at] > 1 {
                return Err(twice(&name));
            }
            members.push((name, member));
        }
        members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
        if let Some(pair) = members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(twice(&pair[0].0));
        }
        document.clear();
        document.push('{');
        for (index, (_, member)) in members.iter().enumerate() {
            document.push_str(if index > 0 { "," } else { "" });
            document.push_str(member);
        }
        document.push('}');
        out.append_value(&document);
    }
    Ok(Arc::new(out.finish()))
}

/// What stands between the brackets.
fn inner(document: &str) -> &str {
    document.get(1..document.len().saturating_sub(1)).unwrap_or_default()
}

/// The name of `"name":value`.
fn name_of(member: &str) -> Option<std::borrow::Cow<'_, str>> {
    let name = member.strip_prefix('"')?;
    let mut is_escaped = false;
    let end = name.bytes().position(|byte| match byte {
        _ if is_escaped => {
            is_escaped = false;
            false
        }
        b'\\' => {
            is_escaped = true;
            false
        }
        byte => byte == b'"',
    })?;
    unescaped(&name[..end])
}

fn twice(name: &str) -> Error {
    Error::data(format!("JSON_OBJECTAGG: two rows of a group have the name '{name}'"))
        .with_help("a name stands once in an object: group by it as well, or keep one row of each")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_member_ends_at_its_quote() {
        let name = |member| name_of(member).map(|name| name.into_owned());
        assert_eq!(name(r#""a":1"#).as_deref(), Some("a"));
        assert_eq!(name(r#""a\"b\\":"c""#).as_deref(), Some(r#"a"b\"#));
        assert_eq!(name("a:1"), None);
    }
}
