//! `process-hub`: a node, its clients, and a demonstration.

mod admin;
mod api;
mod args;
mod client;
mod demo;
mod failure;
mod manifest;
mod node;
mod output;
mod replay;
mod secret;
mod settings;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Node(args) => node::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Members(args) => client::members(&args),
        Command::Hubs(args) => client::hubs(&args),
        Command::Ls(args) => client::ls(&args),
        Command::Get(args) => client::get(&args),
        Command::Start(args) => client::start(&args),
        Command::Stop(args) => client::stop(&args),
        Command::Call(args) => client::call(&args),
        Command::Explain(args) => client::explain(&args),
        Command::Plan(args) => client::plan(&args),
        Command::Migrate(args) => client::migrate(&args),
        Command::Cordon(args) => client::cordon(&args),
        Command::Uncordon(args) => client::uncordon(&args),
        Command::Drain(args) => client::drain(&args),
        Command::Undrain(args) => client::undrain(&args),
        Command::LeaveHub(args) => client::leave_hub(&args),
        Command::Pause(args) => client::pause(&args),
        Command::Resume(args) => client::resume(&args),
        Command::SetWeight(args) => client::set_weight(&args),
        Command::SetLabels(args) => client::set_labels(&args),
        Command::Forget(args) => client::forget(&args),
        Command::ResetClusterSize(args) => client::reset_cluster_size(&args),
        Command::Replay(args) => replay::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit as u8)
        }
    }
}
