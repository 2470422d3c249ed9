//! The keys at the top of a spec: version, tenant column, root, target.

use super::super::file::Position;
use super::super::postgres_text::{as_default, one_expression};
use super::super::source_entry::TenantIdEntry;
use super::super::tenancy::{Placement, Target, TenantColumn, TenantDefault};
use super::Resolver;
use crate::diagnostic::{Diagnostic, nearest};
use crate::schema::{PgType, TableId};

/// The first PostgreSQL that takes a column list in ON DELETE SET NULL.
const OLDEST_VERSION: u32 = 15;

impl Resolver<'_> {
    /// Reads the tenant column and the target's schema; `None` after an error that leaves nothing to go on with.
    ///
    /// A spec without `tenant` has a tenant column that nothing reads; [`Resolver::tenant_is_there`] makes sure of it.
    pub(super) fn header(&mut self) -> Option<(TenantColumn, String, Target)> {
        match self.file.version {
            Some(1) => {}
            Some(other) => self.error(
                Diagnostic::error("unsupported-version", format!("version {other} of the grammar is not known"))
                    .label(self.spans.value(&["version"]), "this version")
                    .help("write `version: 1`"),
            ),
            None => self.missing("version", "write `version: 1` at the top"),
        }
        if self.file.source.is_none() {
            self.missing("source", "name the DDL, as in `source: schema.sql`");
        }
        let target = self.target();
        let default = self.tenant_default();
        let schema = self.file.target.schema.clone().unwrap_or_else(|| "public".to_owned());
        let Some(tenant) = &self.file.tenant else { return Some((TenantColumn::none(), schema, target)) };
        let column = tenant.column.clone();
        if column.is_none() {
            self.error(
                Diagnostic::error("missing-key", "`tenant` has no `column`")
                    .label(self.spans.key(&["tenant"]), "here")
                    .help("name the tenant column, as in `column: account_id`"),
            );
        }
        let data_type = match &tenant.data_type {
            Some(text) => match PgType::parse(text) {
                Some(parsed) => Some(parsed),
                None => {
                    self.error(unknown_type(text).label(self.spans.value(&["tenant", "type"]), "this type"));
                    return None;
                }
            },
            None if matches!(tenant.id, Some(TenantIdEntry::Uuid5(_))) => None,
            None if tenant.root.as_ref().is_some_and(|root| !root.creates_without_type()) => None,
            None => {
                self.error(
                    Diagnostic::error("missing-key", "`tenant` has no `type`, and no root to take it from")
                        .label(self.spans.key(&["tenant"]), "here")
                        .help("give the tenant column's type, as in `type: varchar(100)`"),
                );
                return None;
            }
        };
        let (ids, data_type) = self.tenant_ids(data_type);
        Some((
            TenantColumn {
                name: column?,
                data_type,
                default,
                in_keys: tenant.in_keys.unwrap_or(Position::First),
                in_table: tenant.in_table.unwrap_or(Position::First),
                ids,
                per_run: None,
            },
            schema,
            target,
        ))
    }

    /// Without `tenant`, every table has to be placed outside tenancy by the spec itself.
    pub(super) fn tenant_is_there(&mut self, placements: &[Placement]) -> bool {
        let has_tenant = |table: TableId| {
            self.failed.contains(&table) || matches!(placements[table.index()], Placement::Root | Placement::Tenant(_))
        };
        if self.file.tenant.is_some() {
            return true;
        }
        if self.schema.table_ids().any(has_tenant) {
            self.missing(
                "tenant",
                "say how tenants are told apart, as in `tenant: {column: account_id, type: bigint}`; only a spec whose \
                 tables are all `shared` or `omit` needs none",
            );
            return false;
        }
        if self.file.rls.is_some() {
            self.error(
                Diagnostic::error("impossible-rls", "no row belongs to a tenant")
                    .label(self.spans.key(&["rls"]), "so there is nothing to guard")
                    .help("leave `rls` out, or say under `tenant` how tenants are told apart"),
            );
        }
        true
    }

    fn target(&mut self) -> Target {
        let entry = &self.file.target;
        if let Some(version @ ..OLDEST_VERSION) = entry.version {
            self.error(
                Diagnostic::error("unsupported-target-version", format!("PostgreSQL {version} is not supported"))
                    .label(self.spans.value(&["target", "version"]), "this version")
                    .help(
                        "the DDL needs PostgreSQL 15 or later: ON DELETE SET NULL with a list of columns came with it",
                    ),
            );
        }
        Target { profile: self.profile(), version: entry.version, names: entry.names.unwrap_or_default() }
    }

    fn tenant_default(&mut self) -> Option<TenantDefault> {
        let text = self.file.tenant.as_ref()?.default.as_ref()?;
        if text == "setting" {
            return Some(TenantDefault::Setting);
        }
        self.postgres_text(text, &["tenant", "default"])?;
        Some(TenantDefault::Expression(as_default(text)))
    }

    /// Makes sure that a text in PostgreSQL's dialect is one expression; `None` after it has been reported.
    pub(super) fn postgres_text(&mut self, text: &str, path: &[&str]) -> Option<()> {
        match one_expression(text) {
            Ok(()) => Some(()),
            Err(reason) => {
                self.error(
                    Diagnostic::error("not-one-expression", format!("this is not one expression: {reason}"))
                        .label(self.spans.value(path), "this text")
                        .help("write one PostgreSQL expression, with its quotes and parentheses closed"),
                );
                None
            }
        }
    }

    fn missing(&mut self, key: &str, help: &str) {
        let diagnostic = Diagnostic::error("missing-key", format!("the spec has no `{key}`"))
            .label(self.spans.key::<&str>(&[]), "this spec")
            .help(help);
        self.error(diagnostic);
    }
}

/// Builds the error for a type name that is not known, without its place.
pub(super) fn unknown_type(text: &str) -> Diagnostic {
    const KNOWN: &[&str] = &[
        "boolean",
        "smallint",
        "integer",
        "bigint",
        "real",
        "double precision",
        "numeric",
        "text",
        "varchar",
        "char",
        "bytea",
        "date",
        "time",
        "timestamp",
        "timestamptz",
        "uuid",
        "json",
        "jsonb",
    ];
    let word = text.split('(').next().unwrap_or(text).trim();
    let help = match nearest(word, KNOWN.iter().copied()) {
        Some(near) if near != word => format!("did you mean `{near}`?"),
        _ => format!("known types: {}; lengths as in varchar(100), numeric(10,2)", KNOWN.join(", ")),
    };
    Diagnostic::error("unknown-type", format!("`{text}` is not a PostgreSQL type that tenantry writes")).help(help)
}
