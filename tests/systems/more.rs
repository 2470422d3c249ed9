//! What each system asked for beside.

use crate::isolation::{count, local};
use crate::server::{connect, create_database, expect, postgres_program, tenantry, url, with_environment};
use crate::system::{Moved, System};
use crate::{indexes, tls};
use rusqlite::Connection as Sqlite;
use tenantry::postgres::{Answer, Connection, Refusal};

/// Checks what only this system has.
pub fn check(system: &System, moved: &Moved) {
    match system.name {
        "bai" => bai(moved),
        "docuflow" => docuflow(moved),
        "armp" => {
            armp(moved);
            indexes::check(system, moved);
        }
        "legal_dashboard" => legal_dashboard(moved),
        "vatevo" => vatevo(moved),
        other => panic!("{other} has nothing of its own"),
    }
}

/// Tries a statement and leaves nothing of it.
fn attempt(session: &mut Connection, sql: &str) -> Result<Answer, Refusal> {
    session.execute("SAVEPOINT attempt", "save").unwrap();
    let tried = session.try_statement(sql).unwrap();
    session.execute("ROLLBACK TO SAVEPOINT attempt", "go back").unwrap();
    tried
}

fn refused(session: &mut Connection, state: &str, sql: &str) {
    let answer = attempt(session, sql);
    assert_eq!(answer.as_ref().err().map(|refusal| refusal.state.as_str()), Some(state), "{sql}: {answer:?}");
}

/// The accounts are kept apart by the keys alone, in both styles: one account for all references, and one of its own.
fn bai(moved: &Moved) {
    let mut connection = connect(&moved.database, "postgres");
    let row =
        connection.query_one("SELECT customer_id, account_id FROM invoices ORDER BY id LIMIT 1", &[], "read").unwrap();
    let (customer, own) = (row.text(0).unwrap().to_owned(), row.text(1).unwrap().to_owned());
    let other = &moved.tenants.iter().find(|(tenant, _)| *tenant != own).unwrap().0;
    let mut session = connection.begin().unwrap();
    let invoice = |account: &str, reference: &str| {
        format!(
            "INSERT INTO invoices (account_id, customer_account_id, customer_id, invoice_number, issue_date)
             VALUES ('{account}', '{reference}', {customer}, 'TRIED', '2024-03-05')"
        )
    };
    assert_eq!(attempt(&mut session, &invoice(&own, &own)).unwrap().count, 1);
    refused(&mut session, "23503", &invoice(other, other));
    refused(&mut session, "23514", &invoice(other, &own));
    // The other style: the item and the invoice share the line's own account_id.
    let line = "INSERT INTO invoice_items (account_id, invoice_id, position, description, unit_price, line_total)
                SELECT account_id, (SELECT i.id FROM invoices i WHERE i.account_id <> c.account_id LIMIT 1), 1, 'x', 1, 1
                FROM customers c LIMIT 1";
    refused(&mut session, "23503", line);
    let longest = count(
        &mut session,
        "information_schema.columns WHERE column_name LIKE '%account_id' AND character_maximum_length <> 100",
    );
    assert_eq!(longest, 0, "one length of account_id everywhere");
    session.rollback().unwrap();
    bai_app(moved, &own);
}

