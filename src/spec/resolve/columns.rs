//! Columns: types, names, defaults and expressions that the spec gives, and columns that are left out.

use super::super::conversion::{Conversion, Read, Unstorable, time_zone};
use super::super::file_objects::{CollationEntry, ColumnBody, ColumnEntry};
use super::super::postgres_text::as_default;
use super::super::tenancy::{
    About, CheckSays, CheckTenancy, ColumnChange, ColumnTenancy, ForeignKeyTenancy, KeyPart, KeyTenancy, Origin,
    Placement, UNSAID,
};
use super::foreign_keys::ForeignKeys;
use super::header::unknown_type;
use super::keys::Keys;
use super::{Entries, Resolver, tenant_column};
use crate::diagnostic::{Diagnostic, Span};
use crate::ident::visible;
use crate::schema::{CheckId, ColumnId, PgType, TableId};
use std::collections::BTreeMap;

/// What has been decided before columns: what is left out needs no column.
pub(super) struct Decided<'d> {
    pub placements: &'d [Placement],
    pub foreign_keys: &'d [ForeignKeys],
    pub keys: &'d [Keys],
    pub checks: &'d [BTreeMap<CheckId, CheckTenancy>],
}

impl<'a> Resolver<'a> {
    /// Reads what the spec says of columns.
    pub(super) fn columns(
        &mut self,
        entries: &Entries<'a>,
        decided: &Decided<'_>,
    ) -> Vec<BTreeMap<ColumnId, ColumnTenancy>> {
        self.schema
            .table_ids()
            .map(|table| {
                let mut columns = BTreeMap::new();
                let Some(body) = self.body(entries, table) else { return columns };
                for (name, entry) in &body.columns {
                    let span = self.span(table, &["columns", name]);
                    let Some(column) = self.find_column(table, name, span.clone()) else { continue };
                    match entry {
                        ColumnEntry::Omit => {
                            if self.may_omit(entries, decided, table, column, name) {
                                let about = About::Column(self.schema.column(column).name.clone());
                                self.decide(table, about, "omit", Origin::Spec(span), &[UNSAID]);
                                columns.insert(column, ColumnTenancy::Omit);
                            }
                        }
                        ColumnEntry::Keep(body) => {
                            let change = self.column_change(table, column, name, body);
                            columns.insert(column, ColumnTenancy::Keep(change));
                        }
                    }
                }
                columns
            })
            .collect()
    }

