//! What a verification found, as data.

use super::expressions::CatalogProof;
use super::kept_out::KeptOutProof;
use serde::Serialize;

/// How many examples are given of each finding.
pub(super) const EXAMPLES: usize = 10;

/// Everything that was compared, and every difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The rows of each table, in load order.
    pub tables: Vec<TableProof>,
    /// Each foreign key, in the order of the plan.
    pub foreign_keys: Vec<ForeignKeyProof>,
    /// Each identity column.
    pub sequences: Vec<SequenceProof>,
    /// How the live schema differs from the plan, one sentence a difference.
    pub catalog: Vec<String>,
    /// What of the live schema could not be compared, one sentence each; a proof does without it, and says so.
    pub uncompared: Vec<String>,
    /// What the spec keeps out, derived a second time.
    pub kept_out: KeptOutProof,
    /// The key of the sums, in hexadecimal: with it, who has the rows can form them again.
    #[serde(skip)]
    pub sum_key: String,
}

impl Verification {
    /// Takes in what the comparison of expressions found.
    pub fn add_expressions(&mut self, found: CatalogProof) {
        self.catalog.extend(found.differences);
        self.uncompared.extend(found.uncompared);
    }

    /// Says whether the target holds the source, with everything compared and nothing different.
    pub fn is_proven(&self) -> bool {
        self.catalog.is_empty()
            && self.kept_out.is_proven()
            && self.tables.iter().all(TableProof::is_proven)
            && self.foreign_keys.iter().all(ForeignKeyProof::is_proven)
            && self.sequences.iter().all(SequenceProof::is_proven)
    }
}

/// The comparison of one table's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableProof {
    /// The table's name in the target.
    pub table: String,
    /// Why its rows could not be compared, as a fragment.
    pub unread: Option<String>,
    /// Rows in the source.
    pub source_rows: u64,
    /// Rows in the target.
    pub target_rows: u64,
    /// Tenants that have rows on either side; 0 for a shared table.
    pub tenants: u64,
    /// Tenants whose rows differ; 1 for a shared table whose rows differ.
    pub differing_tenants: u64,
    /// The first of the tenants whose rows differ.
    pub tenant_examples: Vec<TenantDifference>,
    /// The first of the rows that differ.
    pub row_examples: Vec<RowDifference>,
    /// The rows of each tenant, ordered by its id; of a shared table all rows as one.
    #[serde(skip)]
    pub sums: Vec<TenantSum>,
}

/// The rows of one tenant in one table, reduced to their number and sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantSum {
    /// The tenant's id; `None` for a shared table.
    pub tenant: Option<String>,
    /// Its rows in the source.
    pub source_rows: u64,
    /// Its rows in the target.
    pub target_rows: u64,
    /// The sum of the hashes of its rows in the source.
    pub source_sum: u128,
    /// The sum of the hashes of its rows in the target.
    pub target_sum: u128,
}

impl TableProof {
    /// Says whether both sides were read and hold the same rows.
    pub fn is_proven(&self) -> bool {
        self.unread.is_none() && self.differing_tenants == 0 && self.source_rows == self.target_rows
    }
}

/// A tenant whose rows of a table differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantDifference {
    /// The tenant's id; `None` for a shared table.
    pub tenant: Option<String>,
    /// Its rows in the source.
    pub source_rows: u64,
    /// Its rows in the target.
    pub target_rows: u64,
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowDifference {
    /// The tenant that the row belongs to: the source's, or the target's where the source lacks the row.
    pub tenant: Option<String>,
    /// The row's key without the tenant; empty for a table without a key.
    pub key: Vec<KeyPart>,
    /// What is wrong.
    #[serde(flatten)]
    pub kind: RowDifferenceKind,
}

/// One column of a key, with its value as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyPart {
    /// The column's name in the target.
    pub column: String,
    /// The value, free of control characters.
    pub value: String,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum RowDifferenceKind {
    /// The target lacks it.
    Missing,
    /// The source lacks it.
    Extra,
    /// The target has it more often than the source.
    Doubled,
    /// Its values differ.
    Changed {
        /// In these columns.
        columns: Vec<String>,
    },
    /// The target has it under another tenant.
    WrongTenant {
        /// Under this one.
        found_in: String,
    },
}

/// The check of one foreign key on the rows of the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForeignKeyProof {
    /// The table that refers.
    pub table: String,
    /// The constraint's name in the plan.
    pub name: String,
    /// Why it could not be checked, as a fragment.
    pub unchecked: Option<String>,
    /// Rows that break it, by what is wrong with them.
    pub violations: Vec<ForeignKeyViolation>,
}

impl ForeignKeyProof {
    /// Says whether it was checked and no row breaks it.
    pub fn is_proven(&self) -> bool {
        self.unchecked.is_none() && self.violations.is_empty()
    }
}

/// Rows that break a foreign key in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForeignKeyViolation {
    /// The way.
    pub kind: ForeignKeyViolationKind,
    /// How many rows do.
    pub rows: u64,
    /// The keys of the first of them.
    pub examples: Vec<Vec<KeyPart>>,
}

/// How a row breaks a foreign key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForeignKeyViolationKind {
    /// It refers to no row of any tenant.
    Orphan,
    /// It refers to a row of another tenant.
    OtherTenant,
    /// Only some of its columns are NULL, where all or none have to be.
    HalfNull,
}

/// The check of one identity column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SequenceProof {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// What it gives out next; `None` where it has no sequence.
    pub next: Option<i64>,
    /// The least that it may give out next: above every row, and above what SQLite has given out.
    pub least: i64,
}

impl SequenceProof {
    /// Says whether the next number is free.
    pub fn is_proven(&self) -> bool {
        self.next.is_some_and(|next| next >= self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_flat_in_json() {
        let key = vec![KeyPart { column: "id".into(), value: "7".into() }];
        let row = |kind| RowDifference { tenant: Some("a".into()), key: key.clone(), kind };
        let json = |kind| serde_json::to_string(&row(kind)).unwrap();
        let start = r#"{"tenant":"a","key":[{"column":"id","value":"7"}],"kind":"#;
        assert_eq!(json(RowDifferenceKind::Missing), format!(r#"{start}"missing"}}"#));
        let changed = RowDifferenceKind::Changed { columns: vec!["note".into()] };
        assert_eq!(json(changed), format!(r#"{start}"changed","columns":["note"]}}"#));
        let wrong = RowDifferenceKind::WrongTenant { found_in: "b".into() };
        assert_eq!(json(wrong), format!(r#"{start}"wrong-tenant","found_in":"b"}}"#));
    }

    #[test]
    fn nothing_is_proven_that_was_not_compared() {
        let proven = Verification {
            tables: vec![],
            foreign_keys: vec![],
            sequences: vec![],
            catalog: vec![],
            uncompared: vec![],
            kept_out: KeptOutProof::default(),
            sum_key: String::new(),
        };
        assert!(proven.is_proven());
        let foreign_key =
            ForeignKeyProof { table: "t".into(), name: "f".into(), unchecked: Some("why".into()), violations: vec![] };
        assert!(!Verification { foreign_keys: vec![foreign_key], ..proven.clone() }.is_proven());
        let sequence = SequenceProof { table: "t".into(), column: "id".into(), next: None, least: 1 };
        assert!(!Verification { sequences: vec![sequence], ..proven.clone() }.is_proven());
        let kept_out = KeptOutProof { findings: vec!["t: 1 row".into()], ..KeptOutProof::default() };
        assert!(!Verification { kept_out, ..proven.clone() }.is_proven());
        assert!(!Verification { catalog: vec!["the table t is missing".into()], ..proven }.is_proven());
    }
}
