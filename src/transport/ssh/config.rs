//! What OpenSSH's own configuration says of a host, asked from `ssh -G`.
//!
//! No parser of our own: Match, Include, `CanonicalizeHostname` and tokens are OpenSSH's business, and to get one wrong
//! would be to connect as another user to another machine.
//!
//! `survey` knows what the answer depends on (`file_words` and `include` read the files), `percent_tokens` and `path_lists`
//! read values that `ssh -G` prints as they were written.

mod file_words;
mod include;
pub(super) mod path_lists;
pub(super) mod percent_tokens;
pub(super) mod source;
pub(super) mod survey;

use std::process::Stdio;
use std::time::{Duration, Instant};

use futures::future::LocalBoxFuture;

use crate::transport::Error;
use crate::transport::child::{self, Unfinished};
use crate::transport::script::excerpt;
use crate::transport::ssh::SshHost;
use crate::transport::ssh::config::source::ConfigSource;
use crate::transport::ssh::config::survey::{Survey, Written};

/// `CanonicalizeHostname` may look up names.
const LIMIT: Duration = Duration::from_secs(10);
/// It prints some hundred lines.
const MOST_BYTES: u64 = 1 << 20;

/// Where `Route::resolve` gets a host's configuration from. Who keeps answers between runs wraps `ConfigSource`.
pub(crate) trait Lookup {
    /// None: there is no configuration, OpenSSH's defaults hold.
    fn config<'a>(&'a self, host: &'a SshHost) -> LocalBoxFuture<'a, Result<Option<SshConfig>, Error>>;
}

impl Lookup for ConfigSource {
    fn config<'a>(&'a self, host: &'a SshHost) -> LocalBoxFuture<'a, Result<Option<SshConfig>, Error>> {
        Box::pin(async move {
            let Some(survey) = Survey::of(self) else { return Ok(None) };
            let text = ask(self, host).await?;
            Ok(Some(SshConfig { written: survey.written().clone(), ..parse(&text) }))
        })
    }
}

/// The lines of `ssh -G` that matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(crate) struct SshConfig {
    pub(crate) hostname: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) port: Option<u16>,
    /// Not expanded.
    pub(crate) identity_files: Vec<String>,
    pub(crate) certificate_files: Vec<String>,
    pub(crate) identities_only: bool,
    /// A path, `SSH_AUTH_SOCK`, `$NAME`, or `none`.
    pub(crate) identity_agent: Option<String>,
    pub(crate) proxy_jump: Option<String>,
    pub(crate) proxy_command: Option<String>,
    /// Paths with a blank between them, and without their quotes: `lists` takes them apart, `written` helps.
    pub(crate) user_known_hosts: Option<String>,
    pub(crate) global_known_hosts: Option<String>,
    pub(crate) written: Written,
    pub(crate) known_hosts_command: Option<String>,
    pub(crate) revoked_host_keys: Option<String>,
    pub(crate) host_key_alias: Option<String>,
    pub(crate) hash_known_hosts: bool,
    /// `StrictHostKeyChecking yes`: nothing is ever added.
    pub(crate) strict: bool,
    /// `PubkeyAuthentication no`: no key is offered.
    pub(crate) no_keys: bool,
    /// The `ProxyCommand` hands an open connection over instead of carrying the bytes.
    pub(crate) fdpass: bool,
    /// What `%C` stands for, where this version of ssh says it.
    pub(crate) connection_hash: Option<String>,
    /// Names were looked up: the answer may be another one tomorrow.
    pub(crate) canonicalized: bool,
}

