//! What a node counts: for metrics, and for tests that must know that something really happened.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters of a running node.
        #[derive(Debug, Default)]
        pub(crate) struct Stats {
            $(pub(crate) $name: Counter,)*
        }

        /// The counters of a node at one moment; all count up from its start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub struct StatsSnapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Stats {
            pub(crate) fn snapshot(&self) -> StatsSnapshot {
                StatsSnapshot { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }

        impl StatsSnapshot {
            /// Every counter by its name.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Frames written to links.
    frames_sent,
    /// Frames read from links.
    frames_received,
    /// Bytes written to links.
    bytes_sent,
    /// Bytes read from links.
    bytes_received,
    /// Frames that did not decode or broke a limit; each closed its link.
    frames_bad,
    /// Messages dropped because the queue of their link was over its mark.
    messages_dropped,
    /// Messages dropped because there was no link to their receiver.
    messages_unsent,
    /// Links that were opened and authenticated.
    links_up,
    /// Links that were lost or closed.
    links_down,
    /// Handshakes that failed, on either side.
    handshakes_failed,
    /// Connections dropped at the door because too many strangers stood there.
    strangers_refused,
    /// Instances started.
    children_started,
    /// Instances ended, in whatever way.
    children_ended,
    /// Callbacks that panicked.
    children_panicked,
    /// Messages refused because a mailbox was full.
    mailbox_full,
    /// Handlers of hooks that panicked, took too long, or answered nonsense.
    hook_handlers_failed,
    /// Hook events that were dropped because their handlers are too slow.
    hook_events_dropped,
    /// Inputs handled by the core.
    inputs,
    /// Effects carried out.
    effects,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
    pub(crate) fn one(&self) {
        self.add(1);
    }
}
