//! The foreign-key graph: what a table reaches, cycles, and the order in which tables can be loaded.

use crate::schema::{ForeignKeyId, Schema, TableId};
use petgraph::algo::{is_cyclic_directed, tarjan_scc};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::unionfind::UnionFind;
use petgraph::visit::EdgeRef;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Holds one node a table and one edge a foreign key, from the referring table to the one referred to.
#[derive(Debug, Clone)]
pub struct ForeignKeyGraph {
    graph: DiGraph<TableId, ForeignKeyId>,
    names: Vec<String>,
}

impl ForeignKeyGraph {
    /// Builds the graph of all foreign keys of a schema.
    pub fn new<T>(schema: &Schema<T>) -> Self {
        let mut graph = DiGraph::with_capacity(schema.tables.len(), schema.foreign_keys.len());
        for table in schema.table_ids() {
            graph.add_node(table);
        }
        for (position, foreign_key) in schema.foreign_keys.iter().enumerate() {
            graph.add_edge(node(foreign_key.table), node(foreign_key.referenced_table), ForeignKeyId(position as u32));
        }
        Self { graph, names: schema.tables.iter().map(|table| table.name.clone()).collect() }
    }

    /// Returns the tables in groups, each group after all that it refers to; a group of several is a cycle.
    ///
    /// Groups and the tables in a group are ordered by name where the foreign keys leave a choice, so the order of
    /// the source text does not matter.
    pub fn load_order(&self) -> Vec<Vec<TableId>> {
        let mut groups: Vec<Vec<TableId>> = tarjan_scc(&self.graph)
            .into_iter()
            .map(|group| {
                let mut tables: Vec<TableId> = group.into_iter().map(|index| self.graph[index]).collect();
                tables.sort_by_key(|table| &self.names[table.index()]);
                tables
            })
            .collect();
        groups.sort_by_key(|group| &self.names[group[0].index()]);
        let group_of: BTreeMap<TableId, usize> = groups
            .iter()
            .enumerate()
            .flat_map(|(position, group)| group.iter().map(move |&table| (table, position)))
            .collect();
        let mut waits_for: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); groups.len()];
        let mut waited_on_by: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); groups.len()];
        for edge in self.graph.edge_references() {
            let (child, parent) = (group_of[&self.graph[edge.source()]], group_of[&self.graph[edge.target()]]);
            if child != parent {
                waits_for[child].insert(parent);
                waited_on_by[parent].insert(child);
            }
        }
        // Positions follow the names, so the smallest ready position is the first name.
        let mut ready: BTreeSet<usize> = (0..groups.len()).filter(|&group| waits_for[group].is_empty()).collect();
        let mut order = Vec::with_capacity(groups.len());
        while let Some(group) = ready.pop_first() {
            order.push(group);
            for &child in &waited_on_by[group] {
                waits_for[child].remove(&group);
                if waits_for[child].is_empty() {
                    ready.insert(child);
                }
            }
        }
        order.into_iter().map(|group| std::mem::take(&mut groups[group])).collect()
    }

    /// Returns the groups of tables that refer to each other in a circle, without plain self-references.
    pub fn cycles(&self) -> Vec<Vec<TableId>> {
        self.load_order().into_iter().filter(|group| group.len() > 1).collect()
    }

    /// Finds the shortest chain of foreign keys from `start` to a table that `arrived` accepts, never through `avoid`
    /// or a table that `blocked` names. An empty chain means that `start` itself is accepted.
    pub fn path(
        &self,
        start: TableId,
        avoid: TableId,
        arrived: &impl Fn(TableId) -> bool,
        blocked: &impl Fn(TableId) -> bool,
    ) -> Option<Vec<ForeignKeyId>> {
        let mut came_by: BTreeMap<TableId, Option<(TableId, ForeignKeyId)>> = BTreeMap::from([(start, None)]);
        let mut queue = VecDeque::from([start]);
        while let Some(table) = queue.pop_front() {
            if table == avoid || blocked(table) {
                continue;
            }
            if arrived(table) {
                let mut chain = Vec::new();
                let mut here = table;
                while let Some(Some((from, foreign_key))) = came_by.get(&here) {
                    chain.push(*foreign_key);
                    here = *from;
                }
                chain.reverse();
                return Some(chain);
            }
            let mut steps: Vec<(ForeignKeyId, TableId)> =
                self.graph.edges(node(table)).map(|edge| (*edge.weight(), self.graph[edge.target()])).collect();
            steps.sort_by_key(|(foreign_key, parent)| (&self.names[parent.index()], *foreign_key));
            for (foreign_key, parent) in steps {
                came_by.entry(parent).or_insert_with(|| {
                    queue.push_back(parent);
                    Some((table, foreign_key))
                });
            }
        }
        None
    }
}

