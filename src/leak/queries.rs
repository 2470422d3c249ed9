//! The file of queries: `\set`, names and reasons in comments, statements.

use crate::diagnostic::{Diagnostic, Diagnostics, SourceId, Span};
use crate::spec::{Unfilled, cut, fill_in};
use std::collections::{BTreeMap, BTreeSet};

/// The variable that holds the tenant.
pub const TENANT: &str = "tenant";

/// One query of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What its comment calls it: `-- name: NAME`.
    pub name: Option<String>,
    /// Why it may see all tenants, where its comment says so: `-- all tenants: REASON`.
    pub all_tenants: Option<String>,
    /// The line it begins on, from one.
    pub line: usize,
    /// The statement with its variables.
    pub(super) sql: String,
    /// What comes of it.
    pub(super) kind: Kind,
    /// Every name and word in it: unquoted ones in lower case, quoted ones as they are.
    pub(super) names: BTreeSet<String>,
    /// The values of variables where it stands.
    variables: BTreeMap<String, String>,
}

/// What comes of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rows.
    Reads,
    /// Changes.
    Writes,
    /// Changes, and rows.
    WritesAndReads,
}

impl Query {
    /// Returns the statement for a tenant; the file's own `\set tenant` gives way to it.
    pub(super) fn statement(&self, tenant: &str) -> String {
        let value =
            |name: &str| if name == TENANT { Some(tenant.to_owned()) } else { self.variables.get(name).cloned() };
        // The file was read by the same means, so all of its variables have values.
        fill_in(&self.sql, &value).unwrap_or_else(|_| self.sql.clone())
    }

    /// Returns the tenant that the file sets for it.
    pub fn tenant(&self) -> Option<&str> {
        self.variables.get(TENANT).map(String::as_str)
    }
}

/// Reads the queries of a file; `source` is where the file's text stands among the sources.
///
/// # Errors
/// All at once: `sql-syntax`, `variable-unset` for a variable without a value, `not-a-query` for a statement that is none,
/// `no-queries` for a file without any.
pub fn read_queries(text: &str, source: SourceId) -> Result<Vec<Query>, Diagnostics> {
    let (plain, variables) = without_commands(text);
    let statements = cut(&plain).map_err(|uncut| {
        Diagnostic::error("sql-syntax", format!("the SQL cannot be read: {}", uncut.message))
            .label(Span::new(source, uncut.place), "here")
    })?;
    let mut errors = Diagnostics::default();
    let mut queries = Vec::new();
    for statement in statements {
        let place = Span::new(source, statement.place.clone());
        let Some(kind) = kind(&statement.begins, &statement.names) else {
            errors.push(
                Diagnostic::error("not-a-query", "the statement is no query")
                    .label(place, "this one")
                    .help("only SELECT, INSERT, UPDATE, DELETE, MERGE, WITH, VALUES and TABLE are run"),
            );
            continue;
        };
        let before = variables.iter().filter(|(at, ..)| *at < statement.place.start);
        let set: BTreeMap<String, String> = before.map(|(_, name, value)| (name.clone(), value.clone())).collect();
        let known = |name: &str| if name == TENANT { Some(String::new()) } else { set.get(name).cloned() };
        if let Err(Unfilled::Unset(name, _)) = fill_in(&statement.text, &known) {
            errors.push(
                Diagnostic::error("variable-unset", format!("the variable :{name} has no value"))
                    .label(place, "in this query")
                    .help(format!("write one in front of it: \\set {name} VALUE")),
            );
            continue;
        }
        let said = |key: &str| {
            let before =
                statement.text.lines().map(str::trim).take_while(|line| line.is_empty() || line.starts_with("--"));
            let comments = before.filter_map(|line| line.strip_prefix("--"));
            comments.filter_map(|line| line.trim().strip_prefix(key)).last().map(|value| value.trim().to_owned())
        };
        queries.push(Query {
            name: said("name:"),
            all_tenants: said("all tenants:"),
            line: text[..statement.place.start].matches('\n').count() + 1,
            kind,
            names: statement.names,
            sql: statement.text,
            variables: set,
        });
    }
    if queries.is_empty() && errors.is_empty() {
        errors.push(
            Diagnostic::error("no-queries", "the file has no query")
                .help("name another file, or write the queries into it, each with a semicolon behind it"),
        );
    }
    errors.into_result(queries)
}

