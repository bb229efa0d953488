//! Where everything that happens to a node arrives.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use process_hub_core::id::HubId;
use process_hub_core::{ChildEvent, Time};
use tokio::sync::mpsc;

use crate::handle::Command;
use crate::runtime::{AnyRuntime, BoxFuture};
use crate::session::News;

/// Inputs taken at a time; what a batch sends is flushed after it.
const BATCH: usize = 512;

/// What an instance's task tells the driver.
#[derive(Debug)]
pub(crate) struct ChildReport {
    pub(crate) hub: HubId,
    pub(crate) sequence: u64,
    pub(crate) event: ChildEvent,
}

/// To the driver from the children. Not bounded by itself: an instance reports its start, its end, and one reply a
/// message it was given, and all of these are bounded.
pub(crate) type ChildReports = mpsc::UnboundedSender<ChildReport>;

/// The receiving ends, and what was taken from them.
pub(crate) struct Inbox {
    from_handles: mpsc::Receiver<Command>,
    from_children: mpsc::UnboundedReceiver<ChildReport>,
    from_links: mpsc::Receiver<News>,
    pub(crate) commands: Vec<Command>,
    pub(crate) reports: Vec<ChildReport>,
    pub(crate) news: Vec<News>,
    sleep: Option<(Time, BoxFuture<()>)>,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Something was taken.
    Inputs,
    /// The time has come.
    Time,
    /// The time has come already and nothing else has: others may have a turn first.
    Busy,
}

impl Inbox {
    pub(crate) fn new(
        from_handles: mpsc::Receiver<Command>,
        from_children: mpsc::UnboundedReceiver<ChildReport>,
        from_links: mpsc::Receiver<News>,
    ) -> Self {
        let (commands, reports, news) = (Vec::new(), Vec::new(), Vec::new());
        Self { from_handles, from_children, from_links, commands, reports, news, sleep: None }
    }

    /// Waits until something has arrived or `wake` has come.
    pub(crate) async fn wait(&mut self, runtime: &AnyRuntime, wake: Option<Time>) -> Woken {
        let due = wake.is_some_and(|at| at <= runtime.now());
        // A sleep that ends too early does no harm, and most are never waited for to their end: making one anew costs
        // more than waking once in vain.
        let ends = self.sleep.as_ref().map(|(at, _)| *at);
        if let Some(wake) = wake.filter(|wake| !due && ends.is_none_or(|at| at > *wake)) {
            self.sleep = Some((wake, runtime.sleep_until(wake)));
        }
        poll_fn(|cx| {
            let mut any = false;
            // The driver holds a sender of each, so no channel ever ends.
            any |= matches!(self.from_handles.poll_recv_many(cx, &mut self.commands, BATCH), Poll::Ready(1..));
            any |= matches!(self.from_children.poll_recv_many(cx, &mut self.reports, BATCH), Poll::Ready(1..));
            any |= matches!(self.from_links.poll_recv_many(cx, &mut self.news, BATCH), Poll::Ready(1..));
            if any {
                return Poll::Ready(Woken::Inputs);
            }
            if due {
                return Poll::Ready(Woken::Busy);
            }
            match &mut self.sleep {
                Some((_, sleep)) => {
                    let woken = Pin::new(sleep).poll(cx).map(|()| Woken::Time);
                    if woken.is_ready() {
                        self.sleep = None;
                    }
                    woken
                }
                None => Poll::Pending,
            }
        })
        .await
    }
}
