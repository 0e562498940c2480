//! The binder of values made of values: what puts them together and what takes a part out.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::logical_expr::{Expr, Operator};
use sqlparser::ast;

use super::at;
use super::conversion::{cast, same_type, to_common_type};
use super::expression::{Binder, compared, infix};
use super::typed::Typed;
use crate::error::{Error, Result};
use crate::expressions::{
    ARRAY, Call, FIELD, Function, ITEM, LOOKUP, MAP, ROW, common_type, is_multiset, key_and_value, list_of, map_of,
    row_of, type_name,
};
use crate::options::nearest;

impl Binder<'_> {
    /// `ROW(a, b)` or `(a, b)`: fields without names of their own are called as columns without are.
    pub(super) fn row(&mut self, fields: &[ast::Expr]) -> Result<Typed> {
        let values = fields.iter().map(|field| {
            let typed = self.bind(field)?;
            match typed.data_type {
                DataType::Null => Err(at(Error::query("Illegal use of 'NULL'"), field)
                    .with_help("give it a type: ROW(CAST(NULL AS INT))")),
                _ => Ok(typed),
            }
        });
        let values = values.collect::<Result<Vec<_>>>()?;
        if values.is_empty() {
            return Err(Error::query("a ROW has at least one field").with_help("as in ROW(1, 'a')"));
        }
        let names = values.iter().enumerate();
        let output = row_of(names.map(|(index, typed)| (format!("EXPR${index}"), typed.data_type.clone())));
        Ok(made(&ROW, values, output))
    }

    /// `ARRAY[a, b]`
    pub(super) fn array(&mut self, elements: &[ast::Expr]) -> Result<Typed> {
        let values = elements.iter().map(|element| self.bind(element)).collect::<Result<Vec<_>>>()?;
        let (values, element) = to_common_type(values, "the elements of an ARRAY", common_type)?;
        if element == DataType::Null {
            return Err(Error::query("an ARRAY has an element with a type")
                .with_help("an empty one is CAST(NULL AS ARRAY<INT>) where NULL will do"));
        }
        Ok(made(&ARRAY, values, list_of(element)))
    }

    /// `MAP[key, value, …]`
    pub(super) fn map(&mut self, entries: &[ast::MapEntry]) -> Result<Typed> {
        let keys = entries.iter().map(|entry| self.bind(&entry.key)).collect::<Result<Vec<_>>>()?;
        let values = entries.iter().map(|entry| self.bind(&entry.value)).collect::<Result<Vec<_>>>()?;
        let (keys, key) = to_common_type(keys, "the keys of a MAP", common_type)?;
        let (values, value) = to_common_type(values, "the values of a MAP", common_type)?;
        if key == DataType::Null || value == DataType::Null {
            return Err(
                Error::query("a MAP has a key and a value with a type").with_help("write MAP['a', CAST(NULL AS INT)]")
            );
        }
        let values = keys.into_iter().zip(values).flat_map(|(key, value)| [key, value]).collect();
        Ok(made(&MAP, values, map_of(key, value)))
    }

    /// `root.field`, `root[index]`, and so on inwards.
    pub(super) fn part(&mut self, root: &ast::Expr, chain: &[ast::AccessExpr]) -> Result<Typed> {
        // A name with more names behind it may begin with a table.
        let names = |root: &ast::Expr| match root {
            ast::Expr::Identifier(ident) => vec![ident.clone()],
            ast::Expr::CompoundIdentifier(idents) => idents.clone(),
            _ => Vec::new(),
        };
        let mut path = names(root);
        let mut chain = chain;
        if !path.is_empty() {
            while let [ast::AccessExpr::Dot(ast::Expr::Identifier(ident)), rest @ ..] = chain {
                path.push(ident.clone());
                chain = rest;
            }
        }
        let mut typed = if path.is_empty() { self.bind(root)? } else { self.column(&path)? };
        for access in chain {
            typed = match access {
                ast::AccessExpr::Dot(ast::Expr::Identifier(ident)) => field(typed, ident)?,
                ast::AccessExpr::Subscript(ast::Subscript::Index { index }) => {
                    let place = self.bind(index)?;
                    item(typed, place).map_err(|error| at(error, index))?
                }
                other => {
                    return Err(Error::query(format!("{other} is no part of a value"))
                        .with_help("a field of a ROW is r.x, an element of an ARRAY a[1], a value of a MAP m['k']"));
                }
            };
        }
        Ok(typed)
    }
}

/// A value put together of others.
fn made(function: &'static Function, values: Vec<Typed>, output: DataType) -> Typed {
    let call = Call::new(function, output.clone(), false, Vec::new());
    Typed::new(call.on(values.into_iter().map(|value| value.expression).collect()), output, false)
}

