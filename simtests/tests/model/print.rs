//! A number for a hub's state that does not depend on when it is: what makes the space of states finite.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use process_hub_core::{Hub, Time};
use xxhash_rust::xxh3::Xxh3;

/// What is due later than this is never waited for here, so that when exactly makes no difference.
pub(crate) const HORIZON: Duration = Duration::from_secs(60);
/// Nothing in a hub looks back further than this.
const LOOK_BACK: i64 = 60_000_000;

/// The print of a hub at `now`: equal for states that differ only by a shift of the clock.
pub(crate) fn of_hub(hub: &Hub, now: Time) -> u64 {
    let mut hasher = Relative { now: now.0.cast_signed(), inner: Xxh3::new() };
    hub.hash(&mut hasher);
    hasher.finish()
}

/// The print of anything that holds no time.
pub(crate) fn of(value: &impl Hash) -> u64 {
    let mut hasher = Xxh3::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Takes times, and nothing else, relative to the present. The core hashes a [`Time`] as a signed number for this.
struct Relative {
    now: i64,
    inner: Xxh3,
}

impl Hasher for Relative {
    fn finish(&self) -> u64 {
        self.inner.finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.inner.write(bytes);
    }

    fn write_i64(&mut self, time: i64) {
        let ahead = i64::try_from(HORIZON.as_micros()).unwrap_or(i64::MAX);
        let relative = time.saturating_sub(self.now).clamp(-LOOK_BACK, ahead);
        self.inner.write(&relative.to_le_bytes());
    }
}
