//! What other members have changed.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Step;
use crate::config::Way;
use crate::hook::HookEvent;
use crate::hub::Hub;
use crate::id::{ChildId, Member, NodeId};
use crate::message::{Batch, Phase, RowState, Snapshot, WireAssign, WireDot, WireEntry, WireRow};
use crate::registry::{Assigned, Declared, Dot, HostIx, Key, ME, Row, Start};
use crate::request::ChildFailure;
use crate::requests::Outcome;
use crate::spec::{ChildSpec, Role};

impl Hub {
    pub(super) fn apply(&mut self, step: &mut Step<'_>, from: &NodeId, batch: &Batch) {
        let origins = self.origins(&batch.origins);
        self.apply_starts(step, &origins, &batch.starts, &batch.assigns);
        for stop in &batch.stops {
            let key = Key::new(&stop.id);
            for dot in stop.dots.iter().filter_map(|dot| resolve(&origins, *dot)) {
                self.undeclare(step, &key, dot);
            }
        }
        // Who does not take part runs nothing.
        let runs = |phase: Option<Phase>| matches!(phase, Some(Phase::Ready | Phase::Leaving));
        let peer = self.peers.get(from).filter(|peer| runs(peer.phase.max(batch.phase)));
        if let Some(host) = peer.and_then(|peer| peer.inb.host()) {
            let restarted: BTreeSet<u64> = batch.restarted.iter().copied().collect();
            for row in &batch.rows {
                let dot = resolve(&origins, row.dot);
                if let Some(dot) = dot.filter(|_| self.registry.has_room_for_row(host, &row.id)) {
                    self.row_told(step, from, host, dot, row, restarted.contains(&row.sequence));
                }
            }
            for gone in &batch.gone {
                self.row_gone(step, from, &Key::new(&gone.id), Some(gone.sequence));
            }
        }
        for failure in &batch.failures {
            if let Some(dot) = resolve(&origins, failure.dot) {
                self.start_failed_there(step, from, &failure.id, dot, failure.reason.clone());
            }
        }
        for assign in
            batch.assigns.iter().filter(|assign| assign.assignment.held && assign.assignment.version < 1 << 48)
        {
            if let Some(dot) = resolve(&origins, assign.dot) {
                self.hold_told(step, from, &Key::new(&assign.id), dot, &assign.assignment);
            }
        }
        self.apply_marks(step, from, batch);
    }

    /// Assignments first, so that a start that comes with one is never seen without it.
    pub(super) fn apply_starts(
        &mut self,
        step: &mut Step<'_>,
        origins: &[Option<u16>],
        starts: &[WireEntry],
        assigns: &[WireAssign],
    ) {
        let early = self.apply_assigns(step, origins, assigns);
        for start in starts {
            if let Some(dot) = resolve(origins, start.dot) {
                self.declare(step, &Key::new(&start.spec.id), dot, start.spec.clone());
            }
        }
        if early {
            // Where too many are ahead of their starts, these were not kept.
            self.apply_assigns(step, origins, assigns);
        }
    }

    /// Says whether some were ahead of their starts.
    fn apply_assigns(&mut self, step: &mut Step<'_>, origins: &[Option<u16>], assigns: &[WireAssign]) -> bool {
        let mut early = false;
        for assign in assigns.iter().filter(|assign| assign.assignment.version < 1 << 48) {
            if let Some(dot) = resolve(origins, assign.dot) {
                early |= self.assigned(step, &Key::new(&assign.id), dot, assign.assignment.clone()) == Assigned::Early;
            }
        }
        early
    }

    fn apply_marks(&mut self, step: &mut Step<'_>, from: &NodeId, batch: &Batch) {
        let Some(peer) = self.peers.get_mut(from) else { return };
        if batch.snapshot == Snapshot::Last
            && let Some(replaced) = peer.inb.listed()
        {
            let member = peer.member.clone();
            self.retire(replaced, &member);
        }
        let Some(peer) = self.peers.get_mut(from) else { return };
        if batch.installed.is_some() {
            peer.inb.installed = batch.installed;
        }
        if let Some(pause) = &batch.pause {
            self.pause_told(step, pause.clone());
        }
        let Some(peer) = self.peers.get_mut(from) else { return };
        let described = batch.attributes.as_ref().is_some_and(|attributes| peer.describes(attributes.clone()));
        // A phase is never taken back within a life: what opens a stream may be older than a rumor that came before it.
        let advanced = batch.phase > peer.phase;
        if advanced {
            peer.phase = batch.phase;
        }
        if described || advanced {
            self.refresh_view(step);
        }
    }

    /// The registry's indices of a message's table of origins.
    pub(super) fn origins(&mut self, members: &[Member]) -> Vec<Option<u16>> {
        members.iter().map(|member| self.registry.origin(member)).collect()
    }

