//! Situations of `ssh_config`, resolved by ssh and by us: where it goes, as whom, with which keys, through whom, and what
//! becomes of it.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::Output;

use super::*;
use crate::transport::ssh::ConfigSource;
use crate::transport::ssh::account::own_home;
use crate::transport::ssh::route::{Hop, Via};

/// A configuration, in which FOLDER is a folder of its own, and the host that is asked for.
const WAYS: &[(&str, &str)] = &[
    // Names.
    ("", "box"),
    ("", "BOX.Example.COM"),
    ("", "10.0.0.5"),
    ("", "fe80::7%lo"),
    ("", "nas+backup"),
    ("", "büro"),
    ("Host box\n HostName 10.0.0.5\n", "box"),
    ("Host box\n HostName %h.lan.example\n", "box"),
    ("Host *.lan\n HostName %h.example\n", "a.lan"),
    ("Host \"box\" 'other'\n Port 2201\n", "other"),
    ("Host=box # a comment\n Port = 2202\n", "box"),
    ("Host box*\n Port 2203\nHost box1 !box2\n User late\n", "box1"),
    ("Host box* !box2\n Port 2204\n", "box2"),
    ("Host BOX\n Port 2205\n", "box"),
    ("Host machine/.host\n Port 2206\n", "machine/.host"),
    ("Host b?x\n HostName \"fe80::1%%lo\"\n", "box"),
    // Users.
    ("Host box\n User admin\n", "box"),
    ("User first\nHost box\n User second\n", "box"),
    ("Host box\n User me@corp.example\n", "box"),
    ("Host box\n User CORP\\me\n", "box"),
    ("Host box\n User \"first last\"\n", "box"),
    ("Host box\n User me:target\n", "box"),
    ("Match originalhost box\n User m\n", "box"),
    ("Match host 10.0.0.5\n User m\nHost box\n HostName 10.0.0.5\n", "box"),
    ("Host box\n HostName 10.0.0.5\nMatch host 10.0.0.5\n User m\n", "box"),
    ("Host box\n User a\nMatch user a\n Port 2207\n", "box"),
    ("Match exec \"true\"\n Port 2208\nMatch exec \"false\"\n User never\n", "box"),
    ("Match final\n Port 2209\n", "box"),
    ("Match all\n Port 2210\n", "box"),
    ("Include FOLDER/\"more \"[ab]/*.conf\n", "box"),
    ("Host other\n Include FOLDER/port\nHost *\n User u\n", "box"),
    ("Host box\n Include FOLDER/port\n User u\n", "box"),
    // Keys.
    ("IdentityFile ~/.ssh/special\n", "box"),
    ("IdentityFile \"~/.ssh/my key\"\nIdentityFile FOLDER/b\n", "box"),
    ("IdentityFile none\n", "box"),
    ("IdentityFile none\nIdentityFile FOLDER/a\n", "box"),
    ("Host box\n HostName 10.0.0.5\n User u\n Port 9\n IdentityFile FOLDER/%h-%n-%p-%r-%%\n", "box"),
    ("IdentityFile FOLDER/%u-%i-%L-%k\n", "box"),
    ("HostKeyAlias alias\nIdentityFile %d/%k\n", "box"),
    ("IdentityFile FOLDER/%C\n", "box"),
    ("IdentityFile ${HOME}/x\n", "box"),
    ("IdentityFile FOLDER/$PATH-%h\n", "box"),
    ("IdentityFile ~root/key\n", "box"),
    ("IdentityFile ~/.ssh/id_rsa\n", "box"),
    // Jumps.
    ("ProxyJump none\n", "box"),
    ("Host box\n ProxyJump gate\n", "box"),
    ("Host box\n User u\n ProxyJump %r@gate\n", "box"),
    ("Host box\n HostName 10.0.0.5\n ProxyJump gate-%h:2222\n", "box"),
    ("Host box\n ProxyJump a,u@b:2,c\n", "box"),
    ("Host box\n ProxyJump me@corp.example@gate\n", "box"),
    ("Host box\n ProxyJump me:box@gate:22\n", "box"),
    ("Host box\n ProxyJump ssh://me%40corp@gate:2222\n", "box"),
    ("Host box\n ProxyJump [fe80::7%%lo]:22\n", "box"),
    ("Host box\n ProxyJump gate\nHost gate\n HostName 10.0.0.1\n User g\n Port 7\n ProxyJump outer\n", "box"),
    ("Host box\n ProxyJump a,b\nHost a\n ProxyJump c\nHost b\n ProxyJump d\n", "box"),
    ("Host box\n ProxyJump gate\n ProxyCommand never\n", "box"),
    ("Host box\n ProxyCommand exec echo '%h' %p %r %n %% >FOLDER/x\n ProxyJump gate\n", "box"),
    ("Host box\n ProxyCommand none\n ProxyJump gate\n", "box"),
    ("Host gate\n ProxyJump none\nHost *\n ProxyJump gate\n", "box"),
    ("Host * !gate\n ProxyJump gate\n", "gate"),
    // Who vouches.
    ("UserKnownHostsFile \"FOLDER/my keys/known hosts\" FOLDER/k\n", "box"),
    ("UserKnownHostsFile ~/k %d/%k.known ${HOME}/k\nHostKeyAlias alias\n", "box"),
    ("UserKnownHostsFile none\n", "box"),
    ("Host box\n HostName 10.0.0.5\n Port 22\n HostKeyAlias Alias\n", "box"),
];

