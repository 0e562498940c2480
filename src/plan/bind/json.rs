//! The binder of JSON: what the clauses of a call say becomes the parameters of a function.

use arrow::datatypes::DataType;
use sqlparser::ast;

use super::aggregation::Arguments;
use super::call::no_aggregation;
use super::conversion::cast;
use super::expression::Binder;
use super::typed::Typed;
use crate::error::{Error, Result};
use crate::expressions::json::{self, Kind, Otherwise, Part, Wrapper};
use crate::expressions::{AggregateFunction, Call, Function, type_name};
use crate::sql::{IS_JSON, SqlType};

/// The arguments of a call, and its clauses by name.
struct Clauses<'a> {
    plain: Vec<&'a ast::Expr>,
    named: Vec<(&'a str, &'a ast::Expr)>,
}

impl<'a> Clauses<'a> {
    fn of(function: &'a ast::Function) -> Result<Self> {
        let ast::FunctionArguments::List(list) = &function.args else {
            return Err(Error::query(format!("{} takes its arguments in parentheses", function.name)));
        };
        let mut clauses = Self { plain: Vec::new(), named: Vec::new() };
        for argument in &list.args {
            match argument {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(plain)) => clauses.plain.push(plain),
                ast::FunctionArg::Named { name, arg: ast::FunctionArgExpr::Expr(value), .. } => {
                    clauses.named.push((&name.value, value));
                }
                other => return Err(Error::query(format!("{} does not take {other}", function.name))),
            }
        }
        Ok(clauses)
    }

    fn get(&self, name: &str) -> Option<&'a ast::Expr> {
        self.named.iter().rfind(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// A clause that is one of some words.
    fn word(&self, name: &str) -> Option<&'a str> {
        match self.get(name)? {
            ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::SingleQuotedString(word), .. }) => Some(word),
            _ => None,
        }
    }

    /// `NULL ON EMPTY ERROR ON ERROR`, as the text of a plan has it.
    fn text(&self) -> String {
        let clause = |(name, value): &(&str, &ast::Expr)| {
            let value = match value {
                ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::SingleQuotedString(word), .. }) => {
                    word.clone()
                }
                other => other.to_string(),
            };
            match *name {
                "RETURNING" => {
                    let of_cast = value.strip_prefix("CAST(NULL AS ").and_then(|rest| rest.strip_suffix(')'));
                    format!("RETURNING {}", of_cast.unwrap_or(&value))
                }
                "WRAPPER" => format!("{value} WRAPPER"),
                "NULLS" => format!("{value} ON NULL"),
                name => format!("{value} {}", name.replace('_', " ")),
            }
        };
        self.named.iter().map(clause).collect::<Vec<_>>().join(" ")
    }
}

