use proptest::prelude::*;

use super::*;

#[test]
fn the_nearest_rank_is_one_of_the_numbers() {
    let numbers = [15.0, 50.0, 20.0, 40.0, 35.0];
    for (q, want) in [(0.0, 15.0), (0.05, 15.0), (0.3, 20.0), (0.4, 20.0), (0.5, 35.0), (0.99, 50.0), (1.0, 50.0)] {
        assert_eq!(percentile(numbers, q), Some(want), "{q}");
    }
    assert_eq!(percentile([f64::NAN, 3.0, f64::INFINITY], 0.95), Some(3.0));
    assert_eq!(percentile([], 0.5), None);
    for outside in [-0.1, 1.1, f64::NAN] {
        assert_eq!(percentile(numbers, outside), None, "{outside}");
    }
}

#[test]
fn histograms_are_kept_and_added_up() {
    let mut histogram = Histogram::default();
    assert_eq!((histogram.quantile(0.5), histogram.to_string().as_str(), histogram.len()), (None, "", 0));
    for millis in [1.0, 1.0, 250.0, f64::NAN, -1.0, f64::INFINITY] {
        histogram.add(millis);
    }
    assert_eq!(histogram.to_string(), "38:2 110:1");
    assert_eq!(histogram.len(), 3);
    histogram.merge(&Histogram::parse("38:1 110:1"));
    assert_eq!(histogram.to_string(), "38:3 110:2");
    assert_eq!(histogram.quantile(2.0), None);
    // Beyond both ends.
    let mut ends = Histogram::default();
    ends.add(0.0);
    ends.add(1e300);
    assert_eq!(ends.to_string(), "0:1 190:1");
}

#[test]
fn nonsense_is_left_out_when_it_is_read() {
    for (text, want) in [
        ("", ""),
        ("57:12  58:3\n", "57:12 58:3"),
        ("58:3 57:12 58:1", "57:12 58:4"),
        ("57 :1 2: x:y -1:1 1:-1 300:1 191:1 57:1.5 57:7", "57:7"),
        ("1:0", ""),
        ("1:18446744073709551615 1:9 2:9", "1:18446744073709551615 2:9"),
    ] {
        let histogram = Histogram::parse(text);
        assert_eq!(histogram.to_string(), want, "{text}");
        assert_eq!(histogram.quantile(1.0).is_none(), want.is_empty(), "{text}");
    }
}

fn millis() -> impl Strategy<Value = f64> {
    (LOWEST_MILLIS.ln()..=HIGHEST_MILLIS.ln()).prop_map(f64::exp)
}

proptest! {
    #[test]
    fn a_quantile_is_less_than_five_percent_off(
        times in prop::collection::vec(millis(), 1..200), split in 0..200_usize, q in 0.0..=1.0,
    ) {
        let (mut one, mut other) = (Histogram::default(), Histogram::default());
        for (i, time) in times.iter().enumerate() {
            if i < split { one.add(*time) } else { other.add(*time) }
        }
        one.merge(&Histogram::parse(&other.to_string()));
        let exact = percentile(times, q).unwrap();
        let near = one.quantile(q).unwrap();
        prop_assert!((near - exact).abs() < 0.05 * exact, "{} {}", near, exact);
    }

    #[test]
    fn any_text_can_be_read(text in "[0-9: a\n-]{0,80}") {
        let histogram = Histogram::parse(&text);
        prop_assert_eq!(&Histogram::parse(&histogram.to_string()), &histogram);
    }
}