/// Runs the real ssh under that name, so that the ssh of a `ProxyJump` is `ssh` on PATH: ours, which notes its arguments.
fn ssh(bench: &Bench, args: &[String]) -> Output {
    let path = format!("{}:{}", bench.path("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("/usr/bin/ssh");
    command.arg0("ssh").args(args).env("PATH", path).env("SHELL", "/bin/sh").env_remove("SSH_AUTH_SOCK");
    command.stdin(Stdio::null()).output().unwrap()
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A value of `ssh -G`.
fn value<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(keyword)?.strip_prefix(' '))
}

/// `user@host:port` of the host and, before it, of those that ssh itself would be started for.
fn chain(bench: &Bench, args: &[String]) -> Vec<String> {
    let asked = ssh(bench, &[&strings(&["-G"]), args].concat());
    let text = String::from_utf8(asked.stdout).unwrap();
    let part = |keyword| value(&text, keyword).unwrap_or_default();
    let own = format!("{}@{}:{}", part("user"), part("hostname"), part("port"));
    let noted = bench.path("noted");
    let _ = fs::remove_file(&noted);
    if value(&text, "proxyjump").is_none() {
        return vec![own];
    }
    ssh(bench, &[args, &strings(&["true"])].concat());
    let next = fs::read_to_string(&noted).unwrap();
    // What it is to carry is known.
    let mut next: Vec<String> = next.lines().map(str::to_owned).collect();
    let carry = next.iter().position(|word| word == "-W").unwrap();
    next.drain(carry..carry + 2);
    [chain(bench, &next), vec![own]].concat()
}

/// The keys that ssh tries, and the command that it starts.
fn keys(bench: &Bench, file: &str, host: &str) -> Vec<String> {
    let options = ["-v", "-F", file, "-o", "ProxyCommand=false", "-o", "ProxyUseFdpass=no", "--", host, "true"];
    let said = String::from_utf8_lossy(&ssh(bench, &strings(&options)).stderr).into_owned();
    let files = said.lines().filter_map(|line| line.strip_prefix("debug1: identity file ")?.split(" type ").next());
    // The certificate beside each.
    files.filter(|file| !file.ends_with("-cert")).map(str::to_owned).collect()
}

fn command(bench: &Bench, file: &str, host: &str) -> Option<String> {
    let said = ssh(bench, &strings(&["-v", "-F", file, "--", host, "true"])).stderr;
    let said = String::from_utf8_lossy(&said).into_owned();
    said.lines().find_map(|line| line.strip_prefix("debug1: Executing proxy command: exec ").map(str::to_owned))
}

/// The same keys; the usual ones in any order, without those of types that nobody has any more.
fn same_keys(theirs: Vec<String>, hop: &Hop) -> bool {
    let ours: Vec<String> = hop.identities.iter().map(|identity| identity.path.display().to_string()).collect();
    if theirs.iter().any(|file| file.ends_with(".ssh/id_xmss")) {
        let old = |file: &String| !file.ends_with("id_xmss") && !file.ends_with("id_dsa");
        let theirs: BTreeSet<String> = theirs.into_iter().filter(old).collect();
        return theirs == ours.into_iter().collect();
    }
    theirs == ours
}

#[tokio::test]
async fn ways_are_those_of_ssh() {
    if !openssh() {
        return;
    }
    let bench = Bench::new();
    let folder = bench.folder.path().display().to_string();
    for (name, text) in [("more a/x.conf", "Port 2211\n"), ("more b/.y.conf", "User hidden\n"), ("port", "Port 2212\n")]
    {
        fs::create_dir_all(bench.path(name).parent().unwrap()).unwrap();
        bench.write(name, text);
    }
    fs::create_dir(bench.path("bin")).unwrap();
    bench.write("bin/ssh", &format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >{folder}/noted\nexit 255\n"));
    bench.chmod("bin/ssh", 0o755);
    let home = own_home().unwrap();
    for (text, host) in WAYS {
        let file = bench.write("config", &text.replace("FOLDER", &folder)).display().to_string();
        let asked = SshHost { host: (*host).to_owned(), port: None, user: None, ..Bench::host(1, None) };
        let route = Route::resolve(&asked, &ConfigSource::File(file.clone().into()), &home, LONG).await;
        let route = route.unwrap_or_else(|error| panic!("{text:?} {host}: {error}"));
        let ours = route.hops().iter().map(|hop| format!("{}@{}:{}", hop.user, hop.host, hop.port)).collect::<Vec<_>>();
        assert_eq!(
            ours,
            chain(&bench, &strings(&["-F", &file, "--", host])),
            "left: ecobox, right: ssh; {text:?} {host}"
        );
        let hop = route.hops().last().unwrap();
        let theirs = keys(&bench, &file, host);
        assert!(same_keys(theirs.clone(), hop), "{text:?} {host}: ssh {theirs:?}, ecobox {:?}", hop.identities);
        let printed = String::from_utf8(ssh(&bench, &strings(&["-G", "-F", &file, "--", host])).stdout).unwrap();
        // Only where a command is the way: ssh would dial else.
        let has_command = value(&printed, "proxycommand").is_some_and(|command| command != "none");
        let ours = match &hop.via {
            Via::Command(command) => Some(command.clone()),
            Via::Tcp => None,
        };
        assert_eq!(ours, if has_command { command(&bench, &file, host) } else { None }, "{text:?}");
        let ours: Vec<_> = hop.user_known_hosts.iter().map(|path| path.display().to_string()).collect();
        let theirs = value(&printed, "userknownhostsfile").unwrap();
        assert_eq!(ours.join(" "), if theirs == "none" { "" } else { theirs }, "{text:?}");
        let alias = value(&printed, "hostkeyalias");
        assert_eq!(Some(hop.names.recorded.as_str()).filter(|_| alias.is_some()), alias, "{text:?}");
    }
}

/// A configuration of `box`, in which FOLDER and PORT are replaced, KNOWN is the right line of its key and CHANGED another
/// one, and what becomes of it: in, a host key that is not trusted, or no login.
const VERDICTS: &[(&str, &str, &str)] = &[
    ("KNOWN", "IdentityFile FOLDER/key\n", "in"),
    ("", "IdentityFile FOLDER/key\n", "host key"),
    ("CHANGED", "IdentityFile FOLDER/key\n", "host key"),
    ("CHANGED", "IdentityFile FOLDER/key\n StrictHostKeyChecking accept-new\n", "host key"),
    ("@revoked * KEY\nKNOWN", "IdentityFile FOLDER/key\n", "host key"),
    ("KNOWN", "IdentityFile FOLDER/stranger\n", "no login"),
    ("KNOWN", "IdentityFile FOLDER/missing\n", "no login"),
    ("KNOWN", "IdentityFile none\n", "no login"),
    ("KNOWN", "IdentityFile FOLDER/stranger\n IdentityFile FOLDER/key\n", "in"),
    ("KNOWN", "IdentityFile FOLDER/key\n PubkeyAuthentication no\n", "no login"),
    ("KNOWN", "IdentityFile \"FOLDER/my key\"\n", "in"),
    ("KNOWN", "IdentityFile FOLDER/nistp384\n", "in"),
    ("KNOWN", "IdentityFile FOLDER/nistp521\n", "in"),
    ("alias KEY", "IdentityFile FOLDER/key\n HostKeyAlias alias\n", "in"),
    ("KNOWN", "IdentityFile FOLDER/key\n HostKeyAlias alias\n", "host key"),
    ("KNOWN", "IdentityFile FOLDER/key\n RevokedHostKeys FOLDER/host_ed25519.pub\n", "host key"),
    ("KNOWN", "IdentityFile FOLDER/key\n RevokedHostKeys FOLDER/missing\n", "host key"),
    ("KNOWN", "IdentityFile FOLDER/key\n RevokedHostKeys FOLDER/stranger.pub\n", "in"),
    ("KNOWN", "IdentityFile FOLDER/key\n ProxyCommand FOLDER/carry %p %h:%p %r@%h\n", "in"),
];

#[tokio::test]
async fn verdicts_are_those_of_ssh() {
    if !openssh() {
        return;
    }
    let bench = Bench::new();
    let port = bench.serve("MaxAuthTries 6");
    let key = fs::read_to_string(bench.path("host_ed25519.pub")).unwrap();
    let other = keygen(&bench.path("stranger"), "ed25519", "");
    bench.authorize("key", "ed25519", "");
    bench.authorize("my key", "ed25519", "");
    for bits in ["384", "521"] {
        let file = bench.path(&format!("nistp{bits}"));
        run("ssh-keygen", &["-q", "-t", "ecdsa", "-b", bits, "-N", "", "-f", file.to_str().unwrap()]);
        let authorized = fs::read_to_string(bench.path("authorized_keys")).unwrap();
        let public = fs::read_to_string(format!("{}.pub", file.display())).unwrap();
        bench.write("authorized_keys", &(authorized + &public));
    }
    let carry =
        "exec /usr/bin/ssh -F none -o IdentityAgent=none -o UserKnownHostsFile=FOLDER/known_hosts -i FOLDER/key";
    let folder = bench.folder.path().display().to_string();
    bench.write("carry", &format!("#!/bin/sh\n{} -p \"$1\" -W \"$2\" \"$3\"\n", carry.replace("FOLDER", &folder)));
    bench.chmod("carry", 0o755);
    fs::create_dir(bench.path("bin")).unwrap();
    for (known, options, want) in VERDICTS {
        let known = known.replace("KNOWN", &format!("[127.0.0.1]:{port} {key}"));
        let known = known.replace("CHANGED", &format!("[127.0.0.1]:{port} {other}")).replace("KEY", key.trim());
        bench.write("known_hosts", &(known.trim_end().to_owned() + "\n"));
        let text = format!(
            "Host box\n HostName 127.0.0.1\n Port {port}\n User {}\n {options} UserKnownHostsFile FOLDER/known_hosts\n \
             GlobalKnownHostsFile none\n IdentityAgent none\n BatchMode yes\n",
            me()
        );
        let file = bench.write("config", &text.replace("FOLDER", &folder)).display().to_string();
        let host = SshHost { host: "box".to_owned(), port: None, user: None, ..Bench::host(1, None) };
        let route =
            Route::resolve(&host, &ConfigSource::File(file.clone().into()), bench.folder.path(), LONG).await.unwrap();
        let ours = match connect(&route, &Keys::default(), HostKeyPolicy::Refuse, &Answers::default()).await {
            Ok(session) => {
                session.close().await;
                "in"
            }
            Err(
                Error::UnknownHostKey { .. }
                | Error::Untrusted { .. }
                | Error::Revoked { .. }
                | Error::Unproven { .. }
                | Error::Local { .. },
            ) => "host key",
            Err(Error::Denied { .. }) => "no login",
            Err(error) => panic!("{options:?}: {error}"),
        };
        let asked = ssh(&bench, &strings(&["-F", &file, "--", "box", "true"]));
        let said = String::from_utf8_lossy(&asked.stderr).into_owned();
        let theirs = match asked.status.success() {
            true => "in",
            false if said.contains("Host key verification failed") => "host key",
            false if said.contains("Permission denied") => "no login",
            false => panic!("{options:?}: {said}"),
        };
        assert_eq!((ours, theirs), (*want, *want), "left: ecobox, right: ssh; {known:?} {options:?}\n{said}");
    }
    assert!(WAYS.len() + VERDICTS.len() >= 60);
}
