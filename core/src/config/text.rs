//! Strategies and hub options as text, for command lines and files: `name`, `name:argument`, `name:option=value:...`.
//!
//! What is left out keeps its default. Whatever is printed is read back as the same value.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use smol_str::SmolStr;

use super::{
    ConfigError, Distribution, Factor, HubConfig, LoadBalancer, MembershipConfig, Migration, Model, Partition,
    Redundancy, Signal, Synchronization,
};

/// A strategy that is read from, and printed as, its name and options.
trait Text: Sized {
    /// The axis, as the configuration names it.
    const FIELD: &'static str;
    /// The names there are.
    const NAMES: &'static [&'static str];

    /// The strategy of this name with its defaults.
    fn named(name: &str) -> Option<Self>;

    /// The option that an argument without a name stands for, and its value.
    fn argument(&self, _word: &str) -> Option<(&'static str, SmolStr)> {
        None
    }

    /// The options it has.
    fn options(&self) -> &'static [&'static str] {
        &[]
    }

    /// Sets one of them; what is wrong with the value, if something is.
    fn set(&mut self, _option: &str, _value: &str) -> Result<(), String> {
        Ok(())
    }
}

fn read<T: Text>(text: &str) -> Result<T, ConfigError> {
    let mut words = text.split(':').map(str::trim);
    let name = words.next().unwrap_or_default();
    let mut strategy = begin::<T>(name)?;
    for word in words {
        let wrong = |problem: &str| ConfigError::new(T::FIELD, text, problem);
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option.trim(), SmolStr::new(value.trim())),
            None => strategy.argument(word).ok_or_else(|| {
                wrong(&format!("`{name}` does not know what to make of `{word}`: {}", options_of(&strategy)))
            })?,
        };
        set(&mut strategy, name, option, &value).map_err(|problem| wrong(&problem))?;
    }
    Ok(strategy)
}

fn begin<T: Text>(name: &str) -> Result<T, ConfigError> {
    T::named(name).ok_or_else(|| {
        ConfigError::new(T::FIELD, name, &format!("there is no such strategy: use one of {}", T::NAMES.join(", ")))
    })
}

fn set<T: Text>(strategy: &mut T, name: &str, option: &str, value: &str) -> Result<(), String> {
    if !strategy.options().contains(&option) {
        return Err(format!("`{name}` has no option `{option}`: {}", options_of(strategy)));
    }
    strategy.set(option, value).map_err(|problem| format!("{option}: {problem}"))
}

fn options_of<T: Text>(strategy: &T) -> String {
    match strategy.options() {
        [] => "it has no options".to_string(),
        options => format!("its options are {}", options.join(", ")),
    }
}

impl Text for Distribution {
    const FIELD: &'static str = "distribution";
    const NAMES: &'static [&'static str] = &["consistent-hashing", "guided", "load-balancer"];

    fn named(name: &str) -> Option<Self> {
        match name {
            "consistent-hashing" => Some(Distribution::ConsistentHashing),
            "guided" => Some(Distribution::Guided),
            "load-balancer" => Some(Distribution::CentralizedLoadBalancer(LoadBalancer::default())),
            _ => None,
        }
    }

    fn options(&self) -> &'static [&'static str] {
        match self {
            Distribution::CentralizedLoadBalancer(_) => &["max_history_size", "weight_decay_permille", "push_interval"],
            _ => &[],
        }
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        let Distribution::CentralizedLoadBalancer(options) = self else { return Ok(()) };
        match option {
            "max_history_size" => options.max_history_size = number(value)?,
            "weight_decay_permille" => options.weight_decay_permille = number(value)?,
            _ => options.push_interval = span(value)?,
        }
        Ok(())
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Distribution::ConsistentHashing => f.write_str("consistent-hashing"),
            Distribution::Guided => f.write_str("guided"),
            Distribution::CentralizedLoadBalancer(options) => {
                let usual = LoadBalancer::default();
                f.write_str("load-balancer")?;
                unless(f, "max_history_size", &options.max_history_size, &usual.max_history_size)?;
                unless(f, "weight_decay_permille", &options.weight_decay_permille, &usual.weight_decay_permille)?;
                unless(f, "push_interval", &Span(options.push_interval), &Span(usual.push_interval))
            }
            Distribution::Custom(own) => write!(f, "custom {own:?}"),
        }
    }
}

