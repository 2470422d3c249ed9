//! Stands between a client and a server, and cuts all connections on demand.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

/// Hands on what comes in on a TCP port to a unix socket, and back.
pub struct Proxy {
    port: u16,
    open: Arc<Mutex<Vec<(TcpStream, UnixStream)>>>,
}

impl Proxy {
    /// Starts one; its threads end with the connections, and the one that listens with the process.
    pub fn start(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::clone(&open);
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                hand_on(client, &socket, &connections);
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
        let first = if all { 0 } else { open.len().saturating_sub(1) };
        for (client, server) in open.drain(first..) {
            // One that is closed already cannot be cut.
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        }
    }
}

fn hand_on(client: TcpStream, socket: &Path, open: &Mutex<Vec<(TcpStream, UnixStream)>>) {
    let Ok(server) = UnixStream::connect(socket) else { return };
    open.lock().unwrap().push((client.try_clone().unwrap(), server.try_clone().unwrap()));
    let (mut to_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || pass(client, &mut to_server));
    thread::spawn(move || pass(server, &mut to_client));
}

fn pass(mut from: impl Read, to: &mut impl Write) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}
