//! `process-hub replay`: does again what a node did, from its flight record, and shows it.

use std::path::{Path, PathBuf};

use process_hub::record::{Head, RecordError, Replay, ReplayError, Replayed, Segment};
use process_hub_core::wire::record::Entry;
use process_hub_core::{Effect, Effects, Input, Node, Time};
use process_hub_viewer::{About, Recorder, What};

use crate::args::ReplayArgs;
use crate::failure::{Failure, Outcome};
use crate::output::line;

/// What a replay came to.
struct Done {
    head: Head,
    progress: Replayed,
    /// Where reading ended before the end of the files, and why.
    cut: Option<(PathBuf, RecordError)>,
    diverged: Option<ReplayError>,
    recorder: Option<Recorder>,
    /// The time of the first step; that of the last one, from there.
    start: Option<Time>,
    end: u64,
}

pub(crate) fn run(args: &ReplayArgs) -> Outcome {
    let files = files(&args.paths)?;
    let done = replay(&files, args)?;
    show(&done, args);
    if let Some(recorder) = done.recorder {
        let history = recorder.finish(done.end);
        let unable = |error| Failure::failed(error);
        if let Some(path) = &args.html {
            write(path, &history.page().map_err(unable)?)?;
        }
        if let Some(path) = &args.history {
            write(path, &history.json().map_err(unable)?)?;
        }
    }
    match (done.diverged, done.cut) {
        (Some(error), _) => Err(Failure::failed(error)),
        // Its writer may have been killed: that is what one wants to look at.
        (None, None | Some((_, RecordError::Torn { .. }))) => Ok(()),
        (None, Some((path, error))) => Err(Failure::failed(format!("{}: {error}", path.display()))),
    }
}

fn write(path: &Path, text: &str) -> Outcome {
    std::fs::write(path, text)
        .map_err(|error| Failure::failed(format!("{} cannot be written: {error}", path.display())))
}

/// The files that were named; of a directory, those of the newest life in it.
fn files(paths: &[PathBuf]) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let unreadable = |error| Failure::usage(format!("{} cannot be read: {error}", path.display()));
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if file.extension().is_some_and(|extension| extension == "phrec") {
                found.push(file);
            }
        }
        // `NAME-BOOT-NUMBER`: the greatest boot is the newest life, and its digits are as many as any other's.
        let life = |file: &Path| file.to_string_lossy().rsplit_once('-').map(|(life, _)| life.to_owned());
        let boot = |file: &Path| life(file)?.rsplit_once('-').map(|(_, boot)| boot.to_owned());
        let newest = found.iter().max_by_key(|file| boot(file)).and_then(|file| life(file));
        found.retain(|file| life(file) == newest);
        found.sort();
        if found.is_empty() {
            let hint = "name the directory that the node was given with --record, or files of it";
            return Err(Failure::usage(format!("{} holds no flight records (*.phrec)", path.display())).hint(hint));
        }
        files.extend(found);
    }
    Ok(files)
}

fn replay(files: &[PathBuf], args: &ReplayArgs) -> Outcome<Done> {
    let mut under_way: Option<(Replay, Done)> = None;
    for path in files {
        let bytes = std::fs::read(path)
            .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))?;
        let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", path.display()));
        let segment = match (Segment::open(&bytes), &mut under_way) {
            (Ok(segment), _) => segment,
            // Its writer was killed as it began its last file: what was written before is as good as without that.
            (Err(error @ RecordError::Torn { .. }), Some((_, done))) if files.last() == Some(path) => {
                done.cut = Some((path.clone(), error));
                break;
            }
            (Err(error), _) => return Err(wrong(&error)),
        };
        let (replay, done) = match &mut under_way {
            Some((replay, done)) => {
                replay.go_on(segment.head()).map_err(|error| wrong(&error))?;
                (replay, done)
            }
            None => {
                let head = segment.head().clone();
                let replay = Replay::begin(&head).map_err(|error| wrong(&error))?;
                let recorder = (args.html.is_some() || args.history.is_some()).then(|| watched(&head, files));
                let progress = Replayed::default();
                let done = Done { head, progress, cut: None, diverged: None, recorder, start: None, end: 0 };
                let (replay, done) = under_way.insert((replay, done));
                (replay, done)
            }
        };
        take_all(path, segment, replay, done);
        done.progress = replay.progress();
        if done.diverged.is_some() || done.cut.is_some() {
            break;
        }
    }
    let (_, done) = under_way.ok_or_else(|| Failure::usage("no files were named"))?;
    Ok(done)
}

