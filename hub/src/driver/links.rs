//! The open links of this node, at most one a name, and which of two stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use process_hub_core::id::{Member, NodeId};
use process_hub_core::{Lane, Message};

use crate::session::LinkId;
use crate::session::outbox::{Outbox, Pushed};

/// The links by the name at their other end.
#[derive(Debug)]
pub(crate) struct Links {
    local: NodeId,
    open: BTreeMap<NodeId, Link>,
    // Links that were sent on and whose writers do not know yet.
    unflushed: Vec<NodeId>,
    // Links that are no longer used and still have to be written out.
    closing: Vec<LinkId>,
}

#[derive(Debug)]
struct Link {
    id: LinkId,
    member: Member,
    ours: bool,
    outbox: Arc<Outbox>,
    unflushed: bool,
}

impl Links {
    pub(crate) fn new(local: NodeId) -> Self {
        Self { local, open: BTreeMap::new(), unflushed: Vec::new(), closing: Vec::new() }
    }

    /// Whether a new link to `member` is to be kept; an older one it replaces is closed. `ours` says who opened it.
    ///
    /// Both ends must come to the same answer. Who opened a link asks this first; the other end hears of a link that
    /// was kept by its first frame, and asks only then. So of two links that one side opened, that side's choice
    /// counts; of two that both opened, the smaller name's stays.
    pub(crate) fn offer(&mut self, id: LinkId, member: &Member, ours: bool, outbox: &Arc<Outbox>) -> bool {
        if let Some(old) = self.open.get(&member.node) {
            let stays = match old.member.boot.cmp(&member.boot) {
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Greater => true,
                std::cmp::Ordering::Equal => match (old.ours, ours) {
                    (true, true) => true,
                    (false, false) => false,
                    (old_is_ours, _) => old_is_ours == (self.local < member.node),
                },
            };
            if stays {
                return false;
            }
            self.close(&member.node.clone());
        }
        let link = Link { id, member: member.clone(), ours, outbox: outbox.clone(), unflushed: false };
        self.open.insert(member.node.clone(), link);
        true
    }

    /// Whether `id` is the link to `member`.
    pub(crate) fn is_open(&self, id: LinkId, member: &Member) -> bool {
        self.open.get(&member.node).is_some_and(|link| link.id == id)
    }

    /// Puts a message on the link to `to`. What has come of it; `None` when there is no such link.
    pub(crate) fn send(&mut self, to: &Member, lane: Lane, message: Message) -> Option<Pushed> {
        let link = self.open.get_mut(&to.node).filter(|link| link.member.boot == to.boot)?;
        if !link.unflushed {
            link.unflushed = true;
            self.unflushed.push(to.node.clone());
        }
        Some(link.outbox.push(lane, message))
    }

    /// Wakes the writers of all links that were sent on.
    pub(crate) fn flush(&mut self) {
        for node in self.unflushed.drain(..) {
            if let Some(link) = self.open.get_mut(&node) {
                link.unflushed = false;
                link.outbox.flush();
            }
        }
    }

    /// Closes the link to `member` once what waits on it was written; whether there was one.
    pub(crate) fn hang_up(&mut self, member: &Member) -> bool {
        let open = self.open.get(&member.node).is_some_and(|link| link.member.boot == member.boot);
        if open {
            self.close(&member.node);
        }
        open
    }

    /// Takes note that a link has ended; whether it was in use.
    pub(crate) fn lost(&mut self, id: LinkId, member: &Member) -> bool {
        self.closing.retain(|closing| *closing != id);
        let open = self.is_open(id, member);
        if open {
            self.open.remove(&member.node);
        }
        open
    }

    /// Closes all links; each is told as lost when it was written out.
    pub(crate) fn close_all(&mut self) {
        for node in self.open.keys().cloned().collect::<Vec<_>>() {
            self.close(&node);
        }
    }

    /// Whether every link has ended.
    pub(crate) fn all_ended(&self) -> bool {
        self.open.is_empty() && self.closing.is_empty()
    }

    fn close(&mut self, node: &NodeId) {
        if let Some(link) = self.open.remove(node) {
            link.outbox.close();
            self.closing.push(link.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use process_hub_core::id::Boot;

    use super::*;

    fn member(name: &str, boot: u64) -> Member {
        Member { node: NodeId::new(name).unwrap(), boot: Boot(boot) }
    }

    /// Offers links (peer's name, its boot, opened by us) to node `m` and says which were kept.
    fn offered(links: &[(&str, u64, bool)]) -> Vec<bool> {
        let mut table = Links::new(NodeId::new("m").unwrap());
        let outbox = Arc::new(Outbox::new(1_024));
        let offer = |(at, (name, boot, ours)): (usize, &(&str, u64, bool))| {
            table.offer(LinkId(at as u64), &member(name, *boot), *ours, &outbox)
        };
        links.iter().enumerate().map(offer).collect()
    }

    #[test]
    fn of_two_links_the_one_that_the_smaller_name_opened_stays() {
        assert_eq!(offered(&[("z", 1, true), ("z", 1, false)]), [true, false], "ours came first, we are smaller");
        assert_eq!(offered(&[("z", 1, false), ("z", 1, true)]), [true, true], "ours came second, we are smaller");
        assert_eq!(offered(&[("a", 1, true), ("a", 1, false)]), [true, true], "theirs came second, they are smaller");
        assert_eq!(offered(&[("a", 1, false), ("a", 1, true)]), [true, false], "theirs came first, they are smaller");
    }

    #[test]
    fn of_two_links_that_one_side_opened_that_side_chooses() {
        assert_eq!(offered(&[("z", 1, true), ("z", 1, true)]), [true, false]);
        assert_eq!(offered(&[("z", 1, false), ("z", 1, false)]), [true, true]);
    }

    #[test]
    fn a_newer_life_replaces_an_older_one_and_never_the_other_way_round() {
        assert_eq!(offered(&[("z", 1, true), ("z", 2, false), ("z", 1, true)]), [true, true, false]);
    }
}
