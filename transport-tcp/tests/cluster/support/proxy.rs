//! A TCP proxy in front of each node, which knows who dials: links can be cut one by one.
//!
//! A node behind it advertises the proxy's address. Who dials is read from the first bytes, where a node says its
//! name; the names of the nodes must not be parts of one another.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

type Pair = (String, String);

/// The network between the nodes of one test.
#[derive(Clone, Default)]
pub(crate) struct Network(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    names: BTreeSet<String>,
    /// Who dialled whom, and the two ends of the proxy between them.
    open: Vec<(Pair, TcpStream, TcpStream)>,
    cut: BTreeSet<Pair>,
}

/// A node's front door: bound before the node starts, so that it can advertise it.
pub(crate) struct Door {
    name: String,
    listener: TcpListener,
    pub(crate) addr: String,
}

impl Network {
    /// A door for the node `name`. Nobody is let in before [`Network::open`].
    pub(crate) fn door(&self, name: &str) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        self.0.lock().unwrap().names.insert(name.to_owned());
        Door { name: name.to_owned(), listener, addr }
    }

    /// Lets whoever comes to the door through to `target`, unless cut.
    pub(crate) fn open(&self, door: Door, target: &str) {
        let target: SocketAddr = target.parse().unwrap();
        let network = self.clone();
        thread::spawn(move || {
            for stream in door.listener.incoming().map_while(Result::ok) {
                let (network, name) = (network.clone(), door.name.clone());
                thread::spawn(move || network.carry(stream, &name, target));
            }
        });
    }

    /// Cuts the links between every one of `left` and every one of `right`, both ways.
    pub(crate) fn cut(&self, left: &[&str], right: &[&str]) {
        let mut state = self.0.lock().unwrap();
        for (a, b) in left.iter().flat_map(|a| right.iter().map(move |b| (*a, *b))) {
            state.cut.insert((a.to_owned(), b.to_owned()));
            state.cut.insert((b.to_owned(), a.to_owned()));
        }
        let State { open, cut, .. } = &mut *state;
        open.retain(|(pair, a, b)| {
            let keep = !cut.contains(pair);
            if !keep {
                close(a, b);
            }
            keep
        });
    }

    /// Makes everything whole again.
    pub(crate) fn heal(&self) {
        self.0.lock().unwrap().cut.clear();
    }

    fn carry(&self, mut near: TcpStream, to: &str, target: SocketAddr) {
        let mut bytes = [0; 4_096];
        let Ok(read) = near.read(&mut bytes) else { return };
        let first = &bytes[..read];
        let Some(from) = self.who(first, to) else { return };
        let Ok(mut far) = TcpStream::connect(target) else { return };
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        {
            let mut state = self.0.lock().unwrap();
            let pair = (from, to.to_owned());
            if state.cut.contains(&pair) {
                return;
            }
            state.open.push((pair, near.try_clone().unwrap(), far.try_clone().unwrap()));
        }
        if far.write_all(first).is_err() {
            return;
        }
        let (back_from, back_to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
        thread::spawn(move || pump(back_from, back_to));
        pump(near, far);
    }

    fn who(&self, first: &[u8], to: &str) -> Option<String> {
        let state = self.0.lock().unwrap();
        let said = |name: &&String| first.windows(name.len()).any(|window| window == name.as_bytes());
        state.names.iter().filter(|name| *name != to).find(said).cloned()
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    close(&from, &to);
}

fn close(a: &TcpStream, b: &TcpStream) {
    let _ = (a.shutdown(Shutdown::Both), b.shutdown(Shutdown::Both));
}
