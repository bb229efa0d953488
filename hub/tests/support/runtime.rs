//! Tokio as a runtime for tests: with a paused clock, time is virtual.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use process_hub::Runtime;
use process_hub::core::Time;
use tokio::time::Instant;

/// Tokio, with its clock starting now and randomness that no two share.
#[derive(Clone, Debug)]
pub struct TestRuntime {
    origin: Instant,
}

static RANDOM: AtomicU64 = AtomicU64::new(1);

impl TestRuntime {
    /// The runtime that this is called on.
    pub fn current() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Runtime for TestRuntime {
    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, future: F) {
        tokio::spawn(future);
    }

    fn now(&self) -> Time {
        Time(self.origin.elapsed().as_micros() as u64)
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static {
        tokio::time::sleep_until(self.origin + Duration::from_micros(at.0))
    }

    fn wall_clock_ms(&self) -> u64 {
        1_700_000_000_000 + self.now().0 / 1_000
    }

    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            let drawn = RANDOM.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            *byte = (drawn >> 56) as u8;
        }
    }
}