    /// A start was heard of, from a user here or from anybody who knew.
    pub(super) fn declare(&mut self, step: &mut Step<'_>, key: &Key, dot: Dot, spec: Arc<ChildSpec>) {
        if self.registry.declare(key, dot, spec.clone()) == Declared::Known {
            return self.declared_already(step, key, dot, spec);
        }
        if self.is_mine(dot) {
            // A start of ours that we forgot (no disk, and a boot given twice): never mint it again.
            self.counter = self.counter.max(dot.counter());
        }
        let losers: Vec<Dot> = match self.registry.record(key) {
            Some(record) if record.starts().len() > 1 => record.starts()[1..].iter().map(|start| start.dot).collect(),
            _ => Vec::new(),
        };
        for loser in losers {
            self.resolve(loser, || Outcome::Failed(None, ChildFailure::Superseded));
        }
        self.changed(step, &key.id);
        self.reconcile(step, key);
    }

    /// A stop was heard of that has observed this start.
    pub(super) fn undeclare(&mut self, step: &mut Step<'_>, key: &Key, dot: Dot) {
        #[cfg(feature = "sabotage")]
        self.remove_unseen(key, dot);
        let unheard_of = !self.registry.context().covers(dot);
        let removed = self.registry.remove(key, dot);
        let is_new = removed.is_some() || unheard_of;
        if is_new && (self.has_exceptions() || removed.as_ref().is_some_and(Start::is_exception)) {
            self.former.remember(key, dot, removed.clone(), step.now);
        }
        if removed.is_none() {
            return;
        }
        self.moves.holds.forget(key, dot);
        self.resolve(dot, || Outcome::Failed(None, ChildFailure::Stopped));
        if !self.registry.record(key).is_some_and(|record| record.is_declared()) {
            self.supervisor.forget(key);
            self.migrations.arrived(key);
            self.refuse_waiting(step, key);
        }
        self.words.forget(key);
        self.changed(step, &key.id);
        self.reconcile(step, key);
    }

    /// Tells the request that waits for a start of this node's what became of it.
    pub(super) fn resolve(&mut self, dot: Dot, outcome: impl FnOnce() -> Outcome) -> bool {
        self.is_mine(dot)
            && self.requests.is_awaited(dot.counter())
            && self.requests.resolve_start(dot.counter(), outcome())
    }

    pub(super) fn is_mine(&self, dot: Dot) -> bool {
        let origin = self.registry.origin_of(dot);
        origin.node == self.me.node && origin.boot == self.mints
    }

    fn row_told(
        &mut self,
        step: &mut Step<'_>,
        from: &NodeId,
        host: HostIx,
        dot: Dot,
        told: &WireRow,
        restarted: bool,
    ) {
        let key = Key::new(&told.id);
        let mut row = Row::new(host, dot, told.sequence, told.lineage, told.token);
        (row.role, row.state) = (told.role, told.state);
        self.token = self.token.max(row.token.min(1 << 62));
        let older = self.older_row(from, &key, host);
        let hidden = older.is_some_and(|older| !self.registry.is_visible(older));
        let replaced = older.and_then(|older| self.registry.take_row(&key, older, None));
        #[cfg(feature = "sabotage")]
        let replaced = replaced.filter(|_| !self.is_sabotaged(crate::config::Sabotage::OlderRowsWin));
        if let Some(newer) = replaced.as_ref().filter(|before| before.is_newer_than(&row)) {
            // What opens a stream may be older than a rumor that came before it; the stream will come to that.
            row = newer.clone();
            row.host = host;
        }
        let before = self.registry.put_row(&key, row.clone()).or(replaced);
        let was_up = before.as_ref().is_some_and(|before| before.state == RowState::Running);
        let same = before.as_ref().is_some_and(|before| before.sequence == row.sequence);
        let before_role = before.as_ref().map(|before| before.role);
        // It was resumed, or promoted and demoted again before that could be told.
        let renewed = before.as_ref().is_some_and(|before| (before.lineage, before.token) != (row.lineage, row.token));
        // A listing does not say which rows are of restarted children: a new instance of the same start there is one.
        let replaced =
            before.as_ref().is_some_and(|before| before.sequence != row.sequence && before.dot() == row.dot());
        if let Some(before) = before.filter(|before| before.sequence != row.sequence) {
            self.claim_gone(step, &key, &before, true);
        } else if was_up && row.state == RowState::Running {
            if hidden || renewed {
                self.changed(step, &key.id);
            }
            let other_role = before_role != Some(row.role);
            if other_role {
                self.role_told(step, &key, &row);
            }
            // Which of two copies goes before the other may be the other way round now.
            if (other_role || renewed) && self.registry.record(&key).is_some_and(|record| record.mine().is_some()) {
                self.reconcile(step, &key);
            }
            return;
        }
        #[cfg(feature = "sabotage")]
        if self.is_sabotaged(crate::config::Sabotage::Parrot) {
            let mut own = row.clone();
            own.host = ME;
            self.outbox.row(&self.registry, &key.id, &own);
        }
        if row.state == RowState::Running {
            self.child_is_up(step, &key, &row);
            if restarted || replaced {
                let pid = self.registry.pid(&row);
                self.hook(step, HookEvent::ChildPidUpdated { id: key.id.clone(), pid });
            }
        } else if was_up {
            self.changed(step, &key.id);
            if same {
                let pid = self.registry.pid(&row);
                self.hook(step, HookEvent::ChildUnregistered { id: key.id.clone(), pid });
            }
        }
        if self.may_succeed(&key, &row) || self.registry.record(&key).is_some_and(|record| record.mine().is_some()) {
            self.reconcile(step, &key);
        }
    }

