//! A run written by hand, or by the shrinker: line by line what is done and when.
//!
//! ```
//! use process_hub_simtests::decisions::Script;
//!
//! let mut script = Script::new(7, 3);
//! script.set("stop_timeout", "500ms").set("partition", "divergence");
//! script.at(0).boot("n1").boot("n2").boot("n3");
//! script.at(1_000_000).start("n1", &["c0", "c1"]);
//! script.at(2_000_000).cut("n1", "n2").cut("n2", "n1");
//! script.at(2_500_000).stop("n2", &["c0"]);
//! script.at(4_000_000).heal(&["n1", "n2", "n3"]);
//! script.assert_holds();
//! ```

use std::collections::BTreeMap;

use super::{Act, ClockSetup, Decision, Decisions, Declared, Operation, Restarts, Setup, named};
use crate::sim::HostId;
use crate::sim::dice::Quirk;

/// A run that is being written.
#[derive(Clone, Debug)]
pub struct Script {
    made: Decisions,
    now: u64,
    last: u64,
}

fn host(name: &str) -> HostId {
    named::number(name).unwrap_or_else(|error| panic!("{error}"))
}

fn hosts(names: &[&str]) -> Vec<HostId> {
    names.iter().copied().map(host).collect()
}

fn child(name: &str) -> usize {
    let number = name.strip_prefix('c').and_then(|digits| digits.parse().ok());
    number.unwrap_or_else(|| panic!("`{name}` is no child: they are called c0, c1 and so on"))
}

fn children(names: &[&str]) -> Vec<usize> {
    names.iter().copied().map(child).collect()
}

/// How long requests wait where a script does not say.
const TIMEOUT: u64 = 5_000_000;

impl Script {
    /// A run of so many nodes with default settings; the seed decides on delays and the like.
    ///
    /// All methods panic on names that are none, and on settings that make no sense.
    #[must_use]
    pub fn new(seed: u64, nodes: usize) -> Self {
        let setup = Setup {
            seed,
            nodes,
            hub: BTreeMap::new(),
            clocks: vec![ClockSetup { offset: 1, ppm: 0 }; nodes],
            delay: 500,
            jitter: 0,
            dial_timeout: 1_000_000,
            codec: false,
            aliases: Vec::new(),
            altering: false,
            disks: false,
            disks_lag: false,
            mailbox: None,
            neighbour: false,
            insider: None,
            prompt: true,
            faults_until: 0,
            long_quiet: true,
            brief: false,
            sabotage: None,
        };
        Self { made: Decisions::new(setup, Vec::new(), Vec::new()), now: 0, last: 0 }
    }

    /// Changes what is simulated besides the hub.
    pub fn setup(&mut self, change: impl FnOnce(&mut Setup)) -> &mut Self {
        change(&mut self.made.setup);
        self
    }

    /// Sets one of the settings of the hub.
    pub fn set(&mut self, field: &str, value: &str) -> &mut Self {
        self.made.setup.hub.insert(field.to_owned(), value.to_owned());
        self
    }

    /// What follows happens at this time, in microseconds, not before what was written already.
    pub fn at(&mut self, time: u64) -> &mut Self {
        assert!(time >= self.now, "{time} lies before {}", self.now);
        self.now = time;
        self
    }

    /// Does something.
    pub fn act(&mut self, act: Act) -> &mut Self {
        let fault = u32::try_from(self.made.decisions.len()).unwrap_or(0);
        self.made.decisions.push(Decision { at: self.now, fault, act });
        self.made.setup.faults_until = self.now;
        self
    }

    /// The process of a node starts.
    pub fn boot(&mut self, node: &str) -> &mut Self {
        self.act(Act::Boot { host: host(node), lower: false })
    }

    /// The process of a node starts, with a boot below its last one.
    pub fn boot_lower(&mut self, node: &str) -> &mut Self {
        self.act(Act::Boot { host: host(node), lower: true })
    }

    /// The process of a node ends at once.
    pub fn crash(&mut self, node: &str) -> &mut Self {
        self.act(Act::Crash { host: host(node), silent: false })
    }

    /// A machine is switched off: nobody is told.
    pub fn switch_off(&mut self, node: &str) -> &mut Self {
        self.act(Act::Crash { host: host(node), silent: true })
    }

    /// A node leaves.
    pub fn leave(&mut self, node: &str, deadline: u64) -> &mut Self {
        self.act(Act::Leave { host: host(node), deadline, hub_only: false })
    }

    /// The process of a node ends, and starts again at once with other settings of the hub.
    pub fn skew(&mut self, node: &str) -> &mut Self {
        self.act(Act::Skew { host: host(node) })
    }

