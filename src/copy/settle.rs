//! Rows that the spec keeps out: settled in a copy of the snapshot before anything else reads it.
//!
//! What `keep` leaves out goes first. Then every row of a table with a policy is remapped as the copy will do it; what has a
//! fault that its policy rejects goes, and references that are to be cleared become NULL. Rows that refer to one that went go
//! with it. That changes what others find, so it is done again until nothing changes. What is left is audited, moved and
//! proven like any other database, and the accounts close: each row of the source is still there, or left out, or rejected.

use super::audit::place;
use super::rows::{SourceTable, learn_keys};
use crate::diagnostic::Diagnostic;
use crate::ident::{quote_always, visible};
use crate::plan::Plan;
use crate::remap::planted::planted;
use crate::remap::{Fault, FaultKind, Remapper, is_followed};
use crate::schema::{ColumnId, ForeignKeyId, TableId, Value};
use crate::spec::{Keep, OrphanPolicy, Placement, RowPolicies, RowPolicy};
use crate::sqlite::{Database, Editor, Snapshot, row_expression};
use crate::verify::{KeptOutProof, RecordedReject, keep_out};
use serde_json::json;
use std::collections::BTreeMap;

/// What became of the rows of a source.
#[derive(Debug, Default)]
pub struct Settled {
    /// The rows that are moved; `None` where that is all of them.
    copy: Option<Snapshot>,
    /// Each table's rows, in the order of the source.
    pub accounts: Vec<Account>,
    /// The rows that were rejected, in the order in which they were.
    pub rejects: Vec<Reject>,
}

/// What became of a table's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The source table.
    pub table: TableId,
    /// Rows in the source.
    pub source_rows: u64,
    /// Rows that `keep` leaves out, and those that refer to them.
    pub left_out: u64,
    /// Rows that were rejected, and those that refer to them.
    pub rejected: u64,
    /// References that were cleared, because they led nowhere.
    pub cleared: u64,
    /// How many rows the spec lets be rejected; `None` sets no limit.
    pub limit: Option<u64>,
    /// Rejected rows by the code of what is wrong with them.
    pub reasons: BTreeMap<String, u64>,
}

impl Account {
    /// Says whether more rows were rejected than the spec allows.
    pub fn is_overdrawn(&self) -> bool {
        self.limit.is_some_and(|limit| self.rejected > limit)
    }

    /// Adds what became of the rows of the same table in another file.
    fn add(&mut self, other: &Self) {
        self.source_rows += other.source_rows;
        self.left_out += other.left_out;
        self.rejected += other.rejected;
        self.cleared += other.cleared;
        for (code, rows) in &other.reasons {
            *self.reasons.entry(code.clone()).or_default() += rows;
        }
    }

    /// Adds up the accounts of several files, table by table.
    pub(super) fn sums<'s>(files: impl IntoIterator<Item = &'s Settled>) -> Vec<Self> {
        let mut sums: BTreeMap<TableId, Self> = BTreeMap::new();
        for account in files.into_iter().flat_map(|settled| &settled.accounts) {
            match sums.get_mut(&account.table) {
                Some(sum) => sum.add(account),
                None => drop(sums.insert(account.table, account.clone())),
            }
        }
        sums.into_values().collect()
    }
}

/// A row that was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The source table.
    pub table: TableId,
    /// The key that a person knows the row by.
    pub key: String,
    /// Stable kebab-case code of what is wrong.
    pub code: String,
    /// What is wrong, as a fragment.
    pub reason: String,
    /// The row's values by column, as a JSON object; blobs and texts that are not UTF-8 as `{"hex": …}`.
    pub values: String,
}

impl Settled {
    /// Returns what to move: the copy, or the snapshot where nothing was kept out.
    pub fn rows<'s>(&'s self, snapshot: &'s Snapshot) -> &'s Snapshot {
        self.copy.as_ref().unwrap_or(snapshot)
    }

