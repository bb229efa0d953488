//! tokio as the hub's runtime.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use process_hub::Runtime;
use process_hub_core::{LoadSample, Time};
use tokio::runtime::Handle;

use crate::load::LoadMeter;

/// tokio, this machine's clocks and the operating system's randomness. Time counts from where it was made.
#[derive(Clone, Debug)]
pub struct Tokio {
    handle: Handle,
    origin: Instant,
    meter: Arc<LoadMeter>,
}

impl Tokio {
    /// The runtime that this is called on.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn current() -> Self {
        Self { handle: Handle::current(), origin: Instant::now(), meter: Arc::new(LoadMeter::new()) }
    }
}

impl Runtime for Tokio {
    fn spawn<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // Nothing waits for it: it ends by itself, or with the runtime.
        drop(self.handle.spawn(future));
    }

    fn now(&self) -> Time {
        Time(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        let at = tokio::time::Instant::from_std(self.origin) + Duration::from_micros(at.0.min(FAR));
        tokio::time::sleep_until(at)
    }

    fn wall_clock_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn load(&self) -> LoadSample {
        self.meter.sample(&self.handle)
    }

    fn fill(&self, bytes: &mut [u8]) {
        #[expect(clippy::expect_used, reason = "without randomness there are no secrets, and nothing here may run")]
        getrandom::fill(bytes).expect("the operating system has no randomness");
    }
}

/// A hundred years: what is further away than that is never, and must not overflow the clock.
const FAR: u64 = 100 * 365 * 24 * 3_600 * 1_000_000;
