//! Tables whose rows get their tenant through rows of their own table.

use super::owners::{ABSENT, Owner};

/// What one row of a tree says, as packed owners; `ABSENT` where it says nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// What the sources before the tree find.
    pub before: u32,
    /// The row that it refers to, by its number.
    pub parent: u32,
    /// What the sources after the tree find.
    pub after: u32,
}

/// The rows of one table and what they refer to: sixteen bytes a row, while they are being resolved.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    links: Vec<Link>,
}

impl Tree {
    /// Numbers one more row.
    pub fn add(&mut self) -> u32 {
        self.links.push(Link { before: ABSENT, parent: ABSENT, after: ABSENT });
        self.links.len() as u32 - 1
    }

    /// Notes what a row says.
    pub fn link(&mut self, row: u32, link: Link) {
        if let Some(slot) = self.links.get_mut(row as usize) {
            *slot = link;
        }
    }

    /// Finds the owner of every row, by its number, as packed owners.
    ///
    /// A row is walked up from until an owner is known or nothing is referred to, and the walk's rows are settled on the
    /// way back: each row is visited twice at most. A walk that comes back to one of its own rows never ends.
    pub fn resolve(self) -> Vec<u32> {
        let endless = Owner::Endless.packed();
        let nobody = Owner::Nobody.packed();
        let mut owners = vec![ABSENT; self.links.len()];
        let mut on_walk = vec![false; self.links.len()];
        let mut walk = Vec::new();
        for start in 0..self.links.len() {
            let mut here = start;
            let mut found = loop {
                let link = self.links[here];
                match owners[here] {
                    ABSENT if on_walk[here] => break endless,
                    ABSENT if link.before != ABSENT => {
                        owners[here] = link.before;
                        break link.before;
                    }
                    ABSENT if link.parent == ABSENT => {
                        owners[here] = if link.after == ABSENT { nobody } else { link.after };
                        break owners[here];
                    }
                    ABSENT => {
                        on_walk[here] = true;
                        walk.push(here);
                        here = link.parent as usize;
                    }
                    known => break known,
                }
            };
            while let Some(row) = walk.pop() {
                on_walk[row] = false;
                if found == nobody && self.links[row].after != ABSENT {
                    found = self.links[row].after;
                }
                owners[row] = found;
            }
        }
        owners
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(rows: &[(u32, u32, u32)]) -> Vec<Option<Owner>> {
        let mut tree = Tree::default();
        for &(before, parent, after) in rows {
            let row = tree.add();
            tree.link(row, Link { before, parent, after });
        }
        tree.resolve().into_iter().map(Owner::unpacked).collect()
    }

    #[test]
    fn rows_take_the_tenant_of_their_root_in_any_order() {
        let found = resolved(&[(ABSENT, 1, ABSENT), (ABSENT, 2, ABSENT), (ABSENT, ABSENT, 5), (ABSENT, 0, 9)]);
        assert_eq!(found, vec![Some(Owner::Tenant(5)); 4]);
    }

    #[test]
    fn what_stands_before_the_tree_counts_first_and_what_stands_after_it_last() {
        let found = resolved(&[(ABSENT, ABSENT, ABSENT), (3, 0, 4), (ABSENT, 0, 4), (ABSENT, 2, 8), (ABSENT, 1, 8)]);
        let tenants = [Owner::Nobody, Owner::Tenant(3), Owner::Tenant(4), Owner::Tenant(4), Owner::Tenant(3)];
        assert_eq!(found, tenants.map(Some));
    }

    #[test]
    fn a_circle_and_what_leads_into_it_never_ends() {
        let found = resolved(&[(ABSENT, 2, 1), (ABSENT, 1, 1), (ABSENT, 0, 1), (ABSENT, 2, 1), (7, 3, ABSENT)]);
        assert_eq!(found[..4], [Some(Owner::Endless); 4]);
        assert_eq!(found[4], Some(Owner::Tenant(7)));
    }

    #[test]
    fn a_chain_of_any_length_takes_no_stack() {
        let rows: Vec<_> = (1..=300_000).map(|next| (ABSENT, next, ABSENT)).chain([(6, ABSENT, ABSENT)]).collect();
        assert!(resolved(&rows).iter().all(|owner| *owner == Some(Owner::Tenant(6))));
    }
}
