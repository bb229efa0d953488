//! What the hubs of a node are told: from a file, and from the command line, which goes before it.
//!
//! ```toml
//! [hub]                                     # every hub of the node
//! distribution = "consistent-hashing"       # a strategy by its name, with options as name:option=value
//! redundancy = { strategy = "singularity" } # or as a table
//! concurrent_moves = 256
//! stop_timeout = "5s"
//!
//! [hubs.orders]                             # one hub: goes before [hub], and is taken part in
//! synchronization = { strategy = "pubsub", sync_interval = "5s" }
//!
//! [membership]
//! suspicion = "2s"
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use process_hub_core::config::{
    ConfigError, Distribution, HubConfig, MembershipConfig, Migration, Partition, Redundancy, Synchronization,
};
use process_hub_core::id::HubId;
use serde::Deserialize;
use toml::{Table, Value};

use crate::failure::{Failure, Outcome};

/// The strategies, as they stand on the command line.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Strategies (of every hub of the node)")]
pub(crate) struct Strategies {
    /// Which node each child belongs to: consistent-hashing, guided or load-balancer [default: consistent-hashing]
    #[arg(long, value_name = "STRATEGY")]
    distribution: Option<Distribution>,
    /// How many copies run: singularity or replication:N[:active-passive] [default: singularity]
    #[arg(long, value_name = "STRATEGY")]
    redundancy: Option<Redundancy>,
    /// How a child moves: cold, hot or autonomous [default: cold]
    #[arg(long, value_name = "STRATEGY")]
    migration: Option<Migration>,
    /// A child's state moves with it
    #[arg(long)]
    handover: bool,
    /// How changes reach the other nodes: pubsub or gossip [default: pubsub]
    #[arg(long, value_name = "STRATEGY")]
    sync: Option<Synchronization>,
    /// What happens while the cluster is in parts: divergence, static:N, dynamic:PERCENT or majority
    /// [default: divergence]
    #[arg(long, value_name = "STRATEGY")]
    partition: Option<Partition>,
    /// Any other option of a hub, as it stands under [hub] in a file, such as lease=2s; can be given several times
    #[arg(long, value_name = "OPTION=VALUE")]
    set: Vec<String>,
    /// A file (TOML) with options of hubs and membership; what stands on the command line goes before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What a file says.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    hub: Table,
    #[serde(default)]
    hubs: BTreeMap<String, Table>,
    #[serde(default)]
    membership: Table,
}

/// What a node is told beyond its name and addresses.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Its hubs, at least one.
    pub(crate) hubs: Vec<HubConfig>,
    pub(crate) membership: MembershipConfig,
}

/// Reads all that is said of the hubs of a node: those of `named`, those of the file, or else `usual`.
pub(crate) fn read(strategies: &Strategies, named: &[String], usual: &str) -> Outcome<Settings> {
    let file = strategies.config.as_deref().map(file).transpose()?.unwrap_or_default();
    let path = strategies.config.as_deref().unwrap_or(Path::new("")).display();
    settings(strategies, &file, named, usual).map_err(|problem| match problem {
        Problem::Arguments(problem) => Failure::usage(problem).hint("see process-hub node --help"),
        Problem::File(at, problem) => {
            Failure::usage(format!("{path}: {at}: {problem}")).hint("nothing was started; mend the file")
        }
    })
}

fn file(path: &Path) -> Outcome<File> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("--config: cannot read {}: {error}", path.display()))
            .hint("name a file with [hub], [hubs.NAME] and [membership]")
    })?;
    toml::from_str(&text).map_err(|error| {
        Failure::usage(format!("--config: {} makes no sense: {error}", path.display()))
            .hint("its tables are [hub], [hubs.NAME] and [membership]")
    })
}

/// What is wrong, and where.
#[derive(Debug)]
enum Problem {
    Arguments(String),
    File(String, String),
}

fn settings(strategies: &Strategies, file: &File, named: &[String], usual: &str) -> Result<Settings, Problem> {
    let mut names: BTreeSet<&str> = named.iter().chain(file.hubs.keys()).map(String::as_str).collect();
    if names.is_empty() {
        names.insert(usual);
    }
    let hubs = names.into_iter().map(|name| hub(strategies, file, name)).collect::<Result<_, _>>()?;
    let mut membership = MembershipConfig::default();
    fill("membership", &file.membership, |field, value| membership.set(field, value))?;
    membership.check().map_err(|error| Problem::File("[membership]".to_owned(), error.to_string()))?;
    Ok(Settings { hubs, membership })
}