impl Text for Redundancy {
    const FIELD: &'static str = "redundancy";
    const NAMES: &'static [&'static str] = &["singularity", "replication"];

    fn named(name: &str) -> Option<Self> {
        match name {
            "singularity" => Some(Redundancy::Singularity),
            "replication" => Some(Redundancy::replication(2)),
            _ => None,
        }
    }

    fn argument(&self, word: &str) -> Option<(&'static str, SmolStr)> {
        let option = match (self, word) {
            (Redundancy::Singularity | Redundancy::Custom(_), _) => return None,
            (_, "active-active" | "active-passive") => "model",
            _ => "factor",
        };
        Some((option, SmolStr::new(word)))
    }

    fn options(&self) -> &'static [&'static str] {
        match self {
            Redundancy::Replication { .. } => &["factor", "model", "signal"],
            _ => &[],
        }
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        let Redundancy::Replication { factor, model, signal } = self else { return Ok(()) };
        match option {
            "factor" if value == "cluster-size" => *factor = Factor::ClusterSize,
            "factor" => {
                let copies = number(value).map_err(|problem| format!("{problem}, or cluster-size"))?;
                *factor = Factor::Copies(copies);
            }
            "model" => {
                *model =
                    one_of(value, &[("active-active", Model::ActiveActive), ("active-passive", Model::ActivePassive)])?;
            }
            _ => *signal = one_of(value, SIGNALS)?,
        }
        Ok(())
    }
}

const SIGNALS: &[(&str, Signal)] =
    &[("none", Signal::None), ("active", Signal::Active), ("passive", Signal::Passive), ("all", Signal::All)];

impl fmt::Display for Redundancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (factor, model, signal) = match self {
            Redundancy::Singularity => return f.write_str("singularity"),
            Redundancy::Custom(own) => return write!(f, "custom {own:?}"),
            Redundancy::Replication { factor, model, signal } => (factor, model, signal),
        };
        match factor {
            Factor::Copies(copies) => write!(f, "replication:{copies}")?,
            Factor::ClusterSize => f.write_str("replication:cluster-size")?,
        }
        if *model == Model::ActivePassive {
            f.write_str(":active-passive")?;
        }
        let word = SIGNALS.iter().find(|(_, other)| other == signal).map_or("none", |(word, _)| *word);
        unless(f, "signal", &word, &"none")
    }
}

impl Text for Migration {
    const FIELD: &'static str = "migration";
    const NAMES: &'static [&'static str] = &["cold", "hot", "autonomous"];

    fn named(name: &str) -> Option<Self> {
        match name {
            "cold" => Some(Migration::cold_swap()),
            "hot" => Some(Migration::hot_swap()),
            "autonomous" => Some(Migration::Autonomous),
            _ => None,
        }
    }

    fn argument(&self, word: &str) -> Option<(&'static str, SmolStr)> {
        (word == "handover" && matches!(self, Migration::ColdSwap { .. } | Migration::HotSwap { .. }))
            .then(|| ("handover", SmolStr::new_static("true")))
    }

    fn options(&self) -> &'static [&'static str] {
        match self {
            Migration::ColdSwap { .. } => &["handover", "state_ttl", "state_query_timeout"],
            Migration::HotSwap { .. } => &["handover", "state_query_timeout", "child_migration_timeout", "retention"],
            _ => &[],
        }
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        match (self, option) {
            (Migration::ColdSwap { handover, .. } | Migration::HotSwap { handover, .. }, "handover") => {
                *handover = truth(value)?;
            }
            (Migration::ColdSwap { state_ttl, .. }, "state_ttl") => *state_ttl = span(value)?,
            (Migration::ColdSwap { state_query_timeout, .. }, _)
            | (Migration::HotSwap { state_query_timeout, .. }, "state_query_timeout") => {
                *state_query_timeout = span(value)?;
            }
            (Migration::HotSwap { retention, .. }, "retention") => *retention = span(value)?,
            (Migration::HotSwap { child_migration_timeout, .. }, _) => *child_migration_timeout = span(value)?,
            (Migration::Autonomous | Migration::Custom(_), _) => {}
        }
        Ok(())
    }
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spans: &[(&str, Duration, u64)] = match self {
            Migration::ColdSwap { state_ttl, state_query_timeout, .. } => {
                f.write_str("cold")?;
                &[("state_ttl", *state_ttl, 30), ("state_query_timeout", *state_query_timeout, 5)]
            }
            Migration::HotSwap { state_query_timeout, child_migration_timeout, retention, .. } => {
                f.write_str("hot")?;
                &[
                    ("state_query_timeout", *state_query_timeout, 5),
                    ("child_migration_timeout", *child_migration_timeout, 10),
                    ("retention", *retention, 5),
                ]
            }
            Migration::Autonomous => return f.write_str("autonomous"),
            Migration::Custom(own) => return write!(f, "custom {own:?}"),
        };
        if self.hands_over() {
            f.write_str(":handover")?;
        }
        for (option, span, usual) in spans {
            unless(f, option, &Span(*span), &Span(Duration::from_secs(*usual)))?;
        }
        Ok(())
    }
}

