//! What the network and the children do out of the ordinary: each time is decided by a key of its own, so that one thing
//! less does not change the others, and is noted, so that it can be repeated from the notes or left out.

use std::collections::{BTreeMap, BTreeSet};

use process_hub_core::hashing::stable_hash;
use smol_str::SmolStr;

use super::event::HostId;
use super::random::{Purpose, Random};

/// Something out of the ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Oddity {
    StartFails,
    StartSlow,
    EndsInError,
    EndsContent,
    HangsOnStop,
    CallFails,
    Altered,
    AlterHangs,
    RelayedTwice,
    RelayedLate,
    TailLost,
    StateRefused,
    StateHangs,
    StateSlow,
    StateBig,
    TakeRefused,
    TakeHangs,
    Corrupted,
    TimerTwice,
    Forged,
    TakeSlow,
}

/// An occasion for something out of the ordinary; each is counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Occasion {
    Start,
    Up,
    Stop,
    Call,
    Alter,
    Relay,
    Close,
    Handle,
    Freeze,
    State,
    Give,
    Take,
    Frame,
    Timer,
    Send,
}

/// One time that something was out of the ordinary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(crate) struct Quirk {
    pub(crate) what: Oddity,
    /// Where: a host, from 0.
    pub(crate) host: HostId,
    /// Of which child or host.
    pub(crate) of: SmolStr,
    /// At the how-manieth occasion there, from 0.
    pub(crate) nth: u32,
}

/// One occasion, with random numbers of its own.
#[derive(Clone, Debug)]
pub(crate) struct Roll {
    host: HostId,
    pub(crate) of: SmolStr,
    nth: u32,
    random: Random,
    least: bool,
}

impl Roll {
    /// How long something takes, in microseconds.
    pub(crate) fn span(&mut self, low: u64, high: u64) -> u64 {
        let span = self.random.log_between(low, high);
        if self.least { low } else { span }
    }

    /// How many of so many, fewer than all of them.
    pub(crate) fn some(&mut self, all: usize) -> usize {
        self.random.below(all)
    }

    /// True in half of the cases.
    pub(crate) fn coin(&mut self) -> bool {
        self.random.coin()
    }
}

#[derive(Debug)]
enum Source {
    /// Drawn by their rates, and noted.
    Drawn(Vec<Quirk>),
    /// Those that were noted, and no others.
    Noted(BTreeSet<Quirk>),
}

/// Where all that is out of the ordinary comes from.
#[derive(Debug)]
pub(crate) struct Dice {
    seed: u64,
    source: Source,
    counts: BTreeMap<(Occasion, HostId, SmolStr), u32>,
    /// Whether everything takes the least time that it may take.
    least: bool,
}

impl Dice {
    /// By the rates that each occasion names.
    pub(crate) fn drawn(seed: u64) -> Self {
        Self { seed, source: Source::Drawn(Vec::new()), counts: BTreeMap::new(), least: false }
    }

    /// From notes.
    pub(crate) fn noted(seed: u64, quirks: &[Quirk], least: bool) -> Self {
        let source = Source::Noted(quirks.iter().cloned().collect());
        Self { seed, source, counts: BTreeMap::new(), least }
    }

    /// What was out of the ordinary so far.
    pub(crate) fn notes(&self) -> Vec<Quirk> {
        match &self.source {
            Source::Drawn(noted) => noted.clone(),
            Source::Noted(noted) => noted.iter().cloned().collect(),
        }
    }

    /// One more occasion of something that most runs never see: they do not even count it.
    pub(crate) fn roll_for(
        &mut self,
        what: Oddity,
        rate: u32,
        occasion: Occasion,
        host: HostId,
        of: &str,
    ) -> Option<Roll> {
        let ever = match &self.source {
            Source::Drawn(_) => rate > 0,
            Source::Noted(noted) => noted.iter().any(|quirk| quirk.what == what),
        };
        let roll = ever.then(|| self.roll(occasion, host, of))?;
        self.is_odd(&roll, what, rate).then_some(roll)
    }

    /// One more occasion.
    pub(crate) fn roll(&mut self, occasion: Occasion, host: HostId, of: &str) -> Roll {
        let of = SmolStr::new(of);
        let count = self.counts.entry((occasion, host, of.clone())).or_default();
        let nth = *count;
        *count += 1;
        let key = [occasion as u64, host as u64, stable_hash(of.as_bytes()), u64::from(nth)];
        let random = Random::keyed(self.seed, Purpose::Children, key);
        Roll { host, of, nth, random, least: self.least }
    }

    /// Whether a child or host is one of the few that are out of the ordinary throughout: `rate` of a million are.
    pub(crate) fn is_marked(&self, of: &str, rate: u32) -> bool {
        rate > 0 && Random::keyed(self.seed, Purpose::Quirks, [u64::MAX, stable_hash(of.as_bytes())]).chance(rate)
    }

    /// Whether this time it is out of the ordinary: in `rate` of a million cases, or because it was noted so.
    pub(crate) fn is_odd(&mut self, roll: &Roll, what: Oddity, rate: u32) -> bool {
        let quirk = || Quirk { what, host: roll.host, of: roll.of.clone(), nth: roll.nth };
        match &mut self.source {
            Source::Drawn(_) if rate == 0 => false,
            Source::Drawn(noted) => {
                let key = [what as u64, roll.host as u64, stable_hash(roll.of.as_bytes()), u64::from(roll.nth)];
                let odd = Random::keyed(self.seed, Purpose::Quirks, key).chance(rate);
                if odd {
                    noted.push(quirk());
                }
                odd
            }
            Source::Noted(noted) => !noted.is_empty() && noted.contains(&quirk()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odd(dice: &mut Dice, host: HostId, times: usize) -> Vec<bool> {
        let mut one = || {
            let roll = dice.roll(Occasion::Start, host, "c1");
            dice.is_odd(&roll, Oddity::StartFails, 500_000)
        };
        (0..times).map(|_| one()).collect()
    }

    #[test]
    fn what_happens_at_one_host_does_not_shift_another() {
        let (mut one, mut other) = (Dice::drawn(5), Dice::drawn(5));
        odd(&mut other, 2, 7);
        assert_eq!(odd(&mut one, 1, 50), odd(&mut other, 1, 50));
    }

    #[test]
    fn notes_repeat_what_was_drawn_and_leave_out_what_is_missing() {
        let mut drawn = Dice::drawn(5);
        let was = odd(&mut drawn, 1, 50);
        let mut notes = drawn.notes();
        assert_eq!(odd(&mut Dice::noted(5, &notes, false), 1, 50), was);
        let gone = notes.remove(0);
        let is = odd(&mut Dice::noted(5, &notes, false), 1, 50);
        let differ: Vec<_> = (0..50).filter(|at| was[*at] != is[*at]).collect();
        assert_eq!(differ, [gone.nth as usize]);
    }
}
