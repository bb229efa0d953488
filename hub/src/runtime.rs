//! What the hub needs of an async runtime: tasks, a clock, a wait, randomness. Nothing else of one is ever used.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use process_hub_core::{LoadSample, Time};

/// An async runtime, its clocks and its randomness. Cheap to clone.
///
/// A deterministic runtime (a simulator) makes everything above it deterministic: the hub takes time and randomness
/// from nowhere else.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// Runs `future` as a task of its own. It is never joined and never aborted from outside; it ends by itself.
    fn spawn<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static;

    /// The monotonic clock, in microseconds since an origin of the runtime's choosing.
    fn now(&self) -> Time;

    /// Ends when [`Runtime::now`] has reached `at`; at once if it has already.
    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send + 'static;

    /// Milliseconds since 1970. Used for the boot of a node and nowhere else; may jump.
    fn wall_clock_ms(&self) -> u64;

    /// Fills `bytes` with randomness fit for secrets.
    fn fill(&self, bytes: &mut [u8]);

    /// How busy the process is: processor, tasks ready to run, memory. (Children are counted by the hub.) Asked for once
    /// a `push_interval` of a load-balanced hub, by the driver, which waits meanwhile. Default: not at all, so that children
    /// alone count; in a simulation anything else would have to be a function of it.
    fn load(&self) -> LoadSample {
        LoadSample::default()
    }

    /// A random number, from [`Runtime::fill`].
    fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A [`Runtime`] without its type, so that a child's context and a hub's handle need none.
#[derive(Clone)]
pub(crate) struct AnyRuntime(Arc<dyn Erased>);

trait Erased: Send + Sync {
    fn spawn(&self, future: BoxFuture<()>);
    fn now(&self) -> Time;
    fn sleep_until(&self, at: Time) -> BoxFuture<()>;
    fn load(&self) -> LoadSample;
}

impl<R: Runtime> Erased for R {
    fn spawn(&self, future: BoxFuture<()>) {
        Runtime::spawn(self, future);
    }
    fn now(&self) -> Time {
        Runtime::now(self)
    }
    fn sleep_until(&self, at: Time) -> BoxFuture<()> {
        Box::pin(Runtime::sleep_until(self, at))
    }
    fn load(&self) -> LoadSample {
        Runtime::load(self)
    }
}

impl AnyRuntime {
    pub(crate) fn new(runtime: impl Runtime) -> Self {
        Self(Arc::new(runtime))
    }
    pub(crate) fn spawn(&self, future: BoxFuture<()>) {
        self.0.spawn(future);
    }
    pub(crate) fn now(&self) -> Time {
        self.0.now()
    }
    pub(crate) fn sleep_until(&self, at: Time) -> BoxFuture<()> {
        self.0.sleep_until(at)
    }
    pub(crate) fn load(&self) -> LoadSample {
        self.0.load()
    }
}

impl fmt::Debug for AnyRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyRuntime")
    }
}
