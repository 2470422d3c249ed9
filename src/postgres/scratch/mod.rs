//! A throwaway PostgreSQL server, so that a rehearsal or a test needs no server of anyone's.
//!
//! It lives in a private directory, listens on a unix socket there and nowhere else, and is gone afterwards: dropping
//! [`Scratch`] stops it, a watchdog stops it when this process dies without dropping, and the next start sweeps what
//! even a watchdog could not.

mod binaries;
mod directory;
mod server;
mod sweep;

pub use server::{Durability, Kept, Scratch};

/// Returns a program that was installed with the server.
#[cfg(test)]
pub(in crate::postgres) fn program(name: &str) -> Result<std::path::PathBuf, crate::diagnostic::Diagnostic> {
    binaries::find().map(|folder| folder.join(name))
}
