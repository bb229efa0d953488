//! What should run here against what does: the one place where instances are started and told to end.

use alloc::sync::Arc;
use alloc::vec::Vec;

use smol_str::SmolStr;

use super::Step;
use super::migrate::Entry;
use crate::config::{Migration, limits};
use crate::effect::{Effect, StopReason};
use crate::hashing::Subject;
use crate::hook::{HookEvent, TopologyChange};
use crate::hub::Hub;
use crate::id::{ChildId, NodeId, Pid};
use crate::message::RowState;
use crate::migration::{Room, Taker};
use crate::quorum::tokens;
use crate::registry::{Dot, HostIx, Key, ME, Record, Row};
use crate::spec::ChildSpec;
use crate::work::{Job, Pass};

impl Hub {
    /// Looks at a bounded number of the children that wait to be looked at.
    pub(super) fn work_slice(&mut self, step: &mut Step<'_>) {
        // To install a view is as much work as a slice.
        if self.work.is_empty() || self.is_congested() || step.installed {
            return;
        }
        let mut left = limits::PASS;
        while left > 0 {
            let Some(pass) = self.work.next_pass() else { return };
            left = left.saturating_sub(match pass.job {
                Job::Reconcile => self.reconcile_pass(step, pass, left),
                Job::Sweep(host) => self.sweep_pass(step, pass, host, left),
            });
        }
    }

    fn reconcile_pass(&mut self, step: &mut Step<'_>, pass: Pass, most: usize) -> usize {
        let mine = |record: &crate::registry::Record| record.mine().is_some();
        let keys: Vec<(Key, bool)> = self
            .registry
            .range(&pass.from, pass.to)
            .take(most)
            .map(|(key, record)| {
                let owned = || record.subject(key).is_some_and(|subject| self.view.is_owner(&subject));
                let ours = mine(record)
                    || owned()
                    || self.awaits_winner(record)
                    || self.is_to_be_given(key)
                    || self.holds_in_vain(key, record);
                (key.clone(), ours)
            })
            .collect();
        let looked = keys.len();
        if looked == most
            && let Some((last, _)) = keys.last()
        {
            self.work.resume(pass, last.clone());
        }
        for (key, _) in keys.iter().filter(|(_, concerns_us)| *concerns_us) {
            self.reconcile(step, key);
            if self.config.redundancy.is_several() {
                self.recheck_start(step, key);
            }
        }
        looked.max(1)
    }

    /// Takes the rows of hosts that are gone out of a range.
    fn sweep_pass(&mut self, step: &mut Step<'_>, pass: Pass, host: HostIx, most: usize) -> usize {
        if self.registry.is_visible(host) || self.registry.rows_of(host) == 0 {
            self.work.swept(host);
            return 1;
        }
        // What its owner ran is looked at when the view is complete; what nobody expected there is looked at now.
        let view = &self.view;
        let unexpected = |key: &Key, record: &Record, node: &NodeId| {
            let look = |subject| view.is_owner(&subject) || !view.owned_before(&subject, node);
            record.subject(key).is_some_and(look)
        };
        let (rows, resume) = self.registry.sweep(&pass.from, pass.to, most, unexpected);
        let looked = if resume.is_some() { most } else { rows.len().max(1) };
        if let Some(key) = resume {
            self.work.resume(pass, key);
        }
        for (key, row, unexpected) in rows {
            // A member that is still here has left the row out of a newer listing.
            let confirmed = self.view.has(&self.registry.host(row.host).member);
            self.claim_gone(step, &key, &row, confirmed);
            if !confirmed && self.quorum.is_leased() {
                let subject = self.registry.record(&key).and_then(|record| record.subject(&key));
                if !subject.is_some_and(|subject| self.view.is_anothers(&subject)) {
                    self.view.leave_behind(&key);
                }
            }
            if unexpected {
                self.reconcile(step, &key);
            }
        }
        looked
    }

