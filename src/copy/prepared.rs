//! What an audit leaves for the copy that follows it.

use super::clusters::Clusters;
use super::ranks::Ranks;
use crate::diagnostic::Diagnostic;
use crate::remap::{Remapper, TargetRow};

/// What has been learnt of keys and tenants, and the rows, where they were gathered.
pub struct Prepared<'p> {
    pub(super) remapper: Remapper<'p>,
    pub(super) gathered: Option<Gathered>,
}

/// The rows of a source as they are to be sent.
pub(super) struct Gathered {
    /// The order of the tenants.
    pub ranks: Ranks,
    /// The rows of each table of the target; they are taken from here.
    pub tables: Vec<Option<Clusters>>,
}

/// Takes the rows that one of the source has become, which stand at the end of the clusters' buffer.
///
/// # Errors
/// `row-refused` for a tenant that has no rank; `spill-failed` where rows cannot be put away.
pub(super) fn gather_rows(clusters: &mut Clusters, rows: &[TargetRow], ranks: &Ranks) -> Result<(), Diagnostic> {
    for row in rows {
        let rank = row.tenant.map_or(Some(0), |tenant| ranks.of(tenant));
        let reason = "a row cannot be copied: its tenant is none of those that the keys name";
        clusters.add(rank.ok_or_else(|| Diagnostic::error("row-refused", reason))?, row.end);
    }
    clusters.make_room()
}
