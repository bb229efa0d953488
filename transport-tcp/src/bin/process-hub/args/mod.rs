//! What can be said on the command line.

mod client;
mod node;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use client::{
    CallArgs, ClientArgs, DrainArgs, ExplainArgs, ForgetArgs, GetArgs, HubArgs, LabelsArgs, LsArgs, MigrateArgs,
    PlanArgs, PlanChange, ResetArgs, StartArgs, StopArgs, WeightArgs,
};
pub(crate) use node::{LogFormat, NodeArgs};

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
    /// List a node's hubs, and what operators have said about the nodes of each
    Hubs(ClientArgs),
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
    /// Say why a child is where it is, and what keeps it from where it belongs
    Explain(ExplainArgs),
    /// Say what would move if a node joined, went, or had another weight; nothing changes
    Plan(PlanArgs),
    /// Give a child to a node
    Migrate(MigrateArgs),
    /// Give the node that is asked no new children; it keeps those it has
    Cordon(HubArgs),
    /// Undo a cordon
    Uncordon(HubArgs),
    /// Move all children of the node that is asked to others, and give it none
    Drain(DrainArgs),
    /// Undo a drain
    Undrain(HubArgs),
    /// Move all children of the node that is asked to others, and have it take part in the hub no more
    LeaveHub(DrainArgs),
    /// Have the copies of the whole hub stay where they are, even if they belong elsewhere
    Pause(HubArgs),
    /// Undo a pause: what belongs elsewhere moves
    Resume(HubArgs),
    /// Set the share of children of the node that is asked
    SetWeight(WeightArgs),
    /// Set what the node that is asked has, for children that require it
    SetLabels(LabelsArgs),
    /// Say that a node that is down will not come back as it was: nothing is kept for its sake any more
    Forget(ForgetArgs),
    /// Say how many nodes a cluster under a quorum has, when it has become smaller for good
    ResetClusterSize(ResetArgs),
    /// Do again what a node did, from its flight record, and show it
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The files of one life of a node, in order; or the directory that they are in, for its newest life
    #[arg(required = true, value_name = "FILE|DIR")]
    pub(crate) paths: Vec<PathBuf>,
    /// Write a page that shows what happened: open it in a browser
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write what the page shows as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,
    /// Print the outcome as JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
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
    /// A node is drained and taken back, the hub paused and resumed, a child given to a node: planned, and explained
    Drain,
    /// Children run on the nodes that their start names: they wait for their node, and come back with it
    Guided,
    /// Children move with their state while they are called: a node joins, one is drained, one leaves
    Handover,
}
