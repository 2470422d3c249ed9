//! What the spec says of reading a column's values has to suit its type, and what the column is for.

use super::ColumnValue;
use super::draft::Draft;
use crate::diagnostic::{Diagnostic, Span};
use crate::schema::{ColumnId, ForeignKeyId, PgType};
use crate::spec::{Conversion, ForeignKeyTenancy, Read, Unstorable};
use std::collections::BTreeSet;

pub(super) fn check(draft: &mut Draft<'_>) {
    let joined = joined_columns(draft);
    for (source, _, _) in draft.migrated() {
        for &column in &draft.source.table(source).columns {
            let change = draft.tenancy.table(source).change(column);
            let Some((conversion, span)) = change.and_then(|change| change.conversion.clone()) else { continue };
            let Some(target) = draft.column_of(column) else { continue };
            let data_type = draft.target.column(target).data_type;
            let is_tenant = draft.tenancy.root.as_ref().is_some_and(|root| root.key == column)
                || draft.tenancy.tenant_column(draft.source, source) == Some(column)
                || matches!(draft.value_of(target), ColumnValue::TenantId(_));
            let name = format!("{}.{}", draft.source.table(source).name, draft.source.column(column).name);
            let error = if is_tenant {
                Some(of_tenant(&name, &span))
            } else if matches!(draft.value_of(target), ColumnValue::Generated(_)) {
                Some(of_generated(&name, &span))
            } else {
                unsuited(&conversion, data_type, &name, &span)
                    .or_else(|| joined.contains(&column).then(|| of_reference(&conversion, &name, &span)).flatten())
            };
            if let Some(error) = error {
                draft.error(error);
            }
        }
    }
}

/// Collects the columns of foreign keys, on both sides.
fn joined_columns(draft: &Draft<'_>) -> BTreeSet<ColumnId> {
    let foreign_keys = draft.source.foreign_keys.iter().enumerate().filter(|(position, foreign_key)| {
        let decided = draft.tenancy.table(foreign_key.table).foreign_keys.get(&ForeignKeyId(*position as u32));
        decided.is_some_and(|decided| *decided != ForeignKeyTenancy::Omit)
    });
    foreign_keys
        .flat_map(|(_, foreign_key)| foreign_key.columns.iter().chain(&foreign_key.referenced_columns))
        .copied()
        .collect()
}

fn of_tenant(name: &str, span: &Span) -> Diagnostic {
    Diagnostic::error("conversion-of-key", format!("`{name}` holds tenants' ids, which are not read in another way"))
        .label(span.clone(), "decided here")
        .help("leave it out; new ids for tenants are decided by `tenant: {id: …}`")
}

fn of_generated(name: &str, span: &Span) -> Diagnostic {
    Diagnostic::error("read-type", format!("`{name}` is computed in the target: the source's values are not copied"))
        .label(span.clone(), "decided here")
        .help("leave it out, or give the column a `default` to make it an ordinary one")
}

/// A reference is found by the source's values: those of both ends have to stay equal.
fn of_reference(conversion: &Conversion, name: &str, span: &Span) -> Option<Diagnostic> {
    let keeps = matches!(conversion.read, None | Some(Read::Decimal | Read::Text))
        && conversion.zone.is_none()
        && conversion.null_if.is_empty()
        && (conversion.nul, conversion.utf8) == (Unstorable::Fail, Unstorable::Fail);
    (!keeps).then(|| {
        Diagnostic::error(
            "conversion-of-key",
            format!("`{name}` is part of a foreign key, whose values have to stay equal"),
        )
        .label(span.clone(), "decided here")
        .help(
            "only `read: decimal` and `read: text` keep them so; for values that refer to nothing, decide \
                 `rows: {orphan: set_null}`",
        )
    })
}

fn unsuited(conversion: &Conversion, data_type: PgType, name: &str, span: &Span) -> Option<Diagnostic> {
    let is_moment = matches!(data_type, PgType::Timestamp | PgType::Timestamptz);
    let from_number = matches!(conversion.read, Some(Read::Epoch | Read::EpochMs | Read::Julian));
    let cleans = (conversion.nul, conversion.utf8) != (Unstorable::Fail, Unstorable::Fail);
    let (message, help) = match conversion.read {
        Some(read) if !read.suits(data_type) => (
            format!("`read: {}` does not yield values of `{name}`, which becomes {data_type}", read.name()),
            format!("give the column one of the types {}, as in `type: {}`", read.types(), first(read)),
        ),
        _ if conversion.zone.is_some() && !is_moment && !(data_type == PgType::Date && from_number) => (
            format!("`{name}` becomes {data_type}, which has no zone"),
            "a zone is for timestamp and timestamptz; leave it out or change `type`".to_owned(),
        ),
        _ if cleans && !data_type.is_text() => (
            format!("`{name}` becomes {data_type}, and `nul` and `utf8` are for texts"),
            "leave them out or change `type`".to_owned(),
        ),
        _ => return None,
    };
    Some(Diagnostic::error("read-type", message).label(span.clone(), "decided here").help(help))
}

fn first(read: Read) -> &'static str {
    match read {
        Read::Decimal => "\"numeric(10,2)\"",
        _ => read.types().split(',').next().unwrap_or_default(),
    }
}
