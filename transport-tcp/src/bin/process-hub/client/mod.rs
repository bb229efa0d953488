//! The commands that ask a running node.

pub(crate) mod http;
mod steer;
pub(crate) mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use process_hub_core::request::{OnFailure, Status};
use process_hub_core::spec::Restart;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::api::{
    ChildRow, FailureRow, HubRow, MemberRow, NewChild, RegistryRows, StartBody, StartResultRow, StopResultRow,
};
use crate::args::{CallArgs, ClientArgs, GetArgs, HubArgs, LsArgs, StartArgs, StopArgs};
use crate::failure::{Failure, Outcome};
use crate::manifest::{self, Manifest};
use crate::output::line;
use http::{Client, segment};
pub(crate) use steer::{
    cordon, drain, explain, forget, hubs, leave_hub, migrate, pause, plan, reset_cluster_size, resume, set_labels,
    set_weight, uncordon, undrain,
};

/// A hub, as one node of it is asked about it.
pub(crate) struct At {
    client: Client,
    /// Its name.
    name: String,
    /// Where it is in the admin API.
    path: String,
}

/// The hub that a command is about.
fn at(args: &HubArgs) -> Outcome<At> {
    let client = Client::from_args(&args.client)?;
    let name = client.hub(args.hub.as_deref())?;
    let path = format!("/v1/hubs/{}", segment(&name));
    Ok(At { client, name, path })
}

impl At {
    fn get<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        self.client.get(&format!("{}{path}", self.path))
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &Value, wait: Duration) -> Outcome<T> {
        self.client.post(&format!("{}{path}", self.path), body, wait)
    }

    fn delete<T: DeserializeOwned>(&self, path: &str, body: &Value, wait: Duration) -> Outcome<T> {
        self.client.delete(&format!("{}{path}", self.path), body, wait)
    }

    /// Whether it has no quorum, as that node sees it.
    fn is_locked(&self) -> Outcome<bool> {
        let hubs: Vec<HubRow> = self.client.get("/v1/hubs")?;
        Ok(hubs.iter().any(|hub| hub.name == self.name && hub.locked))
    }

    /// What the node knows may be out of date.
    fn say_stale(&self) {
        line(format_args!("stale: hub {} is locked on this node, and what it knows may be out of date", self.name));
    }
}

/// `process-hub members`
pub(crate) fn members(args: &ClientArgs) -> Outcome {
    let rows: Vec<MemberRow> = Client::from_args(args)?.get("/v1/members")?;
    if args.json {
        return print_json(&rows);
    }
    table::print(&table::members(&rows));
    Ok(())
}

/// `process-hub ls`
pub(crate) fn ls(args: &LsArgs) -> Outcome {
    let hub = at(&args.at)?;
    let rows: RegistryRows = hub.get("/registry")?;
    let (total, stale) = (rows.len(), rows.values().any(|row| row.stale));
    let wanted = |row: &ChildRow| {
        args.tag.as_ref().is_none_or(|tag| row.metadata.get("tag").and_then(Value::as_str) == Some(tag))
            && args.node.as_ref().is_none_or(|node| row.placements.iter().any(|place| place.node == *node))
    };
    let rows = rows.into_iter().filter(|(_, row)| wanted(row)).take(args.limit.unwrap_or(usize::MAX));
    let rows: RegistryRows = rows.collect();
    if args.at.client.json {
        return print_json(&rows);
    }
    if total == 0 {
        line(format_args!("no children in hub {}", hub.name));
    } else {
        table::print(&table::children(&rows));
        line(format_args!("{} of {total} children of hub {}", rows.len(), hub.name));
    }
    // Where there are no rows, none is marked.
    if stale || (total == 0 && hub.is_locked()?) {
        hub.say_stale();
    }
    Ok(())
}

/// `process-hub get`
pub(crate) fn get(args: &GetArgs) -> Outcome {
    let hub = at(&args.at)?;
    let row: ChildRow = hub.get(&format!("/children/{}", segment(&args.id)))?;
    if args.at.client.json {
        return print_json(&row);
    }
    line(format_args!("id        {}", args.id));
    match &row.spec {
        Some(spec) => {
            line(format_args!("kind      {}", spec.kind));
            line(format_args!("args      {}", spec.args));
            line(format_args!("restart   {}", table::word(&spec.restart)));
            if !spec.requires.is_empty() {
                line(format_args!("requires  {}", spec.requires.join(" ")));
            }
        }
        None => line("stopped; a copy of it is still ending"),
    }
    line(format_args!("metadata  {}", table::metadata(&row.metadata)));
    if row.placements.is_empty() {
        line("runs nowhere at the moment");
    }
    for place in &row.placements {
        line(format_args!(
            "runs on   {} as {} ({}, token {})",
            place.node,
            place.pid,
            table::word(&place.role),
            place.token
        ));
    }
    if row.stale {
        hub.say_stale();
    }
    Ok(())
}

