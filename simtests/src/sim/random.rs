//! Randomness in independent streams, so that a draw for one purpose does not shift the draws for another.

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
    Delays = 12,
    Quirks = 13,
}

/// One stream of random numbers: a counter, mixed (SplitMix64). It costs nothing to begin one, so that each decision can
/// have its own.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

/// What the counter grows by: the golden ratio, odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Every bit of the outcome depends on every bit of `word`.
fn mixed(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

impl Random {
    /// The stream of `seed` for `purpose`.
    pub(crate) fn new(seed: u64, purpose: Purpose) -> Self {
        Self::keyed(seed, purpose, [])
    }

    /// One of several streams of `seed` for `purpose`: that of whom, what and which the `key` says.
    pub(crate) fn keyed<const N: usize>(seed: u64, purpose: Purpose, key: [u64; N]) -> Self {
        let begin = mixed(seed.wrapping_add(STEP)) ^ (purpose as u64).wrapping_mul(STEP);
        let fold = |state: u64, word: u64| mixed(state.wrapping_add(STEP)) ^ word.wrapping_mul(STEP);
        Self(mixed(key.into_iter().fold(begin, fold)))
    }

    /// Any number.
    pub(crate) fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mixed(self.0)
    }

    /// A number below `end`, which is not zero: the share of `end` that any number is of all numbers.
    fn share(&mut self, end: u64) -> u64 {
        let share = (u128::from(self.any()) * u128::from(end)) >> 64;
        u64::try_from(share).unwrap_or(0)
    }

    /// A number from `0` to below `end`; zero when `end` is zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.share(end as u64)).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        if low >= high {
            return low;
        }
        match (high - low).checked_add(1) {
            Some(span) => low + self.share(span),
            None => self.any(),
        }
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
        millionths > 0 && self.share(1_000_000) < u64::from(millionths)
    }

    /// True in half of the cases.
    pub(crate) fn coin(&mut self) -> bool {
        self.any() >> 63 == 1
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
        let keyed = |key| Random::keyed(7, Purpose::Network, key).any();
        assert_eq!(keyed([1, 2]), keyed([1, 2]));
        assert!(keyed([1, 2]) != keyed([2, 1]) && keyed([0, 0]) != keyed([0, 1]));
    }

    #[test]
    fn all_parts_of_a_range_are_drawn_alike() {
        let mut counts = [0u32; 10];
        for key in 0..10_000 {
            counts[Random::keyed(3, Purpose::Quirks, [key]).below(10)] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
        assert_eq!(Random::new(1, Purpose::Heal).between(5, 5), 5);
        assert!(Random::new(1, Purpose::Heal).between(0, u64::MAX) > 0);
    }

    #[test]
    fn log_between_stays_in_range_and_reaches_both_ends() {
        let mut random = Random::new(1, Purpose::Config);
        let drawn: Vec<u64> = (0..2_000).map(|_| random.log_between(10, 100_000)).collect();
        assert!(drawn.iter().all(|n| (10..=100_000).contains(n)));
        assert!(drawn.iter().any(|n| *n < 20) && drawn.iter().any(|n| *n > 50_000));
    }
}
