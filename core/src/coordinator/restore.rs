//! What is declared, saved and restored: see [`crate::saved`].

use alloc::vec::Vec;

use super::Step;
use super::pull::{LISTING_BYTES, Listing};
use crate::config::limits;
use crate::hub::Hub;
use crate::id::{Boot, Member};
use crate::outbox::Table;
use crate::registry::Context;
use crate::saved::{RestoreError, SavedPart, Saving};

/// Tokens that may have been handed out after the last saving.
const TOKENS: u64 = 1 << 20;

impl Hub {
    /// Begins to save what is declared. Nothing changes.
    #[must_use]
    pub fn begin_saving(&self) -> Saving {
        let mut context = self.wire_context();
        context.names = self.lives.told();
        let by = Member { node: self.me.node.clone(), boot: self.mints };
        Saving { by, context, next: Some(0) }
    }

    /// The next part, of some 200 KiB; `None` after the last. Between two parts the hub may go on as it likes. Nothing changes.
    pub fn save_part(&self, saving: &mut Saving) -> Option<SavedPart> {
        let from = saving.next?;
        let listing = self.registry.listing(from, u64::MAX, &Context::default(), LISTING_BYTES, limits::BATCH / 2);
        saving.next = listing.to.checked_add(1);
        let mut table = Table::default();
        let entries = listing.unseen.into_iter().map(|start| table.entry(&self.registry, start)).collect();
        let assigns = listing.assigned.into_iter().map(|assigned| table.assign(&self.registry, assigned)).collect();
        Some(SavedPart {
            hub: self.config.id.clone(),
            by: saving.by.clone(),
            token: self.token,
            lineage: self.quorum.memory.known().lineage,
            range: (from, listing.to),
            context: saving.context.clone(),
            origins: table.into_members(),
            entries,
            assigns,
        })
    }

    /// One number over all that would be saved, single tokens aside.
    #[must_use]
    pub fn saved_print(&self) -> u64 {
        let lineage = u64::from(self.quorum.memory.known().lineage).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.registry.root() ^ self.registry.context().print() ^ self.lives.print() ^ lineage
    }

