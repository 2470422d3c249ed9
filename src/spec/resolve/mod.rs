//! Spec × schema → [`Tenancy`]: every name looked up, every choice made or asked for.

mod checks;
mod citus;
mod columns;
mod declared_types;
mod foreign_keys;
mod header;
mod isolation;
mod key_parts;
mod keys;
mod lookup;
mod new_indexes;
mod others;
mod placement;
mod references;
mod roles;
mod root;
mod row_policies;
mod source;
mod source_cycles;
mod tenant_source;

use super::file::{Profile, SpecFile, TableBody, TableEntry};
use super::tenancy::{About, Decision, Origin, Placement, TableTenancy, Tenancy};
use super::tenant_source::TenantSource;
use super::yaml::Spans;
use crate::diagnostic::{Diagnostic, Diagnostics, Span};
use crate::graph::ForeignKeyGraph;
use crate::schema::{ColumnId, SourceSchema, TableId};
pub use lookup::unknown_table;
use std::collections::{BTreeMap, BTreeSet};

/// Decides the tenancy of a schema by a spec.
///
/// # Errors
/// All at once: names that the schema lacks, choices that only a person can make, and references that tenancy makes
/// impossible. Each points at the YAML, and at the DDL where that is concerned.
pub fn resolve(file: &SpecFile, spans: &Spans, schema: &SourceSchema) -> Result<Tenancy, Diagnostics> {
    let mut errors = Diagnostics::default();
    let undeclared = references::undeclared(file, spans, schema, &mut errors);
    let created = root::created(file, spans, schema, &mut errors);
    let mut completed = created.as_ref().map_or_else(|| schema.clone(), |created| created.added_to(schema));
    for foreign_key in &undeclared {
        completed.add_foreign_key(foreign_key.clone());
    }
    let schema = &completed;
    let graph = ForeignKeyGraph::new(schema);
    let mut resolver = Resolver {
        file,
        spans,
        schema,
        graph: &graph,
        errors,
        failed: BTreeSet::new(),
        copied: BTreeSet::new(),
        decisions: Vec::new(),
        keys: file.tables.keys().rev().map(|key| (key.to_ascii_lowercase(), key.as_str())).collect(),
    };
    let entries = resolver.table_entries();
    let header = resolver.header();
    let root = resolver.root(created.as_ref());
    let placements = resolver.placements(&entries, root.as_ref());
    let header = if resolver.tenant_is_there(&placements) { header } else { None };
    resolver.note_copied_tables(&placements);
    let foreign_keys = resolver.foreign_keys(&entries, &placements, root.as_ref());
    let keys = resolver.keys(&entries, &placements, &foreign_keys);
    resolver.refuse_on_citus(&placements, root.as_ref(), &foreign_keys, &keys);
    let declared_types = resolver.declared_types();
    let checks = resolver.checks(&entries, &placements);
    let decided =
        columns::Decided { placements: &placements, foreign_keys: &foreign_keys, keys: &keys, checks: &checks };
    let mut columns = resolver.columns(&entries, &decided);
    resolver.created_root_columns(root.as_ref(), &mut columns);
    resolver.dangling_references(&entries, &placements);
    let guarded = resolver.guarded(&entries, &placements);
    let isolation = resolver.isolation(&guarded);
    let rows = resolver.row_policies(&entries, &placements);
    resolver.virtual_tables();
    let (views, triggers) = (resolver.views(), resolver.triggers());

    let Resolver { mut errors, mut decisions, .. } = resolver;
    let Some((tenant, target_schema, target)) = header else {
        errors.sort();
        return Err(errors);
    };
    let parts = placements.into_iter().zip(foreign_keys).zip(keys).zip(columns).zip(checks).zip(guarded).zip(rows);
    let tables = parts
        .map(|((((((placement, foreign_keys), keys), columns), checks), rls), rows)| TableTenancy {
            placement,
            primary_key: keys.primary_key,
            unique: keys.unique,
            indexes: keys.indexes,
            new_indexes: keys.new_indexes,
            foreign_keys: foreign_keys.decided,
            actions: foreign_keys.actions,
            columns,
            checks,
            rls,
            rows,
        })
        .collect();
    decisions.sort_by_key(|decision| decision.table);
    errors.sort();
    let extra = Vec::new();
    errors.into_result(Tenancy {
        tenant,
        root,
        target_schema,
        target,
        undeclared,
        declared_types,
        tables,
        isolation,
        views,
        triggers,
        extra,
        decisions,
    })
}

/// The spec's entry for each table that has one.
type Entries<'a> = BTreeMap<TableId, &'a TableEntry>;

struct Resolver<'a> {
    file: &'a SpecFile,
    spans: &'a Spans,
    schema: &'a SourceSchema,
    graph: &'a ForeignKeyGraph,
    errors: Diagnostics,
    /// Tables that an error has been reported for; what refers to them is not complained of again.
    failed: BTreeSet<TableId>,
    /// Tables whose rows several tenants can have copies of.
    copied: BTreeSet<TableId>,
    decisions: Vec<Decision>,
    /// The keys under `tables:` by their names in lower case.
    keys: BTreeMap<String, &'a str>,
}

impl<'a> Resolver<'a> {
    fn name(&self, table: TableId) -> &'a str {
        &self.schema.table(table).name
    }

    fn columns_text(&self, columns: &[ColumnId]) -> String {
        self.schema.column_names(columns).collect::<Vec<_>>().join(", ")
    }

    /// Returns the mapping of a table's decisions, where the spec has one.
    fn body(&self, entries: &Entries<'a>, table: TableId) -> Option<&'a TableBody> {
        match entries.get(&table) {
            Some(TableEntry::Tenant(body)) => Some(body),
            _ => None,
        }
    }

    /// Returns the key that a table has under `tables:` in the spec, which may differ in case.
    fn spec_key(&self, table: TableId) -> &'a str {
        let name = self.name(table);
        self.keys.get(&name.to_ascii_lowercase()).copied().unwrap_or(name)
    }

    /// Returns where something stands below a table's entry.
    fn span(&self, table: TableId, below: &[&str]) -> Span {
        let mut path = vec!["tables", self.spec_key(table)];
        path.extend(below);
        self.spans.key(&path)
    }

    fn profile(&self) -> Profile {
        self.file.target.profile.unwrap_or_default()
    }

    fn decide(&mut self, table: TableId, about: About, choice: &str, origin: Origin, alternatives: &[&str]) {
        self.decisions.push(Decision {
            table,
            about,
            choice: choice.to_owned(),
            origin,
            alternatives: alternatives.iter().map(|&text| text.to_owned()).collect(),
        });
    }

    fn error(&mut self, diagnostic: Diagnostic) {
        self.errors.push(diagnostic);
    }
}

/// Returns the column that holds a table's tenant in the source, where it has one.
fn tenant_column(placement: &Placement) -> Option<ColumnId> {
    match placement {
        Placement::Tenant(TenantSource::Column(column)) => Some(*column),
        _ => None,
    }
}
