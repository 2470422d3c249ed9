//! What the rows can tell about an open choice: which of several ways to a tenant agree.

use super::sheet::{Path, Sheet, Value};
use crate::plan::Plan;
use crate::schema::{ColumnId, ForeignKeyId, TableId};
use crate::spec::{Placement, TenantSource, yaml_text};

/// A table whose tenant can be found in several ways.
#[derive(Debug, Clone)]
pub struct Question {
    /// The table.
    pub table: TableId,
    /// The ways, in the order of the choice.
    pub ways: Vec<Way>,
    pub(super) path: Path,
}

/// One way from a row to its tenant.
#[derive(Debug, Clone)]
pub struct Way {
    /// The line of the spec that takes it: `{via: customer_id}`.
    pub yaml: String,
    /// The foreign keys to follow, one after the other.
    pub hops: Vec<ForeignKeyId>,
    /// The column that holds the tenant's id at the end.
    pub tenant: ColumnId,
}

/// Lists the open choices between ways that the rows can be asked about.
pub(super) fn questions(plan: &Plan, sheet: &Sheet) -> Vec<Question> {
    let mut questions = Vec::new();
    for (path, line) in sheet.open() {
        let [top, table, key] = &path[..] else { continue };
        let Some(table) = plan.source.find_table(table).filter(|_| top == "tables" && key == "tenant") else {
            continue;
        };
        let ways: Vec<Way> = line
            .choices
            .iter()
            .filter_map(|choice| match &choice.value {
                Value::Yaml(yaml) => way(plan, table, yaml),
                Value::Text(_) => None,
            })
            .collect();
        if ways.len() > 1 {
            questions.push(Question { table, ways, path: path.clone() });
        }
    }
    questions
}

fn way(plan: &Plan, table: TableId, yaml: &str) -> Option<Way> {
    let source = &plan.source;
    let first = source.table(table).foreign_keys.iter().copied().find(|&id| {
        let columns: Vec<&str> = source.column_names(&source.foreign_key(id).columns).collect();
        yaml == format!("{{via: {}}}", yaml_text(&columns.join(", ")))
    })?;
    let mut hops = vec![first];
    loop {
        let here = source.foreign_key(*hops.last()?).referenced_table;
        let tenant = match &plan.tenancy.table(here).placement {
            Placement::Root => plan.tenancy.root.as_ref().map(|root| root.key),
            Placement::Tenant(TenantSource::Column(column)) => Some(*column),
            Placement::Tenant(TenantSource::Via(next)) if !hops.contains(next) => {
                hops.push(*next);
                continue;
            }
            _ => None,
        };
        return Some(Way { yaml: yaml.to_owned(), hops, tenant: tenant? });
    }
}
