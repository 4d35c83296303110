use super::*;

#[test]
fn spans() {
    for (seconds, want) in
        [(0, "0 s"), (59, "59 s"), (60, "1 min"), (105, "1 min 45 s"), (7200, "2 h"), (7810, "2 h 10 min")]
    {
        assert_eq!(human_span(Duration::from_secs(seconds)), want);
    }
}

/// Bytes as fractions write them.
#[expect(clippy::cast_precision_loss, reason = "what is exact is compared")]
fn fractional(bytes: u64) -> String {
    human_scaled(bytes as f64)
}

proptest::proptest! {
    #[test]
    fn whole_numbers_round_as_fractions_do(bits in 0..=53_u32, bytes: u64, number in 0.0..1e6_f64) {
        let bytes = bytes.checked_shr(64 - bits).unwrap_or(0);
        proptest::prop_assert_eq!(human_bytes(bytes), fractional(bytes));
        for number in [number, number.trunc() + 0.5, -number] {
            let mut text = String::new();
            write_whole(&mut text, number);
            proptest::prop_assert_eq!(text, format!("{number:.0}"));
        }
    }
}

#[test]
fn numbers_round_as_fractions_do_where_they_lie_between_two() {
    for unit in [10, 20, 30, 40] {
        // Each half of a place that is shown is some quarters of the unit.
        for bytes in (0..4400_u64).map(|quarters| quarters << (unit - 2)) {
            for bytes in [bytes.saturating_sub(1), bytes, bytes + 1] {
                assert_eq!(human_bytes(bytes), fractional(bytes), "{bytes}");
            }
        }
    }
}

#[test]
fn units() {
    for (bytes, want) in
        [(0, "0B"), (999, "999B"), (1024, "1.0K"), (228_298_752, "218M"), (25_276_502_016, "24G"), (u64::MAX, "16E")]
    {
        assert_eq!(human_bytes(bytes), want);
    }
    for (seconds, want) in
        [(0, "0s"), (59, "59s"), (61, "1m01s"), (7800, "2h10m"), (273_600, "3d04h"), (10_000_000, "115d")]
    {
        assert_eq!(human_seconds(seconds), want);
    }
}
