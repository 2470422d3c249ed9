//! Poolers that hand one server process to several clients: a copy is not begun behind one.

use super::doctor::{Finding, Status};
use super::{Connection, Server};
use crate::diagnostic::Diagnostic;
use std::time::Duration;

/// Looks for one server process behind two connections, as a pooler in transaction mode gives them: what the first has
/// just used the second gets next; else a transaction of the second takes it over, and the first then gets another.
pub(super) fn pooler(first: &mut Connection, second: &mut Connection) -> Result<Finding, Diagnostic> {
    let before = first.backend_pid()?;
    // Asked before any transaction: a pool of one process would not answer the first while the second holds it.
    let mut other = second.backend_pid()?;
    let mut after = before;
    if before != other {
        let mut holding = second.begin()?;
        other = holding.backend_pid()?;
        after = first.backend_pid()?;
        holding.rollback()?;
    }
    Ok(if is_shared(before, other, after) {
        let detail = "a pooler hands one server process to several clients, so settings and locks do not hold";
        Finding::new("pooler", Status::Failed, detail)
            .help("connect to the server itself, or to a pool in session mode")
    } else {
        Finding::new("pooler", Status::Ok, "each connection keeps its server process")
    })
}

impl Server {
    /// Connects to where rows are to be copied: what lies between has to give this session a server process of its own.
    ///
    /// The errors are those of [`Server::connect`], and `pooled-connection`.
    pub fn connect_unpooled(&self, schema: &str, timeout: Duration) -> Result<Connection, Diagnostic> {
        let mut connection = self.connect(schema, timeout)?;
        let mut other = self.connect(schema, timeout)?;
        pooler(&mut connection, &mut other)?.into_result("pooled-connection", self)?;
        Ok(connection)
    }
}

fn is_shared(before: i64, other: i64, after: i64) -> bool {
    before != after || before == other
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{self, PATIENCE};

    #[test]
    fn a_server_without_a_pooler_takes_a_copy() {
        let mut connection = testing::database().connect_unpooled("public", PATIENCE).unwrap();
        assert!(connection.begin().is_ok());
    }

    #[test]
    fn a_shared_server_process_gives_a_pooler_away() {
        assert!(!is_shared(1, 2, 1));
        assert!(is_shared(1, 1, 2) && is_shared(1, 2, 3) && is_shared(1, 1, 1));
    }
}
