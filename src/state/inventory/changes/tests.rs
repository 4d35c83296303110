use proptest::prelude::*;

use super::*;

fn change(what: GuestChangeKind) -> GuestChange {
    let vmid = VmId::try_from(101).unwrap();
    GuestChange { vmid, kind: GuestKind::Qemu, name: Some("web".to_owned()), node: "pve1".parse().unwrap(), what }
}

fn moved(from: &str, to: &str) -> GuestChangeKind {
    GuestChangeKind::Moved { from: from.parse().unwrap(), to: to.parse().unwrap() }
}

fn renamed(from: &str, to: &str) -> GuestChangeKind {
    GuestChangeKind::Renamed { from: from.to_owned(), to: to.to_owned() }
}

fn power(from: PowerState, to: PowerState) -> GuestChangeKind {
    GuestChangeKind::Power { from, to }
}

/// `tags:a>b`; nothing stands for what is not set.
fn edited(edits: &[&str]) -> GuestChangeKind {
    let one = |text: &&str| {
        let (field, values) = text.split_once(':').unwrap();
        let (from, to) = values.split_once('>').unwrap();
        Edit::of(field, Some(from), Some(to)).unwrap()
    };
    GuestChangeKind::edited(edits.iter().map(one).collect())
}

#[test]
fn what_remains_of_all_changes() {
    use PowerState::{Paused, Running, Stopped};
    let old = |fields: &[&str]| GuestChangeKind::Edited {
        fields: fields.iter().map(ToString::to_string).collect(),
        values: Vec::new(),
    };
    let replaced = |from, name: Option<&str>| GuestChangeKind::Replaced { from, name: name.map(str::to_owned) };
    let cases: Vec<(&str, Vec<GuestChangeKind>, Vec<GuestChangeKind>)> = vec![
        ("nothing", vec![], vec![]),
        ("there and back", vec![renamed("a", "b"), renamed("b", "a")], vec![]),
        ("on and on", vec![renamed("a", "b"), renamed("b", "c")], vec![renamed("a", "c")]),
        ("moved around", vec![moved("pve1", "pve2"), moved("pve2", "pve3"), moved("pve3", "pve1")], vec![]),
        (
            "a setting twice",
            vec![edited(&["ha_state:started>stopped"]), edited(&["ha_state:stopped>error"])],
            vec![edited(&["ha_state:started>error"])],
        ),
        ("a setting and back", vec![edited(&["ha_state:>started"]), edited(&["ha_state:started>"])], vec![]),
        (
            "one back, one not",
            vec![edited(&["tags:a>b", "pool:>x"]), edited(&["tags:b>a"])],
            vec![edited(&["pool:>x"])],
        ),
        (
            "tags, pool and ha_state there and back, in turns",
            vec![
                edited(&["tags:a>b"]),
                edited(&["ha_state:started>request_stop", "pool:>x"]),
                edited(&["tags:b>c"]),
                edited(&["ha_state:request_stop>stopped"]),
                edited(&["tags:c>a", "pool:x>"]),
                edited(&["ha_state:stopped>request_start"]),
                edited(&["ha_state:request_start>started"]),
            ],
            vec![],
        ),
        (
            "a name there, back, and there again",
            vec![renamed("a", "b"), renamed("b", "a"), renamed("a", "b")],
            vec![renamed("a", "b")],
        ),
        (
            "a template and back, with a tag that stays",
            vec![edited(&["template:no>yes", "tags:>a"]), edited(&["template:yes>no", "tags:a>b"])],
            vec![edited(&["tags:>b"])],
        ),
        (
            "by its name first, then with its values",
            vec![old(&["ha_state"]), edited(&["ha_state:started>error"])],
            vec![edited(&["ha_state:started>error"])],
        ),
        (
            "a name and back around a move",
            vec![renamed("a", "b"), moved("pve1", "pve2"), renamed("b", "a")],
            vec![moved("pve1", "pve2")],
        ),
        ("noted by name only", vec![old(&["tags"]), old(&["tags", "pool"])], vec![old(&["pool", "tags"])]),
        ("power and back", vec![power(Running, Stopped), power(Stopped, Running)], vec![]),
        ("power on", vec![power(Running, Paused), power(Paused, Stopped)], vec![power(Running, Stopped)]),
        (
            "new and more",
            vec![GuestChangeKind::New, renamed("a", "b"), edited(&["tags:a>b"]), moved("pve1", "pve2")],
            vec![GuestChangeKind::New],
        ),
        ("came and went", vec![GuestChangeKind::New, renamed("a", "b"), GuestChangeKind::Gone], vec![]),
        (
            "came, went and came",
            vec![GuestChangeKind::New, GuestChangeKind::Gone, GuestChangeKind::Returned],
            vec![GuestChangeKind::New],
        ),
        ("changed and went", vec![renamed("a", "b"), GuestChangeKind::Gone], vec![GuestChangeKind::Gone]),
        (
            "went and came",
            vec![GuestChangeKind::Gone, GuestChangeKind::Returned, renamed("a", "b")],
            vec![GuestChangeKind::Returned, renamed("a", "b")],
        ),
        (
            "came, went, came, went",
            vec![GuestChangeKind::Gone, GuestChangeKind::Returned, GuestChangeKind::Gone],
            vec![GuestChangeKind::Gone],
        ),
        (
            "replaced twice",
            vec![
                edited(&["tags:a>b"]),
                replaced(GuestKind::Qemu, Some("a")),
                replaced(GuestKind::Lxc, None),
                moved("pve1", "pve2"),
            ],
            vec![replaced(GuestKind::Qemu, Some("a")), moved("pve1", "pve2")],
        ),
    ];
    for (name, changes, want) in cases {
        let told = net(changes.into_iter().map(change).collect());
        assert_eq!(told.into_iter().map(|change| change.what).collect::<Vec<_>>(), want, "{name}");
    }
}