    /// Starts a child that should run here and does not, or ends one that does and should not.
    pub(super) fn reconcile(&mut self, step: &mut Step<'_>, key: &Key) {
        let Some(record) = self.registry.record(key) else { return };
        let winner = record.winner().map(|start| start.dot);
        if !self.view.is_complete() {
            // Whatever this comes to, it is looked at again once all agree on the members: its owner may be another
            // then although it is the one of the last complete view.
            self.work.wait(key);
        }
        if self.is_to_be_given(key) {
            if !self.has_heard_all_out() {
                return self.work.wait(key);
            }
            if self.give(step, key) {
                return;
            }
        }
        let Some(record) = self.registry.record(key) else { return };
        if self.holds_in_vain(key, record) {
            return self.let_go(step, key);
        }
        match (record.mine(), winner) {
            (None, None) => {}
            (None, Some(_)) => self.start_if_owner(step, key),
            #[cfg(feature = "sabotage")]
            (Some(_), None) if self.is_sabotaged(crate::config::Sabotage::NeverStop) => {}
            (Some(row), None) => {
                let sequence = row.sequence;
                self.stop_instance(step, key, sequence, StopReason::Stopped);
            }
            (Some(row), Some(winner)) if row.dot() != winner => {
                let (sequence, superseded) = (row.sequence, record.has(row.dot()));
                let why = if superseded { StopReason::Superseded } else { StopReason::Stopped };
                self.stop_instance(step, key, sequence, why);
            }
            (Some(row), Some(_)) if self.migrations.source(row.sequence).is_some() => {
                let sequence = row.sequence;
                self.follow(step, key, sequence);
            }
            (Some(_), Some(_)) if self.acts_at_once() && !self.owns(key) && self.stays(key) => self.work.wait(key),
            (Some(_), Some(_)) if self.acts_at_once() && !self.owns(key) => self.move_away(step, key),
            (Some(row), Some(_)) if self.migrations.stands_by(row.sequence) => {
                let sequence = row.sequence;
                self.stand_by(step, key, sequence);
            }
            (Some(_), Some(_)) => self.settle_role(step, key),
        }
    }

    /// Whether a copy that belongs elsewhere is ended now: once all agree on that, or where nobody is asked.
    fn acts_at_once(&self) -> bool {
        self.view.is_complete() || self.config.migration == Migration::Autonomous
    }

    /// A copy runs here that belongs elsewhere: it moves, or is one too many, or nobody is left to take it.
    pub(super) fn why_not_here(&self, key: &Key) -> StopReason {
        let Some(record) = self.registry.record(key) else { return StopReason::Leaving };
        let owners = record.subject(key).map(|subject| self.view.owners(&subject)).unwrap_or_default();
        match (owners.is_empty(), self.heir(key)) {
            (true, _) => StopReason::Leaving,
            (false, Some(_)) => StopReason::Moved,
            (false, None) => StopReason::Superseded,
        }
    }

    /// The first owner of a child that has no copy yet.
    pub(super) fn heir(&self, key: &Key) -> Option<&NodeId> {
        let record = self.registry.record(key)?;
        let owners = self.view.owners(&record.subject(key)?);
        let has = |node: &NodeId| record.theirs(&self.registry).any(|row| self.registry.node_of(row) == node);
        owners.into_iter().find(|node| !has(node))
    }

    /// What a doubted view has held up is not among what has moved when it is complete.
    pub(super) fn wait_if_doubted(&mut self, key: &Key) {
        if self.view.is_doubted() {
            self.work.wait(key);
        }
    }

