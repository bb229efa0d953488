//! Randomness in independent streams, so that a draw for one purpose does not shift the draws for another.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Purpose {
    Config = 1,
    Network = 2,
    Faults = 3,
    Clients = 4,
    Children = 5,
    Nodes = 6,
    Moments = 7,
    Heal = 8,
    Strategies = 9,
    Load = 10,
    Steering = 11,
}

/// One stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    /// The stream of `seed` for `purpose`.
    pub(crate) fn new(seed: u64, purpose: Purpose) -> Self {
        Self::split(seed, purpose, 0)
    }

    /// The `index`th of several streams of `seed` for `purpose`.
    pub(crate) fn split(seed: u64, purpose: Purpose, index: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream((index << 8) | purpose as u64);
        Self(rng)
    }

    /// Any number.
    pub(crate) fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from `0` to below `end`; zero when `end` is zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { self.0.random_range(0..end as u64) as usize }
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        if low >= high { low } else { self.0.random_range(low..=high) }
    }

    /// A number from `low` to `high`, small ones as likely as large ones by order of magnitude.
    pub(crate) fn log_between(&mut self, low: u64, high: u64) -> u64 {
        let (low, high) = (low.max(1), high.max(1));
        if low >= high {
            return low;
        }
        // Integer only: a random power of two between the two, then a uniform place within it.
        let (from, to) = (low.ilog2(), high.ilog2());
        let power = self.between(u64::from(from), u64::from(to));
        let first = (1u64 << power).max(low);
        let last = ((1u64 << power) - 1).saturating_mul(2).saturating_add(1).min(high);
        self.between(first, last)
    }

    /// True in `millionths` of a million cases.
    pub(crate) fn chance(&mut self, millionths: u32) -> bool {
        millionths > 0 && self.0.random_range(0..1_000_000u32) < millionths
    }

    /// True in half of the cases.
    pub(crate) fn coin(&mut self) -> bool {
        self.0.next_u32() & 1 == 1
    }

    /// One of `from`, if there is any.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.below(from.len())).copied()
    }

    /// `list` in random order.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            let other = self.below(at + 1);
            list.swap(at, other);
        }
    }

    /// A wait around `mean`, memoryless enough: from a tenth to twice of it.
    pub(crate) fn wait(&mut self, mean: u64) -> u64 {
        self.between((mean / 10).max(1), mean.saturating_mul(2).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_independent_and_repeat() {
        let draw = |purpose| {
            let mut random = Random::new(7, purpose);
            [random.any(), random.any()]
        };
        assert_eq!(draw(Purpose::Network), draw(Purpose::Network));
        assert_ne!(draw(Purpose::Network), draw(Purpose::Faults));
    }

    #[test]
    fn log_between_stays_in_range_and_reaches_both_ends() {
        let mut random = Random::new(1, Purpose::Config);
        let drawn: Vec<u64> = (0..2_000).map(|_| random.log_between(10, 100_000)).collect();
        assert!(drawn.iter().all(|n| (10..=100_000).contains(n)));
        assert!(drawn.iter().any(|n| *n < 20) && drawn.iter().any(|n| *n > 50_000));
    }
}
