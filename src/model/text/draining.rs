//! Turning one long list into another without having both whole in memory: `tests/bench/run.py status` prints the peak.

/// How many items are taken before memory is given back.
const PIECE: usize = 512;

/// The items of a list in their order; what was taken gives its memory back piece by piece.
pub(crate) fn in_pieces<T>(mut list: Vec<T>) -> impl Iterator<Item = T> {
    // A list gives memory back only at its end.
    list.reverse();
    std::iter::from_fn(move || {
        let item = list.pop();
        if list.len().is_multiple_of(PIECE) {
            list.shrink_to_fit();
        }
        item
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_items_come_in_their_order() {
        for length in [0, 1, PIECE - 1, PIECE, 3 * PIECE + 7] {
            let list: Vec<usize> = (0..length).collect();
            assert_eq!(in_pieces(list.clone()).collect::<Vec<_>>(), list);
        }
    }
}
