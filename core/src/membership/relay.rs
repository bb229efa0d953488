//! The way to a member whose link is cut: through another, tried in turn.

use core::time::Duration;

use super::{Membership, Route};
use crate::hashing::stable_hash;
use crate::id::Member;
use crate::time::Time;

/// How long one that could not pass something on is not asked again.
const DEAD_END: Duration = Duration::from_secs(1);

impl Membership {
    /// How a message reaches `to`. The relay chosen for a member changes only when links do, or on a failure.
    pub(crate) fn route(&self, to: &Member) -> Route {
        if self.names.has_link(to) {
            return Route::Direct;
        }
        let Some(target) = self.names.get(&to.node).filter(|name| name.up == Some(to.boot)) else {
            return Route::Nowhere;
        };
        let open = |failed: &Time| self.now.since(*failed) >= DEAD_END;
        let relays = self.names.linked().filter(|(node, name)| {
            name.link.as_ref().map(|link| link.boot) == name.up && target.dead_ends.get(*node).is_none_or(open)
        });
        // A different order for each pair spreads the load; the same one every time keeps a stream on one path.
        let mut pair = [0; 24];
        pair[..8].copy_from_slice(&stable_hash(self.me.node.as_str().as_bytes()).to_le_bytes());
        pair[8..16].copy_from_slice(&target.hash.to_le_bytes());
        // One that never failed comes first, then the one whose failure is longest ago: what is given to a dead end is
        // lost, and whoever speaks seldom would otherwise lose everything to the same one.
        let relay = relays.min_by_key(|(node, name)| {
            pair[16..].copy_from_slice(&name.hash.to_le_bytes());
            (target.dead_ends.get(*node).copied(), stable_hash(&pair))
        });
        relay.map_or(Route::Nowhere, |(_, name)| Route::Via(name.id.member()))
    }

    /// `via` says that it has no link to `to` either.
    pub(crate) fn relay_failed(&mut self, now: Time, via: &Member, to: &Member) {
        self.it_is(now);
        if self.names.get(&via.node).is_none() {
            return;
        }
        if let Some(target) = self.names.get_mut(&to.node) {
            target.dead_ends.insert(via.node.clone(), self.now);
        }
    }
}
