//! The proof as people and machines read it.

use super::audit::reasons_text;
use super::counted::{counted, counted_that};
use super::json::SCHEMA_VERSION;
use crate::ident::visible;
use crate::verify::{
    CatalogProof, ForeignKeyProof, ForeignKeyViolationKind, KeptOutProof, KeyPart, RowDifference, RowDifferenceKind,
    SequenceProof, SinceRun, TableKeptOut, TableProof, Verification,
};
use serde_json::{Value, json};

/// Writes a verification: a line a table, and every difference below its table.
pub fn verification_text(verification: &Verification) -> String {
    let width = verification.tables.iter().map(|table| visible(&table.table).chars().count()).max().unwrap_or(0).max(5);
    let mut text = format!(
        "{:<width$}  {:>12}  {:>12}  {:>8}  {:>12}\n",
        "table", "source rows", "target rows", "tenants", "foreign keys"
    );
    for table in &verification.tables {
        let keys: Vec<&ForeignKeyProof> =
            verification.foreign_keys.iter().filter(|key| key.table == table.table).collect();
        let proven = table.is_proven() && keys.iter().all(|key| key.is_proven());
        text.push_str(&format!(
            "{:<width$}  {:>12}  {:>12}  {:>8}  {:>12}  {}\n",
            visible(&table.table),
            table.source_rows,
            table.target_rows,
            table.tenants,
            keys.len(),
            if proven { "verified" } else { "DIFFERS" }
        ));
        table_differences(table, &mut text);
        for key in keys {
            foreign_key_differences(key, &mut text);
        }
    }
    schema_differences(&verification.sequences, &verification.catalog, &mut text);
    text.push_str(&not_compared(&verification.uncompared));
    text.push_str(&kept_out_findings(&verification.kept_out));
    text.push_str(&format!(
        "{}: {}, {}, {}\n",
        if verification.is_proven() { "proven" } else { "NOT proven" },
        counted(verification.tables.len(), "table"),
        counted(verification.foreign_keys.len(), "foreign key"),
        counted(verification.sequences.len(), "sequence")
    ));
    text.push_str(&kept_out_accounts(&verification.kept_out));
    text
}

fn kept_out_findings(kept_out: &KeptOutProof) -> String {
    let mut text: String =
        kept_out.findings.iter().map(|finding| format!("kept out: {}\n", visible(finding))).collect();
    if let Some(reason) = &kept_out.unrecorded {
        text.push_str(&format!("rejected rows were not compared with a record of them: {}\n", visible(reason)));
    }
    text
}

/// Writes what the spec keeps out of each table, as the proof has found it; the accounts close.
fn kept_out_accounts(kept_out: &KeptOutProof) -> String {
    let touched = |table: &&TableKeptOut| table.rejected + table.left_out + table.references_cleared > 0;
    let account = |table: &TableKeptOut| {
        let TableKeptOut { source_rows, moved, rejected, left_out, references_cleared: cleared, .. } = table;
        let cleared =
            if *cleared > 0 { format!("; {} cleared", counted(*cleared, "reference")) } else { String::new() };
        format!(
            "{}: {} = {moved} moved + {rejected} rejected{} + {left_out} left out{cleared}\n",
            visible(&table.table),
            counted(*source_rows, "row"),
            reasons_text(&table.reasons)
        )
    };
    kept_out.tables.iter().filter(touched).map(account).collect()
}

fn schema_differences(sequences: &[SequenceProof], catalog: &[String], text: &mut String) {
    for sequence in sequences.iter().filter(|sequence| !sequence.is_proven()) {
        let next = sequence.next.map_or_else(|| "nothing: it has no sequence".to_owned(), |next| next.to_string());
        text.push_str(&format!(
            "sequence of {}.{}: gives out {next} next, and has to give out {} or more\n",
            visible(&sequence.table),
            visible(&sequence.column),
            sequence.least
        ));
    }
    for difference in catalog {
        text.push_str(&format!("schema: {}\n", visible(difference)));
    }
}

/// Writes what a comparison had to leave out: it claims nothing of that.
fn not_compared(uncompared: &[String]) -> String {
    uncompared.iter().map(|what| format!("not compared: {}\n", visible(what))).collect()
}

/// Writes what has become of a run's rows: a line a table, and what is wrong.
pub fn since_text(since: &SinceRun) -> String {
    let width = since.tables.iter().map(|table| visible(&table.table).chars().count()).max().unwrap_or(0).max(5);
    let mut text =
        format!("{:<width$}  {:>12}  {:>12}  {:>12}  {:>12}\n", "table", "unchanged", "updated", "deleted", "new");
    let mut sums = [0_u64; 5];
    for table in &since.tables {
        let counts = [table.unchanged, table.updated, table.deleted, table.new, table.moved];
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        let [unchanged, updated, deleted, new, _] = counts;
        text.push_str(&format!(
            "{:<width$}  {unchanged:>12}  {updated:>12}  {deleted:>12}  {new:>12}\n",
            visible(&table.table)
        ));
        if let Some(obstacle) = &table.unread {
            text.push_str(&format!("    not compared: {}\n", visible(obstacle)));
        }
        if table.moved > 0 {
            let moved = counted_that(table.moved, "row", ["stands", "stand"]);
            text.push_str(&format!("    {moved} under another tenant with the same values\n"));
            table.moved_examples.iter().for_each(|row| text.push_str(&format!("    {}\n", row_text(row))));
        }
        for key in since.foreign_keys.iter().filter(|key| key.table == table.table) {
            foreign_key_differences(key, &mut text);
        }
    }
    schema_differences(&since.sequences, &since.catalog, &mut text);
    text.push_str(&not_compared(&since.uncompared));
    let [unchanged, updated, deleted, new, moved] = sums;
    text.push_str(&format!(
        "{}: {unchanged} rows unchanged and proven, {updated} updated, {deleted} deleted, {new} new since the run, {moved} under \
         another tenant\n",
        if since.is_sound() { "sound" } else { "NOT sound" }
    ));
    text
}

