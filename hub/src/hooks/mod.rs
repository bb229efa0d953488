//! Handlers of hook events: the user's code that a hub runs when something happens in it on this node.

mod table;
mod worker;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use process_hub_core::hook::{HookEvent, HookKind};
use process_hub_core::spec::ChildSpec;
use smol_str::SmolStr;

use crate::error::Closed;
use crate::handle::Hub;
use crate::runtime::BoxFuture;

pub(crate) use table::Hooks;
pub(crate) use worker::Queue;

/// How long a handler may take over one event unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

type Tell = dyn Fn(Hub, HookEvent) -> BoxFuture<()> + Send + Sync;
type Alter = dyn Fn(Hub, ChildSpec) -> BoxFuture<ChildSpec> + Send + Sync;

/// What a handler does.
#[derive(Clone)]
pub(crate) enum Act {
    Tell(Arc<Tell>),
    Alter(Arc<Alter>),
}

/// A handler of one kind of hook event, known by its id.
///
/// Handlers of a hub are run one after the other, apart from everything else the node does: of one event, those of
/// higher priority first, then in the order of their registration; events in the order in which they happened. One
/// that panics, or takes longer than its time limit, is broken off and reported (in the log, as
/// [`crate::HubEvent::HandlerFailed`], and in the node's statistics), and the next one is run; it stays registered.
///
/// ```
/// use process_hub::HookHandler;
/// use process_hub::core::hook::HookEvent;
///
/// let handler = HookHandler::new("count", |_hub, event| async move {
///     if let HookEvent::ChildRegistered { id, pid } = event {
///         println!("{id} runs as {pid}");
///     }
/// })
/// .priority(10);
/// ```
#[derive(Clone)]
#[must_use = "a handler does nothing until it is registered"]
pub struct HookHandler {
    pub(crate) id: SmolStr,
    pub(crate) priority: i32,
    pub(crate) timeout: Duration,
    pub(crate) act: Act,
}

impl HookHandler {
    /// A handler that is told of events, of any kind but [`HookKind::ChildDataAlter`]. Priority 0, time limit 5 s.
    pub fn new<F, Fut>(id: impl AsRef<str>, handler: F) -> Self
    where
        F: Fn(Hub, HookEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let act = Act::Tell(Arc::new(move |hub, event| Box::pin(handler(hub, event))));
        Self { id: SmolStr::new(id), priority: 0, timeout: TIMEOUT, act }
    }

    /// A handler for [`HookKind::ChildDataAlter`]: it is given the recipe of each child that is about to be started on
    /// this node, and answers what to start this instance with. The child's name cannot be changed, and what is
    /// declared stays as it is: the next instance, here or elsewhere, is started from the declared recipe again.
    ///
    /// Of several, each is given what the one before it has answered. All of them together have 5 s, waiting in line
    /// included; then the instance is started as it was declared.
    pub fn alter<F, Fut>(id: impl AsRef<str>, handler: F) -> Self
    where
        F: Fn(Hub, ChildSpec) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ChildSpec> + Send + 'static,
    {
        let act = Act::Alter(Arc::new(move |hub, spec| Box::pin(handler(hub, spec))));
        Self { id: SmolStr::new(id), priority: 0, timeout: TIMEOUT, act }
    }

    /// Handlers of higher priority are run first. Default 0.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// How long it may take over one event before it is broken off. Default 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(crate) fn fits(&self, kind: HookKind) -> bool {
        matches!(self.act, Act::Alter(_)) == (kind == HookKind::ChildDataAlter)
    }
}

impl fmt::Debug for HookHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookHandler").field("id", &self.id).field("priority", &self.priority).finish_non_exhaustive()
    }
}

/// A registered handler, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandlerInfo {
    /// What it handles.
    pub kind: HookKind,
    /// Its id, unique among those of its kind.
    pub id: SmolStr,
    /// Those of higher priority are run first.
    pub priority: i32,
}

/// Handlers could not be registered or cancelled. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// Some have an id that another handler of the same kind has: none of the group was registered.
    #[error("{kind} has a handler `{}` already: cancel it first, or choose another id; none of the group was registered", .ids.join("`, `"))]
    AlreadyRegistered {
        /// Of which kind.
        kind: HookKind,
        /// Their ids.
        ids: Vec<SmolStr>,
    },
    /// An alter handler is for [`HookKind::ChildDataAlter`], and no other handler is: none of the group was registered.
    #[error("handler `{id}` cannot handle {kind}: alter handlers are for child_data_alter, and only they are")]
    WrongKind {
        /// Of which kind it was to be.
        kind: HookKind,
        /// Its id.
        id: SmolStr,
    },
    /// The node was shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// What a handle asks the driver to change.
#[derive(Debug)]
pub(crate) enum Change {
    Register(HookKind, Vec<HookHandler>),
    Cancel(HookKind, Vec<SmolStr>),
}
