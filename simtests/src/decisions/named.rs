//! Hosts as they are called: `n1` is the first.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sim::HostId;

/// The most hosts that a trace can have.
pub(crate) const MAX: usize = 64;

fn name(host: HostId) -> String {
    format!("n{}", host + 1)
}

pub(crate) fn number(name: &str) -> Result<HostId, String> {
    let number = name.strip_prefix('n').and_then(|digits| digits.parse::<usize>().ok());
    match number {
        Some(number @ 1..=MAX) => Ok(number - 1),
        _ => Err(format!("`{name}` is no host: they are called n1 to n{MAX}")),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
pub(super) fn serialize<S: Serializer>(host: &HostId, serializer: S) -> Result<S::Ok, S::Error> {
    name(*host).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HostId, D::Error> {
    number(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// Several of them.
pub(super) mod list {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::sim::HostId;

    pub(in super::super) fn serialize<S: Serializer>(hosts: &[HostId], serializer: S) -> Result<S::Ok, S::Error> {
        hosts.iter().copied().map(super::name).collect::<Vec<_>>().serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<HostId>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names.iter().map(|name| super::number(name).map_err(serde::de::Error::custom)).collect()
    }
}
