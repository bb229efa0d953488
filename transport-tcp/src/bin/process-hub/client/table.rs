//! Tables for people.

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::{Map, Value};

use crate::api::{ChildRow, MemberRow, PlacementRow};
use crate::output;

/// A table with nothing but space between its columns: it can be cut, grepped and pasted.
pub(crate) fn plain<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(head);
    table
}

/// The table's lines, without the space that fills its columns at either end.
pub(crate) fn lines(table: &Table) -> Vec<String> {
    table.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()).collect()
}

/// Prints a table.
pub(crate) fn print(table: &Table) {
    output::line(lines(table).join("\n"));
}

pub(crate) fn members(rows: &[MemberRow]) -> Table {
    let mut table = plain(["NAME", "STATE", "BOOT"]);
    for row in rows {
        table.add_row([&row.name, &word(&row.state), &row.boot]);
    }
    table
}

pub(crate) fn children<'a>(rows: impl IntoIterator<Item = (&'a String, &'a ChildRow)>) -> Table {
    let mut table = plain(["ID", "KIND", "RESTART", "NODE", "PID", "METADATA"]);
    for (id, row) in rows {
        let (kind, restart) = match &row.spec {
            Some(spec) => (spec.kind.clone(), word(&spec.restart)),
            None => ("(stopping)".to_owned(), String::new()),
        };
        let nodes = joined(&row.placements, |place| &place.node);
        let pids = joined(&row.placements, |place| &place.pid);
        table.add_row([id, &kind, &restart, &nodes, &pids, &metadata(&row.metadata)]);
    }
    table
}

/// `key=value` pairs.
pub(crate) fn metadata(entries: &Map<String, Value>) -> String {
    let pairs = entries.iter().map(|(key, value)| match value {
        Value::String(text) => format!("{key}={text}"),
        other => format!("{key}={other}"),
    });
    pairs.collect::<Vec<_>>().join(" ")
}

/// How a value with a name of its own is written in JSON, without the quotes.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        other => format!("{other:?}"),
    }
}

fn joined(places: &[PlacementRow], part: impl Fn(&PlacementRow) -> &String) -> String {
    if places.is_empty() {
        return "-".to_owned();
    }
    places.iter().map(|place| part(place).as_str()).collect::<Vec<_>>().join(",")
}