#[test]
fn what_an_earlier_ecobox_noted_is_read() {
    let kept = r#"{"vmid":101,"kind":"qemu","name":"web","node":"pve1","change":"edited","fields":["tags"]}"#;
    let read: GuestChange = serde_json::from_str(kept).unwrap();
    assert_eq!(read.what, GuestChangeKind::Edited { fields: vec!["tags".to_owned()], values: Vec::new() });
}

proptest! {
    /// Each kind once, and never from something to the same.
    #[test]
    fn nothing_is_told_twice(steps in prop::collection::vec((0..4_usize, 0..3_usize, 0..3_usize), 0..12)) {
        let names = ["a", "b", "c"];
        let mut at = [0_usize; 4];
        let mut changes = Vec::new();
        for (kind, _, to) in steps {
            let (from, to_name) = (names[at[kind]], names[to]);
            if from != to_name {
                at[kind] = to;
                changes.push(change(match kind {
                    0 => moved(from, to_name),
                    1 => renamed(from, to_name),
                    2 => edited(&[&format!("tags:{from}>{to_name}")]),
                    _ => edited(&[&format!("pool:{from}>{to_name}")]),
                }));
            }
        }
        let told: Vec<GuestChangeKind> = net(changes).into_iter().map(|change| change.what).collect();
        let moved_to = told.iter().filter(|what| matches!(what, GuestChangeKind::Moved { .. })).count();
        prop_assert_eq!(moved_to, usize::from(at[0] != 0));
        let renamed_to = told.iter().filter(|what| matches!(what, GuestChangeKind::Renamed { .. })).count();
        prop_assert_eq!(renamed_to, usize::from(at[1] != 0));
        let fields: Vec<&String> = told.iter().filter_map(|what| match what {
            GuestChangeKind::Edited { fields, .. } => Some(fields),
            _ => None,
        }).flatten().collect();
        prop_assert_eq!(fields.len(), usize::from(at[2] != 0) + usize::from(at[3] != 0));
    }
}