impl Binder<'_> {
    /// A call of one of the functions of JSON; none of another.
    pub(super) fn json(&mut self, name: &str, function: &ast::Function) -> Option<Result<Typed>> {
        Some(match name {
            "JSON_EXISTS" => self.json_exists(function),
            "JSON_VALUE" => self.json_value(function),
            "JSON_QUERY" => self.json_query(function),
            "JSON_OBJECT" => self.json_built(function, &json::JSON_OBJECT),
            "JSON_ARRAY" => self.json_built(function, &json::JSON_ARRAY),
            "JSON_OBJECTAGG" | "JSON_ARRAYAGG" => self.json_aggregate(name, function),
            IS_JSON => self.is_json(function),
            _ => return None,
        })
    }

    /// The text and the path of a call; a path that is written in the query is read at once.
    fn text_and_path(&mut self, function: &ast::Function, clauses: &Clauses) -> Result<Vec<Typed>> {
        let [text, path] = clauses.plain.as_slice() else {
            return Err(Error::query(format!("{} takes a text and a path", function.name)));
        };
        let both = [self.json_text(function, text)?, self.json_text(function, path)?];
        if let Some(path) = &both[1].text {
            json::check_path(path).map_err(|said| Error::query(format!("{}: {said}", function.name)))?;
        }
        Ok(both.into())
    }

    fn json_text(&mut self, function: &ast::Function, text: &ast::Expr) -> Result<Typed> {
        let typed = self.bind(text)?;
        if !matches!(typed.data_type, DataType::Utf8 | DataType::Null) {
            let found = type_name(&typed.data_type);
            let name = function.name.to_string();
            let name = if name == IS_JSON { json::IS_JSON.name } else { &name };
            return Err(Error::query(format!("{name} reads text, not {found}")).with_help("write CAST(… AS STRING)"));
        }
        let text = typed.text.clone();
        Ok(Typed { text, ..cast(typed, &DataType::Utf8)? })
    }

    fn json_exists(&mut self, function: &ast::Function) -> Result<Typed> {
        let clauses = Clauses::of(function)?;
        let arguments = self.text_and_path(function, &clauses)?;
        let on_error = match clauses.word("ON_ERROR") {
            None | Some("FALSE") => Otherwise::False,
            Some("TRUE") => Otherwise::True,
            Some("ERROR") => Otherwise::Error,
            Some(_) => Otherwise::Null,
        };
        Ok(called(&json::JSON_EXISTS, arguments, DataType::Boolean, vec![on_error.parameter()], &clauses))
    }

    fn json_query(&mut self, function: &ast::Function) -> Result<Typed> {
        let clauses = Clauses::of(function)?;
        let arguments = self.text_and_path(function, &clauses)?;
        let output = returned(&clauses)?;
        if output != DataType::Utf8 {
            return Err(Error::query(format!("JSON_QUERY RETURNING {} is not built yet", type_name(&output)))
                .with_help("leave RETURNING out: the result is a STRING"));
        }
        let wrapper = match clauses.word("WRAPPER") {
            Some("ALL") => Wrapper::All,
            Some("CONDITIONAL") => Wrapper::Conditional,
            _ => Wrapper::Nothing,
        };
        let otherwise = |clause| match clauses.word(clause) {
            Some("ERROR") => Otherwise::Error,
            Some("EMPTY ARRAY") => Otherwise::EmptyArray,
            Some("EMPTY OBJECT") => Otherwise::EmptyObject,
            _ => Otherwise::Null,
        };
        let parameters =
            vec![wrapper.parameter(), otherwise("ON_EMPTY").parameter(), otherwise("ON_ERROR").parameter()];
        Ok(called(&json::JSON_QUERY, arguments, DataType::Utf8, parameters, &clauses))
    }

    fn json_value(&mut self, function: &ast::Function) -> Result<Typed> {
        let clauses = Clauses::of(function)?;
        let mut arguments = self.text_and_path(function, &clauses)?;
        let output = returned(&clauses)?;
        json::check_returning(&output).map_err(|said| {
            Error::query(said).with_help("write CAST(JSON_VALUE(text, path) AS BIGINT), or another type")
        })?;
        let mut parameters = Vec::new();
        for clause in ["ON_EMPTY", "ON_ERROR"] {
            let (otherwise, default) = match clauses.get(clause) {
                Some(ast::Expr::Function(default)) => {
                    let default = Clauses::of(default)?;
                    let [value] = default.plain.as_slice() else {
                        return Err(Error::bug("DEFAULT has a value"));
                    };
                    (Otherwise::Default, self.bind(value)?)
                }
                Some(_) if clauses.word(clause) == Some("ERROR") => (Otherwise::Error, nothing()),
                _ => (Otherwise::Null, nothing()),
            };
            parameters.push(otherwise.parameter());
            arguments.push(cast(default, &output)?);
        }
        if parameters.iter().all(|parameter| *parameter != Otherwise::Default.parameter()) {
            arguments.truncate(2);
        }
        // Whatever is found, a NULL may come of it.
        Ok(called(&json::JSON_VALUE, arguments, output, parameters, &clauses))
    }

    fn is_json(&mut self, function: &ast::Function) -> Result<Typed> {
        let clauses = Clauses::of(function)?;
        let [text, kind] = clauses.plain.as_slice() else {
            return Err(Error::query("IS JSON tests a text"));
        };
        let text = self.json_text(function, text)?;
        let kind = self.bind(kind)?.text.unwrap_or_default();
        let parameter = match kind.as_str() {
            "SCALAR" => Kind::Scalar,
            "ARRAY" => Kind::Array,
            "OBJECT" => Kind::Object,
            _ => Kind::Value,
        };
        let call = Call::new(&json::IS_JSON, DataType::Boolean, false, vec![parameter.parameter()]).with_detail(kind);
        Ok(Typed::new(call.on(vec![text.expression]), DataType::Boolean, false))
    }

    /// JSON_OBJECT and JSON_ARRAY.
    fn json_built(&mut self, function: &ast::Function, to: &'static Function) -> Result<Typed> {
        let clauses = Clauses::of(function)?;
        let is_object = to.name == json::JSON_OBJECT.name;
        let leaves_out = match clauses.word("NULLS") {
            Some(word) => word == "ABSENT",
            None => !is_object,
        };
        let mut parameters = vec![i64::from(leaves_out)];
        let mut arguments = Vec::new();
        for (index, written) in clauses.plain.iter().enumerate() {
            if is_object && index % 2 == 0 {
                arguments.push(self.json_text(function, written)?);
                continue;
            }
            let (part, value) = match called_json(written) {
                Some(inner) => (Part::Read, self.json_text(function, inner)?),
                None => (if is_built(written) { Part::Built } else { Part::Value }, self.bind(written)?),
            };
            json::is_writable(&value.data_type).map_err(|said| Error::query(format!("{}: {said}", to.name)))?;
            parameters.push(part as i64);
            arguments.push(value);
        }
        let call = Call::new(to, DataType::Utf8, false, parameters).with_detail(clauses.text());
        let arguments = arguments.into_iter().map(|argument| argument.expression).collect();
        Ok(Typed::new(call.on(arguments), DataType::Utf8, false))
    }
}

