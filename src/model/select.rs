//! The selection grammar: which servers the words of a command line mean.
//!
//! | word | means |
//! |---|---|
//! | `pve1-vm-101` | the server with this id |
//! | `vm-101`, `ct-201`, `101` | the guest with this number |
//! | `web`, `web.lan` | the server with this name or host name |
//! | `pve1/101`, `pve1/web` | that guest of this host: its id, name or node |
//! | `web*`, `pve?`, `db[1-3]` | servers whose id or name matches |
//! | `tag=web`, `node=pve2`, `kind=lxc`, `pool=prod` | servers that have this; the value may be a pattern |
//! | `tag=web,node=pve1` | servers that have all of these |
//! | `!web` | not these |
//!
//! Several words mean whatever any of them means, without what is excluded. Letter case does not count,
//! except that an id written exactly comes first. `node=pve2` means the guests on that node and not the host
//! itself, so that nobody switches off a host who wanted its guests off.

use std::collections::BTreeSet;

use crate::model::glob::{is_pattern, matches as glob_matches};
use crate::model::id::{GuestKind, NodeName, ServerId, VmId};
use crate::model::server::ServerKind;
use crate::model::text::{did_you_mean, near, quoted};

/// What the grammar asks of a server.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<'a> {
    pub(crate) id: &'a ServerId,
    pub(crate) kind: ServerKind,
    pub(crate) name: &'a str,
    /// Of a guest.
    pub(crate) vmid: Option<VmId>,
    /// The configured server of the node that a guest runs on.
    pub(crate) parent: Option<&'a ServerId>,
    /// The node that a guest runs on, or that a host is.
    pub(crate) node: Option<&'a NodeName>,
    pub(crate) pool: Option<&'a str>,
    pub(crate) tags: &'a [String],
    /// Empty where there is none.
    pub(crate) hostname: &'a str,
}

/// Why words select nothing, or nobody knows what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectError {
    /// The word is an exact one and several servers have it.
    #[error("{} is ambiguous: {}", quoted(word), list(candidates))]
    Ambiguous { word: String, candidates: Vec<ServerId> },
    #[error("no server matches {}{}", quoted(word), question(near))]
    NotFound { word: String, near: Vec<String> },
    /// The exclusions took away all that the other words selected.
    #[error("no server is left after the exclusions")]
    NothingLeft,
    /// The word is not of the grammar.
    #[error("target {}: {why}", quoted(word))]
    Malformed { word: String, why: String },
}

fn list(ids: &[ServerId]) -> String {
    ids.iter().map(ServerId::as_str).collect::<Vec<_>>().join(", ")
}

fn question(near: &[String]) -> String {
    let words: Vec<String> = near.iter().map(|word| quoted(word)).collect();
    if words.is_empty() { String::new() } else { format!("; did you mean {}?", words.join(" or ")) }
}

