//! What a visit's output means.

use jiff::Timestamp;
use serde::Deserialize;

use crate::fleet::host::facts::{node_of_link, version_in, word};
use crate::fleet::onboard::script::{Action, Request};
use crate::model::hint::HintId;
use crate::model::id::{NodeName, Secret, Token, TokenId};

/// What a visit found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VisitAnswer {
    pub(crate) host: HostSide,
    /// Tokens that are not there now.
    pub(crate) removed: Vec<TokenId>,
    /// Those of them that were not there before either.
    pub(crate) absent: Vec<TokenId>,
    pub(crate) result: Result<Done, Failure>,
    /// The token that was to be made may stand on the host although the visit failed.
    pub(crate) leftover: bool,
}

/// What the host says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HostSide {
    /// From `/etc/pve/local`, else the short host name.
    pub(crate) node: Option<NodeName>,
    pub(crate) hostname: Option<String>,
    /// pve-manager's, e.g. `9.2.11`.
    pub(crate) version: Option<String>,
    /// The cluster's CA, if it could be read (that takes root's rights).
    pub(crate) ca_pem: Option<String>,
    /// The certificate that pveproxy serves by its files; it may have been started with another.
    pub(crate) leaf_pem: Option<String>,
    /// When the token that is replaced had ended, if it had. The new one does not.
    pub(crate) replaced_ended: Option<Timestamp>,
}

impl HostSide {
    /// The major version: 7, 8, 9.
    pub(crate) fn major(&self) -> Option<u32> {
        self.version.as_deref()?.split(['.', '-']).next()?.parse().ok()
    }
}

/// What a visit did, where it succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    /// The token that was made.
    Created(Token),
    /// Also after a revocation; says whether the service user went too.
    Removed { user_removed: bool },
}

/// Why a visit failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the login user may not run pveum: {detail}")]
    NoRights { detail: String, hint: String },
    #[error("no Proxmox VE there: it has no /usr/sbin/pveum")]
    NotPve,
    #[error("Proxmox VE's cluster file system is not running there (pve-cluster)")]
    PmxcfsDown,
    #[error("its cluster has no quorum: nothing can be changed")]
    NoQuorum,
    #[error("Proxmox VE has no user `{userid}`")]
    NoSuchUser { userid: String },
    #[error("its user {userid} is {} in Proxmox VE", if *expired { "expired" } else { "disabled" })]
    UserDisabled { userid: String, expired: bool },
    #[error("a token `{0}` already exists")]
    TokenExists(TokenId),
    #[error("Proxmox VE's user database stayed locked")]
    Busy,
    #[error("pveum failed ({step}): {stderr}")]
    Other { step: String, stderr: String },
    /// The script's output ends in the middle.
    #[error("the answer ended before its end")]
    CutOff,
}

impl Failure {
    /// Whether a failed `token add` has certainly made no token of ours.
    fn is_clean(&self) -> bool {
        !matches!(self, Failure::Other { .. } | Failure::CutOff)
    }
}

/// One pveum call.
struct Call<'a> {
    name: &'a str,
    stdout: &'a str,
    /// `None`: it never came to its end.
    code: Option<i32>,
    stderr: Vec<&'a str>,
}

#[derive(Default)]
struct Reading<'a> {
    facts: Vec<(&'a str, &'a str)>,
    calls: Vec<Call<'a>>,
    notes: Vec<&'a str>,
    ca: &'a str,
    leaf: &'a str,
}

/// What the script's output says about what was asked for.
pub(crate) fn parse(text: &str, request: &Request) -> VisitAnswer {
    let reading = read(text);
    let note = |wanted: &str| reading.notes.contains(&wanted);
    let noted = |what: &str| -> Vec<TokenId> {
        reading.notes.iter().filter_map(|note| note.strip_prefix(what)?.parse().ok()).collect()
    };
    let (removed, absent) = (noted("removed "), noted("absent "));
    let result = if note("no-pveum") {
        Err(Failure::NotPve)
    } else if let (Some(how), Action::Create { token, .. }) =
        (["disabled", "expired"].iter().find(|how| note(&format!("user {how}"))), &request.action)
    {
        Err(Failure::UserDisabled { userid: token.userid(), expired: *how == "expired" })
    } else if note("done") {
        done(&reading, request)
    } else {
        Err(failure(&reading, request))
    };
    let leftover = match (&request.action, &result) {
        (Action::Create { token, .. }, Err(failure)) if !removed.contains(token) => {
            match reading.calls.iter().rfind(|call| call.name == "token-add").map(|call| call.code) {
                None => false,
                Some(Some(0) | None) => true,
                Some(Some(_)) => !failure.is_clean(),
            }
        }
        _ => false,
    };
    VisitAnswer { host: host(&reading), removed, absent, result, leftover }
}

