//! What is known of each other name. Bounded: where there is no room, what was down longest is forgotten first.

use alloc::collections::BTreeMap;
use core::time::Duration;

use super::identity::Id;
use crate::config::limits;
use crate::hashing::stable_hash;
use crate::id::{Boot, Member, NodeId};
use crate::time::Time;

/// An open link.
#[derive(Debug)]
pub(super) struct Link {
    /// The life at the other end.
    pub(super) boot: Boot,
    pub(super) since: Time,
    /// When something last arrived.
    pub(super) heard: Time,
    /// When membership last sent something.
    pub(super) sent: Time,
}

/// What is known of a name.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) id: Id,
    /// The life that is up.
    pub(super) up: Option<Boot>,
    /// Since when it is up, or not.
    since: Time,
    pub(super) link: Option<Link>,
    /// Whether it ever had a link.
    met: bool,
    /// When its host last refused us.
    pub(super) refused: Option<Time>,
    /// Whom it refused, and when, since it last had a link to us.
    pub(super) reports: BTreeMap<NodeId, Time>,
    /// Whether the loss of its link has led to suspicion already, or there was none to lose.
    pub(super) suspected: bool,
    /// Who last probed it for us with success, and when.
    pub(super) vouched: Option<(NodeId, Time)>,
    /// Whether the last call for it is out.
    pub(super) called: bool,
    /// When its death was last contested.
    pub(super) contested: Option<Time>,
    /// Who could not pass something on to it, and when.
    pub(super) dead_ends: BTreeMap<NodeId, Time>,
    pub(super) hash: u64,
}

impl Name {
    fn new(id: Id, now: Time) -> Self {
        Self {
            hash: stable_hash(id.node.as_str().as_bytes()),
            id,
            up: None,
            since: now,
            link: None,
            met: false,
            refused: None,
            reports: BTreeMap::new(),
            suspected: true,
            vouched: None,
            called: false,
            contested: None,
            dead_ends: BTreeMap::new(),
        }
    }

    pub(super) fn rose(&mut self, boot: Boot, now: Time) {
        self.up = Some(boot);
        self.since = now;
    }

    pub(super) fn fell(&mut self, now: Time) {
        self.up = None;
        self.since = now;
        self.refused = None;
        self.reports.clear();
    }

    pub(super) fn linked(&mut self, boot: Boot, now: Time) {
        self.link = Some(Link { boot, since: now, heard: now, sent: now });
        self.met = true;
        self.refused = None;
        self.suspected = false;
        self.reports.clear();
        self.dead_ends.clear();
    }
}

/// All names but one's own.
#[derive(Debug)]
pub(super) struct Names {
    names: BTreeMap<NodeId, Name>,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { names: BTreeMap::new() }
    }

    pub(super) fn get(&self, node: &NodeId) -> Option<&Name> {
        self.names.get(node)
    }

    pub(super) fn get_str(&self, node: &str) -> Option<&Name> {
        self.names.get(node)
    }

    pub(super) fn get_mut(&mut self, node: &NodeId) -> Option<&mut Name> {
        self.names.get_mut(node)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&NodeId, &Name)> {
        self.names.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&NodeId, &mut Name)> {
        self.names.iter_mut()
    }

    pub(super) fn linked(&self) -> impl Iterator<Item = (&NodeId, &Name)> {
        self.names.iter().filter(|(_, name)| name.link.is_some())
    }

    pub(super) fn has_link(&self, member: &Member) -> bool {
        self.names.get(&member.node).and_then(|name| name.link.as_ref()).is_some_and(|link| link.boot == member.boot)
    }

    /// Notes that `by` has just heard from this life of `node`.
    pub(super) fn vouch(&mut self, node: &str, boot: Boot, by: &NodeId, now: Time) {
        if let Some(name) = self.names.get_mut(node).filter(|name| name.id.boot == boot) {
            name.vouched = Some((by.clone(), now));
        }
    }

    /// Notes that something is sent; says whether there is a link to send it on.
    pub(super) fn sent(&mut self, node: &NodeId, boot: Boot, now: Time) -> bool {
        match self.names.get_mut(node).and_then(|name| name.link.as_mut()) {
            Some(link) if link.boot == boot => {
                link.sent = now;
                true
            }
            _ => false,
        }
    }

    /// Whether there is room for one more, itself counted.
    pub(super) fn has_room(&self) -> bool {
        self.names.len() + 1 < limits::MEMBERS
    }

    /// The name to forget first: one never met before one that was, then the one that was down longest.
    pub(super) fn dispensable(&self) -> Option<NodeId> {
        let idle = self.names.iter().filter(|(_, name)| name.up.is_none() && name.link.is_none());
        idle.min_by_key(|(_, name)| (name.met, name.since)).map(|(node, _)| node.clone())
    }

    pub(super) fn forget(&mut self, node: &NodeId) {
        self.names.remove(node);
    }

    /// Takes a name in, as down. It must be a new one.
    pub(super) fn learn(&mut self, id: Id, now: Time) {
        self.names.insert(id.node.clone(), Name::new(id, now));
    }

    /// Its identity is another now.
    pub(super) fn rename(&mut self, id: &Id) -> Option<&mut Name> {
        let name = self.names.get_mut(&id.node)?;
        name.id = id.clone();
        Some(name)
    }

    /// `span` is not to count.
    pub(super) fn shift(&mut self, span: Duration) {
        for name in self.names.values_mut() {
            if let Some(link) = &mut name.link {
                link.since += span;
                link.heard += span;
            }
        }
    }
}