/// What `--bootstrap` has made: the application's role works with rows and with nothing else, also in tables that come later.
fn bai_app(moved: &Moved, account: &str) {
    let mut owner = connect(&moved.database, "postgres");
    owner.execute("SET ROLE bai_owner", "become the owner").unwrap();
    owner.execute("CREATE TABLE reminders (account_id varchar(100), id bigint)", "create a later table").unwrap();
    let mut app = connect(&moved.database, moved.app());
    let mut session = app.begin().unwrap();
    session.execute("SELECT 1", "begin").unwrap();
    let customer = format!("INSERT INTO customers (account_id, code, name) VALUES ('{account}', 'TRIED', 'Tried')");
    let reminder = format!("INSERT INTO reminders VALUES ('{account}', 1)");
    let update = format!("UPDATE customers SET name = name WHERE account_id = '{account}'");
    let delete = "DELETE FROM payments WHERE id = 3";
    for sql in [customer.as_str(), &reminder, &update, delete, "SELECT count(*) FROM reminders"] {
        assert!(attempt(&mut session, sql).unwrap().count > 0, "{sql}");
    }
    refused(&mut session, "23502", "INSERT INTO customers (code, name) VALUES ('TRIED', 'Nobody''s')");
    for sql in [
        "TRUNCATE payments",
        "ALTER TABLE payments ADD COLUMN mine text",
        "DROP TABLE payments",
        "CREATE TABLE mine (id bigint)",
        "SELECT count(*) FROM tenantry.rejects",
        "CREATE ROLE mine",
    ] {
        let refusal = attempt(&mut session, sql).unwrap_err();
        assert_eq!(refusal.state, "42501", "{sql}: {refusal:?}");
    }
    let mut verifier = connect(&moved.database, "bai_verifier");
    assert!(count(&mut verifier, "payments") > 0);
    let change = verifier.try_statement("DELETE FROM payments").unwrap().unwrap_err();
    assert_eq!(change.state, "42501");
    // Nobody else is let in.
    owner.execute("RESET ROLE", "be oneself again").unwrap();
    owner.execute("CREATE ROLE stranger LOGIN", "create a role").unwrap();
    let stranger = tenantry(&["doctor", "--target", &url(&moved.database, "stranger")]);
    assert_eq!(stranger.status.code(), Some(2), "{}", String::from_utf8_lossy(&stranger.stderr));
    owner.execute("DROP TABLE reminders", "drop the later table").unwrap();
}

/// Lookups before a login, the indexes by name, a rehearsal that writes nothing, a second run that changes nothing.
fn docuflow(moved: &Moved) {
    let mut app = connect(&moved.database, moved.app());
    let found = |app: &mut Connection, call: &str| {
        app.query_one(&format!("SELECT {call}"), &[], "look up").unwrap().optional(0).map(str::to_owned)
    };
    assert_eq!(found(&mut app, "users_tenant_by_email('user1@organization-1.example')").as_deref(), Some("10"));
    assert_eq!(found(&mut app, "organizations_tenant_by_slug('organization-3')").as_deref(), Some("30"));
    assert_eq!(found(&mut app, "users_tenant_by_email('nobody@example')"), None);
    for name in [
        "ix_organizations_active",
        "ix_batches_processing",
        "ix_document_metadata_pending_review",
        "ix_document_metadata_to_upload",
        "ix_usage_logs_unbilled",
        "ix_users_organization_id_email",
        "ix_batches_user_id_created_at",
        "ix_document_metadata_org_id_status_processed_at",
        "ix_usage_logs_org_id_billing_period_action_type",
        "ix_field_corrections_org_id_field_name_created_at",
    ] {
        assert_eq!(count(&mut app, &format!("pg_indexes WHERE indexname = '{name}'")), 1, "{name}");
    }
    create_database("docuflow_rehearsal");
    let source = moved.tenants[0].1.to_str().unwrap();
    let rehearsal = url("docuflow_rehearsal", "postgres");
    let said = expect(0, &["cutover", &moved.spec, "--source", source, "--target", &rehearsal, "--dry-run"]);
    assert!(said.starts_with("dry run: nothing was written"), "{said}");
    let mut empty = connect("docuflow_rehearsal", "postgres");
    assert_eq!(count(&mut empty, "pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"), 0);
    // The target cleared first, and filled again: what it held before does not stay.
    let work = moved.file("rehearsal");
    let cutover =
        ["cutover", &moved.spec, "--source", source, "--target", &rehearsal, "--work-dir", work.to_str().unwrap()];
    expect(0, &cutover);
    empty.execute("DELETE FROM field_corrections", "lose rows").unwrap();
    expect(1, &["verify", &moved.spec, "--source", source, "--target", &rehearsal]);
    expect(0, &[&cutover[..], &["--replace"]].concat());
    expect(0, &["verify", &moved.spec, "--source", source, "--target", &rehearsal]);
    expect(0, &["verify", &moved.spec, "--target", &rehearsal, "--catalog-only"]);
    // The same tenancy for development.
    let development = Sqlite::open_in_memory().unwrap();
    development.execute_batch(&expect(0, &["emit", &moved.spec, "--dialect", "sqlite"])).unwrap();
    development.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    let strange = "INSERT INTO organizations (id, name, slug) VALUES (1, 'a', 'a'), (2, 'b', 'b');
                   INSERT INTO users (id, organization_id, auth0_id, email) VALUES (1, 1, 'x', 'x');
                   INSERT INTO batches (organization_id, user_id, name) VALUES (2, 1, 'of another organization');";
    let refusal = development.execute_batch(strange).unwrap_err().to_string();
    assert!(refusal.contains("FOREIGN KEY"), "{refusal}");
}