/// Divides the text by its `== ` lines. Everything stays a slice: a secret is not copied.
fn read(text: &str) -> Reading<'_> {
    enum Place {
        Nowhere,
        Host,
        Run,
        Code,
        Ca,
        Leaf,
    }
    let mut reading = Reading::default();
    let mut place = Place::Nowhere;
    let mut start = 0;
    let mut at = 0;
    for raw in text.split_inclusive('\n') {
        let line = raw.trim_end_matches(['\n', '\r']);
        at += raw.len();
        let Some(frame) = line.strip_prefix("== ") else {
            match place {
                Place::Host => reading.facts.extend(line.split_once('\t')),
                Place::Code => {
                    if let (Some(call), Some(text)) = (reading.calls.last_mut(), line.strip_prefix("! ")) {
                        call.stderr.push(text);
                    }
                }
                Place::Run => {
                    if let Some(call) = reading.calls.last_mut() {
                        call.stdout = text.get(start..at).unwrap_or_default();
                    }
                }
                Place::Ca => reading.ca = text.get(start..at).unwrap_or_default(),
                Place::Leaf => reading.leaf = text.get(start..at).unwrap_or_default(),
                Place::Nowhere => {}
            }
            continue;
        };
        start = at;
        place = match *frame.split(' ').collect::<Vec<_>>().as_slice() {
            ["host"] => Place::Host,
            ["run", name] => {
                reading.calls.push(Call { name, stdout: "", code: None, stderr: Vec::new() });
                Place::Run
            }
            ["code", name, code] => {
                if let Some(call) = reading.calls.last_mut().filter(|call| call.name == name) {
                    call.code = code.parse().ok();
                }
                Place::Code
            }
            ["ca"] => Place::Ca,
            ["leaf"] => Place::Leaf,
            _ => {
                reading.notes.push(frame);
                Place::Nowhere
            }
        };
    }
    reading
}

fn host(reading: &Reading<'_>) -> HostSide {
    let fact = |wanted: &str| reading.facts.iter().find(|(key, _)| *key == wanted).map(|(_, value)| *value);
    let hostname = fact("hostname").and_then(word);
    let short = hostname.as_deref().and_then(|name| name.split('.').next());
    let node = fact("local").and_then(node_of_link);
    let node = node.as_deref().or(short).and_then(|name| name.parse().ok());
    let ended = reading.notes.iter().find_map(|note| note.strip_prefix("expired ")?.parse().ok());
    HostSide {
        node,
        version: fact("version").and_then(version_in),
        ca_pem: first_certificate(reading.ca),
        leaf_pem: first_certificate(reading.leaf),
        replaced_ended: ended.and_then(|seconds| Timestamp::from_second(seconds).ok()),
        hostname,
    }
}

/// The first certificate of a PEM text, and nothing else that may stand in the file.
fn first_certificate(text: &str) -> Option<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    // One after the other: the end that shares its dashes with the begin is none.
    let (_, rest) = text.split_once(BEGIN)?;
    let (body, _) = rest.split_once(END)?;
    let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=\r\n".contains(c);
    (body.len() <= 65_536 && body.chars().all(base64)).then(|| format!("{BEGIN}{body}{END}\n"))
}

