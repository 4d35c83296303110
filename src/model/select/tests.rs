use super::*;

/// id, kind, name, parent, node, pool, tags, host name; the number is the id's last part.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const FLEET: [Row; 13] = [
    ("pve1", "pve", "Alpha", "", "alpha", "", "rack1"),
    ("pve2", "pve", "Beta", "", "beta", "", "rack2"),
    ("nas", "linux", "Big NAS", "", "", "", "rack1 storage"),
    ("odd", "linux", "a=b,c", "", "", "", ""),
    ("pve1-vm-100", "qemu", "web", "pve1", "alpha", "prod", "web Blue"),
    ("pve1-vm-101", "qemu", "db-1", "pve1", "alpha", "prod", "db"),
    ("pve1-ct-201", "lxc", "dns", "pve1", "alpha", "infra", "net"),
    ("pve1-ct-202", "lxc", "proxy", "pve1", "alpha", "infra", "net web"),
    ("pve2-vm-101", "qemu", "db-2", "pve2", "beta", "prod", "db"),
    ("pve2-vm-300", "qemu", "web", "pve2", "beta", "test", "web"),
    ("pve2-vm-301", "qemu", "twin", "pve2", "beta", "test", ""),
    ("pve2-vm-302", "qemu", "twin", "pve2", "beta", "test", ""),
    ("pve2-ct-205", "lxc", "203", "pve2", "beta", "", ""),
];

struct Owned {
    id: ServerId,
    kind: ServerKind,
    name: &'static str,
    vmid: Option<VmId>,
    parent: Option<ServerId>,
    node: Option<NodeName>,
    pool: Option<&'static str>,
    tags: Vec<String>,
    hostname: String,
    state: PowerState,
}

fn fleet() -> Vec<Owned> {
    let kinds = [ServerKind::Pve, ServerKind::Linux, ServerKind::Qemu, ServerKind::Lxc];
    let row = |(id, kind, name, parent, node, pool, tags): Row| Owned {
        id: id.parse().unwrap(),
        kind: kinds.into_iter().find(|k| k.as_str() == kind).unwrap(),
        name,
        vmid: id.rsplit('-').next().and_then(|number| number.parse().ok()),
        parent: parent.parse().ok(),
        node: node.parse().ok(),
        pool: Some(pool).filter(|pool| !pool.is_empty()),
        tags: tags.split_whitespace().map(str::to_owned).collect(),
        state: if parent.is_empty() { PowerState::Online } else { PowerState::Running },
        hostname: if parent.is_empty() { format!("{id}.lan") } else { String::new() },
    };
    FLEET.into_iter().map(row).collect()
}

fn pick(words: &[String]) -> Result<Vec<usize>, SelectError> {
    let fleet = fleet();
    let candidates: Vec<Candidate<'_>> = fleet
        .iter()
        .map(|server| Candidate {
            id: &server.id,
            kind: server.kind,
            name: server.name,
            vmid: server.vmid,
            parent: server.parent.as_ref(),
            node: server.node.as_ref(),
            pool: server.pool,
            tags: &server.tags,
            hostname: &server.hostname,
            addresses: &[],
            state: Some(server.state),
            doing: None,
            wrong: false,
        })
        .collect();
    select(words, &candidates)
}

/// The indices that the words of `line` select, or the message.
fn line(line: &str) -> Result<Vec<usize>, String> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    pick(&words).map_err(|error| error.to_string())
}