impl Text for Synchronization {
    const FIELD: &'static str = "synchronization";
    const NAMES: &'static [&'static str] = &["pubsub", "gossip"];

    fn named(name: &str) -> Option<Self> {
        let sync_interval = Duration::from_secs(15);
        match name {
            "pubsub" => Some(Synchronization::PubSub { sync_interval }),
            "gossip" => Some(Synchronization::Gossip { sync_interval, recipients: 3 }),
            _ => None,
        }
    }

    fn options(&self) -> &'static [&'static str] {
        match self {
            Synchronization::Gossip { .. } => &["sync_interval", "recipients"],
            _ => &["sync_interval"],
        }
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        match (self, option) {
            (Synchronization::Gossip { recipients, .. }, "recipients") => *recipients = number(value)?,
            (Synchronization::PubSub { sync_interval } | Synchronization::Gossip { sync_interval, .. }, _) => {
                *sync_interval = span(value)?;
            }
            // It has no text that could be read.
            (Synchronization::Custom(_), _) => {}
        }
        Ok(())
    }
}

impl fmt::Display for Synchronization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Span(Duration::from_secs(15));
        match self {
            Synchronization::PubSub { sync_interval } => {
                f.write_str("pubsub")?;
                unless(f, "sync_interval", &Span(*sync_interval), &usual)
            }
            Synchronization::Gossip { sync_interval, recipients } => {
                f.write_str("gossip")?;
                unless(f, "sync_interval", &Span(*sync_interval), &usual)?;
                unless(f, "recipients", recipients, &3)
            }
            Synchronization::Custom(own) => write!(f, "custom {own:?}"),
        }
    }
}

