//! One thing that is done to a simulated cluster from outside, and how it is done.

use std::time::Duration;

use process_hub_core::hashing::stable_hash;
use process_hub_core::id::ChildId;
use process_hub_core::request::{ChildMapping, OnFailure, Request, StartOptions, StopOptions, Target};
use process_hub_core::spec::{ChildSpec, Metadata, Restart};
use process_hub_core::steering::{Change, Steer};
use serde::{Deserialize, Serialize};

use super::named;
use crate::client::{child_id, counter};
use crate::oracles::ledger;
use crate::oracles::seen::Seen;
use crate::sim::HostId;
use crate::sim::child::ChildFaults;
use crate::sim::world::{NetFaults, World, node_name};

/// What operators say that a node has.
const LABELS: [&str; 2] = ["fast", "near"];

/// One thing that is done at a certain time. Spans are in microseconds, hosts are written as `n1`, children as `c0`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When, in simulated microseconds.
    pub at: u64,
    /// Decisions with the same number belong to one fault, and are left out together first.
    pub fault: u32,
    /// What.
    #[serde(flatten)]
    pub act: Act,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names of the fields say it all, and one variant a line is easier to read")]
pub enum Act {
    /// The process of a host starts in a new life, with a boot below the last one if `lower`.
    Boot {
        #[serde(with = "named")]
        host: HostId,
        lower: bool,
    },
    /// The process of a host ends at once; its sockets close unless the machine falls `silent`.
    Crash {
        #[serde(with = "named")]
        host: HostId,
        silent: bool,
    },
    /// The process of a host ends and starts again at once, in a new life and with other settings of the hub.
    Skew {
        #[serde(with = "named")]
        host: HostId,
    },
    /// A host saves what is declared, as it knows it.
    Save {
        #[serde(with = "named")]
        host: HostId,
    },
    /// A host that is leaving is killed.
    KillLeaver {
        #[serde(with = "named")]
        host: HostId,
    },
    /// A host handles nothing for a while.
    Pause {
        #[serde(with = "named")]
        host: HostId,
        span: u64,
    },
    /// One fault more holds the frames of a direction.
    Cut {
        #[serde(with = "named")]
        from: HostId,
        #[serde(with = "named")]
        to: HostId,
    },
    /// One fault less does.
    Uncut {
        #[serde(with = "named")]
        from: HostId,
        #[serde(with = "named")]
        to: HostId,
    },
    /// Frames of a direction take so many times as long.
    SlowLink {
        #[serde(with = "named")]
        from: HostId,
        #[serde(with = "named")]
        to: HostId,
        factor: u64,
    },
    /// A host is busy for so long with each input.
    SlowNode {
        #[serde(with = "named")]
        host: HostId,
        service: u64,
    },
    /// The connection between two hosts breaks.
    Disconnect {
        #[serde(with = "named")]
        from: HostId,
        #[serde(with = "named")]
        to: HostId,
    },
    /// The queue of a direction is full for a while.
    Congest {
        #[serde(with = "named")]
        from: HostId,
        #[serde(with = "named")]
        to: HostId,
        span: u64,
    },
    /// A node leaves the cluster, or only the hub.
    Leave {
        #[serde(with = "named")]
        host: HostId,
        deadline: u64,
        hub_only: bool,
    },
    /// All faults end. The core is whole and connected from now on; of the others some die, some are cut off for good.
    Heal {
        #[serde(with = "named::list")]
        core: Vec<HostId>,
        #[serde(with = "named::list")]
        crashed: Vec<HostId>,
        #[serde(with = "named::list")]
        silenced: Vec<HostId>,
    },
    /// An operator says how large the cluster is.
    ResetSize {
        #[serde(with = "named")]
        host: HostId,
        size: u32,
    },
    /// A caller starts children.
    Start {
        #[serde(with = "named")]
        host: HostId,
        children: Vec<Declared>,
        wait: bool,
        timeout: u64,
        check_existing: bool,
        rollback: bool,
        /// How many nodes each child is mapped to; 0 where callers map none.
        mapped: usize,
    },
    /// A caller stops children.
    Stop {
        #[serde(with = "named")]
        host: HostId,
        children: Vec<usize>,
        wait: bool,
        timeout: u64,
    },
    /// A caller sends a message to a child and waits for the answer.
    Call {
        #[serde(with = "named")]
        host: HostId,
        child: usize,
        operation: u64,
        timeout: u64,
    },
    /// A caller sends a message to a child.
    Cast {
        #[serde(with = "named")]
        host: HostId,
        child: usize,
        operation: u64,
    },
    /// An operator gives a child to a node.
    Migrate {
        #[serde(with = "named")]
        host: HostId,
        child: usize,
        #[serde(with = "named")]
        to: HostId,
        timeout: u64,
    },
    /// An operator empties a node.
    Drain {
        #[serde(with = "named")]
        host: HostId,
        deadline: u64,
    },
    /// An operator changes a node's share.
    Weight {
        #[serde(with = "named")]
        host: HostId,
        weight: u32,
    },
    /// An operator says that a node has the first few of the labels that there are.
    Labels {
        #[serde(with = "named")]
        host: HostId,
        labels: usize,
    },
    /// An operator does or asks something without further details.
    Operate {
        #[serde(with = "named")]
        host: HostId,
        what: Operation,
    },
    /// An operator asks why a child is where it is.
    Explain {
        #[serde(with = "named")]
        host: HostId,
        child: usize,
    },
    /// An operator asks what it would mean if a node left.
    Plan {
        #[serde(with = "named")]
        host: HostId,
        #[serde(with = "named")]
        leaves: HostId,
    },
}

