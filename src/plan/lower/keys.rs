//! Upsert keys: columns by which the rows of a stream are told apart.
//!
//! The changes of a stream add up to at most one row for each value of a key, and all changes for one value leave the same
//! task in the order in which they happened. A stream may have several keys or none. The key without columns says that
//! there is never more than one row.

/// More keys than this are of no use to anybody.
const MOST_KEYS: usize = 16;

/// The keys behind a projection. `columns` says of each column that leaves which one of the input it is, if it is just
/// that.
pub fn projected(keys: &[Vec<usize>], columns: &[Option<usize>]) -> Vec<Vec<usize>> {
    let mut behind: Vec<Vec<usize>> = Vec::new();
    for key in keys {
        // A column may leave several times: each of them will do.
        let mut choices: Vec<Vec<usize>> = vec![Vec::new()];
        for column in key {
            let places = columns.iter().enumerate().filter(|(_, from)| **from == Some(*column)).map(|(place, _)| place);
            let with = |choice: &Vec<usize>, place: usize| [choice.as_slice(), &[place]].concat();
            let longer = choices.iter().flat_map(|choice| places.clone().map(move |place| with(choice, place)));
            choices = longer.take(MOST_KEYS).collect();
        }
        behind.extend(choices);
    }
    least(behind)
}

/// Whether the changes of rows that are alike in `columns` come from one task in order: then they are changes of one key.
pub fn has_key_within(keys: &[Vec<usize>], columns: &[usize]) -> bool {
    keys.iter().any(|key| is_within(key, columns))
}

/// The keys of changes that have been exchanged by the hash of `columns`: what has other hashes comes from several tasks,
/// so that a key must tell the hash.
pub fn behind_hash(keys: &[Vec<usize>], columns: &[usize]) -> Vec<Vec<usize>> {
    keys.iter().filter(|key| is_within(columns, key)).cloned().collect()
}

fn is_within(key: &[usize], columns: &[usize]) -> bool {
    key.iter().all(|column| columns.contains(column))
}

/// The keys without those that hold another one.
fn least(mut keys: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
    keys.iter_mut().for_each(|key| key.sort_unstable());
    keys.sort_unstable();
    keys.dedup();
    let all = keys.clone();
    keys.retain(|key| !all.iter().any(|other| other != key && is_within(other, key)));
    keys.truncate(MOST_KEYS);
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projection_keeps_the_keys_whose_columns_leave() {
        let keys = [vec![0, 2], vec![1]];
        // Renamed and in another order, and a column that is computed.
        assert_eq!(projected(&keys, &[Some(2), None, Some(0)]), [[0, 2]]);
        assert_eq!(projected(&keys, &[Some(1), Some(2)]), [[0]]);
        assert_eq!(projected(&keys, &[Some(2), None]), [[0; 0]; 0]);
        // The key without columns cannot be lost, and makes all others superfluous.
        assert_eq!(projected(&[Vec::new(), vec![0]], &[None, Some(0)]), [[0; 0]]);
    }

    #[test]
    fn a_column_that_leaves_twice_makes_two_keys() {
        assert_eq!(projected(&[vec![0, 1]], &[Some(0), Some(1), Some(0)]), [[0, 1], [1, 2]]);
        let many: Vec<Option<usize>> = (0..40).map(|place| Some(place % 10)).collect();
        assert_eq!(projected(&[(0..10).collect()], &many).len(), MOST_KEYS);
    }

    #[test]
    fn changes_of_one_key_are_alike_in_it_and_perhaps_in_more() {
        assert!(has_key_within(&[vec![3], vec![1, 2]], &[2, 1, 0]));
        assert!(!has_key_within(&[vec![1, 2]], &[1]));
        assert!(!has_key_within(&[], &[1]) && has_key_within(&[Vec::new()], &[1]));
    }

    #[test]
    fn behind_an_exchange_a_key_has_to_tell_the_task() {
        assert_eq!(behind_hash(&[vec![0], vec![1, 2], vec![1, 3]], &[1]), [[1, 2], [1, 3]]);
        assert_eq!(behind_hash(&[Vec::new()], &[1]), [[0; 0]; 0]);
    }
}
