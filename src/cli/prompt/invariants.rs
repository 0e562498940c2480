//! What holds for any text that is typed, be it SQL or noise. A fuzz target asks for it (`tests/fuzz`), and so does a test
//! here over some texts and what becomes of them by chance.

use super::complete::complete;
use super::highlight::{SEQUENCES, highlight};
use super::{command, history, is_whole};
use crate::error::Blame;
use crate::session::Vocabulary;
use crate::sql::{format_script, is_complete, parse_script, split_script};

/// Panics unless a text is cut into its statements, judged, coloured, remembered and completed soundly.
#[doc(hidden)]
pub fn check_typed(text: &str) {
    let _ = is_whole(text);
    let _ = command::read(text);
    check_split(text);
    check_errors(text);
    check_formatting(text);
    assert_eq!(without_colours(&highlight(text)), without_colours(text), "colours change no character");
    let _ = history::entry(text);
    let kept = history::without_secrets(text);
    assert_eq!(history::without_secrets(&kept), kept, "what is hidden stays hidden");
    check_completion(text);
}

/// Statements are pieces of the text, in its order, and there is nothing between them; each is one by itself. What is
/// complete leaves nothing open for what comes behind it.
fn check_split(text: &str) {
    let Ok(statements) = split_script(text) else { return };
    let mut end = 0;
    for (span, statement) in &statements {
        assert!(span.start >= end && span.start < span.end, "statements stand behind each other");
        assert_eq!(&text[span.start..span.end], *statement);
        assert!(texts(&text[end..span.start]).is_empty(), "nothing is left out");
        assert_eq!(texts(statement), [*statement]);
        end = span.end;
    }
    if is_complete(text) {
        assert!(is_whole(text));
        let more = format!("{text}\nSELECT 1");
        let after = texts(&more);
        let before: Vec<&str> = statements.iter().map(|(_, statement)| *statement).collect();
        assert_eq!(after, [before.as_slice(), &["SELECT 1"]].concat(), "nothing was open");
    }
}

/// The statements of a part of a text that is not too long.
fn texts(text: &str) -> Vec<&str> {
    split_script(text).map_or_else(|error| panic!("{error}"), |all| all.into_iter().map(|(_, text)| text).collect())
}

/// Whatever cannot be read is refused at a place in the text.
fn check_errors(text: &str) {
    let Err(error) = parse_script(text) else { return };
    if let Some(span) = error.span() {
        assert!(span.start <= span.end && span.end <= text.len(), "{error}: {span:?}");
        assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end), "{error}: {span:?}");
    }
}

/// What can be read can be formatted, and is formatted then.
fn check_formatting(text: &str) {
    match format_script(text) {
        Ok(formatted) => {
            assert_eq!(format_script(&formatted).as_deref().ok(), Some(formatted.as_str()), "of {text}");
        }
        Err(error) => assert_ne!(error.blame(), Blame::Bug, "{error}"),
    }
}

fn check_completion(text: &str) {
    let vocabulary = Vocabulary::default();
    // Files are looked up in the outside world.
    let is_file = |before: &str| before.contains("path") || command::is_command(before);
    for (cursor, _) in text.char_indices().chain([(text.len(), ' ')]) {
        if is_file(&text[..cursor]) {
            break;
        }
        let start = complete(text, cursor, &vocabulary).start;
        assert!(start <= cursor && text.is_char_boundary(start), "a completion takes the place of what is typed");
    }
}

/// A text of which the colours are taken out, and those that it then has by itself.
fn without_colours(text: &str) -> String {
    let mut text = text.to_owned();
    loop {
        let shorter = SEQUENCES.iter().fold(text.clone(), |text, sequence| text.replace(sequence, ""));
        if shorter.len() == text.len() {
            return text;
        }
        text = shorter;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts that have something of everything; the fuzz target begins with them.
    const TEXTS: &[&str] = &[
        "SELECT 1; SELECT 'a;b' AS \"x\", `y;z` FROM t -- c;\n WHERE a /* ; */ > 2;",
        "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT CASE b WHEN 1 THEN 2 END FROM t; INSERT INTO b SELECT 1; END;",
        "BEGIN STATEMENT SET; INSERT INTO a SELECT 1; END",
        "CREATE TABLE t (a INT, b AS PROCTIME(), WATERMARK FOR c AS c - INTERVAL '5' SECOND) WITH ('connector' = 'x', 'password' = 'y');",
        "SET 'a.b' = 'c'; RESET; SET sasl.jaas.config = secret; SHOW TABLES LIKE '%a\\_b'",
        "SELECT /*+ OPTIONS('k'='v') */ * FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' DAY)) \\gx",
        "\\d t\n.mode csv; SELECT $$a;b$$ 'größe § ''; \u{1f600}",
        "SELECT \"open; /* /* */ 'it''s' `b``c`;",
        "-- a\n\nselect a, -- b\n c /* d */ from t join s on a = b and c in (select 1) where -1 < .5 group by 1 -- e\n, 2\n-- f\n; // g",
        "CREATE TABLE t\u{1b}(a INT, b \u{1b}[1m AS c - \u{1b}[3SELECT2m -- c;\n",
        "STOP JOB 'j' WITH SAVEPOINT; CHECKPOINT JOB 'j'; SAVEPOINT; DESCRIBE JOB '1'; EXPLAIN CHANGELOG_MODE SELECT U&'\\0041', X'1', 1e5, .5.",
    ];

    /// A generator of numbers (xorshift): the same ones from the same seed.
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % end.max(1) as u64) as usize
        }
    }

    /// Some pieces are doubled, lost, or taken from another text.
    fn mutated(text: &str, other: &str, chance: &mut Chance) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        let others: Vec<char> = other.chars().collect();
        for _ in 0..=chance.below(4) {
            let from = chance.below(characters.len() + 1);
            let to = (from + chance.below(12)).min(characters.len());
            let taken = chance.below(others.len());
            let piece = &others[taken..(taken + chance.below(12)).min(others.len())];
            match chance.below(3) {
                0 => drop(characters.drain(from..to)),
                1 => drop(characters.splice(from..to, piece.iter().copied())),
                _ => drop(characters.splice(
                    from..from,
                    ["'", ";", "`", "/*", "*/", "--", "\n", "\\g", "(", "END"][chance.below(10)].chars(),
                )),
            }
        }
        characters.into_iter().collect()
    }

    #[test]
    fn any_text_is_read_soundly() {
        TEXTS.iter().for_each(|text| check_typed(text));
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
        for _ in 0..400 {
            let (one, other) = (TEXTS[chance.below(TEXTS.len())], TEXTS[chance.below(TEXTS.len())]);
            let text = mutated(one, other, &mut chance);
            let checked = std::panic::catch_unwind(|| check_typed(&text));
            assert!(checked.is_ok(), "{text:?}");
        }
    }
}