    /// Returns the mapping of a column's decisions, where the spec has one.
    pub(super) fn column_body(&self, entries: &Entries<'a>, table: TableId, column: &str) -> Option<&'a ColumnBody> {
        let columns = &self.body(entries, table)?.columns;
        match columns.iter().find(|(key, _)| key.eq_ignore_ascii_case(column)) {
            Some((_, ColumnEntry::Keep(body))) => Some(body),
            _ => None,
        }
    }

    fn column_change(&mut self, table: TableId, column: ColumnId, key: &str, body: &ColumnBody) -> ColumnChange {
        let mut change = ColumnChange { name: body.rename.clone(), ..ColumnChange::default() };
        let path = ["tables", self.spec_key(table), "columns", key];
        let below = |last| [path[0], path[1], path[2], path[3], last];
        if let Some(text) = &body.data_type {
            let span = self.spans.value(&below("type"));
            match PgType::parse(text) {
                Some(data_type) => change.data_type = Some((data_type, span)),
                None => self.error(unknown_type(text).label(span, "this type")),
            }
        }
        if let Some(text) = &body.default
            && self.postgres_text(text, &below("default")).is_some()
        {
            change.default = Some(as_default(text));
        }
        if let Some(text) = &body.generated
            && self.postgres_text(text, &below("generated")).is_some()
        {
            change.generated = Some(text.clone());
        }
        if let Some(collation) = body.collation {
            change.collation = Some((collation, self.spans.value(&below("collation"))));
        }
        change.conversion = self.conversion(body, path);
        let mut words = Vec::new();
        let collation = body.collation.map(|collation| collation.name().to_owned());
        let shown = change.data_type.as_ref().map(|(data_type, _)| data_type.to_string());
        for (key, value) in [
            ("type", &shown),
            ("as", &body.rename),
            ("read", &body.read.map(|read| read.name().to_owned())),
            ("zone", &body.zone),
            ("null_if", &(!body.null_if.is_empty()).then(|| format!("{:?}", body.null_if))),
            ("nul", &body.nul.map(|nul| nul.name().to_owned())),
            ("utf8", &body.utf8.map(|utf8| utf8.name().to_owned())),
            ("default", &body.default),
            ("generated", &body.generated),
            ("collation", &collation),
        ] {
            words.extend(value.as_ref().map(|value| format!("{key}: {value}")));
        }
        if !words.is_empty() {
            let about = About::Column(self.schema.column(column).name.clone());
            let origin = Origin::Spec(self.span(table, &["columns", key]));
            let others = other_ways(body);
            let others: Vec<&str> = others.iter().map(String::as_str).chain([UNSAID]).collect();
            self.decide(table, about, &format!("{{{}}}", words.join(", ")), origin, &others);
        }
        change
    }

    /// Reads what says how a column's values are read; its place is that of the first key that does.
    fn conversion(&mut self, body: &ColumnBody, path: [&str; 4]) -> Option<(Box<Conversion>, Span)> {
        let keys = [
            ("read", body.read.is_some()),
            ("zone", body.zone.is_some()),
            ("null_if", !body.null_if.is_empty()),
            ("nul", body.nul.is_some()),
            ("utf8", body.utf8.is_some()),
        ];
        let (first, _) = keys.into_iter().find(|(_, there)| *there)?;
        let below = |last| [path[0], path[1], path[2], path[3], last];
        let zone = body.zone.as_ref().and_then(|name| {
            let zone = time_zone(name);
            if zone.is_none() {
                let span = self.spans.value(&below("zone"));
                self.error(
                    Diagnostic::error("unknown-zone", format!("`{}` is no time zone", visible(name)))
                        .label(span, "this zone")
                        .help(
                            "write a name of the IANA database such as Europe/Berlin, UTC, or an offset such as +02:00",
                        ),
                );
            }
            zone
        });
        let conversion = Conversion {
            read: body.read,
            zone,
            null_if: body.null_if.clone(),
            nul: body.nul.unwrap_or_default(),
            utf8: body.utf8.unwrap_or_default(),
        };
        Some((Box::new(conversion), self.spans.value(&below(first))))
    }

    /// A column that a key, a foreign key, an index, a check or the tenant needs cannot be left out.
    fn may_omit(
        &mut self,
        entries: &Entries<'a>,
        decided: &Decided<'_>,
        table: TableId,
        column: ColumnId,
        name: &str,
    ) -> bool {
        let schema = self.schema;
        let described = schema.table(table);
        let keys = &decided.keys[table.index()];
        let mut users: Vec<&str> = Vec::new();
        if tenant_column(&decided.placements[table.index()]) == Some(column) {
            users.push("it is the tenant");
        }
        // A list of columns that names it has been refused already.
        let holds = |tenancy: Option<&KeyTenancy>, own: &[ColumnId]| match tenancy {
            Some(KeyTenancy::Omit | KeyTenancy::Columns(_)) => false,
            _ => own.contains(&column),
        };
        let primary = described.primary_key.iter().any(|&key| holds(Some(&keys.primary_key), &schema.key(key).columns));
        let unique = described.unique_keys.iter().any(|key| holds(keys.unique.get(key), &schema.key(*key).columns));
        if primary || unique {
            users.push("a key holds it");
        }
        if schema.table_ids().any(|other| {
            schema.table(other).foreign_keys.iter().any(|id| {
                let foreign_key = schema.foreign_key(*id);
                let kept = decided.foreign_keys[other.index()].decided.get(id);
                kept.is_some_and(|kept| *kept != ForeignKeyTenancy::Omit)
                    && (foreign_key.columns.contains(&column) || foreign_key.referenced_columns.contains(&column))
            })
        }) {
            users.push("a foreign key holds it");
        }
        let mut in_expressions = false;
        let mut visit = |used: ColumnId| in_expressions |= used == column;
        for &check in &described.checks {
            if decided.checks[table.index()].get(&check).is_some_and(|check| check.says == CheckSays::Same) {
                schema.check(check).expr.for_each_column(&mut visit);
            }
        }
        for &id in &described.indexes {
            let index = schema.index(id);
            match keys.indexes.get(&id) {
                Some(KeyTenancy::Omit) => continue,
                Some(KeyTenancy::Columns(parts)) => {
                    parts.iter().for_each(|part| {
                        if let KeyPart::Column(column) = part {
                            visit(*column);
                        }
                    });
                }
                _ => index.parts.iter().for_each(|part| part.expr.for_each_column(&mut visit)),
            }
            index.predicate.iter().for_each(|predicate| predicate.for_each_column(&mut visit));
        }
        for &other in &described.columns {
            let replaced = self.column_body(entries, table, &schema.column(other).name);
            if replaced.is_none_or(|body| body.generated.is_none() && body.default.is_none()) {
                schema.column(other).generated.iter().for_each(|generated| generated.expr.for_each_column(&mut visit));
            }
        }
        if in_expressions {
            users.push("an index, a check or a generated column holds it");
        }
        if users.is_empty() {
            return true;
        }
        let message = format!("`{}.{name}` cannot be left out: {}", self.name(table), users.join(", "));
        self.error(
            Diagnostic::error("column-in-use", message)
                .label(self.span(table, &["columns", name]), "this column")
                .label_opt(schema.column(column).span.clone(), "declared here")
                .help("leave out what uses it first, or keep it"),
        );
        false
    }
}

/// Lists the other words that could stand where a column's mapping has one of a few.
fn other_ways(body: &ColumnBody) -> Vec<String> {
    let times = [Read::Iso, Read::Epoch, Read::EpochMs, Read::Julian];
    let others = |key: &str, words: &[&str], chosen: &str| {
        let others = words.iter().filter(|&&word| word != chosen);
        others.map(|word| format!("{{{key}: {word}}}")).collect::<Vec<_>>()
    };
    let mut ways = Vec::new();
    if let Some(read) = body.read.filter(|read| times.contains(read)) {
        ways.extend(others("read", &times.map(Read::name), read.name()));
    }
    for (key, chosen) in [("nul", body.nul), ("utf8", body.utf8)] {
        let words = [Unstorable::Fail, Unstorable::Strip, Unstorable::Replace].map(Unstorable::name);
        ways.extend(chosen.map(|chosen| others(key, &words, chosen.name())).unwrap_or_default());
    }
    if let Some(collation) = body.collation {
        let words = [CollationEntry::Keys, CollationEntry::Icu, CollationEntry::Plain].map(CollationEntry::name);
        ways.extend(others("collation", &words, collation.name()));
    }
    ways
}
