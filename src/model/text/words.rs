//! Enums whose variants are words: in reports, in the state file, on the command line.

/// Gives an enum `as_str`, and what else is asked for: `ALL`, each variant once in this order, and `parse`. A variant
/// without a word does not compile, so that none is missing in `ALL`.
macro_rules! words {
    (@as_str $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// The word for it.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }
        }
    };
    (@all $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// Each once.
            pub(crate) const ALL: [$name; [$($word),+].len()] = [$($name::$variant),+];
        }
    };
    (@parse $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// The one with this word.
            pub(crate) fn parse(word: &str) -> Option<$name> {
                match word {
                    $($word => Some($name::$variant),)+
                    _ => None,
                }
            }
        }
    };
    ($name:ident: $($also:ident),* => $words:tt) => {
        words!(@as_str $name $words);
        $(words!(@$also $name $words);)*
    };
}
pub(crate) use words;
