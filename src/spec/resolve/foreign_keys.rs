//! Foreign keys: which means each goes over by, of those that the placements at its two ends allow.

use super::super::file::Scope;
use super::super::file_objects::{CrossTenant, ForeignKeyBody, ForeignKeyEntry};
use super::super::matrix::{Ends, Mean, Means, means};
use super::super::tenancy::{About, Actions, ForeignKeyTenancy, Origin, Placement, TenantRoot};
use super::placement::quoted_if_list;
use super::{Entries, Resolver, tenant_column};
use crate::diagnostic::{Diagnostic, Span};
use crate::schema::{ForeignKey, ForeignKeyId, TableId};
use std::collections::BTreeMap;

/// The decisions about one table's foreign keys.
#[derive(Default)]
pub(super) struct ForeignKeys {
    pub decided: BTreeMap<ForeignKeyId, ForeignKeyTenancy>,
    pub actions: BTreeMap<ForeignKeyId, Actions>,
}

type Asked<'a> = BTreeMap<ForeignKeyId, (&'a str, &'a ForeignKeyEntry)>;

impl<'a> Resolver<'a> {
    /// Decides what becomes of every foreign key of every migrated table.
    pub(super) fn foreign_keys(
        &mut self,
        entries: &Entries<'a>,
        placements: &[Placement],
        root: Option<&TenantRoot>,
    ) -> Vec<ForeignKeys> {
        self.schema
            .table_ids()
            .map(|table| {
                let mut keys = ForeignKeys::default();
                if placements[table.index()] == Placement::Omit {
                    return keys;
                }
                let asked = self.asked_foreign_keys(entries, table);
                for &id in &self.schema.table(table).foreign_keys {
                    let asked = asked.get(&id).copied();
                    if let Some(decided) = self.foreign_key(id, asked, placements, root) {
                        keys.decided.insert(id, decided);
                    }
                    if let Some((_, ForeignKeyEntry::Keep(body))) = asked {
                        let actions = Actions { on_delete: body.on_delete, on_update: body.on_update };
                        if actions != Actions::default() {
                            keys.actions.insert(id, actions);
                        }
                    }
                }
                keys
            })
            .collect()
    }

