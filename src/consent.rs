//! Proof that a person agreed to a change. Whatever changes a machine takes one, so that to forget to ask does not compile.

/// Somebody agreed to change a machine: by an answer, by the command as typed, or on the screen.
///
/// Each way has its constructor, and `tests/layers.rs` lists the files that may call it.
#[derive(Debug)]
pub(crate) struct Confirmed(());

impl Confirmed {
    /// The typed command names all that it changes, and changes nothing else: that is the agreement.
    pub(crate) fn by_command() -> Confirmed {
        Confirmed(())
    }

    /// The person at the terminal has answered the question, or `--yes` has answered it beforehand.
    pub(crate) fn by_answer() -> Confirmed {
        Confirmed(())
    }

    /// The person at the screen of `watch` has seen this plan, and has typed what agrees to it.
    pub(crate) fn on_screen() -> Confirmed {
        Confirmed(())
    }
}
