//! One run as a document that a person signs: what was decided, moved, converted, rejected, proven. Keys and shapes only,
//! unless values are asked for.

use super::audit::{Values, audit_json};
use super::counted::{counted, counted_that};
use super::decision::{object_name, origin_text};
use super::html::{Cells, Document};
use super::json::{SCHEMA_VERSION, decision_json};
use super::verification::{since_json, verification_json};
use crate::copy::{Audit, Finding};
use crate::diagnostic::Sources;
use crate::plan::Plan;
use crate::rewrite::ColumnValue;
use crate::spec::Conversion;
use crate::verify::{SinceRun, Verification};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a run was made of, and what it gave.
pub struct SignOff<'r> {
    /// The verb: `audit`, `cutover` or `verify`.
    pub verb: &'static str,
    /// When the report was made, in UTC.
    pub made_at: String,
    /// The plan.
    pub plan: &'r Plan,
    /// The texts that the plan's spans point into.
    pub sources: &'r Sources,
    /// The spec's path.
    pub spec: String,
    /// The target, without secrets; `None` where there was none.
    pub target: Option<String>,
    /// Hashes by what they are of: spec, ddl, source.
    pub hashes: Vec<(&'static str, String)>,
    /// Whether nothing was found.
    pub is_clean: bool,
    /// What the audit found.
    pub audit: Option<&'r Audit>,
    /// What the verification found.
    pub verification: Option<&'r Verification>,
    /// What has become of the rows since.
    pub since: Option<&'r SinceRun>,
    /// How long each phase took.
    pub phases: Vec<(String, Duration)>,
    /// Whether values are shown.
    pub values: Values,
}