    fn asked_foreign_keys(&mut self, entries: &Entries<'a>, table: TableId) -> Asked<'a> {
        let mut asked = BTreeMap::new();
        let Some(body) = self.body(entries, table) else { return asked };
        let candidates = self.foreign_key_candidates(table);
        for (key, entry) in &body.foreign_keys {
            let references = matches!(entry, ForeignKeyEntry::Keep(ForeignKeyBody { references: Some(_), .. }));
            // Where `references` could not be added, its error has been reported.
            let added = !references || candidates.iter().any(|candidate| self.names_columns(&candidate.columns, key));
            if !added || (self.names_dangling(table, key) && !references) {
                continue;
            }
            let span = self.span(table, &["foreign_keys", key]);
            if let Some(id) = self.find_key(table, "foreign key", key, &candidates, span) {
                asked.insert(id, (key.as_str(), entry));
            }
        }
        asked
    }

    fn foreign_key(
        &mut self,
        id: ForeignKeyId,
        asked: Option<(&str, &ForeignKeyEntry)>,
        placements: &[Placement],
        root: Option<&TenantRoot>,
    ) -> Option<ForeignKeyTenancy> {
        let foreign_key = self.schema.foreign_key(id);
        let (child, parent) = (foreign_key.table, foreign_key.referenced_table);
        let shown = self.columns_text(&foreign_key.columns);
        let about = About::ForeignKey(shown.clone(), Some(id));
        if self.failed.contains(&parent) || self.failed.contains(&child) {
            return None;
        }
        let span = asked.map(|(key, _)| self.span(child, &["foreign_keys", key]));
        let body = match asked {
            Some((_, ForeignKeyEntry::Omit)) => {
                let origin = Origin::Spec(span.clone()?);
                let ends = self.ends(id, placements, root);
                let allowed = ends.map(|ends| means(self.profile(), ends).allowed).unwrap_or_default();
                let name = self.column_for(foreign_key);
                let alternatives: Vec<String> = allowed.iter().map(|mean| mean.words_with(&name)).collect();
                self.decide(child, about, "omit", origin, &as_words(&alternatives));
                return Some(ForeignKeyTenancy::Omit);
            }
            Some((_, ForeignKeyEntry::Keep(ForeignKeyBody { enforce: Some(false), .. }))) => {
                let origin = Origin::Spec(span.clone()?);
                self.decide(child, about, "{enforce: false}", origin, &["{enforce: true}"]);
                return Some(ForeignKeyTenancy::Omit);
            }
            Some((_, ForeignKeyEntry::Keep(body))) => Some(body),
            None => None,
        };
        let Some(ends) = self.ends(id, placements, root) else {
            self.impossible_reference(id, None, span);
            return None;
        };
        let means = means(self.profile(), ends);
        let asked = body.and_then(|body| asked_mean(body, ends).map(|mean| (mean, body)));
        let Some((mean, body)) = asked else {
            // A reference to a copied row is to the copy of the same tenant.
            let is_copied = self.copied.contains(&parent) && ends == Ends::TenantToTenant;
            let default = if is_copied { Some(Mean::PerTenant) } else { self.default_mean(ends, means) };
            let Some(mean) = default else {
                self.impossible_reference(id, Some((ends, means)), span);
                return None;
            };
            let name = self.column_for(foreign_key);
            let alternatives: Vec<String> = means
                .allowed
                .iter()
                .filter(|other| **other != mean && !(is_copied && **other == Mean::Global))
                .map(|other| other.words_with(&name))
                .chain(["omit".to_owned()])
                .collect();
            let reason = if is_copied {
                "each tenant has a copy of the row referred to"
            } else {
                self.reason(ends, mean, means)
            };
            let origin = Origin::Inferred(reason.to_owned());
            self.decide(child, about, choice_text(mean), origin, &as_words(&alternatives));
            return Some(tenancy(mean, ""));
        };
        let span = span?;
        if !means.allowed.contains(&mean) {
            self.impossible_mean(id, mean, means, ends, span);
            return None;
        }
        let name = body.column.as_deref().unwrap_or_default();
        if body.column.is_some()
            && let Some(column) = self.schema.find_column(child, name)
        {
            self.error(
                Diagnostic::error("column-exists", format!("`{}` has a column `{name}` already", self.name(child)))
                    .label(span, "the name of the tenant column that the reference is to get")
                    .label_opt(self.schema.column(column).span.clone(), "the column")
                    .help("choose another name"),
            );
            return None;
        }
        let free = if name.is_empty() { self.column_for(foreign_key) } else { name.to_owned() };
        let others = means.allowed.iter().filter(|other| **other != mean).map(|other| other.words_with(&free));
        let alternatives: Vec<String> = others.chain(["omit".to_owned()]).collect();
        let choice = choice_text(mean).replace("NAME", name);
        self.decide(child, about, &choice, Origin::Spec(span), &as_words(&alternatives));
        Some(tenancy(mean, name))
    }

    /// Proposes a name for a tenant column of a reference's own: `customer_account_id` beside `customer_id`.
    fn column_for(&self, foreign_key: &ForeignKey) -> String {
        let tenant = self.file.tenant.as_ref().and_then(|tenant| tenant.column.as_deref()).unwrap_or("tenant_id");
        let first = foreign_key.columns.first().map_or("", |&column| self.schema.column(column).name.as_str());
        let stem = first.strip_suffix("_id").unwrap_or(first);
        let name = format!("{stem}_{tenant}");
        if self.schema.find_column(foreign_key.table, &name).is_some() { "NAME".to_owned() } else { name }
    }

    /// Returns what the foreign key joins; `None` where one of the tables is not migrated, or where the root refers to a
    /// tenant's table by its own key.
    fn ends(&self, id: ForeignKeyId, placements: &[Placement], root: Option<&TenantRoot>) -> Option<Ends> {
        let foreign_key = self.schema.foreign_key(id);
        let child = &placements[foreign_key.table.index()];
        let parent = &placements[foreign_key.referenced_table.index()];
        let joins = |own, theirs| {
            foreign_key.columns.iter().zip(&foreign_key.referenced_columns).any(|(&c, &p)| c == own && p == theirs)
        };
        Some(match (Ends::new(child, parent)?, tenant_column(child), root) {
            // Which of the copies would it be?
            (Ends::SharedToTenant | Ends::LocalToTenant, ..) if self.copied.contains(&foreign_key.referenced_table) => {
                return None;
            }
            (Ends::TenantToRoot, Some(own), Some(root)) if joins(own, root.key) => Ends::TenantToOwnRoot,
            (Ends::TenantToTenant, Some(own), _) if tenant_column(parent).is_some_and(|theirs| joins(own, theirs)) => {
                Ends::TenantToTenantCarrying
            }
            (Ends::RootToTenant, _, Some(root)) if foreign_key.columns == [root.key] => return None,
            (ends, ..) => ends,
        })
    }

    fn default_mean(&self, ends: Ends, means: Means) -> Option<Mean> {
        let wanted = match (self.file.defaults.foreign_keys, ends) {
            (Some(Scope::Global), Ends::TenantToTenant | Ends::TenantToRoot) => Some(Mean::Global),
            _ => None,
        };
        wanted.filter(|mean| means.allowed.contains(mean)).or(means.default)
    }

    fn reason(&self, ends: Ends, mean: Mean, means: Means) -> &'static str {
        match (ends, mean) {
            _ if means.default != Some(mean) => "defaults.foreign_keys",
            (Ends::TenantToOwnRoot, _) => "it is the tenant column",
            (Ends::TenantToRoot, _) => "it names a tenant: the row's own, until the spec says otherwise",
            (_, Mean::FromRoot) => "the root's key is the tenant",
            (_, Mean::PerTenant) if self.file.defaults.foreign_keys.is_some() => "defaults.foreign_keys",
            (_, Mean::PerTenant) => "both rows belong to tenants",
            _ => "the row referred to belongs to no tenant, or is the tenant",
        }
    }