/// Both databases stand side by side: what one of them alone has is found, row and column.
fn armp(moved: &Moved) {
    let (source, url) = (moved.tenants[0].1.to_str().unwrap(), moved.url());
    let verify = ["verify", &moved.spec, "--source", source, "--target", &url];
    let sqlite = Sqlite::open(source).unwrap();
    sqlite.execute_batch("UPDATE publication SET citation_count = citation_count + 1 WHERE id = 1").unwrap();
    let said = expect(1, &verify);
    assert!(said.contains("publication") && said.contains("citation_count") && said.contains("NOT proven"), "{said}");
    // It stays in service: a row more is found by its count.
    let new = "INSERT INTO project (organization_id, name) VALUES (3, 'While both are there')";
    sqlite.execute_batch(new).unwrap();
    let said = expect(1, &verify);
    assert!(said.contains("project") && said.contains("211"), "{said}");
    // With the application stopped, the last state goes over, and the two agree.
    let work = moved.work.to_str().unwrap();
    let again = ["cutover", &moved.spec, "--source", source, "--target", &url, "--work-dir", work, "--replace"];
    expect(0, &again);
    expect(0, &verify);
    let mut connection = connect(&moved.database, "postgres");
    let co_authors = "publication_author WHERE author_organization_id <> organization_id";
    assert!(count(&mut connection, co_authors) > 0, "co-authors of other organizations are kept");
    co_authors_are_seen(moved, &mut connection);
    let mut session = connection.begin().unwrap();
    let foreign = "INSERT INTO project_publication (organization_id, project_id, publication_id)
                   SELECT organization_id, id, (SELECT p.id FROM publication p WHERE p.organization_id <> project.organization_id LIMIT 1)
                   FROM project LIMIT 1";
    refused(&mut session, "23503", foreign);
}

/// An organization sees those who wrote with its people, no other researcher, and changes none of them.
fn co_authors_are_seen(moved: &Moved, all: &mut Connection) {
    let setting = moved.plan().tenancy.isolation.setting.clone();
    let organization = &moved.tenants[2].0;
    let expected = count(
        all,
        &format!(
            "(SELECT DISTINCT author_organization_id, researcher_id FROM publication_author
              WHERE organization_id = {organization} AND author_organization_id <> organization_id) seen"
        ),
    );
    let mut app = connect(&moved.database, moved.app());
    let mut session = app.begin().unwrap();
    session.execute("SELECT 1", "begin").unwrap();
    local(&mut session, &setting, organization);
    let strangers = format!("researcher WHERE organization_id <> {organization}");
    assert_eq!((count(&mut session, &strangers), expected > 0), (expected, true));
    for sql in ["UPDATE researcher SET name = 'changed'", "DELETE FROM researcher"] {
        let sql = format!("{sql} WHERE organization_id <> {organization}");
        assert_eq!(attempt(&mut session, &sql).unwrap().count, 0, "{sql}");
    }
    refused(&mut session, "42501", "DELETE FROM organization");
}

