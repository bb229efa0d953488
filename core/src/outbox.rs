//! The changes of one step, on their way to the other members: gathered, then sent to all as few batches as fit.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use smol_str::SmolStr;

use crate::config::limits;
use crate::id::{ChildId, Member};
use crate::message::{
    Assignment, Attributes, Batch, Mark, Pause, Phase, WireAssign, WireDot, WireEntry, WireFailure, WireGone, WireRow,
    WireStop,
};
use crate::registry::{Dot, Registry, Row};
use crate::spec::ChildSpec;
use crate::time::Time;

/// Bytes after which a batch is closed: a few of them in flight keep a link busy, and one never nears a frame's limit
/// (an entry may add [`limits::SPEC`] to it).
const BATCH_BYTES: usize = 128 << 10;

/// A table of the members that a message's dots refer to, built as they come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Table {
    members: Vec<Member>,
    index: BTreeMap<u16, u16>,
}

impl Table {
    pub(crate) fn dot(&mut self, registry: &Registry, dot: Dot) -> WireDot {
        let next = u16::try_from(self.members.len()).unwrap_or(u16::MAX);
        let origin = *self.index.entry(dot.origin()).or_insert_with(|| {
            self.members.push(registry.origin_of(dot).clone());
            next
        });
        WireDot { origin, counter: dot.counter() }
    }

    /// A start, in the terms of a message.
    pub(crate) fn entry(&mut self, registry: &Registry, (dot, spec): (Dot, Arc<ChildSpec>)) -> WireEntry {
        WireEntry { dot: self.dot(registry, dot), spec }
    }

    /// What of a start was given to nodes, likewise.
    pub(crate) fn assign(
        &mut self,
        registry: &Registry,
        (id, dot, assignment): (ChildId, Dot, Assignment),
    ) -> WireAssign {
        WireAssign { id, dot: self.dot(registry, dot), assignment }
    }

    pub(crate) fn into_members(self) -> Vec<Member> {
        self.members
    }

    fn is_full(&self) -> bool {
        self.members.len() >= limits::BATCH
    }
}

/// Batches under construction.
///
/// Within a batch, assignments are applied before starts, starts before stops, and rows before those that are gone. No order is lost by that: a
/// stop names the starts it removes and a row that is gone names its instance, so neither touches a successor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Outbox {
    done: Vec<(Batch, usize)>,
    open: Batch,
    table: Table,
    bytes: usize,
}

impl Outbox {
    pub(crate) fn start(&mut self, registry: &Registry, dot: Dot, spec: Arc<ChildSpec>) {
        self.room(spec.size() + 24, self.open.starts.len());
        let dot = self.table.dot(registry, dot);
        self.open.starts.push(WireEntry { dot, spec });
    }

    /// A start was given to nodes.
    pub(crate) fn assign(&mut self, registry: &Registry, id: &ChildId, dot: Dot, assignment: Assignment) {
        self.room(id.as_str().len() + assignment.size() + 12, self.open.assigns.len());
        let dot = self.table.dot(registry, dot);
        self.open.assigns.push(WireAssign { id: id.clone(), dot, assignment });
    }

    pub(crate) fn stop(&mut self, registry: &Registry, id: &ChildId, dots: &[Dot]) {
        self.room(id.as_str().len() + 12 * dots.len() + 8, self.open.stops.len());
        let dots = dots.iter().map(|dot| self.table.dot(registry, *dot)).collect();
        self.open.stops.push(WireStop { id: id.clone(), dots });
    }

    pub(crate) fn row(&mut self, registry: &Registry, id: &ChildId, row: &Row) {
        self.room(id.as_str().len() + 32, self.open.rows.len());
        let dot = self.table.dot(registry, row.dot());
        self.open.rows.push(WireRow {
            id: id.clone(),
            dot,
            sequence: row.sequence,
            lineage: row.lineage,
            token: row.token,
            role: row.role,
            state: row.state,
        });
    }

    /// The row that was told just now is that of a child that ended by itself and runs again.
    pub(crate) fn restarted(&mut self, sequence: u64) {
        self.bytes += 9;
        self.open.restarted.push(sequence);
    }

    pub(crate) fn gone(&mut self, id: &ChildId, sequence: u64) {
        self.room(id.as_str().len() + 12, self.open.gone.len());
        self.open.gone.push(WireGone { id: id.clone(), sequence });
    }

    pub(crate) fn failure(&mut self, registry: &Registry, id: &ChildId, dot: Dot, reason: SmolStr) {
        self.room(id.as_str().len() + reason.len() + 24, self.open.failures.len());
        let dot = self.table.dot(registry, dot);
        self.open.failures.push(WireFailure { id: id.clone(), dot, reason });
    }

    pub(crate) fn phase(&mut self, phase: Phase) {
        self.open.phase = Some(phase);
        self.bytes += 1;
    }

    pub(crate) fn pause(&mut self, pause: Pause) {
        self.bytes += pause.by.as_str().len() + 10;
        self.open.pause = Some(pause);
    }

    pub(crate) fn attributes(&mut self, attributes: Attributes) {
        self.bytes += attributes.labels.size() + 16;
        self.open.attributes = Some(attributes);
    }

    /// All rows so far were told as of this view.
    pub(crate) fn installed(&mut self, mark: Mark) {
        self.open.installed = Some(mark);
        self.bytes += 8;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0 && self.done.is_empty()
    }

    /// Takes what was gathered: batches with their approximate sizes.
    pub(crate) fn take(&mut self) -> Vec<(Batch, usize)> {
        self.close();
        mem::take(&mut self.done)
    }

    fn room(&mut self, bytes: usize, entries: usize) {
        if entries >= limits::BATCH || (self.bytes > 0 && self.bytes + bytes > BATCH_BYTES) || self.table.is_full() {
            self.close();
        }
        self.bytes += bytes;
    }

    /// Closes the open batch: what comes next is told by the names that origins have from here on.
    pub(crate) fn close(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut batch = mem::take(&mut self.open);
        batch.origins = mem::take(&mut self.table).into_members();
        let origins: usize = batch.origins.iter().map(|member| member.node.as_str().len() + 10).sum();
        self.done.push((batch, mem::take(&mut self.bytes) + origins + 16));
    }
}

/// How often changes are told: in a burst, a batch for each would cost every member more than the changes themselves, so
/// in the long run they are told once in [`GAP`]. A few at once, as one start leads to, do not wait (a leaky bucket: ITU-T
/// I.371, GCRA).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Pace(Time);

/// Between tellings, in the long run.
const GAP: Duration = Duration::from_micros(500);
/// Tellings that may follow one another at once.
const AT_ONCE: u32 = 4;

impl Pace {
    /// When changes may be told next.
    pub(crate) fn next(self) -> Time {
        self.0
    }

    pub(crate) fn told(&mut self, now: Time) {
        let ahead = GAP * (AT_ONCE - 1);
        let begin = self.0.max(Time((now.0).saturating_sub(u64::try_from(ahead.as_micros()).unwrap_or(0))));
        self.0 = begin + GAP;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_changes_are_told_at_once_and_many_in_steps() {
        let mut pace = Pace::default();
        let mut told = Vec::new();
        for now in (0..4_000).map(|step| Time(1_000_000 + step)) {
            if now >= pace.next() {
                pace.told(now);
                told.push(now.0 - 1_000_000);
            }
        }
        assert_eq!(told, [0, 1, 2, 3, 500, 1_000, 1_500, 2_000, 2_500, 3_000, 3_500]);
    }
}
