//! What the application's role sees and may change, table by table and tenant by tenant.

use crate::server::connect;
use crate::system::{Moved, System};
use tenantry::ident::quote_always;
use tenantry::postgres::Connection;

/// Checks that a session sees its tenant's rows and no others, and can give none away.
///
/// A system without row-level security relies on its keys; that they refuse foreign tenants' rows is tried elsewhere.
pub fn check(system: &System, moved: &Moved) {
    let rewritten = &moved.plan().rewritten;
    let mut all = connect(&moved.database, "postgres");
    let mut app = connect(&moved.database, moved.app());
    let setting = &moved.plan().tenancy.isolation.setting;
    for guard in &rewritten.guarded {
        let table = quote_always(&rewritten.target.table(guard.table).name);
        let column = quote_always(&rewritten.target.column(guard.tenant).name);
        assert_eq!(count(&mut app, &table), 0, "without a tenant {table} shows nothing");
        for (position, (tenant, _)) in moved.tenants.iter().enumerate() {
            let own = format!("{table} WHERE {column}::text = '{tenant}'");
            let expected = count(&mut all, &own);
            let mut session = app.begin().unwrap();
            session.execute("SELECT 1", "begin").unwrap();
            local(&mut session, setting, tenant);
            assert_eq!(count(&mut session, &own), expected, "{table} of {tenant}");
            let all_of_it = count(&mut session, &table);
            let beyond = system.shown_beyond.contains(&rewritten.target.table(guard.table).name.as_str());
            assert!(all_of_it == expected || beyond, "{table} shows {tenant} {all_of_it} rows");
            let other = &moved.tenants[(position + 1) % moved.tenants.len()].0;
            if expected > 0 && other != tenant {
                let give = format!("UPDATE {table} SET {column} = '{other}'");
                let refusal = session.try_statement(&give).unwrap().unwrap_err();
                assert_eq!(refusal.state, "42501", "{refusal:?}");
            }
        }
    }
}

/// Sets the tenant for the transaction, as an application does.
pub fn local(session: &mut Connection, setting: &str, tenant: &str) {
    let sql = "SELECT set_config($1, $2, true)";
    session.query(sql, &[Some(setting), Some(tenant)], "set the tenant").unwrap();
}

pub fn count(connection: &mut Connection, from: &str) -> i64 {
    let row = connection.query_one(&format!("SELECT count(*) FROM {from}"), &[], "count");
    row.unwrap_or_else(|error| panic!("{error:?}")).integer(0).unwrap()
}
