//! `LIKE`: another table as the beginning of a new one, and what of it is taken.

use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use crate::error::{Error, Result};

use super::cursor::Cursor;
use super::statement::ObjectName;

/// `LIKE source [(INCLUDING …)]`
#[derive(Debug, Clone)]
pub struct LikeClause {
    pub source: ObjectName,
    pub constraints: MergeStrategy,
    pub distribution: MergeStrategy,
    pub generated: MergeStrategy,
    pub metadata: MergeStrategy,
    pub options: MergeStrategy,
    pub partitions: MergeStrategy,
    pub watermarks: MergeStrategy,
}

/// What LIKE does with a part of the source that the new table may have too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeStrategy {
    /// Taken over; what is in both is an error.
    Including,
    /// Left out.
    Excluding,
    /// Taken over; of what is in both the new table's counts.
    Overwriting,
}

/// The parts that can be named, and whether OVERWRITING has a meaning for them.
const FEATURES: [(&str, bool); 8] = [
    ("ALL", false),
    ("CONSTRAINTS", false),
    ("DISTRIBUTION", false),
    ("GENERATED", true),
    ("METADATA", true),
    ("OPTIONS", true),
    ("PARTITIONS", false),
    ("WATERMARKS", true),
];

/// Reads what stands behind `LIKE`.
pub(super) fn like(parser: &mut Parser) -> Result<LikeClause> {
    let source = parser.object_name("the name of the table to be like")?;
    let mut said: Vec<(&str, MergeStrategy)> = Vec::new();
    if parser.takes_sign(&Token::LParen) {
        loop {
            let place = parser.here();
            let (word, strategy) = if parser.takes(&["INCLUDING"]) {
                ("INCLUDING", MergeStrategy::Including)
            } else if parser.takes(&["EXCLUDING"]) {
                ("EXCLUDING", MergeStrategy::Excluding)
            } else if parser.takes(&["OVERWRITING"]) {
                ("OVERWRITING", MergeStrategy::Overwriting)
            } else {
                return Err(parser.unexpected("INCLUDING, EXCLUDING or OVERWRITING"));
            };
            let known = FEATURES.iter().find(|(feature, _)| parser.takes(&[feature]));
            let Some((feature, can_overwrite)) = known else {
                return Err(parser.unexpected(&FEATURES.map(|(feature, _)| feature).join(", ")));
            };
            if strategy == MergeStrategy::Overwriting && !can_overwrite {
                return Err(Error::query(format!("Illegal merging strategy '{word}' for '{feature}' option."))
                    .with_span(place)
                    .with_help(format!("write INCLUDING {feature} or EXCLUDING {feature}")));
            }
            if said.iter().any(|(other, _)| other == feature) {
                return Err(Error::query(format!("Each like option feature can be declared only once: {feature}"))
                    .with_span(place));
            }
            said.push((feature, strategy));
            if parser.takes_sign(&Token::RParen) {
                break;
            }
        }
    }
    let of = |feature: &str, otherwise: MergeStrategy| {
        let find = |feature: &str| said.iter().find(|(other, _)| *other == feature).map(|(_, strategy)| *strategy);
        find(feature).or_else(|| find("ALL")).unwrap_or(otherwise)
    };
    Ok(LikeClause {
        source,
        constraints: of("CONSTRAINTS", MergeStrategy::Including),
        distribution: of("DISTRIBUTION", MergeStrategy::Including),
        generated: of("GENERATED", MergeStrategy::Including),
        metadata: of("METADATA", MergeStrategy::Including),
        options: of("OPTIONS", MergeStrategy::Overwriting),
        partitions: of("PARTITIONS", MergeStrategy::Including),
        watermarks: of("WATERMARKS", MergeStrategy::Including),
    })
}