/// `process-hub start`
pub(crate) fn start(args: &StartArgs) -> Outcome {
    let Manifest { children, mapping } = match (&args.file, &args.id, &args.kind) {
        (Some(file), _, _) => manifest::read(file)?,
        (None, Some(id), Some(kind)) => one_child(args, id, kind)?,
        _ => return Err(Failure::usage("nothing to start").hint("start ID --kind KIND, or start --file children.toml")),
    };
    let hub = at(&args.at)?;
    let body = StartBody {
        on_failure: if args.rollback { OnFailure::Rollback } else { OnFailure::Continue },
        check_existing: !args.skip_existing_check,
        disable_logging: args.disable_logging,
        child_mapping: mapping,
        timeout_ms: Some(args.wait.timeout),
        wait: !args.wait.no_wait,
        ..StartBody::of(children)
    };
    let answer: Value = hub.post("/children", &to_json(&body)?, Duration::from_millis(args.wait.timeout))?;
    if args.at.client.json {
        print_json(&answer)?;
    }
    if args.wait.no_wait {
        say(args.at.client.json, &format!("{} children are declared; they start", body.children.len()));
        return Ok(());
    }
    let result: StartResultRow = from_json(answer)?;
    if !args.at.client.json {
        let mut table = table::plain(["ID", "NODE", "PID"]);
        for child in &result.started {
            for place in &child.placements {
                table.add_row([&child.id, &place.node, &place.pid]);
            }
        }
        table::print(&table);
    }
    let what = if result.rollback { "started and stopped again: the batch was rolled back" } else { "started" };
    say(args.at.client.json, &format!("{} {what}", result.started.len()));
    verdict(result.status, &result.errors, "start")
}

/// `process-hub stop`
pub(crate) fn stop(args: &StopArgs) -> Outcome {
    let hub = at(&args.at)?;
    let body = json!({ "ids": args.ids, "await": !args.wait.no_wait, "timeout_ms": args.wait.timeout });
    let answer: Value = hub.delete("/children", &body, Duration::from_millis(args.wait.timeout))?;
    if args.at.client.json {
        print_json(&answer)?;
    }
    if args.wait.no_wait {
        say(args.at.client.json, &format!("{} children are no longer declared; they end", args.ids.len()));
        return Ok(());
    }
    let result: StopResultRow = from_json(answer)?;
    for child in &result.stopped {
        let nodes = if child.nodes.is_empty() { "nowhere".to_owned() } else { child.nodes.join(", ") };
        say(args.at.client.json, &format!("{} stopped (it ran on {nodes})", child.id));
    }
    verdict(result.status, &result.errors, "stop")
}

/// `process-hub call`
pub(crate) fn call(args: &CallArgs) -> Outcome {
    let message = given_json("the message", &args.message)?;
    let hub = at(&args.at)?;
    let path = format!("/children/{}/call?timeout_ms={}", segment(&args.id), args.timeout);
    let answer: Value = hub.post(&path, &message, Duration::from_millis(args.timeout))?;
    line(answer);
    Ok(())
}

fn one_child(args: &StartArgs, id: &str, kind: &str) -> Outcome<Manifest> {
    let restart = match args.restart.as_deref() {
        None => Restart::Permanent,
        Some(word) => serde_json::from_value(Value::from(word)).map_err(|_| {
            Failure::usage(format!("--restart {word}: no such rule")).hint("permanent, transient or temporary")
        })?,
    };
    let mut metadata = Map::new();
    for pair in &args.metadata {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("--metadata {pair}: not a pair")).hint("--metadata tag=blue"))?;
        metadata.insert(key.to_owned(), Value::from(value));
    }
    let given = args.args.as_deref().map_or(Ok(Value::Null), |text| given_json("--args", text))?;
    let (requires, mapping) = (args.requires.clone(), BTreeMap::from([(id.to_owned(), args.on.clone())]));
    let child = NewChild { id: id.to_owned(), kind: kind.to_owned(), args: given, restart, metadata, requires };
    Ok(Manifest { children: vec![child], mapping: (!args.on.is_empty()).then_some(mapping) })
}

fn given_json(what: &str, text: &str) -> Outcome<Value> {
    serde_json::from_str(text).map_err(|error| {
        Failure::usage(format!("{what} is not JSON: {error}")).hint("quote it for the shell, such as '{\"add\":3}'")
    })
}

fn verdict(status: Status, errors: &[FailureRow], what: &str) -> Outcome {
    for error in errors {
        let place = error.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
        eprintln!("{}{place}: {}", error.id, error.reason);
    }
    match status {
        Status::Ok => Ok(()),
        Status::Error => {
            let children = if errors.len() == 1 { "child" } else { "children" };
            Err(Failure::failed(format!("{} {children} did not {what}", errors.len())))
        }
    }
}

fn say(json: bool, text: &str) {
    if !json {
        line(text);
    }
}

fn print_json(value: &impl Serialize) -> Outcome {
    line(to_json(value)?);
    Ok(())
}

fn to_json(value: &impl Serialize) -> Outcome<Value> {
    serde_json::to_value(value).map_err(Failure::failed)
}

fn from_json<T: DeserializeOwned>(value: Value) -> Outcome<T> {
    serde_json::from_value(value).map_err(|error| Failure::failed(format!("the node's answer makes no sense: {error}")))
}
