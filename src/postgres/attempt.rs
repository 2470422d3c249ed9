//! Statements of other people's, tried: what comes of them is data, and so is a refusal.

use super::Connection;
use super::copy_in::io_error;
use super::error;
use crate::diagnostic::Diagnostic;
use std::io::Read;

/// What a statement gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its rows in the text form of COPY: columns with a tab between them.
    pub rows: Vec<String>,
    /// How many rows it gave or touched.
    pub count: u64,
}

/// How the server refused a statement, free of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// SQLSTATE.
    pub state: String,
    /// The primary message, with the names of what is concerned.
    pub message: String,
    /// The table concerned.
    pub table: Option<String>,
    /// The column concerned.
    pub column: Option<String>,
}

impl Connection {
    /// Tries a statement that gives rows, of whatever types they are.
    ///
    /// # Errors
    /// A connection that is gone.
    pub fn try_query(&mut self, sql: &str) -> Result<Result<Answer, Refusal>, Diagnostic> {
        // The line break ends a comment at the statement's end.
        let copied = self.client.copy_out(&format!("COPY ({sql}\n) TO STDOUT")).and_then(|mut reader| {
            let mut text = String::new();
            match reader.read_to_string(&mut text) {
                Ok(_) => Ok(Ok(text)),
                Err(error) => match error.downcast::<::postgres::Error>() {
                    Ok(error) => Err(error),
                    Err(error) => Ok(Err(io_error(error, "try a query"))),
                },
            }
        });
        match copied {
            Ok(text) => {
                let rows: Vec<String> = text?.lines().map(str::to_owned).collect();
                Ok(Ok(Answer { count: rows.len() as u64, rows }))
            }
            Err(error) => refused(&error),
        }
    }

    /// Tries a statement that gives no rows.
    ///
    /// # Errors
    /// A connection that is gone.
    pub fn try_statement(&mut self, sql: &str) -> Result<Result<Answer, Refusal>, Diagnostic> {
        match self.client.execute_typed(sql, &[]) {
            Ok(count) => Ok(Ok(Answer { rows: Vec::new(), count })),
            Err(error) => refused(&error),
        }
    }
}

fn refused(error: &::postgres::Error) -> Result<Result<Answer, Refusal>, Diagnostic> {
    let Some(server) = error.as_db_error().filter(|_| !error::is_lost(error)) else {
        return Err(error::statement(error, "try a statement"));
    };
    Ok(Err(Refusal {
        state: server.code().code().to_owned(),
        message: error::told(server),
        table: server.table().map(str::to_owned),
        column: server.column().map(str::to_owned),
    }))
}

#[cfg(test)]
mod tests {
    use crate::postgres::testing;

    #[test]
    fn rows_of_any_type_come_as_text_and_refusals_as_data() {
        let mut connection = testing::connect(&testing::database());
        connection.execute("CREATE TABLE t (a int NOT NULL, b jsonb)", "create").unwrap();
        let mut connection = connection.begin().unwrap();
        let answer = connection.try_query("INSERT INTO t VALUES (1, '{\"x\": 1}'), (2, NULL) RETURNING * -- both");
        let answer = answer.unwrap().unwrap();
        assert_eq!((answer.rows, answer.count), (vec!["1\t{\"x\": 1}".to_owned(), "2\t\\N".to_owned()], 2));
        assert_eq!(connection.try_statement("DELETE FROM t WHERE a = 1").unwrap().unwrap().count, 1);
        connection.execute("SAVEPOINT s", "save").unwrap();
        let refusal = connection.try_statement("INSERT INTO t (b) VALUES ('{}')").unwrap().unwrap_err();
        assert_eq!((refusal.state.as_str(), refusal.column.as_deref()), ("23502", Some("a")));
        connection.execute("ROLLBACK TO s", "go back").unwrap();
        // The refusal comes behind the first rows.
        let refusal = connection.try_query("SELECT 1 / (3 - n) FROM generate_series(1, 3) AS n").unwrap().unwrap_err();
        assert_eq!(refusal.state, "22012");
        connection.execute("ROLLBACK TO s", "go back").unwrap();
        assert_eq!(connection.try_query("SELECT count(*) FROM t").unwrap().unwrap().rows, ["1"]);
    }
}