    /// A node saves what is declared, as it knows it.
    pub fn save(&mut self, node: &str) -> &mut Self {
        self.act(Act::Save { host: host(node) })
    }

    /// A node that leaves is killed.
    pub fn kill_leaver(&mut self, node: &str) -> &mut Self {
        self.act(Act::KillLeaver { host: host(node) })
    }

    /// A node handles nothing for so many microseconds.
    pub fn pause(&mut self, node: &str, span: u64) -> &mut Self {
        self.act(Act::Pause { host: host(node), span })
    }

    /// Frames of a direction are held.
    pub fn cut(&mut self, from: &str, to: &str) -> &mut Self {
        self.act(Act::Cut { from: host(from), to: host(to) })
    }

    /// They flow again.
    pub fn uncut(&mut self, from: &str, to: &str) -> &mut Self {
        self.act(Act::Uncut { from: host(from), to: host(to) })
    }

    /// Frames of a direction take so many times as long.
    pub fn slow_link(&mut self, from: &str, to: &str, factor: u64) -> &mut Self {
        self.act(Act::SlowLink { from: host(from), to: host(to), factor })
    }

    /// A node is busy for so many microseconds with each input.
    pub fn slow_node(&mut self, node: &str, service: u64) -> &mut Self {
        self.act(Act::SlowNode { host: host(node), service })
    }

    /// The connection of two nodes breaks.
    pub fn disconnect(&mut self, from: &str, to: &str) -> &mut Self {
        self.act(Act::Disconnect { from: host(from), to: host(to) })
    }

    /// The queue of a direction is full for so many microseconds.
    pub fn congest(&mut self, from: &str, to: &str, span: u64) -> &mut Self {
        self.act(Act::Congest { from: host(from), to: host(to), span })
    }

    /// All faults end; these nodes are whole and connected from now on, the others cut off for good.
    pub fn heal(&mut self, core: &[&str]) -> &mut Self {
        self.heal_without(core, &[], &[])
    }

    /// The same, and some others crash, or are switched off.
    pub fn heal_without(&mut self, core: &[&str], crashed: &[&str], silenced: &[&str]) -> &mut Self {
        let (core, crashed, silenced) = (hosts(core), hosts(crashed), hosts(silenced));
        self.act(Act::Heal { core, crashed, silenced })
    }

    /// A caller starts permanent children and waits; each start has a number of its own.
    pub fn start(&mut self, node: &str, names: &[&str]) -> &mut Self {
        let declared = |child| {
            self.last += 1;
            Declared { child, version: self.last, restart: Restarts::Permanent, tagged: false }
        };
        let children = children(names).into_iter().map(declared).collect();
        let (host, wait, timeout, check_existing, rollback, mapped) = (host(node), true, TIMEOUT, false, false, 0);
        self.act(Act::Start { host, children, wait, timeout, check_existing, rollback, mapped })
    }

    /// A caller stops children and waits.
    pub fn stop(&mut self, node: &str, names: &[&str]) -> &mut Self {
        self.act(Act::Stop { host: host(node), children: children(names), wait: true, timeout: TIMEOUT })
    }

    /// An operator gives a child to a node.
    pub fn migrate(&mut self, node: &str, name: &str, to: &str, timeout: u64) -> &mut Self {
        self.act(Act::Migrate { host: host(node), child: child(name), to: host(to), timeout })
    }

    /// An operator empties a node.
    pub fn drain(&mut self, node: &str, deadline: u64) -> &mut Self {
        self.act(Act::Drain { host: host(node), deadline })
    }

    /// An operator does something to a node or to the hub.
    pub fn operate(&mut self, node: &str, what: Operation) -> &mut Self {
        self.act(Act::Operate { host: host(node), what })
    }

    /// Something goes out of the ordinary, as the shrinker writes it down.
    pub fn quirk(&mut self, what: &str, node: &str, of: &str, nth: u32) -> &mut Self {
        let what = serde_json::from_value(serde_json::Value::from(what));
        let what = what.unwrap_or_else(|error| panic!("nothing goes out of the ordinary like that: {error}"));
        self.made.quirks.push(Quirk { what, host: host(node), of: of.into(), nth });
        self
    }

    /// For how long the run goes on after its last decision, if it has no heal.
    pub fn until(&mut self, time: u64) -> &mut Self {
        self.at(time).made.setup.faults_until = time;
        self
    }

    /// The decisions so far.
    #[must_use]
    pub fn decisions(&self) -> &Decisions {
        &self.made
    }

    /// Runs it. Panics if anything is violated.
    pub fn assert_holds(&self) {
        let report = crate::replay(&self.made, false).unwrap_or_else(|error| panic!("{error}"));
        if let Some(violation) = report.violations.first() {
            panic!("{violation}\n{}", self.made.prose());
        }
    }
}
