//! The example that drives the core without a runtime, run as it is.

#[path = "../examples/embed.rs"]
mod embed;

#[test]
fn three_nodes_on_a_loop_of_their_own_share_children_and_take_over() {
    embed::story().expect("the story comes out as it is told");
}
