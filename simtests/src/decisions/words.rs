//! Decisions in words.

use std::fmt;

use super::{Act, Decisions, Operation};
use crate::sim::HostId;
use crate::sim::dice::{Oddity, Quirk};

struct Node(HostId);

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0 + 1)
    }
}

fn nodes(hosts: &[HostId]) -> String {
    hosts.iter().map(|host| Node(*host).to_string()).collect::<Vec<_>>().join(", ")
}

fn children(numbers: impl Iterator<Item = usize>) -> String {
    numbers.map(|number| format!("c{number}")).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Act::Boot { host, lower: false } => write!(f, "{} starts", Node(*host)),
            Act::Boot { host, lower: true } => write!(f, "{} starts with a lower boot", Node(*host)),
            Act::Crash { host, silent: false } => write!(f, "{} crashes", Node(*host)),
            Act::Crash { host, silent: true } => write!(f, "{} is switched off", Node(*host)),
            Act::Skew { host } => write!(f, "{} starts with other settings", Node(*host)),
            Act::Save { host } => write!(f, "{} saves what is declared", Node(*host)),
            Act::KillLeaver { host } => write!(f, "{} is killed as it leaves", Node(*host)),
            Act::Pause { host, span } => write!(f, "{} stands still for {} ms", Node(*host), span / 1_000),
            Act::Cut { from, to } => write!(f, "{} is cut from {}", Node(*to), Node(*from)),
            Act::Uncut { from, to } => write!(f, "{} hears {} again", Node(*to), Node(*from)),
            Act::SlowLink { from, to, factor } => write!(f, "{} to {} takes {factor} x", Node(*from), Node(*to)),
            Act::SlowNode { host, service } => write!(f, "{} takes {service} us an input", Node(*host)),
            Act::Disconnect { from, to } => write!(f, "the link of {} and {} breaks", Node(*from), Node(*to)),
            Act::Congest { from, to, span } => {
                write!(f, "the queue of {} to {} is full for {} ms", Node(*from), Node(*to), span / 1_000)
            }
            Act::Leave { host, hub_only: false, .. } => write!(f, "{} leaves", Node(*host)),
            Act::Leave { host, hub_only: true, .. } => write!(f, "{} leaves the hub", Node(*host)),
            Act::Heal { core, .. } => write!(f, "all faults end, with {} left", nodes(core)),
            Act::ResetSize { host, size } => write!(f, "the size is reset to {size} at {}", Node(*host)),
            Act::Start { host, children: of, .. } => {
                write!(f, "start({}) at {}", children(of.iter().map(|declared| declared.child)), Node(*host))
            }
            Act::Stop { host, children: of, .. } => {
                write!(f, "stop({}) at {}", children(of.iter().copied()), Node(*host))
            }
            Act::Call { host, child, .. } => write!(f, "call(c{child}) at {}", Node(*host)),
            Act::Cast { host, child, .. } => write!(f, "cast(c{child}) at {}", Node(*host)),
            Act::Migrate { host, child, to, .. } => write!(f, "migrate(c{child} to {}) at {}", Node(*to), Node(*host)),
            Act::Drain { host, .. } => write!(f, "{} is drained", Node(*host)),
            Act::Weight { host, weight } => write!(f, "{} weighs {weight}", Node(*host)),
            Act::Labels { host, labels } => write!(f, "{} has {labels} labels", Node(*host)),
            Act::Operate { host, what } => write!(f, "{} at {}", what.word(), Node(*host)),
            Act::Explain { host, child } => write!(f, "explain(c{child}) at {}", Node(*host)),
            Act::Plan { host, leaves } => write!(f, "plan({} leaves) at {}", Node(*leaves), Node(*host)),
        }
    }
}

impl Operation {
    fn word(self) -> &'static str {
        match self {
            Operation::Cordon => "cordon",
            Operation::Uncordon => "uncordon",
            Operation::Undrain => "undrain",
            Operation::Pause => "pause",
            Operation::Resume => "resume",
        }
    }
}

impl fmt::Display for Quirk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (of, at, time) = (&self.of, Node(self.host), self.nth + 1);
        match self.what {
            Oddity::StartFails => write!(f, "start {time} of {of} fails at {at}"),
            Oddity::StartSlow => write!(f, "start {time} of {of} is slow at {at}"),
            Oddity::EndsInError => write!(f, "{of} fails at {at} after start {time}"),
            Oddity::EndsContent => write!(f, "{of} ends at {at} after start {time}"),
            Oddity::HangsOnStop => write!(f, "{of} hangs at {at} in stop {time}"),
            Oddity::CallFails => write!(f, "message {time} to {of} fails at {at}"),
            Oddity::Altered => write!(f, "start {time} of {of} is altered at {at}"),
            Oddity::AlterHangs => write!(f, "the alter handler hangs at {at} in start {time} of {of}"),
            Oddity::RelayedTwice => write!(f, "relayed frame {time} by {of} comes twice at {at}"),
            Oddity::RelayedLate => write!(f, "relayed frame {time} by {of} comes late at {at}"),
            Oddity::StateRefused => write!(f, "{of} refuses its state at {at}, time {time}"),
            Oddity::StateHangs => write!(f, "{of} never gives its state at {at}, time {time}"),
            Oddity::StateSlow => write!(f, "{of} is slow to give its state at {at}, time {time}"),
            Oddity::StateBig => write!(f, "{of} has a large state at {at}, time {time}"),
            Oddity::TakeRefused => write!(f, "{of} refuses a state at {at}, time {time}"),
            Oddity::TakeSlow => write!(f, "{of} is slow to take a state at {at}, time {time}"),
            Oddity::TakeHangs => write!(f, "{of} never takes a state at {at}, time {time}"),
            Oddity::Corrupted => write!(f, "frame {time} from {of} comes to {at} with bits flipped"),
            Oddity::TimerTwice => write!(f, "timer {time} of {at} goes off twice"),
            Oddity::Forged => write!(f, "message {time} of {at} to {of} is forged"),
            Oddity::TailLost => write!(f, "{at} loses the tail to {of} as link {time} closes"),
        }
    }
}

impl Decisions {
    /// All of it in one line.
    #[must_use]
    pub fn prose(&self) -> String {
        let boots = self.decisions.iter().filter(|decision| matches!(decision.act, Act::Boot { .. })).count();
        let first = |at: usize| matches!(self.decisions[at].act, Act::Boot { .. });
        // That the nodes start goes without saying, as long as nothing else happens before.
        let skipped = (0..boots).take_while(|at| first(*at)).count();
        let mut parts = vec![format!("{} nodes", self.setup.nodes)];
        parts.extend(self.quirks.iter().map(Quirk::to_string));
        parts.extend(self.decisions[skipped..].iter().map(|decision| decision.act.to_string()));
        parts.extend(self.violates.clone());
        parts.join(" -> ")
    }
}
