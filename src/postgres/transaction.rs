//! Transactions that roll back unless they are committed.

use super::Connection;
use crate::diagnostic::Diagnostic;
use std::ops::{Deref, DerefMut};

/// What a connection knows of its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransactionState {
    /// None is open.
    Idle,
    /// One is open.
    Open,
    /// One is open, and a statement in it failed: PostgreSQL answers its COMMIT with a silent rollback.
    Failed,
}

impl TransactionState {
    /// Remembers that a statement failed.
    pub(super) fn fail(&mut self) {
        if *self == Self::Open {
            *self = Self::Failed;
        }
    }
}

/// An open transaction; use it as the [`Connection`] it came from. Dropping it rolls back.
pub struct Transaction<'c> {
    connection: &'c mut Connection,
    ended: bool,
}

impl<'c> Transaction<'c> {
    pub(super) fn begin(connection: &'c mut Connection, statement: &str) -> Result<Self, Diagnostic> {
        if connection.state != TransactionState::Idle {
            return Err(Diagnostic::error("transaction-open", "failed to begin a transaction: one is open already"));
        }
        connection.execute(statement, "begin a transaction")?;
        connection.state = TransactionState::Open;
        Ok(Self { connection, ended: false })
    }

    /// Commits.
    ///
    /// The error `commit-outcome-unknown` says that the connection broke before the answer: the transaction may be
    /// committed or not. After every other error it is rolled back.
    pub fn commit(mut self) -> Result<(), Diagnostic> {
        self.ended = true;
        if self.connection.state == TransactionState::Failed {
            self.connection.roll_back();
            return Err(Diagnostic::error(
                "transaction-failed",
                "failed to commit: a statement of the transaction failed, so it is rolled back",
            ));
        }
        self.connection.state = TransactionState::Idle;
        self.connection.execute("COMMIT", "commit").map(drop).map_err(|error| match error.code {
            "connection-lost" => Diagnostic { code: "commit-outcome-unknown", ..error }
                .help("the transaction may be committed: run again, which finds out before it writes"),
            _ => error,
        })
    }

    /// Rolls back and reports when even that fails, which dropping does not.
    pub fn rollback(mut self) -> Result<(), Diagnostic> {
        self.ended = true;
        self.connection.state = TransactionState::Idle;
        self.connection.execute("ROLLBACK", "roll back").map(drop)
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.roll_back();
        }
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection
    }
}

#[cfg(test)]
mod tests {
    use crate::postgres::testing;

    #[test]
    fn dropping_rolls_back_and_commit_keeps() {
        let mut connection = testing::connect(&testing::database());
        connection.execute("CREATE TABLE t (a int)", "create").unwrap();
        {
            let mut transaction = connection.begin().unwrap();
            transaction.execute("INSERT INTO t VALUES (1)", "insert").unwrap();
        }
        let mut transaction = connection.begin().unwrap();
        transaction.execute("INSERT INTO t VALUES (2)", "insert").unwrap();
        transaction.commit().unwrap();
        let mut transaction = connection.begin().unwrap();
        transaction.execute("INSERT INTO t VALUES (3)", "insert").unwrap();
        transaction.rollback().unwrap();
        assert_eq!(testing::column(&mut connection, "SELECT a FROM t"), ["2"]);
    }

    #[test]
    fn a_failed_transaction_does_not_commit_silently() {
        let mut connection = testing::connect(&testing::database());
        connection.execute("CREATE TABLE t (a int PRIMARY KEY)", "create").unwrap();
        let mut transaction = connection.begin().unwrap();
        transaction.execute("INSERT INTO t VALUES (1)", "insert").unwrap();
        assert!(transaction.execute("INSERT INTO t VALUES (1)", "insert again").is_err());
        assert_eq!(transaction.commit().unwrap_err().code, "transaction-failed");
        assert!(testing::column(&mut connection, "SELECT a FROM t").is_empty());
        connection.begin().unwrap().commit().unwrap();
    }

    #[test]
    fn a_constraint_deferred_to_the_commit_fails_it_by_name() {
        let mut connection = testing::connect(&testing::database());
        connection.execute("CREATE TABLE p (a int PRIMARY KEY)", "create").unwrap();
        let sql = "CREATE TABLE c (a int CONSTRAINT c_a REFERENCES p DEFERRABLE INITIALLY DEFERRED)";
        connection.execute(sql, "create").unwrap();
        let mut transaction = connection.begin().unwrap();
        transaction.execute("INSERT INTO c VALUES (1)", "insert").unwrap();
        let error = transaction.commit().unwrap_err();
        assert_eq!(error.code, "constraint-violated");
        assert!(error.message.contains("c_a"), "{error:?}");
    }

    #[test]
    fn a_connection_cut_before_the_answer_leaves_the_outcome_unknown() {
        let database = testing::database();
        let (mut connection, mut other) = (testing::connect(&database), testing::connect(&database));
        let pid = connection.backend_pid().unwrap();
        let transaction = connection.begin().unwrap();
        other.query("SELECT pg_terminate_backend($1)", &[Some(&pid.to_string())], "cut").unwrap();
        let error = transaction.commit().unwrap_err();
        assert_eq!(error.code, "commit-outcome-unknown", "{error:?}");
    }
}
