//! What oracles are told, and how they answer.

use std::fmt;

use process_hub_core::id::{ChildId, Member, NodeId};
use process_hub_core::message::Phase;
use process_hub_core::registry::Lookup;
use process_hub_core::{Effect, Input};

use super::truth::Truth;
use crate::sim::HostId;
use crate::sim::moving::SimState;

/// One thing that the simulator saw. Oracles know nothing else, so a bad trace can be written by hand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen<'a> {
    /// A node came to life, with the settings that all have or, `skewed`, with others.
    Booted { host: HostId, member: &'a Member, skewed: bool },
    /// A node's life is over, with all its instances.
    Died { host: HostId },
    /// A host handles nothing from now on, or does so again.
    Stalled { host: HostId, on: bool },
    /// Frames from one host to another are held from now on, or flow again.
    Cut { from: HostId, to: HostId, on: bool },
    /// A fault touched this host's links or speed: what is called settled starts anew.
    Disturbed { host: HostId },
    /// A node is handed an input.
    Input { host: HostId, input: &'a Input },
    /// A node wants something done.
    Effect { host: HostId, effect: &'a Effect },
    /// An instance handles nothing from here on, until it serves again.
    Frozen { host: HostId, sequence: u64 },
    /// An instance has taken over this state, or merged it into its own.
    Took { host: HostId, sequence: u64, state: SimState, merge: bool },
    /// An instance serves: it is up, or stood by or was frozen until now.
    Serving { host: HostId, sequence: u64 },
    /// An instance is up no longer (its node may not know yet).
    Ended { host: HostId, sequence: u64 },
    /// An instance carried out an operation of a client.
    Applied { host: HostId, sequence: u64, operation: u64 },
    /// A hub's view or phase, or a node's own boot, is another than before.
    View { host: HostId, member: &'a Member, view: &'a [Member], hash: u64, phase: Phase },
    /// What a hub answers about a child, after a step that may have changed it.
    Row { host: HostId, id: &'a ChildId, lookup: Option<&'a Lookup>, owners: &'a [NodeId] },
    /// A step is over.
    Step { host: HostId, size: StepSize },
    /// Some time has passed.
    Probe,
    /// The faults are over; these hosts are whole and connected from now on, the others are gone for good.
    Healed { core: &'a [HostId] },
    /// All that a node of the core holds.
    Census { host: HostId, census: &'a Census },
    /// The convergence bound has passed; a census of every host of the core came before.
    Converged,
    /// Three times the convergence bound has passed.
    Finished,
    /// After all that, a host that nobody had heard of joined, and a child was started: what of it is not done within the
    /// convergence bound.
    Joined { host: HostId, lacks: Option<&'a str> },
}

/// The sorts of [`Seen`], as bits, so that an oracle is told only what it wants.
pub(crate) mod kind {
    pub(crate) const BOOTED: u32 = 1;
    pub(crate) const DIED: u32 = 1 << 1;
    pub(crate) const FAULT: u32 = 1 << 2;
    pub(crate) const INPUT: u32 = 1 << 3;
    pub(crate) const EFFECT: u32 = 1 << 4;
    pub(crate) const SERVING: u32 = 1 << 5;
    pub(crate) const ENDED: u32 = 1 << 6;
    pub(crate) const APPLIED: u32 = 1 << 7;
    pub(crate) const VIEW: u32 = 1 << 8;
    pub(crate) const ROW: u32 = 1 << 9;
    pub(crate) const STEP: u32 = 1 << 10;
    pub(crate) const PROBE: u32 = 1 << 11;
    pub(crate) const CENSUS: u32 = 1 << 12;
    pub(crate) const PHASE: u32 = 1 << 13;
    pub(crate) const MOVE: u32 = 1 << 14;
    pub(crate) const COUNT: usize = 15;
}

impl Seen<'_> {
    /// Which sort it is, one of the bits of [`kind`].
    #[must_use]
    pub(crate) fn kind(&self) -> u32 {
        match self {
            Seen::Booted { .. } => kind::BOOTED,
            Seen::Died { .. } => kind::DIED,
            Seen::Stalled { .. } | Seen::Cut { .. } | Seen::Disturbed { .. } => kind::FAULT,
            Seen::Input { .. } => kind::INPUT,
            Seen::Effect { .. } => kind::EFFECT,
            Seen::Serving { .. } => kind::SERVING,
            Seen::Frozen { .. } | Seen::Took { .. } => kind::MOVE,
            Seen::Ended { .. } => kind::ENDED,
            Seen::Applied { .. } => kind::APPLIED,
            Seen::View { .. } => kind::VIEW,
            Seen::Row { .. } => kind::ROW,
            Seen::Step { .. } => kind::STEP,
            Seen::Probe => kind::PROBE,
            Seen::Census { .. } => kind::CENSUS,
            Seen::Healed { .. } | Seen::Converged | Seen::Finished | Seen::Joined { .. } => kind::PHASE,
        }
    }
}

/// How much one step did, and what it left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StepSize {
    /// Items in the lists of the input.
    pub(crate) input: usize,
    /// Effects.
    pub(crate) effects: usize,
    /// Requests open afterwards.
    pub(crate) open: usize,
    /// Bytes sent to one member and not acknowledged, and messages that wait for one child: the most of each.
    pub(crate) waiting: (usize, usize),
    /// Ticks in a row without any time passing.
    pub(crate) spins: u32,
}

/// All that a node holds at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Census {
    /// Everything its registry lists, each child with its owners.
    pub(crate) rows: Vec<(ChildId, Lookup, Vec<NodeId>)>,
    /// The digest over what is declared.
    pub(crate) digest: u64,
    /// Whether it thinks that nothing is left to do.
    pub(crate) settled: bool,
    /// Whether it has no quorum.
    pub(crate) locked: bool,
    /// Requests that are open.
    pub(crate) open: usize,
    /// Moves of children that are under way.
    pub(crate) moves: usize,
    /// The instances it thinks it has.
    pub(crate) local: Vec<(ChildId, u64)>,
    /// How large its state is when written out, in bytes; not where it was not given the time to forget what is over.
    pub(crate) size: Option<usize>,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// Which invariant, as `INVARIANTS.md` numbers it.
    pub oracle: &'static str,
    /// When, in simulated microseconds.
    pub time: u64,
    /// Where, if at one place.
    pub host: Option<HostId>,
    /// Of which child, if of one.
    pub child: Option<String>,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}.{:06}s", self.oracle, self.time / 1_000_000, self.time % 1_000_000)?;
        if let Some(host) = self.host {
            write!(f, " on n{}", host + 1)?;
        }
        if let Some(child) = &self.child {
            write!(f, " child {child}")?;
        }
        write!(f, ": {}", self.text)
    }
}

/// Where an oracle puts what it found.
#[derive(Debug)]
pub(crate) struct Verdict<'a> {
    pub(crate) now: u64,
    pub(crate) oracle: &'static str,
    pub(crate) checked: &'a mut u64,
    pub(crate) violations: &'a mut Vec<Violation>,
}

impl Verdict<'_> {
    /// There was something real to check.
    pub(crate) fn checked(&mut self) {
        *self.checked += 1;
    }

    /// It does not hold.
    pub(crate) fn fails(&mut self, host: Option<HostId>, child: Option<&ChildId>, text: impl Into<String>) {
        let child = child.map(|id| id.as_str().to_owned());
        self.violations.push(Violation { oracle: self.oracle, time: self.now, host, child, text: text.into() });
    }

    /// [`Verdict::checked`], and [`Verdict::fails`] unless `holds`.
    pub(crate) fn check(&mut self, holds: bool, host: HostId, child: &ChildId, text: impl FnOnce() -> String) {
        self.checked();
        if !holds {
            self.fails(Some(host), Some(child), text());
        }
    }
}

/// Watches for one thing that must hold.
pub(crate) trait Oracle: fmt::Debug {
    /// Which, as `INVARIANTS.md` numbers it.
    fn id(&self) -> &'static str;

    /// Which sorts of [`Seen`] it wants to be told, bits of [`kind`].
    fn wants(&self) -> u32;

    /// Is told what was seen; `truth` includes it already.
    fn see(&mut self, seen: &Seen<'_>, truth: &Truth, verdict: &mut Verdict<'_>);
}
