//! What OpenSSH's own configuration says of a host, asked from `ssh -G`.
//!
//! No parser of our own: Match, Include, `CanonicalizeHostname` and tokens are OpenSSH's business, and to get one wrong
//! would be to connect as another user to another machine.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures::future::LocalBoxFuture;
use tokio::process::Command;

use crate::transport::Error;
use crate::transport::script::excerpt;
use crate::transport::ssh::SshHost;
use crate::transport::ssh::known_hosts::glob;

const SYSTEM_FOLDER: &str = "/etc/ssh";
/// As deep as OpenSSH follows Include.
const INCLUDE_DEPTH: usize = 16;
/// `CanonicalizeHostname` may look up names.
const LIMIT: Duration = Duration::from_secs(10);

/// Which `ssh_config` is asked: `[ssh] config = false`, unset, or a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConfigSource {
    Off,
    Default,
    File(PathBuf),
}

/// Where `Route::resolve` gets a host's configuration from. Who keeps answers between runs wraps `ConfigSource`.
pub(crate) trait Lookup {
    /// None: there is no configuration, OpenSSH's defaults hold.
    fn config<'a>(&'a self, host: &'a SshHost) -> LocalBoxFuture<'a, Result<Option<SshConfig>, Error>>;
}

impl Lookup for ConfigSource {
    fn config<'a>(&'a self, host: &'a SshHost) -> LocalBoxFuture<'a, Result<Option<SshConfig>, Error>> {
        Box::pin(async move {
            if stamp(self).is_none() {
                return Ok(None);
            }
            ask(self, host).await.map(|text| Some(parse(&text)))
        })
    }
}

/// The lines of `ssh -G` that matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    pub(crate) user_known_hosts: Option<Vec<String>>,
    pub(crate) global_known_hosts: Option<Vec<String>>,
    pub(crate) host_key_alias: Option<String>,
    pub(crate) hash_known_hosts: bool,
    /// `StrictHostKeyChecking yes`: nothing is ever added.
    pub(crate) strict: bool,
}

/// What the answers of `ssh -G` depend on: the configuration files, those they include as far as can be seen, and the
/// program. None: there is no configuration, or nobody to ask.
pub(crate) fn stamp(source: &ConfigSource) -> Option<String> {
    let home = std::env::home_dir().unwrap_or_default();
    stamp_of(source, &home.join(".ssh"), Path::new(SYSTEM_FOLDER), std::env::var_os("PATH").as_ref())
}

fn stamp_of(source: &ConfigSource, user: &Path, system: &Path, path: Option<&OsString>) -> Option<String> {
    let roots = match source {
        ConfigSource::Off => return None,
        ConfigSource::Default => vec![(user.join("config"), user), (system.join("ssh_config"), system)],
        // Relative Includes of a file given by -F are looked for in ~/.ssh.
        ConfigSource::File(file) => vec![(file.clone(), user)],
    };
    let mut marks = Vec::new();
    for (file, folder) in roots {
        mark(&file, folder, INCLUDE_DEPTH, &mut marks);
    }
    if marks.is_empty() && !matches!(source, ConfigSource::File(_)) {
        return None;
    }
    let program = std::env::split_paths(path?).map(|folder| folder.join("ssh")).find(|file| file.is_file());
    let Some(program) = program else {
        tracing::warn!("there is an ssh configuration, but no ssh program to read it: it is not used");
        return None;
    };
    marks.extend(line(&program));
    Some(marks.join("\n"))
}

/// One file's path, modification time and size.
fn line(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    let (seconds, nanos) = (metadata.mtime(), metadata.mtime_nsec());
    Some(format!("{}\t{seconds}.{nanos:09}\t{}", path.display(), metadata.size()))
}

fn mark(file: &Path, folder: &Path, depth: usize, marks: &mut Vec<String>) {
    let Some(found) = line(file) else { return };
    if depth == 0 || marks.contains(&found) {
        return;
    }
    marks.push(found);
    for pattern in fs::read_to_string(file).unwrap_or_default().lines().flat_map(includes) {
        let pattern = match pattern.strip_prefix("~/") {
            // `~` is the home of the user, whose folder this is for both kinds of files.
            Some(rest) => std::env::home_dir().unwrap_or_default().join(rest),
            None => folder.join(&pattern),
        };
        for included in expand_glob(&pattern, marks) {
            mark(&included, folder, depth - 1, marks);
        }
    }
}

/// The patterns of an Include line.
fn includes(line: &str) -> Vec<String> {
    let line = line.trim();
    let (word, rest) = line.split_at(line.find([' ', '\t', '=']).unwrap_or(line.len()));
    if !word.eq_ignore_ascii_case("include") {
        return Vec::new();
    }
    let rest = rest.trim_start_matches([' ', '\t', '=']);
    rest.split_whitespace().map(|pattern| pattern.trim_matches('"').to_owned()).collect()
}

