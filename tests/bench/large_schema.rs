//! A schema of any size as a grown application has it: tenants, trees, associations, shared lists.

use std::fmt::Write as _;

/// A schema, and a spec that decides all of it.
pub struct LargeSchema {
    /// The tables as SQLite DDL.
    pub ddl: String,
    /// The spec, which reads `schema.sql`.
    pub spec: String,
    /// How many foreign keys there are.
    pub foreign_keys: usize,
}

/// Writes so many tables, with three foreign keys a table and more.
pub fn generate(tables: usize) -> LargeSchema {
    let mut ddl = String::from("CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT NOT NULL);\n");
    let mut spec =
        String::from("version: 1\nsource: schema.sql\ntenant: {column: account_id, root: accounts}\ntables:\n");
    let mut foreign_keys = 0;
    // Every tenth table is shared, and the first of the others says whose its rows are.
    let is_shared = |table: usize| table % 10 == 9;
    for table in 0..tables.saturating_sub(1) {
        let mut lines = vec![
            "id INTEGER PRIMARY KEY".to_owned(),
            "label VARCHAR(100) NOT NULL DEFAULT ''".to_owned(),
            "amount DECIMAL(10,2) CHECK (amount >= 0)".to_owned(),
            "is_active BOOLEAN NOT NULL DEFAULT 1".to_owned(),
            "created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP".to_owned(),
            "note TEXT".to_owned(),
        ];
        let mut parents = Vec::new();
        if table > 0 {
            // Not always the last ones: paths of all lengths, and some tables that many refer to.
            let candidates = [table / 2, table / 3 + table % 7, table.wrapping_mul(7919) % table, table - 1, 0];
            let fits = |parent: &usize| *parent < table && (!is_shared(table) || is_shared(*parent));
            parents.extend(candidates.into_iter().filter(fits).take(3 + table % 2));
        }
        for (number, parent) in parents.iter().enumerate() {
            let not_null = if number == 0 { " NOT NULL" } else { "" };
            let action = ["ON DELETE CASCADE", "ON DELETE SET NULL", "", "ON DELETE RESTRICT"][number];
            lines.push(format!("ref{number}_id INTEGER{not_null} REFERENCES table_{parent} (id) {action}"));
            foreign_keys += 1;
        }
        let tenant = match parents.iter().position(|&parent| !is_shared(parent)) {
            _ if is_shared(table) => None,
            Some(way) => Some(format!("{{via: ref{way}_id}}")),
            None => {
                lines.push("account_id INTEGER NOT NULL REFERENCES accounts (id)".to_owned());
                foreign_keys += 1;
                Some("{column: account_id}".to_owned())
            }
        };
        lines.push("UNIQUE (label)".to_owned());
        writeln!(ddl, "CREATE TABLE table_{table} (\n    {}\n);", lines.join(",\n    ")).unwrap_or_default();
        writeln!(ddl, "CREATE INDEX table_{table}_by_time ON table_{table} (created_at DESC) WHERE is_active = 1;")
            .unwrap_or_default();
        match tenant {
            Some(tenant) => writeln!(spec, "  table_{table}: {{tenant: {tenant}, unique: {{label: per_tenant}}}}"),
            None => writeln!(spec, "  table_{table}: shared"),
        }
        .unwrap_or_default();
    }
    LargeSchema { ddl, spec, foreign_keys }
}
