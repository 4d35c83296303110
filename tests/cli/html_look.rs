//! How the page looks: heights, colours, what stands on narrow screens, and what it shows on its first day.

use std::path::{Path, PathBuf};

use ecobox_sim::{Cluster, Sim};
use serde_json::json;

use super::browser::Browser;
use super::env::Env;
use super::fleets::{CLOSED, cluster, env_for, plain};
use super::stats::lab;

/// What a household has: nothing that would need two lines.
fn house() -> Cluster {
    cluster("lab")
        .node("pve1")
        .vm(101, "web-01", |vm| vm.running().size(2, 4096).load(0.95, 1 << 30).uptime(40 * 86_400).tags("web"))
        .vm(102, "db", |vm| vm.running().size(2, 4096).load(0.8, 3 << 30).uptime(40 * 86_400).agent_ip("10.99.0.102"))
        .vm(103, "old", |vm| vm.stopped().tags("prod"))
        .vm(104, "new", |vm| vm.running().size(2, 4096).load(0.1, 1 << 30).uptime(300))
}

fn page(env: &Env, exit: i32) -> PathBuf {
    let path = env.home().join("page.html");
    let _ = env.run(&["status", "-o", "html", "--out", path.to_str().unwrap()]).exits(exit);
    path
}

fn open(width: u32, path: &Path) -> Option<Browser> {
    let mut browser = Browser::start()?;
    browser.look(width, 900, "light");
    browser.open(path);
    Some(browser)
}

#[test]
fn a_row_is_one_line_on_a_small_laptop() {
    let sim = Sim::start(house());
    let env = env_for(&sim, &["pve1"]);
    env.add_config(&plain("backup", CLOSED));
    let Some(mut browser) = open(1024, &page(&env, 8)) else { return };
    // The longest age there is.
    browser.eval("for (const time of document.querySelectorAll('#fleet time')) time.textContent = '119 min'");
    for width in [1024, 960, 1101, 1280] {
        browser.look(width, 900, "light");
        let heights = browser.eval("[...document.querySelectorAll('#fleet tr:not(.d)')].map(row => row.offsetHeight)");
        let heights: Vec<u64> = heights.as_array().unwrap().iter().map(|height| height.as_u64().unwrap()).collect();
        assert_eq!(heights.len(), 7);
        assert!(heights.iter().all(|height| *height < 34), "{width}: {heights:?}");
        assert_eq!(browser.eval("document.scrollingElement.scrollWidth <= innerWidth"), true);
    }
}

#[test]
fn bars_are_coloured_as_on_the_screen() {
    let sim = Sim::start(house());
    let env = env_for(&sim, &["pve1"]);
    let Some(mut browser) = open(1280, &page(&env, 0)) else { return };
    let fill = |id: &str, column: &str| {
        format!("getComputedStyle(document.querySelector('tbody[data-id={id}] td.w-{column} rect')).fill")
    };
    let named = |browser: &mut Browser, name: &str| {
        browser.eval(&format!(
            "(() => {{ const probe = document.createElement('i'); document.body.append(probe);
                probe.style.color = 'var(--{name})'; const color = getComputedStyle(probe).color; probe.remove(); return color; }})()"
        ))
    };
    for (id, column, want) in [
        ("pve1-vm-101", "cpu", "bad"),
        ("pve1-vm-102", "cpu", "halt"),
        ("pve1-vm-104", "cpu", "ink"),
        ("pve1-vm-101", "memory", "ink"),
        ("pve1-vm-102", "memory", "halt"),
    ] {
        let want = named(&mut browser, want);
        assert_eq!(browser.eval(&fill(id, column)), want, "{id} {column}");
    }
}

