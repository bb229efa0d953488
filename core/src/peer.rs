//! What a hub knows of another member that may share it.

use core::time::Duration;

use crate::id::{Boot, Member};
use crate::message::{Attributes, Phase};
use crate::stream::{Inbound, Outbound};
use crate::time::Time;

/// The first wait before a hello without an answer is said again; doubles up to [`HELLO_MAX`].
const HELLO_MIN: Duration = Duration::from_millis(500);
/// The longest such wait: a node that does not run the hub is asked that often.
const HELLO_MAX: Duration = Duration::from_secs(15);

/// Another member, in one life.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    pub(crate) member: Member,
    /// Since when it is known, or known anew.
    pub(crate) since: Time,
    /// How far it is; `None` until its hello was accepted.
    pub(crate) phase: Option<Phase>,
    /// What it says of itself.
    pub(crate) attributes: Attributes,
    /// The boot in its pids.
    pub(crate) minted: Boot,
    /// Its configuration differs, and that was told.
    pub(crate) mismatch: bool,
    /// It was not admitted, and that was told.
    pub(crate) refused: bool,
    /// Its declared set was compared with ours at least once.
    pub(crate) compared: bool,
    /// It was compared with ours since its present stream began: what it knew before that is known here.
    pub(crate) heard_out: bool,
    /// When the last comparison with it that is over began.
    pub(crate) compared_at: Time,
    /// It had the same declared as this node, and had seen all that this node has seen removed by then.
    pub(crate) same_at: Time,
    pub(crate) out: Option<Outbound>,
    pub(crate) inb: Inbound,
    /// What is to be acknowledged at the end of this step.
    pub(crate) ack: Option<(u32, u64)>,
    /// What is sent to it is dropped for now: its stream waits.
    pub(crate) held: bool,
    hello_at: Time,
    hello_wait: Duration,
}

impl Peer {
    pub(crate) fn new(member: Member, now: Time) -> Self {
        Self {
            minted: member.boot,
            member,
            since: now,
            phase: None,
            attributes: Attributes::default(),
            mismatch: false,
            refused: false,
            compared: false,
            heard_out: false,
            compared_at: Time(0),
            same_at: Time(0),
            out: None,
            inb: Inbound::default(),
            ack: None,
            held: false,
            hello_at: now + HELLO_MIN,
            hello_wait: HELLO_MIN,
        }
    }

    pub(crate) fn is_accepted(&self) -> bool {
        self.phase.is_some()
    }

    /// It says something of itself. Says whether that is news: what it said earlier may come later.
    pub(crate) fn describes(&mut self, attributes: Attributes) -> bool {
        let news = attributes.version >= self.attributes.version && attributes != self.attributes;
        if news {
            self.attributes = attributes;
        }
        news
    }

    /// Whether it is to be in the view.
    pub(crate) fn takes_part(&self) -> bool {
        matches!(self.phase, Some(Phase::Ready | Phase::Leaving))
    }

    /// Which changes of this node it has acknowledged: all up to this one.
    pub(crate) fn heard_op(&self) -> u64 {
        self.out.as_ref().map_or(0, Outbound::acked_op)
    }

    /// It has to say hello again before it is listened to. Returns its rows.
    pub(crate) fn reset(&mut self, now: Time) -> Inbound {
        self.phase = None;
        self.since = now;
        // What changes from here on is not told to it, so the stream to it cannot be resumed.
        self.out = None;
        self.ack = None;
        self.heard_out = false;
        self.hello_at = now + HELLO_MIN;
        self.hello_wait = HELLO_MIN;
        core::mem::take(&mut self.inb)
    }

    /// How far the stream to it is.
    pub(crate) fn told(&self) -> (u32, u64) {
        self.out.as_ref().map(Outbound::position).unwrap_or_default()
    }

    /// More of its stream may have come. Says whether more of what it has acknowledged counts by that.
    pub(crate) fn heard(&mut self) -> bool {
        self.out.as_mut().is_some_and(|out| out.heard(&self.inb))
    }

    /// When to say hello again.
    pub(crate) fn hello_deadline(&self) -> Option<Time> {
        (!self.is_accepted()).then_some(self.hello_at)
    }

    pub(crate) fn hello_said(&mut self, now: Time) {
        self.hello_at = now + self.hello_wait;
        self.hello_wait = (self.hello_wait * 2).min(HELLO_MAX);
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let speaking = self.is_accepted() && !self.held;
        let resend = self.out.as_ref().filter(|_| speaking).and_then(Outbound::deadline);
        [resend, self.hello_deadline()].into_iter().flatten().min()
    }
}
