//! `--keep`: which snapshot goes next. Only those of one series that ecobox took, only whole ones, and only as long as
//! more of them are there than are to be kept.

use crate::model::snapshot::{Rotation, Snapshot, Snapshots, age_key, of_ecobox};

/// The snapshots of a series, the oldest first.
fn series<'a>(snapshots: &'a Snapshots, rotation: &Rotation) -> Vec<&'a Snapshot> {
    let is_of = |snapshot: &&Snapshot| *rotation != Rotation::None && of_ecobox(snapshot).as_ref() == Some(rotation);
    let mut list: Vec<&Snapshot> = snapshots.list.iter().filter(is_of).collect();
    list.sort_by(|one, other| age_key(one).cmp(&age_key(other)));
    list
}

/// Those that are too many of a series if `keep` of them shall stay, the oldest first. What is not whole does not count as
/// kept. One without a time is never too old.
pub(crate) fn surplus<'a>(snapshots: &'a Snapshots, rotation: &Rotation, keep: usize) -> Vec<&'a Snapshot> {
    let mut whole = whole_of(snapshots, rotation);
    whole.truncate(whole.len().saturating_sub(keep.max(1)));
    whole
}

/// Like `surplus`, once one more of the series has been taken.
pub(crate) fn surplus_with_one_more<'a>(
    snapshots: &'a Snapshots,
    rotation: &Rotation,
    keep: usize,
) -> Vec<&'a Snapshot> {
    let mut whole = whole_of(snapshots, rotation);
    whole.truncate((whole.len() + 1).saturating_sub(keep.max(1)));
    whole
}

fn whole_of<'a>(snapshots: &'a Snapshots, rotation: &Rotation) -> Vec<&'a Snapshot> {
    let mut whole = series(snapshots, rotation);
    whole.retain(|snapshot| snapshot.is_whole() && snapshot.taken_at.is_some());
    whole
}

#[cfg(test)]
mod tests;
