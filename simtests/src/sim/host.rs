//! One simulated host: its clock, and the life that runs on it, if one does.

use std::collections::{BTreeMap, VecDeque};

use process_hub_core::config::NodeConfig;
use process_hub_core::id::{Boot, ChildId, HubId, Member, RequestId};
use process_hub_core::request::Request;
use process_hub_core::{ChildEvent, DialFailure, LoadSample, Node, Queued, Time};

use super::event::HostId;
use super::moving::SimState;
use super::net::Letter;

/// A host's clock: it starts anywhere and runs a little fast or slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    /// What it showed at the beginning, in microseconds.
    pub(crate) offset: u64,
    /// How fast it runs, in millionths more than the true rate.
    pub(crate) ppm: i64,
}

const MILLION: i128 = 1_000_000;

impl Clock {
    /// What it shows at the true time `now`.
    pub(crate) fn at(self, now: u64) -> Time {
        let run = i128::from(now) * (MILLION + i128::from(self.ppm)) / MILLION;
        Time(self.offset.saturating_add(u64::try_from(run).unwrap_or(0)))
    }

    /// The first true time at which it shows `time` or more.
    pub(crate) fn when(self, time: Time) -> u64 {
        let run = i128::from(time.0.saturating_sub(self.offset));
        let rate = MILLION + i128::from(self.ppm);
        u64::try_from((run * MILLION + rate - 1) / rate).unwrap_or(u64::MAX)
    }
}

/// Something that waits to be handed to a node by its driver.
#[derive(Clone, Debug)]
pub(crate) enum Arrival {
    Frame {
        link: u32,
        dir: usize,
        letter: Letter,
    },
    /// The dialler learns that its link is open.
    Accept {
        link: u32,
        dial: u32,
    },
    Syn {
        dial: u32,
    },
    Fin {
        link: u32,
        dir: usize,
    },
    DialFailed {
        dial: u32,
        reason: DialFailure,
    },
    Late {
        from: HostId,
        letter: Letter,
    },
    Child {
        hub: HubId,
        sequence: u64,
        event: ChildEvent,
    },
    Request {
        id: RequestId,
        request: Request,
    },
    /// The user has alter handlers.
    Altering,
    Load {
        hub: HubId,
        sample: LoadSample,
    },
    Hungup {
        member: Member,
    },
    Congested {
        link: u32,
        dir: usize,
    },
    Drained {
        link: u32,
        dir: usize,
    },
}

/// How far an instance is, as its driver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Starting,
    Up,
    Stopping,
}

/// An instance that the driver of a host runs.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) hub: HubId,
    pub(crate) id: ChildId,
    pub(crate) stage: Stage,
    /// Told to stop while it was still starting.
    pub(crate) doomed: bool,
    /// The sum of what it was told to add: a counter child.
    pub(crate) value: u64,
    pub(crate) mailbox: VecDeque<Queued>,
    /// It is at work on the first message of its mailbox.
    pub(crate) in_hand: bool,
    /// It stands by.
    pub(crate) standby: bool,
    /// It is frozen.
    pub(crate) frozen: bool,
    /// It was asked for its state, under that mark, and has not given it.
    pub(crate) taking: Option<u32>,
    /// The state it was given and has not taken over, and whether to merge it.
    pub(crate) given: Option<(Option<SimState>, bool)>,
}

impl Running {
    pub(crate) fn starting(hub: HubId, id: ChildId, standby: bool) -> Self {
        Self {
            hub,
            id,
            stage: Stage::Starting,
            doomed: false,
            value: 0,
            mailbox: VecDeque::new(),
            in_hand: false,
            standby,
            frozen: false,
            taking: None,
            given: None,
        }
    }
}

/// One life of a node.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) number: u32,
    pub(crate) node: Node,
    pub(crate) instances: BTreeMap<u64, Running>,
    /// What alter handlers will answer.
    pub(crate) altering: BTreeMap<u64, std::sync::Arc<process_hub_core::spec::ChildSpec>>,
    /// The view hash that was last seen, so that a change is noticed cheaply.
    pub(crate) view_hash: u64,
    pub(crate) phase: Option<process_hub_core::message::Phase>,
    pub(crate) leaving: Option<RequestId>,
}

/// One simulated host.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) config: NodeConfig,
    pub(crate) clock: Clock,
    pub(crate) life: Option<Life>,
    pub(crate) lives: u32,
    /// Whether the machine answers at all when its process does not run.
    pub(crate) powered: bool,
    /// Whether its hub has other settings than those of the others.
    pub(crate) skewed: bool,
    /// Whether no instance comes up here.
    pub(crate) starts_fail: bool,
    /// What no earlier life used as a boot.
    pub(crate) boots: Vec<Boot>,
    /// What its last lives have saved of what was declared: the bytes of parts.
    pub(crate) disk: Vec<Vec<u8>>,
    /// Which life has saved last, and the print of what it saved.
    pub(crate) saved: Option<(u32, u64)>,
    pub(crate) inbox: VecDeque<Arrival>,
    /// Until when it handles nothing: paused, or slow and still at work.
    pub(crate) busy_until: u64,
    /// How long it works on one input, in microseconds.
    pub(crate) service: u64,
    pub(crate) wake_at: Option<u64>,
    pub(crate) tick_at: Option<u64>,
    /// How many ticks in a row came at one and the same true time.
    pub(crate) spins: (u64, u32),
}

impl Host {
    pub(crate) fn new(config: NodeConfig, clock: Clock) -> Self {
        Self {
            config,
            clock,
            life: None,
            lives: 0,
            powered: true,
            skewed: false,
            starts_fail: false,
            boots: Vec::new(),
            disk: Vec::new(),
            saved: None,
            inbox: VecDeque::new(),
            busy_until: 0,
            service: 0,
            wake_at: None,
            tick_at: None,
            spins: (0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_what_was_waited_for() {
        for ppm in [-200, -1, 0, 1, 200] {
            let clock = Clock { offset: 12_345_678, ppm };
            for wait in [0, 1, 999, 1_000_000, 77_777_777] {
                let wanted = Time(clock.offset + wait);
                let when = clock.when(wanted);
                assert!(clock.at(when) >= wanted, "{ppm} {wait}");
                assert!(when == 0 || clock.at(when - 1) < wanted, "{ppm} {wait}: not a moment later than needed");
            }
        }
    }
}
