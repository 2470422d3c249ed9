//! Findings by kind and place: counted, with the keys of the first rows and the shape of an example.

use super::super::settle::{Account, Reject};
use super::checks::SourceCheck;
use super::duplicates::KeyWatch;
use super::index_rows::IndexRows;
use super::spellings::Spelling;
use super::suggestion::{self, Suggestion};
use crate::diagnostic::Diagnostic;
use crate::ident::quote_always;
use crate::plan::Plan;
use crate::remap::{DateEncoding, Fault, FaultKind, Misfit, shape};
use crate::schema::{ColumnId, ForeignKeyId, PgType, TableId, Value};
use crate::sqlite::Database;
use std::collections::BTreeMap;

/// One thing that is wrong with some rows of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable kebab-case code.
    pub code: &'static str,
    /// For a value that does not fit, the code of what is the matter with it.
    pub problem: Option<&'static str>,
    /// The source table.
    pub table: TableId,
    /// The column, foreign key or path concerned.
    pub place: String,
    /// What is wrong, as a fragment.
    pub reason: String,
    /// How many rows.
    pub rows: u64,
    /// The keys of the first of them.
    pub keys: Vec<String>,
    /// What the first value looks like.
    pub shape: Option<String>,
    /// The first value itself, for those who ask for values.
    pub value: Option<String>,
    /// The encoding that the first value is probably in.
    pub encoding: Option<DateEncoding>,
    /// The line of the spec that would decide it.
    pub suggestion: Option<Suggestion>,
}

/// Whether a finding keeps rows from going through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It does.
    Stops,
    /// It may.
    Warns,
}

/// How many keys a finding names.
pub(super) const KEYS_SHOWN: usize = 5;

/// How many bytes of a value are kept for those who ask for values.
const VALUE_SHOWN: usize = 200;

/// What findings are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Fault(FaultKind, Detail),
    Check(String),
    Duplicate(String),
    SharedDiffers,
    IndexRow(String),
    Spelling(ForeignKeyId),
}

/// Tells faults of one kind apart: by what is the matter with a value, or by the reason.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    Misfit(Misfit, Option<DateEncoding>),
    Reason(String),
}

/// What has been found so far.
pub(super) struct Findings<'p> {
    plan: &'p Plan,
    found: BTreeMap<(TableId, Kind), Finding>,
}

impl<'p> Findings<'p> {
    pub fn new(plan: &'p Plan) -> Self {
        Self { plan, found: BTreeMap::new() }
    }

