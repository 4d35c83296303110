use super::*;

fn parse(text: &str) -> Result<Range, String> {
    Range::parse(text, |number| number.parse().map_err(|_| format!("`{number}` is not a number")))
}

#[test]
fn the_notation_of_the_plugins() {
    // The table of the guidelines, then what it leaves to the words.
    for (text, alerts, silent, words) in [
        ("10", &[-1.0, 10.1][..], &[0.0, 10.0][..], "above 10"),
        ("10:", &[9.9, -5.0], &[10.0, 1e9], "below 10"),
        ("~:10", &[10.1], &[10.0, -1e9], "above 10"),
        ("10:20", &[9.9, 20.1], &[10.0, 20.0], "outside 10 to 20"),
        ("@10:20", &[10.0, 15.0, 20.0], &[9.9, 20.1], "10 to 20"),
        ("@10", &[0.0, 10.0], &[-0.1, 10.1], "10 or less"),
        ("@~:10", &[-1e9, 10.0], &[10.1], "10 or less"),
        ("@10:", &[10.0, 1e9], &[9.9], "10 or more"),
        ("-5:-1", &[-5.1, 0.0], &[-5.0, -1.0], "outside -5 to -1"),
        ("99.5:", &[99.49], &[99.5, 100.0], "below 99.5"),
        ("0:", &[-0.1], &[0.0, 5.0], "never"),
        ("~:", &[], &[-1e9, 0.0, 1e9], "never"),
        ("@~:", &[-1e9, 0.0], &[], "always"),
    ] {
        let range = parse(text).unwrap();
        for value in alerts {
            assert!(range.alerts(*value), "{text} at {value}");
        }
        for value in silent {
            assert!(!range.alerts(*value), "{text} at {value}");
        }
        assert_eq!(range.words(0.0, |value| value.to_string()), words, "{text}");
        assert_eq!(parse(&range.to_string()), Ok(range), "{text} is written {range}");
    }
    for bad in ["", "@", "20:10", "x", "10:x", "~", "10::20", "-10"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn operators_are_written_in_the_notation() {
    for (range, want, at, alerts) in [
        (Range::above(80.0, 0.0), "80", 80.0, false),
        (Range::above(80.0, f64::NEG_INFINITY), "~:80", 80.1, true),
        (Range::below(99.5), "99.5:", 99.5, false),
        (Range::from(80.0), "@80:", 80.0, true),
        (Range::up_to(5.0), "@~:5", 5.0, true),
    ] {
        assert_eq!((range.to_string().as_str(), range.alerts(at)), (want, alerts), "{range}");
    }
}