/// What an operator does to a node or a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// The node is given nothing new.
    Cordon,
    /// Undoes that.
    Uncordon,
    /// Undoes a drain.
    Undrain,
    /// Copies stay where they are.
    Pause,
    /// Undoes that.
    Resume,
}

/// A child in a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// Its number.
    pub child: usize,
    /// The number of this start of it, never used twice.
    pub version: u64,
    /// When it is restarted.
    pub restart: Restarts,
    /// Whether it has metadata.
    pub tagged: bool,
}

/// When a child is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restarts {
    /// Always.
    Permanent,
    /// When it fails.
    Transient,
    /// Never.
    Temporary,
}

impl Declared {
    pub(crate) fn spec(self) -> ChildSpec {
        let restart = match self.restart {
            Restarts::Permanent => Restart::Permanent,
            Restarts::Transient => Restart::Transient,
            Restarts::Temporary => Restart::Temporary,
        };
        let spec = ChildSpec::new(child_id(self.child), counter(), ledger::args(self.version)).restart(restart);
        if self.tagged { spec.metadata(Metadata::new().with("tag", "some")) } else { spec }
    }
}

fn payload(operation: u64) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(&operation.to_le_bytes())
}

/// The nodes that callers map a child to. All callers of a child name the same, or else two starts at once would be of
/// one child in two places, which no strategy undoes before they know of each other.
fn mapping(world: &World, children: &[Declared], copies: usize) -> Option<ChildMapping> {
    let nodes = world.config.nodes.len();
    let place = |id: &ChildId| usize::try_from(stable_hash(id.as_str().as_bytes()) >> 32).unwrap_or(0);
    let mapped = |id: &ChildId| (0..copies).map(|copy| node_name((place(id) + copy) % nodes)).collect();
    let ids = children.iter().map(|declared| child_id(declared.child));
    (copies > 0).then(|| ids.map(|id| (id.clone(), mapped(&id))).collect())
}

impl Act {
    /// Does it.
    pub(crate) fn carry_out(&self, world: &mut World) {
        match *self {
            Act::Boot { host, lower } => boot(world, host, lower),
            Act::Crash { host, silent } => world.crash(host, silent),
            Act::Skew { host } => {
                world.count("other_settings");
                world.crash(host, false);
                world.boot_with(host, false, true);
            }
            Act::Save { host } => world.save(host),
            Act::KillLeaver { host } => {
                if world.hosts[host].life.as_ref().is_some_and(|life| life.leaving.is_some()) {
                    world.count("leave_killed_midway");
                    world.crash(host, false);
                }
            }
            Act::Pause { host, span } => world.pause(host, world.now + span),
            Act::Cut { from, to } => world.cut(from, to),
            Act::Uncut { from, to } => world.uncut(from, to),
            Act::SlowLink { from, to, factor } => {
                world.net.set_slow(from, to, factor);
                world.tell(&Seen::Disturbed { host: from });
                world.tell(&Seen::Disturbed { host: to });
            }
            Act::SlowNode { host, service } => {
                world.hosts[host].service = service;
                world.tell(&Seen::Disturbed { host });
            }
            Act::Disconnect { from, to } => {
                if world.disconnect(from, to) {
                    world.count("disconnect");
                }
            }
            Act::Congest { from, to, span } => world.congest(from, to, world.now + span),
            Act::Heal { ref core, ref crashed, ref silenced } => heal(world, core, crashed, silenced),
            _ => self.ask(world),
        }
    }

    /// A caller or an operator asks a node for something, if it is up.
    fn ask(&self, world: &mut World) {
        let Some((host, request)) = self.request(world) else { return };
        if !world.is_up(host) {
            return;
        }
        world.count(match &request {
            Request::Start { .. } => "request_start",
            Request::Stop { .. } => "request_stop",
            Request::Call { .. } => "request_call",
            Request::Steer { .. } => "request_steer",
            Request::ResetClusterSize { .. } => "reset_size",
            Request::Leave { .. } | Request::LeaveHub { .. } => "leave",
            _ => "request_other",
        });
        world.request(host, request);
    }

