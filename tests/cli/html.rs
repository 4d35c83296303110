//! `status -o html`: the file, and the page in a real browser.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;

use ecobox_sim::{Guest, Sim};
use serde_json::json;

use super::browser::Browser;
use super::env::{CANARY, Env};
use super::fleets::{CLOSED, TOKEN, cluster, env_for, homelab, plain};
use super::packed;
use super::past::{HOUR, MINUTE, now};

const SCRIPT: &str = "<script>alert(1)</script>";

/// A cluster of two with guests of all kinds, a server that is off, and a guest whose name is a script.
fn fleet() -> (Sim, Env) {
    let hostile = "x\"'><img src=x onerror=alert(2)>\u{202e}\u{1b}[0m";
    let sim = Sim::start(
        cluster("lab")
            .node("pve1")
            .node("pve2")
            .vm(101, "web-01", |vm| vm.on("pve1").running().size(2, 4096).load(0.25, 1 << 30).tags("prod;web"))
            .vm(102, "web-02", |vm| vm.on("pve2").running().size(2, 4096).load(0.75, 3 << 30).tags("web").pool("live"))
            .vm(103, "db", |vm| vm.on("pve2").running().size(4, 8192).load(0.5, 7 << 30).tags("prod"))
            .vm(104, SCRIPT, |vm| vm.on("pve1").running().size(1, 512).load(0.01, 1 << 20).tags(hostile))
            .vm(105, hostile, |vm| vm.on("pve1").stopped().pool(hostile).locked(hostile))
            .ct(201, "dns", |ct| ct.on("pve1").running().size(1, 512).load(0.02, 1 << 26).agent_ip("10.99.0.53")),
    );
    let env = env_for(&sim, &["pve1", "pve2"]);
    env.add_config(&plain("backup", CLOSED));
    let _ = env.run(&["discover"]).exits(0);
    let _ = env.run(&["status"]).exits(8);
    // A day of numbers, with a hole.
    let mut subjects: Vec<i64> = packed::samples(&env).iter().map(|sample| sample.subject).collect();
    subjects.sort_unstable();
    subjects.dedup();
    for i in (0..288_i32).filter(|i| !(100..150).contains(i)) {
        let at = now() - 24 * HOUR + i64::from(i) * 5 * MINUTE;
        let step = f64::from(i);
        let numbers = [
            ("cpu", f64::from(20 + 15 * (i / 12 % 3))),
            ("memory", f64::from(1 << 29) + step),
            ("receive", step * 900_000.0),
            ("transmit", step * 300_000.0),
            ("uptime", 1000.0 + step * 300.0),
        ];
        packed::add_all(&env, at, &subjects, &numbers);
    }
    (sim, env)
}

#[test]
fn a_page_is_a_file_that_everybody_may_read() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let path = env.home().join("page.html");
    std::fs::write(&path, "the old one").unwrap();
    let before = std::fs::metadata(&path).unwrap().ino();
    let run = env.run(&["status", "-o", "html", "--out", path.to_str().unwrap()]).exits(0);
    assert_eq!(run.stdout, "");
    let metadata = std::fs::metadata(&path).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o644);
    // Another file under the same name: whoever reads the old one reads it to its end.
    assert_ne!(metadata.ino(), before);
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    assert!(page.contains("web-01") && !page.contains(CANARY) && !page.contains(TOKEN));
    assert!(!page.contains("//"));
    // The same on stdout, and one request as without a page, but for the chart of the first day.
    sim.clear_requests();
    let run = env.run(&["status", "web-01", "-o", "html"]).exits(0);
    let asked: Vec<String> = sim.requests().into_iter().map(|request| request.path).collect();
    assert!(asked.len() == 2 && asked[1].contains("/qemu/101/rrddata"), "{asked:?}");
    assert!(run.stdout.starts_with("<!DOCTYPE html>") && run.stdout.contains("web-01"));
    assert!(!run.stdout.contains("ct-web"));
}

