//! Being told to stop.

/// Waits for ctrl-c or SIGTERM.
#[cfg(unix)]
pub(crate) async fn told_to_stop() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
        // Without handlers, the signals do what they do to any process.
        _ => return std::future::pending().await,
    };
    tokio::select! {
        _ = interrupt.recv() => "interrupt",
        _ = terminate.recv() => "SIGTERM",
    }
}

/// Waits for ctrl-c.
#[cfg(not(unix))]
pub(crate) async fn told_to_stop() -> &'static str {
    match tokio::signal::ctrl_c().await {
        Ok(()) => "interrupt",
        Err(_) => std::future::pending().await,
    }
}
