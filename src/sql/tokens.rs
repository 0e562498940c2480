//! Lexemes to sqlparser's tokens, by Flink's lexical rules, with spans that are byte offsets in the script.
//!
//! sqlparser counts lines and columns. Our tokens are all on line 1, and the column is the byte offset in the script plus
//! one; so a span of the syntax tree finds its place again without any index (`script_span`), and sqlparser's messages
//! carry the offset too. Nothing of Flink's is folded: names keep their case.

use sqlparser::tokenizer::{Location, Span as AstSpan, Token, TokenWithSpan, Whitespace};

use crate::error::{Error, Result, Span};

use super::lexer::{Kind, Lexeme, Lexer, Open};

/// Where a node of the syntax tree stands in the script; none for one that was made up.
pub fn script_span(span: AstSpan) -> Option<Span> {
    let offset = |location: Location| usize::try_from(location.column.checked_sub(1)?).ok();
    let (start, end) = (offset(span.start)?, offset(span.end)?);
    (span.start.line == 1 && span.end.line == 1 && start <= end).then_some(Span { start, end })
}

/// The reverse of `script_span`.
pub(super) fn ast_span(span: Span) -> AstSpan {
    let location = |offset: usize| Location::new(1, offset as u64 + 1);
    location(span.start).span_to(location(span.end))
}

/// Whether the tokens begin with the unquoted words.
pub(super) fn words(tokens: &[TokenWithSpan], expected: &[&str]) -> bool {
    tokens.len() >= expected.len()
        && tokens.iter().zip(expected).all(|(token, expected)| {
            matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
        })
}

/// The help where nothing here does the work of what is refused.
pub const FOR_FLINK: &str = "keep the statement for Flink, which takes the same script, and run the rest of it here";

/// From the first to the last of the tokens.
pub(super) fn cover(tokens: &[TokenWithSpan]) -> Span {
    let places: Vec<Span> = tokens.iter().filter_map(|token| script_span(token.span)).collect();
    let start = places.first().map_or(0, |place| place.start);
    Span { start, end: places.last().map_or(start, |place| place.end) }
}

/// The tokens of a statement that begins at `offset`, closed by one that says where it ends.
pub(super) fn tokens(text: &str, offset: usize) -> Result<Vec<TokenWithSpan>> {
    let mut tokens = Vec::new();
    let mut previous: Option<Lexeme> = None;
    for lexeme in Lexer::new(text) {
        let span = Span { start: offset + lexeme.start, end: offset + lexeme.end };
        // Here and not in the parser, since its patterns have signs that nothing else has.
        let before = previous.replace(lexeme);
        if let Some(word) = before
            && word.is_word(text, "MATCH_RECOGNIZE")
            && lexeme.is_sign(text, "(")
        {
            return Err(Error::query("MATCH_RECOGNIZE is not built yet")
                .with_span(Span { start: offset + word.start, end: offset + word.end })
                .with_help(FOR_FLINK));
        }
        let token = match before {
            // Behind a dot stands a name, whatever it means elsewhere.
            Some(dot) if lexeme.kind == Kind::Word && dot.is_sign(text, ".") => plain_word(lexeme.of(text)),
            _ => token(text, lexeme).map_err(|error| error.with_span(span))?,
        };
        tokens.push(TokenWithSpan::new(token, ast_span(span)));
    }
    let end = offset + text.trim_end().len();
    tokens.push(TokenWithSpan::new(Token::EOF, ast_span(Span { start: end, end })));
    Ok(tokens)
}

fn token(text: &str, lexeme: Lexeme) -> Result<Token> {
    let content = lexeme.of(text);
    Ok(match lexeme.kind {
        Kind::Word if is_foreign(content) => plain_word(content),
        Kind::Word => Token::make_word(content, None),
        Kind::Name => {
            let name = content[1..content.len() - 1].replace("``", "`");
            if name.is_empty() {
                return Err(Error::query("a name cannot be empty"));
            }
            Token::make_word(&name, Some('`'))
        }
        Kind::Text => literal(content)?,
        Kind::Number => Token::Number(content.into(), false),
        Kind::Sign => sign(content)?,
        // sqlparser skips it; `hints` takes it out before.
        Kind::Hint => Token::Whitespace(Whitespace::MultiLineComment(content.to_owned())),
        Kind::DoubleQuoted => {
            let inner = &content[1..content.len() - 1];
            return Err(Error::query("double quotes have no meaning in Flink's SQL")
                .with_help(format!("write `{inner}` for a name, '{inner}' for text")));
        }
        Kind::Stray => {
            return Err(Error::query(format!("unexpected character {content:?}"))
                .with_help("names with special characters stand in back-quotes: `a-b`"));
        }
        Kind::Open(open) => return Err(left_open(open)),
    })
}