#[test]
fn a_phone_sorts_by_a_list_and_has_no_empty_lines() {
    let sim = Sim::start(house());
    let env = env_for(&sim, &["pve1"]);
    env.add_config(&plain("backup", CLOSED));
    let _ = env.run(&["status"]).exits(8);
    // A server that is off and was measured today has a course and no number.
    let subjects: Vec<i64> = super::packed::samples(&env).iter().map(|sample| sample.subject).collect();
    let stopped = subjects.iter().find(|subject| **subject & 0xffff == 101).unwrap() + 2;
    super::packed::add_all(&env, super::past::now() - 3600, &[stopped], &[("cpu", 5.0)]);
    let Some(mut browser) = open(360, &page(&env, 8)) else { return };
    let names = "[...document.querySelectorAll('#fleet .name')].map(name => name.textContent)";
    assert_eq!(browser.eval(names), json!(["pve1", "web-01", "db", "old", "new", "backup"]));
    assert_eq!(browser.eval("document.querySelector('#fleet thead').checkVisibility()"), false);
    let choose = |column: &str| {
        format!(
            "{{ const s = document.getElementById('sort'); s.value = '{column}'; s.dispatchEvent(new Event('change')); }}"
        )
    };
    browser.eval(&choose("cpu"));
    assert_eq!(browser.eval(&format!("({names}).slice(0, 3)")), json!(["web-01", "db", "new"]));
    browser.eval("document.getElementById('turn').click()");
    assert_eq!(browser.eval(&format!("({names})[0]")), "pve1");
    assert_eq!(browser.eval("new URLSearchParams(location.hash.slice(1)).get('sort')"), "cpu");
    browser.eval(&choose(""));
    assert_eq!(browser.eval(&format!("({names})[0]")), "pve1");
    assert_eq!(browser.eval("document.getElementById('turn').disabled"), true);
    // What stands beside each other in a card, line by line.
    let lines = "[...document.querySelectorAll('#fleet tr:not(.d)')].flatMap(row => {
        const lines = new Map();
        for (const cell of row.cells) {
            if (!cell.checkVisibility()) continue;
            const line = Math.round(cell.getBoundingClientRect().bottom / 12);
            lines.set(line, (lines.get(line) || '') + cell.innerText.trim());
        }
        return [...lines.values()];
    })";
    let lines = browser.eval(lines);
    assert!(lines.as_array().unwrap().iter().all(|line| line != ""), "{lines}");
    assert_eq!(browser.eval("document.scrollingElement.scrollWidth <= innerWidth"), true);
    // On a wide screen the titles sort.
    browser.look(1280, 900, "light");
    assert_eq!(browser.eval("document.getElementById('sort').checkVisibility()"), false);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// The first page has charts: of what Proxmox VE kept, by one request for each server that was on before.
#[test]
fn the_first_page_has_the_last_day() {
    let sim = Sim::start(house());
    let env = env_for(&sim, &["pve1"]);
    sim.clear_requests();
    let text = std::fs::read_to_string(page(&env, 0)).unwrap();
    let asked: Vec<String> =
        sim.requests().into_iter().map(|request| request.path).filter(|path| path.contains("/rrddata")).collect();
    let has = |part: &str| asked.iter().filter(|path| path.contains(part)).count();
    // `new` was off before, `old` is.
    assert_eq!((has("/qemu/101/"), has("/qemu/102/"), has("/qemu/103/"), has("/qemu/104/")), (1, 1, 0, 0), "{asked:?}");
    assert!(asked.len() <= 3, "{asked:?}");
    assert_eq!(sim.requests().len(), asked.len() + 1, "{:?}", sim.requests());
    let card = |id: &str| text.split("<tbody").find(|part| part.contains(&format!("data-id=\"{id}\""))).unwrap();
    assert!(card("pve1-vm-101").contains("<figure>"), "{}", card("pve1-vm-101"));
    assert!(text.contains("what was before ecobox looked is from Proxmox VE"));
    // Who asks no one asks no one.
    sim.clear_requests();
    let _ = env.run(&["status", "--cached", "-o", "html"]).exits(0);
    assert_eq!(sim.requests().len(), 0, "{:?}", sim.requests());
    // A table has no charts.
    let _ = env.run(&["status"]).exits(0);
    assert_eq!(sim.requests().len(), 1, "{:?}", sim.requests());
}

/// Only `stats` logs in to a plain server: a page shows what that saw last, with its age, and so does `--cached`.
#[test]
fn the_last_load_of_a_plain_server_is_shown_with_its_age() {
    let lab = lab(house());
    let env = &lab.world.env;
    let _ = env.run(&["stats"]).exits(0);
    env.execute(
        "UPDATE samples SET at = at - 7200000; UPDATE readings SET at = at - 7200000; UPDATE checks SET at = at - 7200000",
    );
    let text = std::fs::read_to_string(page(env, 0)).unwrap();
    let nas = text.split("<tbody").find(|part| part.contains("data-id=\"nas\"")).unwrap();
    let cpu = nas.split("w-cpu").nth(1).unwrap().split("<td").next().unwrap();
    assert!(cpu.contains("measured then by ssh") && cpu.contains("2h"), "{nas}");
    assert!(nas.contains("<dt>measured<dd>"), "{nas}");
    // What was just seen has no other age.
    let web = text.split("<tbody").find(|part| part.contains("data-id=\"pve1-vm-101\"")).unwrap();
    assert!(!web.contains("measured then"), "{web}");
    let run = env.run(&["status", "--cached", "-o", "json"]).exits(0);
    let nas = run.server("nas");
    assert!(nas["cpu_percent"].is_number() && nas["memory_bytes"].is_number(), "{nas}");
    assert!(nas["measured_at"].is_string(), "{nas}");
}
