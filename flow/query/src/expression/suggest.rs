//! The nearest known name to a misspelt one, for hints.

/// How far a suggestion may be off: more edits than a third of the name is another name.
const EDITS_PER_CHARACTERS: usize = 3;

/// The candidate nearest to `name` (case ignored) if it is near enough.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let bound = 1 + wanted.chars().count() / EDITS_PER_CHARACTERS;
    let distances = candidates.into_iter().map(|candidate| (edits(&wanted, &candidate.to_lowercase()), candidate));
    distances.filter(|(distance, _)| *distance <= bound).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// Levenshtein's distance.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in right.iter().enumerate() {
            let substitute = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_far_ones_are_not() {
        let names = ["symbol", "price", "shares"];
        assert_eq!(nearest("symbl", names), Some("symbol"));
        assert_eq!(nearest("SHARE", names), Some("shares"));
        assert_eq!(nearest("volume", names), None);
    }
}
