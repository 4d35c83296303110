use super::*;

fn said<'a>(summary: &'a str, findings: &'a [Finding], perf: &'a [Perf]) -> Said<'a> {
    Said { level: Level::Critical, summary, findings, notes: &[], perf }
}

#[test]
fn performance_data_have_units_and_thresholds() {
    let range = |text: &str| Range::parse(text, |number| number.parse().map_err(|_| String::new())).ok();
    let cpu = Perf { warn: range("80"), crit: range("95"), ..Perf::new(&["pve1", "cpu"], 34.0, Unit::Percent) };
    let time = Perf { crit: range("0.5"), ..Perf::new(&["web", "https"], 0.000_301_234, Unit::Seconds) };
    let perf = [Perf::count("servers", 14), cpu, time, Perf::new(&["pve1", "load"], 0.5, Unit::Number)];
    assert_eq!(
        said("x", &[], &perf).plugin(),
        "ECOBOX CRITICAL - x | 'servers'=14 'pve1_cpu'=34%;80;95;0;100 'web_https'=0.000301s;;0.5 'pve1_load'=0.5\n"
    );
}

#[test]
fn foreign_text_breaks_neither_a_line_nor_the_data() {
    let message = "web'|\"1: \u{1b}[31mit | is\nCRITICAL: off\r\tnow\u{2028}x".to_owned();
    let findings = [Finding { level: Level::Critical, check: "state", server: None, message }];
    let perf = [Perf::new(&["a'=|\n b\"", "cpu"], 1.0, Unit::Percent)];
    let text = said("one | two\nthree 'x'=1", &findings, &perf).plugin();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[0], "ECOBOX CRITICAL - one / two three 'x'=1 | 'a_____b__cpu'=1%;;;0;100");
    assert_eq!(lines[0].matches('|').count(), 1);
    assert!(!lines[1].contains('|') && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_line_for_checkmk() {
    let message = "web is \\n off | \"x\"".to_owned();
    let findings = [Finding { level: Level::Critical, check: "state", server: None, message }];
    let perf = [Perf::count("servers", 2), Perf::new(&["pve1", "cpu"], 34.5, Unit::Percent)];
    let text = said("web is off", &findings, &perf).checkmk("my \"fleet\"");
    let want = "2 \"my _fleet_\" servers=2|pve1_cpu=34.5 web is off\\nCRITICAL: web is /n off / \"x\"\n";
    assert_eq!(text, want);
    assert_eq!(said("fine", &[], &[]).checkmk("fleet"), "2 \"fleet\" - fine\n");
}