    /// Another row of the same member for a child: of the listing that the present one replaces, or of one that was cut off.
    fn older_row(&self, from: &NodeId, key: &Key, host: HostIx) -> Option<HostIx> {
        let member = &self.peers.get(from)?.member;
        let rows = self.registry.record(key)?.rows().iter();
        let mut older = rows.filter(|row| row.host != host && row.host != ME);
        older.find(|row| self.registry.host(row.host).member == *member).map(|row| row.host)
    }

    /// Whether a copy may be one to be succeeded before it has gone.
    fn may_succeed(&self, key: &Key, row: &Row) -> bool {
        let may = |way: Way| way.hot || way.hands_over;
        matches!(row.state, RowState::Running | RowState::Kept) && may(self.way(key))
    }

    /// A copy that is up there plays another part now.
    fn role_told(&mut self, step: &mut Step<'_>, key: &Key, row: &Row) {
        self.changed(step, &key.id);
        if row.role == Role::Active {
            self.retry_waiting(step, key);
        }
    }

    /// A copy serves, here or there.
    pub(super) fn child_is_up(&mut self, step: &mut Step<'_>, key: &Key, row: &Row) {
        let pid = self.registry.pid(row);
        self.changed(step, &key.id);
        #[cfg(feature = "sabotage")]
        if self.is_sabotaged(crate::config::Sabotage::HookTwice) {
            self.hook(step, HookEvent::ChildRegistered { id: key.id.clone(), pid: pid.clone() });
        }
        self.hook(step, HookEvent::ChildRegistered { id: key.id.clone(), pid });
        self.migrations.arrived(key);
        self.copy_is_up(step, key, row);
        self.retry_waiting(step, key);
    }

    fn row_gone(&mut self, step: &mut Step<'_>, from: &NodeId, key: &Key, sequence: Option<u64>) {
        let Some(peer) = self.peers.get(from) else { return };
        let (hosts, member) = ([peer.inb.staged, peer.inb.rows], peer.member.clone());
        for host in hosts.into_iter().flatten() {
            if let Some(row) = self.registry.take_row(key, host, sequence) {
                self.receiver_gone(key, &member, &row);
                self.claim_gone(step, key, &row, true);
            }
        }
        self.reconcile(step, key);
    }

    /// A host's claim is no more: because the host said so (`confirmed`), or because it is gone itself.
    pub(super) fn claim_gone(&mut self, step: &mut Step<'_>, key: &Key, row: &Row, confirmed: bool) {
        if row.state == RowState::Running {
            let pid = self.registry.pid(row);
            self.changed(step, &key.id);
            self.hook(step, HookEvent::ChildUnregistered { id: key.id.clone(), pid });
        }
        self.note_stopped(key, row, confirmed);
    }

    /// Whatever was declared first by a member that failed to start it: its request is told, and unless the user only
    /// waits no longer, the child is not declared any more.
    fn start_failed_there(
        &mut self,
        step: &mut Step<'_>,
        from: &NodeId,
        id: &ChildId,
        dot: Dot,
        reason: smol_str::SmolStr,
    ) {
        let why = ChildFailure::StartFailed(super::bounded(reason));
        self.copy_failed(step, &Key::new(id), dot, from.clone(), why);
    }
}

/// A dot of a message in the registry's terms; `None` for one that names no origin of its table.
pub(super) fn resolve(origins: &[Option<u16>], dot: WireDot) -> Option<Dot> {
    // Counters begin at 1, and one beyond any that can have been minted is a forgery.
    let plausible = dot.counter > 0 && dot.counter < Dot::END;
    let origin = *origins.get(usize::from(dot.origin))?;
    plausible.then_some(Dot::new(origin?, dot.counter))
}