    fn request(&self, world: &World) -> Option<(HostId, Request)> {
        let hub = world.hub_id().clone();
        let span = Duration::from_micros;
        let steer = |host, act| Some((host, Request::Steer { hub: hub.clone(), act }));
        Some(match *self {
            Act::Leave { host, deadline, hub_only: true } => {
                (host, Request::LeaveHub { hub, deadline: span(deadline) })
            }
            Act::Leave { host, deadline, hub_only: false } => (host, Request::Leave { deadline: span(deadline) }),
            Act::ResetSize { host, size } => (host, Request::ResetClusterSize { hub, size }),
            Act::Start { host, ref children, wait, timeout, check_existing, rollback, mapped } => {
                let on_failure = if rollback { OnFailure::Rollback } else { OnFailure::Continue };
                let child_mapping = mapping(world, children, mapped);
                let children = children.iter().map(|declared| declared.spec()).collect();
                let options = StartOptions { wait, timeout: span(timeout), check_existing, on_failure, child_mapping };
                (host, Request::Start { hub, children, options })
            }
            Act::Stop { host, ref children, wait, timeout } => {
                let ids = children.iter().copied().map(child_id).collect();
                (host, Request::Stop { hub, ids, options: StopOptions { wait, timeout: span(timeout) } })
            }
            Act::Call { host, child, operation, timeout } => {
                let (to, payload) = (Target::Child(child_id(child)), payload(operation));
                (host, Request::Call { hub, to, payload, timeout: span(timeout) })
            }
            Act::Cast { host, child, operation } => {
                (host, Request::Cast { hub, to: Target::Child(child_id(child)), payload: payload(operation) })
            }
            Act::Migrate { host, child, to, timeout } => {
                let (id, to, timeout) = (child_id(child), node_name(to), span(timeout));
                return steer(host, Steer::Migrate { id, to, timeout });
            }
            Act::Drain { host, deadline } => return steer(host, Steer::Drain { deadline: span(deadline) }),
            Act::Weight { host, weight } => return steer(host, Steer::Weight(weight)),
            Act::Labels { host, labels } => {
                return steer(host, Steer::Labels(LABELS.iter().take(labels).collect()));
            }
            Act::Operate { host, what } => return steer(host, what.steer()),
            Act::Explain { host, child } => (host, Request::Explain { hub, id: child_id(child) }),
            Act::Plan { host, leaves } => (host, Request::Plan { hub, change: Change::Leave(node_name(leaves)) }),
            _ => return None,
        })
    }
}

impl Operation {
    fn steer(self) -> Steer {
        match self {
            Operation::Cordon => Steer::Cordon,
            Operation::Uncordon => Steer::Uncordon,
            Operation::Undrain => Steer::Undrain,
            Operation::Pause => Steer::Pause,
            Operation::Resume => Steer::Resume,
        }
    }
}

fn boot(world: &mut World, host: HostId, lower: bool) {
    if world.is_up(host) {
        return;
    }
    let again = world.hosts[host].lives > 0;
    if again {
        world.count("restart");
    }
    if again && lower {
        world.count("restart_with_lower_boot");
    }
    world.boot(host, lower);
}

/// Ends all faults. The core is whole and connected from now on; the others stay dead or cut off for good.
fn heal(world: &mut World, core: &[HostId], crashed: &[HostId], silenced: &[HostId]) {
    world.healed = true;
    world.want_moments = false;
    world.child_faults = ChildFaults::default();
    world.net_faults =
        NetFaults { jitter: world.net_faults.jitter, codec: world.net_faults.codec, ..NetFaults::default() };
    let astray: Vec<_> = world.late.iter_mut().filter_map(Option::take).collect();
    astray.iter().for_each(|(_, _, letter)| world.lose(letter.number, "it went astray"));
    let hosts = world.hosts.len();
    for host in 0..hosts {
        world.hosts[host].service = 0;
        world.hosts[host].busy_until = world.hosts[host].busy_until.min(world.now);
        world.wake_at(host, world.now);
        if world.hosts[host].life.as_ref().is_some_and(|life| life.leaving.is_some()) {
            world.crash(host, false);
        }
        if world.hosts[host].skewed {
            world.crash(host, false);
        }
        if crashed.contains(&host) || silenced.contains(&host) {
            world.crash(host, silenced.contains(&host));
        }
        if core.contains(&host) && !world.is_up(host) {
            world.boot(host, false);
        }
    }
    for from in 0..hosts {
        for to in 0..hosts {
            world.net.set_slow(from, to, 1);
            if core.contains(&from) && core.contains(&to) {
                world.mend(from, to);
            } else if from != to {
                world.cut(from, to);
            }
        }
    }
    let links: Vec<u32> = world.net.links.keys().copied().collect();
    for link in links {
        (0..2).for_each(|dir| world.drain(link, dir));
    }
    for host in core {
        // What operators did about nodes is undone, too, so that children are where their strategy wants them.
        for act in [Steer::Undrain, Steer::Uncordon, Steer::Weight(1), Steer::Resume] {
            world.request(*host, Request::Steer { hub: world.hub_id().clone(), act });
        }
        world.start_neighbours_children(*host);
    }
    world.tell(&Seen::Healed { core });
}