#[test]
fn a_page_holds_no_token_even_where_it_is_refused() {
    let sim = homelab();
    let mut env = env_for(&sim, &["pve1"]);
    env.set("ECOBOX_TOKEN_PVE1", format!("{TOKEN}=c0ffee00-0000-4000-8000-000000000000"));
    let run = env.run(&["status", "-o", "html"]).exits(4).says(TOKEN);
    assert!(run.stdout.contains("pve1 refused: token …: "), "{}", run.stdout);
    assert!(!run.stdout.contains(TOKEN) && !run.stdout.contains("ecobox@pve"));
}

#[test]
fn only_status_has_a_page() {
    let env = Env::new();
    env.config(&plain("nas", CLOSED));
    for args in [&["stats"][..], &["discover"], &["status", "--since", "1d"]] {
        let run = env.run(&[args, &["-o", "html"]].concat()).exits(2);
        let run = run.says("this command has no page").says("run `ecobox status -o html`");
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn a_reader_who_leaves_is_no_error() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let mut child =
        env.command(&["status", "-o", "html"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 4];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// The names in the rows that are seen, in their order.
const NAMES: &str = "[...document.querySelectorAll('#fleet tbody')].filter(part => part.checkVisibility())
    .map(part => part.querySelector('.name').textContent)";

pub(crate) fn filter(browser: &mut Browser, text: &str) -> serde_json::Value {
    browser.eval("{ const q = document.getElementById('q'); q.focus(); q.select(); }");
    if text.is_empty() {
        browser.press("Escape", "");
    } else {
        browser.type_text(text);
    }
    browser.eval(NAMES)
}

#[test]
fn a_browser_shows_filters_sorts_and_folds_it() {
    let Some(mut browser) = Browser::start() else { return };
    let (_sim, env) = fleet();
    let path = env.home().join("page.html");
    let _ = env.run(&["status", "-o", "html", "--out", path.to_str().unwrap()]).exits(8);
    browser.look(1920, 1080, "light");
    browser.open(&path);

    // It is there, and what is hostile is text.
    let hostile = "x\"'><img src=x onerror=alert(2)>\\u{202e}\\u{1b}[0m";
    let all = json!(["pve1", "web-01", SCRIPT, hostile, "dns", "pve2", "web-02", "db", "backup"]);
    assert_eq!(browser.eval(NAMES), all);
    assert_eq!(browser.eval("document.querySelectorAll('script').length"), 1);
    assert_eq!(browser.eval("document.images.length"), 0);
    let wrong = browser.eval("document.querySelector('.alarm:not([hidden])').innerText");
    assert!(wrong.as_str().unwrap().contains("1 thing is wrong\nbackup is offline"), "{wrong}");
    assert_eq!(browser.eval("document.getElementById('count').textContent"), "9 servers");
    assert_eq!(browser.eval("document.getElementById('stale').checkVisibility()"), false);
    let age = browser.eval("document.getElementById('age').textContent");
    assert!(age.as_str().unwrap().ends_with(" ago"), "{age}");

    // Filters: by name, id, number, tag, kind, node, pool, state; blanks are or, commas and, exclamation marks not.
    for (text, want) in [
        ("web", json!(["web-01", "web-02"])),
        ("tag=prod", json!(["web-01", "db"])),
        ("tag=WEB,node=pve2", json!(["web-02"])),
        ("kind=ct backup", json!(["dns", "backup"])),
        ("kind=host", json!(["pve1", "pve2", "backup"])),
        ("state=running !web* !<script*", json!(["dns", "db"])),
        ("state=stopped", json!([hostile])),
        ("state=wrong", json!(["backup"])),
        ("pool=l?ve", json!(["web-02"])),
        ("w[ea]b-0[!1]", json!(["web-02"])),
        ("pve1-vm-101 ct-201", json!(["web-01", "dns"])),
        ("pve1/web", json!(["web-01"])),
        ("10.99.0.53", json!(["dns"])),
        ("<script>", json!([SCRIPT])),
        ("nothing-of-the-kind", json!([])),
    ] {
        assert_eq!(filter(&mut browser, text), want, "{text}");
    }
    assert_eq!(browser.eval("document.getElementById('count').textContent"), "0 of 9 servers");
    filter(&mut browser, "colour=red");
    let said = browser.eval("document.getElementById('count').textContent");
    assert_eq!(said, "unknown selector `colour=`; there are tag=, node=, kind=, pool=, state=");
    // What is chosen stands in the address, and a guest says where it is.
    filter(&mut browser, "tag=prod");
    assert_eq!(browser.eval("new URLSearchParams(location.hash.slice(1)).get('q')"), "tag=prod");
    assert_eq!(browser.eval("document.querySelector('tbody:not([hidden]) .on').innerText"), "pve1");
    assert_eq!(filter(&mut browser, ""), all);
    // The buttons with the numbers of states filter, too.
    browser.eval("document.querySelector('[data-q=\"state=wrong\"]').click()");
    assert_eq!(browser.eval(NAMES), json!(["backup"]));
    browser.eval("document.querySelector('[data-q=\"state=wrong\"]').click()");

    // Sorting: its own way, the other way, and back; what nobody knows is last.
    let click = |key: &str| format!("document.querySelector('th[data-c={key}] button').click()");
    let sorted = |key: &str| format!("document.querySelector('th[data-c={key}]').getAttribute('aria-sort')");
    browser.eval(&click("cpu"));
    let first = browser.eval(&format!("({NAMES}).slice(0, 3)"));
    assert_eq!(first, json!(["web-02", "db", "web-01"]));
    assert_eq!(browser.eval(&sorted("cpu")), "descending");
    assert_eq!(browser.eval(&format!("({NAMES}).slice(-2)")), json!([hostile, "backup"]));
    browser.eval(&click("cpu"));
    assert_eq!(browser.eval(&sorted("cpu")), "ascending");
    assert_eq!(browser.eval(&format!("({NAMES}).slice(-2)")), json!([hostile, "backup"]));
    assert_eq!(browser.eval(&format!("({NAMES})[0]")), SCRIPT);
    browser.eval(&click("cpu"));
    assert_eq!((browser.eval(&sorted("cpu")), browser.eval(NAMES)), (json!("none"), all.clone()));
    browser.eval(&click("name"));
    let names = browser.eval(NAMES);
    assert_eq!(names[names.as_array().unwrap().len() - 2], "web-02");
    browser.eval(&click("name"));
    browser.eval(&click("name"));

    // Whoever has a finger, or a hand that shakes, hits the buttons (WCAG 2.5.8).
    let small = "[...document.querySelectorAll('.fold, thead button')].map(b => b.getBoundingClientRect())
        .filter(r => r.width > 0 && (r.width < 24 || r.height < 24)).length";
    assert_eq!(browser.eval(small), 0);
    // Folding.
    browser.eval("document.querySelector('.fold').click()");
    assert_eq!(browser.eval(NAMES), json!(["pve1", "pve2", "web-02", "db", "backup"]));
    assert_eq!(browser.eval("document.querySelector('.fold').getAttribute('aria-expanded')"), "false");
    assert_eq!(browser.eval("document.querySelector('.kids').innerText.trim()"), "4 guests");
    // A filter looks into what is folded.
    assert_eq!(filter(&mut browser, "dns"), json!(["dns"]));
    filter(&mut browser, "");
    browser.eval("document.getElementById('fold-all').click()");
    assert_eq!(browser.eval(NAMES), all);
    browser.eval("document.getElementById('fold-all').click()");
    assert_eq!(browser.eval(NAMES), json!(["pve1", "pve2", "backup"]));
    browser.eval("document.getElementById('fold-all').click()");

    // The keyboard alone: to the filter, from name to name, and open.
    browser.eval("document.body.focus(); document.activeElement.blur()");
    browser.press("/", "/");
    assert_eq!(browser.eval("document.activeElement.id"), "q");
    browser.eval("document.querySelector('.name').focus()");
    browser.press("ArrowDown", "");
    assert_eq!(browser.eval("document.activeElement.textContent"), "web-01");
    browser.press("Enter", "\r");
    assert_eq!(browser.eval("document.activeElement.getAttribute('aria-expanded')"), "true");
    let detail = "document.activeElement.closest('tbody').rows[1]";
    assert_eq!(browser.eval(&format!("{detail}.checkVisibility()")), true);
    assert_eq!(browser.eval(&format!("{detail}.querySelectorAll('figure').length")), 3);
    // The hole in the day parts each line; each has an axis.
    let lines = format!("[...{detail}.querySelectorAll('.c > path')].map(p => p.getAttribute('d').match(/M/g).length)");
    assert!(browser.eval(&lines).as_array().unwrap().iter().all(|pieces| pieces == 2));
    assert_eq!(
        browser.eval(&format!("[...{detail}.querySelectorAll('.c')].every(c => c.querySelector('text'))")),
        true
    );

    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_eq!(browser.requests().len(), 1, "{:?}", browser.requests());
}

/// All that is seen with text: the contrast of its colour with what is behind it.
const FAINT: &str = r"(() => {
    const light = text => {
        const [r, g, b] = text.match(/[\d.]+/g).slice(0, 3)
            .map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b;
    };
    const faint = [];
    for (const node of document.querySelectorAll('body *')) {
        const own = [...node.childNodes].some(c => c.nodeType === 3 && c.data.trim());
        if (!own || !node.checkVisibility() || node.disabled) continue;
        let behind = node;
        while (behind && /^rgba\(.*, 0\)$/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
        const style = getComputedStyle(node);
        const ink = node instanceof SVGElement ? style.fill : style.color;
        const pair = [light(ink), light(behind ? getComputedStyle(behind).backgroundColor : 'rgb(255,255,255)')];
        const ratio = (Math.max(...pair) + .05) / (Math.min(...pair) + .05);
        if (ratio < 4.5) faint.push(node.outerHTML.slice(0, 80) + ' ' + ratio.toFixed(2));
    }
    return faint;
})()";

#[test]
fn it_fits_every_screen_and_can_be_read_on_it() {
    let Some(mut browser) = Browser::start() else { return };
    let (_sim, env) = fleet();
    let path = env.home().join("page.html");
    let _ = env.run(&["status", "-o", "html", "--out", path.to_str().unwrap()]).exits(8);
    // The longest of everything, each guest with its node.
    let long = "document.querySelector('th[data-c=memory] button').click();
        for (const time of document.querySelectorAll('#fleet time')) time.textContent = '119 min';
        const set = (all, text) => document.querySelectorAll(all).forEach(e => { e.textContent = text; });
        set('#fleet td.w-cpu:not(.nil)', '100%'); set('.tag', 'a-tag-that-is-quite-long');
        set('#fleet td.w-uptime:not(.nil)', '99d23h'); set('#fleet td.w-address', '255.255.255.255');
        document.querySelectorAll('#fleet td.w-state').forEach(e => { e.lastChild.textContent = 'hibernating'; });
        document.querySelectorAll('#fleet td.w-memory:not(.nil)').forEach(e => { e.lastChild.textContent = '/1023M'; });
        document.querySelector('.name').textContent = 'a-very-long-name-of-a-host.in-some-domain.example.com';";
    for width in [360, 768, 901, 1024, 1101, 1280, 1920] {
        for scheme in ["light", "dark"] {
            browser.look(width, 900, scheme);
            browser.open(&path);
            // With all that can be seen.
            browser.eval("document.querySelectorAll('.name').forEach(name => name.click())");
            browser.eval(long);
            let fits = "innerWidth === WIDTH && document.scrollingElement.scrollWidth <= innerWidth";
            assert_eq!(browser.eval(&fits.replace("WIDTH", &width.to_string())), true, "{width} {scheme}");
            let over = "[...document.querySelectorAll('main *')].filter(e => e.checkVisibility()
                && !e.closest('.vh, svg') && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML)";
            assert_eq!(browser.eval(over), json!([]), "{width} {scheme}");
            assert_eq!(browser.eval(FAINT), json!([]), "{width} {scheme}");
            let ground = browser.eval("getComputedStyle(document.body).backgroundColor");
            assert_eq!(ground == "rgb(18, 20, 23)", scheme == "dark", "{ground}");
            assert_eq!(browser.complaints(), Vec::<String>::new());
        }
    }
    // Whoever cannot see it hears what everything is.
    browser.look(360, 900, "light");
    browser.open(&path);
    let nameless = "[...document.querySelectorAll('button, input')].filter(e =>
        !(e.textContent.trim() || e.getAttribute('aria-label') || (e.labels || []).length)).length";
    assert_eq!(browser.eval(nameless), 0);
    let roles = "[...new Set([...document.querySelectorAll('#fleet td')].map(e => e.getAttribute('role')))]";
    assert_eq!(browser.eval(roles), json!(["cell"]));
    assert_eq!(browser.eval("document.querySelectorAll('svg:not([aria-hidden]):not([role])').length"), 0);
}

