//! Partition tolerance: whether this part of the cluster may serve. Rules, what they remember, the lease that makes a
//! verdict safe between parts that see each other differently, and the tokens that come of it.

mod lease;
mod memory;
pub(crate) mod tokens;
mod verdict;

pub(crate) use lease::{Answer, Confirm, Lease, Spans};
pub(crate) use memory::Memory;
pub use verdict::{Count, Verdict, grants, majority, most_names, verdict};

use crate::config::{HubConfig, Partition};
use crate::id::NodeId;
use crate::message::{Mark, Standing};
use crate::time::Time;

/// The state of a hub's quorum at one node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Quorum {
    partition: Partition,
    pub(crate) memory: Memory,
    pub(crate) lease: Lease,
    /// How many members of the view count, this node included where it does.
    pub(crate) connected: u32,
    /// What a rule of one's own says of the installed view.
    pub(crate) custom: Verdict,
    /// Nothing may run here.
    pub(crate) locked: bool,
    /// A quorum was held at some time in this life.
    pub(crate) seen: bool,
    /// The members of some view of this life were enough for one.
    met: bool,
    /// What this node counts for: not before it has waited, if it may have granted something in an earlier life.
    pub(crate) standing: Standing,
    /// When it has waited.
    pub(crate) waits_until: Time,
    /// The mark that was given for the installed view.
    pub(crate) marked: Option<Mark>,
    /// When the mark for the installed view can be given.
    pub(crate) mark_at: Option<Time>,
    /// The ballot of the tokens that this node hands out.
    pub(crate) ballot: u64,
    /// Their lineage.
    pub(crate) lineage: u32,
    /// An operator's reset has come: nothing that was forgotten counts.
    pub(crate) absolved: bool,
    /// A deliberate defect: half of a quorum is enough.
    #[cfg(feature = "sabotage")]
    halved: bool,
}

impl Quorum {
    pub(crate) fn new(config: &HubConfig, now: Time) -> Self {
        let partition = config.partition.clone();
        let spans = Spans::new(config.lease, config.stop_timeout, config.pause_bound, config.clock_drift_ppm);
        let size = match &partition {
            Partition::MajorityQuorum { initial_cluster_size, .. } => *initial_cluster_size,
            _ => 0,
        };
        let confirmed = match &partition {
            Partition::StaticQuorum { startup_confirm, .. } => *startup_confirm,
            Partition::MajorityQuorum { .. } => true,
            _ => false,
        };
        let waits = confirmed && !config.first_start;
        Self {
            partition,
            memory: Memory::new(size),
            lease: Lease::new(spans),
            connected: 0,
            custom: Verdict::Held,
            locked: confirmed,
            seen: false,
            met: false,
            standing: if waits { Standing::Waiting } else { Standing::Counted },
            waits_until: now + spans.fence,
            marked: None,
            mark_at: None,
            ballot: 0,
            lineage: 0,
            absolved: false,
            #[cfg(feature = "sabotage")]
            halved: config.sabotage == Some(crate::config::Sabotage::HalfAQuorum),
        }
    }

    /// How large the cluster is taken to be: no smaller than it is known to be, even if an operator has said so too early.
    fn size(&self) -> u32 {
        self.memory.known().size.max(u32::try_from(self.memory.names().len()).unwrap_or(u32::MAX))
    }

    /// How many grants make a lease; `None` when this hub needs none.
    pub(crate) fn needed(&self) -> Option<u32> {
        #[cfg(feature = "sabotage")]
        if self.halved {
            return grants(&self.partition, self.size()).map(|grants| grants.div_ceil(2));
        }
        grants(&self.partition, self.size())
    }

    /// Whether leases count: under a rule that has them, once a quorum was held, or from the beginning if it is to be
    /// confirmed.
    pub(crate) fn is_leased(&self) -> bool {
        let confirmed = !matches!(self.partition, Partition::StaticQuorum { startup_confirm: false, .. });
        self.needed().is_some() && (confirmed || self.seen)
    }

    /// The verdict on the installed view.
    pub(crate) fn verdict(&self, now: Time) -> Verdict {
        let lost = match &self.partition {
            Partition::Custom(_) => return self.custom,
            Partition::DynamicQuorum { threshold_time, .. } => self.memory.lost(now, *threshold_time),
            _ => 0,
        };
        #[cfg(feature = "sabotage")]
        if self.halved && self.needed().is_some_and(|needed| self.connected >= needed) {
            return Verdict::Held;
        }
        verdict(&self.partition, Count { connected: self.connected, lost, size: self.size() })
    }

