//! The busiest of many, told in bounded steps. Owning core only.
//!
//! Invariant: however many there are, a step looks at [`PER_STEP`] of them, and no more than twice what is wanted is held.

use shards::runtime::Runtime;

/// Looked at before other tasks of the core get their turn.
const PER_STEP: usize = 1000;

/// The `most` with the largest weight, out of a list that `next` gives in pieces: from where, how many → a piece, and where
/// to go on, if there are more.
pub async fn busiest<R: Runtime, T, At: Copy>(
    rt: &R,
    most: usize,
    first: At,
    next: impl Fn(At, usize) -> (Vec<T>, Option<At>),
    weight: impl Fn(&T) -> u64,
) -> Vec<T> {
    let (mut found, mut at) = (Vec::new(), Some(first));
    while let Some(from) = at {
        let (piece, more) = next(from, PER_STEP);
        found.extend(piece);
        if more.is_none() || found.len() > 2 * most {
            found.sort_by_key(|one| std::cmp::Reverse(weight(one)));
            found.truncate(most);
        }
        at = more;
        rt.quantum().await;
    }
    found
}
