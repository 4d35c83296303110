//! The tree of a guest's snapshots: each below the one that it came from, and the present state below its own.

use std::collections::HashSet;

use crate::model::snapshot::{Snapshot, Snapshots, age_key};

/// A place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Branch<'a> {
    /// `None`: the guest as it is now.
    pub(crate) snapshot: Option<&'a Snapshot>,
    /// How many times the tree has branched above. What follows one another without a branch stays in one column.
    pub(crate) depth: usize,
    /// Whether it is the first of a branch.
    pub(crate) begins: bool,
}

/// All snapshots, each after its parent and the older ones first, and the present state. One whose parent is not there
/// begins a tree of its own, so do those that name each other in a circle.
pub(crate) fn tree(snapshots: &Snapshots) -> Vec<Branch<'_>> {
    let mut planter = Planter { snapshots, seen: HashSet::new(), now: false, tree: Vec::new() };
    let has_parent = |snapshot: &&Snapshot| {
        snapshot.parent.as_deref().is_some_and(|parent| parent != snapshot.name && snapshots.get(parent).is_some())
    };
    let mut roots: Vec<&Snapshot> = snapshots.list.iter().filter(|snapshot| !has_parent(snapshot)).collect();
    roots.sort_by(|one, other| age_key(one).cmp(&age_key(other)));
    for root in roots {
        planter.grow(root, 0, false);
    }
    let mut rest: Vec<&Snapshot> = snapshots.list.iter().collect();
    rest.sort_by(|one, other| age_key(one).cmp(&age_key(other)));
    for left in rest {
        planter.grow(left, 0, false);
    }
    if !planter.now {
        planter.tree.push(Branch { snapshot: None, depth: 0, begins: false });
    }
    planter.tree
}

struct Planter<'a> {
    snapshots: &'a Snapshots,
    seen: HashSet<&'a str>,
    /// Whether the present state has its place.
    now: bool,
    tree: Vec<Branch<'a>>,
}

impl<'a> Planter<'a> {
    fn grow(&mut self, from: &'a Snapshot, depth: usize, begins: bool) {
        // A chain is followed in a loop: it may be long.
        let (mut snapshot, mut begins) = (from, begins);
        loop {
            if !self.seen.insert(&snapshot.name) {
                return;
            }
            self.tree.push(Branch { snapshot: Some(snapshot), depth, begins });
            let children: Vec<&Snapshot> = self
                .snapshots
                .children(&snapshot.name)
                .into_iter()
                .filter(|child| !self.seen.contains(child.name.as_str()))
                .collect();
            let is_now = !self.now && self.snapshots.current.as_deref() == Some(snapshot.name.as_str());
            self.now |= is_now;
            match (children.as_slice(), is_now) {
                ([only], false) => (snapshot, begins) = (*only, false),
                ([], _) => {
                    if is_now {
                        self.tree.push(Branch { snapshot: None, depth, begins: false });
                    }
                    return;
                }
                (many, _) => {
                    for child in many {
                        self.grow(child, depth + 1, true);
                    }
                    if is_now {
                        self.tree.push(Branch { snapshot: None, depth: depth + 1, begins: true });
                    }
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::model::snapshot::SnapshotState;

    fn snapshot(name: &str, parent: Option<&str>, at: i64) -> Snapshot {
        Snapshot {
            name: name.to_owned(),
            description: String::new(),
            taken_at: Timestamp::from_second(at).ok(),
            with_memory: false,
            parent: parent.map(str::to_owned),
            state: SnapshotState::Whole,
        }
    }

    fn drawn(list: &[(&str, &str, i64)], current: &str) -> String {
        let some = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        let list = list.iter().map(|(name, parent, at)| snapshot(name, some(parent).as_deref(), *at)).collect();
        let snapshots = Snapshots { list, current: some(current) };
        let lines = tree(&snapshots).into_iter().map(|branch| {
            let name = branch.snapshot.map_or("NOW", |snapshot| &snapshot.name);
            format!("{}{}{name}", "  ".repeat(branch.depth), if branch.begins { "+" } else { "" })
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_tree_of_snapshots() {
        for (list, current, want) in [
            (&[][..], "", "NOW"),
            (&[("b", "a", 2), ("a", "", 1)], "b", "a\nb\nNOW"),
            // Rolled back to the older one: the present state is a branch of its own (recorded of VM 120).
            (&[("s1", "", 1), ("s2", "s1", 2)], "s1", "s1\n  +s2\n  +NOW"),
            (&[("c", "a", 3), ("a", "", 1), ("b", "a", 2), ("d", "c", 4)], "d", "a\n  +b\n  +c\n  d\n  NOW"),
            // No parent any more, or never one.
            (&[("b", "gone", 2), ("a", "", 1)], "", "a\nb\nNOW"),
            (&[("a", "b", 1), ("b", "a", 2)], "b", "a\nb\nNOW"),
            (&[("a", "a", 1)], "gone", "a\nNOW"),
        ] {
            assert_eq!(drawn(list, current), want, "{list:?} {current}");
        }
    }

    proptest! {
        #[test]
        fn each_has_one_place_and_comes_after_its_parent(
            parents in prop::collection::vec(prop::option::of(0usize..12), 0..10),
            current in prop::option::of(0usize..12),
        ) {
            let name = |index: usize| format!("s{index}");
            let list: Vec<Snapshot> = parents
                .iter()
                .enumerate()
                .map(|(index, parent)| snapshot(&name(index), parent.map(name).as_deref(), i64::try_from(index).unwrap()))
                .collect();
            let snapshots = Snapshots { list, current: current.map(name) };
            let tree = tree(&snapshots);
            prop_assert_eq!(tree.len(), snapshots.list.len() + 1);
            prop_assert_eq!(tree.iter().filter(|branch| branch.snapshot.is_none()).count(), 1);
            let names: HashSet<&str> = tree.iter().filter_map(|branch| Some(branch.snapshot?.name.as_str())).collect();
            prop_assert_eq!(names.len(), snapshots.list.len());
        }
    }
}
