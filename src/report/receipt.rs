//! What was moved of one tenant, as a document for that tenant.

use super::html::{Cells, Document};
use super::json::SCHEMA_VERSION;
use super::sign_off::{SignOff, hex};
use crate::verify::{TenantSum, Verification};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What was moved of one tenant, for the file of that tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// The tenant's id.
    pub tenant: String,
    /// The receipt as HTML.
    pub html: String,
    /// The receipt as JSON.
    pub json: Value,
}

impl SignOff<'_> {
    /// Writes a receipt for each tenant: its id, and the receipt as HTML and JSON.
    pub fn receipts(&self) -> Vec<Receipt> {
        let Some(found) = self.verification else { return Vec::new() };
        let mut tenants: BTreeMap<&str, Vec<(&str, &TenantSum)>> = BTreeMap::new();
        for table in &found.tables {
            for sum in &table.sums {
                if let Some(tenant) = &sum.tenant {
                    tenants.entry(tenant).or_default().push((&table.table, sum));
                }
            }
        }
        tenants.into_iter().map(|(tenant, rows)| self.receipt(tenant, &rows, found)).collect()
    }

    fn receipt(&self, tenant: &str, rows: &[(&str, &TenantSum)], found: &Verification) -> Receipt {
        let is_same = |sum: &TenantSum| sum.source_rows == sum.target_rows && sum.source_sum == sum.target_sum;
        // Sound rows under a foreign key or policy that does not hold are not safe.
        let is_proven = rows.iter().all(|(_, sum)| is_same(sum)) && found.is_proven();
        let mut document = Document::new(&format!("Receipt for the tenant {tenant}"));
        let (class, outcome) = match is_proven {
            true => ("good", "Proven: the target holds exactly these rows of the source under this tenant."),
            false => ("bad", "NOT proven: there are differences."),
        };
        document.paragraph(class, outcome);
        let mut facts =
            vec![vec!["made at".to_owned(), self.made_at.clone()], vec!["spec".to_owned(), self.spec.clone()]];
        facts.extend(self.hashes.iter().map(|(of, hash)| vec![format!("BLAKE3 of the {of}"), hash.clone()]));
        facts.push(vec!["key of the sums".to_owned(), found.sum_key.clone()]);
        document.table(&[("run", Cells::Text), ("", Cells::Code)], &facts);
        let listed: Vec<Vec<String>> = rows
            .iter()
            .map(|(table, sum)| {
                let state = if is_same(sum) { "proven" } else { "DIFFERS" };
                let counts = [sum.source_rows.to_string(), sum.target_rows.to_string()];
                let [source, target] = counts;
                vec![(*table).to_owned(), source, target, hex(sum.target_sum), state.to_owned()]
            })
            .collect();
        document.table(
            &[
                ("table", Cells::Text),
                ("source rows", Cells::Number),
                ("target rows", Cells::Number),
                ("sum", Cells::Code),
                ("", Cells::Text),
            ],
            &listed,
        );
        document.signatures();
        let hashes: Map<String, Value> = self.hashes.iter().map(|(of, hash)| ((*of).to_owned(), json!(hash))).collect();
        let tables: Vec<Value> = rows
            .iter()
            .map(|(table, sum)| {
                json!({
                    "table": table,
                    "source_rows": sum.source_rows,
                    "target_rows": sum.target_rows,
                    "source_sum": hex(sum.source_sum),
                    "target_sum": hex(sum.target_sum),
                })
            })
            .collect();
        let json = json!({
            "schema_version": SCHEMA_VERSION,
            "tenant": tenant,
            "proven": is_proven,
            "made_at": self.made_at,
            "spec": self.spec,
            "hashes": hashes,
            "sum_key": found.sum_key,
            "tables": tables,
        });
        Receipt { tenant: tenant.to_owned(), html: document.finish(), json }
    }
}
