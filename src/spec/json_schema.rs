//! The spec's JSON Schema, draft 7, for editors: made of the types that read a spec, so it cannot say something else.

use super::SpecFile;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema as schema};
use serde_json::{Value, json};
use std::borrow::Cow;

/// Implements `JsonSchema` for a type that is one of some words, or one of other types.
macro_rules! either {
    ($type:ident, $description:literal, [$($word:literal),*], $($other:ty),+) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let others = vec![$(generator.subschema_for::<$other>()),+];
                crate::spec::json_schema::word_or(&[$($word),*], others, $description)
            }
        }
    };
}
pub(super) use either;

/// Describes a value that is one of some words, or what one of other schemas describes.
pub(super) fn word_or(known: &[&str], others: Vec<Schema>, description: &str) -> Schema {
    let first = (!known.is_empty()).then(|| words(known.iter().copied()));
    let choices: Vec<Schema> = first.into_iter().chain(others).collect();
    schema!({ "description": description, "anyOf": choices })
}

/// Describes one of some words.
pub(super) fn words<'w>(known: impl Iterator<Item = &'w str>) -> Schema {
    schema!({ "type": "string", "enum": known.collect::<Vec<_>>() })
}

/// A value that is taken as it is spelled, whatever YAML makes of it.
pub(super) struct Text;

impl JsonSchema for Text {
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema!({ "description": "a text, taken as it is spelled", "type": ["string", "number", "boolean"] })
    }
}

/// Returns the schema of a spec, with an example for every key.
pub fn json_schema() -> Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<SpecFile>().to_value();
    tidy(&mut schema);
    schema["title"] = json!("tenantry spec");
    schema["description"] =
        json!("Which tenant every row of a SQLite schema belongs to, and what PostgreSQL makes of it.");
    schema["required"] = json!(["version", "source"]);
    schema["properties"]["version"]["const"] = json!(1);
    for (name, rule) in rules() {
        if let (Some(of), Value::Object(rule)) = (schema["definitions"][name].as_object_mut(), rule) {
            of.extend(rule);
        }
    }
    for (name, key, examples) in examples() {
        let of = match name {
            "SpecFile" => &mut schema["properties"],
            name => &mut schema["definitions"][name]["properties"],
        };
        if let Some(property) = of.get_mut(key).and_then(Value::as_object_mut) {
            property.insert("examples".to_owned(), examples);
        }
    }
    schema
}