/// The application has never heard of installations: its inserts and queries are those it had.
fn legal_dashboard(moved: &Moved) {
    let setting = moved.plan().tenancy.isolation.setting.clone();
    let mut app = connect(&moved.database, moved.app());
    let mut session = app.begin().unwrap();
    session.execute("SAVEPOINT nobody", "save").unwrap();
    let insert = "INSERT INTO batches (uuid, name, status) VALUES ('new', 'New', 'pending')";
    refused(&mut session, "42501", insert);
    local(&mut session, &setting, "hamburg");
    assert_eq!(session.try_statement(insert).unwrap().unwrap().count, 1);
    assert_eq!(count(&mut session, "batches WHERE uuid = 'new' AND installation = 'hamburg'"), 1);
    refused(&mut session, "42501", "UPDATE courts SET name = 'of everybody'");
    refused(&mut session, "42501", "INSERT INTO installations (id) VALUES ('hamburg')");
    local(&mut session, &setting, "misspelt");
    refused(&mut session, "23503", insert);
    drop(session);
    one_more(moved);
    urls(moved);
}

/// The URLs are those that people have: of SQLAlchemy for the source, of Heroku and of SQLAlchemy for the target.
fn urls(moved: &Moved) {
    let (tenant, source) = &moved.tenants[0];
    let (source, url) = (source.to_str().unwrap(), moved.url());
    let target = url.strip_prefix("postgresql://").unwrap();
    let with_password = target.replacen('@', ":not-asked-for@", 1);
    for (source, target) in [
        (format!("sqlite:///{source}"), format!("postgres://{target}")),
        (format!("sqlite:///{source}"), format!("postgresql+asyncpg://{with_password}")),
        (source.to_owned(), format!("postgresql+psycopg2://{target}")),
    ] {
        let arguments =
            ["verify", &moved.spec, "--source", &source, "--tenant", tenant, "--target", "env:DATABASE_URL"];
        let output = with_environment(&arguments, &[("DATABASE_URL", &target)]);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.code() == Some(0) && said.contains("\nproven: "), "{source} {target}: {said}");
        assert!(!said.contains("not-asked-for"), "{said}");
    }
    let output = with_environment(
        &["verify", &moved.spec, "--source", source, "--tenant", tenant, "--target", "env:DATABASE_URL"],
        &[("DATABASE_URL", "mysql://root@localhost/legal")],
    );
    assert_eq!(output.status.code(), Some(2));
}

/// A fifth file is refused where its tenant is there already, and where its list of courts is another.
fn one_more(moved: &Moved) {
    let (first, source) = &moved.tenants[0];
    let changed = moved.file("changed.db");
    std::fs::copy(source, &changed).unwrap();
    let sqlite = Sqlite::open(&changed).unwrap();
    sqlite.execute_batch("UPDATE app_settings SET value = 'light' WHERE \"key\" = 'theme'").unwrap();
    let work = moved.file("work");
    let mut postgres = connect(&moved.database, "postgres");
    let before = count(&mut postgres, "batches");
    for (tenant, code) in
        [("berlin", "tenant-present"), (first.as_str(), "tenant-present"), ("geneva", "shared-differs")]
    {
        if tenant == "geneva" {
            sqlite.execute_batch("UPDATE courts SET name = 'Another' WHERE code = 'BGH'").unwrap();
        }
        let output = tenantry(&[
            "cutover",
            &moved.spec,
            "--source",
            changed.to_str().unwrap(),
            "--tenant",
            tenant,
            "--target",
            &moved.url(),
            "--work-dir",
            work.to_str().unwrap(),
        ]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(code), "{tenant}: {said}");
    }
    assert_eq!(count(&mut postgres, "batches"), before);
}

