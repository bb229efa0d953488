//! What is due when: one queue for all of membership, in a fixed order.

use alloc::collections::BTreeMap;
use core::time::Duration;

use crate::time::Time;

/// The name of an entry, to take it back.
pub(super) type Ticket = (Time, u64);

/// Things due at a time; those due at the same time come in the order in which they were put in.
#[derive(Debug)]
pub(super) struct Queue<T> {
    due: BTreeMap<Ticket, T>,
    last: u64,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self { due: BTreeMap::new(), last: 0 }
    }

    pub(super) fn push(&mut self, at: Time, what: T) -> Ticket {
        self.last += 1;
        let ticket = (at, self.last);
        self.due.insert(ticket, what);
        ticket
    }

    pub(super) fn cancel(&mut self, ticket: Ticket) {
        self.due.remove(&ticket);
    }

    /// The next that is due at `now`.
    pub(super) fn pop(&mut self, now: Time) -> Option<T> {
        let first = self.due.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.due.first_key_value().map(|(ticket, _)| ticket.0)
    }

    pub(super) fn clear(&mut self) {
        self.due.clear();
    }
}

impl<T> Queue<T> {
    /// Makes everything due later by `span`. `moved` is told each old ticket and its new one.
    pub(super) fn shift(&mut self, span: Duration, mut moved: impl FnMut(&T, Ticket)) {
        let due = core::mem::take(&mut self.due);
        for ((at, number), what) in due {
            let ticket = (at + span, number);
            moved(&what, ticket);
            self.due.insert(ticket, what);
        }
    }
}
