//! A number that can be added to.

use process_hub::{Child, ChildError, Context, State};
use serde::{Deserialize, Serialize};

/// A child that counts. Its argument is where it begins (0 if absent). The count lives as long as the instance, and goes
/// with the child where the hub's migration hands states over.
#[derive(Debug)]
pub struct Counter(i64);

/// What a [`Counter`] can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CounterMessage {
    /// Add this much, less if it is negative. In JSON: `{"add":3}`
    Add(i64),
    /// Nothing but the answer. In JSON: `{"get":null}`
    Get,
}

/// What a [`Counter`] answers to every message. In JSON: `{"value":3}`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The count, after the message. It stays at the bounds of an `i64` rather than to wrap around.
    pub value: i64,
}

impl Child for Counter {
    const KIND: &'static str = "counter";
    type Args = Option<i64>;
    type Message = CounterMessage;
    type Reply = Count;

    async fn start(args: Option<i64>, _: &mut Context<Self>) -> Result<Self, ChildError> {
        Ok(Counter(args.unwrap_or(0)))
    }

    async fn handle(&mut self, message: CounterMessage, _: &mut Context<Self>) -> Count {
        match message {
            CounterMessage::Add(n) => self.0 = self.0.saturating_add(n),
            CounterMessage::Get => {}
        }
        Count { value: self.0 }
    }

    async fn prepare_handover(&mut self, _: &mut Context<Self>) -> Result<Option<State>, ChildError> {
        State::of(&self.0).map(Some)
    }

    async fn accept_handover(&mut self, state: State, _: &mut Context<Self>) -> Result<(), ChildError> {
        self.0 = state.read()?;
        Ok(())
    }

    /// Both copies had counted on from the same number, which nobody has kept: their sum would count it twice, so the
    /// higher count stays.
    async fn merge(&mut self, other: State, _: &mut Context<Self>) -> Result<(), ChildError> {
        self.0 = self.0.max(other.read()?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, CounterMessage};
    use serde_json::json;

    #[test]
    fn the_json_forms_are_those_of_the_manual() {
        for (message, form) in
            [(CounterMessage::Add(3), json!({"add": 3})), (CounterMessage::Get, json!({"get": null}))]
        {
            assert_eq!(serde_json::from_value::<CounterMessage>(form).unwrap(), message);
        }
        assert_eq!(serde_json::to_value(Count { value: 3 }).unwrap(), json!({"value": 3}));
    }
}
