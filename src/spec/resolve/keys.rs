//! Primary keys, unique keys and indexes: which of them get the tenant column.

use super::super::file::{Scope, UniqueDefault};
use super::super::file_objects::{IndexEntry, KeyEntry, PrimaryKeyEntry};
use super::super::tenancy::{About, KeyPart, KeyTenancy, NewIndex, Origin, Placement};
use super::foreign_keys::ForeignKeys;
use super::key_parts::Added;
use super::lookup::Candidate;
use super::placement::quoted_if_list;
use super::{Entries, Resolver, tenant_column};
use crate::diagnostic::{Diagnostic, Span};
use crate::schema::{ColumnId, IndexId, KeyId, TableId};
use std::collections::BTreeMap;

/// The decisions about one table's keys and indexes.
pub(super) struct Keys {
    pub primary_key: KeyTenancy,
    pub unique: BTreeMap<KeyId, KeyTenancy>,
    pub indexes: BTreeMap<IndexId, KeyTenancy>,
    pub new_indexes: Vec<NewIndex>,
}

/// A UNIQUE constraint or a unique index: the spec decides both under `unique:`.
#[derive(Clone, Copy)]
enum Unique {
    Key(KeyId),
    Index(IndexId),
}

/// How a list of columns of the spec's own is named among the choices.
const LISTED: &str = "[COLUMN, …]";

const EACH_HAS_A_COPY: &str = "each tenant has a copy of the row";

impl<'a> Resolver<'a> {
    /// Copies of one row have the same values: a key without the tenant would refuse the second.
    fn copies_share_key(&mut self, table: TableId, below: &[&str]) {
        let span = self.span(table, below);
        self.error(
            Diagnostic::error(
                "copies-share-key",
                format!(
                    "rows of `{}` are copied for several tenants, and a global key allows one copy only",
                    self.name(table)
                ),
            )
            .label(span, "global")
            .label(self.span(table, &["tenant"]), "copies")
            .help("leave the choice out: the key is then per tenant"),
        );
    }

    /// A list of columns for a copied table's key has to name the tenant.
    fn refuse_shared_parts(&mut self, table: TableId, parts: &[KeyPart], below: &[&str]) {
        let tenant = self.file.tenant.as_ref().and_then(|tenant| tenant.column.as_deref()).unwrap_or_default();
        let holds_tenant = parts.iter().any(|part| match part {
            KeyPart::Tenant => true,
            KeyPart::Column(column) => self.schema.column(*column).name.eq_ignore_ascii_case(tenant),
            KeyPart::ReferenceTenant(_) => false,
        });
        if self.copied.contains(&table) && !holds_tenant {
            self.copies_share_key(table, below);
        }
    }

    /// Decides what every key and index of every migrated table is made of.
    pub(super) fn keys(
        &mut self,
        entries: &Entries<'a>,
        placements: &[Placement],
        foreign_keys: &[ForeignKeys],
    ) -> Vec<Keys> {
        self.schema
            .table_ids()
            .map(|table| {
                let placement = &placements[table.index()];
                let added = Added { placement, foreign_keys: &foreign_keys[table.index()] };
                let mut keys = Keys {
                    primary_key: KeyTenancy::Global,
                    unique: BTreeMap::new(),
                    indexes: BTreeMap::new(),
                    new_indexes: Vec::new(),
                };
                if *placement != Placement::Omit {
                    keys.primary_key = self.primary_key(entries, table, &added);
                    self.unique_keys(entries, table, &added, &mut keys);
                    self.plain_indexes(entries, table, &added, &mut keys);
                    keys.new_indexes = self.new_indexes(entries, table, &added);
                }
                keys
            })
            .collect()
    }