/// What has to be done before what, over the positions of a list.
#[derive(Debug, Clone)]
pub struct Needs {
    graph: DiGraph<(), ()>,
}

impl Needs {
    /// Builds the graph of `size` positions from pairs of one and another that it needs.
    pub fn new(size: usize, pairs: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut graph = DiGraph::with_capacity(size, size);
        for _ in 0..size {
            graph.add_node(());
        }
        for (position, needed) in pairs {
            graph.update_edge(NodeIndex::new(position), NodeIndex::new(needed), ());
        }
        Self { graph }
    }

    /// Says whether some order satisfies all of them.
    pub fn have_an_order(&self) -> bool {
        !is_cyclic_directed(&self.graph)
    }

    /// Says whether all that a position needs is done.
    pub fn are_met(&self, position: usize, done: &impl Fn(usize) -> bool) -> bool {
        self.graph.neighbors(NodeIndex::new(position)).all(|needed| done(needed.index()))
    }
}

/// Groups the positions below `size` that pairs join, directly or through others: two positions with the same number
/// in the answer are joined.
pub fn joined(size: usize, pairs: impl IntoIterator<Item = (usize, usize)>) -> Vec<usize> {
    let mut groups = UnionFind::new(size);
    for (one, other) in pairs {
        groups.union(one, other);
    }
    groups.into_labeling()
}

fn node(table: TableId) -> NodeIndex {
    NodeIndex::new(table.index())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_comes_first_and_a_circle_has_no_order() {
        let needs = Needs::new(3, [(2, 0), (2, 1), (1, 0)]);
        assert!(needs.have_an_order());
        assert!(needs.are_met(0, &|_| false) && !needs.are_met(2, &|done| done == 0));
        assert!(needs.are_met(2, &|done| done < 2));
        assert!(!Needs::new(2, [(0, 1), (1, 0)]).have_an_order());
    }
    use crate::schema::{Action, Deferral, ForeignKey, SourceSchema};

    fn schema(tables: &[&str], references: &[(&str, &str)]) -> SourceSchema {
        let mut schema = SourceSchema::default();
        for table in tables {
            schema.add_table(*table, None);
        }
        for (child, parent) in references {
            schema.add_foreign_key(ForeignKey {
                table: schema.find_table(child).unwrap(),
                name: None,
                columns: Vec::new(),
                referenced_table: schema.find_table(parent).unwrap(),
                referenced_columns: Vec::new(),
                on_delete: Action::NoAction,
                on_update: Action::NoAction,
                set_columns: None,
                match_full: false,
                deferral: Deferral::NotDeferrable,
                span: None,
            });
        }
        schema
    }

    fn order(schema: &SourceSchema) -> Vec<Vec<&str>> {
        ForeignKeyGraph::new(schema)
            .load_order()
            .into_iter()
            .map(|group| group.into_iter().map(|table| schema.table(table).name.as_str()).collect())
            .collect()
    }

    #[test]
    fn parents_come_first_and_names_break_ties_whatever_the_source_order() {
        let references = [("c", "b"), ("b", "z"), ("a", "z")];
        let one = schema(&["a", "b", "c", "z"], &references);
        let other = schema(&["z", "c", "b", "a"], &references);
        assert_eq!(order(&one), [vec!["z"], vec!["a"], vec!["b"], vec!["c"]]);
        assert_eq!(order(&one), order(&other));
    }

    #[test]
    fn a_cycle_is_one_group_and_a_self_reference_is_none() {
        let schema = schema(&["staff", "store", "tree"], &[("staff", "store"), ("store", "staff"), ("tree", "tree")]);
        assert_eq!(order(&schema), [vec!["staff", "store"], vec!["tree"]]);
        assert_eq!(ForeignKeyGraph::new(&schema).cycles().len(), 1);
    }

    #[test]
    fn a_path_goes_round_what_is_avoided() {
        let schema = schema(&["a", "b", "root"], &[("a", "b"), ("b", "a"), ("b", "root")]);
        let graph = ForeignKeyGraph::new(&schema);
        let id = |name| schema.find_table(name).unwrap();
        let to_root = |table| table == id("root");
        assert_eq!(graph.path(id("b"), id("a"), &to_root, &|_| false), Some(vec![ForeignKeyId(2)]));
        assert_eq!(graph.path(id("a"), id("b"), &to_root, &|_| false), None);
        assert_eq!(graph.path(id("a"), id("root"), &to_root, &|_| false), None);
    }
}