/// The log only grows, people are seen by those who work with them, and a backup is proven like the original.
fn vatevo(moved: &Moved) {
    let setting = moved.plan().tenancy.isolation.setting.clone();
    let account = moved.tenants[0].0.clone();
    let mut app = connect(&moved.database, moved.app());
    let mut session = app.begin().unwrap();
    session.execute("SELECT 1", "begin").unwrap();
    assert_eq!(count(&mut session, "users"), 0, "nobody is seen before there is an account");
    let login = "login('person5@mail.example')";
    assert!(count(&mut session, login) > 0, "who logs in is found");
    local(&mut session, &setting, &account);
    let members = count(&mut session, "memberships");
    assert!(members > 0 && count(&mut session, "users") == members, "an account sees its members");
    refused(&mut session, "42501", "DELETE FROM audit_log");
    refused(&mut session, "42501", "UPDATE audit_log SET action = 'nothing'");
    let entry =
        format!("INSERT INTO audit_log (account_id, action, at) SELECT '{account}', 'tried', max(at) FROM audit_log");
    assert_eq!(attempt(&mut session, &entry).unwrap().count, 1);
    refused(
        &mut session,
        "23505",
        "INSERT INTO api_keys (account_id, name, prefix, key_hash) SELECT account_id, 'x', 'x', key_hash FROM api_keys LIMIT 1",
    );
    for sql in [
        "TRUNCATE audit_log",
        "INSERT INTO users (email) VALUES ('tried@mail.example')",
        "UPDATE users SET password_hash = 'mine'",
        "UPDATE users SET email = 'mine@mail.example'",
        "SELECT password_hash FROM users",
        "DELETE FROM accounts",
    ] {
        refused(&mut session, "42501", sql);
    }
    let all = "count(*) FROM memberships";
    assert_eq!(attempt(&mut session, "UPDATE users SET full_name = 'Tried'").unwrap().count, members as u64, "{all}");
    // Who registers becomes a member by the id that comes back, and is seen from then on.
    let register = "SELECT register('tried@mail.example', 'Tried', 'hash')";
    let id = session.query_one(register, &[], "register").unwrap().text(0).unwrap().to_owned();
    let member = format!("INSERT INTO memberships (account_id, user_id) VALUES ('{account}', {id})");
    session.execute(&member, "become a member").unwrap();
    assert_eq!(count(&mut session, "users WHERE email = 'tried@mail.example'"), 1);
    session.rollback().unwrap();
    let health = expect(0, &["doctor", "--target", &moved.url(), "--timeout", "30"]);
    assert!(!health.is_empty());
    tls::check(&moved.spec, &moved.tenants[0].1, &moved.file("tls"));
    restored(moved);
}

/// Backs the target up, restores the copy, and proves it as the original was proven.
fn restored(moved: &Moved) {
    create_database("restored");
    let (dump, copy) = (moved.file("target.dump"), url("restored", "postgres"));
    let dump = dump.to_str().unwrap();
    postgres_program("pg_dump", &["--format=custom", "--file", dump, &moved.url()]);
    postgres_program("pg_restore", &["--exit-on-error", "--dbname", &copy, dump]);
    let source = moved.tenants[0].1.to_str().unwrap();
    let verify = ["verify", &moved.spec, "--source", source, "--target", &copy];
    expect(0, &verify);
    expect(0, &["verify", &moved.spec, "--target", &copy, "--catalog-only"]);
    // Grants and policies came over as well.
    let mut app = connect("restored", moved.app());
    assert_eq!(count(&mut app, "projects"), 0);
    let refusal = app.try_statement("DELETE FROM audit_log").unwrap().unwrap_err();
    assert_eq!(refusal.state, "42501");
    // A restore that lost a row is not taken for one that did not.
    let mut administrator = connect("restored", "postgres");
    administrator.execute("DELETE FROM audit_log WHERE id = (SELECT max(id) FROM audit_log)", "lose a row").unwrap();
    assert!(expect(1, &verify).contains("audit_log"));
}
