//! What callers saw of counters, and whether it can have come from children that each ran once at a time.
//!
//! Every addition is of an amount of its own, so that the value answered says which additions the answering instance had
//! carried out before. The answers of an instance form a chain from nought; an addition whose answer was lost may be anywhere
//! in one chain, or nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One addition to a counter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addition {
    /// No other addition to this counter has it.
    pub(crate) amount: i64,
    /// When the caller asked, and when it had its answer, or gave up, since the beginning.
    pub(crate) asked: Duration,
    pub(crate) done: Duration,
    /// The count after it, if there was an answer.
    pub(crate) value: Option<i64>,
}

/// What one instance answered, in its order.
pub(crate) type Chain = Vec<Addition>;

/// Additions without an answer that may have been carried out between two that have one.
const UNANSWERED: usize = 3;

/// The instances of a counter.
///
/// # Errors
/// If an answer cannot be explained, an addition counts twice, or an order is not that in which callers asked.
pub(crate) fn chains(additions: &[Addition]) -> Result<Vec<Chain>, String> {
    let answered: BTreeMap<i64, Addition> =
        additions.iter().filter_map(|addition| Some((addition.value?, *addition))).collect();
    if answered.len() != additions.iter().filter(|addition| addition.value.is_some()).count() {
        return Err("two additions were answered with one count".to_owned());
    }
    let mut lost: BTreeSet<i64> =
        additions.iter().filter(|addition| addition.value.is_none()).map(|addition| addition.amount).collect();
    // After which count each count comes.
    let mut next: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for (value, addition) in &answered {
        let before = value - addition.amount;
        let Some((from, between)) = origin(before, &answered, &lost) else {
            return Err(format!("{addition:?}: nothing adds up to {before}"));
        };
        for amount in between {
            lost.remove(&amount);
        }
        next.entry(from).or_default().push(*value);
    }
    let mut chains = Vec::new();
    for first in next.get(&0).into_iter().flatten() {
        let (mut chain, mut at) = (vec![answered[first]], *first);
        while let Some(after) = next.get(&at) {
            let [one] = after[..] else { return Err(format!("two instances counted on from {at}: to {after:?}")) };
            chain.push(answered[&one]);
            at = one;
        }
        in_order(&chain)?;
        chains.push(chain);
    }
    Ok(chains)
}

/// The answered count, or nought, from which unanswered additions lead to `count`, and which: as few as will do.
fn origin(count: i64, answered: &BTreeMap<i64, Addition>, lost: &BTreeSet<i64>) -> Option<(i64, Vec<i64>)> {
    let known = |value: i64| value == 0 || answered.contains_key(&value);
    if known(count) {
        return Some((count, Vec::new()));
    }
    (1..=UNANSWERED).find_map(|most| {
        let mut found = None;
        subsets(lost, count, most, &mut Vec::new(), &mut |rest, taken| {
            if found.is_none() && known(rest) {
                found = Some((rest, taken.to_vec()));
            }
            found.is_some()
        });
        found
    })
}

/// Tries what is left of `count` without each set of `most` amounts, until `stop` says so.
fn subsets(
    lost: &BTreeSet<i64>,
    count: i64,
    most: usize,
    taken: &mut Vec<i64>,
    stop: &mut impl FnMut(i64, &[i64]) -> bool,
) -> bool {
    if most == 0 {
        return stop(count, taken);
    }
    let above = taken.last().map_or(0, |last| last + 1);
    for amount in lost.range(above..=count.max(above)) {
        taken.push(*amount);
        let over = subsets(lost, count - amount, most - 1, taken, stop);
        taken.pop();
        if over {
            return true;
        }
    }
    false
}

/// What was answered before another was asked for comes before it.
fn in_order(chain: &Chain) -> Result<(), String> {
    let mut latest = Duration::ZERO;
    for addition in chain {
        if addition.done < latest {
            return Err(format!("{addition:?} was answered before one that it counts was asked for at {latest:?}"));
        }
        latest = latest.max(addition.asked);
    }
    Ok(())
}

/// Whether no instance answered what was asked for after a later one had answered.
///
/// # Errors
/// If two instances took turns.
pub(crate) fn one_at_a_time(chains: &[Chain]) -> Result<(), String> {
    let precedes = |one: &Chain, other: &Chain| {
        let done = one.iter().map(|addition| addition.done).min();
        let asked = other.iter().map(|addition| addition.asked).max();
        done < asked
    };
    for (at, one) in chains.iter().enumerate() {
        for other in &chains[at + 1..] {
            if precedes(one, other) && precedes(other, one) {
                let ends = |chain: &Chain| (chain.first().copied(), chain.last().copied());
                return Err(format!("two instances took turns: {:?} and {:?}", ends(one), ends(other)));
            }
        }
    }
    Ok(())
}