    fn primary_key(&mut self, entries: &Entries<'a>, table: TableId, added: &Added<'_>) -> KeyTenancy {
        let asked = self.body(entries, table).and_then(|body| body.primary_key.as_ref());
        let is_tenant = matches!(added.placement, Placement::Tenant(_));
        let span = self.span(table, &["primary_key"]);
        let is_copied = self.copied.contains(&table);
        if is_copied && matches!(asked, Some(PrimaryKeyEntry::Scope(Scope::Global))) {
            self.copies_share_key(table, &["primary_key"]);
        }
        let (scope, origin) = match (asked, self.file.defaults.primary_key) {
            (Some(PrimaryKeyEntry::Columns(names)), _) => {
                let origin = Origin::Spec(span.clone());
                self.decide(table, About::PrimaryKey, &list_text(names), origin, &["per_tenant", "global"]);
                let names = names.iter().map(String::as_str);
                return match self.key_parts(entries, table, added, names, &span) {
                    Some(parts) => {
                        self.refuse_shared_parts(table, &parts, &["primary_key"]);
                        KeyTenancy::Columns(parts)
                    }
                    None => KeyTenancy::Omit,
                };
            }
            (Some(PrimaryKeyEntry::Scope(Scope::PerTenant)), _) if !is_tenant => {
                self.no_tenant_here(table, "primary_key", span);
                return KeyTenancy::Omit;
            }
            (Some(PrimaryKeyEntry::Scope(scope)), _) => (*scope, Origin::Spec(span)),
            _ if !is_tenant => return KeyTenancy::Global,
            (None, _) if is_copied => (Scope::PerTenant, Origin::Inferred(EACH_HAS_A_COPY.to_owned())),
            (None, Some(scope)) => (scope, Origin::Spec(self.spans.key(&["defaults", "primary_key"]))),
            (None, None) => (Scope::PerTenant, Origin::Inferred("the default".to_owned())),
        };
        if self.schema.table(table).primary_key.is_some() {
            let other = self.other_key_scope(scope).filter(|_| is_tenant && !is_copied);
            let others: Vec<&str> = other.into_iter().chain([LISTED]).collect();
            self.decide(table, About::PrimaryKey, scope_text(scope), origin, &others);
        } else if asked.is_some() {
            let message = format!("`{}` has no primary key that could be {}", self.name(table), scope_text(scope));
            self.error(
                Diagnostic::error("unknown-object", message)
                    .label(self.span(table, &["primary_key"]), "no primary key")
                    .help("name its columns, as in `primary_key: [a, b]`, or leave it out"),
            );
        }
        key_tenancy(scope)
    }