#[test]
fn words_select_what_they_mean() {
    let everything: Vec<usize> = (0..13).collect();
    let cases: &[(&str, &[usize])] = &[
        ("", &everything),
        // Ids, numbers, names.
        ("pve1", &[0]),
        ("pve1-vm-100", &[4]),
        ("PVE1-VM-100", &[4]),
        ("100", &[4]),
        ("vm-100", &[4]),
        ("VM-100", &[4]),
        ("ct-201", &[6]),
        ("201", &[6]),
        ("203", &[12]),
        ("205", &[12]),
        ("ct-205", &[12]),
        ("alpha", &[0]),
        ("Alpha", &[0]),
        ("pve1.lan", &[0]),
        ("NAS.LAN", &[2]),
        ("dns", &[6]),
        ("DNS", &[6]),
        ("a=b,c", &[3]),
        // A guest of a host: by the host's id, name, host name or node.
        ("pve1/101", &[5]),
        ("pve1/vm-101", &[5]),
        ("pve2/101", &[8]),
        ("pve2/pve2-vm-101", &[8]),
        ("Beta/101", &[8]),
        ("beta/web", &[9]),
        ("pve2.lan/web", &[9]),
        ("pve1/web", &[4]),
        ("PVE1/WEB", &[4]),
        ("pve1/*", &[4, 5, 6, 7]),
        ("pve?/101", &[5, 8]),
        ("*/web", &[4, 9]),
        ("pve1/d*", &[5, 6]),
        ("pve2/twi[n]", &[10, 11]),
        // Patterns over id and name.
        ("*", &everything),
        ("web*", &[4, 9]),
        ("WEB*", &[4, 9]),
        ("db-?", &[5, 8]),
        ("db-[2-9]", &[8]),
        ("*-ct-*", &[6, 7, 12]),
        ("pve1-*", &[4, 5, 6, 7]),
        ("pve[12]", &[0, 1]),
        ("pve[!1]", &[1]),
        ("big*", &[2]),
        ("tw*", &[10, 11]),
        // Selectors.
        ("tag=web", &[4, 7, 9]),
        ("tag=WEB", &[4, 7, 9]),
        ("tag=blue", &[4]),
        ("tag=rack*", &[0, 1, 2]),
        ("node=alpha", &[4, 5, 6, 7]),
        ("node=be*", &[8, 9, 10, 11, 12]),
        ("pool=prod", &[4, 5, 8]),
        ("pool=*", &[4, 5, 6, 7, 8, 9, 10, 11]),
        ("kind=pve", &[0, 1]),
        ("kind=linux", &[2, 3]),
        ("kind=qemu", &[4, 5, 8, 9, 10, 11]),
        ("kind=vm", &[4, 5, 8, 9, 10, 11]),
        ("kind=lxc", &[6, 7, 12]),
        ("kind=ct", &[6, 7, 12]),
        ("kind=guest", &[4, 5, 6, 7, 8, 9, 10, 11, 12]),
        ("kind=host", &[0, 1, 2, 3]),
        ("Kind=LXC", &[6, 7, 12]),
        ("kind=l*", &[2, 3, 6, 7, 12]),
        ("tag=web,node=alpha", &[4, 7]),
        ("tag=web,node=alpha,kind=ct", &[7]),
        ("tag=web,!node=alpha", &[9]),
        ("kind=guest,web*", &[4, 9]),
        ("node=beta,twin", &[10, 11]),
        // Several words, exclusions.
        ("dns nas", &[2, 6]),
        ("nas dns nas", &[2, 6]),
        ("tag=web pool=infra", &[4, 6, 7, 9]),
        ("tag=web !pve2-vm-300", &[4, 7]),
        ("!pve2-vm-300 tag=web", &[4, 7]),
        ("!kind=guest", &[0, 1, 2, 3]),
        ("!kind=host !node=beta", &[4, 5, 6, 7]),
        ("* !pve*", &[2, 3]),
        ("kind=guest !tag=web,node=alpha !tw*", &[5, 6, 8, 9, 12]),
        ("pve1/* !pve1/web", &[5, 6, 7]),
    ];
    for (words, want) in cases {
        assert_eq!(line(words).as_deref(), Ok(*want), "{words}");
    }
}

