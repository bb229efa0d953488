//! Being told what happens, and keeping what a viewer needs of it.

use process_hub_core::message::Message;
use process_hub_core::{Effect, Input, Node};

use crate::history::{Act, Fate, History, Instance, Lane, Phase, Pin, Sent, Step, What};
use crate::state::{self, Changes, Touched, Values};
use crate::words;

/// What a history is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// In a word or two: `seed 7`.
    pub title: String,
    /// What a link to a step begins with.
    pub key: String,
    /// The command that shows it again.
    pub repeat: String,
    /// What the run was about.
    pub about: String,
    /// The one-way delay beyond which a message is called late, in microseconds.
    pub late_after: u64,
    /// The nodes, a lane each; true for those that are only seen through their messages.
    pub lanes: Vec<(String, bool)>,
    /// How many steps are kept; of more, the last ones.
    pub most_steps: usize,
}

impl About {
    /// How many steps are kept where nobody says otherwise: a page of them opens in a moment.
    pub const MOST_STEPS: usize = 100_000;
}

/// A step of a node that is under way.
#[derive(Debug)]
struct Open {
    step: Step,
    touched: Touched,
    sent: bool,
}

/// Keeps what happens.
#[derive(Debug)]
pub struct Recorder {
    history: History,
    values: Vec<Values>,
    most_steps: usize,
    open: Option<Open>,
    arriving: Option<u64>,
}

impl Recorder {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(about: About) -> Self {
        let lane = |(name, remote)| Lane { name, remote, ..Lane::default() };
        let history = History {
            format: History::FORMAT.to_owned(),
            version: History::VERSION,
            title: about.title,
            key: about.key,
            repeat: about.repeat,
            about: about.about,
            late_after: about.late_after,
            lanes: about.lanes.into_iter().map(lane).collect(),
            ..History::default()
        };
        let values = vec![Values::new(); history.lanes.len()];
        Self { history, values, most_steps: about.most_steps.max(1), open: None, arriving: None }
    }