/// Anybody can send a link with a filter in it.
#[test]
fn no_filter_in_a_link_holds_the_page_up() {
    let Some(mut browser) = Browser::start() else { return };
    let name = "a".repeat(60);
    let sim = Sim::start(cluster("lab").node("pve1").vm(101, &name, Guest::running).vm(102, "db2", Guest::stopped));
    let env = env_for(&sim, &["pve1"]);
    let path = env.home().join("page.html");
    let _ = env.run(&["status", "-o", "html", "--out", path.to_str().unwrap()]).exits(0);
    browser.open(&path);
    let shown = "document.getElementById('count').textContent";
    let hash = |pattern: &str| format!("location.hash = new URLSearchParams({{ q: {} }})", json!(pattern));
    for pattern in ["*?".repeat(16) + "~", "*a".repeat(200) + "~", "*[a-z]?".repeat(100) + "~"] {
        browser.eval(&hash(&pattern));
        // The hash is read when the page is idle again: another one is asked for behind it.
        browser.eval("new Promise(done => setTimeout(() => done(1), 0))");
        assert_eq!(browser.eval(shown), "0 of 3 servers", "{pattern}");
    }
    // What model/glob.rs matches, and nothing else.
    for (pattern, want) in [
        ("DB2*", "1 of 3 servers"),
        ("d?2", "1 of 3 servers"),
        ("d[!c-z]2", "1 of 3 servers"),
        ("d[!a-c]3", "0 of 3 servers"),
        ("*", "3 of 3 servers"),
        ("[d]*[1-3]", "1 of 3 servers"),
        ("db[2", "0 of 3 servers"),
        ("[]d]b2", "1 of 3 servers"),
        ("a*a?a*", "1 of 3 servers"),
    ] {
        browser.eval(&hash(pattern));
        browser.eval("new Promise(done => setTimeout(() => done(1), 0))");
        assert_eq!(browser.eval(shown), want, "{pattern}");
    }
}