impl SignOff<'_> {
    /// Writes it as JSON.
    pub fn json(&self) -> Value {
        let plan = self.plan;
        let decisions: Vec<Value> =
            plan.decisions.iter().map(|decision| decision_json(plan, decision, self.sources)).collect();
        let hazards: Vec<Value> = plan
            .hazards()
            .iter()
            .map(|hazard| {
                let table = &plan.source.table(hazard.table).name;
                json!({ "code": hazard.code, "table": table, "message": hazard.message, "help": hazard.help })
            })
            .collect();
        let columns: Vec<Value> = self
            .conversions()
            .into_iter()
            .map(|[table, column, from, to, read]| {
                json!({ "table": table, "column": column, "from": from, "to": to, "read": read })
            })
            .collect();
        let phases: Map<String, Value> =
            self.phases.iter().map(|(name, took)| (name.clone(), json!(took.as_secs_f64()))).collect();
        let hashes: Map<String, Value> = self.hashes.iter().map(|(of, hash)| ((*of).to_owned(), json!(hash))).collect();
        let mut value = json!({
            "schema_version": SCHEMA_VERSION,
            "verb": self.verb,
            "tenantry": env!("CARGO_PKG_VERSION"),
            "made_at": self.made_at,
            "spec": self.spec,
            "target": self.target,
            "clean": self.is_clean,
            "hashes": hashes,
            "decisions": decisions,
            "hazards": hazards,
            "conversions": columns,
            "seconds": phases,
        });
        if let Some(audit) = self.audit {
            value["audit"] = audit_json(plan, audit, self.values);
        }
        if let Some(found) = self.verification {
            value["proof"] = verification_json(found)["verification"].take();
            value["sums"] = sums_json(found);
        }
        if let Some(since) = self.since {
            value["since_run"] = since_json(since)["since_run"].take();
        }
        value
    }

    /// Writes it as one HTML file that needs nothing else.
    pub fn html(&self) -> String {
        let mut document = Document::new(&format!("tenantry {}: {}", self.verb, self.spec));
        let (class, outcome) = match (self.is_clean, self.verb) {
            (true, "audit") => ("good", "Every row goes through."),
            (true, _) => ("good", "Proven: the target holds the source, row for row and tenant for tenant."),
            (false, "audit") => ("bad", "Some rows do not go through."),
            (false, _) => ("bad", "NOT proven: there are differences."),
        };
        // What is left after the switch is no proof of equality.
        let (class, outcome) = match self.since {
            Some(since) if since.is_sound() => ("good", "Sound: every row of the source is accounted for."),
            Some(_) => ("bad", "NOT sound: there are findings."),
            None => (class, outcome),
        };
        document.paragraph(class, outcome);
        let mut facts = vec![vec!["made at".to_owned(), self.made_at.clone()]];
        facts.push(vec!["tenantry".to_owned(), env!("CARGO_PKG_VERSION").to_owned()]);
        facts.extend(self.target.iter().map(|target| vec!["target".to_owned(), target.clone()]));
        facts.extend(self.hashes.iter().map(|(of, hash)| vec![format!("BLAKE3 of the {of}"), hash.clone()]));
        document.table(&[("run", Cells::Text), ("", Cells::Code)], &facts);
        self.proof(&mut document);
        self.since(&mut document);
        self.findings(&mut document);
        self.kept_out(&mut document);
        self.decided(&mut document);
        if !self.phases.is_empty() {
            document.heading("Time");
            let rows: Vec<Vec<String>> = self
                .phases
                .iter()
                .map(|(name, took)| vec![name.clone(), format!("{:.2}", took.as_secs_f64())])
                .collect();
            document.table(&[("phase", Cells::Text), ("seconds", Cells::Number)], &rows);
        }
        document.signatures();
        document.finish()
    }

    fn proof(&self, document: &mut Document) {
        let Some(found) = self.verification else { return };
        document.heading("Moved and proven");
        document.paragraph(
            "note",
            "Each row of either side is reduced to a keyed 128-bit hash of all its columns; the sums of these are compared for \
             each table and tenant.",
        );
        let rows: Vec<Vec<String>> = found
            .tables
            .iter()
            .map(|table| {
                vec![
                    table.table.clone(),
                    table.source_rows.to_string(),
                    table.target_rows.to_string(),
                    table.tenants.to_string(),
                    hex(table.sums.iter().fold(0, |sum, tenant| sum.wrapping_add(tenant.target_sum))),
                    match (&table.unread, table.is_proven()) {
                        (Some(obstacle), _) => format!("not compared: {obstacle}"),
                        (None, true) => "proven".to_owned(),
                        (None, false) => counted_that(table.differing_tenants, "tenant", ["differs", "differ"]),
                    },
                ]
            })
            .collect();
        document.table(
            &[
                ("table", Cells::Text),
                ("source rows", Cells::Number),
                ("target rows", Cells::Number),
                ("tenants", Cells::Number),
                ("sum", Cells::Code),
                ("", Cells::Text),
            ],
            &rows,
        );
        document.paragraph("note", &format!("Key of the sums (SipHash-1-3, 128 bits): {}", found.sum_key));
        let keys: Vec<Vec<String>> = found
            .foreign_keys
            .iter()
            .map(|key| {
                let broken: u64 = key.violations.iter().map(|violation| violation.rows).sum();
                let state = match (&key.unchecked, broken) {
                    (Some(obstacle), _) => format!("not checked: {obstacle}"),
                    (None, 0) => "no row without a partner".to_owned(),
                    (None, broken) => counted_that(broken, "row", ["breaks it", "break it"]),
                };
                vec![key.table.clone(), key.name.clone(), state]
            })
            .collect();
        document.heading("Foreign keys");
        document.table(&[("table", Cells::Text), ("foreign key", Cells::Text), ("", Cells::Text)], &keys);
        let sequences: Vec<Vec<String>> = found
            .sequences
            .iter()
            .map(|sequence| {
                let next = sequence.next.map_or_else(|| "none".to_owned(), |next| next.to_string());
                let state = if sequence.is_proven() { "free" } else { "BEHIND" };
                vec![format!("{}.{}", sequence.table, sequence.column), next, state.to_owned()]
            })
            .collect();
        document.heading("Sequences");
        document.table(&[("column", Cells::Text), ("next", Cells::Number), ("", Cells::Text)], &sequences);
        schema(&found.catalog, &found.uncompared, document);
        document.heading("Rows of each tenant");
        let mut tenants: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
        for sum in found.tables.iter().flat_map(|table| &table.sums) {
            let Some(tenant) = &sum.tenant else { continue };
            let (tables, source, target) = tenants.entry(tenant).or_default();
            (*tables, *source, *target) = (*tables + 1, *source + sum.source_rows, *target + sum.target_rows);
        }
        let rows: Vec<Vec<String>> = tenants
            .into_iter()
            .map(|(tenant, (tables, source, target))| {
                vec![tenant.to_owned(), tables.to_string(), source.to_string(), target.to_string()]
            })
            .collect();
        let columns = [
            ("tenant", Cells::Text),
            ("tables", Cells::Number),
            ("source rows", Cells::Number),
            ("target rows", Cells::Number),
        ];
        document.table(&columns, &rows);
    }

    fn since(&self, document: &mut Document) {
        let Some(since) = self.since else { return };
        document.heading("Since the run");
        let rows: Vec<Vec<String>> = since
            .tables
            .iter()
            .map(|table| {
                let counts = [table.unchanged, table.updated, table.deleted, table.new, table.moved];
                std::iter::once(table.table.clone()).chain(counts.map(|count| count.to_string())).collect()
            })
            .collect();
        let columns = [
            ("table", Cells::Text),
            ("unchanged and proven", Cells::Number),
            ("updated", Cells::Number),
            ("deleted", Cells::Number),
            ("new", Cells::Number),
            ("under another tenant", Cells::Number),
        ];
        document.table(&columns, &rows);
        schema(&since.catalog, &since.uncompared, document);
    }

    fn findings(&self, document: &mut Document) {
        let Some(audit) = self.audit else { return };
        document.heading("Audit");
        let rows: u64 = audit.tables.iter().map(|(_, rows)| rows).sum();
        let (rows, tables) = (counted(rows, "row"), counted(audit.tables.len(), "table"));
        document.paragraph("note", &format!("{rows} of {tables}, {}", counted(audit.tenants, "tenant")));
        let row = |finding: &Finding| {
            let code = finding
                .problem
                .map_or_else(|| finding.code.to_owned(), |problem| format!("{} ({problem})", finding.code));
            let mut example = finding.shape.clone().unwrap_or_default();
            if let Some(encoding) = finding.encoding {
                example.push_str(&format!(", probably {}", encoding.name()));
            }
            if let (Some(value), Values::Shown) = (&finding.value, self.values) {
                example.push_str(&format!(": {value}"));
            }
            vec![
                code,
                finding.rows.to_string(),
                format!("{}: {}", finding.place, finding.reason),
                example,
                finding.keys.join("; "),
                finding.suggestion.as_ref().map(|suggestion| suggestion.line()).unwrap_or_default(),
            ]
        };
        let columns = [
            ("finding", Cells::Text),
            ("rows", Cells::Number),
            ("what", Cells::Text),
            ("looks like", Cells::Code),
            ("first", Cells::Code),
            ("would be decided by", Cells::Code),
        ];
        document.table(&columns, &audit.findings.iter().map(row).collect::<Vec<_>>());
        if !audit.warnings.is_empty() {
            document.paragraph("note", "Warnings: only the server can tell.");
            document.table(&columns, &audit.warnings.iter().map(row).collect::<Vec<_>>());
        }
        let unjudged: Vec<Vec<String>> = audit.unjudged.iter().map(|sentence| vec![sentence.clone()]).collect();
        document.table(&[("not judged", Cells::Text)], &unjudged);
    }

    /// What the spec keeps out: the proof's account where there is one, else the audit's.
    fn kept_out(&self, document: &mut Document) {
        let plan = self.plan;
        let proven = self.verification.map(|found| &found.kept_out).filter(|kept_out| !kept_out.tables.is_empty());
        let rows: Vec<Vec<String>> = match (proven, self.audit) {
            (Some(kept_out), _) => kept_out
                .tables
                .iter()
                .map(|table| {
                    let counts =
                        [table.source_rows, table.moved, table.rejected, table.left_out, table.references_cleared];
                    account_row(&table.table, counts, &table.reasons)
                })
                .collect(),
            (None, Some(audit)) => audit
                .accounts
                .iter()
                .map(|account| {
                    let moved = account.source_rows - account.rejected - account.left_out;
                    let counts = [account.source_rows, moved, account.rejected, account.left_out, account.cleared];
                    account_row(&plan.source.table(account.table).name, counts, &account.reasons)
                })
                .collect(),
            (None, None) => return,
        };
        if rows.is_empty() {
            return;
        }
        document.heading("Kept out");
        let note = match proven {
            Some(kept_out) if !kept_out.is_proven() => {
                ("bad", "NOT proven: what was kept out is not what the spec keeps out.")
            }
            Some(kept_out) if kept_out.unrecorded.is_none() => (
                "note",
                "Derived a second time in SQL: each row that was rejected is on record, for a reason that holds, and no row that was \
                 moved has one.",
            ),
            Some(_) => ("note", "Derived a second time in SQL; there was no record of rejected rows to compare with."),
            None => ("note", "What the spec keeps out of the rows of each table."),
        };
        document.paragraph(note.0, note.1);
        let columns = [
            ("table", Cells::Text),
            ("source rows", Cells::Number),
            ("moved", Cells::Number),
            ("rejected", Cells::Number),
            ("left out", Cells::Number),
            ("references cleared", Cells::Number),
            ("rejected by reason", Cells::Text),
        ];
        document.table(&columns, &rows);
        let findings = proven.map(|kept_out| &kept_out.findings[..]).unwrap_or_default();
        let findings: Vec<Vec<String>> = findings.iter().map(|finding| vec![finding.clone()]).collect();
        document.table(&[("difference", Cells::Text)], &findings);
        let Some(audit) = self.audit else { return };
        let shown = self.values == Values::Shown;
        let rejects: Vec<Vec<String>> = audit
            .rejects
            .iter()
            .map(|reject| {
                let table = plan.source.table(reject.table).name.clone();
                let mut row = vec![table, reject.key.clone(), reject.code.clone(), reject.reason.clone()];
                row.extend(shown.then(|| reject.values.clone()));
                row
            })
            .collect();
        let mut columns =
            vec![("table", Cells::Text), ("rejected row", Cells::Code), ("code", Cells::Text), ("reason", Cells::Text)];
        columns.extend(shown.then_some(("row", Cells::Code)));
        document.table(&columns, &rejects);
    }

    fn decided(&self, document: &mut Document) {
        let plan = self.plan;
        let hazards: Vec<Vec<String>> = plan
            .hazards()
            .iter()
            .map(|hazard| {
                vec![
                    hazard.code.to_owned(),
                    plan.source.table(hazard.table).name.clone(),
                    hazard.message.clone(),
                    hazard.help.clone(),
                ]
            })
            .collect();
        if !hazards.is_empty() {
            document.heading("Hazards accepted");
            let columns =
                [("hazard", Cells::Text), ("table", Cells::Text), ("what", Cells::Text), ("what to do", Cells::Text)];
            document.table(&columns, &hazards);
        }
        document.heading("Decided");
        let decisions: Vec<Vec<String>> = plan
            .decisions
            .iter()
            .map(|decision| {
                vec![
                    plan.source.table(decision.table).name.clone(),
                    object_name(&decision.about),
                    decision.choice.clone(),
                    origin_text(&decision.origin, self.sources),
                ]
            })
            .collect();
        let columns =
            [("table", Cells::Text), ("object", Cells::Text), ("choice", Cells::Code), ("because", Cells::Text)];
        document.table(&columns, &decisions);
        document.heading("Converted");
        let columns = [
            ("table", Cells::Text),
            ("column", Cells::Text),
            ("SQLite", Cells::Code),
            ("PostgreSQL", Cells::Code),
            ("read as", Cells::Code),
        ];
        document.table(&columns, &self.conversions().into_iter().map(Vec::from).collect::<Vec<_>>());
    }

    /// Lists table, column, declared type, PostgreSQL's type, and what the spec says of reading it, of everything that rows
    /// are written to.
    fn conversions(&self) -> Vec<[String; 5]> {
        let (plan, target) = (self.plan, &self.plan.rewritten.target);
        let mut conversions = Vec::new();
        for id in target.table_ids() {
            let table = target.table(id);
            for &column in &table.columns {
                let described = target.column(column);
                let from = match plan.rewritten.values[column.index()] {
                    ColumnValue::Source(from) => plan.source.column(from).data_type.0.clone(),
                    ColumnValue::TenantId(from) => format!("{}, a tenant's id", plan.source.column(from).data_type.0),
                    ColumnValue::Tenant => "the row's tenant".to_owned(),
                    ColumnValue::ReferenceTenant(_) => "the tenant of the row referred to".to_owned(),
                    ColumnValue::Generated(_) => "computed by PostgreSQL".to_owned(),
                };
                let read = match plan.rewritten.values[column.index()] {
                    ColumnValue::Source(from) => {
                        plan.tenancy.table(plan.source.column(from).table).conversion(from).map(Conversion::words)
                    }
                    _ => None,
                };
                let to = described.data_type.to_string();
                conversions.push([table.name.clone(), described.name.clone(), from, to, read.unwrap_or_default()]);
            }
        }
        conversions
    }
}