fn hub(strategies: &Strategies, file: &File, name: &str) -> Result<HubConfig, Problem> {
    let id = HubId::new(name).map_err(|error| Problem::Arguments(format!("hub `{name}`: {error}")))?;
    let mut config = HubConfig::new(id);
    fill("hub", &file.hub, |field, value| config.set(field, value))?;
    if let Some(own) = file.hubs.get(name) {
        fill(&format!("hubs.{name}"), own, |field, value| config.set(field, value))?;
    }
    strategies.apply(&mut config)?;
    config.check().map_err(|error| Problem::Arguments(format!("hub `{name}`: {error}")))?;
    Ok(config)
}

impl Strategies {
    fn apply(&self, config: &mut HubConfig) -> Result<(), Problem> {
        config.distribution = self.distribution.clone().unwrap_or_else(|| config.distribution.clone());
        config.redundancy = self.redundancy.clone().unwrap_or_else(|| config.redundancy.clone());
        config.migration = self.migration.clone().unwrap_or_else(|| config.migration.clone());
        config.synchronization = self.sync.clone().unwrap_or_else(|| config.synchronization.clone());
        config.partition = self.partition.clone().unwrap_or_else(|| config.partition.clone());
        for pair in &self.set {
            let wrong = |problem: &dyn std::fmt::Display| Problem::Arguments(format!("--set {pair}: {problem}"));
            let (option, value) =
                pair.split_once('=').ok_or_else(|| wrong(&"not an option and its value: write --set lease=2s"))?;
            config.set(option, value).map_err(|error| wrong(&error))?;
        }
        if self.handover {
            config.migration = config.migration.clone().with_handover();
            if !config.migration.hands_over() {
                let problem = format!("--handover: migration `{}` has none: use cold or hot", config.migration);
                return Err(Problem::Arguments(problem));
            }
        }
        Ok(())
    }
}

/// Hands every entry of a table over as text.
fn fill(
    table: &str,
    entries: &Table,
    mut set: impl FnMut(&str, &str) -> Result<(), ConfigError>,
) -> Result<(), Problem> {
    for (field, value) in entries {
        let at = format!("[{table}] {field}");
        let text = text(value).map_err(|problem| Problem::File(at.clone(), problem))?;
        set(field, &text).map_err(|error| Problem::File(at, error.to_string()))?;
    }
    Ok(())
}

