//! What an application's queries see of other tenants, as text and JSON.

use super::counted::counted;
use super::json::SCHEMA_VERSION;
use crate::ident::{quote, visible};
use crate::leak::{LeakReport, QueryReport, Verdict};
use serde_json::{Value, json};

/// Writes a line a query, and below it what is to be done.
pub fn leak_text(report: &LeakReport) -> String {
    let rows = counted(report.rows, "row");
    let mut text = format!("run for the tenant {}, which has {rows}\n\n", visible(&report.tenant));
    for query in &report.queries {
        let word = match &query.verdict {
            Verdict::Isolated(_) => "ok",
            Verdict::Allowed(_) => "allowed",
            Verdict::Leaks { .. } => "LEAKS",
            Verdict::Unjudged(_) => "unknown",
            _ => "refused",
        };
        text.push_str(&format!("{word:<8}line {:<4} {}\n", query.line, named(query)));
        for line in sentences(&query.verdict) {
            text.push_str(&format!("        {line}\n"));
        }
    }
    let count = report.queries.len();
    text.push_str(&match report.findings() {
        0 => format!("\n{count} queries, none sees another tenant's rows\n"),
        findings => format!("\n{count} queries, something is to be done about {findings}\n"),
    });
    text
}

fn named(query: &QueryReport) -> String {
    query.name.as_deref().map(|name| visible(name).into_owned()).unwrap_or_default()
}

fn predicate((table, column): &(String, String)) -> String {
    format!("{}.{}", visible(&quote(table)), visible(&quote(column)))
}

/// Says what was found, a sentence a line.
fn sentences(verdict: &Verdict) -> Vec<String> {
    match verdict {
        Verdict::Isolated(_) => Vec::new(),
        Verdict::Allowed(reason) => vec![format!("sees all tenants: {}", visible(reason))],
        Verdict::Leaks { tables, together, alone, among_others } => {
            let names: Vec<String> = tables.iter().map(|(table, _)| visible(table).into_owned()).collect();
            let predicates: Vec<String> =
                tables.iter().map(|table| format!("{} = :tenant", predicate(table))).collect();
            let mut lines = vec![match among_others {
                Some(count) if count != alone => {
                    format!("{} for the tenant alone, {count} once another tenant has the same", counted(*alone, "row"))
                }
                Some(_) if *alone == 1 => "its one row depends on what other tenants have".to_owned(),
                Some(_) => format!("its {alone} rows depend on what other tenants have"),
                None => "fails once another tenant has the same rows".to_owned(),
            }];
            lines.push(if *together {
                format!(
                    "nothing names the tenant of {}: one of these is missing: {}",
                    names.join(", "),
                    predicates.join(", ")
                )
            } else {
                format!(
                    "sees others' rows of {}: {} is missing, or the like in its join",
                    names.join(", "),
                    predicates.join(" and ")
                )
            });
            lines
        }
        Verdict::TenantNotNamed { table, column } => {
            vec![format!(
                "inserts without saying whose it is: {} is missing",
                predicate(&(table.clone(), column.clone()))
            )]
        }
        Verdict::NoSuchKey { tables } => {
            let mut lines =
                vec!["ON CONFLICT names no key that there is; an upsert has to name one of these:".to_owned()];
            for (table, keys) in tables {
                let keys: Vec<String> = keys.iter().map(|key| format!("({})", key.join(", "))).collect();
                lines.push(format!("{}: {}", visible(table), visible(&keys.join(", "))));
            }
            lines
        }
        Verdict::Refused(message) => vec![visible(message).into_owned()],
        Verdict::Unjudged(reason) => vec![(*reason).to_owned()],
    }
}

/// Writes the same as JSON.
pub fn leak_json(report: &LeakReport) -> Value {
    let queries: Vec<Value> = report
        .queries
        .iter()
        .map(|query| {
            let (verdict, tables) = match &query.verdict {
                Verdict::Isolated(_) => ("isolated", Vec::new()),
                Verdict::Allowed(_) => ("allowed", Vec::new()),
                Verdict::Leaks { tables, .. } => ("leaks", tables.iter().map(|(table, _)| table.clone()).collect()),
                Verdict::TenantNotNamed { table, .. } => ("tenant-not-named", vec![table.clone()]),
                Verdict::NoSuchKey { tables } => {
                    ("no-such-key", tables.iter().map(|(table, _)| table.clone()).collect())
                }
                Verdict::Refused(_) => ("refused", Vec::new()),
                Verdict::Unjudged(_) => ("unknown", Vec::new()),
            };
            json!({
                "name": query.name,
                "line": query.line,
                "verdict": verdict,
                "tables": tables,
                "message": sentences(&query.verdict).join("; "),
            })
        })
        .collect();
    json!({
        "schema_version": SCHEMA_VERSION,
        "tenant": report.tenant,
        "rows": report.rows,
        "findings": report.findings(),
        "queries": queries,
    })
}