    fn impossible_mean(&mut self, id: ForeignKeyId, mean: Mean, means: Means, ends: Ends, span: Span) {
        let foreign_key = self.schema.foreign_key(id);
        let (child, parent) = (self.name(foreign_key.table), self.name(foreign_key.referenced_table));
        let shown = self.columns_text(&foreign_key.columns);
        let message = format!("`{child}` ({shown}) refers to `{parent}`: it cannot be {}", choice_text(mean));
        let choices: Vec<String> = means.allowed.iter().map(|mean| format!("`{}`", mean.words())).collect();
        let help = match means.default {
            _ if choices.is_empty() => self.choices(id, Some((ends, means))),
            Some(default) if choices.len() == 1 => {
                format!("between these placements it is {}: leave it out", choice_text(default))
            }
            Some(default) => {
                format!("it can be {}; left out it is {}", choices.join(", "), choice_text(default))
            }
            None => format!("it can be {}", choices.join(", ")),
        };
        self.error(
            Diagnostic::error("impossible-scope", message)
                .label(span, format!("{} under the profile {}", ends.text(), self.profile().name()))
                .label_opt(foreign_key.span.clone(), "the foreign key")
                .help(help),
        );
    }

    fn impossible_reference(&mut self, id: ForeignKeyId, means: Option<(Ends, Means)>, span: Option<Span>) {
        let foreign_key = self.schema.foreign_key(id);
        let (child, parent) = (self.name(foreign_key.table), self.name(foreign_key.referenced_table));
        let columns = self.columns_text(&foreign_key.columns);
        let span = span.unwrap_or_else(|| self.span(foreign_key.table, &[]));
        let help = self.choices(id, means);
        let path = ["tables", child, "foreign_keys", &columns];
        let mut error = Diagnostic::error(
            "impossible-reference",
            format!("`{child}` ({columns}) refers to `{parent}`, and their placements do not allow that"),
        )
        .label(span, "the table that refers")
        .label(self.span(foreign_key.referenced_table, &[]), "the table referred to")
        .label_opt(foreign_key.span.clone(), "the foreign key")
        .help(help);
        let without = "nothing refuses a reference that leads nowhere";
        error = match means {
            // There is nothing that it could refer to.
            None => error.suggest(&path, "omit", without),
            Some((_, means)) => means
                .allowed
                .iter()
                .fold(error, |error, mean| error.choose(&path, mean.words(), ""))
                .choose(&path, "omit", without),
        };
        self.error(error);
    }