    /// Counts a fault; `value` is the one that does not fit, with the target column that does not take it.
    pub fn fault(
        &mut self,
        table: TableId,
        fault: Fault,
        value: Option<(&Value<'_>, Option<ColumnId>)>,
        key: impl FnOnce() -> String,
    ) {
        let Fault { kind, reason } = fault;
        let data_type =
            value.and_then(|(_, column)| column).map(|column| self.plan.rewritten.target.column(column).data_type);
        let looked_at = value.zip(data_type).map(|((value, _), data_type)| {
            let misfit = Misfit::of(value, data_type);
            let is_date = matches!(data_type, PgType::Date | PgType::Time | PgType::Timestamp | PgType::Timestamptz);
            (misfit, DateEncoding::guess(value).filter(|_| is_date))
        });
        let detail = match looked_at {
            Some((misfit, encoding)) => Detail::Misfit(misfit, encoding),
            None => Detail::Reason(reason.clone()),
        };
        let plan = self.plan;
        let found = self.entry(table, Kind::Fault(kind, detail), key, || Finding {
            problem: looked_at.map(|(misfit, _)| misfit.code()),
            shape: looked_at.and(value).map(|(value, _)| shape(value)),
            value: looked_at.and(value).map(|(value, _)| shown(value)),
            encoding: looked_at.and_then(|(_, encoding)| encoding),
            suggestion: None,
            ..Finding::new(kind.code(), table, place(plan, table, kind), reason)
        });
        if found.rows == 1 {
            let value = value.map(|(value, _)| value);
            found.suggestion = suggestion::of_fault(plan, table, kind, looked_at.zip(value), data_type);
        }
    }

    /// Counts a row that breaks a CHECK.
    pub fn check(&mut self, check: &SourceCheck, table: TableId, key: impl FnOnce() -> String) {
        let plan = self.plan;
        self.entry(table, Kind::Check(check.name.clone()), key, || {
            let name = &plan.source.table(table).name;
            let reason = "breaks a CHECK, which SQLite did not look at when the row was stored".to_owned();
            Finding {
                suggestion: Some(Suggestion::at(name, &["checks", &check.name], "omit")),
                ..Finding::new("check-violated", table, format!("{name}: {}", check.name), reason)
            }
        });
    }

    /// Counts a row that finds its parent in SQLite only.
    pub fn spelling(&mut self, spelling: &Spelling, table: TableId, key: impl FnOnce() -> String) {
        let plan = self.plan;
        self.entry(table, Kind::Spelling(spelling.foreign_key), key, || Finding {
            suggestion: suggestion::of_spelling(plan, spelling),
            ..Finding::new(
                "other-spelling",
                table,
                plan.reference_text(spelling.foreign_key),
                "spells its reference in another way than the row it refers to, which PostgreSQL does not take for the same"
                    .to_owned(),
            )
        });
    }

    /// Counts a row whose key another row has, too.
    pub fn duplicate(&mut self, watch: &KeyWatch, table: TableId, key: impl FnOnce() -> String) {
        let plan = self.plan;
        self.entry(table, Kind::Duplicate(watch.place.clone()), key, || {
            let name = &plan.source.table(table).name;
            let reason = match watch.respelled {
                Some(column) => format!(
                    "has the same key as another row as soon as {} is {}",
                    plan.source.column(column).name,
                    plan.rewritten
                        .target
                        .columns
                        .iter()
                        .enumerate()
                        .find_map(|(position, target)| {
                            let from = plan.rewritten.values[position];
                            (from == crate::rewrite::ColumnValue::Source(column)).then(|| target.data_type.to_string())
                        })
                        .unwrap_or_default()
                ),
                None => "has the same key as another row".to_owned(),
            };
            Finding {
                suggestion: suggestion::of_duplicate(plan, table, watch),
                ..Finding::new("duplicate-key", table, format!("{name}: {}", watch.place), reason)
            }
        });
    }

    /// Counts a row whose key a row of another file has, too; the key is one without the tenant.
    pub fn duplicate_across(&mut self, watch: &KeyWatch, table: TableId, key: impl FnOnce() -> String) {
        let plan = self.plan;
        self.entry(table, Kind::Duplicate(watch.place.clone()), key, || {
            let name = &plan.source.table(table).name;
            let reason = "has the same key as a row of another file, and the key does not hold the tenant".to_owned();
            Finding {
                suggestion: suggestion::of_duplicate(plan, table, watch),
                ..Finding::new("duplicate-key", table, format!("{name}: {}", watch.place), reason)
            }
        });
    }

    /// Counts a shared row that differs from that of another file under the same key.
    pub fn shared_differs(&mut self, table: TableId, key: impl FnOnce() -> String) {
        let plan = self.plan;
        self.entry(table, Kind::SharedDiffers, key, || {
            let name = plan.source.table(table).name.clone();
            let reason = "is shared, and two files have different rows under one key".to_owned();
            Finding::new("shared-differs", table, name, reason)
        });
    }

    /// Counts a row that an index may have no room for.
    pub fn long_index_row(&mut self, index: &IndexRows, table: TableId, key: impl FnOnce() -> String) {
        let plan = self.plan;
        self.entry(table, Kind::IndexRow(index.name.clone()), key, || {
            let name = &plan.source.table(table).name;
            let reason =
                "takes more than the 2704 bytes that a B-tree has for a row, unless PostgreSQL can compress it"
                    .to_owned();
            Finding {
                suggestion: suggestion::of_index(plan, table, &index.name),
                ..Finding::new("index-row-long", table, format!("{name}: {}", index.name), reason)
            }
        });
    }

    fn entry(
        &mut self,
        table: TableId,
        kind: Kind,
        key: impl FnOnce() -> String,
        new: impl FnOnce() -> Finding,
    ) -> &mut Finding {
        let found = self.found.entry((table, kind)).or_insert_with(new);
        found.rows += 1;
        if found.keys.len() < KEYS_SHOWN {
            let key = key();
            // Copies of one row have one key.
            if found.keys.last() != Some(&key) {
                found.keys.push(key);
            }
        }
        found
    }

    /// Adds what was found in other tables.
    pub fn append(&mut self, others: Self) {
        self.found.extend(others.found);
    }

    /// Looks at columns that seem to hold numbers for dates: where other rows say something else, one way of reading them is
    /// not enough.
    fn look_for_mixtures(&mut self, database: &Database) -> Result<(), Diagnostic> {
        let plan = self.plan;
        for ((table, kind), finding) in &mut self.found {
            let Kind::Fault(FaultKind::Unfit(column), Detail::Misfit(misfit, Some(_))) = kind else { continue };
            if !matches!(misfit, Misfit::DateNumber | Misfit::DateUnreadable) {
                continue;
            }
            let (name, of) = (&plan.source.column(*column).name, &plan.source.table(*table).name);
            let sql = format!("SELECT count({}) FROM main.{}", quote_always(name), quote_always(of));
            if database.query_integer(&sql, &[])?.unsigned_abs() > finding.rows {
                let mixed = suggestion::of_mixed(plan, *table, *column);
                finding.suggestion = mixed.or(finding.suggestion.take());
            }
        }
        Ok(())
    }

    /// Returns what stops rows and what may, each by importance and then by number.
    ///
    /// # Errors
    /// Those of SQLite, which is asked what else columns hold.
    pub fn finish(mut self, database: &Database) -> Result<(Vec<Finding>, Vec<Finding>), Diagnostic> {
        self.look_for_mixtures(database)?;
        let mut found = self.into_findings();
        found.sort_by_key(|finding| (rank(finding.code), std::cmp::Reverse(finding.rows)));
        Ok(found.into_iter().partition(|finding| finding.severity() == Severity::Stops))
    }

    /// Returns what has been found, by table.
    pub fn into_findings(self) -> Vec<Finding> {
        self.found.into_values().collect()
    }
}

/// Builds the finding that more rows of a table are rejected than the spec allows.
pub(super) fn too_many_rejects(plan: &Plan, account: &Account, rejects: &[Reject]) -> Finding {
    let limit = account.limit.unwrap_or_default();
    let reason = format!("are rejected, and the spec allows {limit}");
    let keys = rejects.iter().filter(|reject| reject.table == account.table).take(KEYS_SHOWN);
    Finding {
        rows: account.rejected,
        keys: keys.map(|reject| reject.key.clone()).collect(),
        ..Finding::new("too-many-rejects", account.table, plan.source.table(account.table).name.clone(), reason)
    }
}

impl Finding {
    fn new(code: &'static str, table: TableId, place: String, reason: String) -> Self {
        Self {
            code,
            problem: None,
            table,
            place,
            reason,
            rows: 0,
            keys: Vec::new(),
            shape: None,
            value: None,
            encoding: None,
            suggestion: None,
        }
    }

