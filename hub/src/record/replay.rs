//! Doing again what a node did.

use process_hub_core::config::ConfigError;
use process_hub_core::wire::record::{Beginning, Entry, Fingerprint};
use process_hub_core::{Effects, Node, Time};

use crate::record::{Head, Item};

/// A replay cannot begin, or what it does is not what was recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The files do not begin where the node did.
    #[error(
        "the record's first file is missing: this one is number {segment}, from step {first} on, and without the \
        beginning nothing can be done again; give the file that ends in 000000"
    )]
    NoBeginning {
        /// The number of the file.
        segment: u32,
        /// Its first step.
        first: u64,
    },
    /// The files belong to different lives or nodes.
    #[error("the files are of different nodes or lives: give those of one")]
    Mixed,
    /// The node could not be made.
    #[error("the node cannot be made anew: {0}")]
    Config(#[from] ConfigError),
    /// A step has other effects than it had.
    #[error(
        "step {number}, at {now:?}: its effects are not those that were recorded ({replayed:016x}, not {recorded:016x}): \
        the record was written by another version, or the node does not depend on its inputs alone, which is a bug"
    )]
    Diverged {
        /// Which step.
        number: u64,
        /// When.
        now: Time,
        /// What was recorded.
        recorded: u64,
        /// What came out.
        replayed: u64,
    },
}

/// How far a replay came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Steps that were done again, and had the same effects.
    pub steps: u64,
    /// Steps behind a gap, which cannot be done again.
    pub beyond: u64,
    /// Steps that are missing.
    pub missing: u64,
    /// When the first step was.
    pub from: Time,
    /// When the last one that was done again was.
    pub to: Time,
}

/// Who is told of each step: its number, the step, and, where it was done again, its effects and the node after it.
pub type Watch<'a> = dyn FnMut(u64, Entry, Option<(&Effects, &Node)>) + 'a;

/// A node that does again what was recorded.
#[derive(Debug)]
pub struct Replay {
    node: Node,
    beginning: Beginning,
    effects: Effects,
    fingerprint: Fingerprint,
    next: u64,
    next_segment: u32,
    progress: Replayed,
}

impl Replay {
    /// At the beginning that the record's first file names.
    ///
    /// # Errors
    /// When that is another file than the first, or the node cannot be made.
    pub fn begin(head: &Head) -> Result<Self, ReplayError> {
        if head.segment != 0 || head.first != 0 {
            return Err(ReplayError::NoBeginning { segment: head.segment, first: head.first });
        }
        let Beginning { config, boot, seed } = head.beginning.clone();
        Ok(Self {
            node: Node::new(config, boot, seed)?,
            beginning: head.beginning.clone(),
            effects: Effects::new(),
            fingerprint: Fingerprint::default(),
            next: 0,
            next_segment: 1,
            progress: Replayed::default(),
        })
    }

    /// Goes on with the next file. What lies between it and the last one is a gap.
    ///
    /// # Errors
    /// When it is of another node or life.
    pub fn go_on(&mut self, head: &Head) -> Result<(), ReplayError> {
        if head.beginning != self.beginning || head.segment < self.next_segment {
            return Err(ReplayError::Mixed);
        }
        self.next_segment = head.segment.saturating_add(1);
        self.skip_to(head.first);
        Ok(())
    }

    /// What stands between the next step and `first` is missing.
    fn skip_to(&mut self, first: u64) {
        self.progress.missing += first.saturating_sub(self.next);
        self.next = self.next.max(first);
    }

    /// Whether the node is still what it was: no step is missing yet.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.progress.missing == 0
    }

    /// Takes one item. A step is done again, unless it lies behind a gap, and `watch` is told of it.
    ///
    /// # Errors
    /// When the effects are not those that were recorded.
    pub fn take(&mut self, item: Item, watch: &mut Watch<'_>) -> Result<(), ReplayError> {
        match item {
            Item::Gap { first, count } => {
                self.skip_to(first.saturating_add(count));
                Ok(())
            }
            Item::Step(number, entry) => {
                self.skip_to(number);
                self.next = self.next.saturating_add(1);
                if !self.is_exact() {
                    self.progress.beyond += 1;
                    watch(number, entry, None);
                    return Ok(());
                }
                self.step(number, entry, watch)
            }
        }
    }

    fn step(&mut self, number: u64, entry: Entry, watch: &mut Watch<'_>) -> Result<(), ReplayError> {
        drop(self.effects.drain());
        self.node.handle(entry.now, entry.input.clone(), &mut self.effects);
        self.fingerprint.add(&self.effects);
        let (now, recorded, replayed) = (entry.now, entry.effects, self.fingerprint.value());
        if self.progress.steps == 0 {
            self.progress.from = now;
        }
        watch(number, entry, Some((&self.effects, &self.node)));
        if recorded != replayed {
            return Err(ReplayError::Diverged { number, now, recorded, replayed });
        }
        self.progress.steps += 1;
        self.progress.to = now;
        Ok(())
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Replayed {
        self.progress
    }

    /// The node, as it is by now.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }
}
