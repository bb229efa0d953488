//! A failing run is made smaller: whatever the failure does not need is left out, piece by piece, as long as the same
//! oracle still fails.

use std::collections::BTreeSet;

use crate::decisions::{Act, ClockSetup, Decision, Decisions};
use crate::oracles::seen::Violation;
use crate::run::{Stage, try_out};
use crate::sim::dice::Quirk;

/// How many inputs of nodes all tries together may take: about a minute on one core. It does not depend on the machine,
/// so that neither does the outcome.
const BUDGET: u64 = 12_000_000;

/// What is left of a run.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest run that was found.
    pub decisions: Decisions,
    /// What it violates.
    pub violation: Violation,
    /// How many events the run had, and has.
    pub events: (usize, usize),
    /// How many smaller runs were tried.
    pub tries: u64,
}

/// Makes a run smaller that violates something.
///
/// # Errors
/// When it violates nothing, or nothing can be simulated that way.
pub fn shrink(decisions: &Decisions) -> Result<Shrunk, String> {
    let (stage, violation, _) = try_out(decisions, Stage::Quiet)?;
    let violation = violation.ok_or("the run violates nothing: there is nothing to shrink")?;
    let mut best = decisions.clone();
    best.violates = Some(violation.oracle.to_owned());
    let (oracle, before) = (violation.oracle, best.len());
    let mut shrinker = Shrinker { best, violation, oracle, stage, tries: 0, inputs: 0 };
    shrinker.truncate();
    loop {
        let size = shrinker.size();
        shrinker.round();
        if shrinker.size() == size || shrinker.is_spent() {
            break;
        }
    }
    let Shrinker { mut best, violation, tries, .. } = shrinker;
    // What is left is numbered anew.
    for (number, decision) in best.decisions.iter_mut().enumerate() {
        decision.fault = u32::try_from(number).unwrap_or(u32::MAX);
    }
    let events = (before, best.len());
    Ok(Shrunk { decisions: best, violation, events, tries })
}

struct Shrinker {
    best: Decisions,
    violation: Violation,
    oracle: &'static str,
    /// How far a run has to go to show the violation.
    stage: Stage,
    tries: u64,
    inputs: u64,
}

impl Shrinker {
    fn is_spent(&self) -> bool {
        self.inputs >= BUDGET
    }

    /// What every round must make smaller: events, then children named, then nodes and settings.
    fn size(&self) -> (usize, usize, usize, u64) {
        let named = |decision: &Decision| match &decision.act {
            Act::Start { children, .. } => children.len(),
            Act::Stop { children, .. } => children.len(),
            Act::Heal { core, .. } => core.len(),
            _ => 0,
        };
        let named = self.best.decisions.iter().map(named).sum();
        (self.best.len(), named, self.best.setup.nodes, self.best.setup.faults_until)
    }

    /// Takes a smaller run if it still violates the same.
    fn take(&mut self, smaller: Decisions) -> bool {
        if self.is_spent() || smaller == self.best {
            return false;
        }
        self.tries += 1;
        let Ok((_, violation, inputs)) = try_out(&smaller, self.stage) else { return false };
        // Even a run that fails at once takes some time to set up.
        self.inputs += inputs + 200;
        match violation.filter(|violation| violation.oracle == self.oracle) {
            Some(violation) => {
                (self.best, self.violation) = (smaller, violation);
                true
            }
            None => false,
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Decisions)) -> bool {
        let mut smaller = self.best.clone();
        change(&mut smaller);
        self.take(smaller)
    }

    /// What happens after the violation was not its cause.
    fn truncate(&mut self) {
        let time = self.violation.time;
        if self.stage == Stage::Faults {
            self.change(|run| {
                run.decisions.retain(|decision| decision.at <= time);
                run.setup.faults_until = time;
            });
        }
    }

    fn round(&mut self) {
        self.without_faults();
        self.without_hosts();
        self.without_children();
        self.without_decisions();
        self.without_quirks();
        self.without_names();
        self.simpler_setup();
        self.fewer_nodes();
        self.sooner();
        self.truncate();
    }

    /// Leaves out what the numbers in `all` stand for, in ever smaller pieces.
    fn without<T: Copy + Ord>(&mut self, all: Vec<T>, leave_out: impl Fn(&mut Decisions, &BTreeSet<T>)) {
        let mut left = all;
        let mut piece = left.len();
        while piece > 0 && !self.is_spent() {
            let mut at = 0;
            while at < left.len() {
                let end = (at + piece).min(left.len());
                let out: BTreeSet<T> = left[at..end].iter().copied().collect();
                if self.change(|run| leave_out(run, &out)) {
                    left.drain(at..end);
                } else {
                    at = end;
                }
            }
            piece /= 2;
        }
    }

    fn without_faults(&mut self) {
        let all: BTreeSet<u32> = self.best.decisions.iter().map(|decision| decision.fault).collect();
        self.without(all.into_iter().collect(), |run, out| {
            run.decisions.retain(|decision| is_heal(&decision.act) || !out.contains(&decision.fault));
        });
    }

    fn without_hosts(&mut self) {
        for host in 0..self.best.setup.nodes {
            self.change(|run| without_host(run, host));
        }
    }

