//! `VALUES 1, 2`: rows of one column without parentheses get them before the statement is read.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens::words;

/// Words behind which a list of rows has ended.
const ENDS: &[&str] = &["UNION", "EXCEPT", "INTERSECT", "MINUS", "ORDER", "LIMIT", "OFFSET", "FETCH", "LATE"];

/// Puts each row of a VALUES that stands without parentheses into them.
pub(super) fn in_parentheses(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !(0..tokens.len()).any(|index| words(&tokens[index..], &["VALUES"])) {
        return tokens;
    }
    let mut out = Vec::with_capacity(tokens.len() + 8);
    // For each open bracket, and the statement itself: whether rows stand on its level, and where the last one begins.
    let mut levels: Vec<Option<usize>> = vec![None];
    for index in 0..tokens.len() {
        let rest = &tokens[index..];
        let token = &tokens[index].token;
        let is_case = words(rest, &["CASE"]);
        let is_end = matches!(token, Token::EOF | Token::SemiColon) || ENDS.iter().any(|end| words(rest, &[end]));
        let closes = matches!(token, Token::RParen | Token::RBracket | Token::RBrace) || words(rest, &["END"]);
        if (closes || is_end || *token == Token::Comma)
            && let Some(Some(start)) = levels.last().copied()
        {
            close_row(&mut out, start);
        }
        if closes && levels.len() > 1 {
            levels.pop();
        } else if is_end && let Some(level) = levels.last_mut() {
            *level = None;
        }
        out.push(tokens[index].clone());
        if matches!(token, Token::LParen | Token::LBracket | Token::LBrace) || is_case {
            levels.push(None);
        }
        let Some(level) = levels.last_mut() else { continue };
        let is_row_list = words(rest, &["VALUES"]) && !is_name(&tokens, index);
        if is_row_list || (*token == Token::Comma && level.is_some()) {
            *level = Some(out.len());
        }
    }
    out
}

/// A column may be called so behind a dot, and a function is not this.
fn is_name(tokens: &[TokenWithSpan], index: usize) -> bool {
    let is_dot = |index: Option<usize>| {
        index.and_then(|index| tokens.get(index)).is_some_and(|token| token.token == Token::Period)
    };
    is_dot(index.checked_sub(1)) || is_dot(Some(index + 1))
}

/// The row that begins at `start` ends here.
fn close_row(out: &mut Vec<TokenWithSpan>, start: usize) {
    let row = &out[start..];
    let first = if words(row, &["ROW"]) { 1 } else { 0 };
    if row.is_empty() || encloses(&row[first..]) {
        return;
    }
    let (before, behind) = (row[0].span.start, row[row.len() - 1].span.end);
    out.insert(start, TokenWithSpan::new(Token::LParen, before.span_to(before)));
    out.push(TokenWithSpan::new(Token::RParen, behind.span_to(behind)));
}

/// Whether the first parenthesis is closed by the last one.
fn encloses(row: &[TokenWithSpan]) -> bool {
    let mut depth = 0_usize;
    for (index, token) in row.iter().enumerate() {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index > 0 && index + 1 == row.len();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::tokens::tokens;

    fn check(text: &str, expected: &str) {
        let found = in_parentheses(tokens(text, 0).unwrap());
        let found: Vec<String> = found.iter().map(|token| token.to_string()).collect();
        assert_eq!(found.join(" ").trim_end_matches(" EOF"), expected, "{text}");
    }

    #[test]
    fn rows_without_parentheses_get_them() {
        check("VALUES 1, 2", "VALUES ( 1 ) , ( 2 )");
        check("VALUES (1, 2), (3, 4)", "VALUES ( 1 , 2 ) , ( 3 , 4 )");
        check("SELECT * FROM (VALUES 1, (2)) AS t(a)", "SELECT * FROM ( VALUES ( 1 ) , ( 2 ) ) AS t ( a )");
        check("VALUES (1) + (2), f(1, 2) ORDER BY a, b", "VALUES ( ( 1 ) + ( 2 ) ) , ( f ( 1 , 2 ) ) ORDER BY a , b");
        check("VALUES ROW(1, 2), ROW(3, 4)", "VALUES ROW ( 1 , 2 ) , ROW ( 3 , 4 )");
        check("VALUES CASE a WHEN 1, 2 THEN 3 END, 4", "VALUES ( CASE a WHEN 1 , 2 THEN 3 END ) , ( 4 )");
        check("VALUES 1 UNION ALL SELECT a, b", "VALUES ( 1 ) UNION ALL SELECT a , b");
        check("SELECT a.`values`, 1", "SELECT a . `values` , 1");
        check("VALUES", "VALUES");
    }
}
