//! Keys that become equal on the way: each sound by itself in SQLite, and refused by PostgreSQL.
//!
//! Most keys cannot: what SQLite holds unique stays so where the conversion tells all values apart. Only the others are
//! watched: values that have several spellings (a UUID in either case, `t` and 1, `1.0` and `1.00`), collations that take
//! more for the same, keys that the spec narrows or adds, rows that get a copy in several tenants. The fields that would be
//! sent are brought to a form that is equal exactly where PostgreSQL finds them equal, and hashed.
//!
//! Memory is bounded: past [`MOST`] hashes only a half, a quarter and so on of them is kept, and the rest looked at in further
//! passes.

use crate::copy::encoded::EncodedRow;
use crate::ident::visible;
use crate::plan::Plan;
use crate::rewrite::ColumnValue;
use crate::schema::{ColumnId, Expr, Index, PgType, TableId};
use siphasher::sip::SipHasher13;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// How many hashes of keys are kept at a time: 64 MiB.
const MOST: usize = 8 << 20;

/// Watches one key of one table.
pub(in crate::copy) struct KeyWatch {
    /// The key's name and columns.
    pub place: String,
    /// The key, as the spec names it.
    pub spec_key: String,
    /// Whether it is the primary key.
    pub is_primary: bool,
    /// Whether the tenant is part of it.
    pub has_tenant: bool,
    /// A column of the source whose values have several spellings.
    pub respelled: Option<ColumnId>,
    columns: Vec<Compared>,
    hasher: SipHasher13,
    hashes: Vec<u64>,
    most: usize,
    /// Of so many parts, by the hash, this one is kept.
    parts: u64,
    part: u64,
    duplicates: Vec<u64>,
    scratch: Vec<u8>,
}

/// One column of a watched key.
struct Compared {
    position: usize,
    data_type: PgType,
    folds_case: bool,
}

impl KeyWatch {
    /// Notes a row's key.
    pub fn see(&mut self, row: &EncodedRow<'_>) {
        let Some(hash) = self.hash(row) else { return };
        if hash % self.parts != self.part {
            return;
        }
        self.hashes.push(hash);
        if self.hashes.len() > self.most {
            // A part that stays a part: p mod n is p or p + n mod 2n.
            self.parts *= 2;
            let (parts, part) = (self.parts, self.part);
            self.hashes.retain(|hash| hash % parts == part);
        }
    }

    /// Finds the duplicates among what was kept, and says whether there are parts left to look at.
    pub fn needs_another_pass(&mut self) -> bool {
        self.hashes.sort_unstable();
        self.duplicates.extend(self.hashes.chunk_by(PartialEq::eq).filter(|same| same.len() > 1).map(|same| same[0]));
        self.hashes.clear();
        self.part += 1;
        if self.part < self.parts {
            return true;
        }
        self.hashes.shrink_to_fit();
        self.duplicates.sort_unstable();
        self.duplicates.dedup();
        false
    }

    /// Says whether several rows have a key.
    pub fn has_duplicates(&self) -> bool {
        !self.duplicates.is_empty()
    }

    /// Says whether another row has this row's key.
    pub fn is_duplicate(&mut self, row: &EncodedRow<'_>) -> bool {
        self.hash(row).is_some_and(|hash| self.duplicates.binary_search(&hash).is_ok())
    }

    /// Hashes a key; `None` with a NULL in it, which is like no other.
    fn hash(&mut self, row: &EncodedRow<'_>) -> Option<u64> {
        self.key(row)?;
        Some(self.hasher.hash(&self.scratch))
    }

    /// Returns a key in a form that is equal exactly where PostgreSQL finds keys equal; `None` with a NULL in it.
    pub fn key(&mut self, row: &EncodedRow<'_>) -> Option<&[u8]> {
        self.scratch.clear();
        for column in &self.columns {
            let start = self.scratch.len();
            self.scratch.extend_from_slice(&[0; 8]);
            column.normal(row.field(column.position)?, &mut self.scratch);
            let length = (self.scratch.len() - start) as u64;
            self.scratch[start..start + 8].copy_from_slice(&length.to_be_bytes());
        }
        Some(&self.scratch)
    }
}

