//! A network that can be cut: a door in front of each node, which knows who comes.
//!
//! A node behind a door advertises the door's address in place of its own. Who dials is read from the first bytes of a link,
//! where a node says its name: so each link can be cut by the names of its two ends, whoever opened it.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Who dialled, and whom.
type Pair = (String, String);

/// The network between some nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    names: BTreeSet<String>,
    /// The two streams of each link, this side of its door and behind it.
    open: Vec<(Pair, TcpStream, TcpStream)>,
    cut: BTreeSet<Pair>,
}

/// A node's front door: bound before the node starts, so that it can advertise it.
#[derive(Debug)]
pub(crate) struct Door {
    name: String,
    listener: TcpListener,
    pub(crate) addr: String,
}

impl Network {
    /// A door for the node `name`, on a free port. Nobody is let in before [`Network::open`].
    pub(crate) fn door(&self, name: &str) -> io::Result<Door> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?.to_string();
        self.state().names.insert(name.to_owned());
        Ok(Door { name: name.to_owned(), listener, addr })
    }

    /// Lets whoever comes to the door through to the node behind it, which listens at `target`, unless they are cut off.
    pub(crate) fn open(&self, door: Door, target: &str) {
        let (network, target) = (self.clone(), target.to_owned());
        thread::spawn(move || {
            for stream in door.listener.incoming().map_while(Result::ok) {
                let (network, name, target) = (network.clone(), door.name.clone(), target.clone());
                // A link that cannot be carried is a link that is not there: the nodes see that for themselves.
                thread::spawn(move || network.carry(stream, &name, &target));
            }
        });
    }

    /// Cuts the links between every one of `left` and every one of `right`, both ways.
    pub(crate) fn cut(&self, left: &[&str], right: &[&str]) {
        let mut state = self.state();
        for (a, b) in left.iter().flat_map(|a| right.iter().map(move |b| (*a, *b))) {
            state.cut.insert((a.to_owned(), b.to_owned()));
            state.cut.insert((b.to_owned(), a.to_owned()));
        }
        let State { open, cut, .. } = &mut *state;
        open.retain(|(pair, near, far)| {
            let keep = !cut.contains(pair);
            if !keep {
                close(near, far);
            }
            keep
        });
    }

    /// Makes everything whole again. Links are opened anew by the nodes.
    pub(crate) fn heal(&self) {
        self.state().cut.clear();
    }

    fn carry(&self, mut near: TcpStream, to: &str, target: &str) -> io::Result<()> {
        let mut bytes = [0; 4_096];
        let read = near.read(&mut bytes)?;
        let first = &bytes[..read];
        let Some(from) = self.who(first, to) else { return Ok(()) };
        let mut far = TcpStream::connect(target)?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let pair = (from, to.to_owned());
        if !self.register(pair, &near, &far)? {
            return Ok(());
        }
        far.write_all(first)?;
        let (back_from, back_to) = (far.try_clone()?, near.try_clone()?);
        thread::spawn(move || pump(back_from, back_to));
        pump(near, far);
        Ok(())
    }

    /// Remembers an open link, unless its ends are cut off from each other.
    fn register(&self, pair: Pair, near: &TcpStream, far: &TcpStream) -> io::Result<bool> {
        let mut state = self.state();
        if state.cut.contains(&pair) {
            return Ok(false);
        }
        // Links that have ended by themselves have no peer any more.
        state.open.retain(|(_, near, _)| near.peer_addr().is_ok());
        state.open.push((pair, near.try_clone()?, far.try_clone()?));
        Ok(true)
    }

    /// Whose name is among the first bytes: a text is written as its length, then its letters.
    fn who(&self, first: &[u8], to: &str) -> Option<String> {
        let said = |name: &&String| {
            let mut written = vec![u8::try_from(name.len()).unwrap_or(u8::MAX)];
            written.extend_from_slice(name.as_bytes());
            first.windows(written.len()).any(|window| window == written)
        };
        self.state().names.iter().filter(|name| *name != to).find(said).cloned()
    }

    /// Whoever panicked has left the state as it was: there is nothing half done in it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    // However it ended, the other direction ends with it.
    let _ = io::copy(&mut from, &mut to);
    close(&from, &to);
}

fn close(near: &TcpStream, far: &TcpStream) {
    // One that is closed already is what is wanted.
    let _ = (near.shutdown(Shutdown::Both), far.shutdown(Shutdown::Both));
}
