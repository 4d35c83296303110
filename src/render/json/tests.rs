use proptest::prelude::*;

use super::*;

fn written<T: Serialize>(value: &T) -> String {
    String::from_utf8(line(value).unwrap()).unwrap()
}

#[test]
fn what_a_terminal_acts_on_is_escaped() {
    let text = "\"\\\u{8}\u{c}\n\r\t\0\u{1f}/ grün \u{202e}x \u{9b}2J \u{7f}\u{e0001}";
    let want = r#""\"\\\b\f\n\r\t\u0000\u001f/ grün \u202ex \u009b2J \u007f\udb40\udc01""#;
    assert_eq!(written(&text), want.to_owned() + "\n");
    assert_eq!(serde_json::from_str::<String>(want).unwrap(), text);
    // In a key, too.
    assert_eq!(written(&std::collections::BTreeMap::from([("\u{7f}", 1)])), "{\"\\u007f\":1}\n");
}

#[test]
fn numbers_have_no_noise() {
    for (number, want) in [
        (16.900_000_000_000_002, "16.9"),
        (0.1 + 0.2, "0.3"),
        (100.0 / 3.0, "33.333333"),
        (4.35 * 100.0, "435.0"),
        (0.000_4, "0.0004"),
        (1_258_291.2, "1258291.2"),
        (-0.000_000_1, "0.0"),
        (1e300, "1e+300"),
        (9_007_199_254_740_993.0, "9007199254740992.0"),
        (f64::NAN, "null"),
    ] {
        assert_eq!(written(&number), want.to_owned() + "\n");
    }
    assert_eq!(written(&12.3_f32), "12.3\n");
}

#[test]
fn more_than_is_gathered_comes_whole() {
    let many: Vec<String> = (0..3000).map(|n| format!("\u{9b}{}\u{1f5a5}", "ü".repeat(n % 90))).collect();
    let json = written(&many);
    assert!(json.len() > 3 * GATHERED);
    assert!(!json.trim_end_matches('\n').contains(is_unsafe));
    assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), many);
}

proptest! {
    #[test]
    fn every_text_is_read_as_it_was_and_has_nothing_unsafe(text: String) {
        let written = written(&text);
        prop_assert!(!written.trim_end_matches('\n').contains(is_unsafe));
        prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    }
}
