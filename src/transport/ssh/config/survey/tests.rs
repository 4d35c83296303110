//! Whether an answer of ssh may be kept, and what stands in files.

use std::os::unix::fs::PermissionsExt;

use super::*;

struct Folders {
    root: tempfile::TempDir,
}

impl Folders {
    fn new() -> Folders {
        let folders = Folders { root: tempfile::tempdir().unwrap() };
        for name in ["user", "etc/conf.d", "bin"] {
            fs::create_dir_all(folders.path(name)).unwrap();
        }
        folders.write("bin/ssh", "");
        folders
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn survey(&self, source: &ConfigSource) -> Option<Survey> {
        let path = self.path("bin").into_os_string();
        Survey::at(source, &self.path("user"), &self.path("etc"), Some(&path))
    }

    fn stamp(&self) -> Option<String> {
        self.survey(&ConfigSource::Default).map(|survey| survey.stamp())
    }
}

#[test]
fn stamps_change_with_every_file_that_counts() {
    let folders = Folders::new();
    assert_eq!(folders.stamp(), None, "no configuration");
    fs::create_dir_all(folders.path("user/my conf")).unwrap();
    let includes = "  Include conf.d/*.conf\nInclude=\"missing\" twice\nHost *\n";
    folders.write("etc/ssh_config", includes);
    fs::remove_file(folders.path("bin/ssh")).unwrap();
    assert_eq!(folders.stamp(), None, "no ssh");
    folders.write("bin/ssh", "");
    let mut seen = vec![folders.stamp().unwrap()];
    let outside = folders.path("outside");
    let user = format!("include more \"my conf/[ab]*.conf\" {}/*/x\n", outside.display());
    let changes = [
        ("user/config", user.as_str()),
        ("user/more", "Include more\n"),
        ("user/my conf/a1.conf", "Port 1\n"),
        ("outside/one/x", "Port 1\n"),
        ("etc/conf.d/a.conf", "Port 1\n"),
        ("etc/conf.d/a.conf", "Port 12\n"),
        ("bin/ssh", "new"),
    ];
    for (name, text) in changes {
        fs::create_dir_all(folders.path(name).parent().unwrap()).unwrap();
        folders.write(name, text);
        let stamp = folders.stamp().unwrap();
        assert!(!seen.contains(&stamp), "{name}");
        seen.push(stamp);
    }
    // What cannot be told apart by size and time: ssh's own permissions are a change, too.
    fs::set_permissions(folders.path("user/more"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(!seen.contains(&folders.stamp().unwrap()), "the mode");
    fs::write(folders.path("user/config"), b"# gr\xfcn\nInclude late\n").unwrap();
    let before = folders.stamp().unwrap();
    folders.write("user/late", "Port 1\n");
    assert_ne!(folders.stamp().unwrap(), before, "an Include behind another encoding");
    assert!(folders.survey(&ConfigSource::Off).is_none());
    let one = folders.survey(&ConfigSource::File(folders.path("user/late"))).unwrap();
    assert_eq!(one.files, [folders.path("user/late")]);
}

#[test]
fn stamps_change_with_the_variables_and_the_machine_that_are_named() {
    let folders = Folders::new();
    folders.write("user/config", "Host *\n IdentityAgent ${ECOBOX_TEST_A}/agent\n");
    let stamp = folders.stamp().unwrap();
    assert!(stamp.contains("\n$ECOBOX_TEST_A "), "{stamp}");
    assert!(!stamp.contains("\nhere "), "{stamp}");
    folders.write("user/config", "Host *\n IdentityFile ~/.ssh/%L\n");
    assert!(folders.stamp().unwrap().contains("\nhere "));
}

/// A configuration, a host, the name that ssh takes it for, and whether its answer lasts.
#[test]
fn what_depends_on_the_world_does_not_last() {
    let exec = "exec \"test -e ~/x\"";
    let cases: &[(&str, &str, Option<&str>, bool)] = &[
        ("Host *\n Port 1\n", "nas", None, true),
        ("Match all\n Port 1\n", "nas", None, true),
        ("Match user me\n Port 1\n", "nas", None, true),
        ("Match EXEC\n", "nas", None, false),
        ("Match originalhost nas EXEC\n Port 1\n", "nas", None, false),
        ("Match EXEC originalhost nas\n Port 1\n", "nas", None, false),
        ("Match originalhost nas EXEC\n Port 1\n", "other", None, true),
        ("Match originalhost n*,!nas EXEC\n", "nas", None, true),
        ("Match originalhost n*,!nas EXEC\n", "nas2", None, false),
        ("Match !originalhost nas EXEC\n", "nas", None, true),
        ("Match !originalhost nas EXEC\n", "other", None, false),
        ("Match originalhost=nas EXEC\n", "other", None, true),
        ("Match host nas EXEC\n", "other", None, true),
        ("Match host nas.lan EXEC\n", "nas", Some("nas.lan"), false),
        ("Match host NAS EXEC\n", "Nas", Some("10.0.0.1"), false),
        ("Match !exec \"true\" host other\n", "other", None, false),
        ("Match localnetwork 10.0.0.0/8 host nas\n", "nas", None, false),
        ("Match localnetwork 10.0.0.0/8 host nas\n", "other", None, true),
        ("Match final EXEC\n", "nas", None, false),
        ("Host other\n Include sub\n", "nas", None, true),
        ("Host other\n Include sub\n", "other", None, false),
        ("Host * !nas\n Include sub\n", "nas", None, true),
        ("Match originalhost other\n Include sub\n", "nas", None, true),
        ("Include sub\n", "nas", None, false),
        ("Include %d/sub\n", "nas", None, false),
        ("Include ${HOME}/sub\n", "nas", None, false),
        ("Include circle\n", "nas", None, false),
    ];
    let folders = Folders::new();
    folders.write("user/sub", &format!("Match {exec}\n Port 1\n"));
    folders.write("user/circle", "Include circle\n");
    for (text, host, hostname, lasting) in cases {
        folders.write("user/config", &text.replace("EXEC", exec));
        let survey = folders.survey(&ConfigSource::Default).unwrap();
        assert_eq!(survey.is_of_ca(host, *hostname), *lasting, "{text:?} {host}");
    }
}

#[test]
fn only_plain_names_are_hosts() {
    let folders = Folders::new();
    let text = "Host pve1 pve2 *.lan !bad \"nas2\" 'my nas'\n  HostName 10.0.0.1\nHost *\nhost=nas # the old one\n\
        HostName x\nMatch host z\nHost git@git.example.com büro nas+backup .host machine/.host pve1\nHost web?\n\
        UserKnownHostsFile \"~/.ssh/my keys\" /k\nGlobalKnownHostsFile none\n";
    folders.write("user/config", text);
    let survey = folders.survey(&ConfigSource::Default).unwrap();
    let names = ["pve1", "pve2", "nas2", "my nas", "nas", "git@git.example.com", "büro", "nas+backup"];
    assert_eq!(survey.hosts(), [&names[..], &[".host", "machine/.host"]].concat());
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let written = Written { user: vec![list(&["~/.ssh/my keys", "/k"])], global: vec![list(&["none"])] };
    assert_eq!(*survey.written(), written);
}
