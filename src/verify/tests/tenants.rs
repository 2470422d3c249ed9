//! The tenant derived in SQL, where matching a reference is more than comparing two values.

use super::fixture::{Fixture, findings};
use crate::diagnostic::Diagnostic;
use crate::schema::Value;
use crate::verify::tenant_sql::TenantSql;

const SQLITE: &str = "
    CREATE TABLE tenants (id INTEGER PRIMARY KEY, code TEXT UNIQUE);
    CREATE TABLE people (id INTEGER PRIMARY KEY, tenant TEXT REFERENCES tenants (code), friend_id INTEGER REFERENCES people (id));
    CREATE TABLE books (isbn TEXT COLLATE NOCASE PRIMARY KEY, person_id TEXT REFERENCES people (id), title TEXT UNIQUE);
    CREATE TABLE pages (isbn TEXT REFERENCES books (isbn), n INTEGER, PRIMARY KEY (isbn, n));
    CREATE TABLE words (id INTEGER PRIMARY KEY, isbn TEXT, n TEXT, book TEXT REFERENCES books (title), FOREIGN KEY (isbn, n) REFERENCES pages (isbn, n));
    INSERT INTO tenants VALUES (1, 'x'), (2, 'y');
    INSERT INTO people VALUES (7, 'x', 8), (8, 'y', NULL), (9, 'nobody', 404);
    INSERT INTO books VALUES ('Ab', '07', 'One'), ('cd', '8.0', 'Two'), ('ef', 'x', 'Three'), ('gh', NULL, NULL), ('ij', ' 9', 'Four');
    INSERT INTO pages VALUES ('aB', 1), ('CD', 2), (NULL, 3), ('lost', 4), ('ef', 5);
    INSERT INTO words VALUES (1, 'aB', '01', 'Two'), (2, 'CD', 2, 'One'), (3, 'cd', 2, 'one'), (4, 'aB', NULL, NULL);";

const SPEC: &str = "
version: 1
source: s
tenant: {column: tenant_id, root: tenants}
tables:
  tenants: {unique: {code: global}}
  people: {tenant: {via: tenant}, foreign_keys: {friend_id: {column: friend_tenant_id}}}
  books: {tenant: {via: person_id}, unique: {title: global}, columns: {isbn: {type: text}, person_id: {type: bigint}}}
  pages: {tenant: {via: isbn}}
  words: {tenant: {via: 'isbn, n'}, columns: {n: {type: bigint}}, foreign_keys: {book: {column: book_tenant_id}}}
";

/// Reads columns of a target table's rows, in the order of the rows.
fn column(fixture: &Fixture, tenants: &TenantSql<'_>, table: &str, column: &str) -> Vec<Option<i64>> {
    let target = &fixture.plan.rewritten.target;
    let table = target.find_table(table).unwrap();
    let position = target.column_names(&target.table(table).columns).position(|name| name == column).unwrap();
    let mut found = Vec::new();
    let mut read = |values: &[Value<'_>]| {
        found.push(match &values[position] {
            Value::Integer(tenant) => Some(*tenant),
            Value::Null => None,
            other => panic!("{other:?}"),
        });
        Ok::<(), Diagnostic>(())
    };
    fixture.source.for_each_row(&format!("{} ORDER BY s.rowid", tenants.rows(table)), &[], &mut read).unwrap();
    found
}

#[test]
fn references_match_as_sqlite_matches_them_at_every_step() {
    let fixture = Fixture::new(SQLITE, SPEC);
    let tenants = TenantSql::new(&fixture.plan);
    tenants.derive(&fixture.source).unwrap();
    let tenants_of = |table: &str, name: &str| column(&fixture, &tenants, table, name);
    // Through a unique key of the root that is not its id.
    assert_eq!(tenants_of("people", "tenant_id"), [Some(1), Some(2), None]);
    // Texts match integers by the parent's affinity; what is no number, or nothing, matches nothing.
    assert_eq!(tenants_of("books", "tenant_id"), [Some(1), Some(2), None, None, None]);
    // The parent's collation decides: NOCASE, in a TEMP table too.
    assert_eq!(tenants_of("pages", "tenant_id"), [Some(1), Some(2), None, None, None]);
    // Two columns, one of either kind; the child's collation counts for nothing, so 'cd' is not the page of 'CD'.
    assert_eq!(tenants_of("words", "tenant_id"), [Some(1), Some(2), None, None]);
    // References with a tenant column of their own, to the table itself and to another key of a table.
    assert_eq!(tenants_of("people", "friend_tenant_id"), [Some(2), None, None]);
    assert_eq!(tenants_of("words", "book_tenant_id"), [Some(2), Some(1), None, None]);
}

#[test]
fn every_row_is_read_once_and_the_temp_tables_can_be_made_again() {
    let fixture = Fixture::new(SQLITE, SPEC);
    for _ in 0..2 {
        let tenants = TenantSql::new(&fixture.plan);
        tenants.derive(&fixture.source).unwrap();
        assert_eq!(column(&fixture, &tenants, "books", "tenant_id").len(), 5);
    }
    let tenants = TenantSql::new(&fixture.plan);
    tenants.derive(&fixture.source).unwrap();
    tenants.forget(&fixture.source).unwrap();
    let left = fixture.source.query_integer("SELECT count(*) FROM temp.sqlite_schema", &[]).unwrap();
    assert_eq!(left, 0);
}

#[test]
fn keys_that_differ_behind_a_nul_are_two() {
    let fixture = Fixture::new(
        "CREATE TABLE codes (code TEXT PRIMARY KEY, owner TEXT) WITHOUT ROWID;
         INSERT INTO codes VALUES ('a' || char(0) || 'b', 'x'), ('a' || char(0) || 'c', NULL);",
        "version: 1\nsource: source.db\ntenant: {column: tenant, type: text}\ntables:\n  codes:\n    \
         tenant: {first: [{column: owner}, {constant: y}]}\n    columns: {code: {nul: strip}}\n",
    );
    let rows = "INSERT INTO codes (tenant, code, owner) VALUES ('x', 'ab', 'x'), ('y', 'ac', NULL)";
    let mut target = fixture.target(&[rows]);
    assert_eq!(findings(&fixture.verify(&mut target)), Vec::<String>::new());
}
