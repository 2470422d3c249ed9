//! Rows in, fields of binary COPY or faults out.

use super::fault::{Fault, FaultKind};
use super::owners::{ABSENT, Owner, Sets};
use super::passes::{Computed, Field, KeyPass, Layout, Learns, Reference, TablePass};
use super::planted::planted;
use super::source::{Known, Row, TenantOf, Why};
use super::tenants::{TenantOrdinal, TenantReader, Tenants, Unread};
use super::tree::{Link, Tree};
use super::{conversion, convert};
use crate::plan::Plan;
use crate::schema::{Affinity, ColumnId, TableId, Value, apply_affinity};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One row of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetRow {
    /// Whose it is; `None` for a shared row.
    pub tenant: Option<TenantOrdinal>,
    /// Where its bytes end.
    pub end: usize,
}

/// Learns keys and tenants, then remaps rows.
///
/// Clones share what has been learnt of keys, so that several threads can remap the rows of different tables.
#[derive(Debug, Clone)]
pub struct Remapper<'p> {
    plan: &'p Plan,
    layout: Layout<'p>,
    known: Known<'p>,
    key_passes: Vec<KeyPass>,
    tree: Tree,
    /// How many tenants there are, from the first row on that went out.
    everyone: Option<TenantOrdinal>,
    owners: Vec<Option<Owner>>,
    rows: Vec<TargetRow>,
}

