//! `process-hub-sim`: runs one seed, or sweeps many.

use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use process_hub_simtests::decisions::Decisions;
use process_hub_simtests::{
    History, Options, Profile, Report, Shrunk, Summary, record, repeat, replay, run, run_with_history, shrink, story,
    sweep,
};
use process_hub_viewer::About;

/// Simulates clusters of ProcessHub nodes under faults, and checks what must hold.
///
/// What runs something (`run`, `sweep`, `replay`, `shrink`) ends with a line `violations: N`. Exit status: 0 when N is 0, 1
/// when it is not, or when a file is not what `--check` asks for, 2 on wrong usage.
#[derive(Debug, Parser)]
#[command(name = "process-hub-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs one seed and tells what happened.
    Run {
        /// The seed that everything is drawn from.
        #[arg(long)]
        seed: u64,
        #[command(flatten)]
        fixed: Fixed,
        /// Prints the report as JSON.
        #[arg(long)]
        json: bool,
        /// Prints every step: time, node, input, effects.
        #[arg(long, conflicts_with_all = ["html", "history"])]
        trace: bool,
        /// Writes the decisions that make the run to this file, as JSON.
        #[arg(long, value_name = "FILE")]
        record: Option<PathBuf>,
        #[command(flatten)]
        view: View,
    },
    /// Writes the page of a history that was kept as JSON.
    View {
        /// The history, as `run --history` writes it.
        history: PathBuf,
        /// The page to write.
        #[arg(long, value_name = "FILE")]
        html: PathBuf,
    },
    /// Repeats a run exactly, from the decisions that made it.
    Replay {
        /// The decisions, as `run --record` or `shrink` wrote them.
        file: PathBuf,
        /// Prints the report as JSON.
        #[arg(long)]
        json: bool,
        /// Prints every step: time, node, input, effects.
        #[arg(long)]
        trace: bool,
    },
    /// Makes a failing run smaller, and writes what is left: as decisions, as a test, and in words.
    Shrink {
        /// The seed of the run.
        #[arg(long, required_unless_present = "trace", conflicts_with = "trace")]
        seed: Option<u64>,
        /// The decisions of the run.
        #[arg(long, value_name = "FILE")]
        trace: Option<PathBuf>,
        #[command(flatten)]
        fixed: Fixed,
        /// Where the decisions go; the test goes beside it, with the ending `.rs`.
        #[arg(long, value_name = "FILE", default_value = "shrunk.json")]
        out: PathBuf,
    },
    /// Writes the table of what each partition strategy does under each shape of a partition, as Markdown.
    PartitionTable {
        /// Compares it with this file instead of printing it.
        #[arg(long, value_name = "FILE")]
        check: Option<PathBuf>,
    },
    /// Writes the trace hashes of some seeds of each profile.
    Golden {
        /// Compares them with this file instead of printing them.
        #[arg(long, value_name = "FILE")]
        check: Option<PathBuf>,
    },
    /// Runs a range of seeds and adds up what happened.
    ///
    /// A sweep of 200 seeds or more also fails when an oracle had nothing to check or a fault never happened; one of 500 when
    /// two strategies were never drawn together; one of 5000 when one of the rarest faults never happened. Where strategies are
    /// fixed with `--with`, pairs and the faults that take certain strategies are not asked for; oracles are.
    Sweep {
        /// The seeds, as A..B: from A to below B.
        #[arg(long, value_parser = range)]
        seeds: Range<u64>,
        /// How many threads. Default: one a core.
        #[arg(long)]
        jobs: Option<usize>,
        #[command(flatten)]
        fixed: Fixed,
        /// Prints the summary as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Debug, Args)]
struct Fixed {
    /// How many nodes. Default: drawn from the seed, 3 to 7.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=64))]
    nodes: Option<u16>,
    /// How many different child ids. Default: drawn from the seed.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    children: Option<u32>,
    /// How long the faults last, in simulated seconds. Default: drawn from the seed.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// What sort of life: calm, swarm, hell, permanent, production or insider.
    #[arg(long, default_value_t)]
    profile: Profile,
    /// A strategy that the hub must have, such as `pubsub`; may be given several times. Default: all drawn from the seed.
    #[arg(long = "with", value_name = "STRATEGY")]
    with: Vec<String>,
    /// A deliberate defect of every hub, to see it caught, such as `IgnoreClaims`.
    #[cfg(feature = "sabotage")]
    #[arg(long, value_name = "DEFECT", value_parser = defect)]
    sabotage: Option<process_hub_core::config::Sabotage>,
}

#[cfg(feature = "sabotage")]
fn defect(text: &str) -> Result<process_hub_core::config::Sabotage, String> {
    let all = process_hub_core::config::Sabotage::ALL;
    let found = all.into_iter().find(|defect| format!("{defect:?}") == text);
    found.ok_or_else(|| format!("there is no defect `{text}`; there are {all:?}"))
}

/// Where the history of a run goes.
#[derive(Clone, Debug, Args)]
struct View {
    /// Writes a page that shows the run: open it in a browser.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Writes what the page shows as JSON.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// How many steps the page and the JSON hold; of more, the last ones.
    #[arg(long, value_name = "N", default_value_t = About::MOST_STEPS, value_parser = steps)]
    history_steps: usize,
}

fn steps(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(steps) if steps > 0 => Ok(steps),
        _ => Err(format!("`{text}` is no number of steps: write a whole number from 1")),
    }
}