#[test]
fn a_page_that_nothing_replaces_says_so() {
    let Some(mut browser) = Browser::start() else { return };
    let sim = Sim::start(cluster("lab").node("pve1").vm(101, "web", Guest::running));
    let env = env_for(&sim, &["pve1"]);
    let path = env.home().join("page.html");
    let _ = env.run(&["status", "-o", "html", "--out", path.to_str().unwrap()]).exits(0);
    // The page's own clock, moved.
    browser.before_each_page("{ const real = Date.now; window.later = 0; Date.now = () => real() + window.later; }");
    browser.open(&path);
    let stale = "document.getElementById('stale').checkVisibility()";
    let at = |minutes: i64| {
        format!("window.later = {minutes} * 60000; document.dispatchEvent(new Event('visibilitychange'))")
    };
    let age = "document.getElementById('age').textContent";
    browser.eval(&at(9));
    assert_eq!((browser.eval(stale), browser.eval(age)), (json!(false), json!("9 minutes ago")));
    browser.eval(&at(11));
    assert_eq!((browser.eval(stale), browser.eval(age)), (json!(true), json!("11 minutes ago")));
    assert_eq!(browser.eval("document.title.startsWith('stale')"), true);
    browser.eval(&at(60 * 24 * 3));
    assert_eq!(browser.eval(age), "3 days ago");
    assert_eq!(browser.eval("document.querySelector('#fleet time').textContent"), "3 d");
    browser.eval(&at(-5));
    assert_eq!(browser.eval(stale), false);
    assert!(browser.eval(age).as_str().unwrap().contains("clock of this device is slow"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
