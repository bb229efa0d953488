//! Who may speak to the admin API: no page of another site (Host and Origin), and nobody without the token.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use subtle::ConstantTimeEq;

use super::error::ApiError;
use crate::secret::Secret;

/// What a request must show.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Names, in lower case, that the API goes by beside `localhost` and plain addresses.
    hosts: Vec<String>,
    token: Option<Secret>,
}

impl Guard {
    pub(crate) fn new(hosts: &[String], token: Option<Secret>) -> Self {
        Self { hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).collect(), token }
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let host = one(headers, HOST.as_str())?.ok_or_else(|| {
            ApiError::bad("missing_host", "the request has no Host header", "send HTTP/1.1 with a Host header")
        })?;
        // A site that points its own name at this machine is told from a client by the name: plain addresses cannot
        // be pointed anywhere.
        if !self.knows(host) {
            let hint = "use localhost or an IP address, or start the node with --admin-host NAME";
            return Err(forbidden(
                "foreign_host",
                &format!("this node does not go by the host name in `{host}`"),
                hint,
            ));
        }
        if let Some(origin) = one(headers, ORIGIN.as_str())? {
            let own = origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
            if !own {
                let hint = "pages of other sites may not use the admin API";
                return Err(forbidden("foreign_origin", &format!("the origin `{origin}` is another site"), hint));
            }
        }
        self.check_token(one(headers, AUTHORIZATION.as_str())?)
    }

    fn check_token(&self, shown: Option<&str>) -> Result<(), ApiError> {
        let Some(token) = &self.token else { return Ok(()) };
        let hint = "send `authorization: Bearer TOKEN` (process-hub: --token-file FILE)";
        let unauthorized = |message| ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message, hint);
        let shown = shown.ok_or_else(|| unauthorized("this node asks for a token"))?;
        let (scheme, shown) = shown.split_once(' ').unwrap_or_default();
        let equal = bool::from(shown.trim().as_bytes().ct_eq(token.expose().as_bytes()));
        if scheme.eq_ignore_ascii_case("bearer") && equal {
            return Ok(());
        }
        Err(unauthorized("the token is not this node's"))
    }

    fn knows(&self, authority: &str) -> bool {
        let host = host_of(authority).to_ascii_lowercase();
        host == "localhost" || host.parse::<IpAddr>().is_ok() || self.hosts.contains(&host)
    }
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(host, _)| host);
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| value.to_str());
    match (first, values.next()) {
        (None, _) => Ok(None),
        (Some(Ok(value)), None) => Ok(Some(value)),
        _ => Err(ApiError::bad(
            "malformed_header",
            format!("the header `{name}` is not one line of ASCII"),
            "send it once",
        )),
    }
}

fn forbidden(code: &'static str, message: &str, hint: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, code, message, hint)
}

/// The middleware.
pub(crate) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Result<Response, ApiError> {
    guard.check(request.headers())?;
    Ok(next.run(request).await)
}

/// Whether `addr` can be reached from this machine only.
pub(crate) fn is_loopback(addr: &SocketAddr) -> bool {
    addr.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn said(guard: &Guard, headers: &[(&'static str, &str)]) -> &'static str {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        guard.check(&map).map_or_else(|error| error.code(), |()| "ok")
    }

    #[test]
    fn names_that_anybody_can_point_here_are_refused() {
        let guard = Guard::new(&["Hub.Example".to_owned()], None);
        for (host, answer) in [
            ("127.0.0.1:7501", "ok"),
            ("localhost", "ok"),
            ("LOCALHOST:1", "ok"),
            ("[::1]:7501", "ok"),
            ("10.0.0.7:80", "ok"),
            ("hub.example:7501", "ok"),
            ("evil.example:7501", "foreign_host"),
            ("127.0.0.1.evil.example", "foreign_host"),
            ("", "foreign_host"),
        ] {
            assert_eq!(said(&guard, &[("host", host)]), answer, "{host}");
        }
        assert_eq!(said(&guard, &[]), "missing_host");
        assert_eq!(said(&guard, &[("host", "localhost"), ("host", "localhost")]), "malformed_header");
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let guard = Guard::new(&[], None);
        let host = ("host", "127.0.0.1:7501");
        assert_eq!(said(&guard, &[host, ("origin", "http://127.0.0.1:7501")]), "ok");
        for origin in ["http://evil.example", "http://127.0.0.1:7502", "null", "http://127.0.0.1:7501.evil.example"] {
            assert_eq!(said(&guard, &[host, ("origin", origin)]), "foreign_origin", "{origin}");
        }
    }

    #[test]
    fn the_token_is_needed_when_there_is_one() {
        let path = std::env::temp_dir().join(format!("process-hub-guard-{}", std::process::id()));
        std::fs::write(&path, "a-token-of-thirty-two-characters\n").unwrap();
        let guard = Guard::new(&[], Some(crate::secret::token(&path).unwrap()));
        std::fs::remove_file(path).unwrap();
        let host = ("host", "localhost");
        assert_eq!(said(&guard, &[host]), "unauthorized");
        assert_eq!(said(&guard, &[host, ("authorization", "Bearer a-token-of-thirty-two-characterz")]), "unauthorized");
        assert_eq!(said(&guard, &[host, ("authorization", "Basic a-token-of-thirty-two-characters")]), "unauthorized");
        assert_eq!(said(&guard, &[host, ("authorization", "bearer a-token-of-thirty-two-characters")]), "ok");
    }
}