fn account_row(table: &str, counts: [u64; 5], reasons: &BTreeMap<String, u64>) -> Vec<String> {
    let reasons: Vec<String> = reasons.iter().map(|(code, rows)| format!("{code}: {rows}")).collect();
    let counts = counts.iter().map(u64::to_string);
    std::iter::once(table.to_owned()).chain(counts).chain([reasons.join(", ")]).collect()
}

fn schema(differences: &[String], uncompared: &[String], document: &mut Document) {
    document.heading("Schema and isolation");
    match differences {
        [] => document.paragraph("note", "As planned."),
        differences => {
            let rows: Vec<Vec<String>> = differences.iter().map(|difference| vec![difference.clone()]).collect();
            document.table(&[("difference", Cells::Text)], &rows);
        }
    }
    for what in uncompared {
        document.paragraph("note", &format!("Not compared: {what}"));
    }
}

fn sums_json(found: &Verification) -> Value {
    let tables: Vec<Value> = found
        .tables
        .iter()
        .map(|table| {
            let tenants: Vec<Value> = table
                .sums
                .iter()
                .map(|sum| {
                    json!({
                        "tenant": sum.tenant,
                        "source_rows": sum.source_rows,
                        "target_rows": sum.target_rows,
                        "source_sum": hex(sum.source_sum),
                        "target_sum": hex(sum.target_sum),
                    })
                })
                .collect();
            json!({ "table": table.table, "tenants": tenants })
        })
        .collect();
    json!({ "key": found.sum_key, "tables": tables })
}

/// Writes a sum of hashes.
pub(super) fn hex(sum: u128) -> String {
    format!("{sum:032x}")
}
