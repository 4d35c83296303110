use super::*;

#[test]
fn a_word_is_exact_or_a_pattern() {
    for (word, exact) in [("vm-101", true), ("pve1/web", true), ("web*", false), ("tag=web", false), ("!web", false)] {
        assert_eq!(is_exact(word), exact, "{word}");
    }
}
