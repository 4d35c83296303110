//! A script on its way to `sh -s` and back: quoting, framing, and what is kept of the answer.
//!
//! Login shells print things nobody asked for: a MOTD, an `echo` in `.bashrc`, a forced command's greeting. So the
//! script's own output is between two lines that nothing else prints, on stdout and on stderr.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::model::text::is_unsafe;
use crate::transport::Error;

/// What a script may print to stdout, noise included.
pub(crate) const STDOUT_CAP: usize = 1 << 20;
/// What a script may print to stderr, noise included.
pub(crate) const STDERR_CAP: usize = 64 << 10;
/// How much of an unexpected text a message repeats, in characters.
const EXCERPT: usize = 200;

/// What a script printed between its markers, what it wrote to stderr, and its exit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScriptOutput {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) status: i32,
}

/// One script, wrapped so that a part of it never runs, and that its output can be told from everything else.
#[derive(Debug, Clone)]
pub(crate) struct Framed {
    marker: String,
    stdin: String,
}

impl Framed {
    /// Wraps a POSIX sh script. It runs in a subshell with `LC_ALL=C`, a PATH that has the sbin folders, umask 077 and
    /// nothing on stdin; `exit` in it ends only the script.
    pub(crate) fn new(script: &str) -> Framed {
        let marker = format!("ecobox-{}", random_hex());
        // The shell must read the closing brace before it runs anything: what was cut off on the way does nothing.
        let stdin = format!(
            "{{\n\
             LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH\n\
             export LC_ALL PATH\n\
             umask 077\n\
             printf '\\n%s begin\\n' {marker}\n\
             printf '\\n%s begin\\n' {marker} >&2\n\
             (:\n\
             {script}\n\
             )\n\
             set -- $?\n\
             printf '\\n%s end %s\\n' {marker} \"$1\" >&2\n\
             printf '\\n%s end %s\\n' {marker} \"$1\"\n\
             exit \"$1\"\n\
             }} </dev/null\n"
        );
        Framed { marker, stdin }
    }

    /// What to write to the standard input of `sh -s`.
    pub(crate) fn stdin(&self) -> &str {
        &self.stdin
    }

    /// Whether both end marks have come, so that nothing more needs to be waited for.
    pub(crate) fn complete(&self, stdout: &[u8], stderr: &[u8]) -> bool {
        let end = format!("\n{} end ", self.marker);
        [stdout, stderr].into_iter().all(|bytes| {
            // They are the last that the shell prints; what a noisy shell adds after them is short.
            let tail = bytes.last_chunk::<4096>().map_or(bytes, <[u8; 4096]>::as_slice);
            split(tail, end.as_bytes()).is_some_and(|(_, after)| after.contains(&b'\n'))
        })
    }

    /// What the script printed. Else what came instead, in words for a message; `status` is the exit status of the
    /// shell if there is one.
    pub(crate) fn parse(&self, stdout: &[u8], stderr: &[u8], status: Option<i32>) -> Result<ScriptOutput, String> {
        let begin = format!("\n{} begin\n", self.marker);
        let end = format!("\n{} end ", self.marker);
        let exit = status.map(|status| format!(", exit status {status}")).unwrap_or_default();
        let Some((_, rest)) = split(stdout, begin.as_bytes()) else {
            return Err(match excerpt(stdout).or_else(|| excerpt(stderr)) {
                Some(text) => format!("no shell ran the script; instead it said \"{text}\"{exit}"),
                None => format!("no shell ran the script, and nothing was said{exit}"),
            });
        };
        let Some((body, tail)) = split(rest, end.as_bytes()) else {
            let last = rest.last_chunk::<EXCERPT>().map_or(rest, <[u8; EXCERPT]>::as_slice);
            let last = excerpt(last).or_else(|| excerpt(stderr));
            let last = last.map(|text| format!(", the last was \"{text}\"")).unwrap_or_default();
            return Err(format!("the script was cut off after {} bytes{last}{exit}", rest.len()));
        };
        let digits = tail.split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
        let Some(status) = digits.and_then(|digits| digits.trim_end().parse().ok()) else {
            return Err("the script's end was cut off".to_owned());
        };
        let own = split(stderr, begin.as_bytes()).map_or(stderr, |(_, own)| own);
        let stderr = split(own, end.as_bytes()).map_or(own, |(own, _)| own);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let stderr = text(stderr).replace(&format!("{WAITING}\n"), "").replace(&format!("{ANSWERED}\n"), "");
        Ok(ScriptOutput { stdout: text(body), stderr, status })
    }
}

/// The two outputs of a running script, each up to its cap.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Outputs {
    /// Keeps what came on stdout, or says that it is too much.
    pub(crate) fn stdout(&mut self, bytes: &[u8]) -> Result<(), String> {
        keep(&mut self.stdout, bytes, STDOUT_CAP, "stdout")
    }

    /// Keeps what came on stderr, or says that it is too much.
    pub(crate) fn stderr(&mut self, bytes: &[u8]) -> Result<(), String> {
        keep(&mut self.stderr, bytes, STDERR_CAP, "stderr")
    }
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8], cap: usize, name: &str) -> Result<(), String> {
    if kept.len() + bytes.len() > cap {
        return Err(format!("more than {} KiB on {name}", cap >> 10));
    }
    kept.extend_from_slice(bytes);
    Ok(())
}