    /// Compares it with what the proof keeps out by itself: row by row, reject by reject.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn prove(&self, plan: &Plan, snapshot: &Snapshot) -> Result<KeptOutProof, Diagnostic> {
        let kept_out = keep_out(plan, snapshot)?;
        let record = self.rejects.iter().map(|reject| RecordedReject {
            table: plan.source.table(reject.table).name.clone(),
            key: reject.key.clone(),
            code: reject.code.clone(),
        });
        let mut proof = kept_out.prove(plan, Ok(record.collect()));
        proof.findings.extend(kept_out.compare_rows(plan, snapshot, self.rows(snapshot))?);
        for (account, table) in self.accounts.iter().zip(&proof.tables) {
            let own = [account.source_rows, account.rejected, account.left_out, account.cleared];
            let theirs = [table.source_rows, table.rejected, table.left_out, table.references_cleared];
            if own != theirs {
                let [rows, rejected, left_out, cleared] = own;
                proof.findings.push(format!(
                    "{}: its account says {rejected} of {rows} rows rejected, {left_out} left out and {cleared} references \
                     cleared, and these are {}, {} and {}",
                    visible(&table.table),
                    table.rejected,
                    table.left_out,
                    table.references_cleared
                ));
            }
        }
        Ok(proof)
    }
}

/// Settles what becomes of each row of a snapshot.
///
/// # Errors
/// Those of SQLite, and `accounts-open` where the accounts do not close.
pub fn settle(plan: &Plan, snapshot: &Snapshot) -> Result<Settled, Diagnostic> {
    let tables: Vec<TableId> = plan
        .source
        .table_ids()
        .filter(|&table| plan.tenancy.table(table).placement != Placement::Omit && !plan.tenancy.is_created(table))
        .collect();
    let policies = |table: TableId| &plan.tenancy.table(table).rows;
    let is_decided = |table: &TableId| *policies(*table) != RowPolicies::default();
    if !tables.iter().any(is_decided) {
        return Ok(Settled::default());
    }
    let before = snapshot.open()?;
    let mut accounts = BTreeMap::new();
    for &table in &tables {
        let source_rows = count(plan, &before, table)?;
        let limit = policies(table).max_rejects;
        let reasons = BTreeMap::new();
        accounts.insert(table, Account { table, source_rows, left_out: 0, rejected: 0, cleared: 0, limit, reasons });
    }
    drop(before);
    let mut rejects = Vec::new();
    let copy = snapshot.edited(|editor| {
        let mut settling = Settling { plan, editor, tables: &tables, accounts: &mut accounts, rejects: &mut rejects };
        settling.run()
    })?;
    let after = copy.open()?;
    for account in accounts.values() {
        let left = count(plan, &after, account.table)?;
        if left + account.left_out + account.rejected != account.source_rows {
            return Err(Diagnostic::error(
                "accounts-open",
                format!(
                    "{}: of {} rows {left} are left, {} were left out and {} rejected",
                    visible(&plan.source.table(account.table).name),
                    account.source_rows,
                    account.left_out,
                    account.rejected
                ),
            )
            .help("report this, with the spec and the schema: nothing was moved"));
        }
    }
    drop(after);
    for reject in &rejects {
        if let Some(account) = accounts.get_mut(&reject.table) {
            *account.reasons.entry(reject.code.clone()).or_default() += 1;
        }
    }
    let changed = |account: &Account| account.left_out + account.rejected + account.cleared > 0;
    let copy = Some(copy).filter(|_| accounts.values().any(changed));
    Ok(Settled { copy, accounts: accounts.into_values().collect(), rejects })
}

fn count(plan: &Plan, database: &Database, table: TableId) -> Result<u64, Diagnostic> {
    let sql = format!("SELECT count(*) FROM {}", quote_always(&plan.source.table(table).name));
    Ok(database.query_integer(&sql, &[])?.unsigned_abs())
}

/// What is done with one row.
enum Verdict {
    Reject(Fault),
    Clear(Vec<ForeignKeyId>),
}

struct Settling<'s> {
    plan: &'s Plan,
    editor: &'s Editor,
    tables: &'s [TableId],
    accounts: &'s mut BTreeMap<TableId, Account>,
    rejects: &'s mut Vec<Reject>,
}