    pub(super) fn restore(&mut self, step: &mut Step<'_>, part: SavedPart) -> Result<(), RestoreError> {
        if part.hub != self.config.id {
            return Err(RestoreError::OtherHub { hub: self.config.id.clone(), of: part.hub });
        }
        let (from, to) = part.range;
        if from > to || (from != 0 && from != self.restored_to) {
            return Err(RestoreError::OutOfOrder { begins: from, expected: self.restored_to });
        }
        self.restored_to = to.wrapping_add(1);
        // The boots that this name went by: where one is not below, its clock was set back. It may have been raised above the one
        // that it minted with.
        let went_by = part.context.names.iter().map(|life| &life.member).chain([&part.by]);
        let earlier = went_by.filter(|by| by.node == self.me.node && by.boot <= Boot::MAX).map(|by| by.boot).max();
        self.outlived = self.outlived.max(earlier.filter(|boot| *boot >= self.me.boot));
        if from == 0 {
            self.token = self.token.max(part.token.saturating_add(TOKENS).min(1 << 62));
            self.quorum.memory.continue_lineage(part.lineage);
            self.lives_told(&self.me.node.clone(), &part.context.names);
        }
        if !part.entries.is_empty() {
            self.grace = Some(step.now + self.config.recovery_grace);
        }
        let last = part.is_last();
        let SavedPart { context, origins, entries, assigns, .. } = part;
        let listing = Listing { range: (from, to), context, origins, dots: Vec::new(), entries, assigns };
        self.take_listing(step, from, to, &listing);
        if last {
            let seen = self.context(&listing.context);
            self.registry.join_context(&seen);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;

    use super::*;
    use crate::config::HubConfig;
    use crate::effect::{Effect, Effects};
    use crate::hub::HubInput;
    use crate::id::{Boot, ChildId, HubId, Kind, NodeId, RequestId};
    use crate::request::{Reply, Request, StartOptions};
    use crate::spec::ChildSpec;
    use crate::time::Time;

    fn hub(name: &str, boot: u64) -> Hub {
        let me = Member { node: NodeId::new("n1").unwrap(), boot: Boot(boot) };
        Hub::new(HubConfig::new(HubId::new(name).unwrap()), me, true, Time::ZERO).unwrap()
    }

    fn ask(hub: &mut Hub, request: Request) -> Option<Reply> {
        let mut effects = Effects::new();
        hub.handle(Time::from_millis(1), HubInput::Request { id: RequestId(1), request }, &mut effects);
        effects.into_iter().find_map(|effect| match effect {
            Effect::Reply { reply, .. } => Some(reply),
            _ => None,
        })
    }

    fn restore(hub: &mut Hub, part: &SavedPart) -> Result<(), RestoreError> {
        let request = Request::Restore { hub: hub.config().id.clone(), part: Box::new(part.clone()) };
        match ask(hub, request) {
            Some(Reply::Restored(restored)) => restored,
            other => panic!("{other:?}"),
        }
    }

    /// What a hub with one child saves, through its bytes.
    fn saved() -> SavedPart {
        let mut hub = hub("demo", 7);
        let spec = ChildSpec::new(ChildId::new("c").unwrap(), Kind::new("k").unwrap(), Vec::new());
        let options = StartOptions { wait: false, ..StartOptions::default() };
        let id = hub.config().id.clone();
        ask(&mut hub, Request::Start { hub: id, children: Vec::from([spec]), options });
        let mut saving = hub.begin_saving();
        let part = hub.save_part(&mut saving).unwrap();
        assert!(part.is_last() && hub.save_part(&mut saving).is_none());
        let mut bytes = Vec::new();
        part.encode(&mut bytes).unwrap();
        assert_eq!(SavedPart::decode(&bytes), Ok(part.clone()));
        for cut in 0..bytes.len() {
            assert!(SavedPart::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        bytes.push(0);
        assert!(SavedPart::decode(&bytes).is_err());
        part
    }

    #[test]
    fn what_was_saved_is_restored_as_often_as_anybody_likes() {
        let part = saved();
        let mut later = hub("demo", 9);
        assert_eq!(restore(&mut later, &part), Ok(()));
        let print = later.saved_print();
        assert_eq!((later.registry().len(), restore(&mut later, &part)), (1, Ok(())));
        assert_eq!((later.registry().len(), later.saved_print()), (1, print));
    }

    #[test]
    fn what_cannot_be_restored_is_refused_and_changes_nothing() {
        let part = saved();
        let mut other = hub("other", 9);
        assert!(matches!(restore(&mut other, &part), Err(RestoreError::OtherHub { .. })));
        let mut later = hub("demo", 9);
        for range in [(5, u64::MAX), (9, 8), (u64::MAX, 0)] {
            let refused = restore(&mut later, &SavedPart { range, ..part.clone() });
            assert!(matches!(refused, Err(RestoreError::OutOfOrder { .. })), "{range:?}: {refused:?}");
        }
        assert_eq!((other.registry().len(), later.registry().len()), (0, 0));
        // A boot that is none has no effect, and the starts are taken all the same.
        let by = Member { boot: Boot(u64::MAX), ..part.by.clone() };
        assert_eq!(restore(&mut later, &SavedPart { by, ..part }), Ok(()));
        assert_eq!((later.registry().len(), later.outlived), (1, None));
    }

    /// The hub goes on between two parts: what is stopped then is not restored, what is started is in a later part or unknown,
    /// and who saves stays the same although it mints anew.
    #[test]
    fn what_changes_between_two_parts_is_as_it_was_or_as_it_is() {
        let mut hub = hub("demo", 7);
        let id = hub.config().id.clone();
        let start = |hub: &mut Hub, name: &str| {
            let spec = ChildSpec::new(ChildId::new(name).unwrap(), Kind::new("k").unwrap(), alloc::vec![1; 60 << 10]);
            let options = StartOptions { wait: false, ..StartOptions::default() };
            ask(hub, Request::Start { hub: id.clone(), children: Vec::from([spec]), options });
        };
        let before = ["a", "b", "c", "d", "e", "f", "g", "h"];
        before.iter().for_each(|name| start(&mut hub, name));
        let mut saving = hub.begin_saving();
        let mut parts = Vec::from([hub.save_part(&mut saving).unwrap()]);
        assert!(!parts[0].is_last());
        let ids = before.map(|name| ChildId::new(name).unwrap());
        let options = crate::request::StopOptions { wait: false, ..crate::request::StopOptions::default() };
        ask(&mut hub, Request::Stop { hub: id.clone(), ids: ids[..4].to_vec(), options });
        hub.mint_above(Boot(20));
        (0..4).for_each(|at| start(&mut hub, &alloc::format!("later{at}")));
        parts.extend(core::iter::from_fn(|| hub.save_part(&mut saving)));
        assert!(parts.windows(2).all(|pair| pair[1].follows(&pair[0])) && parts.last().unwrap().is_last());

        let mut later = self::hub("demo", 30);
        parts.iter().for_each(|part| restore(&mut later, part).unwrap());
        let restored: Vec<_> = later.registry().iter().map(|(id, _)| id.clone()).collect();
        let first: Vec<_> = parts[0].children().map(|spec| spec.id.clone()).collect();
        for (at, id) in ids.iter().enumerate() {
            assert_eq!(restored.contains(id), at >= 4 || first.contains(id), "{id}");
        }
        let others = restored.iter().filter(|id| !ids.contains(id)).count();
        let listed: usize =
            parts[1..].iter().flat_map(|part| part.children()).filter(|spec| !ids.contains(&spec.id)).count();
        assert_eq!(others, listed);
    }
}
