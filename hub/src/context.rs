//! What a child can know and do from within its callbacks.

use std::fmt;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use process_hub_core::Time;
use process_hub_core::id::{ChildId, Pid, Token};
use process_hub_core::spec::{ChildSpec, Metadata, Role};

use crate::child::{Child, ChildError, StopCause};
use crate::handle::Hub;
use crate::instance::timers::{TimerKey, Timers};

/// A child's view of itself and its hub, handed to every callback.
pub struct Context<C: Child> {
    spec: Arc<ChildSpec>,
    hub: Hub,
    sequence: u64,
    token: Token,
    role: Role,
    end: Option<Box<StopCause>>,
    // Most children have no timers, so they pay a pointer for them.
    timers: Option<Box<Timers<C::Message>>>,
}

impl<C: Child> Context<C> {
    pub(crate) fn new(hub: Hub, spec: Arc<ChildSpec>, sequence: u64, token: Token, role: Role) -> Self {
        Self { spec, hub, sequence, token, role, end: None, timers: None }
    }

    /// The child's name.
    #[must_use]
    pub fn id(&self) -> &ChildId {
        &self.spec.id
    }

    /// The recipe it was started from.
    #[must_use]
    pub fn spec(&self) -> &ChildSpec {
        &self.spec
    }

    /// What the user attached to it.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.spec.metadata
    }

    /// This very instance.
    #[must_use]
    pub fn pid(&self) -> Pid {
        let member = self.hub.member();
        Pid { node: member.node.clone(), boot: member.boot, sequence: self.sequence }
    }

    /// Its ownership token: greater than that of any earlier owner it could know of. Hand it to a resource that must
    /// refuse an owner that was replaced.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The part it plays.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The hub it lives in, on this node: to look up and call other children. A child that *calls itself* waits for
    /// its own mailbox and gets a timeout.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The runtime's monotonic clock; virtual in a simulation.
    #[must_use]
    pub fn now(&self) -> Time {
        self.hub.runtime().now()
    }

    /// Waits. No message is handled meanwhile: to be called back instead, use [`Context::send_after`].
    pub fn sleep(&self, span: Duration) -> impl Future<Output = ()> + Send + 'static {
        let runtime = self.hub.runtime();
        runtime.sleep_until(runtime.now() + span)
    }

    /// Has `message` handled when `span` has passed. Timers end with the instance.
    pub fn send_after(&mut self, span: Duration, message: C::Message) -> TimerKey {
        let at = self.now() + span;
        self.timers.get_or_insert_default().once(at, message)
    }

    /// Has a message made and handled whenever `period` has passed, first after one period. Periods missed because
    /// the child was busy are skipped. A period below 1 ms counts as 1 ms.
    pub fn interval(&mut self, period: Duration, make: impl FnMut() -> C::Message + Send + 'static) -> TimerKey {
        let period = period.max(Duration::from_millis(1));
        let now = self.now();
        self.timers.get_or_insert_default().every(now, period, Box::new(make))
    }

    /// Ends a timer; does nothing if it is over.
    pub fn cancel(&mut self, timer: TimerKey) {
        if let Some(timers) = &mut self.timers {
            timers.cancel(timer);
        }
    }

    /// Ends this instance after the present callback: it is done. A permanent child is started again, another is
    /// stopped in the whole cluster.
    pub fn stop(&mut self) {
        self.end.get_or_insert_with(|| Box::new(StopCause::Done));
    }

    /// Ends this instance after the present callback: it failed. Unless it is temporary, it is started again.
    pub fn fail(&mut self, error: impl Into<ChildError>) {
        let error = error.into();
        self.end.get_or_insert_with(|| Box::new(StopCause::Failed(error)));
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(crate) fn take_end(&mut self) -> Option<StopCause> {
        self.end.take().map(|cause| *cause)
    }

    pub(crate) fn set_role(&mut self, role: Role, token: Token) {
        self.role = role;
        self.token = token;
    }

    pub(crate) fn set_token(&mut self, token: Token) {
        self.token = token;
    }

    /// The message of a timer whose time has come.
    pub(crate) fn poll_timers(&mut self, cx: &mut task::Context<'_>) -> Poll<C::Message> {
        match &mut self.timers {
            Some(timers) => timers.poll_due(self.hub.runtime(), cx),
            None => Poll::Pending,
        }
    }
}

impl<C: Child> fmt::Debug for Context<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("id", self.id()).field("sequence", &self.sequence).finish_non_exhaustive()
    }
}
