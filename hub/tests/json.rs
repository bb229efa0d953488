//! Arguments, messages and replies as JSON, by the name of a kind.

#![cfg(feature = "json")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::time::Duration;

use process_hub::JsonError;
use process_hub::core::id::Kind;
use process_hub::core::request::Target;
use process_hub::core::spec::ChildSpec;
use serde_json::json;
use support::{Network, hub, id, node};

#[tokio::test(start_paused = true)]
async fn a_child_is_started_and_called_with_json_alone() {
    let node = node(&Network::default(), "n1", &[]).await;
    let hub = hub(&node).await;
    let kind = Kind::new("counter").unwrap();
    let args = hub.json_args(&kind, &json!(40)).unwrap();
    assert_eq!(hub.args_json(&kind, &args).unwrap(), json!(40));
    hub.start_child(ChildSpec::new(id("c"), kind.clone(), args)).await.unwrap().unwrap();
    let call = |message| {
        let payload = hub.message_from_json(&kind, &message).unwrap();
        hub.call_raw(Target::Child(id("c")), payload, Duration::from_secs(1))
    };
    call(json!({"add": 2})).await.unwrap();
    let reply = call(json!({"get": null})).await.unwrap();
    let pid = hub.get_pid(&id("c")).unwrap().to_string();
    assert_eq!(hub.reply_to_json(&kind, &reply).unwrap(), json!([42, pid]));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_refused_with_words() {
    let node = node(&Network::default(), "n1", &[]).await;
    let hub = hub(&node).await;
    let unknown = hub.json_args(&Kind::new("clock").unwrap(), &json!(1)).unwrap_err();
    assert_eq!(unknown.to_string(), "unknown kind `clock`: this node knows `counter`");
    let kind = Kind::new("counter").unwrap();
    let misfit = hub.message_from_json(&kind, &json!({"multiply": 3})).unwrap_err();
    assert!(matches!(&misfit, JsonError::Mismatch { what: "message", problem, .. } if problem.contains("multiply")));
    assert!(matches!(hub.reply_to_json(&kind, &[255]), Err(JsonError::Codec { .. })));
}
