//! The timers of one instance: messages to itself, kept in its own task.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use process_hub_core::Time;

use crate::runtime::{AnyRuntime, BoxFuture};

/// A timer of a child, to cancel it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerKey {
    number: u64,
}

pub(crate) type Make<M> = Box<dyn FnMut() -> M + Send>;

enum Due<M> {
    Once(M),
    Every(Duration, Make<M>),
}

/// Ordered by time, then by the order in which they were set.
pub(crate) struct Timers<M> {
    due: BTreeMap<(Time, u64), Due<M>>,
    next: u64,
    sleep: Option<(Time, BoxFuture<()>)>,
}

impl<M> Default for Timers<M> {
    fn default() -> Self {
        Self { due: BTreeMap::new(), next: 0, sleep: None }
    }
}

impl<M> Timers<M> {
    pub(crate) fn once(&mut self, at: Time, message: M) -> TimerKey {
        self.insert(at, Due::Once(message))
    }

    pub(crate) fn every(&mut self, now: Time, period: Duration, make: Make<M>) -> TimerKey {
        self.insert(now + period, Due::Every(period, make))
    }

    fn insert(&mut self, at: Time, due: Due<M>) -> TimerKey {
        let number = self.next;
        self.next += 1;
        self.due.insert((at, number), due);
        TimerKey { number }
    }

    pub(crate) fn cancel(&mut self, timer: TimerKey) {
        self.due.retain(|(_, number), _| *number != timer.number);
    }

    /// The message whose time has come; pending until there is one. Wakes the task when it is to be asked again.
    pub(crate) fn poll_due(&mut self, runtime: &AnyRuntime, cx: &mut Context<'_>) -> Poll<M> {
        loop {
            let Some((&(at, _), _)) = self.due.first_key_value() else {
                self.sleep = None;
                return Poll::Pending;
            };
            let now = runtime.now();
            if at <= now {
                return Poll::Ready(self.fire(now));
            }
            if self.sleep.as_ref().is_none_or(|(until, _)| *until != at) {
                self.sleep = Some((at, runtime.sleep_until(at)));
            }
            let Some((_, sleep)) = &mut self.sleep else { return Poll::Pending };
            if Pin::new(sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.sleep = None;
        }
    }

    #[expect(clippy::expect_used, reason = "the caller has just seen a first entry")]
    fn fire(&mut self, now: Time) -> M {
        let ((at, number), due) = self.due.pop_first().expect("a timer is due");
        match due {
            Due::Once(message) => message,
            Due::Every(period, mut make) => {
                let message = make();
                // The next multiple of the period that lies ahead: missed ones are skipped.
                let missed = now.since(at).as_micros() / period.as_micros();
                let ahead = u32::try_from(missed + 1).unwrap_or(u32::MAX);
                self.due.insert((at + period.saturating_mul(ahead), number), Due::Every(period, make));
                message
            }
        }
    }
}

impl<M> fmt::Debug for Timers<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").field("pending", &self.due.len()).finish_non_exhaustive()
    }
}
