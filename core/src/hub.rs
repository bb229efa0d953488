//! A hub: one named group of nodes and its children, as seen by one node. Inputs in, effects out.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use smol_str::SmolStr;

use crate::alter::Alters;
use crate::calls::Calls;
use crate::config::{ConfigError, Distribution, HubConfig};
use crate::hashing::{Balancer, Subject, stable_hash};
use crate::id::{Boot, ChildId, Member, NodeId, RequestId};
use crate::input::{ChildEvent, LoadSample};
use crate::lives::{Life, Lives};
use crate::message::{Attributes, HubMessage, Pause, Phase};
use crate::migration::Migrations;
use crate::moves::Moves;
use crate::outbox::{Outbox, Pace};
use crate::peer::Peer;
use crate::pull::Pulls;
use crate::quorum::Quorum;
use crate::registry::{Key, Registry};
use crate::request::Request;
use crate::requests::Requests;
use crate::rivals::{Former, Words};
use crate::supervisor::Supervisor;
use crate::time::Time;
use crate::view::View;
use crate::work::Work;

/// What can happen to a hub.
#[derive(Clone, Debug, PartialEq)]
pub enum HubInput {
    /// The time that [`Hub::next_timeout`] named has come.
    Tick,
    /// A member of the cluster is up; whether it runs this hub is to be found out.
    MemberUp(Member),
    /// A member is down, has left, or has been superseded by a later life.
    MemberDown(Member),
    /// A way to a member that is up has opened (again): what was on its way may be lost.
    Reachable(Member),
    /// This node's own boot was raised.
    Raised(Member),
    /// A message of a member came, over a link to it.
    Message {
        /// Whose.
        from: Member,
        /// What it says.
        body: HubMessage,
    },
    /// A message of a member came through another one: it may be older than what is known, and it may be forged.
    Relayed {
        /// Whose it is said to be.
        origin: Member,
        /// What it says.
        body: HubMessage,
    },
    /// A caller asks for something of this hub.
    Request {
        /// The caller's mark.
        id: RequestId,
        /// What it asks.
        request: Request,
    },
    /// Something happened to an instance.
    Child {
        /// Which.
        sequence: u64,
        /// What.
        event: ChildEvent,
    },
    /// How busy this node is.
    Load(LoadSample),
    /// This node is to leave: hand over its children.
    Leave,
    /// This node takes no part any more: whoever waits is answered, and the others are told.
    Close,
    /// What is sent to a member that is up is dropped for now: changes to it wait, and so does new work.
    Congested(Member),
    /// What is sent to it is not dropped any more, or goes another way. Without an earlier `Congested`, nothing.
    Drained(Member),
    /// Whether what instances are started with is to be asked for first.
    Altering {
        /// Whether.
        wanted: bool,
    },
}

/// One named group of nodes and its children, as seen by one node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hub {
    pub(crate) config: HubConfig,
    /// What two nodes must agree on, as one number and field by field: each hello says it.
    pub(crate) terms: (u64, Vec<(SmolStr, SmolStr)>),
    pub(crate) me: Member,
    /// The boot this life began with: the one in its pids, starts and tokens.
    pub(crate) minted: Boot,
    /// The boot in the starts that it mints now: another one if that had been used up before.
    pub(crate) mints: Boot,
    /// The names that take part in the hub.
    pub(crate) lives: Lives,
    /// A later life of this node's name, of which another member knew.
    pub(crate) outlived: Option<Boot>,
    /// Whether the user was told that this life was forgotten.
    pub(crate) forgotten: bool,
    pub(crate) phase: Phase,
    /// What this node says of itself.
    pub(crate) attributes: Attributes,
    /// This node leaves, nothing runs here, and all were told so once more.
    pub(crate) parted: bool,
    /// Until when to look for somebody who knows more, while joining.
    pub(crate) patience: Option<Time>,
    /// Until when to wait for others after what is declared was restored, unless somebody takes part already.
    pub(crate) grace: Option<Time>,
    /// Which hash the next part to be restored begins at.
    pub(crate) restored_to: u64,
    pub(crate) registry: Registry,
    pub(crate) view: View,
    pub(crate) peers: BTreeMap<NodeId, Peer>,
    pub(crate) outbox: Outbox,
    pub(crate) supervisor: Supervisor,
    pub(crate) alters: Alters,
    pub(crate) requests: Requests,
    pub(crate) calls: Calls,
    pub(crate) pulls: Pulls,
    pub(crate) work: Work,
    pub(crate) quorum: Quorum,
    /// The hub is locked and some of its instances have yet to be told to end.
    pub(crate) locking: bool,
    pub(crate) moves: Moves,
    pub(crate) migrations: Migrations,
    pub(crate) former: Former,
    pub(crate) words: Words,
    /// The change whose acknowledgement by all shows that starts which were removed before a time are over everywhere.
    pub(crate) releasing: Option<(u64, Time)>,
    pub(crate) balancer: Balancer,
    /// Whether rebalancing is paused, as far as anybody ever said so.
    pub(crate) pause: Option<Pause>,
    /// When this node's load is asked for next, where a load balancer wants to know.
    pub(crate) load_at: Option<Time>,
    /// Who came to and went from the owners since the last redistribution was over.
    pub(crate) came: Vec<Member>,
    pub(crate) went: Vec<Member>,
    /// The number of the last start this node minted.
    pub(crate) counter: u64,
    /// The highest token counter seen.
    pub(crate) token: u64,
    /// The number of this node's last change of the declared set.
    pub(crate) op: u64,
    /// The highest epoch of a stream of this node's.
    pub(crate) epoch: u32,
    pub(crate) sync_at: Time,
    /// The place of this node's last batch of changes, which under gossip is the same for all members.
    pub(crate) log: u64,
    /// How often changes were told lately.
    pub(crate) pace: Pace,
    /// Members to whom something is to be acknowledged at the end of this step.
    pub(crate) acks: Vec<NodeId>,
    /// Members who have yet to be listed some of this node's rows.
    pub(crate) listing: BTreeSet<NodeId>,
    /// Of a deliberate defect: where the streams of members that went had come to.
    #[cfg(feature = "sabotage")]
    pub(crate) retracted: BTreeMap<Member, crate::stream::Inbound>,
    #[cfg(feature = "sabotage")]
    pub(crate) hoard: Vec<crate::message::HubMessage>,
    /// Comparisons since the view was last another.
    #[cfg(feature = "sabotage")]
    pub(crate) rests: u32,
}

