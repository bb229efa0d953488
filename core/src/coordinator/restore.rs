//! What is declared, saved and restored: see [`crate::saved`].

use alloc::vec::Vec;

use super::Step;
use super::pull::{LAST_BOOT, LISTING_BYTES, Listing};
use crate::config::limits;
use crate::hub::Hub;
use crate::id::Member;
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
        Saving { context, next: Some(0) }
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
            by: Member { node: self.me.node.clone(), boot: self.mints },
            token: self.token,
            range: (from, listing.to),
            context: saving.context.clone(),
            origins: table.into_members(),
            entries,
            assigns,
        })
    }

    /// One number over all that would be saved, tokens aside.
    #[must_use]
    pub fn saved_print(&self) -> u64 {
        self.registry.root() ^ self.registry.context().print() ^ self.lives.print()
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
        if part.by.node == self.me.node && part.by.boot >= self.me.boot && part.by.boot < LAST_BOOT {
            // Its clock was set back.
            self.outlived = self.outlived.max(Some(part.by.boot));
        }
        if from == 0 {
            self.token = self.token.max(part.token.saturating_add(TOKENS).min(1 << 62));
            self.lives_told(&self.me.node.clone(), &part.context.names);
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