impl Compared {
    /// Appends a field in a form that is the same for all that PostgreSQL finds equal.
    fn normal(&self, field: &[u8], out: &mut Vec<u8>) {
        match self.data_type {
            PgType::Numeric(_) if field.len() >= 8 => {
                // Number of digits, weight and sign; the display scale does not count.
                out.extend_from_slice(&field[..6]);
                out.extend_from_slice(&field[8..]);
            }
            PgType::Double if field == (-0.0_f64).to_be_bytes() => out.extend_from_slice(&0.0_f64.to_be_bytes()),
            PgType::Real if field == (-0.0_f32).to_be_bytes() => out.extend_from_slice(&0.0_f32.to_be_bytes()),
            PgType::Jsonb => match serde_json::from_slice::<serde_json::Value>(field.get(1..).unwrap_or_default()) {
                Ok(mut document) => {
                    whole_numbers(&mut document);
                    out.extend_from_slice(document.to_string().as_bytes());
                }
                Err(_) => out.extend_from_slice(field),
            },
            _ if self.folds_case => out.extend_from_slice(String::from_utf8_lossy(field).to_lowercase().as_bytes()),
            _ => out.extend_from_slice(field),
        }
    }
}

/// `1.0` and 1 are the same number to `jsonb`.
fn whole_numbers(document: &mut serde_json::Value) {
    match document {
        serde_json::Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|real| real.fract() == 0.0 && real.abs() < 9e15) {
                *document = serde_json::Value::from(whole as i64);
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

/// Lists the target's columns that rows are written to, in their order.
pub(in crate::copy) fn written(plan: &Plan, target: TableId) -> Vec<ColumnId> {
    let is_written = |column: &ColumnId| !matches!(plan.rewritten.values[column.index()], ColumnValue::Generated(_));
    plan.rewritten.target.table(target).columns.iter().copied().filter(is_written).collect()
}

/// Among which rows keys have to differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// Those of one source, which holds most keys unique itself.
    OneSource,
    /// Those of several files, which know nothing of each other: all keys without the tenant.
    Files,
    /// The same, for the primary key alone.
    FilesPrimary,
}

/// Returns the primary key of a table that files share; `None` where it has none.
pub(in crate::copy) fn primary_key_over_files(plan: &Plan, target: TableId) -> Option<KeyWatch> {
    watches(plan, target, Over::FilesPrimary, &mut Vec::new()).into_iter().next()
}

/// Lists the keys of a target table that could become equal; what cannot be judged gets a sentence in `unjudged`.
pub(super) fn watches(plan: &Plan, target: TableId, over: Over, unjudged: &mut Vec<String>) -> Vec<KeyWatch> {
    let schema = &plan.rewritten.target;
    let table = schema.table(target);
    let mut wanted: Vec<(String, Vec<ColumnId>, bool)> = Vec::new();
    for &key in table.primary_key.iter().chain(&table.unique_keys) {
        let key = schema.key(key);
        wanted.push((
            key.name.clone().unwrap_or_default(),
            key.columns.clone(),
            table.primary_key.is_some_and(|id| schema.key(id) == key),
        ));
    }
    let source = plan.rewritten.source_tables[target.index()];
    let added = &plan.tenancy.table(source).new_indexes;
    let tenant = plan.rewritten.tenant_columns[target.index()];
    let holds_tenant = |index: &Index| {
        index.parts.iter().any(|part| matches!(part.expr, Expr::Column(column) if Some(column) == tenant))
    };
    for index in table.indexes.iter().map(|&index| schema.index(index)).filter(|index| index.unique) {
        match index.plain_columns() {
            Some(columns) if index.predicate.is_none() => wanted.push((index.name.clone(), columns, false)),
            // Of the source's own, the translation accepts and refuses the same values.
            _ if over == Over::OneSource && added.iter().any(|added| added.name == index.name) => unjudged.push(format!(
                "{}: the unique index {} holds for some rows only: the server alone can tell whether two of them are equal",
                visible(&table.name),
                visible(&index.name)
            )),
            _ if over == Over::Files && !holds_tenant(index) => unjudged.push(format!(
                "{}: the unique index {} does not hold the tenant: the server alone can tell whether rows of two files are equal",
                visible(&table.name),
                visible(&index.name)
            )),
            _ => {}
        }
    }
    let written = written(plan, target);
    let given = plan.source.unique_column_sets(source);
    let is_copied = plan.tenancy.copied_tables(&plan.source)[source.index()];
    let watch = |(name, columns, is_primary): (String, Vec<ColumnId>, bool)| {
        let has_tenant = tenant.is_some_and(|tenant| columns.contains(&tenant));
        let from: Vec<Option<ColumnId>> = columns.iter().map(|&column| source_of(plan, column)).collect();
        let faithful = |column: &ColumnId| {
            let at = from.iter().position(|from| *from == Some(*column));
            at.is_some_and(|at| tells_apart(plan, columns[at]))
        };
        let is_unique = match over {
            Over::OneSource => given.iter().any(|set| set.iter().all(faithful)) && (has_tenant || !is_copied),
            Over::Files => has_tenant,
            Over::FilesPrimary => has_tenant || !is_primary,
        };
        if is_unique {
            return None;
        }
        let positions: Option<Vec<usize>> =
            columns.iter().map(|column| written.iter().position(|other| other == column)).collect();
        let compared = positions?.into_iter().zip(&columns).map(|(position, &column)| Compared {
            position,
            data_type: schema.column(column).data_type,
            folds_case: folds_case(plan, column),
        });
        let own = columns.iter().copied().filter(|&column| Some(column) != tenant || from.len() == 1);
        let respelled =
            columns.iter().zip(&from).find(|(column, _)| !tells_apart(plan, **column)).and_then(|(_, from)| *from);
        let random = RandomState::new();
        Some(KeyWatch {
            place: format!("{} ({})", name, schema.column_names(&columns).collect::<Vec<_>>().join(", ")),
            spec_key: spec_key(plan, source, &own.filter_map(|column| source_of(plan, column)).collect::<Vec<_>>()),
            is_primary,
            has_tenant,
            respelled,
            columns: compared.collect(),
            hasher: SipHasher13::new_with_keys(random.hash_one(1), random.hash_one(2)),
            hashes: Vec::new(),
            most: MOST,
            parts: 1,
            part: 0,
            duplicates: Vec::new(),
            scratch: Vec::new(),
        })
    };
    wanted.into_iter().filter_map(watch).collect()
}

/// Names a key as the spec does: by the columns of the source's key that it comes from.
fn spec_key(plan: &Plan, source: TableId, columns: &[ColumnId]) -> String {
    let sets = plan.source.unique_column_sets(source);
    let from = sets.iter().find(|set| columns.iter().all(|column| set.contains(column)));
    let columns = from.map_or(columns, Vec::as_slice);
    plan.source.column_names(columns).collect::<Vec<_>>().join(", ")
}

fn source_of(plan: &Plan, target: ColumnId) -> Option<ColumnId> {
    match plan.rewritten.values[target.index()] {
        ColumnValue::Source(column) | ColumnValue::TenantId(column) => Some(column),
        ColumnValue::Tenant | ColumnValue::ReferenceTenant(_) | ColumnValue::Generated(_) => None,
    }
}

fn folds_case(plan: &Plan, column: ColumnId) -> bool {
    let column = plan.rewritten.target.column(column);
    column.data_type == PgType::Citext || column.collation.is_some()
}

/// Says whether two values that SQLite tells apart stay apart, where both fit.
fn tells_apart(plan: &Plan, column: ColumnId) -> bool {
    let is_read_otherwise = source_of(plan, column).is_some_and(|from| {
        let table = plan.source.column(from).table;
        plan.tenancy.table(table).conversion(from).is_some()
    });
    if folds_case(plan, column) || is_read_otherwise {
        return false;
    }
    match plan.rewritten.target.column(column).data_type {
        PgType::Smallint
        | PgType::Integer
        | PgType::Bigint
        | PgType::Double
        | PgType::Text
        | PgType::Varchar(_)
        | PgType::Char(_)
        | PgType::Bytea => true,
        PgType::Boolean
        | PgType::Real
        | PgType::Numeric(_)
        | PgType::Citext
        | PgType::Date
        | PgType::Time
        | PgType::Timestamp
        | PgType::Timestamptz
        | PgType::Uuid
        | PgType::Json
        | PgType::Jsonb => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::encoded::split;

    fn watch(data_type: PgType, folds_case: bool, most: usize) -> KeyWatch {
        KeyWatch {
            place: String::new(),
            spec_key: String::new(),
            is_primary: false,
            has_tenant: false,
            respelled: None,
            columns: vec![Compared { position: 0, data_type, folds_case }],
            hasher: SipHasher13::new(),
            hashes: Vec::new(),
            most,
            parts: 1,
            part: 0,
            duplicates: Vec::new(),
            scratch: Vec::new(),
        }
    }

    fn with_row(field: Option<&[u8]>, f: &mut dyn FnMut(&EncodedRow<'_>)) {
        let mut bytes = vec![0, 1];
        match field {
            Some(field) => {
                bytes.extend_from_slice(&(field.len() as i32).to_be_bytes());
                bytes.extend_from_slice(field);
            }
            None => bytes.extend_from_slice(&(-1_i32).to_be_bytes()),
        }
        let mut fields = Vec::new();
        split(&bytes, &mut fields);
        f(&EncodedRow { bytes: &bytes, fields: &fields });
    }

    fn duplicates(mut watch: KeyWatch, fields: &[Option<&[u8]>]) -> usize {
        let mut passes = 0;
        loop {
            fields.iter().for_each(|field| with_row(*field, &mut |row| watch.see(row)));
            passes += 1;
            if !watch.needs_another_pass() {
                break;
            }
        }
        assert!(watch.most > fields.len() || passes > 1, "memory is bounded");
        let mut found = 0;
        fields.iter().for_each(|field| with_row(*field, &mut |row| found += usize::from(watch.is_duplicate(row))));
        found
    }

    #[test]
    fn what_postgresql_finds_equal_is_equal() {
        let numeric = |scale: u8| vec![0, 1, 0, 0, 0, 0, 0, scale, 0, 5];
        let (one, other) = (numeric(0), numeric(2));
        assert_eq!(duplicates(watch(PgType::Numeric(None), false, 100), &[Some(&one), Some(&other)]), 2);
        let documents: [Option<&[u8]>; 3] =
            [Some(b"\x01{\"a\": 1, \"b\": 2}"), Some(b"\x01{\"b\":2.0,\"a\":1}"), Some(b"\x01{}")];
        assert_eq!(duplicates(watch(PgType::Jsonb, false, 100), &documents), 2);
        let texts: [Option<&[u8]>; 4] = [Some("É".as_bytes()), Some("é".as_bytes()), None, None];
        assert_eq!(duplicates(watch(PgType::Citext, true, 100), &texts), 2);
        assert_eq!(duplicates(watch(PgType::Text, false, 100), &texts), 0, "and NULL is like no other");
        let zeros: [Option<&[u8]>; 2] = [Some(&[0; 8]), Some(&[0x80, 0, 0, 0, 0, 0, 0, 0])];
        assert_eq!(duplicates(watch(PgType::Double, false, 100), &zeros), 2);
    }

    #[test]
    fn more_keys_than_fit_are_looked_at_in_parts() {
        let keys: Vec<[u8; 2]> = (0..2000_u16).chain([7, 1999]).map(u16::to_be_bytes).collect();
        let keys: Vec<Option<&[u8]>> = keys.iter().map(|key| Some(&key[..])).collect();
        assert_eq!(duplicates(watch(PgType::Text, false, 100), &keys), 4);
    }
}