    fn start_if_owner(&mut self, step: &mut Step<'_>, key: &Key) {
        let Some(record) = self.registry.record(key) else { return };
        let (Some(start), Some(subject)) = (record.winner(), record.subject(key)) else { return };
        if self.quorum.locked || !self.view.may_start(&subject) || self.supervisor.is_held(key) {
            return self.wait_if_doubted(key);
        }
        if !self.knows_all(key, record) || self.may_run_under_a_lease(key, record) {
            return self.work.wait(key);
        }
        if self.spares(key, record) {
            return self.pass_over(step, key);
        }
        let Some(entry) = self.entry(record, &subject) else { return };
        let (dot, spec) = (start.dot, start.spec.clone());
        let stands_by = entry == Entry::StandingBy;
        let (room, waits) = match entry {
            Entry::StandingBy => (Room::StandBy, !self.has_room_to(Room::StandBy)),
            Entry::Serving => (Room::Start, self.is_one_move_too_many(record, &subject)),
        };
        if waits {
            return self.migrations.wait(room, key);
        }
        if self.may_carry_out(step, key) {
            self.start_instance(step, key, dot, spec, stands_by);
        }
    }

    /// Whether a member that is gone ran this child when it went, and may go on until its lease is over: all that came of it is
    /// over once the view without it is complete. What this node owned all along may have run there, too, where it was
    /// about to be given to this node.
    pub(super) fn may_run_under_a_lease(&self, key: &Key, record: &Record) -> bool {
        let hidden = |row: &Row| row.host != ME && !self.registry.is_visible(row.host);
        self.quorum.is_leased()
            && !self.view.is_complete()
            && (self.view.is_left_behind(key) || record.rows().iter().any(hidden))
    }

    /// Whether one more copy of a child is not one too many: those that others claim, and those that owners before this
    /// node have yet to start, leave room for it.
    pub(super) fn has_room(&self, record: &Record, subject: &Subject<'_>) -> bool {
        let claims = record.theirs(&self.registry).count();
        if claims == 0 {
            return true;
        }
        if self.view.copies() == 1 {
            return false;
        }
        let owners = self.view.owners(subject);
        // Under hot swap a copy that moves ends when all new ones serve: it takes nobody's place.
        let hot = self.view.is_complete() && self.way_of(|| Some(record)).hot;
        let moves = |row: &&Row| {
            row.state == RowState::Running && !owners.contains(&self.registry.node_of(row)) && !self.rests(row)
        };
        let claims = claims - if hot { record.theirs(&self.registry).filter(moves).count() } else { 0 };
        let has = |node: &NodeId| record.theirs(&self.registry).any(|row| self.registry.node_of(row) == node);
        let place = owners.iter().position(|node| **node == self.me.node).unwrap_or(owners.len());
        // Whoever was an owner before does not ask who is one now: it may start as this node does.
        let comes =
            |(at, node): &(usize, &&NodeId)| *at < place || (*at > place && self.view.owned_before(subject, node));
        let coming = owners.iter().enumerate().filter(comes).filter(|(_, node)| !has(node)).count();
        claims + coming < owners.len()
    }

    /// Begins to start a copy here; the sequence of its instance.
    pub(super) fn start_instance(
        &mut self,
        step: &mut Step<'_>,
        key: &Key,
        dot: Dot,
        spec: Arc<ChildSpec>,
        standby: bool,
    ) -> Option<u64> {
        let token = self.take_token(key)?;
        // A restart that the view held up counts from now, not from when it was planned.
        self.supervisor.began(key, step.now);
        let sequence = self.supervisor.add(key.clone());
        if standby {
            self.migrations.add_taker(sequence, Taker::new(key.clone(), true, self.view.number()));
        }
        let mut row = Row::new(ME, dot, sequence, self.quorum.lineage, token);
        let role = self.config.redundancy.first_role();
        row.role = role;
        let (pid, token) = (self.registry.pid(&row), self.registry.token(&row));
        self.registry.put_row(key, row);
        if self.registry.rows_of(ME) > limits::ROWS {
            let words = "this node runs 1,048,576 children, which is as many as one may: the hub needs more nodes";
            self.child_start_failed(step, sequence, SmolStr::new_static(words));
            return None;
        }
        step.starting.push(Effect::Start { hub: self.config.id.clone(), spec, pid, token, role, standby });
        #[cfg(feature = "sabotage")]
        self.start_wrongly(step, key);
        Some(sequence)
    }

