//! The parts of the documentation that are written from the registries: tables of options and functions.
//! `BEADLINE_UPDATE=1 cargo test --test it docs` writes them anew.

use std::fmt::Write;

use beadline::connectors::{self, Connector};
use beadline::expressions::{Form, function_list, functions_not_built, not_built};
use beadline::formats::{self, Format};
use beadline::options::{Effect, OptionKind, OptionSpec};

use crate::support::checkout;

#[test]
fn option_tables_are_those_of_the_registry() {
    for connector in connectors::all().iter().map(|connector| (connector.name(), Connector::options(*connector))) {
        check("docs/connectors.md", connector.0, &options(connector.1));
    }
    check("docs/connectors.md", "every table", &options(connectors::OF_ALL_TABLES));
    for format in formats::all().iter().map(|format| (format.name(), Format::options(*format))) {
        check("docs/connectors.md", format.0, &options(format.1));
    }
}

#[test]
fn function_tables_are_those_of_the_registry() {
    let mut table = String::from("| Function | Meaning | Example | Result |\n|---|---|---|---|\n");
    for Form { name, doc, example, .. } in function_list() {
        let (form, meaning) = doc.split_once(": ").unwrap_or((name, doc));
        let [form, call, result] = [form, example.call, example.result].map(escaped);
        let _ = writeln!(table, "| `{form}` | {} | `{call}` | `{result}` |", escaped(meaning));
    }
    check("docs/functions.md", "functions", &table);
    let mut table = String::from("| Function of Flink | In its place |\n|---|---|\n");
    for name in functions_not_built() {
        let instead = not_built(name).and_then(|(_, instead)| instead).unwrap_or("–");
        let _ = writeln!(table, "| `{name}` | {} |", escaped(instead));
    }
    check("docs/functions.md", "functions not built", &table);
}

fn options(specs: &[OptionSpec]) -> String {
    if specs.is_empty() {
        return "It has no options of its own.\n".to_owned();
    }
    let mut table = String::from("| Option | Values | Default | Meaning |\n|---|---|---|---|\n");
    for spec in specs {
        let values = match spec.kind {
            OptionKind::Boolean => "true, false".to_owned(),
            OptionKind::Integer => "whole number".to_owned(),
            OptionKind::Double => "number".to_owned(),
            OptionKind::Duration => "duration".to_owned(),
            OptionKind::Size => "size".to_owned(),
            OptionKind::Text => "text".to_owned(),
            OptionKind::Character => "character".to_owned(),
            OptionKind::Path => "path".to_owned(),
            OptionKind::Enum(values) => values.join(", "),
        };
        let default = match (spec.required, spec.default) {
            (true, _) => "required".to_owned(),
            (false, Some(default)) => format!("`{default}`"),
            (false, None) => "–".to_owned(),
        };
        let effect = match spec.effect {
            Effect::Honoured => "",
            Effect::Accepted => " *Read, without effect here.*",
            Effect::RefusedUnless(_) => " *Other values than the default are refused until it is built.*",
        };
        let meaning = format!("{}{effect}", spec.doc);
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {} |",
            escaped(spec.key),
            escaped(&values),
            escaped(&default),
            escaped(&meaning)
        );
    }
    table
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// Compares the lines between a file's two markers with `expected`, or writes them.
fn check(file: &str, section: &str, expected: &str) {
    let path = checkout().join(file);
    let text = std::fs::read_to_string(&path).expect("a page of the documentation");
    let begin = format!("<!-- options: {section} begin (written by a test) -->\n");
    let end = format!("<!-- options: {section} end -->");
    let start = text.find(&begin).unwrap_or_else(|| panic!("{file} has no section {section}")) + begin.len();
    let length = text[start..].find(&end).unwrap_or_else(|| panic!("{file}: section {section} has no end"));
    if std::env::var("BEADLINE_UPDATE").is_ok_and(|value| value == "1") {
        let written = format!("{}{expected}{}", &text[..start], &text[start + length..]);
        std::fs::write(&path, written).expect("the page can be written");
        return;
    }
    assert_eq!(&text[start..start + length], expected, "{file}, section {section}: run with BEADLINE_UPDATE=1");
}
