//! What a run adds to a plan.

use super::Plan;
use crate::diagnostic::Diagnostic;
use crate::schema::TableId;
use crate::spec::{About, Origin, Placement, TenantIds, TenantSource};

impl Plan {
    /// Says whether tables have the source `per_run`, so that a run has to name their tenant.
    pub fn asks_for_tenant(&self) -> bool {
        !self.per_run_tables().is_empty()
    }

    /// Returns the run's tenant where all rows with a tenant are of it, as the target spells its id.
    ///
    /// Several sources can then stand in one target, each beside the others.
    pub fn only_tenant(&self) -> Option<String> {
        let named = self.tenancy.tenant.per_run.as_deref()?;
        if !self.is_of_one_tenant() {
            return None;
        }
        match &self.tenancy.tenant.ids {
            TenantIds::Keep => Some(named.to_owned()),
            TenantIds::Uuid5(namespace) => Some(uuid::Uuid::new_v5(namespace, named.as_bytes()).to_string()),
            TenantIds::File(ids) => ids.get(named).cloned(),
        }
    }

    /// Says whether every row with a tenant gets it from the run, itself or through others.
    pub fn is_of_one_tenant(&self) -> bool {
        let source = &self.source;
        // Taken for so until something else turns up: tables may lean on each other, and trees on themselves.
        let mut is = vec![self.asks_for_tenant(); source.tables.len()];
        loop {
            let before = is.clone();
            for table in source.table_ids() {
                let of = |table: TableId| before[table.index()];
                is[table.index()] &= match &self.tenancy.table(table).placement {
                    Placement::Tenant(found) => found.alternatives().iter().all(|found| match found {
                        TenantSource::PerRun | TenantSource::Every => true,
                        TenantSource::Via(id) => of(source.foreign_key(*id).referenced_table),
                        TenantSource::UsedBy { references, .. } => {
                            references.iter().all(|&id| of(source.foreign_key(id).table))
                        }
                        TenantSource::By { cases, .. } => cases.iter().all(|(_, case)| of(*case)),
                        _ => false,
                    }),
                    Placement::Root => self.tenancy.is_created(table),
                    Placement::Shared | Placement::Local | Placement::Omit => true,
                };
            }
            if is == before {
                return is.iter().all(|is| *is);
            }
        }
    }

    /// Returns the plan of one of several files whose rows go into one target: its rows are this tenant's.
    ///
    /// # Errors
    /// Those of [`Plan::name_tenant`].
    pub fn of_tenant(&self, tenant: &str) -> Result<Self, Diagnostic> {
        let mut plan = self.clone();
        plan.name_tenant(Some(tenant))?;
        Ok(plan)
    }

    fn per_run_tables(&self) -> Vec<TableId> {
        let per_run = |placement: &Placement| match placement {
            Placement::Tenant(source) => source.alternatives().contains(&TenantSource::PerRun),
            _ => false,
        };
        self.source.table_ids().filter(|&table| per_run(&self.tenancy.table(table).placement)).collect()
    }

    /// Names the tenant of the tables whose tenant is the run's.
    ///
    /// # Errors
    /// `tenant-not-given` where such tables exist and the run names none; `tenant-not-asked` where it names one and no
    /// such table exists.
    pub fn name_tenant(&mut self, tenant: Option<&str>) -> Result<(), Diagnostic> {
        let tables = self.per_run_tables();
        let tenant = tenant.filter(|tenant| !tenant.is_empty());
        match (&tables[..], tenant) {
            ([], Some(_)) => {
                return Err(Diagnostic::error("tenant-not-asked", "a tenant is given, and no table takes it")
                    .help("leave --tenant out, or give tables the source `per_run`"));
            }
            ([first, ..], None) => {
                let names: Vec<&str> = tables.iter().map(|&table| self.source.table(table).name.as_str()).collect();
                let message = format!("the run has to name the tenant of {}", names.join(", "));
                let mut diagnostic = Diagnostic::error("tenant-not-given", message).help("name it with --tenant ID");
                let decision = self.decisions_about(*first).find(|decision| decision.about == About::Tenant);
                if let Some(Origin::Spec(span)) = decision.map(|decision| &decision.origin) {
                    diagnostic = diagnostic.label(span.clone(), "per run");
                }
                return Err(diagnostic);
            }
            _ => {}
        }
        self.tenancy.tenant.per_run = tenant.map(str::to_owned);
        // The spec names the rows of a root for all runs together; each makes its own tenant's.
        if let Some(tenant) = tenant
            && self.is_of_one_tenant()
            && let Some(created) = self.tenancy.root.as_mut().and_then(|root| root.created.as_mut())
        {
            created.rows.retain(|(id, _)| id == tenant);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::SourceId;
    use crate::schema::{Column, Declared, SourceSchema};
    use crate::spec;

    fn plan(orders: &str) -> Plan {
        let mut schema = SourceSchema::default();
        for name in ["orders", "notes"] {
            let table = schema.add_table(name, None);
            schema.add_column(Column {
                table,
                name: "owner".into(),
                data_type: Declared("TEXT".into()),
                not_null: false,
                default: None,
                generated: None,
                identity: false,
                collation: None,
                span: None,
            });
        }
        let text = format!(
            "version: 1\nsource: s\ntenant: {{column: t, type: text}}\ntables:\n  orders: {{tenant: {orders}}}\n  notes: shared\n"
        );
        let (file, spans) = spec::read(&text, SourceId(0)).unwrap();
        Plan::new(schema.clone(), spec::resolve(&file, &spans, &schema).unwrap()).unwrap()
    }

    #[test]
    fn a_run_names_its_tenant_where_a_table_asks_for_it_and_only_there() {
        let mut asks = plan("{first: [{column: owner}, per_run]}");
        let error = asks.name_tenant(None).unwrap_err();
        assert_eq!((error.code, error.labels.len()), ("tenant-not-given", 1));
        assert_eq!(error.message, "the run has to name the tenant of orders");
        assert_eq!(asks.name_tenant(Some("")).unwrap_err().code, "tenant-not-given");
        asks.name_tenant(Some("007")).unwrap();
        assert_eq!(asks.tenancy.tenant.per_run.as_deref(), Some("007"));
        let mut does_not = plan("{column: owner}");
        assert_eq!(does_not.name_tenant(Some("7")).unwrap_err().code, "tenant-not-asked");
        does_not.name_tenant(None).unwrap();
    }
}