    /// Whether this node may serve.
    pub(crate) fn may_serve(&self, now: Time) -> bool {
        let enough = self.needed().is_some_and(|needed| self.connected >= needed);
        // Whoever has met enough members and lost them does not begin, even if no lease has been granted yet.
        let begins = !self.seen && (enough || !self.met);
        let fresh = matches!(self.partition, Partition::StaticQuorum { startup_confirm: false, .. }) && begins;
        fresh
            || self.lease.is_released()
            || (self.verdict(now) == Verdict::Held
                && (!self.is_leased() || (self.standing == Standing::Counted && self.lease.is_held(now))))
    }

    /// Whether a name may be a member, when so many new ones become members beside it.
    pub(crate) fn has_room_for(&self, name: &NodeId, beside: usize) -> bool {
        if self.memory.names().contains(name) {
            return true;
        }
        match self.most_names() {
            None => true,
            Some(most) if self.memory.names().len() + beside < most => true,
            // The cluster grows only where it is known to be whole enough.
            Some(_) => matches!(self.partition, Partition::MajorityQuorum { track_max_size: true, .. }) && !self.locked,
        }
    }

    fn most_names(&self) -> Option<usize> {
        most_names(&self.partition, self.memory.known().size).map(|most| most as usize)
    }

    /// The most names whose memory is taken over from others.
    pub(crate) fn names_to_learn(&self) -> usize {
        match &self.partition {
            Partition::MajorityQuorum { track_max_size: true, .. } => crate::config::limits::MEMBERS,
            _ => self.most_names().unwrap_or(crate::config::limits::MEMBERS),
        }
    }

    /// The view has so many members that count.
    pub(crate) fn count(&mut self, connected: u32) {
        self.connected = connected;
        self.met |= self.needed().is_some_and(|needed| connected >= needed);
    }

    /// A member has entered the view.
    pub(crate) fn admit(&mut self, name: &NodeId) {
        self.memory.admit(name);
        if matches!(self.partition, Partition::MajorityQuorum { track_max_size: true, .. }) {
            self.memory.grow(u32::try_from(self.memory.names().len()).unwrap_or(u32::MAX));
        }
    }

    /// Whether a node that has waited may count again: enough who count have answered it, or all there are have waited.
    /// `None` while neither is the case; the second way begins a new lineage of tokens.
    pub(crate) fn recovers(&self) -> Option<Recovery> {
        let count = |standing| self.lease.answers().values().filter(|answer| answer.standing == standing).count();
        let (counted, waited) = (count(Standing::Counted), count(Standing::Waited));
        if counted >= self.needed()? as usize {
            return Some(Recovery::Told);
        }
        if self.absolved {
            return Some(Recovery::AllThere);
        }
        (counted + waited + 1 >= self.most_names()?).then_some(Recovery::AllThere)
    }

    /// Whether this node asks for leases, or reads what it has forgotten, given whether it takes part in the hub.
    pub(crate) fn asks(&self, takes_part: bool) -> bool {
        let may_ask = match self.standing {
            Standing::Counted => takes_part,
            Standing::Waited => true,
            Standing::Waiting => false,
        };
        may_ask && self.needed().is_some() && !self.lease.is_released()
    }

    /// When something is to be done for the quorum.
    pub(crate) fn deadline(&self, takes_part: bool) -> Option<Time> {
        let waits = (self.standing == Standing::Waiting).then_some(self.waits_until);
        let ages = match &self.partition {
            Partition::DynamicQuorum { threshold_time, .. } => self.memory.ages_at(*threshold_time),
            _ => None,
        };
        let lease = self.needed().and_then(|_| self.lease.deadline(self.asks(takes_part)));
        [waits, ages, lease, self.mark_at].into_iter().flatten().min()
    }
}

/// How a restarted node came to count again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// A quorum of those who count has told it what it had forgotten.
    Told,
    /// All names there can be are there, and none of them can have granted anything that still lasts; what tokens were
    /// handed out nobody may know.
    AllThere,
}