/// Everything of one file, up to the first thing that is wrong.
fn take_all(path: &Path, segment: Segment<'_>, replay: &mut Replay, done: &mut Done) {
    for item in segment {
        let item = match item {
            Ok(item) => item,
            Err(error) => {
                done.cut = Some((path.to_owned(), error));
                return;
            }
        };
        let exact = replay.is_exact();
        let taken = replay.take(item, &mut |_, entry, outcome| {
            let start = *done.start.get_or_insert(entry.now);
            let t = entry.now.0.saturating_sub(start.0);
            done.end = t;
            if let Some(recorder) = &mut done.recorder {
                if exact && outcome.is_none() {
                    recorder.phase(t, "steps are missing: what follows was not done again");
                }
                record(recorder, t, &entry, outcome);
            }
        });
        if let Err(error) = taken {
            done.diverged = Some(error);
            return;
        }
    }
}

fn watched(head: &Head, files: &[PathBuf]) -> Recorder {
    let member = format!("{}/{}", head.beginning.config.name, head.boot());
    let named: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    let mut recorder = Recorder::new(About {
        title: format!("flight record of {member}"),
        key: head.boot().to_string(),
        repeat: format!("process-hub replay {}", named.join(" ")),
        about: format!("recorded by {}", head.program),
        late_after: u64::MAX,
        lanes: vec![(head.beginning.config.name.as_str().to_owned(), false)],
        most_steps: About::MOST_STEPS,
    });
    recorder.happens(0, 0, What::Boot, &format!("boots as {member}"), None);
    recorder
}

/// Tells the history of one step.
fn record(recorder: &mut Recorder, t: u64, entry: &Entry, outcome: Option<(&Effects, &Node)>) {
    if let Input::Message { from, message } = &entry.input {
        let lane = recorder.lane(from.node.as_str());
        let number = recorder.sent(t, lane, 0, message);
        recorder.arriving(number);
    }
    recorder.begin(t, 0, &entry.input);
    let Some((effects, node)) = outcome else { return recorder.end(None) };
    for effect in effects {
        if let Effect::Send { to, message, .. } = effect {
            let lane = recorder.lane(to.node.as_str());
            recorder.sent(t, 0, lane, message);
        }
        recorder.effect(effect);
    }
    recorder.end(Some(node));
}

fn show(done: &Done, args: &ReplayArgs) {
    let Done { head, progress, cut, diverged, .. } = done;
    let Replayed { steps, beyond, missing, .. } = *progress;
    let span = progress.to.since(progress.from);
    let equal = diverged.is_none();
    if args.json {
        let torn = cut.as_ref().map(|(_, error)| error.to_string());
        line(serde_json::json!({
            "node": head.beginning.config.name.as_str(), "boot": head.boot().to_string(), "program": head.program,
            "replayed": steps, "missing": missing, "not_replayed": beyond, "seconds": span.as_secs_f64(),
            "equal": equal, "ends_early": torn,
        }));
        return;
    }
    line(format_args!("node {} boot {}, recorded by {}", head.beginning.config.name, head.boot(), head.program));
    let verdict = if equal { "all with the effects that were recorded" } else { "up to one whose effects differ" };
    line(format_args!("{steps} steps over {:.3} s were done again, {verdict}", span.as_secs_f64()));
    if missing > 0 {
        line(format_args!("{missing} steps are missing; {beyond} after them can be seen, not done again"));
    }
    if let Some((path, error)) = cut {
        line(format_args!("{}: {error}", path.display()));
    }
}
