//! What becomes of rows that do not go through, or are not to: the `rows:` mapping of a table and of `defaults`.

use schemars::JsonSchema;
use serde::Deserialize;

/// The `rows:` mapping.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowsBody {
    /// Which rows are moved: `all`, `none`, or those that an expression in SQLite's dialect is true for.
    pub keep: Option<String>,
    /// Rows that belong to no tenant.
    pub no_tenant: Option<RowPolicy>,
    /// Rows that refer to a row that does not exist.
    pub orphan: Option<OrphanPolicy>,
    /// Rows that belong to several tenants at once.
    pub conflict: Option<RowPolicy>,
    /// Rows with a value that its column does not take.
    pub unfit: Option<RowPolicy>,
    /// How many rows may be rejected; any number where absent.
    pub max_rejects: Option<u64>,
}

/// What becomes of rows that do not go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowPolicy {
    /// Nothing is moved until they are mended.
    #[default]
    Fail,
    /// They are recorded and left out.
    Reject,
}

/// What becomes of rows that refer to a row that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrphanPolicy {
    /// Nothing is moved until they are mended.
    #[default]
    Fail,
    /// They are recorded and left out.
    Reject,
    /// They are moved, and refer to nothing.
    SetNull,
}

/// Which rows of a table are moved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Keep {
    /// All.
    #[default]
    All,
    /// None: the table stays empty.
    None,
    /// Those that this expression in SQLite's dialect is true for.
    Where(String),
}

/// What becomes of a table's rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowPolicies {
    /// Which are moved.
    pub keep: Keep,
    /// Those that belong to no tenant.
    pub no_tenant: RowPolicy,
    /// Those that refer to a row that does not exist.
    pub orphan: OrphanPolicy,
    /// Those that belong to several tenants at once.
    pub conflict: RowPolicy,
    /// Those with a value that its column does not take.
    pub unfit: RowPolicy,
    /// How many may be rejected; `None` sets no limit.
    pub max_rejects: Option<u64>,
}

impl RowPolicies {
    /// Reads a table's mapping over that of `defaults`.
    pub(super) fn of(body: Option<&RowsBody>, defaults: Option<&RowsBody>) -> Self {
        let none = RowsBody::default();
        let (body, defaults) = (body.unwrap_or(&none), defaults.unwrap_or(&none));
        let keep = match body.keep.as_deref().or(defaults.keep.as_deref()) {
            None | Some("all") => Keep::All,
            Some("none") => Keep::None,
            Some(expression) => Keep::Where(expression.to_owned()),
        };
        Self {
            keep,
            no_tenant: body.no_tenant.or(defaults.no_tenant).unwrap_or_default(),
            orphan: body.orphan.or(defaults.orphan).unwrap_or_default(),
            conflict: body.conflict.or(defaults.conflict).unwrap_or_default(),
            unfit: body.unfit.or(defaults.unfit).unwrap_or_default(),
            max_rejects: body.max_rejects.or(defaults.max_rejects),
        }
    }

    /// Says whether rows with faults can go another way than into a finding.
    pub fn decides_faults(&self) -> bool {
        let reject = RowPolicy::Reject;
        [self.no_tenant, self.conflict, self.unfit].contains(&reject) || self.orphan != OrphanPolicy::Fail
    }

    /// Lists what could have been said instead of what is, in the spec's own words.
    pub(super) fn others(&self) -> Vec<String> {
        let keep: &[&str] = match &self.keep {
            Keep::All => &[],
            Keep::None => &["{keep: all}", "{keep: \"PREDICATE\"}"],
            Keep::Where(_) => &["{keep: all}", "{keep: \"PREDICATE\"}", "{keep: none}"],
        };
        let orphan: &[&str] = match self.orphan {
            OrphanPolicy::Fail => &[],
            OrphanPolicy::Reject => &["{orphan: fail}", "{orphan: set_null}"],
            OrphanPolicy::SetNull => &["{orphan: fail}", "{orphan: reject}"],
        };
        let mut others: Vec<String> = keep.iter().map(|&text| text.to_owned()).collect();
        let fail = |name: &str, policy: RowPolicy| (policy == RowPolicy::Reject).then(|| format!("{{{name}: fail}}"));
        others.extend(fail("no_tenant", self.no_tenant));
        others.extend(orphan.iter().map(|&text| text.to_owned()));
        others.extend(fail("conflict", self.conflict));
        others.extend(fail("unfit", self.unfit));
        others.extend(self.max_rejects.map(|_| "{max_rejects: N}".to_owned()));
        others
    }

    /// Says it in the spec's own words; empty for what holds without a word.
    pub fn words(&self) -> String {
        let keep = match &self.keep {
            Keep::All => None,
            Keep::None => Some("keep: none".to_owned()),
            Keep::Where(expression) => Some(format!("keep: \"{expression}\"")),
        };
        let reject = |name: &str, policy: RowPolicy| (policy == RowPolicy::Reject).then(|| format!("{name}: reject"));
        let orphan = match self.orphan {
            OrphanPolicy::Fail => None,
            OrphanPolicy::Reject => Some("orphan: reject".to_owned()),
            OrphanPolicy::SetNull => Some("orphan: set_null".to_owned()),
        };
        let words = [
            keep,
            reject("no_tenant", self.no_tenant),
            orphan,
            reject("conflict", self.conflict),
            reject("unfit", self.unfit),
            self.max_rejects.map(|limit| format!("max_rejects: {limit}")),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}
