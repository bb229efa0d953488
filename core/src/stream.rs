//! The numbered stream of changes from one member to another within a hub: in order, without gaps, resumed where a
//! link broke off, begun anew (an *epoch*) where it cannot be.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::config::limits;
use crate::message::{Batch, Mark, Snapshot};
use crate::registry::HostIx;
use crate::time::Time;

/// Unacknowledged batches are sent again after this long without progress, then after twice as long, and so on.
pub(crate) const RETRANSMIT: Duration = Duration::from_millis(500);

/// Doublings of that wait.
const DOUBLINGS: u32 = 3;

/// What such a retransmission repeats at the most: links lose nothing while they last, so the peer is more likely to
/// be slow than to lack something. (A link that was lost and is back is another matter: then all is repeated.)
const PROBES: usize = 4;

/// How long others may take to pass a batch on before the peer is told directly.
const PASSED_ON: Duration = Duration::from_millis(100);

/// Batches that are kept while something before them is missing.
const HELD: usize = 16;

/// What is repeated on each acknowledgement that answers a repetition: then the peer did lack something, and has dropped
/// what came behind it.
const BURST: usize = 16;

/// Acknowledgements that wait for what was said before them; the last of them stands for all that come after it.
const HEARD: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sent {
    number: u64,
    batch: Arc<Batch>,
    bytes: usize,
    op: u64,
    /// Whether it was sent to the peer, or is left to others to be passed on.
    told: bool,
}

/// The sending end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Outbound {
    epoch: u32,
    next: u64,
    unacked: VecDeque<Sent>,
    bytes: usize,
    acked_op: u64,
    /// Operations that the peer holds, and how far its own stream was when it said so, oldest first: what it made of them
    /// has come once that much has.
    heard: VecDeque<(u64, (u32, u64))>,
    /// The sequence of this node's instances up to which the opening listing has come; `None` once it is complete.
    listed: Option<u64>,
    /// Too much was unacknowledged: nothing more is sent in this epoch.
    lagging: bool,
    progress: Time,
    /// Retransmissions since the last acknowledgement.
    tries: u32,
    /// While what was dropped behind a gap is repeated: the number up to which it has been, and the one to stop at.
    repeated: Option<(u64, u64)>,
}

