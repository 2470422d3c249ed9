//! What row-level security, roles and lookups do to a session, tried on a real PostgreSQL after a real cutover.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use rusqlite::Connection as Sqlite;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;
use tenantry::postgres::{Connection, Durability, Scratch, Server, Target};

const PATIENCE: Duration = Duration::from_secs(10);

/// Two tenants whose ids are as long as the column, one of them the beginning of the other's text.
const ROWS: &str = "
    INSERT INTO accounts VALUES ('tenant-aaa', 'A', 'aaa'), ('tenant-bbb', 'B', 'bbb');
    INSERT INTO currencies VALUES ('EUR', 'Euro');
    INSERT INTO users VALUES (1, 'tenant-aaa', 'ann@aaa', 'token-a'), (2, 'tenant-bbb', 'bob@bbb', NULL);
    INSERT INTO projects VALUES (1, 'tenant-aaa', 'first', 'EUR'), (2, 'tenant-bbb', 'other', 'EUR'),
        (3, 'tenant-bbb', 'more', 'EUR');
    INSERT INTO tasks VALUES (1, 1, 1, 0), (2, 2, 2, 0), (3, 3, 2, 1);";

/// Texts that are no tenant of these: none may show a row, whatever is in it.
const NOBODY: &[&str] = &[
    "",
    "tenant-zzz",
    "tenant-aaa-not-me",
    "tenant-aa",
    "tenant-aaa ",
    "TENANT-AAA",
    "' OR 'a' = 'a",
    "tenant-aaa' OR true --",
    "%",
    "NULL",
    "tenant-aaa'::text; DROP TABLE tasks; --",
];

const TABLES: &[(&str, i64, i64)] =
    &[("accounts", 1, 1), ("users", 1, 1), ("projects", 1, 2), ("tasks", 1, 2), ("open_tasks", 1, 1)];

struct Moved {
    scratch: Scratch,
    database: &'static str,
    url: String,
    source: PathBuf,
    _folder: TempDir,
}

/// Moves the fixture once for all tests; each test undoes what it writes.
fn moved() -> &'static Moved {
    static MOVED: OnceLock<Moved> = OnceLock::new();
    MOVED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source.db");
        let sqlite = Sqlite::open(&source).unwrap();
        sqlite.execute_batch(&std::fs::read_to_string(root().join("fixtures/rls/schema.sql")).unwrap()).unwrap();
        sqlite.execute_batch(ROWS).unwrap();
        let scratch = Scratch::start(Durability::Off).unwrap_or_else(|error| panic!("{error:?}"));
        create_database(&scratch, "isolation");
        let url = format!("postgresql://postgres@/isolation?host={}", scratch.directory().display());
        let moved = Moved { scratch, database: "isolation", url, source, _folder: folder };
        let output = moved.cutover(&moved.url, &["--bootstrap"]);
        assert!(output.status.success(), "{}", text(&output));
        assert!(!text(&output).contains("s3cret"));
        moved
    })
}

impl Moved {
    fn cutover(&self, target: &str, more: &[&str]) -> Output {
        let source = self.source.to_str().unwrap();
        // A folder for each run: they are independent of each other.
        let work = tempfile::tempdir().unwrap();
        let mut arguments = vec!["cutover", "fixtures/rls/spec.yaml", "--source", source, "--target", target];
        arguments.extend(["--work-dir", work.path().to_str().unwrap()]);
        arguments.extend(more);
        tenantry(&arguments)
    }

    fn server(&self, role: &str) -> Server {
        let directory = self.scratch.directory().display();
        match Target::parse(&format!("postgresql://{role}@/{}?host={directory}", self.database)).unwrap() {
            Target::Server(server) => *server,
            Target::Scratch => unreachable!(),
        }
    }

    /// Connects as a role, with policies at work as in an application's session.
    fn connect(&self, role: &str) -> Connection {
        let mut connection = self.server(role).connect("public", PATIENCE).unwrap_or_else(|error| panic!("{error:?}"));
        connection.set("row_security", "on").unwrap();
        connection
    }