    fn without_children(&mut self) {
        let all: BTreeSet<usize> = self.best.decisions.iter().flat_map(|decision| children(&decision.act)).collect();
        self.without(all.into_iter().collect(), |run, out| {
            run.decisions.retain_mut(|decision| keep_children(&mut decision.act, |child| !out.contains(&child)));
        });
    }

    fn without_decisions(&mut self) {
        // By what they are, not by where they are: places shift as others are left out.
        for (number, decision) in self.best.decisions.iter_mut().enumerate() {
            decision.fault = u32::try_from(number).unwrap_or(u32::MAX);
        }
        self.without_faults();
    }

    fn without_quirks(&mut self) {
        let all: Vec<Quirk> = self.best.quirks.clone();
        self.without((0..all.len()).collect(), |run, out| {
            run.quirks.retain(|quirk| !out.iter().any(|at| all[*at] == *quirk));
        });
    }

    /// Starts and stops of many children are made starts and stops of fewer.
    fn without_names(&mut self) {
        for at in 0..self.best.decisions.len() {
            for child in children(&self.best.decisions[at].act) {
                let mut act = self.best.decisions[at].act.clone();
                if keep_children(&mut act, |other| other != child) {
                    self.change(|run| run.decisions[at].act = act);
                }
            }
        }
    }

    fn simpler_setup(&mut self) {
        self.change(|run| run.setup.codec = false);
        self.change(|run| run.setup.altering = false);
        self.change(|run| run.setup.disks = false);
        self.change(|run| run.setup.disks_lag = false);
        self.change(|run| run.setup.mailbox = None);
        self.change(|run| run.setup.neighbour = false);
        self.change(|run| run.setup.aliases.clear());
        self.change(|run| run.setup.jitter = 0);
        self.change(|run| run.setup.prompt = true);
        self.change(|run| run.setup.delay = 500);
        let plain = ClockSetup { offset: 1, ppm: 0 };
        self.change(|run| run.setup.clocks.iter_mut().for_each(|clock| *clock = plain));
        let fields: Vec<String> = self.best.setup.hub.keys().cloned().collect();
        for field in fields {
            self.change(|run| drop(run.setup.hub.remove(&field)));
        }
    }

    /// The last nodes, if nothing speaks of them.
    fn fewer_nodes(&mut self) {
        let named = self.best.decisions.iter().flat_map(|decision| decision.act.hosts()).max();
        let nodes = named.map_or(1, |host| host + 1);
        if nodes < self.best.setup.nodes {
            self.change(|run| {
                run.setup.nodes = nodes;
                run.setup.clocks.truncate(nodes);
                run.setup.aliases.retain(|(one, other)| *one.max(other) < nodes);
            });
        }
    }

    /// Waits between two decisions are made shorter, and times round.
    fn sooner(&mut self) {
        for at in 0..self.best.decisions.len() {
            let before = at.checked_sub(1).map_or(0, |before| self.best.decisions[before].at);
            let wait = self.best.decisions[at].at - before;
            for shorter in [0, 1_000, wait / 10 / 1_000 * 1_000, wait / 2 / 1_000 * 1_000] {
                let sooner = |run: &mut Decisions| {
                    let by = wait - shorter;
                    run.decisions[at..].iter_mut().for_each(|decision| decision.at -= by);
                    run.setup.faults_until = run.setup.faults_until.saturating_sub(by);
                };
                if shorter < wait && self.change(sooner) {
                    break;
                }
            }
        }
    }
}

fn is_heal(act: &Act) -> bool {
    matches!(act, Act::Heal { .. })
}

/// The children that a request names.
fn children(act: &Act) -> Vec<usize> {
    match act {
        Act::Start { children, .. } => children.iter().map(|declared| declared.child).collect(),
        Act::Stop { children, .. } => children.clone(),
        Act::Call { child, .. } | Act::Cast { child, .. } | Act::Migrate { child, .. } | Act::Explain { child, .. } => {
            vec![*child]
        }
        _ => Vec::new(),
    }
}

/// Keeps only some children of a request; false if there is none left of those it named.
fn keep_children(act: &mut Act, keep: impl Fn(usize) -> bool) -> bool {
    match act {
        Act::Start { children, .. } => {
            children.retain(|declared| keep(declared.child));
            !children.is_empty()
        }
        Act::Stop { children, .. } => {
            children.retain(|child| keep(*child));
            !children.is_empty()
        }
        Act::Call { child, .. } | Act::Cast { child, .. } | Act::Migrate { child, .. } | Act::Explain { child, .. } => {
            keep(*child)
        }
        _ => true,
    }
}

/// As if a host had never been there.
fn without_host(run: &mut Decisions, host: usize) {
    for decision in &mut run.decisions {
        if let Act::Heal { core, crashed, silenced } = &mut decision.act {
            [core, crashed, silenced].into_iter().for_each(|hosts| hosts.retain(|other| *other != host));
        }
    }
    run.decisions.retain(|decision| is_heal(&decision.act) || !decision.act.hosts().contains(&host));
    run.quirks.retain(|quirk| quirk.host != host);
}