/// Takes out what is true of the Rust types and not of a spec: a key that is absent is not null, defaults are those of
/// the reference, and numbers have no width.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.remove("default");
            object.remove("format");
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = &types[..] {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice["type"] != "null");
                if let [only] = &choices[..] {
                    let only = only.clone();
                    object.remove("anyOf");
                    object.insert("allOf".to_owned(), json!([only]));
                }
            }
            for (key, value) in object.iter_mut() {
                match (key.as_str(), value) {
                    // These hold schemas by name, and `default` may be such a name.
                    ("properties" | "definitions", Value::Object(named)) => named.values_mut().for_each(tidy),
                    (_, value) => tidy(value),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// What holds between the keys of a mapping, by the name of its type.
fn rules() -> Vec<(&'static str, Value)> {
    let required = |keys: &[&str]| json!({ "required": keys });
    let one_of = |keys: &[&str]| json!(keys.iter().map(|key| required(&[key])).collect::<Vec<_>>());
    let not_both = |one: &str, other: &str| json!({ "not": required(&[one, other]) });
    vec![
        ("TableBody", not_both("placement", "tenant")),
        ("ColumnBody", not_both("default", "generated")),
        (
            "ForeignKeyBody",
            json!({
                "minProperties": 1,
                "not": required(&["scope", "column"]),
                "dependencies": { "cross_tenant": ["column"] },
            }),
        ),
        (
            "SourceBody",
            json!({
                "oneOf": one_of(&["column", "via", "used_by", "by", "first", "constant", "sql"]),
                "dependencies": { "several": ["used_by"], "key": ["by"], "cases": ["by"], "by": ["key", "cases"] },
            }),
        ),
        ("TenantIdBody", json!({ "oneOf": one_of(&["uuid5", "file"]) })),
        ("RootBody", json!({ "dependencies": { "create": ["key"], "rows": ["create"] } })),
    ]
}

/// Examples for every key, by the name of its type.
fn examples() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("SpecFile", "version", json!([1])),
        ("SpecFile", "source", json!(["schema.sql", "migrations/", "app.db"])),
        ("SpecFile", "output", json!(["schema.postgres.sql"])),
        ("SpecFile", "target", json!([{ "version": 15 }, { "profile": "citus" }])),
        (
            "SpecFile",
            "tenant",
            json!([{ "column": "account_id", "root": "accounts" }, { "column": "account_id", "type": "varchar(100)" }]),
        ),
        ("SpecFile", "defaults", json!([{ "unique": "per_tenant" }])),
        ("SpecFile", "types", json!([{ "JSON": "json", "DECIMAL(10,2)": "numeric(10,2)" }])),
        (
            "SpecFile",
            "tables",
            json!([{ "invoices": { "tenant": { "via": "customer_id" } }, "currencies": "shared", "alembic_version": "omit" }]),
        ),
        (
            "SpecFile",
            "views",
            json!(["omit", { "totals": { "sql": "SELECT account_id, count(*) FROM orders GROUP BY account_id" } }]),
        ),
        ("SpecFile", "triggers", json!(["omit", { "touch": "omit" }])),
        ("SpecFile", "extra", json!([{ "pre-data": ["extensions.sql"] }])),
        ("SpecFile", "rls", json!([{}, { "setting": "app.account_id", "lookup": { "users": ["email"] } }])),
        ("SpecFile", "roles", json!([{ "owner": "shop_owner", "app": "shop_app", "verifier": "shop_verifier" }])),
        ("TargetEntry", "profile", json!(["citus"])),
        ("TargetEntry", "version", json!([15])),
        ("TargetEntry", "schema", json!(["app"])),
        ("TargetEntry", "names", json!(["snake"])),
        ("TenantEntry", "column", json!(["account_id"])),
        ("TenantEntry", "type", json!(["bigint", "uuid", "varchar(100)"])),
        ("TenantEntry", "default", json!(["setting"])),
        ("TenantEntry", "in_keys", json!(["last"])),
        ("TenantEntry", "in_table", json!(["last"])),
        ("TenantEntry", "id", json!([{ "uuid5": "dns" }, { "file": "tenants.csv" }])),
        (
            "TenantEntry",
            "root",
            json!(["accounts", { "table": "accounts", "key": "id", "create": { "id": "varchar(20)", "name": "text" } }]),
        ),
        ("DefaultsEntry", "tenant", json!(["require", { "column": "account_id" }])),
        ("DefaultsEntry", "primary_key", json!(["global"])),
        ("DefaultsEntry", "unique", json!(["per_tenant"])),
        ("DefaultsEntry", "foreign_keys", json!(["global"])),
        ("DefaultsEntry", "indexes", json!(["global"])),
        ("DefaultsEntry", "rows", json!([{ "unfit": "reject" }])),
        ("TableBody", "placement", json!(["shared"])),
        ("TableBody", "tenant", json!([{ "column": "account_id" }, { "via": "customer_id" }, "every"])),
        ("TableBody", "primary_key", json!(["global", ["account_id", "number"]])),
        ("TableBody", "unique", json!([{ "email": "global", "customer_id, number": "per_tenant" }])),
        (
            "TableBody",
            "foreign_keys",
            json!([{ "author_id": "per_tenant", "customer_id": { "column": "customer_account_id" } }]),
        ),
        (
            "TableBody",
            "indexes",
            json!([{ "ix_invoices_status": "global", "invoices_open": { "columns": ["account_id", "created_at DESC"], "where": "status = 'open'" } }]),
        ),
        ("TableBody", "columns", json!([{ "legacy": "omit", "data": { "type": "json" } }])),
        ("TableBody", "checks", json!([{ "items_price_check": { "sql": "price >= 0" } }])),
        ("TableBody", "rls", json!([false])),
        ("TableBody", "rows", json!([{ "orphan": "reject", "max_rejects": 100 }])),
        ("RowsBody", "keep", json!(["none", "deleted_at IS NULL"])),
        ("RowsBody", "no_tenant", json!(["reject"])),
        ("RowsBody", "orphan", json!(["set_null"])),
        ("RowsBody", "conflict", json!(["reject"])),
        ("RowsBody", "unfit", json!(["reject"])),
        ("RowsBody", "max_rejects", json!([100])),
        ("SourceBody", "column", json!(["account_id"])),
        ("SourceBody", "via", json!(["customer_id"])),
        ("SourceBody", "used_by", json!(["invoice_tags.tag_id", ["customers.address_id", "suppliers.address_id"]])),
        ("SourceBody", "several", json!(["copy"])),
        ("SourceBody", "by", json!(["about"])),
        ("SourceBody", "key", json!(["about_id"])),
        ("SourceBody", "cases", json!([{ "invoice": "invoices", "product": "products" }])),
        ("SourceBody", "first", json!([[{ "via": "parent_id" }, { "column": "account_id" }]])),
        ("SourceBody", "constant", json!(["007"])),
        ("SourceBody", "sql", json!(["substr(path, 1, instr(path, '/') - 1)"])),
        ("RootBody", "table", json!(["accounts"])),
        ("RootBody", "key", json!(["id"])),
        ("RootBody", "create", json!([{ "id": "varchar(20)", "name": "text" }])),
        ("RootBody", "rows", json!([[{ "id": "acme", "name": "Acme" }]])),
        ("RootBody", "foreign_key", json!(["cascade"])),
        ("TenantIdBody", "uuid5", json!(["dns"])),
        ("TenantIdBody", "file", json!(["tenants.csv"])),
        ("ForeignKeyBody", "references", json!(["projects(id)"])),
        ("ForeignKeyBody", "enforce", json!([false])),
        ("ForeignKeyBody", "scope", json!(["per_tenant"])),
        ("ForeignKeyBody", "column", json!(["customer_account_id"])),
        ("ForeignKeyBody", "cross_tenant", json!(["allow"])),
        ("ForeignKeyBody", "on_delete", json!(["set_null"])),
        ("ForeignKeyBody", "on_update", json!(["restrict"])),
        ("IndexBody", "columns", json!([["account_id", "created_at DESC"]])),
        ("IndexBody", "where", json!(["status = 'open'"])),
        ("IndexBody", "unique", json!([true])),
        ("IndexBody", "using", json!(["gin"])),
        ("IndexBody", "include", json!([["title"]])),
        ("ColumnBody", "type", json!(["numeric(10,2)"])),
        ("ColumnBody", "as", json!(["created_at"])),
        ("ColumnBody", "read", json!(["epoch", "boolean"])),
        ("ColumnBody", "zone", json!(["Europe/Berlin", "+02:00"])),
        ("ColumnBody", "null_if", json!([["", "0000-00-00"]])),
        ("ColumnBody", "nul", json!(["strip"])),
        ("ColumnBody", "utf8", json!(["replace"])),
        ("ColumnBody", "default", json!(["now()"])),
        ("ColumnBody", "generated", json!(["first_name || ' ' || last_name"])),
        ("ColumnBody", "collation", json!(["plain"])),
        ("CheckBody", "sql", json!(["price >= 0"])),
        ("ObjectBody", "sql", json!(["SELECT account_id, count(*) FROM orders GROUP BY account_id"])),
        ("RlsEntry", "setting", json!(["app.account_id"])),
        ("RlsEntry", "role", json!(["shop_app"])),
        ("RlsEntry", "force", json!([true])),
        ("RlsEntry", "lookup", json!([{ "users": ["email"], "accounts": ["subdomain"] }])),
        ("RolesEntry", "owner", json!(["shop_owner"])),
        ("RolesEntry", "app", json!(["shop_app"])),
        ("RolesEntry", "verifier", json!(["shop_verifier"])),
        ("ExtraEntry", "pre-data", json!([["extensions.sql"]])),
        ("ExtraEntry", "post-data", json!([["statistics.sql"]])),
        ("ExtraEntry", "isolation", json!([["append_only.sql"]])),
    ]
}