/// The files of a pattern whose last part may have wildcards. The folder itself is marked then: a new file changes it.
fn expand_glob(pattern: &Path, marks: &mut Vec<String>) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (pattern.parent(), pattern.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    if !name.contains(['*', '?', '[']) {
        return vec![pattern.to_owned()];
    }
    marks.extend(line(folder));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        // A bracket is rare: take every file then.
        .filter(|entry| name.contains('[') || glob(name, &entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

/// The text of `ssh -G` for a host. Errors: `Local` with what ssh says of the configuration.
pub(crate) async fn ask(source: &ConfigSource, host: &SshHost) -> Result<String, Error> {
    let begun = Instant::now();
    let failed = |detail: String| Error::Local { peer: host.label.clone(), detail };
    let mut command = Command::new("ssh");
    command.args(["-G", "-T"]);
    if let ConfigSource::File(file) = source {
        command.arg("-F").arg(file);
    }
    if let Some(port) = host.port {
        command.arg("-p").arg(port.to_string());
    }
    if let Some(user) = &host.user {
        command.arg("-l").arg(user);
    }
    command.arg("--").arg(&host.host).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await;
    let output = output.map_err(|_| failed("ssh -G did not end".to_owned()))?;
    let output = output.map_err(|e| failed(format!("cannot run ssh -G: {e}")))?;
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
        let list = || Some(value.split_whitespace().map(str::to_owned).collect());
        match keyword.to_ascii_lowercase().as_str() {
            "hostname" => config.hostname = owned(),
            "user" => config.user = owned(),
            "port" => config.port = value.parse().ok(),
            "identityfile" => config.identity_files.extend(unless_none()),
            "certificatefile" => config.certificate_files.extend(unless_none()),
            "identitiesonly" => config.identities_only = yes,
            "identityagent" => config.identity_agent = owned(),
            "proxyjump" => config.proxy_jump = unless_none(),
            "proxycommand" => config.proxy_command = unless_none(),
            "userknownhostsfile" => config.user_known_hosts = list(),
            "globalknownhostsfile" => config.global_known_hosts = list(),
            "hostkeyalias" => config.host_key_alias = owned(),
            "hashknownhosts" => config.hash_known_hosts = yes,
            "stricthostkeychecking" => config.strict = yes,
            _ => {}
        }
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_matter_are_read() {
        let text = "host box\nuser root\nhostname 10.0.0.5\nport 2222\nidentitiesonly yes\nhashknownhosts yes\n\
            stricthostkeychecking true\nidentityfile ~/.ssh/a\nidentityfile ~/with blank\ncertificatefile ~/c.pub\n\
            identityagent none\nproxyjump a@b:1,c\nuserknownhostsfile /k1 /k2\nglobalknownhostsfile none\n\
            hostkeyalias name\nproxycommand none\nunknown\nsendenv LANG\n";
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let want = SshConfig {
            hostname: Some("10.0.0.5".to_owned()),
            user: Some("root".to_owned()),
            port: Some(2222),
            identity_files: owned(&["~/.ssh/a", "~/with blank"]),
            certificate_files: owned(&["~/c.pub"]),
            identities_only: true,
            identity_agent: Some("none".to_owned()),
            proxy_jump: Some("a@b:1,c".to_owned()),
            proxy_command: None,
            user_known_hosts: Some(owned(&["/k1", "/k2"])),
            global_known_hosts: Some(owned(&["none"])),
            host_key_alias: Some("name".to_owned()),
            hash_known_hosts: true,
            strict: true,
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

    #[test]
    fn stamps_change_with_every_file_that_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (user, system, bin) = (path("user"), path("etc"), path("bin"));
        for made in [&user, &system, &bin, &system.join("conf.d")] {
            fs::create_dir_all(made).unwrap();
        }
        let search = bin.clone().into_os_string();
        let now = || stamp_of(&ConfigSource::Default, &user, &system, Some(&search));
        assert_eq!(now(), None, "no configuration");
        fs::write(system.join("ssh_config"), "  Include conf.d/*.conf\nInclude=\"missing\" twice\nHost *\n").unwrap();
        assert_eq!(now(), None, "no ssh");
        fs::write(bin.join("ssh"), "").unwrap();
        let mut seen = vec![now().unwrap()];
        let changes: [(PathBuf, &str); 5] = [
            (user.join("config"), "include more\n"),
            (user.join("more"), "Include more\n"),
            (system.join("conf.d/a.conf"), "Port 1\n"),
            (system.join("conf.d/a.conf"), "Port 12\n"),
            (bin.join("ssh"), "new"),
        ];
        for (file, text) in changes {
            fs::write(&file, text).unwrap();
            let stamp = now().unwrap();
            assert!(!seen.contains(&stamp), "{}", file.display());
            seen.push(stamp);
        }
        assert!(!seen.last().unwrap().contains("missing"));
        assert_eq!(stamp_of(&ConfigSource::Off, &user, &system, Some(&search)), None);
        let one = stamp_of(&ConfigSource::File(user.join("more")), &user, &system, Some(&search)).unwrap();
        assert_eq!(one.lines().count(), 2);
    }
}
