//! Reads tables into the same model that plans are made of, so that the two can be compared.

use super::{constraints, indexes, tables};
use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use crate::postgres::{Connection, Row};
use crate::schema::{ColumnId, TableId, TargetSchema};
use std::collections::BTreeMap;

/// Reads the named tables of a schema, in the order of `names`.
///
/// Defaults, checks, generation expressions and predicates come as [`crate::schema::Expr::Postgres`], in the server's
/// own writing. Constraints and indexes of a table are ordered by name. The error `table-missing` names all tables
/// that do not exist; `catalog-unsupported` lists everything that the model cannot say, because a comparison that
/// left it out would claim too much.
pub fn read_catalog(connection: &mut Connection, schema: &str, names: &[&str]) -> Result<TargetSchema, Diagnostic> {
    let (read, unsaid) = read_catalog_in_part(connection, schema, names)?;
    if unsaid.is_empty() {
        return Ok(read);
    }
    let list: Vec<String> = unsaid.iter().map(|object| format!("{}: {}", object.table, object.what)).collect();
    Err(Diagnostic::error(
        "catalog-unsupported",
        format!("the schema {} has what tenantry does not write: {}", visible(schema), list.join("; ")),
    )
    .help("change these in the database, or leave the tables to tenantry with --schema create"))
}

/// An object of a table that the model cannot say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsaid {
    /// The table, free of control characters.
    pub table: String,
    /// The object's own name: a column, a constraint or an index.
    pub object: String,
    /// What it is, as a fragment that begins with its name, free of control characters.
    pub what: String,
}

/// As [`read_catalog`], with what the model cannot say beside what it can. What stands for such an object in the schema, or
/// is missing there, means nothing.
///
/// # Errors
/// `table-missing`, and failures of the server.
pub fn read_catalog_in_part(
    connection: &mut Connection,
    schema: &str,
    names: &[&str],
) -> Result<(TargetSchema, Vec<Unsaid>), Diagnostic> {
    let mut reading = Reading {
        schema_name: schema,
        table_list: name_list(names),
        schema: TargetSchema::default(),
        columns: BTreeMap::new(),
        unsaid: Vec::new(),
    };
    tables::read_tables(connection, names, &mut reading)?;
    tables::read_columns(connection, &mut reading)?;
    constraints::read_keys(connection, &mut reading)?;
    constraints::read_foreign_keys(connection, &mut reading)?;
    constraints::read_checks(connection, &mut reading)?;
    indexes::read(connection, &mut reading)?;
    Ok((reading.schema, reading.unsaid))
}

/// What has been read so far.
pub(super) struct Reading<'a> {
    pub(super) schema_name: &'a str,
    /// The tables' names as a JSON array.
    pub(super) table_list: String,
    pub(super) schema: TargetSchema,
    /// Columns by table and attribute number.
    pub(super) columns: BTreeMap<(TableId, i64), ColumnId>,
    /// Objects that the model cannot say.
    pub(super) unsaid: Vec<Unsaid>,
}

impl Reading<'_> {
    /// Runs a query whose `$1` is the schema and whose `$2` is the list of tables.
    pub(super) fn query(&self, connection: &mut Connection, sql: &str, what: &str) -> Result<Vec<Row>, Diagnostic> {
        let purpose = format!("read the {what} of the schema {}", visible(self.schema_name));
        connection.query(sql, &[Some(self.schema_name), Some(&self.table_list)], &purpose)
    }

    /// Finds a table by its exact name: PostgreSQL tells `Users` from `users`.
    pub(super) fn table(&self, name: &str) -> Option<TableId> {
        self.schema.table_ids().find(|&id| self.schema.table(id).name == name)
    }

    /// Finds the table that a row names in its first column.
    pub(super) fn table_of(&self, row: &Row) -> Result<TableId, Diagnostic> {
        self.table(row.text(0)?).ok_or_else(changed)
    }

    /// Finds the columns that an array such as `{1,3}` numbers.
    pub(super) fn columns(&self, table: TableId, array: &str) -> Result<Vec<ColumnId>, Diagnostic> {
        let numbers = array.trim_matches(['{', '}']).split(',').filter(|number| !number.is_empty());
        numbers
            .map(|number| {
                let number = number.trim().parse().map_err(|_| changed())?;
                self.columns.get(&(table, number)).copied().ok_or_else(changed)
            })
            .collect()
    }

    /// Notes an object that the model cannot say; `what` goes on behind its name.
    pub(super) fn unsaid(&mut self, table: TableId, object: &str, what: &str) {
        let table = visible(&self.schema.table(table).name).into_owned();
        let what = visible(&format!("{object} {what}")).into_owned();
        self.unsaid.push(Unsaid { table, object: object.to_owned(), what });
    }
}