impl Binder<'_> {
    /// JSON_OBJECTAGG and JSON_ARRAYAGG: of each row the document with its value alone, and of the group those put together.
    fn json_aggregate(&mut self, name: &str, function: &ast::Function) -> Result<Typed> {
        let is_object = name == "JSON_OBJECTAGG";
        if Clauses::of(function)?.plain.len() != if is_object { 2 } else { 1 } {
            let form = if is_object { "JSON_OBJECTAGG(name VALUE value)" } else { "JSON_ARRAYAGG(value)" };
            return Err(Error::query(format!("{name} takes one value of each row")).with_help(format!("write {form}")));
        }
        let Some(aggregation) = &mut self.aggregation else { return Err(no_aggregation(name)) };
        let (of_row, kind, put_together) = match is_object {
            true => (&json::JSON_OBJECT, AggregateFunction::Collect, &json::JSON_OBJECTS_AS_ONE),
            false => (&json::JSON_ARRAY, AggregateFunction::ArrayAgg, &json::JSON_ARRAYS_AS_ONE),
        };
        let document = Binder::new(self.scope).json_built(function, of_row)?;
        let arguments = Arguments { argument: Some(document), ..Arguments::default() };
        let documents = aggregation.call(kind, arguments, false, None)?;
        let call = Call::new(put_together, DataType::Utf8, false, Vec::new());
        Ok(Typed::new(call.on(vec![documents.expression]), DataType::Utf8, false))
    }
}

fn nothing() -> Typed {
    super::literal::of(datafusion::scalar::ScalarValue::Null)
}

fn called(
    function: &'static Function,
    arguments: Vec<Typed>,
    output: DataType,
    parameters: Vec<i64>,
    clauses: &Clauses,
) -> Typed {
    let call = Call::new(function, output.clone(), true, parameters).with_detail(clauses.text());
    Typed::new(call.on(arguments.into_iter().map(|argument| argument.expression).collect()), output, true)
}

/// The type behind RETURNING; texts are not cut to its length.
fn returned(clauses: &Clauses) -> Result<DataType> {
    match clauses.get("RETURNING") {
        Some(ast::Expr::Cast { data_type, .. }) => match SqlType::of_cast(data_type)? {
            SqlType::VarChar(_) => Ok(DataType::Utf8),
            other @ SqlType::Char(_) => {
                Err(Error::query(format!("JSON_VALUE returns no {other}")).with_help("write RETURNING STRING"))
            }
            other => Ok(other.arrow()),
        },
        _ => Ok(DataType::Utf8),
    }
}

/// The argument of `JSON(…)`.
fn called_json(written: &ast::Expr) -> Option<&ast::Expr> {
    let ast::Expr::Function(ast::Function { name, args: ast::FunctionArguments::List(list), .. }) = written else {
        return None;
    };
    match list.args.as_slice() {
        [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(inner))] => {
            name.to_string().eq_ignore_ascii_case("JSON").then_some(inner)
        }
        _ => None,
    }
}

/// Whether the value is a document that a function builds right there.
fn is_built(written: &ast::Expr) -> bool {
    match written {
        ast::Expr::Nested(inner) => is_built(inner),
        ast::Expr::Function(function) => matches!(function.name.to_string().as_str(), "JSON_OBJECT" | "JSON_ARRAY"),
        _ => false,
    }
}