/// The servers that `words` mean, as indices in the order of `candidates`, each once. No words: all.
pub(crate) fn select(words: &[String], candidates: &[Candidate<'_>]) -> Result<Vec<usize>, SelectError> {
    let mut wanted: BTreeSet<usize> = BTreeSet::new();
    let mut excluded: BTreeSet<usize> = BTreeSet::new();
    for word in words {
        match word.strip_prefix('!') {
            Some(rest) => excluded.extend(meant(word, rest, candidates)?),
            None => wanted.extend(meant(word, word, candidates)?),
        }
    }
    if words.iter().all(|word| word.starts_with('!')) {
        wanted.extend(0..candidates.len());
    }
    let chosen: Vec<usize> = wanted.difference(&excluded).copied().collect();
    if chosen.is_empty() && !words.is_empty() { Err(SelectError::NothingLeft) } else { Ok(chosen) }
}

/// What one word means, at least one server; `text` is `word` without its `!`.
fn meant(word: &str, text: &str, candidates: &[Candidate<'_>]) -> Result<Vec<usize>, SelectError> {
    let malformed = |why: &str| SelectError::Malformed { word: word.to_owned(), why: why.to_owned() };
    if text.is_empty() {
        return Err(malformed("the target is empty"));
    }
    // A name may look like anything; written in full it is that name.
    let mut found = all(candidates, |candidate| candidate.id.as_str() == text);
    if found.is_empty() {
        found = all(candidates, |candidate| is_called(candidate, text));
    }
    let mut one_expected = true;
    if found.is_empty() {
        if text.contains('=') {
            one_expected = false;
            found = selected(word, text, candidates)?;
        } else if text.contains(',') {
            return Err(malformed("targets are separated by blanks"));
        } else {
            one_expected = !is_pattern(text);
            found = by_word(text, candidates);
        }
    }
    match found.len() {
        0 => Err(SelectError::NotFound { word: text.to_owned(), near: neighbours(text, candidates) }),
        2.. if one_expected => {
            let candidates = found.into_iter().map(|index| candidates[index].id.clone()).collect();
            Err(SelectError::Ambiguous { word: text.to_owned(), candidates })
        }
        _ => Ok(found),
    }
}

fn all(candidates: &[Candidate<'_>], test: impl Fn(&Candidate<'_>) -> bool) -> Vec<usize> {
    candidates.iter().enumerate().filter(|(_, candidate)| test(candidate)).map(|(index, _)| index).collect()
}

/// Whether `text` is a name, host name, number or id of the candidate, in whatever letter case.
fn is_called(candidate: &Candidate<'_>, text: &str) -> bool {
    let same = |name: &str| !name.is_empty() && name.to_lowercase() == text.to_lowercase();
    same(candidate.id.as_str()) || same(candidate.name) || same(candidate.hostname) || has_number(candidate, text)
}

/// Whether `text` is `101`, `vm-101` or `ct-201` and the candidate that guest.
fn has_number(candidate: &Candidate<'_>, text: &str) -> bool {
    let Some(vmid) = candidate.vmid else { return false };
    let lower = text.to_ascii_lowercase();
    let number = match candidate.kind.guest() {
        Some(GuestKind::Qemu) => lower.strip_prefix("vm-"),
        Some(GuestKind::Lxc) => lower.strip_prefix("ct-"),
        None => None,
    };
    number.unwrap_or(&lower) == vmid.to_string()
}

/// A word that is no selector and nobody's name: a pattern, or `host/guest`.
fn by_word(text: &str, candidates: &[Candidate<'_>]) -> Vec<usize> {
    if let Some((host, guest)) = text.split_once('/') {
        return all(candidates, |candidate| {
            candidate.kind.guest().is_some() && is_on(candidate, host, candidates) && fits(candidate, guest)
        });
    }
    if is_pattern(text) { all(candidates, |candidate| fits(candidate, text)) } else { Vec::new() }
}

/// Whether the candidate has this name, or id and name match this pattern.
fn fits(candidate: &Candidate<'_>, text: &str) -> bool {
    is_called(candidate, text)
        || is_pattern(text) && (glob_matches(text, candidate.id.as_str()) || glob_matches(text, candidate.name))
}

/// Whether a guest belongs to the host that `host` means: by its node, or by the server it stands under.
fn is_on(guest: &Candidate<'_>, host: &str, candidates: &[Candidate<'_>]) -> bool {
    if guest.node.is_some_and(|node| glob_matches(host, node.as_str())) {
        return true;
    }
    let Some(parent) = guest.parent else { return false };
    let known = candidates.iter().find(|candidate| candidate.id == parent);
    glob_matches(host, parent.as_str()) || known.is_some_and(|parent| fits(parent, host))
}

/// The servers that satisfy every term of a selector such as `tag=web,node=pve1`.
fn selected(word: &str, text: &str, candidates: &[Candidate<'_>]) -> Result<Vec<usize>, SelectError> {
    let malformed = |why: String| SelectError::Malformed { word: word.to_owned(), why };
    let mut terms = Vec::new();
    for term in text.split(',') {
        let (wanted, term) = term.strip_prefix('!').map_or((true, term), |rest| (false, rest));
        let (key, value) = match term.split_once('=') {
            Some((key, value)) => (Some(Key::parse(key).map_err(malformed)?), value),
            None => (None, term),
        };
        if value.is_empty() {
            let what = key.map_or("a target", Key::as_str);
            return Err(malformed(format!("{what} is empty")));
        }
        if key == Some(Key::Kind) && !KINDS.iter().any(|kind| glob_matches(value, kind)) {
            let hint = did_you_mean(value, KINDS).unwrap_or_else(|| format!("; there are {}", KINDS.join(", ")));
            return Err(malformed(format!("{} is no kind{hint}", quoted(value))));
        }
        terms.push((wanted, key, value));
    }
    Ok(all(candidates, |candidate| {
        terms.iter().all(|(wanted, key, value)| {
            let has = key.map_or_else(|| fits(candidate, value), |key| key.holds(candidate, value));
            has == *wanted
        })
    }))
}

/// The words of `kind=`: those of [`ServerKind`], how ids call guests, and the two halves of the inventory.
const KINDS: [&str; 8] = ["pve", "linux", "qemu", "lxc", "vm", "ct", "guest", "host"];

/// What a selector asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Tag,
    Node,
    Kind,
    Pool,
}

impl Key {
    const ALL: [Key; 4] = [Key::Tag, Key::Node, Key::Kind, Key::Pool];

    fn as_str(self) -> &'static str {
        match self {
            Key::Tag => "tag",
            Key::Node => "node",
            Key::Kind => "kind",
            Key::Pool => "pool",
        }
    }

    fn parse(text: &str) -> Result<Key, String> {
        let found = Key::ALL.into_iter().find(|key| key.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| {
            let known = ["tag=", "node=", "kind=", "pool="];
            let text = format!("{text}=");
            let hint = did_you_mean(&text, known).unwrap_or_else(|| format!("; there are {}", known.join(", ")));
            format!("unknown selector {}{hint}", quoted(&text))
        })
    }

    fn holds(self, candidate: &Candidate<'_>, pattern: &str) -> bool {
        let guest = candidate.kind.guest();
        match self {
            Key::Tag => candidate.tags.iter().any(|tag| glob_matches(pattern, tag)),
            Key::Node => guest.is_some() && candidate.node.is_some_and(|node| glob_matches(pattern, node.as_str())),
            Key::Pool => candidate.pool.is_some_and(|pool| glob_matches(pattern, pool)),
            Key::Kind => {
                let half = if guest.is_some() { "guest" } else { "host" };
                let words = [Some(candidate.kind.as_str()), guest.map(GuestKind::short), Some(half)];
                words.into_iter().flatten().any(|kind| glob_matches(pattern, kind))
            }
        }
    }
}

/// Names and ids that were perhaps meant.
fn neighbours(text: &str, candidates: &[Candidate<'_>]) -> Vec<String> {
    if is_pattern(text) || text.contains(',') {
        return Vec::new();
    }
    if let Some((key, value)) = text.split_once('=') {
        let known = |candidate: &Candidate<'_>| match Key::parse(key) {
            Ok(Key::Tag) => candidate.tags.to_vec(),
            Ok(Key::Node) => candidate.node.iter().map(ToString::to_string).collect(),
            Ok(Key::Pool) => candidate.pool.iter().map(|pool| (*pool).to_owned()).collect(),
            Ok(Key::Kind) | Err(_) => Vec::new(),
        };
        let values: BTreeSet<String> = candidates.iter().flat_map(known).collect();
        return near(value, values.iter().map(String::as_str))
            .into_iter()
            .map(|near| format!("{key}={near}"))
            .collect();
    }
    let guest = text.rsplit('/').next().unwrap_or(text);
    let mut words: BTreeSet<&str> = BTreeSet::new();
    for candidate in candidates {
        words.extend([candidate.id.as_str(), candidate.name, candidate.hostname].into_iter().filter(|w| !w.is_empty()));
    }
    near(guest, words).into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
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
            ("colour=x", "target `colour=x`: unknown selector `colour=`; there are tag=, node=, kind=, pool="),
            ("tag=", "target `tag=`: tag is empty"),
            ("!tag=web,", "target `!tag=web,`: a target is empty"),
            ("kind=lcx", "target `kind=lcx`: `lcx` is no kind; did you mean `lxc`?"),
            (
                "kind=windows",
                "target `kind=windows`: `windows` is no kind; there are pve, linux, qemu, lxc, vm, ct, guest, host",
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
}
