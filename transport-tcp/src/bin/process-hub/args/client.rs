//! What the commands are told that ask a running node.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What every client command takes.
#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    /// The admin API of any node of the cluster
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7501")]
    pub(crate) admin: String,
    /// A file with the token that the node asks for
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// What every command about a hub takes.
#[derive(Debug, Args)]
pub(crate) struct HubArgs {
    /// The hub [default: the node's only one, or `demo`]
    #[arg(long, value_name = "NAME")]
    pub(crate) hub: Option<String>,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// How long to wait for what was asked, if at all.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Do not wait until it is done: only until it is accepted
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// How long to wait, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Only children whose metadata has this `tag`
    #[arg(long)]
    pub(crate) tag: Option<String>,
    /// Only children that run on this node
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// Print at most so many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) at: HubArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The child
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) at: HubArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// The child's id, unique in the hub
    #[arg(required_unless_present = "file", conflicts_with = "file", requires = "kind")]
    pub(crate) id: Option<String>,
    /// Its kind, such as `counter` or `echo`
    #[arg(long, conflicts_with = "file")]
    pub(crate) kind: Option<String>,
    /// Its arguments, as JSON
    #[arg(long, value_name = "JSON", conflicts_with = "file")]
    pub(crate) args: Option<String>,
    /// When to start it again after it ended by itself: permanent, transient or temporary
    #[arg(long, value_name = "RULE", conflicts_with = "file")]
    pub(crate) restart: Option<String>,
    /// What to attach to it; can be given several times
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "file")]
    pub(crate) metadata: Vec<String>,
    /// What a node must have to run it; can be given several times
    #[arg(long, value_name = "LABEL", conflicts_with = "file")]
    pub(crate) requires: Vec<String>,
    /// In a guided hub: a node it is to run on; once for each copy
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub(crate) on: Vec<String>,
    /// A manifest of children (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Stop the whole batch again if one of it does not start
    #[arg(long)]
    pub(crate) rollback: bool,
    /// Start what can be started, even if some of the ids exist already
    #[arg(long)]
    pub(crate) skip_existing_check: bool,
    /// Leave children that do not start out of the node's log
    #[arg(long)]
    pub(crate) disable_logging: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    #[command(flatten)]
    pub(crate) at: HubArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// The children
    #[arg(required = true)]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    #[command(flatten)]
    pub(crate) at: HubArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// The child
    pub(crate) id: String,
    /// The message, as JSON, such as '{"add":3}'
    #[arg(value_name = "JSON")]
    pub(crate) message: String,
    /// How long to wait, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 5_000)]
    pub(crate) timeout: u64,
    #[command(flatten)]
    pub(crate) at: HubArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The child
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) at: HubArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(subcommand)]
    pub(crate) change: PlanChange,
}

/// A change to be planned.
#[derive(Debug, Subcommand)]
pub(crate) enum PlanChange {
    /// A node joins
    Join {
        /// Its name
        node: String,
        /// Its share of the children relative to the others'
        #[arg(long, value_name = "N", default_value_t = 1)]
        weight: u32,
        /// What it has, for children that require it; can be given several times
        #[arg(long, value_name = "LABEL")]
        label: Vec<String>,
        #[command(flatten)]
        at: HubArgs,
    },
    /// A node goes: it leaves, drains or is lost
    Leave {
        /// Its name
        node: String,
        #[command(flatten)]
        at: HubArgs,
    },
    /// A node's share of the children changes
    Weight {
        /// Its name
        node: String,
        /// Its new share
        weight: u32,
        #[command(flatten)]
        at: HubArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// The child
    pub(crate) id: String,
    /// The node
    pub(crate) node: String,
    /// How long to wait until it runs there, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub(crate) timeout: u64,
    #[command(flatten)]
    pub(crate) at: HubArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// How long to wait until none is left, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 60_000)]
    pub(crate) timeout: u64,
    #[command(flatten)]
    pub(crate) at: HubArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WeightArgs {
    /// The node's share of the children relative to the others': 1 is normal, 0 is given nothing
    pub(crate) weight: u32,
    #[command(flatten)]
    pub(crate) at: HubArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LabelsArgs {
    /// All that the node has from now on, in place of what it had
    pub(crate) labels: Vec<String>,
    #[command(flatten)]
    pub(crate) at: HubArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    /// The node
    pub(crate) node: String,
    #[command(flatten)]
    pub(crate) at: HubArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ResetArgs {
    /// How many nodes the cluster has
    pub(crate) size: u32,
    #[command(flatten)]
    pub(crate) at: HubArgs,
}