    /// Returns the scope that a key could have instead: a cluster keeps none unique over all tenants.
    fn other_key_scope(&self, scope: Scope) -> Option<&'static str> {
        (scope == Scope::Global || !self.profile().is_citus()).then(|| other_scope(scope))
    }

    fn unique_keys(&mut self, entries: &Entries<'a>, table: TableId, added: &Added<'_>, keys: &mut Keys) {
        let placement = added.placement;
        let candidates = self.unique_candidates(table);
        let mut asked: Vec<Option<(&str, &KeyEntry)>> = vec![None; candidates.len()];
        if let Some(body) = self.body(entries, table) {
            let numbered: Vec<Candidate<usize>> = candidates
                .iter()
                .enumerate()
                .map(|(id, candidate)| Candidate {
                    id,
                    name: candidate.name.clone(),
                    columns: candidate.columns.clone(),
                })
                .collect();
            for (key, entry) in &body.unique {
                let span = self.span(table, &["unique", key]);
                if let Some(position) = self.find_key(table, "unique key", key, &numbered, span) {
                    asked[position] = Some((key, entry));
                }
            }
        }
        for (candidate, asked) in candidates.iter().zip(asked) {
            let shown = self.candidate_text(candidate);
            let about = About::Unique(shown.clone());
            let holds_tenant = tenant_column(placement).is_some_and(|tenant| candidate.columns.contains(&tenant));
            let decided = match (asked, placement) {
                (Some((key, KeyEntry::Omit)), _) => {
                    let origin = Origin::Spec(self.span(table, &["unique", key]));
                    self.decide(table, about, "omit", origin, &["per_tenant", "global", LISTED]);
                    KeyTenancy::Omit
                }
                (Some((key, KeyEntry::Columns(names))), _) => {
                    let span = self.span(table, &["unique", key]);
                    let origin = Origin::Spec(span.clone());
                    self.decide(table, about, &list_text(names), origin, &["per_tenant", "global", "omit"]);
                    let names = names.iter().map(String::as_str);
                    let Some(parts) = self.key_parts(entries, table, added, names, &span) else { continue };
                    self.refuse_shared_parts(table, &parts, &["unique", key]);
                    KeyTenancy::Columns(parts)
                }
                (Some((key, entry)), Placement::Tenant(_)) => {
                    let scope = if *entry == KeyEntry::PerTenant { Scope::PerTenant } else { Scope::Global };
                    if scope == Scope::Global && self.copied.contains(&table) {
                        self.copies_share_key(table, &["unique", key]);
                    }
                    let origin = Origin::Spec(self.span(table, &["unique", key]));
                    // With or without the tenant column it is the same key where it holds that already.
                    let other = self.other_key_scope(scope).filter(|_| !holds_tenant);
                    let others: Vec<&str> = other.into_iter().chain([LISTED, "omit"]).collect();
                    self.decide(table, about, scope_text(scope), origin, &others);
                    key_tenancy(scope)
                }
                (Some((key, KeyEntry::PerTenant)), _) => {
                    let span = self.span(table, &["unique", key]);
                    self.no_tenant_here(table, key, span);
                    continue;
                }
                (Some(_), _) | (None, Placement::Root | Placement::Shared | Placement::Local | Placement::Omit) => {
                    KeyTenancy::Global
                }
                (None, Placement::Tenant(_)) if self.copied.contains(&table) => {
                    let origin = Origin::Inferred(EACH_HAS_A_COPY.to_owned());
                    self.decide(table, about, "per_tenant", origin, &[LISTED, "omit"]);
                    KeyTenancy::PerTenant
                }
                (None, Placement::Tenant(_)) if holds_tenant => {
                    let origin = Origin::Inferred("it holds the tenant column already".to_owned());
                    self.decide(table, about, "per_tenant", origin, &[LISTED, "omit"]);
                    KeyTenancy::PerTenant
                }
                (None, Placement::Tenant(_)) => {
                    let scope = match self.file.defaults.unique {
                        Some(UniqueDefault::PerTenant) => Scope::PerTenant,
                        Some(UniqueDefault::Global) => Scope::Global,
                        Some(UniqueDefault::Require) | None => {
                            self.undecided_unique(table, &shown, candidate);
                            continue;
                        }
                    };
                    let origin = Origin::Spec(self.spans.key(&["defaults", "unique"]));
                    let others: Vec<&str> = self.other_key_scope(scope).into_iter().chain([LISTED, "omit"]).collect();
                    self.decide(table, about, scope_text(scope), origin, &others);
                    key_tenancy(scope)
                }
            };
            match candidate.id {
                Unique::Key(key) => keys.unique.insert(key, decided),
                Unique::Index(index) => keys.indexes.insert(index, decided),
            };
        }
    }

    fn unique_candidates(&self, table: TableId) -> Vec<Candidate<Unique>> {
        let table = self.schema.table(table);
        let keys = table.unique_keys.iter().map(|&id| {
            let key = self.schema.key(id);
            Candidate { id: Unique::Key(id), name: key.name.clone(), columns: key.columns.clone() }
        });
        let indexes = table.indexes.iter().filter(|&&id| self.schema.index(id).unique).map(|&id| {
            let index = self.schema.index(id);
            Candidate { id: Unique::Index(id), name: Some(index.name.clone()), columns: index_columns(self, id) }
        });
        keys.chain(indexes).collect()
    }

    fn undecided_unique(&mut self, table: TableId, shown: &str, candidate: &Candidate<Unique>) {
        let declared = match candidate.id {
            Unique::Key(key) => self.schema.key(key).span.clone(),
            Unique::Index(index) => self.schema.index(index).span.clone(),
        };
        let name = self.name(table);
        let key = quoted_if_list(shown);
        self.error(
            Diagnostic::error("undecided-unique", format!("nothing says whether `{name}` ({shown}) is unique per tenant"))
                .label(self.span(table, &[]), "this table's unique key")
                .label_opt(declared, "declared here")
                .help(format!(
                    "decide under `{name}:` one of\n  unique: {{{key}: per_tenant}}   two tenants may have the same value\n  \
                     unique: {{{key}: global}}       no two rows may, whoever they belong to (login emails, tokens, external ids)"
                ))
                .choose(&["tables", name, "unique", shown], "per_tenant", "two tenants may have the same value")
                .choose(&["tables", name, "unique", shown], "global", "no two rows may, whoever they belong to"),
        );
    }

    fn plain_indexes(&mut self, entries: &Entries<'a>, table: TableId, added: &Added<'_>, keys: &mut Keys) {
        let ids: Vec<IndexId> =
            self.schema.table(table).indexes.iter().copied().filter(|&id| !self.schema.index(id).unique).collect();
        let candidates: Vec<Candidate<IndexId>> = ids
            .iter()
            .map(|&id| Candidate {
                id,
                name: Some(self.schema.index(id).name.clone()),
                columns: index_columns(self, id),
            })
            .collect();
        let mut asked: BTreeMap<IndexId, (&str, &KeyEntry)> = BTreeMap::new();
        if let Some(body) = self.body(entries, table) {
            for (key, entry) in &body.indexes {
                let IndexEntry::Key(entry) = entry else { continue };
                let span = self.span(table, &["indexes", key]);
                if let Some(id) = self.find_key(table, "index", key, &candidates, span) {
                    asked.insert(id, (key, entry));
                }
            }
        }
        let is_tenant = matches!(added.placement, Placement::Tenant(_));
        for id in ids {
            let about = About::Index(self.schema.index(id).name.clone());
            let decided = match asked.get(&id) {
                Some(&(key, KeyEntry::Omit)) => {
                    let origin = Origin::Spec(self.span(table, &["indexes", key]));
                    self.decide(table, about, "omit", origin, &["per_tenant", "global", LISTED]);
                    KeyTenancy::Omit
                }
                Some(&(key, KeyEntry::Columns(names))) => {
                    let span = self.span(table, &["indexes", key]);
                    let origin = Origin::Spec(span.clone());
                    self.decide(table, about, &list_text(names), origin, &["per_tenant", "global", "omit"]);
                    let names = names.iter().map(String::as_str);
                    let Some(parts) = self.key_parts(entries, table, added, names, &span) else { continue };
                    KeyTenancy::Columns(parts)
                }
                Some(&(key, KeyEntry::PerTenant)) if !is_tenant => {
                    let span = self.span(table, &["indexes", key]);
                    self.no_tenant_here(table, key, span);
                    continue;
                }
                Some(&(key, entry)) => {
                    let scope = if *entry == KeyEntry::PerTenant { Scope::PerTenant } else { Scope::Global };
                    let origin = Origin::Spec(self.span(table, &["indexes", key]));
                    self.decide(table, about, scope_text(scope), origin, &[other_scope(scope), LISTED, "omit"]);
                    key_tenancy(scope)
                }
                None if !is_tenant => KeyTenancy::Global,
                None => {
                    let (scope, origin) = match self.file.defaults.indexes {
                        Some(scope) => (scope, Origin::Spec(self.spans.key(&["defaults", "indexes"]))),
                        None => (Scope::PerTenant, Origin::Inferred("the default".to_owned())),
                    };
                    self.decide(table, about, scope_text(scope), origin, &[other_scope(scope), LISTED, "omit"]);
                    key_tenancy(scope)
                }
            };
            keys.indexes.insert(id, decided);
        }
    }

    fn no_tenant_here(&mut self, table: TableId, key: &str, span: Span) {
        let message = format!("`{key}` cannot be per_tenant: the rows of `{}` belong to no tenant", self.name(table));
        self.error(Diagnostic::error("impossible-scope", message).label(span, "this choice").help("write `global`"));
    }
}

fn index_columns(resolver: &Resolver<'_>, id: IndexId) -> Vec<ColumnId> {
    resolver.schema.index(id).plain_columns().unwrap_or_default()
}

fn key_tenancy(scope: Scope) -> KeyTenancy {
    match scope {
        Scope::PerTenant => KeyTenancy::PerTenant,
        Scope::Global => KeyTenancy::Global,
    }
}

/// Writes a list of columns as the spec does.
pub(super) fn list_text(names: &[String]) -> String {
    format!("[{}]", names.join(", "))
}

fn scope_text(scope: Scope) -> &'static str {
    match scope {
        Scope::PerTenant => "per_tenant",
        Scope::Global => "global",
    }
}

fn other_scope(scope: Scope) -> &'static str {
    match scope {
        Scope::PerTenant => "global",
        Scope::Global => "per_tenant",
    }
}
