//! What no choice is about and follows from those that are: keys that stay as they are, and what tenancy adds.

use super::{Plan, UniqueObject};
use crate::rewrite::ColumnValue;
use crate::schema::{Action, ColumnId, ForeignKeyId, TableId};
use crate::spec::{About, Decision, KeyTenancy, Origin, Placement};

/// Of a key or an index that nothing is decided about.
pub const AS_IT_IS: &str = "as it is";

/// Of what the source does not have.
pub const ADDED: &str = "added";

/// Of the source's own column that holds the tenant.
pub const KEPT: &str = "kept";

/// Of the source's own column that gets the tenant where it names none.
pub const FILLED_IN: &str = "filled in";

const LISTED: &str = "[COLUMN, …]";

impl Plan {
    /// Lists what follows for each migrated table.
    pub(super) fn follows(&self) -> Vec<Decision> {
        let mut found = Vec::new();
        for (position, &source) in self.rewritten.source_tables.iter().enumerate() {
            let target = TableId(position as u32);
            self.columns_that_follow(source, target, &mut found);
            self.keys_that_stay(source, &mut found);
            self.keys_that_are_added(source, target, &mut found);
            self.foreign_keys_that_are_added(source, target, &mut found);
        }
        found
    }

    fn columns_that_follow(&self, source: TableId, target: TableId, found: &mut Vec<Decision>) {
        let schema = &self.rewritten.target;
        let tenant = self.rewritten.tenant_columns[target.index()];
        for &id in &schema.table(target).columns {
            let column = schema.column(id);
            let (choice, reason) = match self.rewritten.values[id.index()] {
                ColumnValue::Tenant if self.source.find_column(source, &column.name).is_none() => {
                    (ADDED, "NOT NULL, the tenant of the row".to_owned())
                }
                ColumnValue::Tenant => (FILLED_IN, "NOT NULL, the tenant of the row".to_owned()),
                ColumnValue::Source(from) | ColumnValue::TenantId(from)
                    if tenant == Some(id) && self.tenancy.table(source).placement != Placement::Root =>
                {
                    let since = if self.source.column(from).not_null { "as it was" } else { "from now on" };
                    (KEPT, format!("the source's own column, NOT NULL {since}"))
                }
                ColumnValue::ReferenceTenant(foreign_key) => {
                    let columns = &self.source.foreign_key(foreign_key).columns;
                    let columns = self.source.column_names(columns).collect::<Vec<_>>().join(", ");
                    let null = if column.not_null { "NOT NULL" } else { "NULL where that is" };
                    (ADDED, format!("the tenant of the row that ({columns}) refers to, {null}"))
                }
                _ => continue,
            };
            found.push(follows(source, About::Column(column.name.clone()), choice, reason, &[]));
        }
    }

    fn keys_that_stay(&self, source: TableId, found: &mut Vec<Decision>) {
        let reason = match self.tenancy.table(source).placement {
            Placement::Root => "each row is a tenant",
            _ => "the rows belong to no tenant",
        };
        let is_decided = |about: &About| self.decisions_about(source).any(|decision| decision.about == *about);
        let mut stays = |about: About, others: &[&str]| {
            if !is_decided(&about) {
                found.push(follows(source, about, AS_IT_IS, reason.to_owned(), others));
            }
        };
        if self.source.table(source).primary_key.is_some() {
            stays(About::PrimaryKey, &[LISTED]);
        }
        for (name, _) in self.unique_objects(source) {
            stays(About::Unique(name), &[LISTED, "omit"]);
        }
        for &id in self.source.table(source).indexes.iter().filter(|&&id| !self.source.index(id).unique) {
            stays(About::Index(self.source.index(id).name.clone()), &[LISTED, "omit"]);
        }
    }

    /// Beside a key that stays global stands a wider one, where foreign keys refer to it with the tenant.
    fn keys_that_are_added(&self, source: TableId, target: TableId, found: &mut Vec<Decision>) {
        let tenancy = self.tenancy.table(source);
        let known: Vec<Vec<ColumnId>> = self
            .unique_objects(source)
            .into_iter()
            .filter_map(|(_, object)| {
                let (decided, own) = match object {
                    UniqueObject::Key(id) => (tenancy.unique.get(&id), self.source.key(id).columns.clone()),
                    UniqueObject::Index(id) => (tenancy.indexes.get(&id), self.source.index(id).plain_columns()?),
                };
                self.key_after(source, decided.unwrap_or(&KeyTenancy::Global), &own)
            })
            .collect();
        let schema = &self.rewritten.target;
        for key in schema.table(target).unique_keys.iter().map(|&key| schema.key(key)) {
            if !known.contains(&key.columns) {
                let columns = schema.column_names(&key.columns).collect::<Vec<_>>().join(", ");
                let reason = "foreign keys refer to these columns".to_owned();
                found.push(follows(source, About::Unique(columns), ADDED, reason, &[]));
            }
        }
    }

    fn foreign_keys_that_are_added(&self, source: TableId, target: TableId, found: &mut Vec<Decision>) {
        let schema = &self.rewritten.target;
        let of_root = |&id: &ForeignKeyId| self.rewritten.source_foreign_keys[id.index()].is_none();
        for foreign_key in schema.table(target).foreign_keys.iter().filter(|id| of_root(id)) {
            let foreign_key = schema.foreign_key(*foreign_key);
            let columns = schema.column_names(&foreign_key.columns).collect::<Vec<_>>().join(", ");
            let others: Vec<&str> = [
                (Some(Action::NoAction), "{foreign_key: no_action}"),
                (Some(Action::Restrict), "{foreign_key: restrict}"),
                (Some(Action::Cascade), "{foreign_key: cascade}"),
                (None, "{foreign_key: none}"),
            ]
            .iter()
            .filter(|(action, _)| *action != Some(foreign_key.on_delete))
            .map(|(_, words)| *words)
            .collect();
            let reason = "each tenant is a row of it".to_owned();
            found.push(follows(source, About::ForeignKey(columns, None), ADDED, reason, &others));
        }
    }
}

fn follows(table: TableId, about: About, choice: &str, reason: String, others: &[&str]) -> Decision {
    Decision {
        table,
        about,
        choice: choice.to_owned(),
        origin: Origin::Inferred(reason),
        alternatives: others.iter().map(|&other| other.to_owned()).collect(),
    }
}

/// Orders what is decided about a table: whose its rows are, what they hold for that, keys, references, then the rest.
pub(super) fn rank(decision: &Decision) -> u8 {
    let of_tenancy = [ADDED, KEPT, FILLED_IN].contains(&decision.choice.as_str());
    match decision.about {
        About::Placement | About::Name | About::Tenant => 0,
        About::Column(_) if of_tenancy => 1,
        About::PrimaryKey => 2,
        About::Unique(_) => 3,
        About::ForeignKey(..) => 4,
        About::Column(_) => 5,
        About::Check(_) => 6,
        About::Rows => 7,
        About::Rls => 8,
        About::Index(_) => 9,
    }
}