    /// The lane of a node of this name; one more where there is none: a node that is only seen through its messages.
    pub fn lane(&mut self, name: &str) -> u32 {
        let lanes = &mut self.history.lanes;
        let at = lanes.iter().position(|lane| lane.name == name).unwrap_or_else(|| {
            lanes.push(Lane { name: name.to_owned(), remote: true, ..Lane::default() });
            self.values.push(Values::new());
            lanes.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// One more node, whose lane is the last.
    pub fn join(&mut self, name: &str) {
        self.history.lanes.push(Lane { name: name.to_owned(), ..Lane::default() });
        self.values.push(Values::new());
    }

    /// The number that the next step gets.
    fn next_step(&self) -> u64 {
        self.history.first_step + self.history.steps.len() as u64
    }

    /// A part of the run begins.
    pub fn phase(&mut self, t: u64, name: &str) {
        self.history.phases.push(Phase { t, name: name.to_owned() });
    }

    /// Something happens to a lane that its node has no say in; to an instance `seq` of it, where one is named.
    pub fn happens(&mut self, t: u64, lane: u32, what: What, text: &str, seq: Option<u64>) {
        let mut state = Changes::new();
        if what == What::Crash {
            let gone = std::mem::take(&mut self.values[lane as usize]);
            state.extend(gone.into_keys().map(|name| (name, None)));
        }
        let text = words::cut(text.to_owned());
        self.push(Step { t, lane, what, text, message: None, peer: None, seq, acts: Vec::new(), state });
    }

    /// Frames from one lane to another are held from here on, or flow again.
    pub fn cut(&mut self, t: u64, from: u32, to: u32, on: bool) {
        let what = if on { What::Cut } else { What::Heal };
        let name = &self.history.lanes[to as usize].name;
        let text = if on { format!("frames to {name} are held") } else { format!("frames to {name} flow") };
        let peer = Some(to);
        let (message, seq, acts, state) = (None, None, Vec::new(), Changes::new());
        self.push(Step { t, lane: from, what, text, message, peer, seq, acts, state });
    }

    /// A message is sent, in the step under way if there is one. Returns its number.
    pub fn sent(&mut self, t: u64, from: u32, to: u32, message: &Message) -> u64 {
        let remote = self.history.lanes[to as usize].remote;
        let step = self.open.as_mut().filter(|open| open.step.lane == from).map(|open| {
            open.sent = true;
            self.history.first_step + self.history.steps.len() as u64
        });
        self.history.messages.push(Sent {
            t,
            from,
            to,
            step,
            fate: if remote { Fate::Unknown } else { Fate::UnderWay },
            until: remote.then_some(t),
            handled: None,
            chatter: words::is_chatter(message),
            sort: words::sort(message),
            text: words::message(message),
            why: None,
        });
        self.history.first_message + self.history.messages.len() as u64 - 1
    }

    fn message(&mut self, number: u64) -> Option<&mut Sent> {
        let at = number.checked_sub(self.history.first_message)?;
        self.history.messages.get_mut(usize::try_from(at).ok()?)
    }

    /// A message was lost.
    pub fn lost(&mut self, t: u64, number: u64, why: &str) {
        if let Some(sent) = self.message(number).filter(|sent| sent.fate == Fate::UnderWay) {
            (sent.fate, sent.until, sent.why) = (Fate::Lost, Some(t), Some(why.to_owned()));
        }
    }

    /// The next step of a node handles this message.
    pub fn arriving(&mut self, number: u64) {
        self.arriving = Some(number);
    }

    /// A node begins to handle an input.
    pub fn begin(&mut self, t: u64, lane: u32, input: &Input) {
        let (what, text) = words::input(input);
        let message = self.arriving.take().and_then(|number| self.arrive(t, number));
        let seq = if let Input::Child { sequence, .. } = input { Some(*sequence) } else { None };
        let (peer, acts, state) = (None, Vec::new(), Changes::new());
        let step = Step { t, lane, what, text, message, peer, seq, acts, state };
        self.open = Some(Open { step, touched: Touched::default(), sent: false });
    }

    /// A message is handled in the step that begins; of one that was handled before, this is a copy.
    fn arrive(&mut self, t: u64, number: u64) -> Option<u64> {
        let (step, late_after) = (self.next_step(), self.history.late_after);
        let sent = self.message(number)?;
        if sent.handled.is_none() {
            sent.fate = if t - sent.t.min(t) > late_after { Fate::Late } else { Fate::Arrived };
            (sent.until, sent.handled) = (Some(t), Some(step));
            return Some(number);
        }
        let copy = Sent { fate: Fate::Copy, until: Some(t), handled: Some(step), ..sent.clone() };
        self.history.messages.push(copy);
        Some(self.history.first_message + self.history.messages.len() as u64 - 1)
    }

    /// It wants something done.
    pub fn effect(&mut self, effect: &Effect) {
        if let Some(open) = &mut self.open {
            open.touched.note(effect);
            open.step.acts.extend(words::effect(effect));
        }
    }

    /// The step under way is over. A tick that came to nothing is not worth a step.
    pub fn end(&mut self, node: Option<&Node>) {
        let Some(Open { mut step, touched, sent }) = self.open.take() else { return };
        if let Some(node) = node {
            step.state = state::update(&mut self.values[step.lane as usize], node, touched);
        }
        if sent || step.what != What::Tick || !step.acts.is_empty() || !step.state.is_empty() {
            self.push(step);
        }
    }

    /// Something was seen that must not be, in the last step.
    pub fn violation(&mut self, t: u64, lane: Option<u32>, rule: &str, child: Option<&str>, text: &str) {
        self.end(None);
        let step = self.next_step().saturating_sub(1);
        let (rule, child, text) = (rule.to_owned(), child.map(str::to_owned), text.to_owned());
        self.history.violations.push(Pin { t, step, lane, rule, child, text });
    }

    /// All of it, as of the time `end`.
    #[must_use]
    pub fn finish(mut self, end: u64) -> History {
        self.end(None);
        let much = self.history.steps.len().saturating_sub(self.most_steps);
        self.forget(much);
        self.history.end = end;
        self.history
    }

    fn push(&mut self, step: Step) {
        self.history.steps.push(step);
        if self.history.steps.len() >= 2 * self.most_steps {
            self.forget(self.most_steps);
        }
    }

    /// Forgets the first `count` steps; what they led to is what the lanes begin with.
    fn forget(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let steps: Vec<Step> = self.history.steps.drain(..count).collect();
        steps.into_iter().for_each(|step| self.fold(step));
        let first = self.history.first_step + count as u64;
        self.history.first_step = first;
        // Of messages, those are kept that a kept step has to do with, and all after the first of them.
        let kept = |sent: &Sent| {
            sent.handled.is_some_and(|step| step >= first)
                || sent.step.is_some_and(|step| step >= first)
                || sent.fate == Fate::UnderWay
        };
        let gone = self.history.messages.iter().position(kept).unwrap_or(self.history.messages.len());
        self.history.messages.drain(..gone);
        self.history.first_message += gone as u64;
        for sent in &mut self.history.messages {
            sent.step = sent.step.filter(|step| *step >= first);
            sent.handled = sent.handled.filter(|step| *step >= first);
        }
        self.history.violations.retain(|pin| pin.step >= first);
    }

    fn fold(&mut self, step: Step) {
        if let (What::Cut | What::Heal, Some(peer)) = (step.what, step.peer) {
            self.history.cuts.retain(|cut| *cut != (step.lane, peer));
            if step.what == What::Cut {
                self.history.cuts.push((step.lane, peer));
            }
            return;
        }
        let lane = &mut self.history.lanes[step.lane as usize];
        match (step.what, step.seq) {
            (What::Boot, _) => lane.up = true,
            (What::Crash, _) => {
                (lane.up, lane.paused) = (false, false);
                lane.instances.clear();
            }
            (What::Pause, _) => lane.paused = true,
            (What::Resume, _) => lane.paused = false,
            (What::Up | What::Started, Some(seq)) => {
                lane.instances.iter_mut().filter(|it| it.seq == seq).for_each(|it| it.up = true);
            }
            (What::Down | What::Ended, Some(seq)) => lane.instances.retain(|it| it.seq != seq),
            _ => {}
        }
        for act in step.acts {
            match act {
                Act::Start { child, seq, role, token } => {
                    lane.instances.push(Instance { seq, child, role, token, since: step.t, up: false });
                }
                Act::Role { seq, role, token, .. } => {
                    for it in lane.instances.iter_mut().filter(|it| it.seq == seq) {
                        it.role.clone_from(&role);
                        if !token.is_empty() {
                            it.token.clone_from(&token);
                        }
                    }
                }
                _ => {}
            }
        }
        for (name, value) in step.state {
            match value {
                Some(value) => lane.state.insert(name, value),
                None => lane.state.remove(&name),
            };
        }
    }
}