impl Outbound {
    pub(crate) fn new(epoch: u32, now: Time) -> Self {
        Self {
            epoch,
            next: 0,
            unacked: VecDeque::new(),
            bytes: 0,
            acked_op: 0,
            heard: VecDeque::new(),
            listed: Some(0),
            lagging: false,
            progress: now,
            tries: 0,
            repeated: None,
        }
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The operation up to which the peer has everything that was said in this epoch, and what it made of that is known
    /// here.
    pub(crate) fn acked_op(&self) -> u64 {
        self.acked_op
    }

    /// Whether the peer is so far behind that new work should wait for it.
    pub(crate) fn is_full(&self) -> bool {
        !self.lagging && self.bytes > limits::WINDOW / 2
    }

    /// From where the opening listing goes on, if there is room for more of it.
    pub(crate) fn listing_from(&self) -> Option<u64> {
        if self.lagging || self.is_full() { None } else { self.listed }
    }

    /// Whether the opening listing is complete.
    pub(crate) fn is_listed(&self) -> bool {
        self.listed.is_none()
    }

    pub(crate) fn listed_to(&mut self, sequence: Option<u64>) {
        self.listed = sequence;
    }

    /// Takes a batch that makes the peer hold everything up to operation `op`, and gives its number; `None` if the
    /// peer lags too far behind to be sent anything.
    pub(crate) fn push(&mut self, batch: &Arc<Batch>, bytes: usize, op: u64, now: Time) -> Option<u64> {
        let number = self.push_untold(batch, bytes, op, now)?;
        if let Some(sent) = self.unacked.back_mut() {
            sent.told = true;
        }
        Some(number)
    }

    /// The same for a batch that others pass on to the peer: it is sent to it only if that takes too long.
    pub(crate) fn push_untold(&mut self, batch: &Arc<Batch>, bytes: usize, op: u64, now: Time) -> Option<u64> {
        if self.lagging {
            return None;
        }
        if self.bytes + bytes > limits::WINDOW * 2 {
            self.lagging = true;
            self.unacked.clear();
            self.bytes = 0;
            return None;
        }
        if self.unacked.is_empty() {
            self.progress = now;
        }
        let number = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.unacked.push_back(Sent { number, batch: batch.clone(), bytes, op, told: false });
        Some(number)
    }

    /// How far this stream is: its epoch, and the number of the next batch.
    pub(crate) fn position(&self) -> (u32, u64) {
        (self.epoch, self.next)
    }

    /// The peer has applied all up to and with `number`, and said so when its own stream was at `told`. Says whether that
    /// was news.
    pub(crate) fn ack(&mut self, epoch: u32, number: u64, told: (u32, u64), now: Time) -> bool {
        if epoch != self.epoch || number >= self.next {
            return false;
        }
        let mut acked = None;
        while let Some(sent) = self.unacked.front().filter(|sent| sent.number <= number) {
            self.bytes -= sent.bytes;
            acked = acked.max(Some(sent.op));
            self.unacked.pop_front();
        }
        let Some(op) = acked else { return false };
        self.progress = now;
        self.tries = 0;
        if self.heard.len() == HEARD {
            self.heard.pop_back();
        }
        self.heard.push_back((op, told));
        true
    }

    /// More of the peer's own stream may have come. Says whether more of what it has acknowledged counts by that.
    pub(crate) fn heard(&mut self, inbound: &Inbound) -> bool {
        let before = self.acked_op;
        while let Some((op, _)) = self.heard.front().filter(|(_, told)| inbound.is_past(*told)) {
            self.acked_op = self.acked_op.max(*op);
            self.heard.pop_front();
        }
        self.acked_op > before
    }

    /// Goes on where the peer says it is: true if what it lacks is still there.
    pub(crate) fn resume(&mut self, epoch: u32, expected: u64, told: (u32, u64), now: Time) -> bool {
        if epoch != self.epoch || expected > self.next || self.lagging {
            return false;
        }
        if expected > 0 {
            self.ack(epoch, expected - 1, told, now);
        }
        self.unacked.front().is_none_or(|sent| sent.number == expected)
    }

    /// All that was not acknowledged, oldest first: a way to the peer is open again.
    pub(crate) fn resend(&mut self, now: Time) -> Vec<(u64, Arc<Batch>)> {
        self.progress = now;
        self.oldest(usize::MAX)
    }

    fn next_is_untold(&self) -> bool {
        self.unacked.front().is_some_and(|sent| !sent.told)
    }

    /// The oldest of what was not acknowledged: nothing was for a while.
    pub(crate) fn retry(&mut self, now: Time) -> Vec<(u64, Arc<Batch>)> {
        self.progress = now;
        let most = if self.next_is_untold() { BURST } else { PROBES };
        self.tries += u32::from(most == PROBES);
        let repeated = self.oldest(most);
        self.repeated = repeated.last().map(|(number, _)| (*number, self.next));
        repeated
    }

    /// What to send again because the peer has acknowledged a repetition up to and with `number`.
    pub(crate) fn go_on(&mut self, number: u64) -> Vec<(u64, Arc<Batch>)> {
        let Some((repeated, end)) = self.repeated else { return Vec::new() };
        if number < repeated {
            return Vec::new();
        }
        let mut batches = self.oldest(BURST);
        batches.retain(|(number, _)| *number < end);
        self.repeated = batches.last().map(|(number, _)| (*number, end));
        batches
    }

    fn oldest(&mut self, most: usize) -> Vec<(u64, Arc<Batch>)> {
        let told = |sent: &mut Sent| {
            sent.told = true;
            (sent.number, sent.batch.clone())
        };
        self.unacked.iter_mut().take(most).map(told).collect()
    }

    /// Whether the peer is silent although a good deal waits to be acknowledged: waiting for it holds all others up.
    pub(crate) fn is_stuck(&self) -> bool {
        self.lagging || (self.tries > DOUBLINGS && self.is_full())
    }

    /// When to send again, or to begin anew.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let wait = if self.next_is_untold() { PASSED_ON } else { RETRANSMIT * (1 << self.tries.min(DOUBLINGS)) };
        (self.lagging || !self.unacked.is_empty()).then(|| self.progress + wait)
    }

    /// Bytes sent and not acknowledged yet.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Batches not acknowledged yet.
    pub(crate) fn in_flight(&self) -> usize {
        self.unacked.len()
    }
}

/// What to do with an arriving batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is the first of a new epoch: make room for a new listing, then apply it.
    Begin,
    /// It is the next: apply it.
    Next,
    /// It was applied before: acknowledge again.
    Again(u64),
    /// Something before it is missing: drop it, it will be sent again.
    Gap,
    /// Its epoch cannot be followed from here: ask for a new one.
    Lost,
    /// It is of an older epoch: drop it.
    Old,
}

/// The receiving end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Inbound {
    epoch: Option<u32>,
    expected: u64,
    /// The rows that the last complete listing and the changes since have made.
    pub(crate) rows: Option<HostIx>,
    /// The rows of a listing under way.
    pub(crate) staged: Option<HostIx>,
    /// The view that the peer said it has installed, in this epoch.
    pub(crate) installed: Option<Mark>,
    asked: Option<Time>,
    /// What to add to a batch's place among the peer's changes for its place in this stream, once that is known.
    offset: Option<u64>,
    /// Batches that came while something before them was missing.
    held: BTreeMap<u64, Arc<Batch>>,
}

