//! What happens in a hub, as a stream.

use process_hub_core::hook::{HookEvent, HookKind};
use process_hub_core::id::Member;
use smol_str::SmolStr;
use tokio::sync::broadcast;

/// One thing that happened in a hub on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HubEvent {
    /// A hook event.
    Hook(HookEvent),
    /// The view is now of these members, this node included, sorted by name.
    View(Vec<Member>),
    /// A handler of hook events panicked, took too long, or answered nonsense; it stays registered.
    HandlerFailed {
        /// What it handles.
        kind: HookKind,
        /// Its id.
        id: SmolStr,
        /// What happened.
        why: SmolStr,
    },
    /// This many events were dropped because this receiver was slow: read the state anew.
    Lagged(u64),
}

/// A receiver of [`HubEvent`]s, from the moment it was made.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<HubEvent>);

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<HubEvent>) -> Self {
        Self(receiver)
    }

    /// The next event; `None` once the node was shut down. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<HubEvent> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(HubEvent::Lagged(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The next event, if one is there already.
    pub fn try_next(&mut self) -> Option<HubEvent> {
        match self.0.try_recv() {
            Ok(event) => Some(event),
            Err(broadcast::error::TryRecvError::Lagged(missed)) => Some(HubEvent::Lagged(missed)),
            Err(_) => None,
        }
    }
}