/// How long a joining node looks for somebody who knows what is declared before it takes itself to be alone.
const PATIENCE: Duration = Duration::from_secs(3);

impl Hub {
    /// A hub as the member `me` enters it. With `alone`, nobody else is known or looked for: it takes part at once.
    ///
    /// # Errors
    /// When `config` has a field out of its range.
    pub fn new(config: HubConfig, me: Member, alone: bool, now: Time) -> Result<Hub, ConfigError> {
        Self::with_attributes(config, me, Attributes::default(), alone, now)
    }

    /// The same with what the node says of itself.
    ///
    /// # Errors
    /// When `config` has a field out of its range.
    pub fn with_attributes(
        config: HubConfig,
        me: Member,
        attributes: Attributes,
        alone: bool,
        now: Time,
    ) -> Result<Hub, ConfigError> {
        config.check()?;
        let minted = me.boot;
        let mut lives = Lives::default();
        lives.meet(&me.node, Life { boot: me.boot, mints: minted, forgotten: false });
        let sync_interval = config.synchronization.sync_interval();
        // Members spread their repairs over the interval.
        let share = stable_hash(me.node.as_str().as_bytes()) % 1_000;
        let sync_at = now + sync_interval * u32::try_from(share).unwrap_or(0) / 1_000 + sync_interval / 10;
        #[cfg(feature = "sabotage")]
        let forgetful = config.sabotage == Some(crate::config::Sabotage::ForgetRemoval);
        let quorum = Quorum::new(&config, now);
        let counted = quorum.standing == crate::message::Standing::Counted;
        #[cfg_attr(not(feature = "sabotage"), expect(unused_mut, reason = "only a deliberate defect changes them"))]
        let (mut registry, mut view) = (Registry::new(me.clone(), minted), View::new(me.node.clone(), &config));
        #[cfg(feature = "sabotage")]
        {
            registry.forgetful = forgetful;
            registry.shows_gone = config.sabotage == Some(crate::config::Sabotage::ShowGone);
            view.in_join_order = config.sabotage == Some(crate::config::Sabotage::RingInJoinOrder);
        }
        let load_at = matches!(config.distribution, Distribution::CentralizedLoadBalancer(_)).then_some(now);
        // Whoever comes to an empty place is the first.
        let attributes = Attributes { seniority: u64::from(alone), ..attributes };
        let terms = (config.digest(), config.fields());
        Ok(Hub {
            config,
            terms,
            minted,
            mints: minted,
            lives,
            outlived: None,
            forgotten: false,
            phase: if alone && counted { Phase::Ready } else { Phase::Joining },
            attributes,
            parted: false,
            patience: (!alone).then(|| now + PATIENCE),
            grace: None,
            restored_to: 0,
            registry,
            view,
            peers: BTreeMap::new(),
            outbox: Outbox::default(),
            supervisor: Supervisor::default(),
            alters: Alters::default(),
            requests: Requests::default(),
            calls: Calls::default(),
            pulls: Pulls::default(),
            work: Work::default(),
            locking: false,
            quorum,
            moves: Moves::default(),
            migrations: Migrations::default(),
            former: Former::default(),
            words: Words::default(),
            releasing: None,
            balancer: Balancer::default(),
            pause: None,
            load_at,
            came: Vec::new(),
            went: Vec::new(),
            counter: 0,
            token: 0,
            op: 0,
            epoch: 0,
            sync_at,
            log: 0,
            pace: Pace::default(),
            acks: Vec::new(),
            listing: BTreeSet::new(),
            me,
            #[cfg(feature = "sabotage")]
            retracted: BTreeMap::new(),
            #[cfg(feature = "sabotage")]
            hoard: Vec::new(),
            #[cfg(feature = "sabotage")]
            rests: 0,
        })
    }

