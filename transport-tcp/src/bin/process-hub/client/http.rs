//! The client's end of the admin API.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;

use crate::api::{ErrorBody, Health};
use crate::args::ClientArgs;
use crate::failure::{Failure, Outcome};
use crate::secret::{self, Secret};

/// Enough for the registry of a million children.
const LARGEST_ANSWER: u64 = 1 << 30;
/// What a node may take beyond the time that a request itself asks for.
const SLACK: Duration = Duration::from_secs(10);

const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A name as one segment of a URL's path.
pub(crate) fn segment(name: &str) -> String {
    utf8_percent_encode(name, SEGMENT).to_string()
}

/// The admin API of one node.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
    token: Option<Secret>,
}

impl Client {
    pub(crate) fn from_args(args: &ClientArgs) -> Outcome<Client> {
        let token = args.token_file.as_deref().map(secret::token).transpose()?;
        Client::new(&args.admin, token)
    }

    /// A client of the node at `url`. Nothing is sent yet.
    pub(crate) fn new(url: &str, token: Option<Secret>) -> Outcome<Client> {
        let base = match url.split_once("://") {
            None => format!("http://{url}"),
            Some(("http", _)) => url.to_owned(),
            Some((scheme, _)) => {
                return Err(Failure::usage(format!("--admin {url}: `{scheme}` is not spoken here"))
                    .hint("give http://HOST:PORT; over a network, use a tunnel"));
            }
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // A proxy for the web has no business between a node and its operator.
            .proxy(None)
            .timeout_connect(Some(Duration::from_secs(3)))
            .build();
        Ok(Client { agent: config.into(), base: base.trim_end_matches('/').to_owned(), token })
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        self.send("GET", path, None, SLACK)
    }

    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &Value, wait: Duration) -> Outcome<T> {
        self.send("POST", path, Some(body), wait + SLACK)
    }

    pub(crate) fn delete<T: DeserializeOwned>(&self, path: &str, body: &Value, wait: Duration) -> Outcome<T> {
        self.send("DELETE", path, Some(body), wait + SLACK)
    }

    /// The hub that is meant when none is named: the node's only one, or `demo`.
    pub(crate) fn hub(&self, named: Option<&str>) -> Outcome<String> {
        if let Some(name) = named {
            return Ok(name.to_owned());
        }
        let hubs = self.get::<Health>("/v1/health")?.hubs;
        match hubs.as_slice() {
            [only] => Ok(only.clone()),
            several if several.iter().any(|hub| hub == "demo") => Ok("demo".to_owned()),
            several => Err(Failure::usage(format!("the node takes part in {} hubs", several.len()))
                .hint(format!("name one with --hub: {}", several.join(", ")))),
        }
    }

    fn send<T: DeserializeOwned>(&self, method: &str, path: &str, body: Option<&Value>, wait: Duration) -> Outcome<T> {
        let url = format!("{}{path}", self.base);
        let mut request = ureq::http::Request::builder().method(method).uri(&url).header("accept", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        let sent = match body {
            None => request.body(()).map_err(ureq::Error::Http).and_then(|request| self.run(request, wait)),
            Some(body) => request
                .header("content-type", "application/json")
                .body(body.to_string())
                .map_err(ureq::Error::Http)
                .and_then(|request| self.run(request, wait)),
        };
        let answer = sent.map_err(|error| self.no_answer(&error))?;
        self.read(answer)
    }

    fn run<S: ureq::AsSendBody>(
        &self,
        request: ureq::http::Request<S>,
        wait: Duration,
    ) -> Result<Response<ureq::Body>, ureq::Error> {
        let request = self.agent.configure_request(request).timeout_global(Some(wait)).allow_non_standard_methods(true);
        self.agent.run(request.build())
    }

    fn read<T: DeserializeOwned>(&self, mut answer: Response<ureq::Body>) -> Outcome<T> {
        let status = answer.status();
        let bytes = answer
            .body_mut()
            .with_config()
            .limit(LARGEST_ANSWER)
            .read_to_vec()
            .map_err(|error| self.no_answer(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| self.strange(&error));
        }
        match serde_json::from_slice::<ErrorBody>(&bytes) {
            Ok(ErrorBody { error }) => Err(Failure::failed(error.message).hint(error.hint)),
            Err(_) => Err(self.strange(&status)),
        }
    }

    fn no_answer(&self, error: &ureq::Error) -> Failure {
        if let ureq::Error::BadUri(_) | ureq::Error::Http(_) = error {
            return Failure::usage(format!("--admin {}: {error}", self.base)).hint("give http://HOST:PORT");
        }
        Failure::unreachable(format!("no answer from the node's admin API at {}: {error}", self.base))
            .hint("check that the node runs there (process-hub node --admin HOST:PORT), and name it with --admin URL")
    }

    fn strange(&self, what: &dyn std::fmt::Display) -> Failure {
        Failure::unreachable(format!("what answers at {} is not a node's admin API ({what})", self.base))
            .hint("name the node's --admin address with --admin URL")
    }
}