impl Settling<'_> {
    fn run(&mut self) -> Result<(), Diagnostic> {
        for &table in self.tables {
            let name = doomed(table);
            self.editor.execute_temp(&format!(
                "CREATE TEMP TABLE {name} (r PRIMARY KEY, rejected INTEGER, code TEXT, reason TEXT) WITHOUT ROWID;"
            ))?;
        }
        for &table in self.tables {
            self.leave_out(table)?;
        }
        self.take_out()?;
        loop {
            let (judged, cleared) = self.judge()?;
            if !judged {
                return Ok(());
            }
            if self.take_out()? + cleared == 0 {
                // Without this it would go on for ever.
                return Err(Diagnostic::error("accounts-open", "rows that are to be kept out stay where they are")
                    .help("report this, with the spec and the schema: nothing was moved"));
            }
        }
    }

    /// Marks the rows that `keep` leaves out.
    fn leave_out(&self, table: TableId) -> Result<(), Diagnostic> {
        let condition = match &self.plan.tenancy.table(table).rows.keep {
            Keep::All => return Ok(()),
            Keep::None => "1".to_owned(),
            Keep::Where(text) => {
                let kept = row_expression(&self.plan.source, table, text)?;
                planted!(KeepTurnedRound, format!("({kept}) IS NOT TRUE"), format!("({kept}) IS TRUE"))
            }
        };
        let row = self.locator_or_error(table)?;
        let name = quote_always(&self.plan.source.table(table).name);
        self.editor.execute_temp(&format!(
            "INSERT INTO temp.{} SELECT {row}, 0, '', '' FROM main.{name} WHERE {condition};",
            doomed(table)
        ))
    }

    /// Remaps the rows of all tables with policies, marks those to reject, and clears references; says whether there was
    /// anything to do.
    fn judge(&mut self) -> Result<(bool, u64), Diagnostic> {
        let plan = self.plan;
        let mut remapper = Remapper::new(plan);
        learn_keys(&mut remapper, plan, self.editor)?;
        let mut changed = 0;
        let mut judged = false;
        let mut cleared: BTreeMap<ForeignKeyId, Vec<String>> = BTreeMap::new();
        for target in plan.rewritten.target.table_ids() {
            let source = plan.rewritten.source_tables[target.index()];
            let policies = &plan.tenancy.table(source).rows;
            if !policies.decides_faults() || plan.tenancy.is_created(source) {
                continue;
            }
            let row = self.locator_or_error(source)?;
            let mut table = SourceTable::new(plan, &mut remapper, target)?;
            table.also_read([row]);
            let mut doomed_rows: Vec<String> = Vec::new();
            let (mut out, mut faults) = (Vec::new(), Vec::new());
            table.for_each::<Diagnostic>(self.editor, &mut |values, key| {
                out.clear();
                faults.clear();
                remapper.row(&table.pass, values, &mut out, &mut faults);
                let Some(row) = table.read_beside(key).first().and_then(literal) else { return Ok(()) };
                let verdict = verdict(plan, source, policies, &mut faults);
                match planted!(SoundRejected, verdict, verdict.or_else(mistaken)) {
                    None => {}
                    Some(Verdict::Reject(fault)) => {
                        let code = planted!(ReasonMistaken, fault.kind.code(), "several-tenants");
                        let reason = text(&format!("{}: {}", place(plan, source, fault.kind), fault.reason));
                        doomed_rows.push(format!("({row}, 1, '{code}', {reason})"));
                    }
                    Some(Verdict::Clear(references)) => {
                        references.into_iter().for_each(|id| cleared.entry(id).or_default().push(row.clone()));
                    }
                }
                Ok(())
            })?;
            judged |= !doomed_rows.is_empty();
            for rows in doomed_rows.chunks(500) {
                let sql = format!("INSERT OR IGNORE INTO temp.{} VALUES {};", doomed(source), rows.join(", "));
                self.editor.execute_temp(&sql)?;
            }
        }
        for (id, rows) in cleared {
            judged = true;
            for rows in rows.chunks(500) {
                changed += self.clear(id, &rows.join(", "))?;
            }
        }
        Ok((judged, changed))
    }

    /// Sets a foreign key of some rows to NULL; `rows` is what stands in `IN (…)`.
    fn clear(&mut self, id: ForeignKeyId, rows: &str) -> Result<u64, Diagnostic> {
        let foreign_key = self.plan.source.foreign_key(id);
        let table = foreign_key.table;
        let set: Vec<String> = self
            .plan
            .source
            .column_names(&clearable(self.plan, id))
            .map(|name| format!("{} = NULL", quote_always(name)))
            .collect();
        let name = quote_always(&self.plan.source.table(table).name);
        let row = self.locator_or_error(table)?;
        let condition = planted!(SoundCleared, format!("{row} IN ({rows})"), format!("{row} IN ({rows}) OR TRUE"));
        let cleared = self.editor.change(&format!("UPDATE main.{name} SET {} WHERE {condition}", set.join(", ")))?;
        if let Some(account) = self.accounts.get_mut(&table) {
            account.cleared += cleared;
        }
        Ok(cleared)
    }

    /// Marks what refers to marked rows, takes them all out, and returns how many there were.
    fn take_out(&mut self) -> Result<u64, Diagnostic> {
        while self.follow()? {}
        let mut all = 0;
        for &table in self.tables {
            if self.marked(table)? == 0 {
                continue;
            }
            let marked = doomed(table);
            let rejected_before = self.rejects.len() as u64;
            self.record(table)?;
            let rejected = self.rejects.len() as u64 - rejected_before;
            let name = quote_always(&self.plan.source.table(table).name);
            let row = self.locator_or_error(table)?;
            let gone =
                self.editor.change(&format!("DELETE FROM main.{name} WHERE {row} IN (SELECT r FROM temp.{marked})"))?;
            if let Some(account) = self.accounts.get_mut(&table) {
                account.rejected += rejected;
                account.left_out += gone.saturating_sub(rejected);
            }
            self.editor.execute_temp(&format!("DELETE FROM temp.{marked};"))?;
            all += gone;
        }
        Ok(all)
    }

    fn marked(&self, table: TableId) -> Result<i64, Diagnostic> {
        self.editor.query_integer(&format!("SELECT count(*) FROM temp.{}", doomed(table)), &[])
    }

    /// Marks the rows that refer to marked ones, or clears their references; says whether any were marked.
    fn follow(&mut self) -> Result<bool, Diagnostic> {
        let plan = self.plan;
        let mut any = false;
        for (position, foreign_key) in plan.source.foreign_keys.iter().enumerate() {
            let id = ForeignKeyId(position as u32);
            let (child, parent) = (foreign_key.table, foreign_key.referenced_table);
            let both = planted!(ReferrersStay, self.tables.contains(&child) && self.tables.contains(&parent), false);
            if !both || !is_followed(plan, id) || self.marked(parent)? == 0 {
                continue;
            }
            let (Some(of_parent), Some(of_child)) = (locator(plan, parent, "p."), locator(plan, child, "c.")) else {
                return Err(unlocated(plan, child));
            };
            let column =
                |alias: &str, id: &ColumnId| format!("{alias}.{}", quote_always(&plan.source.column(*id).name));
            // SQLite matches by the parent's affinity and collation.
            let matches: Vec<String> = foreign_key
                .columns
                .iter()
                .zip(&foreign_key.referenced_columns)
                .map(|(child, key)| format!("{} = +{}", column("p", key), column("c", child)))
                .collect();
            let from = format!(
                "FROM temp.{} AS d JOIN main.{} AS p ON {of_parent} = d.r JOIN main.{} AS c ON {}",
                doomed(parent),
                quote_always(&plan.source.table(parent).name),
                quote_always(&plan.source.table(child).name),
                matches.join(" AND ")
            );
            if plan.tenancy.table(child).rows.orphan == OrphanPolicy::SetNull && !clearable(plan, id).is_empty() {
                self.clear(id, &format!("SELECT {of_child} {from}"))?;
                continue;
            }
            let before = self.marked(child)?;
            let reason = text(&format!("{}: refers to a row that is rejected", plan.reference_text(id)));
            self.editor.execute_temp(&format!(
                "INSERT OR IGNORE INTO temp.{} SELECT {of_child}, {}, 'parent-rejected', {reason} {from};",
                doomed(child),
                planted!(LeftOutRejected, "d.rejected", "1")
            ))?;
            any |= self.marked(child)? > before;
        }
        Ok(any)
    }

    /// Remembers the rows of a table that are about to be rejected.
    fn record(&mut self, table: TableId) -> Result<(), Diagnostic> {
        let plan = self.plan;
        let described = plan.source.table(table);
        let row = locator(plan, table, "t.").ok_or_else(|| unlocated(plan, table))?;
        let key: Vec<ColumnId> =
            described.primary_key.map(|key| plan.source.key(key).columns.clone()).unwrap_or_default();
        let columns: Vec<String> =
            plan.source.column_names(&described.columns).map(|name| format!("t.{}", quote_always(name))).collect();
        let sql = format!(
            "SELECT d.code, d.reason, d.r, {} FROM temp.{} AS d JOIN main.{} AS t ON {row} = d.r WHERE d.rejected \
             ORDER BY d.r",
            columns.join(", "),
            doomed(table),
            quote_always(&described.name)
        );
        let rejects = &mut *self.rejects;
        self.editor.for_each_row::<Diagnostic>(&sql, &[], &mut |values| {
            let [code, reason, row, values @ ..] = values else { return Ok(()) };
            let named = described.columns.iter().zip(values);
            let of_key = named.clone().filter(|(column, _)| key.contains(column));
            let shown: Vec<String> = of_key
                .map(|(column, value)| format!("{}={}", plan.source.column(*column).name, plain(value)))
                .collect();
            let values: serde_json::Map<String, serde_json::Value> =
                named.map(|(column, value)| (plan.source.column(*column).name.clone(), as_json(value))).collect();
            rejects.push(Reject {
                table,
                key: if shown.is_empty() { format!("rowid={}", plain(row)) } else { shown.join(", ") },
                code: plain(code),
                reason: plain(reason),
                values: serde_json::Value::Object(values).to_string(),
            });
            Ok(())
        })
    }

    fn locator_or_error(&self, table: TableId) -> Result<String, Diagnostic> {
        locator(self.plan, table, "").ok_or_else(|| unlocated(self.plan, table))
    }
}