impl Fixed {
    fn options(&self, seed: u64) -> Result<Options, String> {
        let options = Options {
            seed,
            nodes: self.nodes.map(usize::from),
            children: self.children.map(|children| children as usize),
            seconds: self.seconds,
            profile: self.profile,
            #[cfg(feature = "sabotage")]
            sabotage: self.sabotage,
            ..Options::default()
        };
        self.with.iter().try_fold(options, |options, strategy| options.with(strategy))
    }
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("`{text}` is no range: write A..B, such as 0..1000");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let range = from.parse().map_err(|_| wrong())?..to.parse().map_err(|_| wrong())?;
    if range.is_empty() { Err(format!("`{text}` is empty: the end is not part of the range")) } else { Ok(range) }
}

fn main() -> ExitCode {
    // A panic of a node is a finding and is reported as one.
    std::panic::set_hook(Box::new(|_| {}));
    let command = Cli::parse().command;
    let fixed = match &command {
        Command::Run { fixed, .. } | Command::Sweep { fixed, .. } | Command::Shrink { fixed, .. } => fixed,
        Command::PartitionTable { check } => {
            return known("partition-table", &process_hub_simtests::partition_table(), check.as_deref());
        }
        Command::Golden { check } => {
            return known("golden", &process_hub_simtests::golden_traces(), check.as_deref());
        }
        Command::View { history, html } => return view(history, html),
        Command::Replay { file, json, trace } => return again(file, *json, *trace),
    };
    let options = match fixed.options(0) {
        Ok(options) => options,
        Err(problem) => Cli::command().error(clap::error::ErrorKind::InvalidValue, problem).exit(),
    };
    let violations = match command {
        Command::Run { seed, json, trace, record, view, .. } => {
            match one(&Options { seed, ..options }, json, trace, record.as_deref(), &view) {
                Ok(violations) => violations,
                Err(problem) => return wrong(problem),
            }
        }
        Command::Sweep { seeds, jobs, json, .. } => many(seeds, &options, jobs, json),
        Command::Shrink { seed, trace, out, .. } => {
            let decisions = match (seed, trace) {
                (_, Some(file)) => read(&file),
                (seed, None) => Ok(record(&Options { seed: seed.unwrap_or(0), ..options }).1),
            };
            return match decisions.and_then(|decisions| smaller(&decisions, &out)) {
                Ok(()) => verdict(1),
                Err(problem) => wrong(problem),
            };
        }
        Command::PartitionTable { .. } | Command::Golden { .. } | Command::Replay { .. } | Command::View { .. } => 0,
    };
    verdict(violations)
}

fn verdict(violations: u64) -> ExitCode {
    println!("violations: {violations}");
    ExitCode::from(u8::from(violations > 0))
}

/// Wrong usage that only shows while it is carried out.
fn wrong(problem: impl Display) -> ExitCode {
    eprintln!("error: {problem}");
    ExitCode::from(2)
}

fn read(file: &Path) -> Result<Decisions, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    Decisions::from_json(&text).map_err(|error| format!("{}: {error}", file.display()))
}

/// Makes a failing run smaller and writes what is left.
fn smaller(decisions: &Decisions, out: &Path) -> Result<(), String> {
    let Shrunk { decisions, violation, events: (before, after), tries } = shrink(decisions)?;
    let test = out.with_extension("rs");
    write(out, &decisions.to_json())?;
    write(&test, &decisions.to_test())?;
    println!("{before} events, {after} left after {tries} tries");
    println!("{}", decisions.prose());
    println!("VIOLATION {violation}");
    println!("as a test: {}", test.display());
    println!("repeat: process-hub-sim replay {}", out.display());
    Ok(())
}