    fn app(&self, tenant: Option<&str>) -> Connection {
        let mut connection = self.connect("rls_app");
        if let Some(tenant) = tenant {
            connection.set("app.account_id", tenant).unwrap();
        }
        connection
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn create_database(scratch: &Scratch, name: &str) {
    let mut connection = scratch.server().connect("public", PATIENCE).unwrap();
    connection.execute(&format!("CREATE DATABASE {name}"), "create a database").unwrap();
}

fn tenantry(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.current_dir(root()).args(arguments).env("TENANTRY_APP_PASSWORD", "s3cret app");
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn count(connection: &mut Connection, from: &str) -> i64 {
    connection.query_one(&format!("SELECT count(*) FROM {from}"), &[], "count").unwrap().integer(0).unwrap()
}

fn value(connection: &mut Connection, sql: &str) -> Option<String> {
    connection.query_one(sql, &[], "ask").unwrap().optional(0).map(str::to_owned)
}

/// Runs a statement and undoes it; returns the rows that it touched, or the SQLSTATE in the server's answer.
fn attempt(connection: &mut Connection, sql: &str) -> Result<u64, String> {
    let mut transaction = connection.begin().unwrap();
    let result = transaction.execute(sql, "try").map_err(|error| {
        let state = error.message.split("SQLSTATE ").nth(1).unwrap_or(&error.message);
        state.trim_end_matches(')').to_owned()
    });
    transaction.rollback().unwrap();
    result
}

const REFUSED: &str = "42501";

#[test]
fn a_session_sees_the_rows_of_its_setting_and_no_others() {
    let moved = moved();
    let mut unset = moved.app(None);
    for (table, of_a, of_b) in TABLES {
        assert_eq!(count(&mut unset, table), 0, "{table} without a setting");
        for (tenant, expected) in [("tenant-aaa", of_a), ("tenant-bbb", of_b)] {
            assert_eq!(count(&mut moved.app(Some(tenant)), table), *expected, "{table} of {tenant}");
        }
    }
    for nobody in NOBODY {
        let mut connection = moved.app(Some(nobody));
        for (table, ..) in TABLES {
            assert_eq!(count(&mut connection, table), 0, "{table} for {nobody:?}");
        }
    }
    // After a SET LOCAL the setting is empty rather than unset.
    let mut pooled = moved.app(None);
    let mut transaction = pooled.begin().unwrap();
    transaction.execute("SET LOCAL app.account_id = 'tenant-aaa'", "set").unwrap();
    assert_eq!(count(&mut transaction, "tasks"), 1);
    transaction.commit().unwrap();
    assert_eq!(count(&mut pooled, "tasks"), 0);
}

#[test]
fn a_session_writes_its_own_rows_and_no_others() {
    let moved = moved();
    let mut own = moved.app(Some("tenant-aaa"));
    let project = |tenant: &str| format!("INSERT INTO projects (account_id, title) VALUES ('{tenant}', 'new')");
    assert_eq!(attempt(&mut own, &project("tenant-aaa")), Ok(1));
    assert_eq!(attempt(&mut own, &project("tenant-bbb")).unwrap_err(), REFUSED);
    let mut attempts = 0;
    for (table, of_own, _) in &TABLES[..4] {
        let (key, column) = if *table == "accounts" { ("id", "name") } else { ("account_id", "id") };
        let of = |tenant: &str| format!("{key} = '{tenant}'");
        for (sql, touched) in [
            (format!("UPDATE {table} SET {column} = {column} WHERE {}", of("tenant-aaa")), *of_own),
            (format!("UPDATE {table} SET {column} = {column}"), *of_own),
            (format!("UPDATE {table} SET {column} = {column} WHERE {}", of("tenant-bbb")), 0),
            (format!("DELETE FROM {table} WHERE {}", of("tenant-bbb")), 0),
        ] {
            assert_eq!(attempt(&mut own, &sql), Ok(u64::try_from(touched).unwrap()), "{sql}");
            attempts += 1;
        }
        let sql = format!("UPDATE {table} SET {key} = 'tenant-bbb'");
        assert_eq!(attempt(&mut own, &sql).unwrap_err(), REFUSED, "{sql}");
        assert_eq!(attempt(&mut own, &format!("TRUNCATE {table} CASCADE")).unwrap_err(), REFUSED);
        attempts += 2;
    }
    assert_eq!(attempts, 24);
    assert_eq!(attempt(&mut own, "DELETE FROM tasks"), Ok(1));
    assert_eq!(attempt(&mut own, "DELETE FROM projects"), Ok(1), "cascades within the tenant");
    for nobody in NOBODY {
        let mut connection = moved.app(Some(nobody));
        assert_eq!(attempt(&mut connection, &project("tenant-aaa")).unwrap_err(), REFUSED, "{nobody:?}");
        assert_eq!(attempt(&mut connection, "DELETE FROM tasks"), Ok(0), "{nobody:?}");
    }
    // PostgreSQL has no COPY FROM under policies at all; COPY TO gives what a SELECT does.
    assert_eq!(attempt(&mut own, "COPY projects (account_id, title) FROM STDIN").unwrap_err(), "0A000");
}

#[test]
fn the_app_role_has_the_rights_it_needs_and_no_more() {
    let moved = moved();
    let mut app = moved.app(Some("tenant-aaa"));
    assert_eq!(count(&mut app, "currencies"), 1);
    for sql in [
        "INSERT INTO currencies VALUES ('USD', 'Dollar')",
        "UPDATE currencies SET name = ''",
        "DELETE FROM currencies",
        "TRUNCATE currencies",
        "UPDATE open_tasks SET project_id = 1",
        "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY tenant_isolation ON tasks",
        "CREATE TABLE mine ()",
        "CREATE TEMPORARY TABLE mine ()",
        "CREATE SCHEMA mine",
        "CREATE VIEW mine AS SELECT 1",
        "SET ROLE rls_owner",
        "SET ROLE rls_verifier",
    ] {
        assert!(attempt(&mut app, sql).is_err(), "{sql}");
    }
    app.set("row_security", "off").unwrap();
    assert_eq!(attempt(&mut app, "SELECT FROM tasks").unwrap_err(), REFUSED, "off is an error, not a way past");
    let mut superuser = moved.connect("postgres");
    let sql =
        "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'rls\\_%' AND (rolsuper OR rolcreaterole OR rolcreatedb)";
    assert_eq!(value(&mut superuser, sql).as_deref(), Some("0"));
    let sql = "SELECT string_agg(rolname, ' ') FROM pg_roles WHERE rolname LIKE 'rls\\_%' AND rolbypassrls";
    assert_eq!(value(&mut superuser, sql).as_deref(), Some("rls_verifier"));
    let sql = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace, aclexplode(relacl) a
               WHERE nspname = 'public' AND a.grantee = 0";
    assert_eq!(value(&mut superuser, sql).as_deref(), Some("0"), "nothing is PUBLIC's");
    let sql = "SELECT string_agg(DISTINCT pg_get_userbyid(relowner), ' ') FROM pg_class
               WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S')";
    assert_eq!(value(&mut superuser, sql).as_deref(), Some("rls_owner"));
    let sql = "SELECT rolpassword FROM pg_authid WHERE rolname = 'rls_app'";
    assert!(value(&mut superuser, sql).unwrap().starts_with("SCRAM-SHA-256$"));
    let sql = "SELECT rolpassword FROM pg_authid WHERE rolname = 'rls_owner'";
    assert_eq!(value(&mut superuser, sql), None, "no variable, no password");
}

#[test]
fn a_lookup_returns_the_tenant_before_it_is_known_and_nothing_else() {
    let moved = moved();
    let mut app = moved.app(None);
    let tenant = |connection: &mut Connection, call: &str| value(connection, &format!("SELECT * FROM {call}"));
    for (call, found) in [
        ("users_tenant_by_email('ann@aaa')", Some("tenant-aaa")),
        ("users_tenant_by_email('bob@bbb')", Some("tenant-bbb")),
        ("users_tenant_by_email('nobody')", None),
        ("users_tenant_by_email('')", None),
        ("users_tenant_by_email(NULL)", None),
        ("users_tenant_by_email(''' OR true --')", None),
        ("accounts_tenant_by_subdomain('bbb')", Some("tenant-bbb")),
    ] {
        assert_eq!(tenant(&mut app, call).as_deref(), found, "{call}");
    }
    assert_eq!(count(&mut app, "users WHERE email = 'ann@aaa'"), 0, "the plain query finds nothing");
    let row = app.query_one("SELECT * FROM users_tenant_by_email('ann@aaa') AS t", &[], "look up").unwrap();
    assert_eq!(row.optional(1), None, "one column");
    // An object of the caller's own cannot take the place of what the function names.
    let mut superuser = moved.connect("postgres");
    let sql = "SELECT count(*) FROM pg_proc p WHERE pronamespace = 'public'::regnamespace AND prosecdef
               AND proconfig = '{\"search_path=pg_catalog, pg_temp\"}' AND pg_get_userbyid(proowner) = 'rls_owner'
               AND NOT has_function_privilege('public', p.oid, 'EXECUTE')";
    assert_eq!(value(&mut superuser, sql).as_deref(), Some("2"));
    assert!(moved.connect("rls_verifier").query("SELECT users_tenant_by_email('ann@aaa')", &[], "look up").is_err());
}

#[test]
fn force_binds_the_owner_and_the_verifier_sees_every_row() {
    let moved = moved();
    let mut owner = moved.connect("rls_owner");
    for table in ["projects", "tasks", "open_tasks"] {
        assert_eq!(count(&mut owner, table), 0, "{table} without a setting");
    }
    owner.set("app.account_id", "tenant-bbb").unwrap();
    assert_eq!((count(&mut owner, "projects"), count(&mut owner, "open_tasks")), (2, 1));
    let mut verifier = moved.connect("rls_verifier");
    verifier.set("row_security", "off").unwrap();
    for (table, of_a, of_b) in TABLES {
        assert_eq!(count(&mut verifier, table), of_a + of_b, "{table}");
    }
    assert_eq!(attempt(&mut verifier, "DELETE FROM tasks").unwrap_err(), REFUSED);

    let source = moved.source.to_str().unwrap();
    let url = moved.url.replace("postgres@", "rls_verifier@");
    let output = tenantry(&["verify", "fixtures/rls/spec.yaml", "--source", source, "--target", &url]);
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_policy_is_served_by_the_index_that_begins_with_the_tenant() {
    let moved = moved();
    let mut app = moved.app(Some("tenant-aaa"));
    app.set("enable_seqscan", "off").unwrap();
    for (table, index) in [("tasks", "tasks_pkey"), ("projects", "projects_pkey"), ("accounts", "accounts_pkey")] {
        let plan = app.query(&format!("EXPLAIN SELECT * FROM {table}"), &[], "explain").unwrap();
        let plan: Vec<&str> = plan.iter().map(|row| row.text(0).unwrap()).collect();
        let plan = plan.join("\n");
        assert!(plan.contains(index) && plan.contains("Index Cond:") && plan.contains("current_setting"), "{plan}");
    }
}

#[test]
fn policies_come_after_every_foreign_key_and_a_run_that_cannot_end_does_not_begin() {
    let moved = moved();
    let project = tenantry::cli::Project::load(&root().join("fixtures/rls/spec.yaml"), false).unwrap();
    let kinds: Vec<&str> =
        project.plan.statements.iter().map(|statement| statement.makes.describe(&project.plan).0).collect();
    let last = kinds.iter().rposition(|kind| *kind == "foreign_key").unwrap();
    let first = kinds.iter().position(|kind| *kind == "row_level_security").unwrap();
    assert!(last < first, "{kinds:?}");

    // The owner may do the whole run by itself, and on a server without the roles nothing is written.
    create_database(&moved.scratch, "by_owner");
    let by_owner = moved.url.replace("postgres@/isolation", "rls_owner@/by_owner");
    let output = moved.cutover(&by_owner, &[]);
    assert_eq!(output.status.code(), Some(2), "PUBLIC may not create in public: {}", text(&output));
    let mut superuser = moved.scratch.server().with_database("by_owner").connect("public", PATIENCE).unwrap();
    superuser.execute("GRANT CREATE ON SCHEMA public TO rls_owner", "grant").unwrap();
    let output = moved.cutover(&by_owner, &[]);
    assert_eq!(output.status.code(), Some(2), "nor make a schema for the journal: {}", text(&output));
    assert!(text(&output).contains("CREATE on the database, for the schema tenantry"), "{}", text(&output));
    superuser.execute("GRANT CREATE ON DATABASE by_owner TO rls_owner", "grant").unwrap();
    let output = moved.cutover(&by_owner, &[]);
    assert!(output.status.success(), "{}", text(&output));

    let other = Scratch::start(Durability::Off).unwrap();
    let url = format!("postgresql://postgres@/postgres?host={}", other.directory().display());
    let output = moved.cutover(&url, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("role-missing") && text(&output).contains("--bootstrap"), "{}", text(&output));
    let mut connection = other.server().connect("public", PATIENCE).unwrap();
    assert_eq!(count(&mut connection, "pg_tables WHERE schemaname = 'public'"), 0);
    connection.execute("CREATE ROLE rls_app BYPASSRLS", "create").unwrap();
    let output = moved.cutover(&url, &["--bootstrap"]);
    assert!(text(&output).contains("role-too-strong"), "{}", text(&output));
    connection.execute("CREATE ROLE stranger LOGIN", "create").unwrap();
    connection.execute("GRANT CONNECT ON DATABASE postgres TO stranger", "grant").unwrap();
    let output = moved.cutover(&url.replace("postgres@", "stranger@"), &[]);
    assert!(text(&output).contains("not-a-member"), "{}", text(&output));
}

#[test]
fn the_bootstrap_script_runs_in_psql_and_holds_no_password() {
    let emitted = tenantry(&["emit", "fixtures/rls/spec.yaml", "--section", "bootstrap"]);
    assert!(emitted.status.success(), "{}", text(&emitted));
    let script = String::from_utf8(emitted.stdout).unwrap();
    assert!(!script.contains("s3cret") && script.contains(":'app_password'"));
    let scratch = Scratch::start(Durability::Off).unwrap();
    let run = || {
        let mut psql = Command::new("psql");
        psql.args([
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-v",
            "database=shop db",
            "-U",
            "postgres",
            "-d",
            "postgres",
            "-h",
        ]);
        psql.arg(scratch.directory()).env("TENANTRY_APP_PASSWORD", "it's s3cret").stdin(Stdio::piped());
        let mut child = psql.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    for _ in 0..2 {
        let output = run();
        assert!(output.status.success(), "{}", text(&output));
    }
    let mut connection = scratch.server().with_database("shop db").connect("public", PATIENCE).unwrap();
    let sql = "SELECT count(*) FROM pg_authid WHERE rolname LIKE 'rls\\_%' AND rolcanlogin";
    assert_eq!(value(&mut connection, sql).as_deref(), Some("3"));
    let sql = "SELECT string_agg(rolname, ' ') FROM pg_authid WHERE rolpassword LIKE 'SCRAM-SHA-256$%'";
    assert_eq!(value(&mut connection, sql).as_deref(), Some("rls_app"));
    for (role, right, has) in [
        ("rls_app", "CONNECT", "true"),
        ("rls_app", "TEMPORARY", "false"),
        ("public", "CONNECT", "false"),
        ("rls_owner", "CREATE", "true"),
    ] {
        let sql = format!("SELECT has_database_privilege('{role}', current_database(), '{right}')");
        assert_eq!(value(&mut connection, &sql).as_deref(), Some(has), "{role} {right}");
    }
    // What the owner creates later: the verifier reads it, and the app role gets no table before it has its policy.
    connection.execute("SET ROLE rls_owner", "become the owner").unwrap();
    connection.execute("CREATE TABLE later (id bigint GENERATED BY DEFAULT AS IDENTITY)", "create").unwrap();
    connection.execute("CREATE FUNCTION later() RETURNS int LANGUAGE sql RETURN 1", "create").unwrap();
    for (what, has) in [
        ("has_table_privilege('rls_verifier', 'later', 'SELECT')", "true"),
        ("has_table_privilege('rls_app', 'later', 'SELECT')", "false"),
        ("has_sequence_privilege('rls_app', 'later_id_seq', 'USAGE')", "true"),
        ("has_function_privilege('rls_app', 'later()', 'EXECUTE')", "false"),
    ] {
        assert_eq!(value(&mut connection, &format!("SELECT {what}")).as_deref(), Some(has), "{what}");
    }
}

#[test]
fn files_of_the_spec_run_with_the_cutover_and_may_add_to_tables() {
    let moved = moved();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("schema.sql", "CREATE TABLE members (id INTEGER PRIMARY KEY, club TEXT NOT NULL, login TEXT NOT NULL);");
    write("before.sql", "CREATE FUNCTION is_login(text) RETURNS boolean IMMUTABLE RETURN $1 ~ '^[a-z]+$';");
    write(
        "after.sql",
        "ALTER TABLE members ADD CONSTRAINT login_shape CHECK (is_login(login)); CREATE INDEX by_login ON members (login);",
    );
    write(
        "spec.yaml",
        "version: 1\nsource: schema.sql\ntarget: {schema: club}\ntenant: {column: club, type: text}\n\
         tables: {members: {tenant: {column: club}}}\nextra: {pre-data: [before.sql], post-data: [after.sql]}\n",
    );
    create_database(&moved.scratch, "extra");
    let run = |login: &str| {
        let source = folder.path().join(format!("{login}.db"));
        let sqlite = Sqlite::open(&source).unwrap();
        sqlite.execute_batch(&std::fs::read_to_string(folder.path().join("schema.sql")).unwrap()).unwrap();
        sqlite.execute("INSERT INTO members VALUES (1, 'c', ?)", [login]).unwrap();
        let spec = folder.path().join("spec.yaml");
        let url = moved.url.replace("/isolation", "/extra");
        let work = folder.path().join("work");
        let arguments = ["cutover", spec.to_str().unwrap(), "--source", source.to_str().unwrap(), "--target", &url];
        tenantry(&[&arguments[..], &["--work-dir", work.to_str().unwrap()]].concat())
    };
    let refused = run("Not-One");
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(text(&refused).contains("after.sql") && text(&refused).contains("login_shape"), "{}", text(&refused));
    let mut connection = moved.scratch.server().with_database("extra").connect("club", PATIENCE).unwrap();
    assert_eq!(count(&mut connection, "pg_proc WHERE proname = 'is_login'"), 1, "what was committed stays");
    let again = run("ann");
    assert_eq!(again.status.code(), Some(2), "{}", text(&again));
    assert!(text(&again).contains("run-unfinished"), "{}", text(&again));
    let spec = folder.path().join("spec.yaml");
    let url = moved.url.replace("/isolation", "/extra");
    let undone = tenantry(&["rollback", spec.to_str().unwrap(), "--target", &url]);
    assert!(undone.status.success(), "{}", text(&undone));
    assert_eq!(count(&mut connection, "pg_proc WHERE proname = 'is_login'"), 0);
    assert_eq!(count(&mut connection, "pg_namespace WHERE nspname IN ('club', 'tenantry')"), 0);
    let output = run("bob");
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(count(&mut connection, "pg_constraint WHERE conname = 'login_shape'"), 1);
}

#[test]
fn a_policy_cuts_no_tenant_of_any_type_and_keeps_its_index() {
    let moved = moved();
    let uuid = "00000000-0000-0000-0000-00000000000a";
    for (position, (data_type, own, others)) in [
        ("varchar(8)", "tenant-a", &["tenant-a-not-me", "tenant-"][..]),
        ("char(8)", "tenant-a", &["tenant-a-not-me", "tenant-"]),
        ("text", "tenant-a", &["tenant-a-not-me"]),
        ("bigint", "7", &["70", "-7"]),
        ("integer", "7", &["70"]),
        ("numeric(4,1)", "7.5", &["7.51", "7.46"]),
        ("uuid", uuid, &["00000000-0000-0000-0000-0000000000aa"]),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("type_{position}");
        create_database(&moved.scratch, &name);
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        write("schema.sql", "CREATE TABLE t (id INTEGER PRIMARY KEY, owner TEXT NOT NULL);".to_owned());
        write(
            "spec.yaml",
            format!(
                "version: 1\nsource: schema.sql\ntenant: {{column: owner, type: \"{data_type}\"}}\n\
                 tables: {{t: {{tenant: {{column: owner}}, columns: {{owner: {{type: \"{data_type}\"}}}}}}}}\n\
                 rls: {{}}\nroles: {{app: rls_app}}\n"
            ),
        );
        let project = tenantry::cli::Project::load(&folder.path().join("spec.yaml"), false)
            .unwrap_or_else(|failure| panic!("{data_type}: {:?}", failure.errors));
        let server = moved.scratch.server().with_database(&name);
        let mut superuser = server.connect("public", PATIENCE).unwrap();
        for statement in &project.plan.statements {
            if let Some(sql) = tenantry::emit::statement(&project.plan, statement) {
                superuser.execute(&sql, "apply").unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
            }
        }
        superuser.execute(&format!("INSERT INTO t (owner) VALUES ('{own}')"), "insert").unwrap();
        superuser.execute("SET row_security = on", "set").unwrap();
        superuser.execute("SET ROLE rls_app", "become the app").unwrap();
        superuser.execute("SET enable_seqscan = off", "set").unwrap();
        let seen = |connection: &mut Connection, tenant: &str| {
            connection.set("app.owner", tenant).unwrap();
            count(connection, "t")
        };
        assert_eq!(seen(&mut superuser, own), 1, "{data_type}");
        for other in others.iter().chain(&[""]) {
            assert_eq!(seen(&mut superuser, other), 0, "{data_type} as {other:?}");
        }
        let plan = superuser.query("EXPLAIN SELECT * FROM t", &[], "explain").unwrap();
        assert!(plan.iter().any(|row| row.text(0).unwrap().contains("Index Cond:")), "{data_type}: {plan:?}");
    }
}

#[test]
fn policies_for_a_group_bind_its_members_in_a_schema_of_its_own() {
    let moved = moved();
    create_database(&moved.scratch, "plain");
    let source = moved.source.with_file_name("plain.db");
    let sqlite = Sqlite::open(&source).unwrap();
    sqlite.execute_batch(&std::fs::read_to_string(root().join("fixtures/rls-plain/schema.sql")).unwrap()).unwrap();
    let rows = "INSERT INTO members VALUES (1, 10, 'ann'), (2, 20, 'bob');
                INSERT INTO notes VALUES (1, 1, 'a'), (2, 2, 'b'); INSERT INTO audit_log VALUES (1, 1, 'x'), (2, 2, 'y')";
    sqlite.execute_batch(rows).unwrap();
    let url = moved.url.replace("/isolation", "/plain");
    let source = source.to_str().unwrap();
    let work = tempfile::tempdir().unwrap();
    let arguments = ["cutover", "fixtures/rls-plain/spec.yaml", "--source", source, "--target", &url, "--bootstrap"];
    let output = tenantry(&[&arguments[..], &["--work-dir", work.path().to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", text(&output));
    let server = moved.scratch.server().with_database("plain");
    let mut session = server.connect("crm", PATIENCE).unwrap();
    for sql in [
        "CREATE ROLE crm_web IN ROLE crm_session",
        "GRANT USAGE ON SCHEMA crm TO crm_web",
        "GRANT ALL ON ALL TABLES IN SCHEMA crm TO crm_web",
        "SET ROLE crm_web",
        "SET row_security = on",
    ] {
        session.execute(sql, "prepare").unwrap();
    }
    assert_eq!(count(&mut session, "notes"), 0);
    session.set("app.tenant", "20").unwrap();
    assert_eq!((count(&mut session, "members"), count(&mut session, "notes")), (1, 1));
    assert_eq!(count(&mut session, "audit_log"), 2, "left out by the spec");
    session.set("app.tenant", "twenty").unwrap();
    assert_eq!(attempt(&mut session, "SELECT FROM notes").unwrap_err(), "22P02");
}
