//! How the admin API fails: always as JSON, with a code for programs and a hint for people.

use std::fmt;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::api::{ErrorBody, ErrorRow};

/// An answer other than 2xx.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl ToString, hint: impl ToString) -> Self {
        Self { status, code, message: message.to_string(), hint: hint.to_string() }
    }

    /// 400: the request makes no sense.
    pub(crate) fn bad(code: &'static str, message: impl ToString, hint: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message, hint)
    }

    /// 404: no such thing.
    pub(crate) fn not_found(code: &'static str, message: impl ToString, hint: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message, hint)
    }

    /// A failure whose message says, after a colon, what to do about it.
    pub(crate) fn worded(status: StatusCode, code: &'static str, error: &impl ToString) -> Self {
        let text = error.to_string();
        match text.rsplit_once(": ") {
            Some((message, hint)) => Self::new(status, code, message, hint),
            None => Self::new(status, code, text, ""),
        }
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.hint)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = ErrorRow { code: self.code.to_owned(), message: self.message, hint: self.hint };
        (self.status, Json(ErrorBody { error })).into_response()
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        let (code, hint) = match &rejection {
            JsonRejection::MissingJsonContentType(_) => ("wrong_content_type", "send content-type: application/json"),
            JsonRejection::JsonSyntaxError(_) => ("malformed_json", "send one JSON value"),
            JsonRejection::JsonDataError(_) => ("malformed_request", "see the admin API's page for the shape"),
            _ => ("unreadable_body", "send less, and all of it"),
        };
        let status = match &rejection {
            // What is well-formed JSON of the wrong shape is a malformed request like any other.
            JsonRejection::JsonDataError(_) => StatusCode::BAD_REQUEST,
            other => other.status(),
        };
        Self::new(status, code, rejection.body_text(), hint)
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::bad("malformed_path", rejection.body_text(), "percent-encode ids as UTF-8")
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad("malformed_query", rejection.body_text(), "see the admin API's page for the parameters")
    }
}
