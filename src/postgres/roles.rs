//! Roles: which are there, what they are above, and new ones whose password never leaves this process.

use super::Connection;
use crate::diagnostic::Diagnostic;
use crate::ident::{literal, quote, visible};

/// A role to create.
#[derive(Clone, Copy)]
pub struct NewRole<'r> {
    /// Its name.
    pub name: &'r str,
    /// What it may do, as CREATE ROLE words it.
    pub attributes: &'r str,
    /// The password, where it is to have one; a SCRAM verifier does as well.
    pub password: Option<&'r str>,
}

/// What a server knows of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleFacts {
    /// It is a superuser.
    pub is_superuser: bool,
    /// No policy binds it, by BYPASSRLS or because it is a superuser.
    pub bypasses_rls: bool,
    /// The session may act as it.
    pub is_mine: bool,
}

/// Looks a role up; `None` where the server has none of that name.
pub fn role_facts(connection: &mut Connection, name: &str) -> Result<Option<RoleFacts>, Diagnostic> {
    let sql = "SELECT rolsuper, rolsuper OR rolbypassrls, pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = $1";
    let rows = connection.query(sql, &[Some(name)], "look for the role")?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(RoleFacts { is_superuser: row.boolean(0)?, bypasses_rls: row.boolean(1)?, is_mine: row.boolean(2)? }))
}

/// Returns the name of the session's own role.
pub fn current_role(connection: &mut Connection) -> Result<String, Diagnostic> {
    let row = connection.query_one("SELECT current_user", &[], "ask for the session's role")?;
    Ok(row.text(0)?.to_owned())
}

/// Creates a role.
///
/// The server gets a SCRAM-SHA-256 verifier: the password itself would stand in its log.
pub fn create_role(connection: &mut Connection, role: NewRole<'_>) -> Result<(), Diagnostic> {
    let mut sql = format!("CREATE ROLE {} {}", quote(role.name), role.attributes);
    if let Some(password) = role.password {
        sql.push_str(&format!(" PASSWORD {}", literal(&verifier(password))));
    }
    connection.execute(&sql, &format!("create the role {}", visible(role.name))).map(drop)
}

fn verifier(password: &str) -> String {
    if password.starts_with("SCRAM-SHA-256$") {
        return password.to_owned();
    }
    postgres_protocol::password::scram_sha_256(password.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing;

    #[test]
    fn the_server_gets_a_verifier_of_the_password() {
        let database = testing::database();
        let mut connection = testing::connect(&database);
        let name = "Role \"of\" a test";
        let role = NewRole { name, attributes: "LOGIN", password: Some("s3cret 'ü") };
        create_role(&mut connection, role).unwrap();
        let sql = format!("SELECT rolpassword FROM pg_authid WHERE rolname = {}", literal(name));
        let stored = testing::column(&mut connection, &sql);
        assert!(stored[0].starts_with("SCRAM-SHA-256$4096:") && !stored[0].contains("s3cret"), "{stored:?}");
        let again = create_role(&mut connection, role).unwrap_err();
        assert!(!format!("{again:?}").contains("s3cret"), "{again:?}");
        let facts = role_facts(&mut connection, name).unwrap();
        assert_eq!(facts, Some(RoleFacts { is_superuser: false, bypasses_rls: false, is_mine: true }));
        assert_eq!(role_facts(&mut connection, "nobody").unwrap(), None);
        assert_eq!(verifier(&stored[0]), stored[0]);
    }
}
