//! Instances that wait to hear what they are to be started with.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::time::Duration;

use crate::config::limits;
use crate::spec::ChildSpec;
use crate::time::Time;

/// How long the user's handlers may take over one child; then it is started as it was declared.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was asked for one instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asked {
    spec: Arc<ChildSpec>,
    until: Time,
}

/// The instances that wait, by sequence: the longest-waiting first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Alters {
    wanted: bool,
    asked: BTreeMap<u64, Asked>,
}

impl Alters {
    pub(crate) fn set_wanted(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted
    }

    pub(crate) fn ask(&mut self, sequence: u64, spec: Arc<ChildSpec>, now: Time) {
        self.asked.insert(sequence, Asked { spec, until: now + PATIENCE });
    }

    /// An answer came: what the instance is to be started with. `None` if it does not wait (any more).
    pub(crate) fn answered(&mut self, sequence: u64, answer: Arc<ChildSpec>) -> Option<Arc<ChildSpec>> {
        let declared = self.asked.remove(&sequence)?.spec;
        let fits =
            answer.id == declared.id && answer.metadata.size() <= limits::METADATA && answer.size() <= limits::SPEC;
        Some(if fits { answer } else { declared })
    }

    /// The longest-waiting instance, if its time is over.
    pub(crate) fn expired(&self, now: Time) -> Option<u64> {
        self.asked.first_key_value().filter(|(_, asked)| asked.until <= now).map(|(sequence, _)| *sequence)
    }

    /// An instance waits no longer: what was declared.
    pub(crate) fn take(&mut self, sequence: u64) -> Option<Arc<ChildSpec>> {
        self.asked.remove(&sequence).map(|asked| asked.spec)
    }

    pub(crate) fn is_asked(&self, sequence: u64) -> bool {
        self.asked.contains_key(&sequence)
    }

    /// An instance is not to be started after all; whether it waited.
    pub(crate) fn forget(&mut self, sequence: u64) -> bool {
        self.asked.remove(&sequence).is_some()
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.asked.first_key_value().map(|(_, asked)| asked.until)
    }
}
