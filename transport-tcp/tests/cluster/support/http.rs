//! Requests to an admin API, raw: the status and whatever JSON came back.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Request;

/// An answer's status and body. Status 0: none came.
pub(crate) type Answer = (u16, Value);

/// The admin API's page.
const MANUAL: &str = include_str!("../../../../docs/admin-api.md");

/// Sends one request with a JSON body, or without a body where it is null.
pub(crate) fn ask(method: &str, url: &str, body: &Value) -> Answer {
    let text = if body.is_null() { None } else { Some(body.to_string()) };
    raw(method, url, &[("content-type", "application/json")], text.as_deref())
}

/// The same, and gives up after `patience`.
pub(crate) fn ask_within(patience: Duration, method: &str, url: &str, body: &Value) -> Answer {
    send(patience, method, url, &[("content-type", "application/json")], Some(&body.to_string()))
}

/// Sends one request as it is.
pub(crate) fn raw(method: &str, url: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
    send(Duration::from_secs(120), method, url, headers, body)
}

fn send(patience: Duration, method: &str, url: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
    let config = Agent::config_builder().http_status_as_error(false).proxy(None).allow_non_standard_methods(true);
    let agent: Agent = config.timeout_global(Some(patience)).build().into();
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let sent = match body {
        Some(body) => agent.run(request.body(body.to_owned()).unwrap()),
        None => agent.run(request.body(()).unwrap()),
    };
    let Ok(mut answer) = sent else { return (0, Value::Null) };
    let status = answer.status().as_u16();
    let bytes = answer.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap_or_default();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    if let Some(code) = body["error"]["code"].as_str() {
        assert!(is_in_the_manual(status, code), "{status} {code} is not in the manual's table of errors");
    }
    (status, body)
}

/// A request that must be refused so.
pub(crate) fn refused((status, body): &Answer, wanted: u16, code: &str) {
    assert_eq!((*status, &body["error"]["code"]), (wanted, &json!(code)), "{body}");
    assert!(body["error"]["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{body} says not what to do");
}

fn is_in_the_manual(status: u16, code: &str) -> bool {
    let mut rows = MANUAL.lines().filter(|line| line.starts_with(&format!("| {status} |")));
    rows.any(|row| row.contains(&format!("`{code}`")))
}
