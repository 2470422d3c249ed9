//! Audits as people and machines read them.

use super::counted::counted;
use super::json::SCHEMA_VERSION;
use crate::copy::{Account, Audit, Finding, Reject};
use crate::ident::visible;
use crate::plan::Plan;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many findings the text shows: a screen's worth.
const SHOWN: usize = 12;

/// Whether a report shows values of rows beside their shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Keys and shapes only.
    Hidden,
    /// The first value of each finding, too.
    Shown,
}

/// Writes an audit without values: what is wrong, most important first, and how much was read.
pub fn audit_text(plan: &Plan, audit: &Audit) -> String {
    audit_text_with(plan, audit, Values::Hidden)
}

/// Writes an audit: what is wrong, most important first, and how much was read.
pub fn audit_text_with(plan: &Plan, audit: &Audit, values: Values) -> String {
    let mut text = String::new();
    for finding in audit.findings.iter().take(SHOWN) {
        text.push_str(&finding_text(plan, finding, values));
    }
    if let Some(rest) = audit.findings.get(SHOWN..).filter(|rest| !rest.is_empty()) {
        let rows: u64 = rest.iter().map(|finding| finding.rows).sum();
        let (more, rows) = (counted(rest.len(), "more finding"), counted(rows, "row"));
        text.push_str(&format!("and {more} about {rows}: --format json lists them all\n"));
    }
    for warning in audit.warnings.iter().take(SHOWN) {
        text.push_str(&format!("warning: {}", finding_text(plan, warning, values)));
    }
    for sentence in audit.unjudged.iter().take(SHOWN) {
        text.push_str(&format!("not judged: {}\n", visible(sentence)));
    }
    text.push_str(&accounts_text(plan, &audit.accounts));
    let rows: u64 = audit.tables.iter().map(|(_, rows)| rows).sum();
    let outcome = match audit.findings.len() {
        0 => "nothing is wrong".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    let (rows, tables) = (counted(rows, "row"), counted(audit.tables.len(), "table"));
    text.push_str(&format!("{outcome}: {rows} of {tables}, {}\n", counted(audit.tenants, "tenant")));
    text
}

/// Writes what was kept out of each table; the accounts close.
pub(super) fn accounts_text(plan: &Plan, accounts: &[Account]) -> String {
    let touched = accounts.iter().filter(|account| account.left_out + account.rejected + account.cleared > 0);
    touched
        .map(|account| {
            let Account { source_rows, left_out, rejected, cleared, .. } = account;
            let name = visible(&plan.source.table(account.table).name);
            let cleared =
                if *cleared > 0 { format!("; {} cleared", counted(*cleared, "reference")) } else { String::new() };
            let moved = source_rows - left_out - rejected;
            let reasons = reasons_text(&account.reasons);
            let source_rows = counted(*source_rows, "row");
            format!(
                "{name}: {source_rows} = {moved} moved + {rejected} rejected{reasons} + {left_out} left out{cleared}\n"
            )
        })
        .collect()
}

/// Writes rejected rows by their codes: ` (orphan 2, unfit-value 1)`; nothing where there are none.
pub(super) fn reasons_text(reasons: &BTreeMap<String, u64>) -> String {
    let reasons: Vec<String> = reasons.iter().map(|(code, rows)| format!("{code} {rows}")).collect();
    if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) }
}

pub(super) fn accounts_json(plan: &Plan, accounts: &[Account]) -> Vec<Value> {
    let account = |account: &Account| {
        json!({
            "table": plan.source.table(account.table).name,
            "source_rows": account.source_rows,
            "rejected": account.rejected,
            "left_out": account.left_out,
            "references_cleared": account.cleared,
            "max_rejects": account.limit,
            "reasons": account.reasons,
        })
    };
    accounts.iter().map(account).collect()
}

/// Writes rejected rows, a line of JSON each.
pub fn rejects_text(plan: &Plan, rejects: &[Reject]) -> String {
    let line = |reject: &Reject| {
        let table = json!(plan.source.table(reject.table).name);
        let (key, code, reason) = (json!(reject.key), json!(reject.code), json!(reject.reason));
        format!("{{\"table\":{table},\"key\":{key},\"code\":{code},\"reason\":{reason},\"row\":{}}}\n", reject.values)
    };
    rejects.iter().map(line).collect()
}

fn finding_text(plan: &Plan, finding: &Finding, values: Values) -> String {
    let code = match finding.problem {
        Some(problem) => format!("{} ({problem})", finding.code),
        None => finding.code.to_owned(),
    };
    let rows = counted(finding.rows, "row");
    let mut text = format!(
        "{code}: {rows} of {}: {}\n  {}\n",
        visible(&plan.source.table(finding.table).name),
        visible(&finding.reason),
        visible(&finding.place)
    );
    if let Some(shape) = &finding.shape {
        let encoding = finding.encoding.map(|encoding| format!(", probably {}", encoding.name())).unwrap_or_default();
        text.push_str(&format!("  looks like: {}{encoding}\n", visible(shape)));
    }
    if let (Some(value), Values::Shown) = (&finding.value, values) {
        text.push_str(&format!("  value: {}\n", visible(value)));
    }
    text.push_str(&format!("  first: {}\n", visible(&finding.keys.join("; "))));
    if let Some(suggestion) = &finding.suggestion {
        text.push_str(&format!("  decide: {}\n", visible(&suggestion.line())));
    }
    text
}

/// Writes an audit as JSON.
pub fn audit_json(plan: &Plan, audit: &Audit, values: Values) -> Value {
    let findings = |findings: &[Finding]| -> Vec<Value> {
        findings.iter().map(|finding| finding_json(plan, finding, values)).collect()
    };
    let tables: Vec<Value> = audit
        .tables
        .iter()
        .map(|&(table, rows)| json!({ "table": plan.source.table(table).name, "rows": rows }))
        .collect();
    json!({
        "schema_version": SCHEMA_VERSION,
        "tenants": audit.tenants,
        "accounts": accounts_json(plan, &audit.accounts),
        "rejects": audit.rejects.iter().map(|reject| reject_json(plan, reject, values)).collect::<Vec<_>>(),
        "tables": tables,
        "findings": findings(&audit.findings),
        "warnings": findings(&audit.warnings),
        "unjudged": audit.unjudged,
    })
}

/// Writes a rejected row; what it holds only for those who ask for values.
fn reject_json(plan: &Plan, reject: &Reject, values: Values) -> Value {
    let mut json = json!({
        "table": plan.source.table(reject.table).name,
        "key": reject.key,
        "code": reject.code,
        "reason": reject.reason,
    });
    if values == Values::Shown {
        json["row"] = serde_json::from_str(&reject.values).unwrap_or(Value::Null);
    }
    json
}

fn finding_json(plan: &Plan, finding: &Finding, values: Values) -> Value {
    let mut json = json!({
        "code": finding.code,
        "problem": finding.problem,
        "table": plan.source.table(finding.table).name,
        "place": finding.place,
        "reason": finding.reason,
        "rows": finding.rows,
        "keys": finding.keys,
        "shape": finding.shape,
        "encoding": finding.encoding.map(|encoding| encoding.name()),
        "suggestion": finding.suggestion.as_ref().map(|suggestion| suggestion.line()),
    });
    if values == Values::Shown {
        json["value"] = json!(finding.value);
    }
    json
}
