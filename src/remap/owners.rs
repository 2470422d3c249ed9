//! Whose a row is, in four bytes.

use super::tenants::TenantOrdinal;
use std::collections::HashMap;

/// What is known of a row's tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// It belongs to this tenant.
    Tenant(TenantOrdinal),
    /// Each tenant of this set has a copy: two at least. See [`Sets`].
    Set(u32),
    /// Each tenant has a copy.
    Every,
    /// It belongs to all: its table is shared.
    Shared,
    /// Nothing says whose it is; that is its own fault, not that of the rows that refer to it.
    Nobody,
    /// It gets its tenant through itself, by a way that never ends.
    Endless,
}

/// Stands for nothing known of a key.
pub(super) const ABSENT: u32 = u32::MAX;
const SHARED: u32 = u32::MAX - 1;
const NOBODY: u32 = u32::MAX - 2;
const EVERY: u32 = u32::MAX - 3;
const ENDLESS: u32 = u32::MAX - 4;
/// From here on, sets are numbered; below it, tenants.
const FIRST_SET: u32 = 1 << 31;

impl Owner {
    /// Returns the owner as a number other than [`ABSENT`].
    pub fn packed(self) -> u32 {
        match self {
            Self::Tenant(ordinal) => ordinal,
            Self::Set(number) => FIRST_SET + number,
            Self::Every => EVERY,
            Self::Shared => SHARED,
            Self::Nobody => NOBODY,
            Self::Endless => ENDLESS,
        }
    }

    /// Reads what [`Owner::packed`] gives; `None` for [`ABSENT`].
    pub fn unpacked(packed: u32) -> Option<Self> {
        match packed {
            ABSENT => None,
            SHARED => Some(Self::Shared),
            NOBODY => Some(Self::Nobody),
            EVERY => Some(Self::Every),
            ENDLESS => Some(Self::Endless),
            FIRST_SET.. => Some(Self::Set(packed - FIRST_SET)),
            ordinal => Some(Self::Tenant(ordinal)),
        }
    }
}

/// Numbers the sets of tenants that rows are copied for; few differ, so a row carries a number.
#[derive(Debug, Clone, Default)]
pub(super) struct Sets {
    members: Vec<Box<[TenantOrdinal]>>,
    numbers: HashMap<Box<[TenantOrdinal]>, u32>,
    unions: HashMap<(Owner, Owner), Owner>,
}

impl Sets {
    /// Returns the tenants of a set, in ascending order.
    pub fn members(&self, number: u32) -> &[TenantOrdinal] {
        &self.members[number as usize]
    }

    /// Joins the tenants of two owners; owners without tenants add none.
    pub fn union(&mut self, one: Owner, other: Owner) -> Owner {
        let has_tenants = |owner| matches!(owner, Owner::Tenant(_) | Owner::Set(_) | Owner::Every);
        match (one, other) {
            _ if one == other || !has_tenants(other) => one,
            _ if !has_tenants(one) => other,
            (Owner::Every, _) | (_, Owner::Every) => Owner::Every,
            _ => match self.unions.get(&(one, other)) {
                Some(&known) => known,
                None => {
                    let mut members: Vec<TenantOrdinal> = self.of(one).into_iter().chain(self.of(other)).collect();
                    members.sort_unstable();
                    members.dedup();
                    let joined = Owner::Set(self.number(members.into_boxed_slice()));
                    self.unions.insert((one, other), joined);
                    joined
                }
            },
        }
    }

    /// Says whether a tenant is among an owner's.
    pub fn contains(&self, owner: Owner, tenant: TenantOrdinal) -> bool {
        match owner {
            Owner::Tenant(only) => only == tenant,
            Owner::Set(number) => self.members(number).binary_search(&tenant).is_ok(),
            Owner::Every => true,
            Owner::Shared | Owner::Nobody | Owner::Endless => false,
        }
    }

    fn of(&self, owner: Owner) -> Vec<TenantOrdinal> {
        match owner {
            Owner::Tenant(ordinal) => vec![ordinal],
            Owner::Set(number) => self.members(number).to_vec(),
            _ => Vec::new(),
        }
    }

    fn number(&mut self, members: Box<[TenantOrdinal]>) -> u32 {
        if let Some(&number) = self.numbers.get(&members) {
            return number;
        }
        let number = self.members.len() as u32;
        self.members.push(members.clone());
        self.numbers.insert(members, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_owner_survives_packing() {
        for owner in [
            Owner::Tenant(0),
            Owner::Tenant(FIRST_SET - 1),
            Owner::Set(0),
            Owner::Set(7),
            Owner::Every,
            Owner::Shared,
            Owner::Nobody,
            Owner::Endless,
        ] {
            assert_eq!(Owner::unpacked(owner.packed()), Some(owner));
        }
        assert_eq!(Owner::unpacked(ABSENT), None);
    }

    #[test]
    fn unions_are_sets_whatever_their_order() {
        let mut sets = Sets::default();
        let one = sets.union(Owner::Tenant(2), Owner::Tenant(1));
        let other = sets.union(Owner::Tenant(1), Owner::Tenant(2));
        assert_eq!(one, other);
        assert_eq!(sets.union(one, Owner::Tenant(1)), one);
        let three = sets.union(Owner::Tenant(0), one);
        let Owner::Set(number) = three else { panic!("{three:?}") };
        assert_eq!(sets.members(number), [0, 1, 2]);
        assert_eq!(sets.union(three, Owner::Every), Owner::Every);
        assert_eq!(sets.union(Owner::Nobody, Owner::Tenant(4)), Owner::Tenant(4));
        assert_eq!(sets.union(Owner::Tenant(4), Owner::Shared), Owner::Tenant(4));
        assert!(sets.contains(one, 2) && !sets.contains(one, 0));
    }
}
