//! `children.toml`: the children that a node or a `start --file` begins with.
//!
//! ```toml
//! [[child]]
//! id = "c1"
//! kind = "counter"
//! args = 0                      # what the kind takes
//! restart = "permanent"         # or "transient", "temporary"
//! metadata = { tag = "x" }
//!
//! [[child]]
//! id = "worker-{n}"             # with a count: worker-1 ... worker-20
//! count = 20
//! kind = "echo"
//! requires = ["ssd"]            # labels that a node must have to run it
//! nodes = ["n1"]                # in a guided hub: where it runs, one node for each copy
//! ```

use std::collections::HashSet;
use std::path::Path;

use process_hub_core::id::{ChildId, Kind};
use process_hub_core::spec::Restart;
use serde::Deserialize;
use serde_json::{Map, Value};
use toml::Spanned;

use crate::api::{Mapping, NewChild};
use crate::failure::{Failure, Outcome};

/// More than this in one file is taken for a slip of the pen.
const MOST: usize = 1_000_000;

/// What a manifest says.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// Its children, in its order.
    pub(crate) children: Vec<NewChild>,
    /// The nodes of those that name some, if any does.
    pub(crate) mapping: Option<Mapping>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    child: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: Spanned<String>,
    kind: Spanned<String>,
    args: Option<toml::Value>,
    #[serde(default)]
    restart: Restart,
    #[serde(default)]
    metadata: toml::Table,
    #[serde(default)]
    requires: Vec<String>,
    #[serde(default)]
    nodes: Vec<String>,
    count: Option<Spanned<usize>>,
}

/// Reads and checks a manifest. Nothing is started.
pub(crate) fn read(path: &Path) -> Outcome<Manifest> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("cannot read the manifest {}: {error}", path.display()))
            .hint("name a file with [[child]] entries; examples/children.toml is one")
    })?;
    parse(&text).map_err(|problem| {
        Failure::usage(format!("the manifest {} cannot be used: {problem}", path.display()))
            .hint("an entry is [[child]] with id = \"c1\", kind = \"counter\", args = 0; nothing was started")
    })
}

/// What a manifest's text says.
pub(crate) fn parse(text: &str) -> Result<Manifest, String> {
    let manifest: File = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    if manifest.child.is_empty() {
        return Err("it has no [[child]] entries".to_owned());
    }
    let mut children = Vec::new();
    let mut mapping = Mapping::new();
    let mut seen = HashSet::new();
    for entry in manifest.child {
        let at = |offset: usize| format!("line {}", line_of(text, offset));
        let id_at = at(entry.id.span().start);
        let nodes = entry.nodes.clone();
        for child in expand(entry, &at)? {
            if !seen.insert(child.id.clone()) {
                return Err(format!("{id_at}: the id `{}` stands there twice: give each child its own", child.id));
            }
            if !nodes.is_empty() {
                mapping.insert(child.id.clone(), nodes.clone());
            }
            children.push(child);
        }
    }
    Ok(Manifest { children, mapping: (!mapping.is_empty()).then_some(mapping) })
}

fn expand(entry: Entry, at: &dyn Fn(usize) -> String) -> Result<Vec<NewChild>, String> {
    let (id_at, kind_at) = (at(entry.id.span().start), at(entry.kind.span().start));
    Kind::new(entry.kind.get_ref()).map_err(|error| format!("{kind_at}: {error}"))?;
    let ids = ids(&entry, at)?;
    let args = entry.args.map_or(Ok(Value::Null), json).map_err(|error| format!("{id_at}: args: {error}"))?;
    let metadata = table(entry.metadata).map_err(|error| format!("{id_at}: metadata: {error}"))?;
    let kind = entry.kind.into_inner();
    ids.into_iter()
        .map(|id| {
            ChildId::new(&id).map_err(|error| format!("{id_at}: {error}"))?;
            let (kind, args, metadata) = (kind.clone(), args.clone(), metadata.clone());
            Ok(NewChild { id, kind, args, restart: entry.restart, metadata, requires: entry.requires.clone() })
        })
        .collect()
}