    /// Lists what can be done about a reference that placements do not allow.
    fn choices(&self, id: ForeignKeyId, means: Option<(Ends, Means)>) -> String {
        let foreign_key = self.schema.foreign_key(id);
        let (child, parent) = (self.name(foreign_key.table), self.name(foreign_key.referenced_table));
        let key = quoted_if_list(&self.columns_text(&foreign_key.columns));
        let why = match means {
            None => "an omitted table is not there, and the root cannot refer by its own key",
            Some((Ends::SharedToTenant, _)) if self.profile().is_citus() => {
                "nothing shared may refer to a distributed table"
            }
            Some((Ends::SharedToTenant, _)) => "a shared row cannot say whose row it refers to",
            Some((Ends::SharedToRoot | Ends::LocalToTenant | Ends::LocalToRoot, _)) => {
                "only distributed tables may refer to a distributed table"
            }
            Some((Ends::TenantToLocal | Ends::RootToLocal, _)) => "a distributed table may refer to no local one",
            Some(_) => "a foreign key between distributed tables has to hold the tenant column of both rows",
        };
        let mut lines = vec![format!("{why}: place one of the two tables otherwise, or decide it under `{child}:`")];
        for mean in means.map(|(_, means)| means.allowed).unwrap_or_default() {
            let note = match mean {
                Mean::Global => format!("   as it is, where the key of `{parent}` stays global"),
                Mean::OwnColumn => "   a tenant column of its own".to_owned(),
                _ => String::new(),
            };
            lines.push(format!("  foreign_keys: {{{key}: {}}}{note}", mean.words()));
        }
        lines.push(format!("  foreign_keys: {{{key}: omit}}"));
        lines.join("\n")
    }

    fn names_dangling(&self, table: TableId, key: &str) -> bool {
        self.schema
            .dangling
            .iter()
            .any(|dangling| dangling.table == table && self.names_columns(&dangling.columns, key))
    }

    /// A foreign key that leads nowhere is an error, unless its table or itself is left out, or the spec says where it
    /// leads.
    pub(super) fn dangling_references(&mut self, entries: &Entries<'a>, placements: &[Placement]) {
        for dangling in &self.schema.dangling {
            if placements[dangling.table.index()] == Placement::Omit {
                continue;
            }
            let columns = self.columns_text(&dangling.columns);
            let asked = self
                .body(entries, dangling.table)
                .and_then(|body| body.foreign_keys.iter().find(|(key, _)| self.names_columns(&dangling.columns, key)));
            match asked {
                Some((key, ForeignKeyEntry::Omit)) => {
                    let origin = Origin::Spec(self.span(dangling.table, &["foreign_keys", key]));
                    let others = ["{references: \"TABLE(COLUMN)\"}"];
                    self.decide(dangling.table, About::ForeignKey(columns, None), "omit", origin, &others);
                    continue;
                }
                Some((_, ForeignKeyEntry::Keep(ForeignKeyBody { references: Some(_), .. }))) => continue,
                _ => {}
            }
            let key = quoted_if_list(&columns);
            self.error(
                Diagnostic::error(
                    "dangling-foreign-key",
                    format!(
                        "`{}` ({columns}) refers to `{}`: {}",
                        self.name(dangling.table),
                        dangling.referenced_table,
                        dangling.reason
                    ),
                )
                .label_opt(dangling.span.clone(), "leads nowhere")
                .help(format!(
                    "SQLite accepts it, PostgreSQL does not: mend the DDL, or write under `{}:`\n  foreign_keys: {{{key}: \
                     omit}}\n  foreign_keys: {{{key}: {{references: \"TABLE(COLUMN)\"}}}}",
                    self.name(dangling.table),
                ))
                .suggest(
                    &["tables", self.name(dangling.table), "foreign_keys", &columns],
                    "omit",
                    "SQLite never checked it either",
                ),
            );
        }
    }
}

/// Returns the means that a mapping asks for; `None` where it leaves that to the default.
fn asked_mean(body: &ForeignKeyBody, ends: Ends) -> Option<Mean> {
    match (&body.column, body.scope) {
        // A shared row has no tenant that the reference could differ from.
        (Some(_), _) if body.cross_tenant == Some(CrossTenant::Allow) && ends != Ends::SharedToTenant => {
            Some(Mean::CrossTenant)
        }
        (Some(_), _) => Some(Mean::OwnColumn),
        (None, Some(Scope::PerTenant)) => Some(Mean::PerTenant),
        (None, Some(Scope::Global)) => Some(Mean::Global),
        (None, None) => None,
    }
}

fn tenancy(mean: Mean, name: &str) -> ForeignKeyTenancy {
    match mean {
        Mean::PerTenant => ForeignKeyTenancy::PerTenant,
        Mean::Global => ForeignKeyTenancy::Global,
        Mean::OwnColumn => ForeignKeyTenancy::OwnColumn(name.to_owned()),
        Mean::CrossTenant => ForeignKeyTenancy::CrossTenant(name.to_owned()),
        Mean::FromRoot => ForeignKeyTenancy::FromRoot,
    }
}

fn as_words(alternatives: &[String]) -> Vec<&str> {
    alternatives.iter().map(String::as_str).collect()
}

fn choice_text(mean: Mean) -> &'static str {
    match mean {
        Mean::FromRoot => "from_root",
        other => other.words(),
    }
}