    /// Says whether it keeps rows from going through.
    pub fn severity(&self) -> Severity {
        if self.code == "index-row-long" { Severity::Warns } else { Severity::Stops }
    }
}

/// What puts rows into the wrong hands comes first, then what is lost, then what does not fit.
pub(super) fn rank(code: &str) -> usize {
    const ORDER: &[&str] = &[
        "tenant-conflict",
        "several-tenants",
        "unknown-tenant",
        "unmapped-tenant",
        "no-case",
        "no-tenant",
        "orphan",
        "shared-differs",
        "other-spelling",
        "duplicate-key",
        "null-value",
        "unfit-value",
        "check-violated",
        "index-row-long",
    ];
    ORDER.iter().position(|known| *known == code).unwrap_or(ORDER.len())
}

/// Writes the beginning of a value.
fn shown(value: &Value<'_>) -> String {
    let text = match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => String::from_utf8_lossy(&text[..text.len().min(VALUE_SHOWN)]).into_owned(),
        Value::Blob(bytes) => bytes.iter().take(VALUE_SHOWN / 2).map(|byte| format!("{byte:02x}")).collect(),
    };
    crate::ident::visible(&text).into_owned()
}

/// Names what a fault is about: a column, or the way a foreign key leads beside the way to the row's tenant.
pub(in crate::copy) fn place(plan: &Plan, table: TableId, kind: FaultKind) -> String {
    let name = &plan.source.table(table).name;
    match kind {
        FaultKind::Unfit(column)
        | FaultKind::Null(column)
        | FaultKind::CaseOrphan(column)
        | FaultKind::NoCase(column)
        | FaultKind::Unmapped(column) => format!("{name}.{}", plan.source.column(column).name),
        FaultKind::Orphan(foreign_key) => plan.reference_text(foreign_key),
        FaultKind::Conflict(foreign_key) => {
            format!("{} says another tenant than {}", plan.path_through(foreign_key), plan.tenant_path(table))
        }
        FaultKind::ColumnConflict(column) => {
            format!("{name}.{} says another tenant than {}", plan.source.column(column).name, plan.tenant_path(table))
        }
        FaultKind::NoTenant | FaultKind::UnknownTenant | FaultKind::SeveralTenants => plan.tenant_path(table),
    }
}
