//! What `process-hub node` is told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::settings::Strategies;

/// A node, in groups as its help prints them.
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
    /// The cluster's name; nodes of other clusters are refused
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) cluster: String,
    /// A file with the cluster's secret; on a second line, the previous one while it is being changed
    #[arg(long, value_name = "FILE")]
    pub(crate) cookie_file: Option<PathBuf>,
    /// Listen beyond loopback without TLS: what nodes say to each other can be read and altered on the way
    #[arg(long)]
    pub(crate) accept_plaintext: bool,
    /// The node's share of the children relative to the others', where that is by consistent hashing; 0 is given nothing
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) weight: u32,
    /// What the node has, for children that require it; can be given several times
    #[arg(long, value_name = "LABEL")]
    pub(crate) label: Vec<String>,
    /// How long children may take to move or end when the node leaves, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    pub(crate) leave_timeout: u64,
    /// Keep what the hub has declared in this directory, one of the node's own: after all nodes have ended, its children come
    /// back from there
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Write down what the node is handed, into files in this directory: `process-hub replay` does it again
    #[arg(long, value_name = "DIR")]
    pub(crate) record: Option<PathBuf>,
    /// How much these files may take in all, in mebibytes; half is for the beginning, half for the newest
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub(crate) record_mb: u64,
    /// Leave when standard input closes: for a parent process that must leave nothing behind
    #[arg(long)]
    pub(crate) until_stdin_closes: bool,

    /// A manifest of children to start once the node has joined; those that exist already are left alone
    #[arg(long, value_name = "FILE", help_heading = "Children")]
    pub(crate) children: Option<PathBuf>,
    /// How long the children of --children wait for the cluster to be found, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10, help_heading = "Children")]
    pub(crate) join_timeout: u64,

    /// Where to serve the admin API: a port, HOST:PORT, or `off`; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7501", help_heading = "Admin API")]
    pub(crate) admin: String,
    /// A host name by which clients may address the admin API, beside `localhost` and plain IP addresses
    #[arg(long, value_name = "NAME", help_heading = "Admin API")]
    pub(crate) admin_host: Vec<String>,
    /// A file with the token that admin clients must show; needed to serve the admin API beyond loopback
    #[arg(long, value_name = "FILE", help_heading = "Admin API")]
    pub(crate) admin_token_file: Option<PathBuf>,

    /// What to log, to standard error: a level, or a filter such as `info,process_hub=debug`
    #[arg(long, value_name = "FILTER", default_value = "info", help_heading = "Log")]
    pub(crate) log: String,
    /// How to log
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text, help_heading = "Log")]
    pub(crate) log_format: LogFormat,

    // Last: its heading holds for whatever follows.
    #[command(flatten)]
    pub(crate) strategies: Strategies,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}