impl Text for Partition {
    const FIELD: &'static str = "partition";
    const NAMES: &'static [&'static str] = &["divergence", "static:N", "dynamic:PERCENT", "majority"];

    fn named(name: &str) -> Option<Self> {
        match name {
            "divergence" => Some(Partition::Divergence),
            "static" => Some(Partition::StaticQuorum { quorum_size: 0, startup_confirm: false }),
            "dynamic" => Some(Partition::DynamicQuorum { quorum_size: 0, threshold_time: Duration::from_secs(30) }),
            "majority" => Some(Partition::MajorityQuorum { initial_cluster_size: 1, track_max_size: true }),
            _ => None,
        }
    }

    fn argument(&self, word: &str) -> Option<(&'static str, SmolStr)> {
        let option = match (self, word) {
            (Partition::StaticQuorum { .. }, "startup-confirm") => return Some(("startup_confirm", "true".into())),
            (Partition::StaticQuorum { .. } | Partition::DynamicQuorum { .. }, _) => "quorum_size",
            (Partition::MajorityQuorum { .. }, _) => "initial_cluster_size",
            _ => return None,
        };
        Some((option, SmolStr::new(word)))
    }

    fn options(&self) -> &'static [&'static str] {
        match self {
            Partition::StaticQuorum { .. } => &["quorum_size", "startup_confirm"],
            Partition::DynamicQuorum { .. } => &["quorum_size", "threshold_time"],
            Partition::MajorityQuorum { .. } => &["initial_cluster_size", "track_max_size"],
            _ => &[],
        }
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        match (self, option) {
            (Partition::StaticQuorum { startup_confirm, .. }, "startup_confirm") => *startup_confirm = truth(value)?,
            (Partition::DynamicQuorum { threshold_time, .. }, "threshold_time") => *threshold_time = span(value)?,
            (Partition::DynamicQuorum { quorum_size, .. }, _) => {
                *quorum_size = number(value.strip_suffix('%').unwrap_or(value))?;
            }
            (Partition::StaticQuorum { quorum_size, .. }, _) => *quorum_size = number(value)?,
            (Partition::MajorityQuorum { track_max_size, .. }, "track_max_size") => *track_max_size = truth(value)?,
            (Partition::MajorityQuorum { initial_cluster_size, .. }, _) => *initial_cluster_size = number(value)?,
            _ => {}
        }
        Ok(())
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Partition::Divergence => f.write_str("divergence"),
            Partition::StaticQuorum { quorum_size, startup_confirm } => {
                write!(f, "static:{quorum_size}")?;
                if *startup_confirm { f.write_str(":startup-confirm") } else { Ok(()) }
            }
            Partition::DynamicQuorum { quorum_size, threshold_time } => {
                write!(f, "dynamic:{quorum_size}")?;
                unless(f, "threshold_time", &Span(*threshold_time), &Span(Duration::from_secs(30)))
            }
            Partition::MajorityQuorum { initial_cluster_size, track_max_size } => {
                f.write_str("majority")?;
                unless(f, "initial_cluster_size", initial_cluster_size, &1)?;
                unless(f, "track_max_size", track_max_size, &true)
            }
            Partition::Custom(own) => write!(f, "custom {own:?}"),
        }
    }
}

macro_rules! from_text {
    ($($strategy:ty),*) => {$(
        impl FromStr for $strategy {
            type Err = ConfigError;

            /// Reads its name and options; their ranges are [`HubConfig::check`]'s affair.
            fn from_str(text: &str) -> Result<Self, ConfigError> {
                read(text)
            }
        }
    )*};
}

from_text!(Distribution, Redundancy, Migration, Synchronization, Partition);

impl HubConfig {
    /// The fields that [`HubConfig::set`] knows.
    pub const SETTINGS: &[&str] = &[
        "distribution",
        "redundancy",
        "migration",
        "synchronization",
        "partition",
        "concurrent_moves",
        "max_restarts",
        "restart_window",
        "restart_backoff",
        "stop_timeout",
        "barrier_timeout",
        "lease",
        "pause_bound",
        "clock_drift_ppm",
    ];

    /// Those that [`HubConfig::set`] knows, too, and that nodes do not compare.
    pub const LOCAL_SETTINGS: &[&str] = &["first_start", "past_lives", "recovery_grace"];