/// A word that is no keyword.
fn plain_word(word: &str) -> Token {
    let keyword = sqlparser::keywords::Keyword::NoKeyword;
    Token::Word(sqlparser::tokenizer::Word { value: word.to_owned(), quote_style: None, keyword })
}

/// Words that mean something to sqlparser where they are plain names to Flink.
fn is_foreign(word: &str) -> bool {
    const WORDS: &[&str] = &[
        "ANTI",
        "APPLY",
        "ASOF",
        "CHANGES",
        "CLUSTER",
        "CONNECT",
        "CONNECT_BY_ROOT",
        "CONVERT",
        "CURRENT_CATALOG",
        "CURRENT_USER",
        "DISTRIBUTE",
        "DIV",
        "EXCLUDE",
        "FINAL",
        "FORMAT",
        "GLOB",
        "GLOBAL",
        "ILIKE",
        "ISNULL",
        "JSON_TABLE",
        "LAMBDA",
        "LATE",
        "MATCH_CONDITION",
        "MINUS",
        "NOTNULL",
        "OPEN",
        "OPENJSON",
        "OUTPUT",
        "PIVOT",
        "PREWHERE",
        "PRIOR",
        "REGEXP",
        "RETURNING",
        "RLIKE",
        "SAFE_CAST",
        "SAMPLE",
        "SEMANTIC_VIEW",
        "SEMI",
        "SESSION_USER",
        "SETTINGS",
        "SORT",
        "START",
        "STRAIGHT_JOIN",
        "STRUCT",
        "TOP",
        "TRY_CONVERT",
        "UNPIVOT",
        "USER",
        "VIEW",
        "XMLTABLE",
        "XOR",
    ];
    WORDS.iter().any(|foreign| foreign.eq_ignore_ascii_case(word))
}

fn sign(content: &str) -> Result<Token> {
    Ok(match content {
        "(" => Token::LParen,
        ")" => Token::RParen,
        "[" => Token::LBracket,
        "]" => Token::RBracket,
        "{" => Token::LBrace,
        "}" => Token::RBrace,
        "," => Token::Comma,
        ";" => Token::SemiColon,
        "." => Token::Period,
        "+" => Token::Plus,
        "-" => Token::Minus,
        "*" => Token::Mul,
        "/" => Token::Div,
        "%" => Token::Mod,
        "=" => Token::Eq,
        "<>" => Token::Neq,
        "<" => Token::Lt,
        "<=" => Token::LtEq,
        ">" => Token::Gt,
        ">=" => Token::GtEq,
        "||" => Token::StringConcat,
        "=>" => Token::RArrow,
        "!=" => return Err(Error::query("`!=` is not allowed in Flink's SQL").with_help("write `<>`")),
        "==" => return Err(Error::query("`==` is not allowed in Flink's SQL").with_help("write `=`")),
        "::" => return Err(Error::query("`::` is not Flink's SQL").with_help("write CAST(value AS type)")),
        "?" => {
            return Err(
                Error::query("`?` stands for a parameter, and there are none here").with_help("write the value itself")
            );
        }
        other => return Err(Error::query(format!("unexpected `{other}`"))),
    })
}

/// `'…'` with or without a prefix, as what it means.
fn literal(content: &str) -> Result<Token> {
    let (prefix, quoted) = content.split_at(content.find('\'').unwrap_or(0));
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    let text = match prefix {
        "x" | "X" => {
            if inner.len() % 2 != 0 || !inner.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(Error::query("a binary literal has an even number of hexadecimal digits")
                    .with_help("as in X'48656C6C6F'"));
            }
            return Ok(Token::HexStringLiteral(inner.into()));
        }
        "e" | "E" => c_escapes(inner)?,
        "u&" | "U&" => unicode_escapes(&inner.replace("''", "'"))?,
        _ => inner.replace("''", "'"),
    };
    Ok(Token::SingleQuotedString(text))
}

