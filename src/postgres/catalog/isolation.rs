//! Reads who owns what, who may do what, and which policies stand before the rows.

use super::reader::name_list;
use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use crate::postgres::Connection;
use std::collections::BTreeSet;

/// What isolates the rows of a schema as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveIsolation {
    /// The schema's owner.
    pub schema_owner: String,
    /// Who may see into the schema, beside its owner.
    pub schema_users: BTreeSet<String>,
    /// The relations asked for, and the sequences of their identity columns.
    pub relations: Vec<LiveRelation>,
    /// The policies on them.
    pub policies: Vec<LivePolicy>,
    /// The functions asked for.
    pub functions: Vec<LiveFunction>,
    /// The roles asked for that exist.
    pub roles: Vec<LiveRole>,
}

/// A table, view or sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRelation {
    /// Its name.
    pub name: String,
    /// The table that an identity's sequence belongs to; its own name for others.
    pub table: String,
    /// Whether it is a sequence.
    pub is_sequence: bool,
    /// Its owner.
    pub owner: String,
    /// Whether row-level security is on.
    pub guarded: bool,
    /// Whether that binds the owner too.
    pub forced: bool,
    /// Its options, such as `security_invoker=true`.
    pub options: Vec<String>,
    /// Who may do what with it, as (role, privilege), beside the owner; everybody is `PUBLIC`. A privilege on some columns only
    /// ends in ` (columns)`.
    pub grants: BTreeSet<(String, String)>,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePolicy {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Whether it lets rows through, rather than taking some away.
    pub permissive: bool,
    /// `ALL`, `SELECT`, …
    pub command: String,
    /// The roles that it is for; everybody is `PUBLIC`.
    pub roles: BTreeSet<String>,
    /// Its USING, in the server's own writing.
    pub using: Option<String>,
    /// Its WITH CHECK, in the server's own writing.
    pub check: Option<String>,
}

/// A function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveFunction {
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// Whether it runs with its owner's rights.
    pub security_definer: bool,
    /// The settings that it runs under.
    pub settings: Vec<String>,
    /// Who may call it, beside the owner; everybody is `PUBLIC`.
    pub callers: BTreeSet<String>,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRole {
    /// Its name.
    pub name: String,
    /// Whether no policy binds it.
    pub bypasses: bool,
}

const SCHEMA: &str = "
    SELECT pg_get_userbyid(n.nspowner),
           coalesce((SELECT jsonb_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END)
                     FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
                     WHERE a.grantee <> n.nspowner AND a.privilege_type = 'USAGE'), '[]')::text
    FROM pg_namespace n WHERE n.nspname = $1";

/// The relations, and the sequences that hang on their columns.
const RELATIONS: &str = "
    WITH asked AS (
      SELECT c.oid, c.relname AS belongs FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1 AND c.relname IN (SELECT jsonb_array_elements_text($2::jsonb)) AND c.relkind IN ('r', 'p', 'v')
    ), wanted AS (
      SELECT oid, belongs FROM asked
      UNION ALL
      SELECT d.objid, a.belongs FROM asked a
      JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.oid AND d.classid = 'pg_class'::regclass
        AND d.deptype = 'i' AND d.refobjsubid > 0
    )
    SELECT c.relname, w.belongs, c.relkind = 'S', pg_get_userbyid(c.relowner), c.relrowsecurity, c.relforcerowsecurity,
           coalesce(to_jsonb(c.reloptions), '[]')::text,
           coalesce((SELECT jsonb_agg(jsonb_build_array(
                       CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END, a.privilege))
                     FROM (SELECT a.grantee, a.privilege_type AS privilege FROM aclexplode(c.relacl) a
                           UNION
                           SELECT a.grantee, a.privilege_type || ' (columns)' FROM pg_attribute t, aclexplode(t.attacl) a
                           WHERE t.attrelid = c.oid AND NOT t.attisdropped) a
                     WHERE a.grantee <> c.relowner), '[]')::text
    FROM wanted w JOIN pg_class c ON c.oid = w.oid
    WHERE c.relkind IN ('r', 'p', 'v', 'S')
    ORDER BY w.belongs, c.relkind = 'S', c.relname";

