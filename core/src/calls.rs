//! Messages to children: on their way from callers of this node, and delivered to instances of this node.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use crate::config::limits;
use crate::id::{Boot, Member, NodeId, Pid, RequestId};
use crate::input::CallKey;
use crate::registry::Key;
use crate::time::Time;

/// A message of a caller of this node that has no answer yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Call {
    /// The caller's mark; none where a cast is sent on that a copy of this node has not handled.
    pub(crate) caller: Option<RequestId>,
    pub(crate) key: Key,
    /// Only this instance will do.
    pub(crate) pid: Option<Pid>,
    pub(crate) payload: Bytes,
    /// Whether it is a call; a cast is answered when it is sent.
    pub(crate) reply: bool,
    pub(crate) deadline: Time,
    /// Whom it was last sent to: the member, the instance's sequence, and its token's counter. As long as it holds that
    /// token, that instance is not tried again.
    pub(crate) sent: Option<(Member, u64, u64)>,
}

/// Numbers of a caller's messages that came lately, so that one that comes twice is delivered once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Recent {
    boot: Boot,
    floor: u64,
    numbers: BTreeSet<u64>,
}

impl Recent {
    fn new(boot: Boot) -> Self {
        Self { boot, floor: 0, numbers: BTreeSet::new() }
    }
}

/// Numbers remembered a caller. An older one that comes later than so many newer ones is taken for a repetition.
const REMEMBERED: usize = 4_096;

/// All messages under way here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Calls {
    next: u64,
    open: BTreeMap<u64, Call>,
    deadlines: BTreeSet<(Time, u64)>,
    waiting: BTreeMap<Key, VecDeque<u64>>,
    delivered: BTreeSet<(u64, CallKey)>,
    /// By the caller's name: of its last life that called.
    recent: BTreeMap<NodeId, Recent>,
}

impl Calls {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(crate) fn insert(&mut self, number: u64, call: Call) {
        self.deadlines.insert((call.deadline, number));
        self.open.insert(number, call);
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut Call> {
        self.open.get_mut(&number)
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Call> {
        self.open.get(&number)
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Call> {
        let call = self.open.remove(&number)?;
        self.deadlines.remove(&(call.deadline, number));
        if let Some(waiting) = self.waiting.get_mut(&call.key) {
            waiting.retain(|waiter| *waiter != number);
            if waiting.is_empty() {
                self.waiting.remove(&call.key);
            }
        }
        Some(call)
    }

    /// Gives a message a number that it was never sent under.
    pub(crate) fn renumber(&mut self, number: u64) -> Option<u64> {
        let call = self.remove(number)?;
        let number = self.number();
        self.insert(number, call);
        Some(number)
    }

    /// Lets a message wait for the child's next instance. False if too many do.
    pub(crate) fn wait(&mut self, key: &Key, number: u64) -> bool {
        let waiting = self.waiting.entry(key.clone()).or_default();
        if waiting.len() >= limits::WAITING_MESSAGES {
            return false;
        }
        waiting.push_back(number);
        true
    }

    /// How many wait for the child for which the most do.
    pub(crate) fn most_waiting(&self) -> usize {
        self.waiting.values().map(VecDeque::len).max().unwrap_or(0)
    }

    /// Takes all messages that wait for a child, oldest first.
    pub(crate) fn take_waiting(&mut self, key: &Key) -> VecDeque<u64> {
        if self.waiting.is_empty() { VecDeque::new() } else { self.waiting.remove(key).unwrap_or_default() }
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    pub(crate) fn next_expired(&self, now: Time) -> Option<u64> {
        self.deadlines.first().filter(|(at, _)| *at <= now).map(|(_, number)| *number)
    }

    /// The calls that were sent to a member and have no answer.
    pub(crate) fn sent_to(&self, member: &Member) -> alloc::vec::Vec<u64> {
        let sent = |call: &Call| call.sent.as_ref().is_some_and(|(to, ..)| to == member);
        self.open
            .iter()
            .filter(|(number, call)| sent(call) && !self.is_waiting(&call.key, **number))
            .map(|(number, _)| *number)
            .collect()
    }

    fn is_waiting(&self, key: &Key, number: u64) -> bool {
        self.waiting.get(key).is_some_and(|waiting| waiting.contains(&number))
    }

    /// Whether a caller's message comes for the first time.
    pub(crate) fn is_first(&mut self, caller: &Member, number: u64) -> bool {
        if self.recent.get(&caller.node).is_none_or(|recent| recent.boot != caller.boot) {
            self.recent.insert(caller.node.clone(), Recent::new(caller.boot));
        }
        let Some(recent) = self.recent.get_mut(&caller.node) else { return false };
        if number <= recent.floor || !recent.numbers.insert(number) {
            return false;
        }
        if recent.numbers.len() > REMEMBERED {
            recent.floor = recent.numbers.pop_first().unwrap_or(recent.floor);
        }
        true
    }

    /// A caller is gone. The same life of it may be back, and what it sent before may come once more after that, late
    /// through a relay: so its numbers are not forgotten, but all up to the highest count as seen.
    pub(crate) fn caller_is_gone(&mut self, caller: &Member) {
        let Some(recent) = self.recent.get_mut(&caller.node).filter(|recent| recent.boot == caller.boot) else {
            return;
        };
        if let Some(highest) = recent.numbers.pop_last() {
            recent.floor = highest;
            recent.numbers.clear();
        }
    }

    /// A call was given to an instance of this node.
    pub(crate) fn delivered(&mut self, sequence: u64, call: CallKey) {
        self.delivered.insert((sequence, call));
    }

    /// An instance has answered. False if that call was not open.
    pub(crate) fn answered(&mut self, sequence: u64, call: &CallKey) -> bool {
        self.delivered.remove(&(sequence, call.clone()))
    }

    /// Takes one call that an instance, which has ended, left without an answer.
    pub(crate) fn orphan(&mut self, sequence: u64) -> Option<CallKey> {
        let first = (sequence, CallKey { caller: lowest(), number: 0 });
        let found = self.delivered.range(first..).next().filter(|(of, _)| *of == sequence).cloned()?;
        self.delivered.remove(&found);
        Some(found.1)
    }
}

/// A member that no member is before.
fn lowest() -> Member {
    #[expect(clippy::expect_used, reason = "a constant that passes the check")]
    let node = NodeId::new(" ").expect("a valid name");
    Member { node, boot: Boot(0) }
}
