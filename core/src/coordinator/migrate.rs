//! How a child gets from a node that does not own it to one that does: who begins, and who stands aside.

use super::Step;
use crate::config::{Migration, Partition, Redundancy, Way};
use crate::effect::StopReason;
use crate::hashing::Subject;
use crate::hub::Hub;
use crate::id::NodeId;
use crate::message::RowState;
use crate::migration::{Room, Target};
use crate::registry::{Key, Record, Row};

/// As what a copy may be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// It serves when it is up.
    Serving,
    /// It serves when its predecessor does not any more.
    StandingBy,
}

impl Hub {
    /// How a child moves.
    pub(super) fn way(&self, key: &Key) -> Way {
        self.way_of(|| self.registry.record(key))
    }

    pub(super) fn way_of<'a>(&self, record: impl FnOnce() -> Option<&'a Record>) -> Way {
        let mut way = self.config.migration.way(|| record()?.winner().map(|start| &*start.spec));
        // A way of one's own cannot be checked when the hub is opened.
        way.hands_over &= self.config.redundancy == Redundancy::Singularity;
        way
    }

    /// Whether the state of a copy that lost is given to the winner.
    fn merges(&self, way: &Way) -> bool {
        way.hands_over && self.config.partition == Partition::Divergence
    }

    /// As what this node, an owner, may start its copy of a child beside the claims of others, if it may.
    pub(super) fn entry(&self, record: &Record, subject: &Subject<'_>) -> Option<Entry> {
        #[cfg(feature = "sabotage")]
        if self.is_sabotaged(crate::config::Sabotage::IgnoreClaims) {
            return Some(Entry::Serving);
        }
        if self.config.migration == Migration::Autonomous || self.has_room(record, subject) {
            return Some(Entry::Serving);
        }
        let Way { hot, hands_over, .. } = self.way_of(|| Some(record));
        if !(hot || hands_over) || !self.view.is_complete() || self.view.copies() != 1 {
            return None;
        }
        let first = self.first_claim(record)?;
        // Of whatever else there is only the state is left.
        if record.theirs(&self.registry).any(|row| row.host != first.host && row.state != RowState::Kept) {
            return None;
        }
        match first.state {
            RowState::Kept if hands_over => Some(Entry::StandingBy),
            RowState::Running if !hot || self.rests(first) => None,
            RowState::Running if hands_over => Some(Entry::StandingBy),
            RowState::Running => Some(Entry::Serving),
            _ => None,
        }
    }

    /// Whether another's copy stays where it is because rebalancing is paused. One on a node that drains or leaves does not.
    pub(super) fn rests(&self, row: &Row) -> bool {
        let seat = self.view.members().get(self.registry.node_of(row));
        self.is_paused() && seat.is_some_and(crate::view::Seat::owns)
    }

    /// Of the claims of others the one that goes before them all: its copy is the one to succeed.
    fn first_claim<'a>(&'a self, record: &'a Record) -> Option<&'a Row> {
        record.theirs(&self.registry).max_by_key(|row| (row.state != RowState::Standby, self.registry.token(row)))
    }

    /// The claim of the one owner of a child, where that is another node. A copy of another start of that name is none.
    fn owners_row<'a>(&'a self, record: &'a Record, key: &Key) -> Option<&'a Row> {
        let (owner, winner) = (self.view.owner(&record.subject(key)?)?, record.winner()?.dot);
        record.theirs(&self.registry).find(|row| self.registry.node_of(row) == owner && row.dot() == winner)
    }

    pub(super) fn target(&self, row: &Row) -> Target {
        (self.registry.host(row.host).member.clone(), row.sequence)
    }

    /// The owner's copy that stands by for this node's.
    pub(super) fn successor_standing_by(&self, key: &Key, sequence: u64) -> Option<Target> {
        let record = self.registry.record(key)?;
        let same_start = |row: &&Row| record.mine().is_some_and(|mine| mine.dot() == row.dot());
        let row = self.owners_row(record, key).filter(|row| row.state == RowState::Standby).filter(same_start)?;
        let target = self.target(row);
        (!self.migrations.is_burned(sequence, &target)).then_some(target)
    }

    /// The owner's copy that serves while this node has one, too, or what is left of one.
    pub(super) fn winner_serving(&self, key: &Key) -> Option<Target> {
        let record = self.registry.record(key)?;
        let row = self.owners_row(record, key).filter(|row| row.state == RowState::Running)?;
        Some(self.target(row))
    }

    /// Where a child of this node goes: its first owner that has no copy yet, or else its first owner.
    pub(super) fn successor(&self, key: &Key) -> Option<NodeId> {
        if let Some(heir) = self.heir(key) {
            return Some(heir.clone());
        }
        let record = self.registry.record(key)?;
        self.view.owner(&record.subject(key)?).filter(|node| **node != self.me.node).cloned()
    }

    /// Whether another copy goes before this node's, which does not own the child: the owner's if it serves; else, of
    /// two, the one with the higher token. A copy of a declaration that has lost to another one goes before none.
    pub(super) fn loses(&self, key: &Key) -> bool {
        let Some(record) = self.registry.record(key) else { return false };
        let Some(mine) = record.mine().map(|row| self.registry.token(row)) else { return false };
        let owner = record.subject(key).and_then(|subject| self.view.owner(&subject));
        let winner = record.winner().map(|start| start.dot);
        record.theirs(&self.registry).filter(|row| Some(row.dot()) == winner).any(|row| match row.state {
            RowState::Running => Some(self.registry.node_of(row)) == owner || self.registry.token(row) > mine,
            RowState::Kept => self.registry.token(row) > mine,
            RowState::Starting | RowState::Stopping | RowState::Standby => false,
        })
    }

    /// A running copy of this node belongs elsewhere, and nothing was done about it yet.
    pub(super) fn move_away(&mut self, step: &mut Step<'_>, key: &Key) {
        #[cfg(feature = "sabotage")]
        if self.is_sabotaged(crate::config::Sabotage::NeverYield) {
            return;
        }
        let Some(record) = self.registry.record(key) else { return };
        let Some((sequence, state)) = record.mine().map(|row| (row.sequence, row.state)) else { return };
        let why = self.why_not_here(key);
        let way = self.way_of(|| Some(record));
        if state != RowState::Running || why == StopReason::Leaving || !(way.hot || way.hands_over) {
            if (state, why) == (RowState::Running, StopReason::Moved) && self.config.migration != Migration::Autonomous
            {
                if !self.has_room_to(Room::Leave) {
                    return self.migrations.wait(Room::Leave, key);
                }
                self.migrations.leaves(key, step.now + 2 * self.config.stop_timeout);
            }
            return self.stop_instance(step, key, sequence, why);
        }
        if !way.hands_over {
            // The new copies serve before the old one ends.
            if self.all_owners_serve(key) {
                self.stop_instance(step, key, sequence, StopReason::Moved);
            } else if self.view.copies() == 1 && self.loses(key) {
                self.stop_instance(step, key, sequence, StopReason::Superseded);
            }
            return;
        }
        let loses = self.loses(key);
        if loses && !self.merges(&way) {
            return self.stop_instance(step, key, sequence, StopReason::Superseded);
        }
        if loses || !way.hot || self.successor_standing_by(key, sequence).is_some() {
            self.freeze(step, key, sequence);
        }
    }

    fn all_owners_serve(&self, key: &Key) -> bool {
        let Some(record) = self.registry.record(key) else { return true };
        let owners = record.subject(key).map(|subject| self.view.owners(&subject)).unwrap_or_default();
        let winner = record.winner().map(|start| start.dot);
        let serves = |node: &&NodeId| {
            // A copy of a declaration that has lost to another is about to end.
            let running = |row: &&Row| row.state == RowState::Running && Some(row.dot()) == winner;
            record.theirs(&self.registry).filter(running).any(|row| self.registry.node_of(row) == *node)
        };
        owners.iter().all(serves)
    }

    /// The state of this node's copy waits for whoever is to have it: what is to be done about that.
    pub(super) fn bequeath(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64) {
        if !self.view.is_complete() {
            return;
        }
        if !self.loses(key) {
            if let Some(to) = self.successor_standing_by(key, sequence) {
                self.send_state(step, sequence, to, crate::message::StateUse::Handover);
            }
        } else if !self.merges(&self.way(key)) {
            self.drop_kept(step, key, sequence);
        } else if let Some(to) = self.winner_serving(key)
            && let Some(token) = self.registry.record(key).and_then(Record::mine).map(|row| self.registry.token(row))
        {
            self.send_state(step, sequence, to, crate::message::StateUse::Merge { token });
        }
    }

    /// Goes on with children that have waited for room.
    pub(super) fn go_on_migrating(&mut self, step: &mut Step<'_>) {
        if self.migrations.has_waiting_for(Room::Leave) {
            self.migrations.give_up_waiting(step.now);
        }
        for room in Room::ALL {
            if self.migrations.has_waiting_for(room) && self.has_room_to(room) {
                // Whoever finds no room after all waits again.
                for key in self.migrations.take_waiting(room, 16) {
                    self.reconcile(step, &key);
                }
            }
        }
    }

    /// Whether one more child may move, as far as that goes.
    pub(super) fn has_room_to(&self, room: Room) -> bool {
        let most = self.config.concurrent_moves as usize;
        match room {
            Room::Take => self.migrations.may_take_one(most),
            Room::StandBy => self.migrations.may_stand_by(most),
            Room::Start => self.supervisor.starting_len() < most,
            Room::Leave => self.migrations.may_leave(most),
        }
    }

    /// Whether children wait for room that there is.
    pub(super) fn has_moves_to_begin(&self) -> bool {
        Room::ALL.into_iter().any(|room| self.migrations.has_waiting_for(room) && self.has_room_to(room))
    }

    /// Whether a copy that would serve beside the one that moves, without being given its state, has to wait for room.
    pub(super) fn is_one_move_too_many(&self, record: &Record, subject: &Subject<'_>) -> bool {
        if self.has_room_to(Room::Start) || self.config.migration == Migration::Autonomous {
            return false;
        }
        let owners = self.view.owners(subject);
        let moves = |row: &Row| row.state == RowState::Running && !owners.contains(&self.registry.node_of(row));
        record.theirs(&self.registry).any(moves)
    }
}
