//! Every kind of tenant source with rows: audited, moved into a real PostgreSQL, proven, and read back.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use rusqlite::Connection as Sqlite;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tenantry::cli::Project;
use tenantry::copy::{Audit, NewCutover, Settled, Tables, audit, cutover};
use tenantry::postgres::{Connection, Durability, Scratch, Server};
use tenantry::sqlite::{Database, Snapshot};

/// A fixture with its rows in a database, and a server to move them to.
struct Moved {
    project: Project,
    database: Database,
    server: Server,
    target: Connection,
    snapshot: Snapshot,
    _folder: TempDir,
}

/// Creates an empty database on a server that all tests of this file share.
fn target() -> Server {
    static SCRATCH: OnceLock<Scratch> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let scratch = SCRATCH.get_or_init(|| Scratch::start(Durability::Off).unwrap_or_else(|error| panic!("{error:?}")));
    let name = format!("source_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let connect =
        |server: &Server| server.connect("public", Duration::from_secs(30)).unwrap_or_else(|error| panic!("{error:?}"));
    connect(scratch.server()).execute(&format!("CREATE DATABASE {name}"), "create a database").unwrap();
    scratch.server().with_database(&name)
}

impl Moved {
    fn load(fixture: &str, tenant: Option<&str>, files: &[&str]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(fixture);
        let mut project = Project::load(&folder.join("spec.yaml"), false).unwrap_or_else(|error| panic!("{error:?}"));
        project.plan.name_tenant(tenant).unwrap();
        let rows = tempfile::tempdir().unwrap();
        let path = rows.path().join("source.db");
        let sqlite = Sqlite::open(&path).unwrap();
        sqlite.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        for file in ["schema.sql"].iter().chain(files) {
            sqlite.execute_batch(&std::fs::read_to_string(folder.join(file)).unwrap()).unwrap();
        }
        drop(sqlite);
        let snapshot = Snapshot::take(&path).unwrap();
        let database = snapshot.open().unwrap();
        let server = target();
        let target = server.connect("public", Duration::from_secs(30)).unwrap();
        Self { project, database, server, target, snapshot, _folder: rows }
    }

    fn audit(&self) -> Audit {
        audit(&self.project.plan, &self.database, &mut |_, _| {}).unwrap().0
    }

    /// Audits, moves and proves; each step has to find nothing wrong.
    fn prove_moved(fixture: &str, tenant: Option<&str>) -> Self {
        let moved = Self::load(fixture, tenant, &["rows.sql"]);
        let (audit, learnt) = audit(&moved.project.plan, &moved.database, &mut |_, _| {}).unwrap();
        assert_eq!(audit.findings, [], "{fixture}");
        let new = NewCutover {
            spec_hash: "",
            snapshot: &moved.snapshot,
            settled: &Settled::default(),
            tenants: 0,
            tables: Tables::Created,
        };
        let run = cutover(&moved.project.plan, &moved.server, &new, learnt, 1, &mut |_| {})
            .unwrap_or_else(|error| panic!("{fixture}: {error:?}"));
        assert!(run.verification.is_proven(), "{fixture}: {:#?}", run.verification);
        let copied: u64 = run.tables.iter().map(|table| table.rows).sum();
        let proven: u64 = run.verification.tables.iter().map(|table| table.target_rows).sum();
        assert_eq!(copied, proven, "{fixture}");
        moved
    }

    /// Reads rows back, as text.
    fn rows(&mut self, table: &str, columns: &str) -> String {
        let sql = format!(
            "SELECT coalesce(string_agg(t::text, ' ' ORDER BY t::text), '') FROM (SELECT {columns} FROM {table}) AS t"
        );
        self.target.query_one(&sql, &[], "read rows back").unwrap().text(0).unwrap().to_owned()
    }
}

/// Writes findings as `code place: keys`.
fn findings(audit: &Audit) -> Vec<String> {
    let mut lines: Vec<String> = audit
        .findings
        .iter()
        .map(|finding| format!("{} {}: {} ({})", finding.code, finding.place, finding.reason, finding.keys.join(" ")))
        .collect();
    lines.sort();
    lines
}

#[test]
fn every_tenant_gets_a_copy_and_what_belongs_to_it() {
    let mut moved = Moved::prove_moved("source-every", None);
    assert_eq!(
        moved.rows("settings", "account_id, key"),
        "(1,colour) (1,size) (2,colour) (2,size) (3,colour) (3,size)"
    );
    assert_eq!(moved.rows("setting_hints", "account_id, id"), "(1,1) (1,2) (2,1) (2,2) (3,1) (3,2)");
    assert_eq!(moved.rows("choices", "account_id, id, setting_key"), "(1,1,colour) (2,2,size)");
}

#[test]
fn without_a_root_every_tenant_is_every_one_that_a_row_names() {
    let mut moved = Moved::prove_moved("source-every-without-root", None);
    assert_eq!(moved.rows("units", "owner, code"), "(a,kg) (a,m) (b,kg) (b,m) (c,kg) (c,m)");
}

#[test]
fn users_lend_their_tenant_to_what_they_use() {
    let mut moved = Moved::prove_moved("source-used-by", None);
    assert_eq!(moved.rows("addresses", "account_id, id"), "(1,10) (2,11) (2,12)");
    // Both tenants use the tag 100, so each has it, under the same id; its colour goes with it.
    assert_eq!(moved.rows("tags", "account_id, id, name"), "(1,100,red) (1,101,new) (2,100,red) (2,102,old)");
    assert_eq!(moved.rows("tag_colours", "account_id, tag_id"), "(1,100) (1,101) (2,100)");
    assert_eq!(
        findings(&Moved::load("source-used-by", None, &["rows.sql", "dirty.sql"]).audit()),
        [
            "no-tenant tags {used_by: [customer_tags.tag_id, suppliers.tag_id], several: copy}: no row of a tenant refers to \
             it (id=103)",
            "several-tenants addresses {used_by: [customers.address_id, suppliers.address_code], several: fail}: rows of \
             several tenants refer to it (id=10)",
        ]
    );
}

#[test]
fn a_polymorphic_reference_is_followed_by_the_key_of_its_table() {
    let mut moved = Moved::prove_moved("source-by", None);
    assert_eq!(moved.rows("comments", "account_id, id"), "(1,1) (2,2) (2,3) (2,4)");
    // That such a row has no tenant either is not said a second time.
    let reason = "the column that names the table of its tenant has a value without a case";
    assert_eq!(
        findings(&Moved::load("source-by", None, &["rows.sql", "dirty.sql"]).audit()),
        [
            format!("no-case comments.about_key: {reason} (id=6)"),
            "orphan comments.about_key: refers to a row that does not exist (id=5)".to_owned(),
        ]
    );
}

#[test]
fn trees_hand_their_tenant_down() {
    let mut moved = Moved::prove_moved("source-tree", None);
    assert_eq!(moved.rows("folders", "account_id, id"), "(1,1) (1,2) (1,3) (2,4) (2,5)");
    assert_eq!(moved.rows("files", "account_id, id"), "(1,1) (2,2)");
    assert_eq!(moved.rows("tasks", "account_id, id"), "(1,3) (1,4) (2,1) (2,2)");
    let source = "{first: [{via: parent_id}, {column: account_id}]}";
    assert_eq!(
        findings(&Moved::load("source-tree", None, &["rows.sql", "dirty.sql"]).audit()),
        [
            format!("no-tenant folders {source}: none of its sources finds a tenant (id=9)"),
            format!(
                "no-tenant folders {source}: the rows that it gets its tenant through refer to each other in a circle (id=6 id=7)"
            ),
            format!(
                "tenant-conflict folders.account_id says another tenant than folders {source}: names another tenant than the \
                 one that its table's sources find first (id=8)"
            ),
            "tenant-conflict folders.account_id → accounts.id says another tenant than folders \
             {first: [{via: parent_id}, {column: account_id}]}: refers to a row of another tenant (id=8)"
                .to_owned(),
        ]
    );
}

#[test]
fn tenants_of_the_run_of_the_spec_and_of_an_expression_are_taken_as_they_are_spelled() {
    let mut moved = Moved::prove_moved("source-fixed", Some("0042"));
    assert_eq!(moved.rows("orders", "account_id, id"), "(0042,1) (0042,2)");
    assert_eq!(moved.rows("order_lines", "account_id, id"), "(0042,1) (0042,2)");
    assert_eq!(moved.rows("imports", "account_id, id"), "(0042,2) (abc,1)");
    assert_eq!(moved.rows("manuals", "account_id, id"), "(007,1) (007,2)");
}

#[test]
fn a_run_names_its_tenant_exactly_where_tables_ask_for_it() {
    let load = |fixture: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(fixture);
        Project::load(&folder.join("spec.yaml"), false).unwrap_or_else(|error| panic!("{error:?}")).plan
    };
    let missing = load("source-fixed").name_tenant(None).unwrap_err();
    assert_eq!(missing.code, "tenant-not-given");
    assert_eq!(missing.message, "the run has to name the tenant of orders, imports");
    assert_eq!(load("source-by").name_tenant(Some("1")).unwrap_err().code, "tenant-not-asked");
}