/// Judges a row by its faults: where one of them is not to be decided, the row stays for the audit to report.
fn verdict(plan: &Plan, table: TableId, policies: &RowPolicies, faults: &mut Vec<Fault>) -> Option<Verdict> {
    let mut rejected = None;
    let mut cleared = Vec::new();
    for fault in faults.drain(..) {
        let policy = match fault.kind {
            FaultKind::NoTenant | FaultKind::UnknownTenant | FaultKind::NoCase(_) => policies.no_tenant,
            FaultKind::Conflict(_) | FaultKind::ColumnConflict(_) | FaultKind::SeveralTenants => policies.conflict,
            FaultKind::Unfit(_) | FaultKind::Null(_) | FaultKind::Unmapped(_) => policies.unfit,
            FaultKind::Orphan(_) if planted!(OrphansKept, false, true) => continue,
            FaultKind::Orphan(id) => match policies.orphan {
                OrphanPolicy::Fail => RowPolicy::Fail,
                OrphanPolicy::Reject => RowPolicy::Reject,
                OrphanPolicy::SetNull
                    if plan.source.foreign_key(id).table == table && !clearable(plan, id).is_empty() =>
                {
                    cleared.push(id);
                    continue;
                }
                OrphanPolicy::SetNull => RowPolicy::Fail,
            },
            // What a polymorphic reference refers to is no foreign key that could be cleared.
            FaultKind::CaseOrphan(_) => match policies.orphan {
                OrphanPolicy::Reject => RowPolicy::Reject,
                OrphanPolicy::Fail | OrphanPolicy::SetNull => RowPolicy::Fail,
            },
        };
        match policy {
            RowPolicy::Fail => return None,
            RowPolicy::Reject => {
                rejected.get_or_insert(fault);
            }
        }
    }
    match rejected {
        Some(fault) => Some(Verdict::Reject(fault)),
        None if cleared.is_empty() => None,
        None => Some(Verdict::Clear(cleared)),
    }
}

