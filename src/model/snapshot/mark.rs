//! How ecobox knows the snapshots that it took: by the last line of the description, which names the snapshot itself.
//!
//! `[ecobox ecobox-daily-20261129-210000 label=daily]`. The name in it is what makes it this snapshot's: a description that
//! somebody copied, or kept while renaming, says nothing of another snapshot. Who removes the line keeps the snapshot.

use crate::model::snapshot::{Label, Snapshot, SnapshotName};

/// To which series a snapshot of ecobox's belongs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rotation {
    /// To none: `--keep` never deletes it.
    None,
    /// It was taken with `--keep` and without a label.
    Unlabelled,
    /// It has this label.
    Label(Label),
}

impl Rotation {
    /// What is said by `--label` and `--keep`.
    pub(crate) fn of(label: Option<&Label>, keeps: bool) -> Rotation {
        match label {
            Some(label) => Rotation::Label(label.clone()),
            None if keeps => Rotation::Unlabelled,
            None => Rotation::None,
        }
    }

    pub(crate) fn label(&self) -> Option<&Label> {
        match self {
            Rotation::Label(label) => Some(label),
            Rotation::None | Rotation::Unlabelled => None,
        }
    }
}

/// The description of a new snapshot: what the user says of it, and the line by which ecobox knows it.
pub(crate) fn description(text: Option<&str>, name: &SnapshotName, rotation: &Rotation) -> String {
    let line = line(name.as_str(), rotation);
    match text.map(str::trim_end).filter(|text| !text.is_empty()) {
        Some(text) => format!("{text}\n{line}"),
        None => line,
    }
}

fn line(name: &str, rotation: &Rotation) -> String {
    match rotation {
        Rotation::None => format!("[ecobox {name}]"),
        Rotation::Unlabelled => format!("[ecobox {name} keep]"),
        Rotation::Label(label) => format!("[ecobox {name} label={label}]"),
    }
}

/// The series of a snapshot that ecobox took; `None`: it is somebody else's.
pub(crate) fn of_ecobox(snapshot: &Snapshot) -> Option<Rotation> {
    let last = snapshot.description.trim_end().lines().last()?.trim();
    let inside = last.strip_prefix("[ecobox ")?.strip_suffix(']')?;
    let rest = inside.strip_prefix(snapshot.name.as_str())?;
    if rest.is_empty() {
        return Some(Rotation::None);
    }
    match rest.strip_prefix(' ')? {
        "keep" => Some(Rotation::Unlabelled),
        rest => Some(Rotation::Label(rest.strip_prefix("label=")?.parse().ok()?)),
    }
}

/// What a user says of a snapshot, without the line of ecobox's.
pub(crate) fn text_of(snapshot: &Snapshot) -> &str {
    let text = snapshot.description.trim_end();
    if of_ecobox(snapshot).is_none() {
        return text;
    }
    text.rsplit_once('\n').map_or("", |(text, _)| text.trim_end())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::snapshot::SnapshotState;

    fn snapshot(name: &str, description: &str) -> Snapshot {
        Snapshot {
            name: name.to_owned(),
            description: description.to_owned(),
            taken_at: None,
            with_memory: false,
            parent: None,
            state: SnapshotState::Whole,
        }
    }

    #[test]
    fn whose_a_snapshot_is() {
        let daily = Rotation::Label("daily".parse().unwrap());
        for (name, text, want) in [
            ("s1", "[ecobox s1]", Some(Rotation::None)),
            ("s1", "[ecobox s1 keep]", Some(Rotation::Unlabelled)),
            ("s1", "[ecobox s1 label=daily]", Some(daily.clone())),
            ("s1", "before the upgrade\n[ecobox s1 label=daily]\n", Some(daily)),
            // A copy of another one's description, and what people write.
            ("s2", "[ecobox s1 label=daily]", None),
            ("s", "[ecobox s1 label=daily]", None),
            ("s1", "[ecobox s1 label=daily]\nI keep this one", None),
            ("s1", "[ecobox s1 label=]", None),
            ("s1", "[ecobox s1 label=Daily]", None),
            ("s1", "[ecobox s1  keep]", None),
            ("s1", "[ecobox s1 label=daily", None),
            ("s1", "ecobox s1 label=daily", None),
            ("ecobox-20261129-210000", "", None),
            ("s1", "", None),
        ] {
            assert_eq!(of_ecobox(&snapshot(name, text)), want, "{name} {text:?}");
        }
        assert_eq!(text_of(&snapshot("s1", "before\nthe upgrade\n[ecobox s1]")), "before\nthe upgrade");
        assert_eq!(text_of(&snapshot("s1", "[ecobox s1]")), "");
        assert_eq!(text_of(&snapshot("s1", "[ecobox s2]\n")), "[ecobox s2]");
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(text in "\\PC{0,40}(\n\\PC{0,20})?", label in "[a-z0-9_-]{1,16}", which in 0usize..3) {
            let label: Label = label.parse().unwrap();
            let all: [Rotation; 3] = [Rotation::None, Rotation::Unlabelled, Rotation::Label(label)];
            let rotation: Rotation = all[which].clone();
            let name: SnapshotName = "before-upgrade".parse().unwrap();
            let written = snapshot(name.as_str(), &description(Some(&text), &name, &rotation));
            prop_assert_eq!(of_ecobox(&written), Some(rotation));
            prop_assert_eq!(text_of(&written), text.trim_end());
            // Under another name it is nobody's.
            prop_assert_eq!(of_ecobox(&Snapshot { name: "before".to_owned(), ..written }), None);
        }
    }
}
