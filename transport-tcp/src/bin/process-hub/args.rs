//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::settings::Strategies;

/// Spreads supervised children over a cluster of nodes, and keeps them running there.
#[derive(Debug, Parser)]
#[command(name = "process-hub", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit status: 0 done, 1 the operation failed, 2 usage, 3 the node cannot be reached.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node until it is told to stop (SIGTERM, ctrl-c)
    Node(NodeArgs),
    /// Show a cluster at work: nodes start, join, die and are replaced, on this machine, in a few seconds
    Demo(DemoArgs),
    /// List the nodes that a node knows
    Members(ClientArgs),
    /// List the children of a hub, and where they run
    Ls(LsArgs),
    /// Show one child
    Get(GetArgs),
    /// Start one child, or all those of a file
    Start(StartArgs),
    /// Stop children
    Stop(StopArgs),
    /// Send a message to a child and print its answer
    Call(CallArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The node's name: unique in the cluster, and kept over restarts
    #[arg(long)]
    pub(crate) name: String,
    /// Where to listen for other nodes; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7401")]
    pub(crate) listen: String,
    /// Where other nodes reach this one [default: where it listens]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) advertise: Option<String>,
    /// Where another node of the cluster may be; can be given several times
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) join: Vec<String>,
    /// A hub to take part in; can be given several times [default: demo]
    #[arg(long, value_name = "NAME")]
    pub(crate) hub: Vec<String>,
    #[command(flatten)]
    pub(crate) strategies: Strategies,
    /// The cluster's name; nodes of other clusters are refused
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) cluster: String,
    /// Where to serve the admin API: a port, HOST:PORT, or `off`; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7501")]
    pub(crate) admin: String,
    /// A host name by which clients may address the admin API, beside `localhost` and plain IP addresses
    #[arg(long, value_name = "NAME")]
    pub(crate) admin_host: Vec<String>,
    /// A file with the token that admin clients must show; needed to serve the admin API beyond loopback
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,
    /// A file with the cluster's secret; on a second line, the previous one while it is being changed
    #[arg(long, value_name = "FILE")]
    pub(crate) cookie_file: Option<PathBuf>,
    /// Listen beyond loopback without TLS: what nodes say to each other can be read and altered on the way
    #[arg(long)]
    pub(crate) accept_plaintext: bool,
    /// A manifest of children to start once the node has joined; those that exist already are left alone
    #[arg(long, value_name = "FILE")]
    pub(crate) children: Option<PathBuf>,
    /// How long the children of --children wait for the cluster to be found, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) join_timeout: u64,
    /// How long children may take to move or end when the node leaves, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    pub(crate) leave_timeout: u64,
    /// What to log, to standard error: a level, or a filter such as `info,process_hub=debug`
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub(crate) log: String,
    /// How to log
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// Leave when standard input closes: for a parent process that must leave nothing behind
    #[arg(long)]
    pub(crate) until_stdin_closes: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Which story to tell
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Scenario::Cluster)]
    pub(crate) scenario: Scenario,
    /// Print what the nodes log, too
    #[arg(long)]
    pub(crate) verbose: bool,
}

/// A story of the demonstration.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Scenario {
    /// Three nodes and 300 children: a node joins, another one is killed
    Cluster,
    /// Two copies of each child, one of them active: the active ones' node is killed, the others take over
    Replication,
    /// Five nodes under a quorum, cut three from two: the two stop to serve, the three go on, and all heals
    Partition,
}

/// What every client command takes.
#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    /// The admin API of any node of the cluster
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7501")]
    pub(crate) admin: String,
    /// The hub [default: the node's only one, or `demo`]
    #[arg(long, value_name = "NAME")]
    pub(crate) hub: Option<String>,
    /// A file with the token that the node asks for
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
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
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The child
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
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
    /// A manifest of children (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Stop the whole batch again if one of it does not start
    #[arg(long)]
    pub(crate) rollback: bool,
    /// Start what can be started, even if some of the ids exist already
    #[arg(long)]
    pub(crate) skip_existing_check: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// The children
    #[arg(required = true)]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
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
    pub(crate) client: ClientArgs,
}
