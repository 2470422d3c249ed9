//! Views that the spec writes anew, in an order in which each finds the views that it names.

use super::draft::Draft;
use crate::spec::ViewTenancy;

/// A view of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its name.
    pub name: String,
    /// Its query, without a semicolon.
    pub query: String,
}

pub(super) fn carry_over(draft: &mut Draft<'_>) {
    let mut waiting: Vec<&ViewTenancy> = draft.tenancy.views.iter().filter(|view| view.query.is_some()).collect();
    // By name, so that the order of the source text decides nothing.
    waiting.sort_by_key(|view| &view.name);
    while !waiting.is_empty() {
        let is_waited_for = |view: &ViewTenancy| {
            let uses = view.query.iter().flat_map(|query| &query.uses);
            uses.into_iter().any(|used| waiting.iter().any(|other| other.name == *used))
        };
        // A circle cannot be resolved: PostgreSQL says which name is missing.
        let next = waiting.iter().position(|view| !is_waited_for(view)).unwrap_or(0);
        let view = waiting.remove(next);
        if let Some(query) = &view.query {
            draft.views.push(View { name: view.name.clone(), query: query.sql.clone() });
        }
    }
}
