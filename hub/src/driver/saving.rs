//! What hubs have declared goes to a store, in parts, while the driver goes on with its work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use process_hub_core::id::HubId;
use process_hub_core::saved::{SavedPart, Saving};
use process_hub_core::{Hub, Node, Time};

use crate::runtime::AnyRuntime;
use crate::saved::{Outcome, Store};

/// A hub is saved no more often than this, and than four times as long as it takes.
const EVERY: Duration = Duration::from_secs(1);
/// How long a part that was handed back waits.
const AGAIN: Duration = Duration::from_millis(20);
/// The making of parts may take one part in so many of the driver's time.
const SHARE: u32 = 5;

/// Saves the hubs of one node.
pub(super) struct Saver {
    store: Store,
    hubs: BTreeMap<HubId, Kept>,
    /// Hubs of which not all was restored: what is left of it is not to be replaced.
    spoiled: BTreeSet<HubId>,
}

#[derive(Default)]
struct Kept {
    /// What was saved last, by its print.
    print: Option<u64>,
    under_way: Option<UnderWay>,
    /// When it is to be looked at.
    due: Time,
}

struct UnderWay {
    print: u64,
    saving: Saving,
    began: Time,
    /// A part that there was no room for.
    waits: Option<Box<SavedPart>>,
}

/// What has become of a part.
enum Given {
    Taken,
    NoRoom,
    /// There was none left.
    All,
}

impl Saver {
    pub(super) fn new(store: Store) -> Self {
        Self { store, hubs: BTreeMap::new(), spoiled: BTreeSet::new() }
    }

    /// What an earlier life has saved of a hub.
    pub(super) fn load(&self, hub: &HubId) -> Vec<SavedPart> {
        self.store.0.load(hub)
    }

    /// What was saved of it could not be restored in whole.
    pub(super) fn spoil(&mut self, hub: HubId) {
        self.spoiled.insert(hub);
    }

    /// All that was saved is restored: from here on this hub is saved. False if it could not be restored.
    pub(super) fn open(&mut self, hub: HubId) -> bool {
        let whole = !self.spoiled.contains(&hub);
        if whole {
            self.hubs.entry(hub).or_default();
        }
        whole
    }

    /// When there is something to do.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.hubs.values().map(|kept| kept.due).min()
    }

    /// Does what is due: at most one part a hub.
    pub(super) fn go_on(&mut self, node: &Node, runtime: &AnyRuntime) {
        let now = runtime.now();
        if self.next_due().is_none_or(|due| due > now) {
            return;
        }
        self.hubs.retain(|id, _| node.hub(id).is_some());
        for (id, kept) in self.hubs.iter_mut().filter(|(_, kept)| kept.due <= now) {
            let Some(hub) = node.hub(id) else { continue };
            kept.due = match kept.begin(hub, &self.store, now) {
                false => now + EVERY,
                true => match kept.give(hub, &self.store) {
                    Given::NoRoom => now + AGAIN,
                    Given::Taken => now + runtime.now().since(now) * SHARE,
                    Given::All => now + EVERY.max(kept.end(now) * 4),
                },
            };
        }
    }

    /// Saves what has changed since it was saved last, as the node ends, and waits for all of it to be written; until then,
    /// and no longer.
    pub(super) async fn finish(mut self, node: &Node, runtime: &AnyRuntime, until: Time) {
        for (id, kept) in &mut self.hubs {
            let Some(hub) = node.hub(id) else { continue };
            while !kept.is_kept(hub, &self.store, runtime.now()) {
                if runtime.now() >= until {
                    tracing::error!(hub = %id, "the last changes are not saved, for the disk is too slow, full or lost: if all nodes end now, they come back without these");
                    break;
                }
                runtime.sleep_until(runtime.now() + AGAIN).await;
            }
        }
    }
}

impl Kept {
    /// Whether it is being saved, which begins if anything has changed.
    fn begin(&mut self, hub: &Hub, store: &Store, now: Time) -> bool {
        if self.under_way.is_some() {
            return true;
        }
        // Only now: what is lost while it is given away is to be done again as a whole.
        if store.0.outcome(&hub.config().id) == Outcome::Lost {
            self.print = None;
        }
        let print = hub.saved_print();
        if self.print != Some(print) {
            self.under_way = Some(UnderWay { print, saving: hub.begin_saving(), began: now, waits: None });
        }
        self.under_way.is_some()
    }

    /// Gives the next part away.
    fn give(&mut self, hub: &Hub, store: &Store) -> Given {
        let Some(UnderWay { saving, waits, .. }) = &mut self.under_way else { return Given::All };
        let Some(part) = waits.take().or_else(|| hub.save_part(saving).map(Box::new)) else { return Given::All };
        match store.0.save(part) {
            Ok(()) => Given::Taken,
            Err(part) => {
                *waits = Some(part);
                Given::NoRoom
            }
        }
    }

    /// Gives away as much as there is room for. Whether all that it is now is given away and written.
    fn is_kept(&mut self, hub: &Hub, store: &Store, now: Time) -> bool {
        // What was begun is finished first: then it is known whether anything has changed since.
        for _ in 0..2 {
            if !self.begin(hub, store, now) {
                return store.0.outcome(&hub.config().id) == Outcome::Written;
            }
            loop {
                match self.give(hub, store) {
                    Given::Taken => {}
                    Given::NoRoom => return false,
                    Given::All => break,
                }
            }
            self.end(now);
        }
        false
    }

    /// All of it is given away. Returns how long that took.
    fn end(&mut self, now: Time) -> Duration {
        let Some(UnderWay { print, began, .. }) = self.under_way.take() else { return Duration::ZERO };
        self.print = Some(print);
        now.since(began)
    }
}