fn ids(entry: &Entry, at: &dyn Fn(usize) -> String) -> Result<Vec<String>, String> {
    let id = entry.id.get_ref();
    let Some(count) = &entry.count else { return Ok(vec![id.clone()]) };
    let (line, count) = (at(count.span().start), *count.get_ref());
    if !id.contains("{n}") {
        return Err(format!("{line}: with a count, the id must hold {{n}}, such as \"{id}-{{n}}\""));
    }
    if count == 0 || count > MOST {
        return Err(format!("{line}: a count is 1 to {MOST}, this one is {count}"));
    }
    Ok((1..=count).map(|n| id.replace("{n}", &n.to_string())).collect())
}

fn table(table: toml::Table) -> Result<Map<String, Value>, String> {
    table.into_iter().map(|(key, value)| Ok((key, json(value)?))).collect()
}

fn json(value: toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| format!("{number} cannot be said in JSON: write it as text"))?,
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Datetime(date) => return Err(format!("the date {date} must be text: put it in quotes")),
        toml::Value::Array(items) => items.into_iter().map(json).collect::<Result<Vec<_>, _>>()?.into(),
        toml::Value::Table(entries) => Value::Object(table(entries)?),
    })
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::{Manifest, Mapping, parse};

    #[test]
    fn the_full_form_is_read() {
        let Manifest { children, mapping } = parse(
            "[[child]]\nid = \"c1\"\nkind = \"counter\"\nargs = 0\nrestart = \"transient\"\nmetadata = { tag = \"x\", n = 3 }\n\
             requires = [\"ssd\"]\nnodes = [\"n1\", \"n2\"]\n",
        )
        .unwrap();
        assert_eq!(mapping.unwrap(), Mapping::from([("c1".to_owned(), vec!["n1".to_owned(), "n2".to_owned()])]));
        assert_eq!(
            serde_json::to_value(&children).unwrap(),
            serde_json::json!([
                {"id": "c1", "kind": "counter", "args": 0, "restart": "transient",
                 "metadata": {"tag": "x", "n": 3}, "requires": ["ssd"]}
            ])
        );
    }

    #[test]
    fn a_count_makes_many() {
        let Manifest { children, mapping } = parse("[[child]]\nid = \"w-{n}\"\ncount = 3\nkind = \"echo\"\n").unwrap();
        let ids: Vec<_> = children.iter().map(|child| child.id.as_str()).collect();
        assert_eq!((ids, mapping), (vec!["w-1", "w-2", "w-3"], None));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, words) in [
            ("", "no [[child]] entries"),
            ("[[child]]\nid = \"a\"\n", "missing field `kind`"),
            (
                "[[child]]\nid = \"a\"\nkind = \"echo\"\n\n[[child]]\nid = \"a\"\nkind = \"echo\"\n",
                "line 6: the id `a`",
            ),
            ("[[child]]\nid = \"a\"\nkind = \"echo\"\nargz = 1\n", "unknown field `argz`"),
            ("[[child]]\nid = \"\"\nkind = \"echo\"\n", "line 2: a child id must not be empty"),
            ("[[child]]\nid = \"a\"\nkind = \"\"\n", "line 3: a kind must not be empty"),
            ("[[child]]\nid = \"a\"\ncount = 2\nkind = \"echo\"\n", "line 3: with a count, the id must hold {n}"),
            ("[[child]]\nid = \"a{n}\"\ncount = 0\nkind = \"echo\"\n", "line 3: a count is 1 to"),
            ("[[child]]\nid = \"a\"\nkind = \"echo\"\nargs = 2020-01-01\n", "put it in quotes"),
            ("[[child]]\nid = \"a\"\nkind = \"echo\"\nrestart = \"never\"\n", "unknown variant `never`"),
            ("[[child]\n", "line 1"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(words), "{text:?} said {problem:?}, which lacks {words:?}");
        }
        let long = format!("[[child]]\nid = \"{}\"\nkind = \"echo\"\n", "x".repeat(257));
        assert!(parse(&long).unwrap_err().contains("at most 256 bytes"));
    }
}
