#[test]
fn durations_are_read_with_and_without_a_unit() {
    use std::time::Duration;
    assert_eq!(super::duration("5"), Ok(Duration::from_secs(5)));
    assert_eq!(super::duration("2m"), Ok(Duration::from_secs(120)));
    assert_eq!(super::duration("1h30m"), Ok(Duration::from_secs(5400)));
    for bad in ["", "0", "-5s", "soon"] {
        assert!(super::duration(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_moment_in_the_past_is_said_in_three_ways() {
    use super::{Since, since};
    use jiff::{SignedDuration, Timestamp};
    let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
    let before = |text: &str| super::moment(text).map(|since| since.before(now).to_string());
    for (text, want) in [
        ("24h", "2026-11-24T12:00:00Z"),
        ("7d", "2026-11-18T12:00:00Z"),
        ("1h 30m", "2026-11-25T10:30:00Z"),
        ("90", "2026-11-25T11:58:30Z"),
        ("2026-11-24T08:00:00Z", "2026-11-24T08:00:00Z"),
        ("2026-11-24T08:00:00+02:00", "2026-11-24T06:00:00Z"),
    ] {
        assert_eq!(before(text).as_deref(), Ok(want), "{text}");
    }
    assert!(matches!(since("2026-11-24"), Ok(Since::At(_))));
    assert_eq!(since("2d"), Ok(Since::Ago(SignedDuration::from_hours(48))));
    for bad in ["", "0", "-5h", "yesterday", "2026-13-01", "1mo", "9000-01-01", "9000-01-01T00:00:00Z"] {
        assert!(since(bad).is_err(), "{bad}");
    }
}
