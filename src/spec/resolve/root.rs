//! The tenant root: a table of the source, or one that the target gets beside them.

use super::super::file::SpecFile;
use super::super::source_entry::{RootEntry, RootForeignKey, TenantIdEntry};
use super::super::tenancy::{ColumnChange, ColumnTenancy, CreatedRoot, TenantRoot};
use super::super::tenant_ids::TenantIds;
use super::super::yaml::Spans;
use super::Resolver;
use super::header::unknown_type;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::schema::{Column, ColumnId, Declared, Key, KeyKind, PgType, SourceSchema, TableId};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

impl CreatedRoot {
    /// Returns the source with the root as its last table, so that all that follows sees one schema.
    pub fn added_to(&self, source: &SourceSchema) -> SourceSchema {
        let mut schema = source.clone();
        let table = schema.add_table(self.name.clone(), None);
        let mut key = None;
        for (name, data_type) in &self.columns {
            let column = schema.add_column(Column {
                table,
                name: name.clone(),
                data_type: Declared(data_type.map(|data_type| data_type.to_string()).unwrap_or_default()),
                not_null: false,
                default: None,
                generated: None,
                identity: false,
                collation: None,
                span: None,
            });
            key = key.or(Some(column));
        }
        let columns = key.into_iter().collect();
        schema.add_key(Key { table, kind: KeyKind::Primary, name: None, columns, on_conflict: None, span: None });
        schema
    }
}

/// Reads a root that the spec creates; `None` where it names a table of the source, or after an error.
pub(super) fn created(
    file: &SpecFile,
    spans: &Spans,
    schema: &SourceSchema,
    errors: &mut Diagnostics,
) -> Option<CreatedRoot> {
    let tenant = file.tenant.as_ref()?;
    let entry = tenant.root.as_ref()?;
    let (create, key) = (entry.create.as_ref()?, entry.key.as_ref()?);
    if let Some(table) = schema.find_table(&entry.table) {
        errors.push(
            Diagnostic::error("root-exists", format!("the schema has a table `{}` already", entry.table))
                .label(spans.key(&["tenant", "root", "create"]), "to be created")
                .label_opt(schema.table(table).span.clone(), "declared here")
                .help("leave `create` and `rows` out to make it the root, or choose another name"),
        );
        return None;
    }
    let mut types: BTreeMap<&str, Option<PgType>> = BTreeMap::new();
    for (name, text) in create {
        let data_type = PgType::parse(text);
        if data_type.is_none() {
            let span = spans.value(&["tenant", "root", "create", name]);
            errors.push(unknown_type(text).label(span, "this type"));
        }
        types.insert(name, data_type);
    }
    let same = |one: &str| one.eq_ignore_ascii_case(key);
    let key_type = types.iter().find(|(name, _)| same(name)).and_then(|(_, data_type)| *data_type);
    let tenant_type = tenant.data_type.as_deref().and_then(PgType::parse);
    if let (Some(one), Some(other)) = (key_type, tenant_type)
        && one != other
    {
        errors.push(
            Diagnostic::error("root-key-type", format!("the root's key is {one}, and the tenant column {other}"))
                .label(spans.value(&["tenant", "root", "create", key]), "the key")
                .label(spans.value(&["tenant", "type"]), "the tenant column")
                .help("the root's key is the tenant's id: leave one of the two out"),
        );
    }
    let mut columns = vec![(key.clone(), key_type.or(tenant_type))];
    columns
        .extend(types.iter().filter(|(name, _)| !same(name)).map(|(name, data_type)| ((*name).to_owned(), *data_type)));
    let first = schema.columns.len() as u32;
    let mut seen = BTreeSet::new();
    let mut rows = Vec::new();
    for (position, row) in entry.rows.iter().enumerate() {
        let position = position.to_string();
        let path = ["tenant", "root", "rows", &position];
        let mut id = None;
        let mut values = Vec::new();
        for (name, text) in row {
            let span = spans.key(&[path[0], path[1], path[2], path[3], name]);
            match columns.iter().position(|(column, _)| column.eq_ignore_ascii_case(name)) {
                Some(0) => id = Some(text.clone()),
                Some(column) => values.push((ColumnId(first + column as u32), text.clone())),
                None => errors.push(
                    Diagnostic::error("unknown-column", format!("`{}` has no column `{name}`", entry.table))
                        .label(span, "no such column")
                        .help("every column of a created root stands under `create`"),
                ),
            }
        }
        match id {
            Some(id) if seen.insert(id.clone()) => rows.push((id, values)),
            Some(id) => errors.push(
                Diagnostic::error("root-rows", format!("the tenant `{id}` has two rows"))
                    .label(spans.value(&path), "again")
                    .help("merge the two"),
            ),
            None => errors.push(
                Diagnostic::error("root-rows", format!("a row of `{}` has no `{key}`", entry.table))
                    .label(spans.value(&path), "whose is it?")
                    .help("give each row the id of its tenant"),
            ),
        }
    }
    Some(CreatedRoot { name: entry.table.clone(), columns, rows })
}