const POLICIES: &str = "
    SELECT c.relname, p.polname, p.polpermissive,
           CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
             ELSE 'ALL' END,
           (SELECT jsonb_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r)::text END) FROM unnest(p.polroles) r)::text,
           pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
    FROM pg_policy p
    JOIN pg_class c ON c.oid = p.polrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname IN (SELECT jsonb_array_elements_text($2::jsonb))
    ORDER BY c.relname, p.polname";

const FUNCTIONS: &str = "
    SELECT p.proname, pg_get_userbyid(p.proowner), p.prosecdef, coalesce(to_jsonb(p.proconfig), '[]')::text,
           coalesce((SELECT jsonb_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END)
                     FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                     WHERE a.grantee <> p.proowner), '[]')::text
    FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = $1 AND p.proname IN (SELECT jsonb_array_elements_text($2::jsonb))
    ORDER BY p.proname, p.oid";

const ROLES: &str = "
    SELECT r.rolname, r.rolsuper OR r.rolbypassrls FROM pg_roles r
    WHERE r.rolname IN (SELECT jsonb_array_elements_text($1::jsonb)) ORDER BY 1";

/// Reads what isolates the rows of these relations; what does not exist is missing in the answer.
pub fn read_isolation(
    connection: &mut Connection,
    schema: &str,
    relations: &[&str],
    functions: &[&str],
    roles: &[&str],
) -> Result<LiveIsolation, Diagnostic> {
    let mut live = LiveIsolation::default();
    let purpose = |what: &str| format!("read the {what} of the schema {}", visible(schema));
    for row in connection.query(SCHEMA, &[Some(schema)], &purpose("rights"))? {
        live.schema_owner = row.text(0)?.to_owned();
        live.schema_users = names(row.text(1)?).into_iter().collect();
    }
    let asked = [Some(schema), Some(&name_list(relations))].map(|text| text.map(ToOwned::to_owned));
    let asked = [asked[0].as_deref(), asked[1].as_deref()];
    for row in connection.query(RELATIONS, &asked, &purpose("relations"))? {
        live.relations.push(LiveRelation {
            name: row.text(0)?.to_owned(),
            table: row.text(1)?.to_owned(),
            is_sequence: row.boolean(2)?,
            owner: row.text(3)?.to_owned(),
            guarded: row.boolean(4)?,
            forced: row.boolean(5)?,
            options: names(row.text(6)?),
            grants: serde_json::from_str(row.text(7)?).map_err(|_| unreadable())?,
        });
    }
    for row in connection.query(POLICIES, &asked, &purpose("policies"))? {
        live.policies.push(LivePolicy {
            table: row.text(0)?.to_owned(),
            name: row.text(1)?.to_owned(),
            permissive: row.boolean(2)?,
            command: row.text(3)?.to_owned(),
            roles: names(row.text(4)?).into_iter().collect(),
            using: row.optional(5).map(str::to_owned),
            check: row.optional(6).map(str::to_owned),
        });
    }
    for row in connection.query(FUNCTIONS, &[Some(schema), Some(&name_list(functions))], &purpose("functions"))? {
        live.functions.push(LiveFunction {
            name: row.text(0)?.to_owned(),
            owner: row.text(1)?.to_owned(),
            security_definer: row.boolean(2)?,
            settings: names(row.text(3)?),
            callers: names(row.text(4)?).into_iter().collect(),
        });
    }
    for row in connection.query(ROLES, &[Some(&name_list(roles))], "read the roles")? {
        live.roles.push(LiveRole { name: row.text(0)?.to_owned(), bypasses: row.boolean(1)? });
    }
    Ok(live)
}

/// Reads a JSON array of names.
fn names(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}

fn unreadable() -> Diagnostic {
    Diagnostic::error("unexpected-answer", "the server's answer about privileges cannot be read")
}
