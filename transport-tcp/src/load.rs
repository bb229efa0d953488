//! How busy this process is, for hubs that place children by load.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use process_hub_core::LoadSample;
use tokio::runtime::Handle;

/// Below this, a share of the processors' time is mostly the granularity of their clock: the last one is told again.
const SHORTEST: Duration = Duration::from_millis(20);

/// Measures from one sample to the next.
#[derive(Debug)]
pub(crate) struct LoadMeter(Mutex<Last>);

#[derive(Debug)]
struct Last {
    at: Instant,
    used: ProcessTime,
    cpu_permille: u32,
}

impl LoadMeter {
    /// The first sample is measured from here.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Last { at: Instant::now(), used: ProcessTime::now(), cpu_permille: 0 }))
    }

    /// How busy the process is. Of the tasks that wait to run, those count that no worker has taken yet: what lies before
    /// one worker, tokio does not tell.
    pub(crate) fn sample(&self, runtime: &Handle) -> LoadSample {
        let memory = memory_stats::memory_stats().map_or(0, |stats| stats.physical_mem as u64);
        let run_queue = u32::try_from(runtime.metrics().global_queue_depth()).unwrap_or(u32::MAX);
        LoadSample { cpu_permille: self.cpu_permille(), run_queue, children: 0, memory_bytes: memory }
    }

    fn cpu_permille(&self) -> u32 {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, used) = (Instant::now(), ProcessTime::now());
        let elapsed = now - last.at;
        if elapsed >= SHORTEST {
            let processors = std::thread::available_parallelism().map_or(1, usize::from);
            last.cpu_permille = share(used.duration_since(last.used), elapsed, processors);
            (last.at, last.used) = (now, used);
        }
        last.cpu_permille
    }
}

/// The share of all processors' time in `elapsed` that `used` is, in thousandths.
fn share(used: Duration, elapsed: Duration, processors: usize) -> u32 {
    let all = elapsed.as_micros().saturating_mul(processors as u128).max(1);
    u32::try_from((used.as_micros() * 1_000 / all).min(1_000)).unwrap_or(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_all_processors_and_never_above_all_of_it() {
        let ms = Duration::from_millis;
        assert_eq!(share(ms(50), ms(100), 1), 500);
        assert_eq!(share(ms(50), ms(100), 2), 250);
        assert_eq!(share(ms(500), ms(100), 2), 1_000);
        assert_eq!(share(ms(0), ms(0), 0), 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_busy_process_is_seen_to_be_busy() {
        let meter = LoadMeter::new();
        let begin = Instant::now();
        // Work that is measured by what it used, not by how long that took.
        let used = ProcessTime::now();
        while used.elapsed() < Duration::from_millis(60) || begin.elapsed() < SHORTEST {
            std::hint::black_box(begin.elapsed());
        }
        let sample = meter.sample(&Handle::current());
        // On a machine so busy that this took a minute, a thousandth is not reached.
        assert!(sample.cpu_permille > 0 || begin.elapsed() > Duration::from_secs(10), "{sample:?}");
        assert!(sample.memory_bytes > 1 << 20, "{sample:?}");
    }
}