/// Writes what has become of a run's rows as JSON.
pub fn since_json(since: &SinceRun) -> Value {
    let mut value = json!({ "schema_version": SCHEMA_VERSION, "sound": since.is_sound() });
    value["since_run"] = serde_json::to_value(since).unwrap_or(Value::Null);
    value
}

/// Writes how a live schema differs from the plan.
pub fn catalog_text(found: &CatalogProof) -> String {
    let CatalogProof { differences, uncompared } = found;
    let mut text: String = differences.iter().map(|difference| format!("schema: {}\n", visible(difference))).collect();
    text.push_str(&not_compared(uncompared));
    text.push_str(&match differences.len() {
        0 => "the live schema is the plan's; its rows were not looked at\n".to_owned(),
        1 => "1 difference\n".to_owned(),
        count => format!("{count} differences\n"),
    });
    text
}

/// Writes how a live schema differs from the plan as JSON.
pub fn catalog_json(found: &CatalogProof) -> Value {
    let CatalogProof { differences, uncompared } = found;
    let same = differences.is_empty();
    json!({ "schema_version": SCHEMA_VERSION, "same": same, "differences": differences, "uncompared": uncompared })
}

/// Writes a verification as JSON.
pub fn verification_json(verification: &Verification) -> Value {
    let mut value = json!({ "schema_version": SCHEMA_VERSION, "proven": verification.is_proven() });
    // The proof is plain data, which always serialises; without it there would be no verification to report.
    value["verification"] = serde_json::to_value(verification).unwrap_or(Value::Null);
    value
}

fn table_differences(table: &TableProof, text: &mut String) {
    if let Some(obstacle) = &table.unread {
        text.push_str(&format!("    not compared: {}\n", visible(obstacle)));
    }
    for tenant in &table.tenant_examples {
        let whose = tenant.tenant.as_deref().map_or_else(|| "all".to_owned(), |id| format!("tenant {}", visible(id)));
        text.push_str(&format!(
            "    {whose}: {} in the source, {} in the target\n",
            counted(tenant.source_rows, "row"),
            tenant.target_rows
        ));
    }
    for row in &table.row_examples {
        text.push_str(&format!("    {}\n", row_text(row)));
    }
    let named = table.tenant_examples.len() as u64;
    if table.differing_tenants > named {
        let more = counted(table.differing_tenants - named, "more tenant");
        text.push_str(&format!("    and {more}\n"));
    }
}

fn row_text(row: &RowDifference) -> String {
    let what = match &row.kind {
        RowDifferenceKind::Missing => "is missing".to_owned(),
        RowDifferenceKind::Extra => "is not in the source".to_owned(),
        RowDifferenceKind::Doubled => "is there more often than in the source".to_owned(),
        RowDifferenceKind::Changed { columns } => format!("has other values in {}", visible(&columns.join(", "))),
        RowDifferenceKind::WrongTenant { found_in } => format!("stands under tenant {}", visible(found_in)),
    };
    let tenant = row.tenant.as_deref().map(|id| format!(" of tenant {}", visible(id))).unwrap_or_default();
    format!("row {}{tenant} {what}", key_text(&row.key))
}

fn foreign_key_differences(key: &ForeignKeyProof, text: &mut String) {
    if let Some(obstacle) = &key.unchecked {
        text.push_str(&format!("    {} not checked: {}\n", visible(&key.name), visible(obstacle)));
    }
    for violation in &key.violations {
        let what = match violation.kind {
            ForeignKeyViolationKind::Orphan => ["refers to no row", "refer to no row"],
            ForeignKeyViolationKind::OtherTenant => {
                ["refers to a row of another tenant", "refer to a row of another tenant"]
            }
            ForeignKeyViolationKind::HalfNull => {
                ["has only some of its columns NULL", "have only some of its columns NULL"]
            }
        };
        let keys: Vec<String> = violation.examples.iter().map(|key| key_text(key)).collect();
        let rows = counted_that(violation.rows, "row", what);
        text.push_str(&format!("    {}: {rows}: {}\n", visible(&key.name), keys.join("; ")));
    }
}

fn key_text(key: &[KeyPart]) -> String {
    key.iter().map(|part| format!("{}={}", visible(&part.column), visible(&part.value))).collect::<Vec<_>>().join(", ")
}
