//! Secrets from files: the cluster's cookie and the admin API's token.

use std::fmt;
use std::path::Path;

use crate::failure::{Failure, Outcome};

/// Shorter secrets can be guessed: 32 bytes are what `openssl rand -hex 16` prints.
const SHORTEST: usize = 32;

/// A secret, which no log shows.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A cookie file: one line, or two while the cookie is being changed.
pub(crate) struct Cookies {
    pub(crate) current: Secret,
    pub(crate) previous: Option<Secret>,
    /// What is weak about the file. Tolerable on loopback only.
    pub(crate) weakness: Option<String>,
}

/// Reads a cookie file.
pub(crate) fn cookies(path: &Path) -> Outcome<Cookies> {
    let text = read(path, "cookie")?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| Secret(line.to_owned()));
    let Some(current) = lines.next() else {
        return Err(Failure::usage(format!("the cookie file {} is empty", path.display()))
            .hint("write a secret into it: openssl rand -hex 32 > FILE && chmod 600 FILE"));
    };
    let previous = lines.next();
    if lines.next().is_some() {
        return Err(Failure::usage(format!("the cookie file {} has more than two lines", path.display()))
            .hint("the first line is the cookie; the second, if any, the previous one while it is being changed"));
    }
    let short = [Some(&current), previous.as_ref()].into_iter().flatten().any(|secret| secret.0.len() < SHORTEST);
    let weakness = match (short, mode_problem(path)) {
        (_, Some(problem)) => Some(problem),
        (true, None) => Some(format!("the cookie in {} is shorter than {SHORTEST} bytes", path.display())),
        (false, None) => None,
    };
    Ok(Cookies { current, previous, weakness })
}

/// Reads a token file: one line.
pub(crate) fn token(path: &Path) -> Outcome<Secret> {
    let text = read(path, "token")?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next()) {
        (Some(token), None) if token.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Secret(token.to_owned())),
        _ => Err(Failure::usage(format!("the token file {} must hold one line of visible ASCII", path.display()))
            .hint("make one: openssl rand -hex 32 > FILE && chmod 600 FILE")),
    }
}

/// What is weak about a token file, if anything.
pub(crate) fn token_weakness(path: &Path, token: &Secret) -> Option<String> {
    let short = token.0.len() < SHORTEST;
    mode_problem(path)
        .or_else(|| short.then(|| format!("the token in {} is shorter than {SHORTEST} bytes", path.display())))
}

fn read(path: &Path, what: &str) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("cannot read the {what} file {}: {error}", path.display()))
            .hint("make one: openssl rand -hex 32 > FILE && chmod 600 FILE")
    })
}

#[cfg(unix)]
fn mode_problem(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| format!("others on this machine can read {}: chmod 600 it", path.display()))
}

#[cfg(not(unix))]
fn mode_problem(_: &Path) -> Option<String> {
    None
}
