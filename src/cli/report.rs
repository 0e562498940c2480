//! Errors for people: what is wrong, where in the SQL, and what to do next.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::error::{Blame, Error, Span};
use crate::session::Notice;

/// The text of an error. `script` is the name and the text of what was run, for the caret.
pub fn error_text(error: &Error, script: Option<(&str, &str)>, in_colour: bool) -> String {
    let title = Level::ERROR.primary_title(error.message());
    let title = match error.id() {
        Some(id) => title.id(id),
        None => title,
    };
    let mut group = match (error.span(), script) {
        (Some(span), Some((name, text))) => {
            let snippet =
                Snippet::source(text).path(name).annotation(AnnotationKind::Primary.span(visible(span, text)));
            title.element(snippet)
        }
        _ => Group::with_title(title),
    };
    for help in error.helps() {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    if error.blame() == Blame::Bug {
        group = group
            .element(Level::NOTE.message("this is a bug in Beadline; please report it with the query that shows it"));
    }
    let renderer = if in_colour { Renderer::styled() } else { Renderer::plain() };
    renderer.decor_style(DecorStyle::Ascii).render(&[group])
}

/// The text of a notice.
pub fn notice_text(notice: &Notice, in_colour: bool) -> String {
    let (word, colour, text) = match notice {
        Notice::Note(text) => ("note", "\u{1b}[1m", text),
        Notice::Warning(text) => ("warning", "\u{1b}[1;33m", text),
    };
    if in_colour { format!("{colour}{word}:\u{1b}[0m {text}") } else { format!("{word}: {text}") }
}

/// The text of a notice about a place in a script, which is given by its name and text.
pub fn placed_text(notice: &Notice, span: Span, (name, text): (&str, &str), in_colour: bool) -> String {
    let (level, message) = match notice {
        Notice::Note(message) => (Level::NOTE, message),
        Notice::Warning(message) => (Level::WARNING, message),
    };
    // The first line is enough to find the statement.
    let shown = visible(span, text);
    let end = text[shown.clone()].find('\n').map_or(shown.end, |line| shown.start + line);
    let snippet = Snippet::source(text).path(name).annotation(AnnotationKind::Primary.span(shown.start..end));
    let renderer = if in_colour { Renderer::styled() } else { Renderer::plain() };
    renderer.decor_style(DecorStyle::Ascii).render(&[level.primary_title(message.as_str()).element(snippet)])
}

/// A range that lies within `text`, on character boundaries, and is one character long at least where there is one.
fn visible(span: Span, text: &str) -> std::ops::Range<usize> {
    let boundary = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = boundary(span.start);
    let end = boundary(span.end.max(start));
    if end > start {
        return start..end;
    }
    // An error at the very end of the text points at its last line.
    match text[start..].chars().next() {
        Some(character) => start..start + character.len_utf8(),
        None => text.trim_end().len()..text.trim_end().len(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_caret_under_the_sql() {
        let error = Error::query("column `nope` not found")
            .with_span(Span { start: 17, end: 21 })
            .with_help("orders has id, note, price; did you mean `note`?");
        let text = error_text(&error, Some(("orders.sql", "-- first\n\nSELECT nope\nFROM orders;\n")), false);
        expect![[r"
            error: column `nope` not found
             --> orders.sql:3:8
              |
            3 | SELECT nope
              |        ^^^^
              |
              = help: orders has id, note, price; did you mean `note`?"]]
        .assert_eq(&text);
    }

    #[test]
    fn errors_without_a_place() {
        let error = Error::world("checkpoint 7 is damaged").with_id("BL-STATE-CORRUPT").with_help("use --fresh");
        expect![[r#"
            error[BL-STATE-CORRUPT]: checkpoint 7 is damaged
             |
             = help: use --fresh"#]]
        .assert_eq(&error_text(&error, Some(("a.sql", "SELECT 1")), false));
        assert!(error_text(&Error::bug("odd"), None, true).contains('\u{1b}'));
    }

    #[test]
    fn spans_outside_the_text_do_no_harm() {
        for text in ["", "é", "SELECT 1;\n\n"] {
            for (start, end) in [(0, 0), (1, 1), (0, 99), (50, 60), (5, 2)] {
                let error = Error::query("x").with_span(Span { start, end });
                assert!(error_text(&error, Some(("s", text)), false).starts_with("error: x"));
            }
        }
    }
}
