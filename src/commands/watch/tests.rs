use super::*;

#[test]
fn what_is_shown_depends_on_the_format_and_the_terminal() {
    use Format::{Csv, Json, Jsonl, Openmetrics, Table, Wide};
    for (format, on_terminal, waits, has_page, want) in [
        (Jsonl, false, false, false, Some(Mode::Lines)),
        (Jsonl, true, false, false, Some(Mode::Lines)),
        (Jsonl, true, true, false, Some(Mode::Lines)),
        (Table, true, false, false, Some(Mode::Screen)),
        (Wide, true, false, false, Some(Mode::Screen)),
        (Table, true, true, false, Some(Mode::Silent)),
        (Table, false, true, false, Some(Mode::Silent)),
        (Table, false, false, false, None),
        (Json, false, false, false, None),
        (Json, true, true, false, None),
        (Csv, false, true, false, None),
        (Table, false, false, true, Some(Mode::Silent)),
        (Table, true, false, true, Some(Mode::Screen)),
        (Jsonl, false, false, true, Some(Mode::Lines)),
        (Json, false, false, true, None),
        (Openmetrics, true, false, false, None),
    ] {
        assert_eq!(
            Mode::of(format, on_terminal, waits, has_page).ok(),
            want,
            "{format:?} {on_terminal} {waits} {has_page}"
        );
    }
}
