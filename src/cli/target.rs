//! `--target`: a server of the user's, or a scratch one for this run.

use crate::diagnostic::Diagnostic;
use crate::postgres::{Connection, Durability, RowReader, Scratch, Server, Target};
use crate::verify::open_readers;
use std::time::Duration;

/// How long a server may take to answer, unless its URL says otherwise.
const PATIENCE: Duration = Duration::from_secs(15);

/// A target that can be connected to; a scratch server ends with it.
pub(super) struct Opened {
    server: Server,
    scratch: Option<Scratch>,
}

impl Opened {
    pub fn open(text: &str) -> Result<Self, Diagnostic> {
        match Target::parse(text)? {
            Target::Server(server) => Ok(Self { server: *server, scratch: None }),
            Target::Scratch => {
                let scratch = Scratch::start(Durability::On)?;
                Ok(Self { server: scratch.server().clone(), scratch: Some(scratch) })
            }
        }
    }

    pub fn describe(&self) -> String {
        match self.scratch {
            Some(_) => "a scratch PostgreSQL".to_owned(),
            None => self.server.describe(),
        }
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    pub fn connect(&self, schema: &str) -> Result<Connection, Diagnostic> {
        self.server.connect(schema, PATIENCE)
    }

    /// Opens connections that read rows back, two at most.
    pub fn readers(&self, schema: &str) -> Vec<RowReader> {
        open_readers(2, || self.server.connect_reader(schema, PATIENCE))
    }

    /// Leaves a scratch server running, and returns how to connect to it and how to remove it; `None` for others.
    pub fn keep(self) -> Result<Option<(String, String)>, Diagnostic> {
        match self.scratch {
            Some(scratch) => scratch.keep().map(|kept| Some((kept.psql, kept.remove))),
            None => Ok(None),
        }
    }
}