/// `row.name`
pub(super) fn field(row: Typed, name: &ast::Ident) -> Result<Typed> {
    let DataType::Struct(fields) = &row.data_type else {
        let error = format!("`{}` is no field of a value of type {}", name.value, type_name(&row.data_type));
        return Err(at_name(Error::query(error).with_help("fields are those of a ROW"), name));
    };
    match fields.iter().position(|field| *field.name() == name.value) {
        Some(place) => Ok(nth_field(row, place)),
        None => {
            let known: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
            let error = Error::query(format!("the row has no field `{}`", name.value));
            Err(at_name(
                match nearest(&name.value, known.iter().copied()) {
                    Some(meant) => error.with_help(format!("did you mean `{meant}`?")),
                    None => error.with_help(format!("there are {}", known.join(", "))),
                },
                name,
            ))
        }
    }
}

/// The field of a row at a place, counted from 0, which it has.
pub(super) fn nth_field(row: Typed, place: usize) -> Typed {
    let (name, data_type) = match &row.data_type {
        DataType::Struct(fields) => (fields[place].name().clone(), fields[place].data_type().clone()),
        other => (String::new(), other.clone()),
    };
    let call = Call::new(&FIELD, data_type.clone(), true, vec![place as i64]).with_detail(name);
    Typed::new(call.on(vec![row.expression]), data_type, true)
}

/// `whole[place]`
fn item(whole: Typed, place: Typed) -> Result<Typed> {
    let part = |function, output: &DataType, whole: Typed, place: Typed| {
        let call = Call::new(function, output.clone(), true, Vec::new());
        Typed::new(call.on(vec![whole.expression, place.expression]), output.clone(), true)
    };
    let refused = |whole: &DataType, place: &DataType| {
        let text = format!("ITEM(<{}>, <{}>)", type_name(whole), type_name(place));
        Error::query(format!("Cannot apply 'ITEM' to arguments of type '{text}'"))
    };
    match whole.data_type.clone() {
        DataType::List(element) => {
            if let Some(number) = place.number.filter(|number| *number < 1) {
                return Err(Error::query(format!(
                    "Array element access needs an index starting at 1 but was {number}."
                )));
            }
            match place.data_type {
                DataType::Int32 => Ok(part(&ITEM, element.data_type(), whole, place)),
                DataType::Null => Ok(part(&ITEM, element.data_type(), whole, cast(place, &DataType::Int32)?)),
                ref other => {
                    Err(refused(&whole.data_type, other).with_help("an index is an INT: write CAST(… AS INT)"))
                }
            }
        }
        ref map @ DataType::Map(..) if !is_multiset(map) => {
            let (key, value) = key_and_value(map).ok_or_else(|| Error::bug("a map without entries"))?;
            let common = common_type(key, &place.data_type).ok_or_else(|| {
                refused(map, &place.data_type)
                    .with_help(format!("a key is of type {}: write CAST(… AS {0})", type_name(key)))
            })?;
            let whole = cast(whole, &map_of(common.clone(), value.clone()))?;
            Ok(part(&LOOKUP, value, whole, cast(place, &common)?))
        }
        DataType::Struct(fields) => {
            let found = match (&place.text, place.number) {
                (Some(name), _) => fields.iter().position(|field| field.name() == name),
                (None, Some(number)) => usize::try_from(number)
                    .ok()
                    .and_then(|number| number.checked_sub(1))
                    .filter(|at| *at < fields.len()),
                _ => None,
            };
            found.map(|found| nth_field(whole, found)).ok_or_else(|| {
                let known: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
                Error::query("a field of a ROW is taken by its name or its number, written in the query")
                    .with_help(format!("there are {}", known.join(", ")))
            })
        }
        ref other => {
            Err(refused(other, &place.data_type).with_help("an index takes a part out of an ARRAY, a MAP or a ROW"))
        }
    }
}

/// The fields of a row that is put together in the query.
pub(super) fn fields_of(row: &Typed) -> Option<Vec<Typed>> {
    let (Expr::ScalarFunction(function), DataType::Struct(fields)) = (&row.expression, &row.data_type) else {
        return None;
    };
    let call = Call::of(&function.func).filter(|call| call.function.name == ROW.name)?;
    debug_assert_eq!(call.output, row.data_type, "a row has its own type");
    let typed = |(value, field): (&Expr, &FieldRef)| Typed::new(value.clone(), field.data_type().clone(), true);
    Some(function.args.iter().zip(fields).map(typed).collect())
}

/// Whether the fields of two rows are equal, each with its own: unknown where none differs and one is NULL.
pub(super) fn all_equal(ones: Vec<Typed>, others: Vec<Typed>) -> Result<Typed> {
    let equal = ones.into_iter().zip(others).map(|(one, other)| {
        let (one, other) = same_type(one, other, Operator::Eq)?;
        Ok(compared(one, Operator::Eq, other).expression)
    });
    let equal = equal.collect::<Result<Vec<_>>>()?.into_iter();
    let all = equal.reduce(|one, other| infix(one, Operator::And, other));
    let all = all.ok_or_else(|| Error::bug("a row without fields"))?;
    Ok(Typed::new(all, DataType::Boolean, true))
}

fn at_name(error: Error, name: &ast::Ident) -> Error {
    match crate::sql::script_span(name.span) {
        Some(span) => error.with_span(span),
        None => error,
    }
}