/// Writes names as a JSON array, which the server takes apart again whatever the names hold.
pub(super) fn name_list(names: &[&str]) -> String {
    serde_json::Value::from(names.to_vec()).to_string()
}

fn changed() -> Diagnostic {
    Diagnostic::error("unexpected-answer", "the server's catalog changed while it was read")
        .help("run again while nobody else alters the schema")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing;
    use crate::schema::{Action, Deferral, Expr, IndexMethod, KeyKind, PgType};

    const DDL: &[&str] = &[
        "CREATE TABLE accounts (id varchar(100) PRIMARY KEY, owner_id bigint, name text DEFAULT 'x''y')",
        "CREATE TABLE \"My Users\" (account_id varchar(100) NOT NULL, id bigint GENERATED BY DEFAULT AS IDENTITY, \
           dropped int, \"E-Mail\" text NOT NULL, born timestamp, seen timestamptz DEFAULT now(), \
           amount numeric(10,2) DEFAULT 0, code char(3) COLLATE \"C\", doubled int GENERATED ALWAYS AS (1 + 1) STORED, \
           parent_id bigint, PRIMARY KEY (account_id, id), CONSTRAINT mail_once UNIQUE (account_id, \"E-Mail\"), \
           CONSTRAINT positive CHECK (amount >= 0::numeric), \
           FOREIGN KEY (account_id) REFERENCES accounts (id) ON DELETE CASCADE ON UPDATE RESTRICT, \
           CONSTRAINT tree FOREIGN KEY (account_id, parent_id) REFERENCES \"My Users\" (account_id, id) \
             ON DELETE SET NULL (parent_id) DEFERRABLE INITIALLY DEFERRED)",
        "ALTER TABLE \"My Users\" DROP COLUMN dropped",
        "CREATE UNIQUE INDEX mail_lower ON \"My Users\" (account_id, lower(\"E-Mail\") DESC) WHERE amount > 0::numeric",
        "CREATE INDEX by_code ON \"My Users\" (code COLLATE \"POSIX\")",
        "CREATE TABLE links (a varchar(100), b bigint, \
           CONSTRAINT full_match FOREIGN KEY (a, b) REFERENCES \"My Users\" (account_id, id) MATCH FULL \
             ON DELETE SET DEFAULT DEFERRABLE)",
    ];

    fn apply(ddl: &[&str]) -> Connection {
        let mut connection = testing::connect(&testing::database());
        for sql in ddl {
            connection.execute(sql, "create").unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
        connection
    }

    #[test]
    fn tables_come_back_with_all_that_belongs_to_them() {
        let mut connection = apply(DDL);
        let schema = read_catalog(&mut connection, "public", &["links", "My Users", "accounts"]).unwrap();
        let names = schema.tables.iter().map(|table| table.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names, ["links", "My Users", "accounts"]);

        let users = schema.table(TableId(1));
        let columns = users.columns.iter().map(|&id| schema.column(id)).collect::<Vec<_>>();
        let shown = columns.iter().map(|column| format!("{} {}", column.name, column.data_type)).collect::<Vec<_>>();
        assert_eq!(
            shown.join(", "),
            "account_id varchar(100), id bigint, E-Mail text, born timestamp, seen timestamptz, amount numeric(10,2), \
             code char(3), doubled integer, parent_id bigint"
        );
        assert!(columns[0].not_null && columns[1].identity && !columns[3].not_null);
        assert_eq!(columns[4].default, Some(Expr::Postgres("now()".into())));
        assert_eq!(columns[6].collation.as_deref(), Some("C"));
        let generated = columns[7].generated.as_ref().unwrap();
        assert!(generated.stored && generated.expr == Expr::Postgres("(1 + 1)".into()) && columns[7].default.is_none());

        let key = schema.key(users.primary_key.unwrap());
        assert_eq!((key.kind, key.name.as_deref()), (KeyKind::Primary, Some("My Users_pkey")));
        assert_eq!(schema.column_names(&key.columns).collect::<Vec<_>>(), ["account_id", "id"]);
        let unique = schema.key(users.unique_keys[0]);
        assert_eq!(unique.name.as_deref(), Some("mail_once"));
        assert_eq!(schema.column_names(&unique.columns).collect::<Vec<_>>(), ["account_id", "E-Mail"]);

        let check = schema.check(users.checks[0]);
        assert_eq!(check.name.as_deref(), Some("positive"));
        assert_eq!(check.expr, Expr::Postgres("(amount >= (0)::numeric)".into()));
    }

    #[test]
    fn foreign_keys_come_back_with_every_clause() {
        let mut connection = apply(DDL);
        let schema = read_catalog(&mut connection, "public", &["links", "My Users", "accounts"]).unwrap();
        let named = |name: &str| {
            schema.foreign_keys.iter().find(|key| key.name.as_deref() == Some(name)).unwrap_or_else(|| panic!("{name}"))
        };
        let root = named("My Users_account_id_fkey");
        assert_eq!((root.on_delete, root.on_update), (Action::Cascade, Action::Restrict));
        assert_eq!((root.referenced_table, root.deferral), (TableId(2), Deferral::NotDeferrable));
        let tree = named("tree");
        assert!(tree.is_self_reference() && !tree.match_full);
        assert_eq!((tree.on_delete, tree.deferral), (Action::SetNull, Deferral::InitiallyDeferred));
        let set = tree.set_columns.as_ref().unwrap();
        assert_eq!(schema.column_names(set).collect::<Vec<_>>(), ["parent_id"]);
        assert_eq!(schema.column_names(&tree.columns).collect::<Vec<_>>(), ["account_id", "parent_id"]);
        assert_eq!(schema.column_names(&tree.referenced_columns).collect::<Vec<_>>(), ["account_id", "id"]);
        let full = named("full_match");
        assert!(full.match_full && full.set_columns.is_none());
        assert_eq!((full.on_delete, full.deferral), (Action::SetDefault, Deferral::InitiallyImmediate));
    }

    #[test]
    fn indexes_come_back_without_those_of_constraints() {
        let mut connection = apply(DDL);
        let schema = read_catalog(&mut connection, "public", &["links", "My Users", "accounts"]).unwrap();
        let names = schema.indexes.iter().map(|index| index.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names, ["by_code", "mail_lower"]);
        let [by_code, lower] = &schema.indexes[..] else { panic!() };
        assert_eq!(by_code.parts[0].collation.as_deref(), Some("POSIX"));
        assert!(!by_code.unique && by_code.plain_columns().is_some() && by_code.predicate.is_none());
        assert!(lower.unique && lower.parts[1].descending && !lower.parts[0].descending);
        assert_eq!(lower.parts[1].expr, Expr::Postgres("lower(\"E-Mail\")".into()));
        assert_eq!(lower.predicate, Some(Expr::Postgres("(amount > (0)::numeric)".into())));
    }

    #[test]
    fn the_order_of_an_index_comes_back() {
        let mut connection =
            apply(&["CREATE TABLE t (a int)", "CREATE INDEX i ON t (a, a NULLS FIRST, a DESC, a DESC NULLS LAST)"]);
        let schema = read_catalog(&mut connection, "public", &["t"]).unwrap();
        let orders: Vec<&str> = schema.indexes[0].parts.iter().map(|part| part.order()).collect();
        assert_eq!(orders, ["", " NULLS FIRST", " DESC", " DESC NULLS LAST"]);
    }

    #[test]
    fn methods_and_carried_columns_of_indexes_come_back() {
        let mut connection = apply(&[
            "CREATE TABLE t (a int, b text, c jsonb)",
            "CREATE INDEX carries ON t (a) INCLUDE (c, b)",
            "CREATE INDEX documents ON t USING gin (c)",
        ]);
        let schema = read_catalog(&mut connection, "public", &["t"]).unwrap();
        let [carries, documents] = &schema.indexes[..] else { panic!() };
        assert_eq!(schema.column_names(&carries.include).collect::<Vec<_>>(), ["c", "b"]);
        assert_eq!((carries.method, carries.parts.len()), (IndexMethod::Btree, 1));
        assert_eq!((documents.method, documents.include.len()), (IndexMethod::Gin, 0));
    }

    #[test]
    fn every_type_that_is_written_comes_back() {
        let types = "boolean, smallint, integer, bigint, real, double precision, numeric, numeric(10,2), numeric(5,0), text, \
                     varchar, varchar(100), char(1), bytea, date, time, timestamp, timestamptz, uuid, json, jsonb";
        // A comma inside parentheses does not separate.
        let types = types.replace("(10,2)", "(10;2)").replace("(5,0)", "(5;0)");
        let types = types.split(", ").map(|name| PgType::parse(&name.replace(';', ",")).unwrap()).collect::<Vec<_>>();
        let columns = types.iter().enumerate().map(|(n, data_type)| format!("c{n} {data_type}")).collect::<Vec<_>>();
        let mut connection = apply(&[&format!("CREATE TABLE t ({})", columns.join(", "))]);
        let schema = read_catalog(&mut connection, "public", &["t"]).unwrap();
        assert_eq!(schema.columns.iter().map(|column| column.data_type).collect::<Vec<_>>(), types);
    }

    #[test]
    fn what_the_model_cannot_say_is_listed_in_full() {
        let mut connection = apply(&[
            "CREATE DOMAIN text_like AS text",
            "CREATE TABLE t (a money, b text_like, c \"char\", d int[], e time(3), id int, \
               PRIMARY KEY (id) DEFERRABLE, EXCLUDE USING btree (id WITH =), UNIQUE NULLS NOT DISTINCT (e))",
            "CREATE INDEX smallest ON t USING brin (id int4_bloom_ops)",
            "CREATE INDEX pattern ON t (b text_pattern_ops)",
            "CREATE TABLE elsewhere (id int PRIMARY KEY)",
            "ALTER TABLE t ADD CONSTRAINT out_of_sight FOREIGN KEY (id) REFERENCES elsewhere",
        ]);
        let error = read_catalog(&mut connection, "public", &["t"]).unwrap_err();
        assert_eq!(error.code, "catalog-unsupported");
        let signs =
            ["a is money", "b is text_like", "c is \"char\"", "d is integer[]", "e is time(3)", "t_pkey", "t_id_excl"];
        for sign in signs.into_iter().chain(["t_e_key", "smallest uses int4_bloom_ops", "pattern", "elsewhere"]) {
            assert!(error.message.contains(sign), "{sign}: {}", error.message);
        }
    }

    #[test]
    fn tables_that_are_missing_are_named() {
        let mut connection = apply(&["CREATE TABLE t (a int)", "CREATE VIEW v AS SELECT 1"]);
        let error = read_catalog(&mut connection, "public", &["t", "T", "v", "it's"]).unwrap_err();
        assert_eq!(error.code, "table-missing");
        assert!(error.message.contains("T, v, it's"), "{error:?}");
    }
}
