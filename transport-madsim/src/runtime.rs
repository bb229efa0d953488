//! madsim as a runtime.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use madsim::rand::RngCore;
use madsim::time::Instant;
use process_hub::Runtime;
use process_hub::core::Time;

/// The simulation's executor, clocks and randomness. Tasks run on the simulated machine on which they are spawned.
#[derive(Clone, Debug)]
pub struct Madsim {
    origin: Instant,
}

impl Madsim {
    /// The simulation that this is called in.
    ///
    /// # Panics
    /// Outside of a simulation.
    #[must_use]
    pub fn current() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Runtime for Madsim {
    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, future: F) {
        madsim::task::spawn(future);
    }

    fn now(&self) -> Time {
        Time(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        madsim::time::sleep_until(self.origin + Duration::from_micros(at.0))
    }

    fn wall_clock_ms(&self) -> u64 {
        // The simulation answers this question, too.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn fill(&self, bytes: &mut [u8]) {
        madsim::rand::thread_rng().fill_bytes(bytes);
    }
}