impl Resolver<'_> {
    /// Looks up the tenant root and its key.
    pub(super) fn root(&mut self, created: Option<&CreatedRoot>) -> Option<TenantRoot> {
        let entry: &RootEntry = self.file.tenant.as_ref()?.root.as_ref()?;
        if entry.create.is_some() && created.is_none() {
            self.failed.extend(self.schema.find_table(&entry.table));
            return None;
        }
        let is_long = self.spans.contains(&["tenant", "root", "table"]);
        let span = if is_long {
            self.spans.value(&["tenant", "root", "table"])
        } else {
            self.spans.value(&["tenant", "root"])
        };
        let Some(table) = self.schema.find_table(&entry.table) else {
            let error = self.unknown_table(&entry.table).label(span, "no such table");
            self.error(error);
            return None;
        };
        let key = match &entry.key {
            Some(name) => match self.named_root_key(table, name) {
                Some(key) => key,
                None => {
                    self.failed.insert(table);
                    return None;
                }
            },
            None => match self.schema.table(table).primary_key.map(|key| &self.schema.key(key).columns[..]) {
                Some(&[key]) => key,
                _ => {
                    self.error(
                        Diagnostic::error(
                            "root-key",
                            format!("the root `{}` has no primary key of one column", self.name(table)),
                        )
                        .label(span, "this root")
                        .label_opt(self.schema.table(table).span.clone(), "declared here")
                        .help("the root's key is the tenant's id: it needs a primary key of exactly one column"),
                    );
                    return None;
                }
            },
        };
        let foreign_key = entry.foreign_key.unwrap_or(RootForeignKey::NoAction);
        Some(TenantRoot { table, key, foreign_key, created: created.cloned() })
    }

    fn named_root_key(&mut self, table: TableId, name: &str) -> Option<ColumnId> {
        let span = self.spans.value(&["tenant", "root", "key"]);
        let column = self.find_column(table, name, span.clone())?;
        let is_key = self.schema.unique_column_sets(table).contains(&vec![column]);
        if !is_key {
            self.error(
                Diagnostic::error("root-key", format!("`{name}` is no key of the root `{}`", self.name(table)))
                    .label(span, "not unique")
                    .label_opt(self.schema.column(column).span.clone(), "declared here")
                    .help("the root's key is the tenant's id: it needs a primary or unique key of that column alone"),
            );
            return None;
        }
        Some(column)
    }

    /// Gives the columns of a created root the types that the spec names.
    pub(super) fn created_root_columns(
        &self,
        root: Option<&TenantRoot>,
        columns: &mut [BTreeMap<ColumnId, ColumnTenancy>],
    ) {
        let Some((root, created)) = root.and_then(|root| Some((root, root.created.as_ref()?))) else { return };
        let ids = self.schema.table(root.table).columns.iter();
        for (&column, (name, data_type)) in ids.zip(&created.columns) {
            let span = self.spans.value(&["tenant", "root", "create", name]);
            if let Some(data_type) = data_type {
                let change = ColumnChange { data_type: Some((*data_type, span)), ..ColumnChange::default() };
                columns[root.table.index()].insert(column, ColumnTenancy::Keep(change));
            }
        }
    }

    /// Reads how tenants get their ids, and the type that follows where the spec gives none.
    pub(super) fn tenant_ids(&mut self, data_type: Option<PgType>) -> (TenantIds, Option<PgType>) {
        let span = self.spans.value(&["tenant", "id"]);
        match self.file.tenant.as_ref().and_then(|tenant| tenant.id.as_ref()) {
            None | Some(TenantIdEntry::Keep) => (TenantIds::Keep, data_type),
            Some(TenantIdEntry::File(_)) => {
                let ids = self.file.tenant_ids.clone().unwrap_or_default();
                (TenantIds::File(ids.0), data_type)
            }
            Some(TenantIdEntry::Uuid5(namespace)) => {
                let holds_uuid = match data_type {
                    None | Some(PgType::Uuid | PgType::Text | PgType::Varchar(None) | PgType::Char(36)) => true,
                    Some(PgType::Varchar(Some(length))) => length >= 36,
                    Some(_) => false,
                };
                if !holds_uuid {
                    self.error(
                        Diagnostic::error("tenant-ids-type", "the tenant column's type cannot hold a UUID")
                            .label(self.spans.value(&["tenant", "type"]), "this type")
                            .label(span.clone(), "ids are to be UUIDs")
                            .help("leave `type` out, or write `type: uuid`"),
                    );
                }
                let named = match namespace.to_ascii_lowercase().as_str() {
                    "dns" => Some(Uuid::NAMESPACE_DNS),
                    "url" => Some(Uuid::NAMESPACE_URL),
                    "oid" => Some(Uuid::NAMESPACE_OID),
                    "x500" => Some(Uuid::NAMESPACE_X500),
                    text => Uuid::try_parse(text).ok(),
                };
                if named.is_none() {
                    self.error(
                        Diagnostic::error("wrong-value", format!("`{namespace}` is no namespace of UUIDs"))
                            .label(self.spans.value(&["tenant", "id", "uuid5"]), "this value")
                            .help("write a UUID of your own, or one of dns, url, oid, x500"),
                    );
                }
                (TenantIds::Uuid5(named.unwrap_or_default()), Some(data_type.unwrap_or(PgType::Uuid)))
            }
        }
    }
}