    /// The next token, for a child. None while somebody hands out later ones than this node may: then the view has to be
    /// confirmed once more, and the child waits for that.
    pub(super) fn take_token(&mut self, key: &Key) -> Option<u64> {
        #[cfg(feature = "sabotage")]
        if self.is_sabotaged(crate::config::Sabotage::RepeatTokens) && self.token > 0 {
            return Some(self.token);
        }
        let leased = self.quorum.is_leased();
        let token = if leased { tokens::next(self.quorum.ballot, self.token) } else { Some(self.token + 1) };
        match token {
            Some(token) => self.token = token,
            None => {
                self.view.reopen();
                self.work.wait(key);
            }
        }
        token
    }

    pub(super) fn stop_instance(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64, why: StopReason) {
        if self.supervisor.get(sequence).is_some_and(|local| local.kept) {
            return self.drop_kept(step, key, sequence);
        }
        if !self.supervisor.stop(sequence, why) {
            return;
        }
        // The start must come before the stop, should both fall into one step.
        self.announce_starts(step);
        let (hub, id, deadline) = (self.config.id.clone(), key.id.clone(), self.config.stop_timeout);
        let was_up = self
            .registry
            .record(key)
            .and_then(|record| record.mine())
            .is_some_and(|row| row.state == RowState::Running);
        match why {
            StopReason::Superseded => self.announce_superseded(step, key),
            StopReason::Moved => self.note_moving(step, key),
            _ => {}
        }
        self.leave_source(step, key, sequence);
        self.registry.edit_mine(key, |row| row.state = RowState::Stopping);
        self.claim_unheard(key);
        if was_up {
            self.child_is_hidden(step, key, sequence);
        }
        if self.alters.forget(sequence) {
            return self.child_start_failed(step, sequence, SmolStr::new_static("was stopped before it was started"));
        }
        step.fx.push(Effect::Stop { hub, id, sequence, why, deadline });
    }

    fn note_moving(&mut self, step: &mut Step<'_>, key: &Key) {
        let Some(owner) = self.successor(key) else { return };
        if step.moving.is_empty() {
            // The end of the redistribution may be told in this very step.
            let event = match (self.came.is_empty(), self.went.is_empty()) {
                (false, _) => Some(TopologyChange::NodeUp),
                (true, false) => Some(TopologyChange::NodeDown),
                (true, true) => None,
            };
            step.moving_at = (step.fx.len(), event);
        }
        step.moving.push((owner, key.id.clone()));
    }

    /// An instance of this node serves no longer, although it has yet to end.
    fn child_is_hidden(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64) {
        let pid = Pid { node: self.me.node.clone(), boot: self.minted, sequence };
        self.changed(step, &key.id);
        self.hook(step, HookEvent::ChildUnregistered { id: key.id.clone(), pid });
    }

    /// An instance of which the others have not heard is still a claim until it has ended.
    pub(super) fn claim_unheard(&mut self, key: &Key) {
        let Some(row) = self.registry.record(key).and_then(|record| record.mine()).cloned() else { return };
        if !row.published {
            self.registry.edit_mine(key, |row| row.published = true);
            self.outbox.row(&self.registry, &key.id, &row);
        }
    }

    fn announce_superseded(&mut self, step: &mut Step<'_>, key: &Key) {
        let Some(record) = self.registry.record(key) else { return };
        let Some(mine) = record.mine() else { return };
        let pid = self.registry.pid(mine);
        let winner = record.theirs(&self.registry).next().map(|row| self.registry.token(row));
        self.hook(step, HookEvent::ChildSuperseded { id: key.id.clone(), pid, winner });
    }

