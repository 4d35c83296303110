use super::*;

fn texts(needs: &[Need]) -> Vec<&str> {
    needs.iter().map(|need| need.text.as_str()).collect()
}

#[test]
fn load_is_a_need_above_the_thresholds() {
    let settings = IdleSettings::default();
    let unknown = ["how hard it works could not be measured"];
    assert_eq!(texts(&settings.load_needs(None)), unknown);
    let mut load = HostLoad::default();
    assert_eq!(texts(&settings.load_needs(Some(&load))), unknown);
    load.usage.cpu_percent = Some(10.0);
    assert_eq!(texts(&settings.load_needs(Some(&load))), [""; 0]);
    load.usage.cpu_percent = Some(34.0);
    (load.usage.load, load.usage.cpus) = (Some(6.5), Some(4.0));
    (load.rates.receive, load.rates.transmit) = (Some(60_000.0), Some(60_000.0));
    load.rates.write = Some(5e6);
    let needs = settings.load_needs(Some(&load));
    assert_eq!(texts(&needs), ["CPU at 34 %", "network at 117K/s", "disks at 4.8M/s", "load 6.5 on 4 CPUs"]);
    let what: Vec<&str> = needs.iter().map(|need| need.what.as_str()).collect();
    assert_eq!(what, ["CPU", "network", "disks", "load"], "the same at each look");
    let wide = IdleSettings { cpu_percent: 50.0, load: 2.0, network: 1e6, disk: 1e7, ..settings };
    assert_eq!(texts(&wide.load_needs(Some(&load))), [""; 0]);
}

#[test]
fn what_cannot_be_looked_at_is_no_proof_of_idleness() {
    let settings = IdleSettings { ignore_users: vec!["backup".to_owned()], ..IdleSettings::default() };
    let mut seen = HostPreflight::default();
    let unknown = ["who is logged in is not known", "its connections could not be read"];
    assert_eq!(texts(&settings.seen_needs(&seen, &[])), unknown);
    let login = |user: &str| LoggedIn { user: Some(user.to_owned()), terminal: None, from: None, idle: None };
    seen.users = Some(vec![login("anna"), login("backup")]);
    seen.activity = Some(Activity { connections: Some(Vec::new()), ..Activity::default() });
    let needs = settings.seen_needs(&seen, &[("SMB from 10.0.0.5".to_owned(), "SMB from 10.0.0.5".to_owned())]);
    let what: Vec<&str> = needs.iter().map(|need| need.what.as_str()).collect();
    assert_eq!(what, ["login of anna", "SMB from 10.0.0.5"]);
}

#[test]
fn timers_that_are_due_count_unless_they_come_all_the_time() {
    use crate::model::host::activity::{Timer, timers_of};
    // As `systemctl list-timers --all --output=json` of systemd 257 prints it.
    let json = r#"[{"next":1796022000000000,"left":1796022000000000,"last":1795935600000000,"passed":1,"unit":"backup.timer","activates":"backup.service"},
        {"next":1796020500000000,"left":0,"last":1796020200000000,"passed":0,"unit":"collect.timer","activates":"collect.service"},
        {"next":1796020500000000,"left":0,"last":null,"passed":0,"unit":"apt-daily-upgrade.timer","activates":"x.service"},
        {"next":1796020500000000,"left":0,"last":0,"passed":0,"unit":"metrics-push.timer","activates":"x.service"},
        {"next":null,"left":null,"last":null,"passed":null,"unit":"never.timer","activates":"x.service"}]"#;
    let timers = timers_of(json).unwrap();
    let units: Vec<&str> = timers.iter().map(|timer: &Timer| timer.unit.as_str()).collect();
    assert_eq!(units, ["backup.timer", "collect.timer", "apt-daily-upgrade.timer", "metrics-push.timer"]);
    let clock = jiff::Timestamp::from_second(1_796_020_200).ok();
    let activity = Activity { clock, timers: Some(timers), ..Activity::default() };
    let mut settings = IdleSettings::default();
    let minutes = SignedDuration::from_mins;
    assert_eq!(
        texts(&settings.timer_needs(&activity, minutes(30))),
        ["backup.timer is due in 30 min", "metrics-push.timer is due in 5 min"]
    );
    assert_eq!(texts(&settings.timer_needs(&activity, minutes(29))), ["metrics-push.timer is due in 5 min"]);
    settings.ignore_timers = vec!["metrics-*".to_owned()];
    assert_eq!(texts(&settings.timer_needs(&activity, minutes(29))), [""; 0]);
    // One that comes every five minutes counts for a window of less.
    assert_eq!(texts(&settings.timer_needs(&activity, minutes(4))), [""; 0]);
    for other in ["", "NEXT LEFT", "{}", "[{\"next\":\"soon\"}]", "[{\"next\":1,"] {
        assert_eq!(timers_of(other), None, "{other}");
    }
}

#[test]
fn a_command_says_by_its_exit_status_whether_the_host_is_needed() {
    let settings =
        IdleSettings { command: Some(vec!["/usr/local/bin/is-needed".to_owned()]), ..IdleSettings::default() };
    let need = |status, line: &str| {
        let need = settings.command_need(&Answer { status, line: line.to_owned() });
        need.map(|need| (need.kind, need.text))
    };
    let of = |kind, text: &str| Some((kind, text.to_owned()));
    assert_eq!(need(0, "two films"), of(NeedKind::Command, "two films"));
    assert_eq!(need(0, ""), of(NeedKind::Command, "/usr/local/bin/is-needed says so"));
    assert_eq!(need(1, "nothing"), None);
    assert_eq!(need(2, ""), None);
    assert_eq!(need(124, ""), of(NeedKind::Unknown, "/usr/local/bin/is-needed did not end in time"));
    assert_eq!(need(127, ""), of(NeedKind::Unknown, "/usr/local/bin/is-needed could not run (exit status 127)"));
    assert_eq!(need(137, ""), of(NeedKind::Unknown, "/usr/local/bin/is-needed could not run (exit status 137)"));
}
