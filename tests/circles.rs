//! No circle of files, and the floors inside `fleet`, `transport` and `state`: a room uses those below it, so that each can be understood
//! without what is built on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The rooms of a folder, floor by floor from the ground. Those of one floor do not use each other.
const FLOORS: &[(&str, &[&[&str]])] = &[
    (
        "fleet",
        &[
            &["backoff"],
            &["reach"],
            &["host", "upkeep"],
            &["observe"],
            &["past", "onboard", "discover", "act"],
            &["watch", "lease", "doctor", "monitor", "advice", "foreign"],
        ],
    ),
    (
        "transport",
        &[
            &["tls", "child", "script", "probe", "wol", "process"],
            &["http", "held_script", "foreground"],
            &["local"],
            &["pve", "prometheus", "ssh"],
            &["foreign"],
        ],
    ),
    ("state", &[&["subjects"], &["file"], &["history"], &["inventory"]]),
];

type Graph = BTreeMap<String, BTreeSet<String>>;

/// The modules of `src` by their path below the crate, with the code of each: without tests and comments.
fn modules() -> BTreeMap<String, String> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    super::layers::sources(&base, &mut files);
    let mut modules = BTreeMap::new();
    for file in files {
        let path = file.strip_prefix(&base).unwrap().to_string_lossy().into_owned();
        if path.contains("tests/") || path.ends_with("tests.rs") || path == "main.rs" {
            continue;
        }
        let name = path.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        modules.insert(name, code.fold(String::new(), |all, line| all + line + "\n"));
    }
    assert!(modules.len() > 150, "the sources were not found");
    modules
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`.
fn leaves(tree: &str, before: &str, found: &mut Vec<String>) {
    let Some((head, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap().trim();
        found.push(format!("{before}{path}"));
        return;
    };
    let (mut depth, mut part) = (0, String::new());
    for c in rest.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                leaves(&std::mem::take(&mut part), &format!("{before}{}", head.trim()), found);
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    if !part.trim().is_empty() {
        leaves(&part, &format!("{before}{}", head.trim()), found);
    }
}

/// Every path that the code of a module names, in `use` or beside it.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for statement in code.split("use ").skip(1).filter_map(|rest| rest.split_once(';')).map(|(tree, _)| tree) {
        let tree: Vec<&str> = statement.split_whitespace().collect();
        leaves(&tree.join(" "), "", &mut found);
    }
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let path: String = code[at..].chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
            found.push(path.trim_end_matches(':').to_owned());
        }
    }
    found
}

/// The module that a path leads to, seen from `from`.
fn resolve(path: &str, from: &str, modules: &BTreeMap<String, String>) -> Option<String> {
    let parent = |module: &str| module.rsplit_once("::").map_or(String::new(), |(parent, _)| parent.to_owned());
    let full = if let Some(rest) = path.strip_prefix("crate::") {
        rest.to_owned()
    } else if let Some(rest) = path.strip_prefix("super::super::") {
        format!("{}::{rest}", parent(&parent(from)))
    } else if let Some(rest) = path.strip_prefix("super::") {
        format!("{}::{rest}", parent(from))
    } else {
        format!("{from}::{}", path.strip_prefix("self::").unwrap_or(path))
    };
    let segments: Vec<&str> = full.trim_start_matches("::").split("::").collect();
    let prefixes = (1..=segments.len()).rev().map(|length| segments[..length].join("::"));
    prefixes.into_iter().find(|prefix| modules.contains_key(prefix)).filter(|module| module != from)
}

fn graph(modules: &BTreeMap<String, String>) -> Graph {
    let uses = |(name, code): (&String, &String)| {
        let used = paths(code).iter().filter_map(|path| resolve(path, name, modules)).collect();
        (name.clone(), used)
    };
    modules.iter().map(uses).collect()
}

/// A folder's own file speaks for what is in it: between the two there is no arrow.
fn is_family(one: &str, other: &str) -> bool {
    one.starts_with(&format!("{other}::")) || other.starts_with(&format!("{one}::"))
}

/// The files on a way from `at` back to `goal`.
fn way_back(graph: &Graph, at: &str, goal: &str, seen: &mut BTreeSet<String>) -> Option<Vec<String>> {
    for next in graph[at].iter().filter(|next| !is_family(at, next)) {
        if next == goal {
            return Some(vec![at.to_owned()]);
        }
        if seen.insert(next.clone())
            && let Some(mut way) = way_back(graph, next, goal, seen)
        {
            way.push(at.to_owned());
            return Some(way);
        }
    }
    None
}

#[test]
fn no_files_go_round_in_a_circle() {
    let modules = modules();
    let graph = graph(&modules);
    let circles = graph.keys().filter_map(|file| way_back(&graph, file, file, &mut BTreeSet::new()));
    let circles: Vec<String> = circles.map(|way| way.into_iter().rev().collect::<Vec<_>>().join(" -> ")).collect();
    assert!(circles.is_empty(), "\n{}", circles.join("\n"));
}

#[test]
fn rooms_use_those_below_them() {
    let modules = modules();
    let graph = graph(&modules);
    let mut wrong = Vec::new();
    for (folder, floors) in FLOORS {
        let room_of = |module: &str| {
            module
                .strip_prefix(folder)?
                .strip_prefix("::")
                .map(|rest| rest.split("::").next().unwrap_or(rest).to_owned())
        };
        let floor_of = |room: &str| floors.iter().position(|rooms| rooms.contains(&room));
        for (file, used) in &graph {
            let Some(room) = room_of(file) else { continue };
            let Some(floor) = floor_of(&room) else {
                wrong.push(format!("{folder}/{room} is a room without a floor: give it one in FLOORS"));
                continue;
            };
            for other in used {
                let Some(below) = room_of(other).filter(|other| *other != room) else { continue };
                if floor_of(&below).is_none_or(|below| below >= floor) {
                    wrong.push(format!("{file} uses {other}, which is not below {folder}/{room}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
