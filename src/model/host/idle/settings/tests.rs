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