/// Repeats a run from its decisions.
fn again(file: &Path, json: bool, trace: bool) -> ExitCode {
    let report = match read(file).and_then(|decisions| replay(&decisions, trace)) {
        Ok(report) => report,
        Err(problem) => return wrong(problem),
    };
    if json {
        print_json(&report);
    } else {
        print_report(&report);
    }
    verdict(report.violations.len() as u64)
}

/// Prints what a command shows, or says whether a file has it.
fn known(command: &str, shown: &str, check: Option<&Path>) -> ExitCode {
    let Some(path) = check else {
        print!("{shown}");
        return ExitCode::SUCCESS;
    };
    match std::fs::read_to_string(path) {
        Ok(text) if text == shown => ExitCode::SUCCESS,
        Ok(_) => {
            println!("{} is not what the simulation shows: write it anew with `{command}`", path.display());
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("{} cannot be read: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

/// Writes the page of a history.
fn view(history: &Path, html: &Path) -> ExitCode {
    let written = std::fs::read_to_string(history)
        .map_err(|error| format!("{} cannot be read: {error}", history.display()))
        .and_then(|text| History::read(&text).map_err(|error| format!("{}: {error}", history.display())))
        .and_then(|history| history.page().map_err(|error| error.to_string()))
        .and_then(|page| write(html, &page));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => wrong(problem),
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

/// Writes the history of a run, if anybody wants it.
fn keep(history: &History, view: &View) -> Result<(), String> {
    if let Some(path) = &view.html {
        write(path, &history.page().map_err(|error| error.to_string())?)?;
    }
    match &view.history {
        Some(path) => write(path, &history.json().map_err(|error| error.to_string())?),
        None => Ok(()),
    }
}

fn one(options: &Options, json: bool, trace: bool, file: Option<&Path>, view: &View) -> Result<u64, String> {
    let report = if view.html.is_some() || view.history.is_some() {
        let (report, history) = run_with_history(options, view.history_steps);
        keep(&history, view)?;
        report
    } else {
        run(options, trace)
    };
    if let Some(file) = file {
        write(file, &record(options).1.to_json())?;
    }
    if json {
        print_json(&report);
    } else {
        print_report(&report);
        if let Some(violation) = report.violations.first() {
            println!("what led to it:");
            story(options, violation).iter().for_each(|line| println!("  {line}"));
            println!("repeat: {}", repeat(options));
        }
    }
    Ok(report.violations.len() as u64)
}

fn print_json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => println!("{text}"),
        Err(error) => println!("the report cannot be written as JSON: {error}"),
    }
}

fn print_report(report: &Report) {
    println!("seed {}: {}", report.seed, report.about);
    println!("trace hash {}", report.trace_hash);
    println!(
        "{} inputs, {} messages, {}.{} simulated seconds",
        report.inputs,
        report.sent,
        report.simulated / 1_000_000,
        report.simulated / 100_000 % 10
    );
    let bound = report.bound / 1_000;
    match report.converged_after {
        Some(after) => println!("converged {} ms after the last fault, bound {bound} ms", after / 1_000),
        None => println!("not converged, bound {bound} ms"),
    }
    println!("checked: {}", pairs(&report.checked));
    println!("happened: {}", pairs(&report.faults));
    report.violations.iter().for_each(|violation| println!("VIOLATION {violation}"));
}

fn pairs(counts: &std::collections::BTreeMap<&'static str, u64>) -> String {
    counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

fn many(seeds: Range<u64>, options: &Options, jobs: Option<usize>, json: bool) -> u64 {
    let jobs = jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let summary = sweep(seeds, options, jobs, |report| {
        if !json && let Some(violation) = report.violations.first() {
            println!("seed {}: VIOLATION {violation}\n  repeat: {}", report.seed, report.repeat);
        }
    });
    if json {
        print_json(&summary);
    } else {
        print_summary(&summary);
    }
    summary.violations
}

fn print_summary(summary: &Summary) {
    println!(
        "{} seeds, {} failed, {} inputs, {} simulated seconds",
        summary.seeds,
        summary.failed.len(),
        summary.inputs,
        summary.simulated / 1_000_000
    );
    let (ratio, seed) = summary.worst_convergence;
    println!("worst convergence: {ratio} % of its bound, seed {seed}");
    println!("each oracle had something to check: {}", pairs(&summary.checked));
    println!("each pair of strategies was drawn: {}", summary.pairs.len());
    println!("each fault happened: {}", pairs(&summary.faults));
    if !summary.never.is_empty() {
        println!("VIOLATION never checked, or never happened: {}", summary.never.join(", "));
    }
}