/// What scripts write to stderr before and after they call sudo.
const WAITING: &str = "waiting for sudo";
const ANSWERED: &str = "sudo has answered";

/// The error of a script that did not end in time, and that has written this to stderr until then.
pub(crate) fn overdue(peer: &str, after: Duration, stderr: &[u8]) -> Error {
    let said = String::from_utf8_lossy(stderr);
    let last = said.lines().rev().find(|line| [WAITING, ANSWERED].contains(line));
    let doing = if last == Some(WAITING) { "waiting for sudo there" } else { "running a script" };
    Error::Timeout { peer: peer.to_owned(), doing, after }
}

/// A value that cannot stand in a shell script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a value for the shell contains a NUL byte or a newline")]
pub(crate) struct Unquotable;

/// Quotes one value for sh by single quotes; refuses NUL and newline.
pub(crate) fn quote(value: &str) -> Result<String, Unquotable> {
    if value.contains(['\0', '\n']) {
        return Err(Unquotable);
    }
    Ok(format!("'{}'", value.replace('\'', r"'\''")))
}

/// The begin of a peer's text, made safe for a message: control characters become blanks, blanks are joined.
pub(crate) fn excerpt(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes.get(..16 * EXCERPT).unwrap_or(bytes));
    let harmless = |c: char| match c {
        c if c.is_control() => ' ',
        c if is_unsafe(c) => '\u{fffd}',
        c => c,
    };
    let text: String = text.chars().map(harmless).collect();
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut: String = joined.chars().take(EXCERPT).collect();
    (!cut.is_empty()).then_some(cut)
}

/// 128 random bits in hex. The standard library's hash keys come from the system's random numbers; that is enough for
/// a mark that no one prints by accident.
pub(crate) fn random_hex() -> String {
    let half = |salt: u8| RandomState::new().hash_one(salt);
    format!("{:016x}{:016x}", half(0), half(1))
}