#[test]
fn words_that_mean_nothing_or_too_much_are_explained() {
    for (words, want) in [
        ("101", "`101` is ambiguous: pve1-vm-101, pve2-vm-101"),
        ("vm-101", "`vm-101` is ambiguous: pve1-vm-101, pve2-vm-101"),
        ("web", "`web` is ambiguous: pve1-vm-100, pve2-vm-300"),
        ("WEB nas", "`WEB` is ambiguous: pve1-vm-100, pve2-vm-300"),
        ("!web", "`web` is ambiguous: pve1-vm-100, pve2-vm-300"),
        ("pve2/twin", "`pve2/twin` is ambiguous: pve2-vm-301, pve2-vm-302"),
        ("ct-101", "no server matches `ct-101`"),
        ("vm-201", "no server matches `vm-201`"),
        ("999", "no server matches `999`"),
        ("prox", "no server matches `prox`; did you mean `proxy`?"),
        ("pve1/prxoy", "no server matches `pve1/prxoy`; did you mean `proxy`?"),
        ("pve3", "no server matches `pve3`; did you mean `pve1` or `pve2`?"),
        ("pve3/101", "no server matches `pve3/101`; did you mean `pve1-vm-101` or `pve2-vm-101`?"),
        ("pve1/pve1", "no server matches `pve1/pve1`; did you mean `pve1`?"),
        ("/101", "no server matches `/101`; did you mean `pve1-vm-101` or `pve2-vm-101`?"),
        ("zzz*", "no server matches `zzz*`"),
        ("tag=wbe", "no server matches `tag=wbe`; did you mean `tag=web`?"),
        ("node=gamma", "no server matches `node=gamma`"),
        ("node=bta", "no server matches `node=bta`; did you mean `node=beta`?"),
        ("pool=pord", "no server matches `pool=pord`; did you mean `pool=prod`?"),
        ("tag=web,pool=infra,kind=vm", "no server matches `tag=web,pool=infra,kind=vm`"),
        ("!tag=nothing", "no server matches `tag=nothing`"),
        ("!nsa", "no server matches `nsa`; did you mean `nas`?"),
        ("nas !nas", "no server is left after the exclusions"),
        ("!*", "no server is left after the exclusions"),
        ("!", "target `!`: the target is empty"),
        ("web,dns", "target `web,dns`: targets are separated by blanks"),
        ("tga=web", "target `tga=web`: unknown selector `tga=`; did you mean `tag=`?"),
        ("colour=x", "target `colour=x`: unknown selector `colour=`; there are tag=, node=, kind=, pool=, state="),
        ("tag=", "target `tag=`: tag is empty"),
        ("!tag=web,", "target `!tag=web,`: a target is empty"),
        ("kind=lcx", "target `kind=lcx`: `lcx` is not a kind; did you mean `lxc`?"),
        (
            "kind=windows",
            "target `kind=windows`: `windows` is not a kind; there are pve, linux, qemu, lxc, vm, ct, guest, host",
        ),
        ("\u{1b}[2J", "no server matches `\\u{1b}[2J`"),
    ] {
        assert_eq!(line(words), Err(want.to_owned()), "{words}");
    }
    assert_eq!(pick(&[String::new()]).unwrap_err().to_string(), "target ``: the target is empty");
}

#[test]
fn a_name_may_have_blanks() {
    assert_eq!(pick(&["big nas".to_owned()]), Ok(vec![2]));
}

#[test]
fn an_empty_inventory_has_nothing_to_select() {
    assert_eq!(select(&[], &[]), Ok(Vec::new()));
    assert!(select(&["*".to_owned()], &[]).is_err());
    assert!(select(&["!web".to_owned()], &[]).is_err());
}

proptest::proptest! {
    #[test]
    fn no_words_make_it_panic(words in proptest::collection::vec(".{0,12}|[!*a-z0-9=,/\\[\\]-]{0,16}", 0..4)) {
        if let Ok(found) = pick(&words) {
            proptest::prop_assert!(found.is_sorted_by(|a, b| a < b));
            proptest::prop_assert!(found.iter().all(|index| *index < FLEET.len()));
        }
    }

    #[test]
    fn an_exclusion_is_the_complement(word in "[a-z*?0-9/=-]{1,8}") {
        if let (Ok(found), Ok(rest)) = (pick(std::slice::from_ref(&word)), pick(&[format!("!{word}")])) {
            let both: BTreeSet<usize> = found.iter().chain(&rest).copied().collect();
            proptest::prop_assert_eq!(both.len(), found.len() + rest.len());
            proptest::prop_assert_eq!(both.len(), FLEET.len());
        }
    }
}