    /// Gives out the starts of this step as one batch.
    pub(super) fn announce_starts(&mut self, step: &mut Step<'_>) {
        if step.starting.is_empty() {
            return;
        }
        let starting = core::mem::take(&mut step.starting);
        let children = starting
            .iter()
            .filter_map(|effect| match effect {
                Effect::Start { spec, .. } => Some(spec.id.clone()),
                _ => None,
            })
            .collect();
        #[cfg(feature = "sabotage")]
        if self.is_sabotaged(crate::config::Sabotage::HookLate) {
            self.give_out(step, starting);
            return self.hook(step, HookEvent::PreChildrenStart { children });
        }
        self.hook(step, HookEvent::PreChildrenStart { children });
        self.give_out(step, starting);
    }

    /// Tells of the children that are to end here, and of those that have ended, so that other nodes start them.
    pub(super) fn announce_moves(&mut self, step: &mut Step<'_>) {
        let (at, event) = step.moving_at;
        for (node, children) in by_node(&mut step.moving).into_iter().rev() {
            let event = HookEvent::PreChildrenRedistribution { event, node, children };
            step.fx.insert(at, Effect::Hook { hub: self.config.id.clone(), event });
        }
        for (node, children) in by_node(&mut step.delivered) {
            self.hook(step, HookEvent::HandoverDelivered { node, children });
        }
        for (node, children) in by_node(&mut step.forwarded) {
            self.hook(step, HookEvent::ChildrenForwarded { node, children });
        }
        for (node, children) in by_node(&mut step.moved) {
            self.hook(step, HookEvent::MigrationCompleted { node, children });
        }
    }
}

/// The children that go to each node, sorted.
fn by_node(going: &mut Vec<(NodeId, ChildId)>) -> Vec<(NodeId, Vec<ChildId>)> {
    let mut going = core::mem::take(going);
    going.sort();
    let groups = going.chunk_by(|a, b| a.0 == b.0);
    groups.map(|group| (group[0].0.clone(), group.iter().map(|(_, id)| id.clone()).collect())).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use alloc::vec::Vec;

    use crate::config::{HubConfig, limits};
    use crate::effect::{Effect, Effects};
    use crate::hub::{Hub, HubInput};
    use crate::id::{Boot, ChildId, HubId, Kind, Member, NodeId, RequestId};
    use crate::registry::ME;
    use crate::request::{Reply, Request, StartOptions};
    use crate::spec::ChildSpec;
    use crate::time::Time;

    /// What others would not take note of does not run.
    #[test]
    fn a_node_that_runs_all_it_may_fails_to_start_more_and_says_why() {
        let me = Member { node: NodeId::new("n1").unwrap(), boot: Boot(1) };
        let mut hub = Hub::new(HubConfig::new(HubId::new("demo").unwrap()), me, true, Time::ZERO).unwrap();
        hub.handle(Time::from_millis(1), HubInput::Tick, &mut Effects::new());
        let mut start = |rows: usize| {
            hub.registry.pretend_rows(ME, rows);
            let spec = ChildSpec::new(ChildId::new("c").unwrap(), Kind::new("k").unwrap(), Vec::new());
            let options = StartOptions { wait: true, ..StartOptions::default() };
            let request = Request::Start { hub: hub.config().id.clone(), children: Vec::from([spec]), options };
            let mut effects = Effects::new();
            hub.handle(Time::from_millis(1), HubInput::Request { id: RequestId(1), request }, &mut effects);
            for at in 2..10 {
                hub.handle(Time::from_millis(at * 100), HubInput::Tick, &mut effects);
            }
            effects.into_iter().collect::<Vec<_>>()
        };
        let effects = start(limits::ROWS);
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Start { .. })));
        let reply = effects.iter().find_map(|effect| match effect {
            Effect::Reply { reply: Reply::Start(Ok(started)), .. } => Some(started),
            _ => None,
        });
        let failed = alloc::format!("{reply:?}");
        assert!(failed.contains("the hub needs more nodes"), "{failed}");
        let effects = start(limits::ROWS - 1);
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Start { .. })), "{effects:?}");
    }
}
