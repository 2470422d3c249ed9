//! Stands between a client and a server, passes on so many bytes a second, and cuts connections on demand.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How much is passed on at once.
const PIECE: usize = 16 * 1024;

/// Hands on what comes in on a TCP port to a unix socket, and back.
pub struct Proxy {
    port: u16,
    open: Open,
}

/// The connections that are open, by the order in which they were opened.
type Open = Arc<Mutex<BTreeMap<u64, Pair>>>;

/// Both ends of a connection.
type Pair = Arc<(TcpStream, UnixStream)>;

impl Proxy {
    /// Starts one; its threads end with the connections, and the one that listens with the process. `rate` is how many
    /// bytes a second each connection passes on in one direction.
    pub fn throttled(socket: PathBuf, rate: Option<u32>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Open::default();
        let connections = Arc::clone(&open);
        let pause = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(PIECE as u64) / rate);
        thread::spawn(move || {
            for (number, client) in (0..).zip(listener.incoming()) {
                let Ok(client) = client else { return };
                hand_on(number, client, &socket, &connections, pause);
            }
        });
        Self { port, open }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts all connections, or the one that was opened last; new ones are let through.
    pub fn cut(&self, all: bool) {
        let mut open = self.open.lock().unwrap();
        while let Some((_, pair)) = open.pop_last() {
            close(&pair);
            if !all {
                return;
            }
        }
    }
}

fn hand_on(number: u64, client: TcpStream, socket: &Path, open: &Open, pause: Duration) {
    // The client is told by the end of its connection.
    let Ok(server) = UnixStream::connect(socket) else { return };
    let pair = Arc::new((client, server));
    open.lock().unwrap().insert(number, Arc::clone(&pair));
    for to_server in [true, false] {
        let (pair, open) = (Arc::clone(&pair), Arc::clone(open));
        thread::spawn(move || {
            match to_server {
                true => pass(&pair.0, &pair.1, pause),
                false => pass(&pair.1, &pair.0, pause),
            }
            // Whoever is left on the other side has to hear of it.
            close(&pair);
            open.lock().unwrap().remove(&number);
        });
    }
}

fn close(pair: &Pair) {
    // One that is closed already cannot be cut.
    let _ = pair.0.shutdown(Shutdown::Both);
    let _ = pair.1.shutdown(Shutdown::Both);
}

/// Passes on what comes, and waits as long as it would take on a slow line.
fn pass(mut from: impl Read, mut to: impl Write, pause: Duration) {
    let mut buffer = [0; PIECE];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            return;
        }
        thread::sleep(pause.mul_f64(read as f64 / PIECE as f64));
    }
}
