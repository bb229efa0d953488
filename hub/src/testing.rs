//! A hub without a driver, for the tests of the parts around one.

#[path = "../tests/support/runtime.rs"]
#[allow(unreachable_pub, reason = "public in the integration tests that share it")]
mod runtime;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use process_hub_core::config::HubConfig;
use process_hub_core::id::{Addr, Boot, HubId, Member, NodeId, Token};
use process_hub_core::spec::{ChildSpec, Role};
use process_hub_core::{ChildEvent, StopReason};
use smol_str::SmolStr;
use tokio::sync::{broadcast, mpsc, watch};

pub(crate) use self::runtime::TestRuntime;
use crate::child::Child;
use crate::driver::ChildReport;
use crate::handle::{Command, Hub, HubShared, NodeShared};
use crate::hooks::Hooks;
use crate::instance::Job;
use crate::instance::mailbox::{Envelope, Mailbox};
use crate::kinds::Kinds;
use crate::runtime::{AnyRuntime, Runtime};
use crate::spec::SpecExt;
use crate::stats::Stats;
use crate::view::ReadView;

pub(crate) fn member(name: &str, boot: u64) -> Member {
    Member { node: NodeId::new(name).unwrap(), boot: Boot(boot) }
}

pub(crate) fn token(counter: u64) -> Token {
    Token { lineage: 0, counter, node: NodeId::new("n1").unwrap(), boot: Boot(1) }
}

/// A hub of node `n1/1` and what would reach its driver.
pub(crate) struct Alone {
    pub(crate) hub: Hub,
    pub(crate) reports: mpsc::UnboundedReceiver<ChildReport>,
    _commands: mpsc::Receiver<Command>,
}

impl Alone {
    pub(crate) fn new() -> Self {
        let (commands, from_handles) = mpsc::channel(8);
        let (reports, from_children) = mpsc::unbounded_channel();
        let node = Arc::new(NodeShared {
            member: member("n1", 1),
            boot: AtomicU64::new(1),
            cluster: SmolStr::new("default"),
            listens_at: Addr::new("here"),
            advertises: Addr::new("here"),
            map_seed: 7,
            mailbox_capacity: 4,
            runtime: AnyRuntime::new(TestRuntime::current()),
            commands,
            reports,
            members: watch::Sender::new(Arc::new([])),
            hubs: Default::default(),
            stats: Stats::default(),
        });
        let hub = Hub(Arc::new(HubShared {
            config: HubConfig::new(HubId::new("hub").unwrap()),
            view: ReadView::new(7, node.member.clone()),
            node,
            kinds: Kinds::default(),
            events: broadcast::channel(8).0,
            hooks: Hooks::default(),
            phase: watch::Sender::new(None),
        }));
        Self { hub, reports: from_children, _commands: from_handles }
    }

    /// Runs an instance of `C` and hands back its mailbox.
    pub(crate) fn run<C: Child>(&self, sequence: u64, args: C::Args) -> Arc<Mailbox> {
        self.run_or_stand_by::<C>(sequence, args, false)
    }

    /// The same for one that stands by.
    pub(crate) fn stand_by<C: Child>(&self, sequence: u64, args: C::Args) -> Arc<Mailbox> {
        self.run_or_stand_by::<C>(sequence, args, true)
    }

    fn run_or_stand_by<C: Child>(&self, sequence: u64, args: C::Args, standby: bool) -> Arc<Mailbox> {
        let spec = Arc::new(ChildSpec::of::<C>("c1", args).unwrap());
        let mailbox = Arc::new(Mailbox::default());
        let (hub, token, role) = (self.hub.clone(), token(1), Role::Active);
        let job = Job { hub, spec, sequence, token, role, mailbox: mailbox.clone(), standby };
        TestRuntime::current().spawn(crate::instance::run::<C>(job));
        mailbox
    }

    /// The bytes that the task and the mailbox of an instance of `C` take.
    pub(crate) fn size<C: Child>(&self, args: C::Args) -> usize {
        let spec = Arc::new(ChildSpec::of::<C>("c1", args).unwrap());
        let (hub, mailbox) = (self.hub.clone(), Arc::new(Mailbox::default()));
        let job = Job { hub, spec, sequence: 1, token: token(1), role: Role::Active, mailbox, standby: false };
        size_of_val(&crate::instance::run::<C>(job)) + size_of::<Mailbox>()
    }

    /// What the next report says.
    pub(crate) async fn event(&mut self) -> ChildEvent {
        self.reports.recv().await.unwrap().event
    }

    /// A call of `message` with this number, put into a mailbox.
    pub(crate) fn call<C: Child>(&self, mailbox: &Mailbox, number: u64, message: &C::Message) {
        let call = Some(process_hub_core::CallKey { caller: member("n1", 1), number });
        let payload = crate::codec::encode(message).unwrap();
        mailbox.push(Envelope { payload, call }, 100).unwrap();
    }
}

/// Tells an instance to stop, as a user would.
pub(crate) fn stop(mailbox: &Mailbox) {
    mailbox.stop(StopReason::Stopped);
}