/// `E'…'`: the escapes of C.
fn c_escapes(inner: &str) -> Result<String> {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner.chars().peekable();
    while let Some(next) = rest.next() {
        if next == '\'' {
            // The lexer lets only doubled ones through.
            rest.next_if_eq(&'\'');
        }
        if next != '\\' {
            out.push(next);
            continue;
        }
        let escape = rest.next().unwrap_or('\\');
        let (radix, most, mut code) = match escape {
            'b' => (0, 0, 8),
            'f' => (0, 0, 12),
            'n' => (0, 0, 10),
            'r' => (0, 0, 13),
            't' => (0, 0, 9),
            'x' => (16, 2, 0),
            'u' => (16, 4, 0),
            'U' => (16, 8, 0),
            '0'..='7' => (8, 2, escape as u32 - '0' as u32),
            other => (0, 0, other as u32),
        };
        for _ in 0..most {
            let Some(digit) = rest.peek().and_then(|next| next.to_digit(radix)) else { break };
            code = code.wrapping_mul(radix) + digit;
            rest.next();
        }
        out.push(char::from_u32(code).ok_or_else(|| no_character(code))?);
    }
    Ok(out)
}

/// `U&'…'`: `\0041` and `\+01F600`.
fn unicode_escapes(inner: &str) -> Result<String> {
    let mut out = String::with_capacity(inner.len());
    let mut pieces = inner.split('\\');
    out.push_str(pieces.next().unwrap_or_default());
    while let Some(piece) = pieces.next() {
        if piece.is_empty() {
            out.push('\\');
            out.push_str(pieces.next().unwrap_or_default());
            continue;
        }
        let (digits, behind) = match piece.strip_prefix('+') {
            Some(long) => (long.get(..6), long.get(6..)),
            None => (piece.get(..4), piece.get(4..)),
        };
        let code = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let code = code.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let Some((code, behind)) = code.zip(behind) else {
            return Err(Error::query("in U&'…' a backslash begins the number of a character")
                .with_help("write four hexadecimal digits, as in U&'\\0041', and `\\\\` for a backslash"));
        };
        out.push(char::from_u32(code).ok_or_else(|| no_character(code))?);
        out.push_str(behind);
    }
    Ok(out)
}

fn no_character(code: u32) -> Error {
    Error::query(format!("there is no character {code:#x}"))
}

fn left_open(open: Open) -> Error {
    match open {
        Open::Text => Error::query("the text that begins here has no closing quote")
            .with_help("a quote inside text is written twice: 'it''s'"),
        Open::Name => Error::query("the name that begins here has no closing back-quote"),
        Open::Comment => Error::query("the comment that begins here has no */"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = tokens(text, 0).map_or_else(
            |error| {
                let span = error.span().expect("every error has a span");
                format!("{}..{} {}", span.start, span.end, error.to_string().replace('\n', ""))
            },
            |tokens| tokens.iter().map(|token| token.to_string()).collect::<Vec<_>>().join(" "),
        );
        assert_eq!(found, expected, "in {text}");
    }

    #[test]
    fn literals_mean_what_they_say() {
        check(
            "'it''s' E'a\\tb\\'c\\x41\\u00e9\\101' X'41' U&'\\0041\\\\b\\+01F600'",
            "'it's' 'a\tb'cAéA' X'41' 'A\\b😀' EOF",
        );
        check("`a``b` Mixed", "`a`b` Mixed EOF");
        check("X'4'", "0..4 a binary literal has an even number of hexadecimal digits  help: as in X'48656C6C6F'");
        check(
            "U&'\\00'",
            "0..7 in U&'…' a backslash begins the number of a character  help: write four hexadecimal digits, as in U&'\\0041', and `\\\\` for a backslash",
        );
        check("E'\\uD800'", "0..9 there is no character 0xd800");
    }

    #[test]
    fn what_flink_refuses_is_refused_with_its_place() {
        check("a \"b\"", "2..5 double quotes have no meaning in Flink's SQL  help: write `b` for a name, 'b' for text");
        check("a != b", "2..4 `!=` is not allowed in Flink's SQL  help: write `<>`");
        check("a::INT", "1..3 `::` is not Flink's SQL  help: write CAST(value AS type)");
        check(
            "a 'b",
            "2..4 the text that begins here has no closing quote  help: a quote inside text is written twice: 'it''s'",
        );
        check("a `b", "2..4 the name that begins here has no closing back-quote");
        check("a /* b", "2..6 the comment that begins here has no */");
        check(
            "a § b",
            "2..4 unexpected character \"§\"  help: names with special characters stand in back-quotes: `a-b`",
        );
        check("``", "0..2 a name cannot be empty");
    }

    #[test]
    fn spans_are_byte_offsets_in_the_script() {
        let tokens = tokens("ä ä\n b", 10).unwrap();
        let spans: Vec<_> = tokens.iter().map(|token| script_span(token.span).unwrap()).collect();
        let expected = [(10, 12), (13, 15), (17, 18), (18, 18)].map(|(start, end)| Span { start, end });
        assert_eq!(spans, expected);
        assert_eq!(script_span(AstSpan::empty()), None);
    }
}
