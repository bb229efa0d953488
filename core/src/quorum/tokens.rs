//! Ownership tokens under a quorum: a ballot, which a quorum has recorded before it is used, and a number within it.
//!
//! The members of a confirmed view compute its ballot from the marks they have from each other: one more than the
//! highest any of them has recorded. Each has recorded it before anybody hands out a token of it, and a later confirmed
//! view has a member in common with this one; so its ballot is higher, and with it every token.

/// Numbers within one ballot, in bits: as many starts a node and view.
const BITS: u32 = 32;

/// The highest ballot there can be.
pub(crate) const MOST: u64 = (1 << (63 - BITS)) - 1;

/// The first token of a ballot.
pub(crate) const fn first(ballot: u64) -> u64 {
    (if ballot < MOST { ballot } else { MOST }) << BITS
}

/// The ballot of a token.
pub(crate) const fn ballot(token: u64) -> u64 {
    token >> BITS
}

/// The token to hand out next, when `seen` is the highest anybody is known to have handed out; `None` when that one is
/// of a later ballot, so that this node's is out of date, or when the ballot is used up.
pub(crate) fn next(own: u64, seen: u64) -> Option<u64> {
    let token = (seen + 1).max(first(own));
    (ballot(token) == own.min(MOST)).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_grow_within_a_ballot_and_from_ballot_to_ballot() {
        assert_eq!(next(0, 0), Some(1));
        assert_eq!(next(3, 0), Some(first(3)));
        assert_eq!(next(3, first(3) + 7), Some(first(3) + 8));
        assert_eq!(next(3, first(4)), None);
        assert_eq!(next(3, first(4) - 1), None);
        assert!(next(4, first(4) - 1) > next(3, first(3) + 7));
        assert!(first(u64::MAX) < 1 << 63);
    }
}
