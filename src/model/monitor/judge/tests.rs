use super::*;

fn conditions(texts: &[(Level, &str)]) -> Vec<Condition> {
    texts.iter().map(|(level, text)| Condition::parse(text, *level).unwrap()).collect()
}

fn item(subject: &str, reading: Reading) -> Item {
    let label = vec![subject.to_owned()];
    Item { subject: subject.to_owned(), server: None, label, reading, detail: None }
}

fn judged(texts: &[(Level, &str)], items: &[Item]) -> Judged {
    let conditions = conditions(texts);
    let groups = groups(&conditions);
    assert_eq!(groups.len(), 1);
    let (group, conditions) = groups.into_iter().next().unwrap();
    judge(group, &conditions, items)
}

#[test]
fn the_worst_condition_that_is_met_counts() {
    use Level::{Critical, Warning};
    let both = [(Warning, "cpu>80"), (Critical, "cpu>95")];
    for (value, want) in [
        (80.0, None),
        (81.0, Some((Warning, "web: cpu 81% (above 80%)"))),
        (97.25, Some((Critical, "web: cpu 97.25% (above 95%)"))),
    ] {
        let found = judged(&both, &[item("web", Reading::Known(value))]).findings;
        let found = found.first().map(|finding| (finding.level, finding.message.as_str()));
        assert_eq!(found, want, "{value}");
    }
    let ranges = [(Warning, "cpu=80"), (Critical, "cpu=95:")];
    let found = judged(&ranges, &[item("web", Reading::Known(50.0))]).findings;
    assert_eq!(found[0].message, "web: cpu 50% (below 95%)", "a range as it was typed");
}

#[test]
fn each_key_says_what_it_found() {
    for (text, value, want) in [
        ("response>500ms", 0.612, "x: answered in 612ms (above 500ms)"),
        ("age>10m", 720.0, "x: seen 12m00s ago (above 10m00s)"),
        ("storage>90", 93.1, "x: 93.1% full (above 90%)"),
        ("certificate<14d", 777_600.0, "x: certificate ends in 9d00h (below 14d00h)"),
        ("certificate<14d", -7200.0, "x: certificate ended 2h00m ago (below 14d00h)"),
        ("token<14d", 3600.0, "x: token ends in 1h00m (below 14d00h)"),
        ("backup>26h", 144_000.0, "x: last good backup 1d16h ago (above 1d02h)"),
        ("availability<99.5 over 30d", 98.0, "x: available 98% of the time over 30d00h (below 99.5%)"),
        ("cpu>80 over 15m", 81.5, "x: cpu 81.5% over 15m00s (above 80%)"),
        ("load>8", 9.0, "x: load 9 (above 8)"),
    ] {
        let found = judged(&[(Level::Critical, text)], &[item("x", Reading::Known(value))]).findings;
        assert_eq!(found[0].message, want);
    }
}

#[test]
fn what_is_not_known_is_never_fine_where_it_should_be() {
    let unknown = || Reading::Unknown("pvestatd is silent".to_owned());
    let untold = || Reading::Untold("it runs no agent".to_owned());
    let excused = || Reading::Excused("it is off".to_owned());
    let levels = |items: &[Reading]| {
        let items: Vec<_> = items.iter().map(|reading| item("x", reading.clone())).collect();
        let judged = judged(&[(Level::Warning, "disk>80")], &items);
        (judged.findings.iter().map(|finding| finding.level).collect::<Vec<_>>(), judged.notes.len())
    };
    assert_eq!(levels(&[Reading::Known(1.0), unknown()]), (vec![Level::Unknown], 0));
    assert_eq!(levels(&[unknown(), unknown()]), (vec![Level::Unknown], 0), "one reason is said once");
    assert_eq!(levels(&[Reading::Known(1.0), untold(), untold()]), (vec![], 1));
    assert_eq!(levels(&[untold()]), (vec![Level::Unknown], 0), "of nobody");
    assert_eq!(levels(&[excused(), untold()]), (vec![], 1));
    assert_eq!(levels(&[excused()]), (vec![], 0));
    assert_eq!(levels(&[]), (vec![Level::Unknown], 0), "nobody was selected who could have it");
}

#[test]
fn graphs_carry_both_thresholds_and_the_window() {
    let both = [(Level::Warning, "cpu>80 over 15m"), (Level::Critical, "cpu>95 over 15m")];
    let judged = judged(&both, &[item("pve1", Reading::Known(34.0))]);
    assert_eq!(judged.perf[0].label, "pve1_cpu_15m00s");
    let text = |range: Option<crate::model::monitor::range::Range>| range.map(|range| range.to_string());
    assert_eq!((text(judged.perf[0].warn), text(judged.perf[0].crit)), (Some("80".into()), Some("95".into())));
}