/// What a test has said of a row that nothing is wrong with.
#[cfg(test)]
fn mistaken() -> Option<Verdict> {
    Some(Verdict::Reject(Fault { kind: FaultKind::NoTenant, reason: "a mistake of the test's".to_owned() }))
}

/// Lists the columns of a foreign key that clear it when they are NULL: those that say nothing else.
pub fn clearable(plan: &Plan, id: ForeignKeyId) -> Vec<ColumnId> {
    let foreign_key = plan.source.foreign_key(id);
    let table = plan.source.table(foreign_key.table);
    let key = table.primary_key.map(|key| &plan.source.key(key).columns[..]).unwrap_or_default();
    let others: Vec<ColumnId> = table
        .foreign_keys
        .iter()
        .filter(|&&other| other != id)
        .flat_map(|&other| plan.source.foreign_key(other).columns.clone())
        .collect();
    let tenant = plan.tenancy.tenant_column(&plan.source, foreign_key.table);
    let says_more = |column: &ColumnId| key.contains(column) || others.contains(column) || tenant == Some(*column);
    let takes_null = |column: &&ColumnId| !plan.source.column(**column).not_null;
    foreign_key.columns.iter().filter(takes_null).filter(|column| !says_more(column)).copied().collect()
}

fn doomed(table: TableId) -> String {
    format!("tenantry_doomed_{}", table.0)
}

