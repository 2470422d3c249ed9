//! Expressions that are not the plan's: each is found, by table and object, in the server's writing of both.

use super::fixture::{Fixture, run};
use crate::verify::{CatalogProof, verify_expressions};

const SQLITE: &str = "
    CREATE TABLE accounts (id TEXT PRIMARY KEY);
    CREATE TABLE bills (
        id INTEGER PRIMARY KEY, account_id TEXT NOT NULL REFERENCES accounts (id),
        amount DECIMAL(10,2) CONSTRAINT owed CHECK (amount >= 0),
        code VARCHAR(10) CONSTRAINT known CHECK (code IN ('a', 'b')),
        number INTEGER DEFAULT 1, doubled INTEGER GENERATED ALWAYS AS (number * 2) STORED,
        made DATETIME DEFAULT CURRENT_TIMESTAMP, \"tried \" TEXT);
    CREATE INDEX open_bills ON bills (code) WHERE amount > 10;
    CREATE INDEX by_size ON bills (abs(number), code);";

const SPEC: &str = "
version: 1
source: source.db
target: {schema: app}
tenant: {column: account_id, type: varchar(20), root: accounts}
tables:
  bills: {tenant: {column: account_id}}
";

const ANOTHER: &[(&str, &str)] = &[
    (
        "ALTER TABLE app.bills DROP CONSTRAINT owed, ADD CONSTRAINT owed CHECK (amount > 0)",
        "bills: the CHECK owed is (amount > (0)::numeric), and is to be (amount >= (0)::numeric)",
    ),
    (
        "ALTER TABLE app.bills DROP doubled, ADD doubled bigint GENERATED ALWAYS AS (number * 3) STORED",
        "bills: the generated column doubled is (number * 3), and is to be (number * 2)",
    ),
    (
        "ALTER TABLE app.bills ALTER made SET DEFAULT now()",
        "bills: the default of made is now(), and is to be (now() AT TIME ZONE 'utc'::text)",
    ),
    ("ALTER TABLE app.bills ALTER number SET DEFAULT 1 + 1", "bills: the default of number is (1 + 1), and is to be 1"),
    (
        "DROP INDEX app.open_bills; CREATE INDEX open_bills ON app.bills (account_id, code) WHERE amount > 11",
        "bills: the predicate of the index open_bills is (amount > (11)::numeric), and is to be (amount > (10)::numeric)",
    ),
    (
        "DROP INDEX app.by_size; CREATE INDEX by_size ON app.bills (account_id, abs(id), code)",
        "bills: part 2 of the index by_size is abs(id), and is to be abs(number)",
    ),
];

#[test]
fn another_expression_is_found_and_the_same_in_other_words_is_not() {
    let fixture = Fixture::new(SQLITE, SPEC);
    let mut target = fixture.target(&[]);
    let differences = |target: &mut _| {
        let CatalogProof { differences, uncompared } = verify_expressions(&fixture.plan, target).unwrap();
        assert_eq!(uncompared, Vec::<String>::new());
        differences
    };
    assert_eq!(differences(&mut target), Vec::<String>::new());
    // As a dump that was restored has it: what the server writes down of its own writing is not always the same.
    let restored = target
        .query_one(
            "SELECT pg_get_constraintdef(oid), pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE conname = 'known'",
            &[],
            "read",
        )
        .unwrap();
    run(&mut target, "ALTER TABLE app.bills DROP CONSTRAINT known");
    run(&mut target, &format!("ALTER TABLE app.bills ADD CONSTRAINT known {}", restored.text(0).unwrap()));
    let sql = "SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE conname = 'known'";
    assert_ne!(target.query_one(sql, &[], "read").unwrap().text(0), restored.text(1));
    assert_eq!(differences(&mut target), Vec::<String>::new());
    // Sessions that only read by default are told otherwise for the tables that are rolled back.
    run(&mut target, "SET default_transaction_read_only = on");
    assert_eq!(differences(&mut target), Vec::<String>::new());
    run(&mut target, "SET default_transaction_read_only = off");

    let mut all = Vec::new();
    for (sql, sentence) in ANOTHER {
        sql.split("; ").for_each(|sql| run(&mut target, sql));
        all.push(*sentence);
        let mut found = differences(&mut target);
        found.sort_by_key(|found| all.iter().position(|sentence| sentence == found));
        assert_eq!(found, all, "{sql}");
    }
    let sql = "SELECT count(*) FROM pg_class WHERE relpersistence = 't'";
    assert_eq!(target.query_one(sql, &[], "count").unwrap().integer(0), Ok(0), "nothing is left behind");
}

#[test]
fn what_cannot_be_compared_is_told() {
    let fixture = Fixture::new(SQLITE, SPEC);
    let mut target = fixture.target(&[]);
    let role = "no_temporary_tables";
    let database = target.query_one("SELECT current_database()", &[], "ask").unwrap().text(0).unwrap().to_owned();
    for sql in [
        &format!("CREATE ROLE {role}"),
        &format!("REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC"),
        &format!("GRANT USAGE ON SCHEMA app TO {role}"),
        &format!("GRANT SELECT ON ALL TABLES IN SCHEMA app TO {role}"),
        ANOTHER[0].0,
        &format!("SET ROLE {role}"),
    ] {
        run(&mut target, sql);
    }
    let found = verify_expressions(&fixture.plan, &mut target).unwrap();
    let sentence = format!(
        "checks, generated columns, defaults and expressions of indexes: the role may not create temporary tables, which \
         `GRANT TEMPORARY ON DATABASE {database} TO {role}` lets it"
    );
    assert_eq!(found, CatalogProof { differences: vec![], uncompared: vec![sentence] });

    // It takes no more than that.
    for sql in ["RESET ROLE", &format!("GRANT TEMPORARY ON DATABASE {database} TO {role}"), &format!("SET ROLE {role}")]
    {
        run(&mut target, sql);
    }
    let found = verify_expressions(&fixture.plan, &mut target).unwrap();
    assert_eq!(found, CatalogProof { differences: vec![ANOTHER[0].1.to_owned()], uncompared: vec![] });

    let mut transaction = target.begin().unwrap();
    let found = verify_expressions(&fixture.plan, &mut transaction).unwrap();
    assert_eq!((found.differences.len(), found.uncompared.len()), (0, 1), "{found:?}");
}