impl Inbound {
    pub(crate) fn arrival(&self, epoch: u32, number: u64) -> Arrival {
        match self.epoch {
            Some(ours) if epoch < ours => Arrival::Old,
            Some(ours) if epoch == ours => match number.cmp(&self.expected) {
                core::cmp::Ordering::Less => Arrival::Again(self.expected - 1),
                core::cmp::Ordering::Equal => Arrival::Next,
                core::cmp::Ordering::Greater => Arrival::Gap,
            },
            _ if number == 0 => Arrival::Begin,
            // The opening of a newer epoch may still be on its way; if it is not, it will be sent again.
            Some(_) => Arrival::Gap,
            None => Arrival::Lost,
        }
    }

    /// A new epoch begins: its listing goes to `staged`.
    pub(crate) fn begin(&mut self, epoch: u32, staged: HostIx) -> Option<HostIx> {
        self.epoch = Some(epoch);
        self.expected = 0;
        self.installed = None;
        self.offset = None;
        self.held.clear();
        self.staged.replace(staged)
    }

    /// A batch is applied: it was the one that was expected.
    pub(crate) fn applied(&mut self, batch: &Batch) {
        if batch.snapshot == Snapshot::Last {
            self.offset = Some(self.expected.wrapping_sub(batch.log));
        }
        self.expected += 1;
    }

    /// The epoch and the place in it of a change, by its place among all changes of the peer.
    pub(crate) fn place_of(&self, log: u64) -> Option<(u32, u64)> {
        Some((self.epoch?, log.wrapping_add(self.offset?)))
    }

    /// Keeps a batch of this epoch until what is before it has come, if there is room.
    pub(crate) fn hold(&mut self, epoch: u32, number: u64, batch: &Arc<Batch>) {
        if self.epoch == Some(epoch) && self.has_room(number) {
            self.held.insert(number, batch.clone());
        }
    }

    fn has_room(&self, number: u64) -> bool {
        number - self.expected.min(number) <= HELD as u64
    }

    /// Whether a batch that came before its turn is kept, and was not before.
    pub(crate) fn would_hold(&self, number: u64) -> bool {
        self.has_room(number) && !self.held.contains_key(&number)
    }

    /// Takes the batch that is expected now, if it came before.
    pub(crate) fn next_held(&mut self) -> Option<(u64, Arc<Batch>)> {
        self.held = self.held.split_off(&self.expected);
        let batch = self.held.remove(&self.expected)?;
        Some((self.expected, batch))
    }

    /// The listing is complete: its rows take the place of the older ones, which are returned.
    pub(crate) fn listed(&mut self) -> Option<HostIx> {
        match self.staged.take() {
            Some(staged) => self.rows.replace(staged),
            None => None,
        }
    }

    /// Where arriving rows go.
    pub(crate) fn host(&self) -> Option<HostIx> {
        self.staged.or(self.rows)
    }

    /// Whether all rows of the peer are known, as of `view`.
    pub(crate) fn has_installed(&self, view: u64) -> bool {
        self.mark_of(view).is_some()
    }

    /// The peer's mark for `view`, if all its rows are known as of it.
    pub(crate) fn mark_of(&self, view: u64) -> Option<Mark> {
        let known = self.staged.is_none() && self.rows.is_some();
        self.installed.filter(|mark| known && mark.view == view)
    }

    /// Whether all that the peer had said when its stream was at `told` has come.
    fn is_past(&self, told: (u32, u64)) -> bool {
        let position = self.position().unwrap_or_default();
        self.staged.is_none() && position >= told
    }

    pub(crate) fn position(&self) -> Option<(u32, u64)> {
        self.epoch.map(|epoch| (epoch, self.expected))
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.unwrap_or(0)
    }

    /// Whether to ask for a new epoch now: not more often than batches are sent again.
    pub(crate) fn may_ask(&mut self, now: Time) -> bool {
        let may = self.asked.is_none_or(|asked| now >= asked + RETRANSMIT / 2);
        if may {
            self.asked = Some(now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rumor that was passed on and not kept was passed on again each time it came back: among members with different
    /// views, for ever (found by simulation).
    #[test]
    fn what_is_too_early_to_be_kept_is_no_news() {
        let mut inbound = Inbound { epoch: Some(1), expected: 5, ..Inbound::default() };
        let batch = Arc::new(Batch::default());
        let (kept, too_early) = (5 + HELD as u64, 6 + HELD as u64);
        for (number, news) in [(kept, true), (too_early, false)] {
            assert_eq!(inbound.would_hold(number), news);
            inbound.hold(1, number, &batch);
            assert!(!inbound.would_hold(number));
        }
    }
}