/// A value of the file as it would stand on the command line.
fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Boolean(truth) => Ok(truth.to_string()),
        Value::Table(options) => {
            let Some(Value::String(name)) = options.get("strategy") else {
                return Err("a table needs a strategy, such as { strategy = \"gossip\", recipients = 3 }".to_owned());
            };
            let mut words = name.clone();
            for (option, value) in options.iter().filter(|(option, _)| *option != "strategy") {
                match value {
                    Value::Table(_) => return Err(format!("{option}: a value is a text, a number or a truth")),
                    value => words += &format!(":{option}={}", text(value)?),
                }
            }
            Ok(words)
        }
        Value::Float(_) | Value::Array(_) | Value::Datetime(_) => {
            Err(format!("a {} is of no use here: a value is a text, a whole number or a truth", value.type_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::{CommandFactory, Parser};

    use super::*;

    const GUIDE: &str = include_str!("../../../../docs/configuration.md");

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        strategies: Strategies,
    }

    fn given(line: &str, text: &str, named: &[&str]) -> Result<Settings, Problem> {
        let line = Line::parse_from(std::iter::once("node").chain(line.split_whitespace()));
        let file: File = toml::from_str(text).unwrap();
        let named: Vec<_> = named.iter().map(|name| (*name).to_owned()).collect();
        settings(&line.strategies, &file, &named, "demo")
    }

    fn words(problem: Problem) -> String {
        match problem {
            Problem::Arguments(words) => words,
            Problem::File(at, words) => format!("{at}: {words}"),
        }
    }

    #[test]
    fn what_is_not_said_keeps_its_default() {
        let settings = given("", "", &[]).unwrap();
        assert_eq!(settings.hubs, [HubConfig::new(HubId::new("demo").unwrap())]);
        assert_eq!(settings.membership, MembershipConfig::default());
    }

    #[test]
    fn the_line_goes_before_the_hub_and_the_hub_before_all_hubs() {
        let text = "[hub]\nstop_timeout = \"7s\"\nconcurrent_moves = 3\nsynchronization = \"pubsub:sync_interval=3s\"\n\
                    [hubs.b]\nconcurrent_moves = 9\nsynchronization = { strategy = \"pubsub\", sync_interval = \"4s\" }\n\
                    [membership]\nsuspicion = \"1500ms\"\n";
        let settings = given("", text, &["a"]).unwrap();
        let seen: Vec<_> = settings
            .hubs
            .iter()
            .map(|hub| (hub.id.as_str(), hub.concurrent_moves, hub.synchronization.to_string(), hub.stop_timeout))
            .collect();
        let seven = Duration::from_secs(7);
        assert_eq!(
            seen,
            [
                ("a", 3, "pubsub:sync_interval=3s".to_owned(), seven),
                ("b", 9, "pubsub:sync_interval=4s".to_owned(), seven)
            ]
        );
        assert_eq!(settings.membership.suspicion, Duration::from_millis(1_500));
        let settings = given("--sync pubsub:sync_interval=1s --set max_restarts=2", text, &[]).unwrap();
        assert_eq!(settings.hubs[0].synchronization.to_string(), "pubsub:sync_interval=1s");
        assert_eq!((settings.hubs[0].max_restarts, settings.hubs[0].stop_timeout), (2, seven));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (line, text, expected) in [
            ("--migration autonomous --handover", "", "--handover: migration `autonomous` has none: use cold or hot"),
            ("--set lease", "", "--set lease: not an option and its value"),
            ("--set colour=red", "", "--set colour=red: "),
            ("--set lease=soon", "", "write it as 10s"),
            ("", "[hub]\ncolour = \"red\"\n", "[hub] colour: "),
            ("", "[hub]\nstop_timeout = 5\n", "[hub] stop_timeout: "),
            ("", "[hub]\nstop_timeout = 5.5\n", "is of no use here"),
            ("", "[hub]\nredundancy = { factor = 3 }\n", "a table needs a strategy"),
            ("", "[hubs.x]\npartition = { strategy = \"static\", quorum = 3 }\n", "`static` has no option `quorum`"),
            ("", "[hubs.x]\nconcurrent_moves = 0\n", "hub `x`: configuration: concurrent_moves = 0"),
            ("", "[membership]\nprobe_rtt = \"1s\"\n", "must be at most half of probe_period"),
            ("", "[membership]\nsuspicion = \"soon\"\n", "[membership] suspicion: "),
        ] {
            let said = words(given(line, text, &[]).unwrap_err());
            assert!(said.contains(expected), "{line:?} {text:?} said {said:?}, which lacks {expected:?}");
        }
    }

    #[test]
    fn the_files_of_the_guide_are_read() {
        let files: Vec<&str> =
            GUIDE.split("```toml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect();
        let [text] = files[..] else { panic!("{} files are shown", files.len()) };
        let settings = given("", text, &["audits"]).unwrap();
        let seen: Vec<_> = settings.hubs.iter().map(|hub| (hub.id.as_str(), hub.concurrent_moves)).collect();
        assert_eq!(seen, [("audits", 256), ("orders", 64)]);
        for hub in &settings.hubs {
            assert_eq!(hub.synchronization.to_string(), "pubsub:sync_interval=5s");
            assert_eq!((hub.stop_timeout, hub.max_restarts), (Duration::from_secs(2), 20));
        }
        assert_eq!(settings.membership.suspicion, Duration::from_millis(1_500));
    }

    #[test]
    fn the_guide_lists_every_flag_of_a_node() {
        #[derive(Parser)]
        struct Whole {
            #[command(flatten)]
            _node: crate::args::NodeArgs,
        }
        let rows = || GUIDE.lines().filter(|line| line.starts_with("| "));
        let listed: BTreeSet<&str> = rows().flat_map(|row| row.split("`--").skip(1)).map(word).collect();
        let command = Whole::command();
        let flags: BTreeSet<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
        assert_eq!(listed, flags);
    }

    fn word(text: &str) -> &str {
        text.split(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap_or_default()
    }
}