impl<'p> Remapper<'p> {
    /// Prepares for a plan. Nothing is known of the rows yet: run the key passes first, in order.
    pub fn new(plan: &'p Plan) -> Self {
        let (layout, maps) = Layout::new(plan);
        let key_passes = layout.key_passes();
        let root = plan.tenancy.root.as_ref();
        let root_type = root.and_then(|root| {
            let table = plan.rewritten.source_tables.iter().position(|&table| table == root.table)?;
            let key = plan.rewritten.tenant_columns[table]?;
            Some(plan.rewritten.target.column(key).data_type)
        });
        let data_type = plan.tenancy.tenant.data_type.or(root_type);
        let affinity = match root.filter(|root| root.created.is_none()) {
            Some(root) => plan.source.column(root.key).data_type.affinity(),
            None => Affinity::Blob,
        };
        let reader = TenantReader::new(data_type, &plan.tenancy.tenant.ids, affinity);
        Self {
            plan,
            layout,
            known: Known { reader, maps: Arc::new(maps), sets: Sets::default(), roots: None, scratch: Vec::new() },
            key_passes,
            tree: Tree::default(),
            everyone: None,
            owners: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Returns what has to be learnt before rows can be remapped, in an order in which each pass finds what it needs.
    pub fn key_passes(&self) -> &[KeyPass] {
        &self.key_passes
    }

    /// Learns one row of a key pass. `values` are those of [`KeyPass::columns`], then of [`KeyPass::expressions`].
    pub fn learn(&mut self, pass: usize, values: &[Value<'_>]) {
        let Self { key_passes, known, tree, .. } = self;
        let pass = &key_passes[pass];
        let row = Row { values, columns: pass.columns.len() };
        match &pass.learns {
            Learns::Owners { tenant, keys, uses } => {
                let owner = match known.find(tenant, row, &mut None) {
                    Ok(owner) => owner,
                    Err(Why::Endless) => Owner::Endless,
                    Err(_) => Owner::Nobody,
                };
                for (map, key) in keys {
                    if let Some(slot) = Arc::make_mut(&mut known.maps)[*map].slot(values, key, &mut known.scratch) {
                        *slot = owner.packed();
                    }
                }
                for (map, key) in uses {
                    if let Some(slot) = Arc::make_mut(&mut known.maps)[*map].slot(values, key, &mut known.scratch) {
                        let before = Owner::unpacked(*slot).unwrap_or(Owner::Nobody);
                        *slot = known.sets.union(before, owner).packed();
                    }
                }
            }
            Learns::TreeKeys { map, key } => {
                if let Some(slot) = Arc::make_mut(&mut known.maps)[*map].slot(values, key, &mut known.scratch) {
                    *slot = tree.add();
                }
            }
            Learns::TreeLinks { map, key, parent, before, after } => {
                let (Ok(number), parent) = (
                    known.maps[*map].packed(values, key, &mut known.scratch),
                    known.maps[*map].packed(values, parent, &mut known.scratch),
                ) else {
                    return;
                };
                let before = match known.find(before, row, &mut None) {
                    Ok(owner) => owner.packed(),
                    // What contradicts itself has no tenant, whatever stands above it.
                    Err(Why::Several | Why::UnfitColumn(..) | Why::UnmappedColumn(..)) => Owner::Nobody.packed(),
                    Err(_) => ABSENT,
                };
                let after = known.find(after, row, &mut None).map_or(ABSENT, Owner::packed);
                tree.link(number, Link { before, parent: parent.unwrap_or(ABSENT), after });
            }
        }
    }

    /// Says that all rows of a key pass have been learnt.
    pub fn learnt(&mut self, pass: usize) {
        match &self.key_passes[pass].learns {
            Learns::Owners { tenant: TenantOf::Column { root: true, .. }, .. } => {
                self.known.roots = Some(self.known.reader.tenants.len() as TenantOrdinal);
            }
            Learns::TreeLinks { map, .. } => {
                let owners = std::mem::take(&mut self.tree).resolve();
                let nobody = Owner::Nobody.packed();
                Arc::make_mut(&mut self.known.maps)[*map]
                    .replace(|row| owners.get(row as usize).copied().unwrap_or(nobody));
            }
            Learns::Owners { .. } | Learns::TreeKeys { .. } => {}
        }
    }

    /// Returns the tenants seen so far.
    pub fn tenants(&self) -> &Tenants {
        &self.known.reader.tenants
    }

    /// Returns a tenant's field of binary COPY, by its id as the run spells it. Two ids with the same field are one tenant.
    ///
    /// # Errors
    /// Why the target has no such id, as a fragment.
    pub fn tenant_field(&mut self, id: &str) -> Result<Vec<u8>, String> {
        let reader = &mut self.known.reader;
        match reader.computed(&Value::Text(Cow::Borrowed(id.as_bytes()))) {
            Ok(ordinal) => Ok(reader.tenants.field(ordinal).to_vec()),
            Err(Unread::Null) => Err("it is empty".to_owned()),
            Err(Unread::Unfit(reason) | Unread::Unmapped(reason)) => Err(reason),
        }
    }

    /// Prepares to remap the rows of a target table.
    pub fn table_pass(&self, target: TableId) -> TablePass {
        self.layout.table_pass(target)
    }

    /// Returns the rows of a root that the source does not have, as the values of its [`TablePass::columns`]: one for each
    /// tenant that the rows of the source or the spec name.
    pub fn created_rows(&mut self, pass: &TablePass) -> Vec<Vec<Value<'static>>> {
        let created = self.plan.tenancy.root.as_ref().filter(|root| root.table == pass.table);
        let Some((root, created)) = created.and_then(|root| Some((root, root.created.as_ref()?))) else {
            return Vec::new();
        };
        let mut named = BTreeMap::new();
        let mut unread = Vec::new();
        for (id, values) in &created.rows {
            match self.known.reader.computed(&Value::Text(Cow::Borrowed(id.as_bytes()))) {
                Ok(ordinal) => {
                    named.insert(ordinal, values);
                }
                Err(_) => unread.push(values),
            }
        }
        let row = |ordinal: Value<'static>, named: Option<&Vec<(ColumnId, String)>>| {
            let value = |&column: &ColumnId| match named.into_iter().flatten().find(|(other, _)| *other == column) {
                _ if column == root.key => ordinal.clone(),
                Some((_, text)) => spelled(text, self.plan, pass, column),
                None => Value::Null,
            };
            pass.columns.iter().map(value).collect()
        };
        let ordinals = 0..self.known.reader.tenants.len() as TenantOrdinal;
        let found = ordinals.map(|ordinal| row(Value::Integer(ordinal.into()), named.get(&ordinal).copied()));
        found.chain(unread.into_iter().map(|values| row(Value::Null, Some(values)))).collect()
    }

    /// Remaps one row: appends the target's rows to `out`, one for each of its tenants, and returns them; or adds to
    /// `faults` all that is wrong with it, and returns none.
    ///
    /// `values` are those of [`TablePass::columns`], then of [`TablePass::expressions`]. With a fault `out` is as it was.
    pub fn row(
        &mut self,
        pass: &TablePass,
        values: &[Value<'_>],
        out: &mut Vec<u8>,
        faults: &mut Vec<Fault>,
    ) -> &[TargetRow] {
        let (start, faults_before) = (out.len(), faults.len());
        let row = Row { values, columns: pass.columns.len() };
        let owner = match self.known.find(&pass.tenant, row, &mut Some(faults)) {
            Ok(owner) => Some(owner),
            Err(why) => {
                faults.extend(why.fault(&pass.tenant));
                None
            }
        };
        self.check_filled(pass, values, owner, faults);
        self.rows.clear();
        self.add_rows_of(owner, faults);
        let mut owners = std::mem::take(&mut self.owners);
        owners.clear();
        for reference in &pass.references {
            owners.push(self.reference(reference, values, owner, faults));
        }
        self.hold_computed(pass, values, out, faults);
        for position in 0..self.rows.len() {
            let tenant = self.rows[position].tenant;
            self.write(pass, values, (tenant, &owners), out, faults);
            // What is wrong with one copy is wrong with all.
            if faults.len() > faults_before {
                break;
            }
            self.rows[position].end = out.len();
        }
        self.owners = owners;
        if faults.len() > faults_before {
            out.truncate(start);
            self.rows.clear();
        }
        &self.rows
    }

    /// Makes room for a row for each tenant, and for one where there is none: all that is wrong with it is to be found.
    fn add_rows_of(&mut self, owner: Option<Owner>, faults: &mut Vec<Fault>) {
        let row = |tenant| TargetRow { tenant, end: 0 };
        match owner {
            Some(Owner::Tenant(ordinal)) => self.rows.push(row(Some(ordinal))),
            Some(Owner::Set(number)) => {
                let members = self.known.sets.members(number);
                let count = planted!(CopyForgotten, members.len(), members.len() - 1);
                self.rows.extend(members.iter().take(count).map(|&ordinal| row(Some(ordinal))));
            }
            Some(Owner::Every) => {
                let everyone = self.everyone();
                self.rows.extend((0..everyone).map(|ordinal| row(Some(ordinal))));
                if everyone == 0 {
                    let reason = "there is no tenant to have a copy".to_owned();
                    faults.push(Fault { kind: FaultKind::NoTenant, reason });
                }
            }
            Some(Owner::Shared | Owner::Nobody | Owner::Endless) | None => self.rows.push(row(None)),
        }
    }

    fn everyone(&mut self) -> TenantOrdinal {
        let found = self.known.reader.tenants.len() as TenantOrdinal;
        *self.everyone.get_or_insert(self.known.roots.unwrap_or(found))
    }

    /// A column that the tenant is filled into must not name another tenant already.
    fn check_filled(&mut self, pass: &TablePass, values: &[Value<'_>], owner: Option<Owner>, faults: &mut Vec<Fault>) {
        let (Some(position), Some(owner)) = (pass.filled, owner) else { return };
        let column = pass.columns[position];
        match self.known.reader.stored(&values[position]) {
            Ok(ordinal) if owner == Owner::Tenant(ordinal) => {}
            Ok(_) => {
                let reason = "names another tenant than the one that its table's sources find first".to_owned();
                faults.push(Fault { kind: FaultKind::ColumnConflict(column), reason });
            }
            Err(Unread::Null) => {}
            Err(Unread::Unfit(reason)) => faults.push(Fault { kind: FaultKind::Unfit(column), reason }),
            Err(Unread::Unmapped(reason)) => faults.push(Fault { kind: FaultKind::Unmapped(column), reason }),
        }
    }

    fn write(
        &mut self,
        pass: &TablePass,
        values: &[Value<'_>],
        (tenant, owners): (Option<TenantOrdinal>, &[Option<Owner>]),
        out: &mut Vec<u8>,
        faults: &mut Vec<Fault>,
    ) {
        const NULL: [u8; 4] = (-1_i32).to_be_bytes();
        out.extend_from_slice(&(pass.fields.len() as i16).to_be_bytes());
        for field in &pass.fields {
            match field {
                Field::Value { position, not_null: true, conversion, .. }
                    if conversion
                        .as_ref()
                        .map_or(values[*position].is_null(), |rule| rule.is_null(&values[*position])) =>
                {
                    self.null(pass, *position, faults);
                }
                Field::TenantId { position, not_null: true } if values[*position].is_null() => {
                    self.null(pass, *position, faults);
                }
                Field::Value { position, data_type, conversion, .. } => {
                    let value = &values[planted!(ColumnsSwapped, *position, super::planted::twin(pass, *position))];
                    let written = match conversion {
                        Some(rule) => conversion::field(value, *data_type, rule, out),
                        None => convert::field(value, *data_type, out),
                    };
                    if let Err(reason) = written {
                        faults.push(Fault { kind: FaultKind::Unfit(pass.columns[*position]), reason });
                    }
                }
                Field::TenantId { position, .. } => match self.known.reader.stored(&values[*position]) {
                    Ok(ordinal) => out.extend_from_slice(self.known.reader.tenants.field(ordinal)),
                    Err(Unread::Null) => out.extend_from_slice(&NULL),
                    Err(Unread::Unfit(reason)) => {
                        faults.push(Fault { kind: FaultKind::Unfit(pass.columns[*position]), reason });
                    }
                    Err(Unread::Unmapped(reason)) => {
                        faults.push(Fault { kind: FaultKind::Unmapped(pass.columns[*position]), reason });
                    }
                },
                // A row without a tenant has a fault, and is not written.
                Field::Tenant => {
                    if let Some(ordinal) = tenant {
                        let owner = planted!(FirstTenantForAll, ordinal, 0);
                        out.extend_from_slice(self.known.reader.tenants.field(owner));
                    }
                }
                Field::ReferenceTenant { reference } => {
                    let ordinal = match owners[*reference] {
                        Some(Owner::Tenant(ordinal)) => planted!(OwnTenantInReference, Some(ordinal), tenant),
                        // Of several copies it refers to the one of its own tenant.
                        Some(Owner::Set(_) | Owner::Every) => tenant,
                        Some(Owner::Shared | Owner::Nobody | Owner::Endless) | None => None,
                    };
                    match ordinal {
                        Some(ordinal) => out.extend_from_slice(self.known.reader.tenants.field(ordinal)),
                        None => out.extend_from_slice(&NULL),
                    }
                }
            }
        }
    }

    /// Holds what SQLite has computed to the columns that PostgreSQL computes; nothing of it is written.
    fn hold_computed(&self, pass: &TablePass, values: &[Value<'_>], out: &mut Vec<u8>, faults: &mut Vec<Fault>) {
        for &Computed { position, data_type, not_null } in &pass.computed {
            let end = out.len();
            if not_null && values[position].is_null() {
                self.null(pass, position, faults);
            } else if let Err(reason) = convert::field(&values[position], data_type, out) {
                faults.push(Fault { kind: FaultKind::Unfit(pass.columns[position]), reason });
            }
            out.truncate(end);
        }
    }

    /// Reports a NULL where the target takes none; one in the tenant column has been reported as a row without a tenant.
    fn null(&self, pass: &TablePass, position: usize, faults: &mut Vec<Fault>) {
        if !matches!(pass.tenant, TenantOf::Column { position: tenant, .. } if tenant == position) {
            let kind = FaultKind::Null(pass.columns[position]);
            faults.push(Fault { kind, reason: "NULL in a column that takes none".to_owned() });
        }
    }

    /// Looks up what a foreign key refers to; `None` where it is NULL or leads to no row.
    fn reference(
        &mut self,
        reference: &Reference,
        values: &[Value<'_>],
        own: Option<Owner>,
        faults: &mut Vec<Fault>,
    ) -> Option<Owner> {
        let found = self.known.maps[reference.map].get(values, &reference.positions, &mut self.known.scratch);
        let Ok(theirs) = found else { return None };
        let fault = match (theirs, own) {
            (None, _) => Some((FaultKind::Orphan(reference.foreign_key), "refers to a row that does not exist")),
            (Some(Owner::Tenant(theirs)), Some(Owner::Tenant(own))) => (reference.same_tenant && theirs != own)
                .then_some((FaultKind::Conflict(reference.foreign_key), "refers to a row of another tenant")),
            (Some(theirs @ (Owner::Tenant(_) | Owner::Set(_) | Owner::Every)), Some(own)) => {
                let must_be_there = reference.same_tenant || !matches!(theirs, Owner::Tenant(_));
                (must_be_there && !self.all_have(own, theirs)).then_some((
                    FaultKind::Conflict(reference.foreign_key),
                    "refers to a row that has no copy in its tenant",
                ))
            }
            _ => None,
        };
        faults.extend(fault.map(|(kind, reason)| Fault { kind, reason: reason.to_owned() }));
        theirs
    }

    /// Says whether each tenant that has a copy of one row has a copy of the other, too.
    fn all_have(&mut self, own: Owner, theirs: Owner) -> bool {
        let everyone = self.everyone();
        let sets = &self.known.sets;
        match own {
            Owner::Tenant(ordinal) => sets.contains(theirs, ordinal),
            Owner::Set(number) => sets.members(number).iter().all(|&ordinal| sets.contains(theirs, ordinal)),
            Owner::Every => (0..everyone).all(|ordinal| sets.contains(theirs, ordinal)),
            // A shared row cannot say which copy it means.
            Owner::Shared => false,
            Owner::Nobody | Owner::Endless => true,
        }
    }
}

/// Reads a value that the spec spells out for a column of a created root.
fn spelled(text: &str, plan: &Plan, pass: &TablePass, column: ColumnId) -> Value<'static> {
    let target = pass.fields.iter().zip(&pass.target_columns).find_map(|(field, &target)| match field {
        Field::Value { position, .. } if pass.columns[*position] == column => Some(target),
        _ => None,
    });
    let value = Value::Text(Cow::Owned(text.as_bytes().to_vec()));
    match target.map(|target| plan.rewritten.target.column(target).data_type) {
        Some(data_type) => apply_affinity(&value, super::tenants::affinity_of(Some(data_type))),
        None => value,
    }
}
