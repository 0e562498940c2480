//! Bounded input is what was there when the job began. What has come since, or is not what it was, is not read, which
//! somebody has to say.

use std::collections::{BTreeMap, BTreeSet};

use super::notice::{Notice, Notices};
use crate::connectors::{Position, Source, Split};
use crate::state::SplitState;

/// What to do about input that a job does not read.
const START_OVER: &str =
    "the job reads only what was there when it began. --fresh starts over, with all that is there now";

/// Looks at the splits of a bounded source once more and warns of what is not as it was when the job began. Returns how
/// many bytes those of the job have, if that is known of all.
pub(super) async fn mention_changes(
    source: &dyn Source,
    states: &BTreeMap<String, SplitState>,
    notices: &Notices,
) -> Option<u64> {
    // What cannot be found any more is said when it is opened.
    let found = source.discover(&BTreeSet::new()).await.unwrap_or_default();
    let (known, newcomers): (Vec<&Split>, Vec<&Split>) =
        found.iter().partition(|split| states.contains_key(&split.id.0));
    let mut changed = Vec::new();
    for split in &known {
        let position = Position(states[&split.id.0].position.clone());
        // As above: whoever has to read it will say why it cannot.
        if let Ok(Some(how)) = source.changed(split, &position).await {
            changed.push(format!("{} {how}", split.id.0));
        }
    }
    let newcomers = newcomers.iter().map(|split| format!("{} came after the job began", split.id.0)).collect();
    for texts in [changed, newcomers] {
        if let [first, others @ ..] = texts.as_slice() {
            let others = if others.is_empty() { String::new() } else { format!(" (and {} more)", others.len()) };
            notices(Notice::Warning(format!("{first}{others}: {START_OVER}")));
        }
    }
    (known.len() == states.len()).then(|| known.iter().map(|split| split.bytes).sum())?
}