/// The text of `ssh -G` for a host. Errors: `Local` with what ssh says of the configuration.
pub(crate) async fn ask(source: &ConfigSource, host: &SshHost) -> Result<String, Error> {
    let begun = Instant::now();
    let failed = |detail: String| Error::Local { peer: host.label.clone(), detail };
    let mut command = child::command("ssh");
    // Nothing here uses ControlPath: it tells what %C stands for.
    command.args(["-G", "-T", "-o", "ControlPath=%C"]);
    if let ConfigSource::File(file) = source {
        command.arg("-F").arg(file);
    }
    if let Some(port) = host.port {
        command.arg("-p").arg(port.to_string());
    }
    if let Some(user) = &host.user {
        command.arg("-l").arg(user);
    }
    command.arg("--").arg(&host.host).stderr(Stdio::piped());
    let output = child::output(&mut command, LIMIT, MOST_BYTES).await.map_err(|unfinished| match unfinished {
        Unfinished::System(e) => failed(format!("cannot run ssh -G: {e}")),
        Unfinished::Late => failed(format!("ssh -G did not end within {LIMIT:?}")),
        Unfinished::TooMuch => failed(format!("ssh -G prints more than {} KiB", MOST_BYTES >> 10)),
    })?;
    tracing::debug!(server = host.label, ms = begun.elapsed().as_millis(), "asked ssh -G");
    if !output.status.success() {
        let said = excerpt(&output.stderr).unwrap_or_else(|| output.status.to_string());
        return Err(failed(format!("ssh does not accept its configuration: {said}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads what `ssh -G` prints: a keyword in lower case and its value on each line. What is not known is left out.
pub(crate) fn parse(text: &str) -> SshConfig {
    let mut config = SshConfig::default();
    for line in text.lines() {
        let Some((keyword, value)) = line.split_once(' ') else { continue };
        let value = value.trim();
        if value.is_empty() {
            continue;
        }
        let owned = || Some(value.to_owned());
        // `none` turns these off; some versions print it, some nothing.
        let unless_none = || owned().filter(|value| !value.eq_ignore_ascii_case("none"));
        let yes = matches!(value, "yes" | "true");
        let no = matches!(value, "no" | "false");
        match keyword.to_ascii_lowercase().as_str() {
            "hostname" => config.hostname = owned(),
            "user" => config.user = owned(),
            "port" => config.port = value.parse().ok(),
            "identityfile" => config.identity_files.extend(owned()),
            "certificatefile" => config.certificate_files.extend(unless_none()),
            "identitiesonly" => config.identities_only = yes,
            "identityagent" => config.identity_agent = owned(),
            "proxyjump" => config.proxy_jump = unless_none(),
            "proxycommand" => config.proxy_command = unless_none(),
            "proxyusefdpass" => config.fdpass = yes,
            "userknownhostsfile" => config.user_known_hosts = owned(),
            "globalknownhostsfile" => config.global_known_hosts = owned(),
            "knownhostscommand" => config.known_hosts_command = unless_none(),
            "revokedhostkeys" => config.revoked_host_keys = unless_none(),
            "hostkeyalias" => config.host_key_alias = owned(),
            "hashknownhosts" => config.hash_known_hosts = yes,
            "stricthostkeychecking" => config.strict = yes,
            "pubkeyauthentication" => config.no_keys = no,
            "canonicalizehostname" => config.canonicalized |= !no,
            "canonicalizepermittedcnames" => config.canonicalized |= unless_none().is_some(),
            "controlpath" => config.connection_hash = owned().filter(|hash| is_hash(hash)),
            _ => {}
        }
    }
    config
}

/// SHA-1 in hexadecimal digits.
fn is_hash(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_lines_that_matter_are_read() {
        let text = "host box\nuser root\nhostname 10.0.0.5\nport 2222\nidentitiesonly yes\nhashknownhosts yes\n\
            stricthostkeychecking true\nidentityfile ~/.ssh/a\nidentityfile ~/with blank\ncertificatefile ~/c.pub\n\
            identityagent none\nproxyjump a@b:1,c\nuserknownhostsfile /k1 /k2\nglobalknownhostsfile none\n\
            hostkeyalias name\nproxycommand none\nunknown\nsendenv LANG\nidentityfile none\nproxyusefdpass yes\n\
            knownhostscommand /bin/k %H\nrevokedhostkeys /r\npubkeyauthentication no\ncanonicalizehostname always\n\
            controlpath 0123456789abcdef0123456789abcdef01234567\n";
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let want = SshConfig {
            hostname: Some("10.0.0.5".to_owned()),
            user: Some("root".to_owned()),
            port: Some(2222),
            identity_files: owned(&["~/.ssh/a", "~/with blank", "none"]),
            certificate_files: owned(&["~/c.pub"]),
            identities_only: true,
            identity_agent: Some("none".to_owned()),
            proxy_jump: Some("a@b:1,c".to_owned()),
            proxy_command: None,
            user_known_hosts: Some("/k1 /k2".to_owned()),
            global_known_hosts: Some("none".to_owned()),
            written: Written::default(),
            known_hosts_command: Some("/bin/k %H".to_owned()),
            revoked_host_keys: Some("/r".to_owned()),
            host_key_alias: Some("name".to_owned()),
            hash_known_hosts: true,
            strict: true,
            no_keys: true,
            fdpass: true,
            connection_hash: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            canonicalized: true,
        };
        assert_eq!(parse(text), want);
        assert_eq!(parse(""), SshConfig::default());
        for (value, strict) in [("yes", true), ("ask", false), ("accept-new", false), ("false", false), ("off", false)]
        {
            assert_eq!(parse(&format!("stricthostkeychecking {value}")).strict, strict, "{value}");
        }
    }

    #[tokio::test]
    async fn ssh_itself_is_asked() {
        if std::process::Command::new("ssh").arg("-V").output().is_err() {
            eprintln!("SKIPPED: this test asks ssh, which is not installed");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        fs::write(
            &file,
            "Host *.lan\n HostName %h.example\nHost box.lan -x\n User admin\n Port 2200\n\
            ProxyCommand nc %h %p\nMatch host box.lan.example\n IdentityFile ~/special\n IdentitiesOnly yes\n",
        )
        .unwrap();
        let source = ConfigSource::File(file.clone());
        let host = |name: &str, port, user: Option<&str>| SshHost {
            label: "box".to_owned(),
            host: name.to_owned(),
            port,
            user: user.map(str::to_owned),
            key_path: None,
            proxy_jump: None,
        };
        let config = parse(&ask(&source, &host("box.lan", None, None)).await.unwrap());
        assert_eq!((config.hostname.as_deref(), config.user.as_deref()), (Some("box.lan.example"), Some("admin")));
        assert_eq!((config.port, config.identities_only), (Some(2200), true));
        assert_eq!(config.proxy_command.as_deref(), Some("nc %h %p"));
        assert!(config.identity_files.ends_with(&["~/special".to_owned()]), "{:?}", config.identity_files);
        let config = parse(&ask(&source, &host("other.lan", Some(5), Some("me"))).await.unwrap());
        assert_eq!((config.port, config.user.as_deref()), (Some(5), Some("me")));
        assert_eq!(config.identity_files.len(), 7);
        // A name cannot become an option.
        let config = parse(&ask(&source, &host("-x", None, None)).await.unwrap_or_default());
        assert_ne!(config.hostname.as_deref(), Some("x"));
        fs::write(&file, "Nonsense yes\n").unwrap();
        let error = ask(&source, &host("box.lan", None, None)).await.unwrap_err().to_string();
        assert!(error.contains("Bad configuration option: nonsense"), "{error}");
        let looked_up = ConfigSource::Off.config(&host("box.lan", None, None)).await.unwrap();
        assert_eq!(looked_up, None);
    }
}