fn kind(begins: &[String], names: &BTreeSet<String>) -> Option<Kind> {
    // What stands in a WITH may write and return, whatever the query itself does.
    let writes = ["insert", "update", "delete"].iter().any(|word| names.contains(*word));
    let returns = names.contains("returning");
    match begins.first()?.as_str() {
        "SELECT" | "VALUES" | "TABLE" => Some(Kind::Reads),
        "WITH" if !writes => Some(Kind::Reads),
        // A WITH that ends in a write without RETURNING gives no rows; the server says so, and it is tried as it is.
        "WITH" | "INSERT" | "UPDATE" | "DELETE" if returns => Some(Kind::WritesAndReads),
        "WITH" | "INSERT" | "UPDATE" | "DELETE" | "MERGE" => Some(Kind::Writes),
        _ => None,
    }
}

/// Where a `\set` stands, its name and its value.
type Setting = (usize, String, String);

/// Takes the lines with `\set` out, leaving blanks so that every place stays what it is.
fn without_commands(text: &str) -> (String, Vec<Setting>) {
    let mut plain = String::with_capacity(text.len());
    let mut variables = Vec::new();
    for line in text.split_inclusive('\n') {
        let words =
            line.trim().strip_prefix("\\set ").map(str::trim).and_then(|rest| rest.split_once(char::is_whitespace));
        let Some((name, value)) = words else {
            plain.push_str(line);
            continue;
        };
        let value = value.trim();
        let unquoted = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
        let value = unquoted.map_or_else(|| value.to_owned(), |value| value.replace("''", "'"));
        variables.push((plain.len(), name.to_owned(), value));
        let width = line.trim_end_matches('\n').len();
        plain.push_str(&" ".repeat(width));
        plain.push_str(&line[width..]);
    }
    (plain, variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\\set tenant acct-1\n\\set id 7\n-- name: one invoice\nSELECT * FROM invoices\nWHERE id = :id AND \
                        account_id = :'tenant';\n\n\\set id 'it''s 8'\n-- all tenants: before a login\nDELETE FROM \"T\" WHERE a = :id RETURNING *";

    #[test]
    fn queries_have_names_lines_and_the_variables_set_before_them() {
        let queries = read_queries(FILE, SourceId(0)).unwrap();
        let [first, second] = &queries[..] else { panic!("{queries:?}") };
        assert_eq!((first.name.as_deref(), first.line, first.kind), (Some("one invoice"), 4, Kind::Reads));
        assert!(
            first.statement("x'y").ends_with("WHERE id = '7' AND account_id = 'x''y'"),
            "{}",
            first.statement("x'y")
        );
        assert_eq!((second.line, second.kind, second.tenant()), (9, Kind::WritesAndReads, Some("acct-1")));
        assert_eq!(second.all_tenants.as_deref(), Some("before a login"));
        assert!(second.statement("t").contains("a = 'it''s 8'") && second.names.contains("T"));
    }

    #[test]
    fn all_mistakes_are_found_at_once() {
        let codes = |text: &str| {
            let errors = read_queries(text, SourceId(0)).unwrap_err();
            errors.0.iter().map(|error| error.code).collect::<Vec<_>>()
        };
        assert_eq!(codes("COMMIT; SELECT :id; DROP TABLE t"), ["not-a-query", "variable-unset", "not-a-query"]);
        assert_eq!(codes("SELECT 'a"), ["sql-syntax"]);
        assert_eq!(codes("-- nothing\n"), ["no-queries"]);
    }
}