#[test]
fn a_root_that_the_source_lacks_gets_a_row_for_each_tenant() {
    let mut moved = Moved::prove_moved("root-created", None);
    assert_eq!(moved.rows("accounts", "id, name, seats"), "(007,Bond,) (acme,Acme,7) (zeta,,)");
}

#[test]
fn a_key_of_the_root_other_than_the_primary_one_is_the_tenant() {
    let mut moved = Moved::prove_moved("root-key", None);
    assert_eq!(moved.rows("users", "account_slug, id, account_id"), "(one,2,1) (two,1,2)");
}

#[test]
fn new_ids_reach_the_root_every_tenant_column_and_what_refers_to_the_root() {
    let mut moved = Moved::prove_moved("tenant-ids-uuid5", None);
    // Computed by Python: uuid.uuid5(uuid.NAMESPACE_DNS, '1') and '2'.
    let (one, two) = ("b04965e6-a9bb-591f-8f8a-1adcb2c8dc39", "4b166dbe-d99d-5091-abdd-95b83330ed3a");
    assert_eq!(moved.rows("accounts", "name, id"), format!("(one,{one}) (two,{two})"));
    assert_eq!(moved.rows("users", "id, account_id"), format!("(1,{one}) (2,{two}) (3,{one})"));
    assert_eq!(moved.rows("notes", "id, account_id, written_for"), format!("(1,{one},{two}) (2,{two},)"));
    let mut moved = Moved::prove_moved("tenant-ids-file", None);
    assert_eq!(moved.rows("notes", "account, id"), "(101,1) (102,2)");
    assert_eq!(
        findings(&Moved::load("tenant-ids-file", None, &["rows.sql", "dirty.sql"]).audit()),
        ["unmapped-tenant users.account: the tenant nova has no new id (id=3)"]
    );
}