    /// Whether a deliberate defect is switched on.
    #[cfg(feature = "sabotage")]
    pub(crate) fn is_sabotaged(&self, by: crate::config::Sabotage) -> bool {
        self.config.sabotage == Some(by)
    }

    /// What it was told at its start.
    #[must_use]
    pub fn config(&self) -> &HubConfig {
        &self.config
    }

    /// What is declared and what runs where. Read-only.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The members of the installed view, this node included, sorted.
    #[must_use]
    pub fn view(&self) -> Vec<Member> {
        let members = self.view.members().iter();
        members.map(|(node, seat)| Member { node: node.clone(), boot: seat.boot }).collect()
    }

    /// The hash of the installed view: equal on two nodes exactly if their views are.
    #[must_use]
    pub fn view_hash(&self) -> u64 {
        self.view.hash()
    }

    /// Whether every member of the view has said that it has installed it, and nothing is left to move, start or stop
    /// here.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.view.is_complete() && self.work.is_empty() && self.supervisor.waiting() == 0 && self.migrations.is_empty()
    }

    /// Moves of children that are under way here or wait to be: copies that stand by, copies that are given away, and
    /// states of copies that have ended.
    #[must_use]
    pub fn migrations(&self) -> usize {
        self.migrations.len()
    }

    /// Whether it is locked: its part of the cluster has no quorum, so that nothing runs here and starts and stops are
    /// refused. What the registry answers may be out of date meanwhile. Never under `Divergence`.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.quorum.locked
    }

    /// How far this node is with the hub.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The node that a child of this name belongs to before all others in the installed view; `None` when nobody can own
    /// it.
    #[must_use]
    pub fn owner(&self, id: &ChildId) -> Option<&NodeId> {
        self.owners(id).first().copied()
    }

    /// The nodes that a child of this name belongs to in the installed view, the first owner first: as many as copies of
    /// it are to run, fewer if there are no more that can own it.
    #[must_use]
    pub fn owners(&self, id: &ChildId) -> Vec<&NodeId> {
        let key = Key::new(id);
        let declared = self.registry.record(&key).and_then(|record| record.subject(&key));
        self.view.owners(&declared.unwrap_or(Subject::undeclared(key.hash))).into_vec()
    }

    /// How many copies of each child run in the installed view, if there are as many members that can own it: what a mapping
    /// under [`Distribution::Guided`](crate::config::Distribution::Guided) must name, for each child.
    #[must_use]
    pub fn copies(&self) -> usize {
        self.view.copies()
    }

    /// Whether a declared child belongs to this node.
    pub(crate) fn owns(&self, key: &Key) -> bool {
        let subject = self.registry.record(key).and_then(|record| record.subject(key));
        subject.is_some_and(|subject| self.view.is_owner(&subject))
    }

    /// The instances of this node that are starting, running or stopping: child and sequence, oldest first.
    pub fn local(&self) -> impl Iterator<Item = (&ChildId, u64)> {
        let running = self.supervisor.iter().filter(|(_, local)| !local.kept);
        running.map(|(sequence, local)| (&local.key.id, sequence))
    }

    /// How many instances this node has.
    #[must_use]
    pub fn local_len(&self) -> usize {
        self.supervisor.len()
    }

    /// Requests and calls of this node's callers that are open.
    #[must_use]
    pub fn open_requests(&self) -> usize {
        self.requests.len() + self.calls.len() + self.moves.len()
    }

    /// What waits: of all members, the most bytes sent to one and not acknowledged yet, and of all children, the most
    /// messages that wait for one. Bounded by twice
    /// [`limits::WINDOW`](crate::config::limits::WINDOW) and by
    /// [`limits::WAITING_MESSAGES`](crate::config::limits::WAITING_MESSAGES).
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        let unacknowledged =
            self.peers.values().filter_map(|peer| peer.out.as_ref()).map(crate::stream::Outbound::bytes);
        (unacknowledged.max().unwrap_or(0), self.calls.most_waiting())
    }

    /// Changes sent to other members and not acknowledged yet, in batches.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.peers.values().filter_map(|peer| peer.out.as_ref()).map(crate::stream::Outbound::in_flight).sum()
    }

    /// When [`HubInput::Tick`] is wanted next; a time that has passed means at once.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Time> {
        if self.has_work() {
            return Some(Time::ZERO);
        }
        let peers = self.peers.values().filter_map(Peer::deadline).min();
        let telling = self.has_something_to_tell().then(|| self.pace.next());
        let counted = self.quorum.standing == crate::message::Standing::Counted;
        let patience = self.patience.filter(|_| counted);
        let grace = self.grace.filter(|_| counted && self.phase == Phase::Joining);
        let view = self.view.deadline().filter(|_| self.phase != Phase::Joining);
        [
            Some(self.sync_at),
            patience,
            grace,
            telling,
            view,
            peers,
            self.pulls.deadline(),
            self.requests.deadline(),
            self.calls.deadline(),
            self.supervisor.deadline(),
            self.quorum.deadline(self.phase != Phase::Joining),
            self.alters.deadline(),
            self.moves.deadline(),
            self.migrations.deadline(),
            self.load_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