    /// Sets one field from text: a strategy as `name:option=value:...`, a time as `500ms` or `10s`. Ranges are
    /// [`HubConfig::check`]'s affair.
    ///
    /// # Errors
    /// When there is no such field or the text makes no sense for it; nothing was changed then.
    pub fn set(&mut self, field: &str, value: &str) -> Result<(), ConfigError> {
        let mut known = Self::SETTINGS.iter().chain(Self::LOCAL_SETTINGS).copied();
        let Some(field) = known.find(|known| *known == field) else {
            let settings = [Self::SETTINGS, Self::LOCAL_SETTINGS].concat().join(", ");
            let problem = format!("there is no such option: use {settings}");
            return Err(ConfigError::new("hub", field, &problem));
        };
        let wrong = |problem: String| ConfigError::new(field, value, &problem);
        match field {
            "distribution" => self.distribution = value.parse()?,
            "redundancy" => self.redundancy = value.parse()?,
            "migration" => self.migration = value.parse()?,
            "synchronization" => self.synchronization = value.parse()?,
            "partition" => self.partition = value.parse()?,
            "concurrent_moves" => self.concurrent_moves = number(value).map_err(wrong)?,
            "max_restarts" => self.max_restarts = number(value).map_err(wrong)?,
            "restart_window" => self.restart_window = span(value).map_err(wrong)?,
            "restart_backoff" => self.restart_backoff = span(value).map_err(wrong)?,
            "stop_timeout" => self.stop_timeout = span(value).map_err(wrong)?,
            "barrier_timeout" => self.barrier_timeout = span(value).map_err(wrong)?,
            "lease" => self.lease = span(value).map_err(wrong)?,
            "pause_bound" => self.pause_bound = span(value).map_err(wrong)?,
            "clock_drift_ppm" => self.clock_drift_ppm = number(value).map_err(wrong)?,
            "recovery_grace" => self.recovery_grace = span(value).map_err(wrong)?,
            "past_lives" => self.past_lives = number(value).map_err(wrong)?,
            _ => self.first_start = truth(value).map_err(wrong)?,
        }
        Ok(())
    }
}

impl MembershipConfig {
    /// The fields that [`MembershipConfig::set`] knows.
    pub const SETTINGS: &[&str] = &["probe_period", "probe_rtt", "suspicion", "keepalive", "redial_min", "redial_max"];

    /// Sets one field from text, a time such as `500ms` or `10s`. Ranges are [`MembershipConfig::check`]'s affair.
    ///
    /// # Errors
    /// When there is no such field or the text is no time; nothing was changed then.
    pub fn set(&mut self, field: &str, value: &str) -> Result<(), ConfigError> {
        let (known, place) = match field {
            "probe_period" => ("membership.probe_period", &mut self.probe_period),
            "probe_rtt" => ("membership.probe_rtt", &mut self.probe_rtt),
            "suspicion" => ("membership.suspicion", &mut self.suspicion),
            "keepalive" => ("membership.keepalive", &mut self.keepalive),
            "redial_min" => ("membership.redial_min", &mut self.redial_min),
            "redial_max" => ("membership.redial_max", &mut self.redial_max),
            _ => {
                let problem = format!("there is no such option: use {}", Self::SETTINGS.join(", "));
                return Err(ConfigError::new("membership", field, &problem));
            }
        };
        *place = span(value).map_err(|problem| ConfigError::new(known, value, &problem))?;
        Ok(())
    }
}

/// An option where it has not its default.
fn unless<T: fmt::Display + PartialEq>(f: &mut fmt::Formatter<'_>, name: &str, value: &T, usual: &T) -> fmt::Result {
    if value == usual { Ok(()) } else { write!(f, ":{name}={value}") }
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{text}` is no whole number from 0 to {}", u32::MAX))
}

fn truth(text: &str) -> Result<bool, String> {
    one_of(text, &[("true", true), ("false", false)])
}

fn one_of<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, String> {
    known.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = known.iter().map(|(word, _)| *word).collect();
        format!("`{text}` is not one of {}", words.join(", "))
    })
}

/// Units of time and what they are in nanoseconds, largest first.
const UNITS: &[(&str, u64)] = &[
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads a span of time: a whole number and its unit.
fn span(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let nanos = UNITS.iter().find(|(name, _)| *name == unit.trim()).map(|(_, nanos)| *nanos);
    let nanos = count.parse::<u64>().ok().zip(nanos).and_then(|(count, nanos)| count.checked_mul(nanos));
    nanos.map(Duration::from_nanos).ok_or_else(|| format!("`{text}` is no time: write it as 10s, 500ms, 2m or 1h"))
}

/// A span of time as it is read.
#[derive(PartialEq)]
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let fits = UNITS.iter().find(|(_, unit)| nanos > 0 && nanos.is_multiple_of(u128::from(*unit)));
        let (name, unit) = fits.copied().unwrap_or(("s", 1_000_000_000));
        write!(f, "{}{name}", nanos / u128::from(unit))
    }
}
