//! What a role may not do that a run needs.

use super::Connection;
use super::doctor::names;
use super::journal::JOURNAL_SCHEMA;
use crate::diagnostic::Diagnostic;
use crate::ident::{quote, visible};

/// The privileges that a session lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingPrivileges {
    missing: Vec<String>,
    grants: Vec<String>,
}

impl MissingPrivileges {
    /// Says whether none is missing.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty()
    }

    /// Names them, as a fragment.
    pub fn describe(&self) -> String {
        self.missing.join(" and ")
    }

    /// Returns the statements that grant them.
    pub fn help(&self) -> String {
        format!("as their owner: {}", self.grants.join("; "))
    }
}

/// Finds the privileges that the session lacks for a run whose tables go into a schema.
pub fn missing_privileges(connection: &mut Connection, schema: &str) -> Result<MissingPrivileges, Diagnostic> {
    let sql = "SELECT has_database_privilege(current_database(), 'CREATE'), \
                      (SELECT has_schema_privilege(oid, 'CREATE') AND has_schema_privilege(oid, 'USAGE') \
                       FROM pg_namespace WHERE nspname = $1), \
                      (SELECT has_schema_privilege(oid, 'CREATE') AND has_schema_privilege(oid, 'USAGE') \
                       FROM pg_namespace WHERE nspname = $2)";
    let row = connection.query_one(sql, &[Some(schema), Some(JOURNAL_SCHEMA)], "ask for privileges")?;
    let database = row.boolean(0)?;
    let (role, name_of_database) = names(connection)?;
    let mut missing = Vec::new();
    let mut grants = Vec::new();
    for (column, name) in [(1, schema), (2, JOURNAL_SCHEMA)] {
        match row.optional(column) {
            // A schema that does not exist yet has to be created.
            None if !database => {
                missing.push(format!("CREATE on the database, for the schema {}", visible(name)));
                grants.push(format!("GRANT CREATE ON DATABASE {} TO {}", quote(&name_of_database), quote(&role)));
            }
            Some("false") => {
                missing.push(format!("USAGE and CREATE on the schema {}", visible(name)));
                grants.push(format!("GRANT USAGE, CREATE ON SCHEMA {} TO {}", quote(name), quote(&role)));
            }
            _ => {}
        }
    }
    Ok(MissingPrivileges { missing, grants })
}