/// What stands before and after the first `mark`.
fn split<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    let (before, rest) = bytes.split_at_checked(at)?;
    Some((before, rest.strip_prefix(mark)?))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Output, Stdio};

    use proptest::prelude::*;

    use super::*;

    fn sh(stdin: &[u8]) -> Output {
        let mut command = Command::new("sh");
        command.arg("-s").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A shell that has enough does not read the rest.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        child.wait_with_output().unwrap()
    }

    fn run(script: &str) -> Result<ScriptOutput, String> {
        let framed = Framed::new(script);
        let output = sh(framed.stdin().as_bytes());
        let parsed = framed.parse(&output.stdout, &output.stderr, output.status.code());
        assert_eq!(framed.complete(&output.stdout, &output.stderr), parsed.is_ok());
        parsed
    }

    #[test]
    fn a_sudo_that_takes_long_is_named() {
        let after = Duration::from_secs(20);
        for (stderr, doing) in [
            ("", "running a script"),
            ("noise\nwaiting for sudo\n", "waiting for sudo there"),
            ("waiting for sudo\nsudo: unable to resolve host\n", "waiting for sudo there"),
            ("waiting for sudo\nsudo has answered\n", "running a script"),
        ] {
            let error = overdue("nas", after, stderr.as_bytes()).to_string();
            assert_eq!(error, format!("nas did not answer within 20 s ({doing})"), "{stderr}");
        }
        let output = run("echo 'waiting for sudo' >&2; echo a >&2; echo 'sudo has answered' >&2").unwrap();
        assert_eq!(output.stderr, "a\n");
    }

    #[test]
    fn scripts_give_exactly_what_they_print() {
        let cases: &[(&str, &str, &str, i32)] = &[
            ("", "", "", 0),
            ("true", "", "", 0),
            ("false", "", "", 1),
            ("echo a; echo b >&2", "a\n", "b\n", 0),
            ("printf a", "a", "", 0),
            ("printf '\\n\\n'; exit 9", "\n\n", "", 9),
            ("printf '\\na'; printf '\\n b' >&2; exit 255", "\na", "\n b", 255),
            ("cat; read line; echo \"[$line]\"", "[]\n", "", 0),
            ("echo $LC_ALL; umask", "C\n0077\n", "", 0),
            ("case $PATH in */usr/sbin:/usr/bin:/sbin:/bin:*|/usr/sbin:*) echo yes;; esac", "yes\n", "", 0),
            ("set -e; false; echo no", "", "", 1),
            ("cat <<'X'\na } b\nX\n# last", "a } b\n", "", 0),
            ("printf '\\377\\376'", "\u{fffd}\u{fffd}", "", 0),
            ("echo 'ecobox-1 end 5'", "ecobox-1 end 5\n", "", 0),
        ];
        for (script, stdout, stderr, status) in cases {
            let (stdout, stderr) = ((*stdout).to_owned(), (*stderr).to_owned());
            assert_eq!(run(script), Ok(ScriptOutput { stdout, stderr, status: *status }), "{script}");
        }
        let error = run("if").unwrap_err();
        assert!(
            error.starts_with("no shell ran the script; instead it said \"") && error.contains("exit status"),
            "{error}"
        );
        let error = run("echo some; kill -9 $$").unwrap_err();
        assert_eq!(error, "the script was cut off after 5 bytes, the last was \"some\"");
    }

    #[test]
    fn noise_before_between_and_after_is_ignored() {
        let framed = Framed::new("echo hello; echo oops >&2; exit 4");
        let output = sh(framed.stdin().as_bytes());
        let want = ScriptOutput { stdout: "hello\n".to_owned(), stderr: "oops\n".to_owned(), status: 4 };
        for (before, after) in
            [("", ""), ("MOTD\n", "bye\n"), ("no newline", "at the end"), ("\u{1b}[2J\r\n\n", "\n\n")]
        {
            let wrap = |bytes: &[u8]| [before.as_bytes(), bytes, after.as_bytes()].concat();
            let (stdout, stderr) = (wrap(&output.stdout), wrap(&output.stderr));
            assert_eq!(framed.parse(&stdout, &stderr, Some(0)), Ok(want.clone()), "{before:?} {after:?}");
            assert!(framed.complete(&stdout, &stderr));
            // Nothing on stderr at all: the streams are one.
            assert_eq!(framed.parse(&stdout, b"", Some(0)).unwrap().stdout, "hello\n");
        }
        let other = Framed::new("echo hello; echo oops >&2; exit 4");
        assert!(other.parse(&output.stdout, &output.stderr, Some(0)).is_err());
    }

    #[test]
    fn a_script_cut_off_on_the_way_does_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let canary = folder.path().join("canary");
        let framed = Framed::new(&format!("touch {}", quote(canary.to_str().unwrap()).unwrap()));
        let whole = framed.stdin().trim_end().len();
        let brace = framed.stdin().rfind('}').unwrap();
        for length in (0..=brace).step_by(7).chain([brace]) {
            let output = sh(&framed.stdin().as_bytes()[..length]);
            assert!(!canary.exists(), "{length} bytes");
            assert!(framed.parse(&output.stdout, &output.stderr, output.status.code()).is_err());
        }
        sh(&framed.stdin().as_bytes()[..whole]);
        assert!(canary.exists());
    }

    #[test]
    fn what_came_instead_is_told_in_one_safe_line() {
        let framed = Framed::new("true");
        let cases = [
            ("", "", None, "no shell ran the script, and nothing was said"),
            ("", "sh: not found\n", Some(127), "instead it said \"sh: not found\", exit status 127"),
            ("\x1b]0;x\x07a\r\n\tb\u{202e}\u{ad}", "", None, "instead it said \"]0;x a b\u{fffd}\u{fffd}\""),
        ];
        for (stdout, stderr, status, want) in cases {
            let error = framed.parse(stdout.as_bytes(), stderr.as_bytes(), status).unwrap_err();
            assert!(error.ends_with(want), "{error}");
        }
        assert_eq!(excerpt("é".repeat(10_000).as_bytes()).unwrap().chars().count(), 200);
        assert_eq!(excerpt(b" \n\t"), None);
    }

    #[test]
    fn outputs_are_kept_up_to_their_cap() {
        let mut outputs = Outputs::default();
        assert_eq!(outputs.stdout(&vec![0; STDOUT_CAP]), Ok(()));
        assert_eq!(outputs.stdout(b"x"), Err("more than 1024 KiB on stdout".to_owned()));
        assert_eq!(outputs.stderr(&vec![0; STDERR_CAP + 1]), Err("more than 64 KiB on stderr".to_owned()));
    }

    #[test]
    fn markers_differ() {
        let all: std::collections::HashSet<String> = (0..1000).map(|_| random_hex()).collect();
        assert_eq!(all.len(), 1000);
        assert!(all.iter().all(|hex| hex.len() == 32));
    }

    #[test]
    fn values_that_no_quoting_saves_are_refused() {
        for value in ["\0", "a\nb", "\n"] {
            assert_eq!(quote(value), Err(Unquotable));
        }
        assert_eq!(quote("it's"), Ok(r"'it'\''s'".to_owned()));
        assert_eq!(quote(""), Ok("''".to_owned()));
    }

    proptest! {
        // Each case asks a shell about many values at once.
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

        #[test]
        fn quoted_values_reach_a_real_shell_unchanged(
            values in proptest::collection::vec(r#"(?s)([^\x00\n]|[$`"'\\;|&<>(){}*?~!# -]){0,40}"#, 1..60)
        ) {
            let quoted: Vec<String> = values.iter().map(|value| quote(value).unwrap()).collect();
            let output = sh(format!("for v in {}; do printf '%s\\0' \"$v\"; done", quoted.join(" ")).as_bytes());
            let want = values.join("\0") + "\0";
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), want);
        }
    }
}