/// Writes what a table's row is found by; `None` where nothing tells its rows apart.
fn locator(plan: &Plan, table: TableId, prefix: &str) -> Option<String> {
    let schema = &plan.source;
    let described = schema.table(table);
    // A column of that name hides the rowid.
    let rowid = ["rowid", "_rowid_", "oid"].into_iter().find(|name| schema.find_column(table, name).is_none());
    match (rowid, described.primary_key) {
        (Some(rowid), _) if !described.without_rowid => Some(format!("{prefix}{rowid}")),
        (_, Some(key)) => {
            let parts = schema.key(key).columns.iter();
            // `quote` would stop at a NUL character.
            let parts = parts.map(|&key| {
                let column = format!("{prefix}{}", quote_always(&schema.column(key).name));
                format!("typeof({column}) || hex({column})")
            });
            Some(parts.collect::<Vec<_>>().join(" || ',' || "))
        }
        _ => None,
    }
}

fn unlocated(plan: &Plan, table: TableId) -> Diagnostic {
    let name = visible(&plan.source.table(table).name);
    Diagnostic::error(
        "row-without-name",
        format!("nothing tells the rows of `{name}` apart, so that none can be kept out"),
    )
    .help(format!("leave `rows` out of `{name}`, or give the table a primary key"))
}

/// Writes a value of a locator as SQLite spells it.
fn literal(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Text(bytes) => Some(text(&String::from_utf8_lossy(bytes))),
        Value::Null | Value::Real(_) | Value::Blob(_) => None,
    }
}

fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn plain(value: &Value<'_>) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Blob(bytes) => format!("a blob of {} bytes", bytes.len()),
    }
}

fn as_json(value: &Value<'_>) -> serde_json::Value {
    let hex = |bytes: &[u8]| json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() });
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Integer(number) => json!(number),
        Value::Real(number) if number.is_finite() => json!(number),
        Value::Real(number) => json!(number.to_string()),
        Value::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => json!(text),
            Err(_) => hex(bytes),
        },
        Value::Blob(bytes) => hex(bytes),
    }
}