fn done(reading: &Reading<'_>, request: &Request) -> Result<Done, Failure> {
    let note = |wanted: &str| reading.notes.contains(&wanted);
    let output = |step: &str| reading.calls.iter().rfind(|call| call.name == step);
    match &request.action {
        Action::Remove | Action::Revoke => Ok(Done::Removed { user_removed: note("user removed") }),
        Action::Create { token: id, .. } => {
            let step = "token-add";
            let unusable = |stderr: &str| Failure::Other { step: step.to_owned(), stderr: stderr.to_owned() };
            let text = output(step).map_or("", |call| call.stdout);
            let secret = secret_of(text, id).ok_or_else(|| unusable("its answer names no such token"))?;
            Ok(Done::Created(Token { id: id.clone(), secret }))
        }
    }
}

/// The secret in what `token add --output-format json` prints, if it is about that token.
fn secret_of(text: &str, id: &TokenId) -> Option<Secret> {
    #[derive(Deserialize)]
    struct Added {
        #[serde(rename = "full-tokenid")]
        id: String,
        value: Secretly,
    }
    struct Secretly(Secret);
    impl<'de> Deserialize<'de> for Secretly {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            String::deserialize(deserializer).map(|text| Secretly(Secret::new(text)))
        }
    }
    let added: Added = serde_json::from_str(text.trim()).ok()?;
    let Secretly(secret) = added.value;
    let text = secret.expose();
    let usable = !text.is_empty() && text.len() <= 256 && text.chars().all(|c| c.is_ascii_graphic() && c != ';');
    (usable && added.id == id.to_string()).then_some(secret)
}

/// The call that ended the visit is the last that failed; the removal of a token just made comes after it.
fn failure(reading: &Reading<'_>, request: &Request) -> Failure {
    let failed = |call: &&Call<'_>| call.code != Some(0) && call.name != "undo";
    match reading.calls.iter().rfind(failed) {
        Some(call) if call.code.is_some() && reading.notes.contains(&"end") => classify(call, request),
        _ => Failure::CutOff,
    }
}

/// Exit codes say nothing (they are whatever errno was left): the text decides.
fn classify(call: &Call<'_>, request: &Request) -> Failure {
    let text = call.stderr.join("\n");
    let has = |part: &str| text.contains(part);
    let detail = detail(&call.stderr);
    let sudo_missing = call.code == Some(127) && has("/sudo");
    let refused = ["Unknown error -1", "Permission denied", "Operation not permitted"].iter().any(|part| has(part));
    let sudo_says_no = has("is not allowed to execute") || text.lines().any(|line| line.starts_with("sudo:"));
    if let (true, Action::Create { token, .. }) = (has("Token already exists"), &request.action) {
        Failure::TokenExists(token.clone())
    } else if has("no quorum") {
        Failure::NoQuorum
    } else if has("got lock request timeout") {
        Failure::Busy
    } else if sudo_missing {
        let detail = "it is not root, and sudo is not installed".to_owned();
        Failure::NoRights { detail, hint: HintId::SudoMissing.text() }
    } else if sudo_says_no || has("please run as root") || (has("ipcc_send_rec") && refused) {
        Failure::NoRights { detail, hint: HintId::SudoPveum.say(&[("user", &request.ssh_user)]) }
    } else if has("ipcc_send_rec") {
        Failure::PmxcfsDown
    } else if let Some((_, rest)) = text.split_once("no such user ('") {
        let userid = rest.split('\'').next().and_then(word).unwrap_or_default();
        Failure::NoSuchUser { userid }
    } else {
        Failure::Other { step: call.name.to_owned(), stderr: detail }
    }
}

/// A failed call's own words in one line: without Perl's complaints about locales, warnings about other entries
/// of the user database, and usage.
fn detail(stderr: &[&str]) -> String {
    let noise = |line: &&&str| {
        let text = line.trim();
        let skip = ["perl: warning:", "user config - ignore", "USAGE:", "LANG", "LC_", "are supported and installed"];
        let usage = text.starts_with("pveum ") && text.contains('<');
        text.is_empty() || usage || skip.iter().any(|start| text.starts_with(start))
    };
    let lines: Vec<String> = stderr.iter().filter(|line| !noise(line)).filter_map(|line| word(line)).collect();
    let text: String = lines.join("; ").chars().take(500).collect();
    if text.is_empty() { "it said nothing".to_owned() } else { text }
}

#[cfg(test)]
mod tests;
