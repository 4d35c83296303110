//! A script on its way to `sh -s` and back: quoting, framing, and what is kept of the answer.
//!
//! Login shells print things nobody asked for: a MOTD, an `echo` in `.bashrc`, a forced command's greeting. So the
//! script's own output stands between two lines that nobody else prints, on stdout and on stderr.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

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
             (\n\
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
            let tail = &bytes[bytes.len().saturating_sub(4096)..];
            find(tail, end.as_bytes()).is_some_and(|at| tail[at + end.len()..].contains(&b'\n'))
        })
    }

    /// What the script printed. Else what came instead, in words for a message; `status` is the exit status of the
    /// shell if there is one.
    pub(crate) fn parse(&self, stdout: &[u8], stderr: &[u8], status: Option<i32>) -> Result<ScriptOutput, String> {
        let begin = format!("\n{} begin\n", self.marker);
        let end = format!("\n{} end ", self.marker);
        let exit = status.map(|status| format!(", exit status {status}")).unwrap_or_default();
        let Some(start) = find(stdout, begin.as_bytes()).map(|at| at + begin.len()) else {
            return Err(match excerpt(stdout).or_else(|| excerpt(stderr)) {
                Some(text) => format!("no shell ran the script; instead it said \"{text}\"{exit}"),
                None => format!("no shell ran the script, and nothing was said{exit}"),
            });
        };
        let rest = &stdout[start..];
        let Some(stop) = find(rest, end.as_bytes()) else {
            let last = excerpt(&rest[rest.len().saturating_sub(EXCERPT)..]).or_else(|| excerpt(stderr));
            let last = last.map(|text| format!(", the last was \"{text}\"")).unwrap_or_default();
            return Err(format!("the script was cut off after {} bytes{last}{exit}", rest.len()));
        };
        let (body, tail) = (&rest[..stop], &rest[stop + end.len()..]);
        let digits = tail.split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
        let Some(status) = digits.and_then(|digits| digits.trim_end().parse().ok()) else {
            return Err("the script's end was cut off".to_owned());
        };
        let stderr = match find(stderr, begin.as_bytes()) {
            Some(at) => {
                let own = &stderr[at + begin.len()..];
                find(own, end.as_bytes()).map_or(own, |end| &own[..end])
            }
            None => stderr,
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(ScriptOutput { stdout: text(body), stderr: text(stderr), status })
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

/// The error of a script that did not end in time.
pub(crate) fn overdue(peer: &str, after: Duration) -> Error {
    Error::Timeout { peer: peer.to_owned(), doing: "running a script", after }
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
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(16 * EXCERPT)]);
    let harmless = |c: char| match c {
        c if c.is_control() => ' ',
        // Bidirectional and invisible characters, tags, private use.
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => '\u{fffd}',
        '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}' => '\u{fffd}',
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

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
