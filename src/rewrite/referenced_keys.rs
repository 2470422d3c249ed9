//! A foreign key needs a unique key of exactly the columns it refers to.
//!
//! Beside a global key of the parent a per-tenant reference gets `UNIQUE (tenant, key)`; the other way round there is
//! nothing to refer to.

use super::draft::Draft;
use super::unique_keys::has_key;
use crate::diagnostic::Diagnostic;
use crate::schema::{ColumnId, ForeignKey, ForeignKeyId, Key, KeyKind};

/// `plain` are the referenced columns without the tenant's.
pub(super) fn ensure_referenced_key(
    draft: &mut Draft<'_>,
    foreign_key: &ForeignKey,
    plain: &[ColumnId],
    id: ForeignKeyId,
) {
    let parent = foreign_key.referenced_table;
    if has_key(draft, parent, &foreign_key.referenced_columns) || has_unique_index(draft, foreign_key, id) {
        return;
    }
    if foreign_key.referenced_columns.len() > plain.len() {
        // The plain columns were unique in SQLite, so they are so per tenant: the wider key weakens nothing.
        draft.target.add_key(Key {
            table: parent,
            kind: KeyKind::Unique,
            name: None,
            columns: foreign_key.referenced_columns.clone(),
            on_conflict: None,
            span: None,
        });
        return;
    }
    let columns = draft.target.column_names(plain).collect::<Vec<_>>().join(", ");
    let (child, parent) = (&draft.target.table(foreign_key.table).name, &draft.target.table(parent).name);
    let diagnostic = Diagnostic::error(
        "no-key-to-refer-to",
        format!("`{child}` refers to `{parent}` ({columns}) globally, and no key of it is that"),
    )
    .label_opt(foreign_key.span.clone(), "the foreign key")
    .help(format!(
        "scope the foreign key `per_tenant`, or keep the key of `{parent}` global (`primary_key: global` or `unique: {{…: global}}`)"
    ));
    let source = draft.source.foreign_key(id);
    let path =
        ["tables", &draft.source.table(source.table).name, "foreign_keys", &draft.source_columns_text(&source.columns)];
    let diagnostic = diagnostic.suggest(&path, "omit", "nothing refuses a reference that leads nowhere");
    draft.error(diagnostic);
}

/// Unique indexes come over later; one that keeps the referenced columns serves as well.
fn has_unique_index(draft: &Draft<'_>, foreign_key: &ForeignKey, id: ForeignKeyId) -> bool {
    let source = draft.source.foreign_key(id);
    let parent = source.referenced_table;
    let tenancy = draft.tenancy.table(parent);
    let mut wanted = foreign_key.referenced_columns.clone();
    wanted.sort_unstable();
    let is_wanted = |mut columns: Vec<ColumnId>| {
        columns.sort_unstable();
        columns == wanted
    };
    let new = tenancy.new_indexes.iter().filter(|index| index.unique && index.predicate.is_none());
    let mut new = new.filter_map(|index| {
        index.parts.iter().map(|&(part, _)| draft.part(foreign_key.referenced_table, part)).collect()
    });
    if new.any(is_wanted) {
        return true;
    }
    draft.source.table(parent).indexes.iter().any(|&index| {
        let described = draft.source.index(index);
        let Some(own) = described.plain_columns().filter(|_| described.unique && described.predicate.is_none()) else {
            return false;
        };
        let decided = tenancy.indexes.get(&index);
        decided
            .and_then(|decided| draft.key_columns(foreign_key.referenced_table, decided, &own))
            .is_some_and(is_wanted)
    })
}
