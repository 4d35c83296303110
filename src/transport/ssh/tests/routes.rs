//! From configuration to hops.

use super::*;
use crate::transport::ssh::route::{Hop, Via, jump_hosts};

fn host(name: &str) -> SshHost {
    SshHost {
        label: format!("{name}-id"),
        host: name.to_owned(),
        port: None,
        user: Some("root".to_owned()),
        key_path: None,
        proxy_jump: None,
    }
}

async fn resolve(host: &SshHost, configured: &[(&str, SshConfig)]) -> Result<Vec<Hop>, String> {
    let configured = configured.iter().map(|(name, config)| ((*name).to_owned(), config.clone())).collect();
    let route = Route::resolve(host, &Configured(configured), Path::new("/home/me"), LONG).await;
    route.map(|route| route.hops().to_vec()).map_err(|e| e.to_string())
}

fn jump(spec: &str) -> SshConfig {
    SshConfig { proxy_jump: Some(spec.to_owned()), ..SshConfig::default() }
}

#[tokio::test]
async fn without_a_configuration_the_usual_holds() {
    let hop = resolve(&host("Box"), &[]).await.unwrap().remove(0);
    assert_eq!((hop.host.as_str(), hop.port, hop.user.as_str(), &hop.via), ("Box", 22, "root", &Via::Tcp));
    assert_eq!(hop.peer(), "Box-id (Box:22)");
    assert_eq!(hop.names.recorded, "box");
    let names: Vec<_> = hop.known_hosts().iter().map(|path| path.display().to_string()).collect();
    assert_eq!(
        names,
        [
            "/home/me/.ssh/known_hosts",
            "/home/me/.ssh/known_hosts2",
            "/etc/ssh/ssh_known_hosts",
            "/etc/ssh/ssh_known_hosts2"
        ]
    );
    assert_eq!(hop.identities[0].path, Path::new("/home/me/.ssh/id_ed25519"));
    assert!(hop.identities.iter().all(|identity| !identity.named));
    // The configured key alone, without the usual ones.
    let with_key = SshHost { key_path: Some("/k".into()), ..host("box") };
    let hop = resolve(&with_key, &[]).await.unwrap().remove(0);
    assert_eq!(hop.identities.iter().map(|i| (i.path.to_str().unwrap(), i.named)).collect::<Vec<_>>(), [("/k", true)]);
    let nobody = SshHost { user: None, ..host("box") };
    assert!(!resolve(&nobody, &[]).await.unwrap()[0].user.is_empty());
}

#[tokio::test]
async fn what_ssh_config_says_is_expanded() {
    let config = SshConfig {
        hostname: Some("10.0.0.5".to_owned()),
        user: Some("admin".to_owned()),
        port: Some(2200),
        identity_files: ["~/.ssh/%h-%r-%p", "%d/x%%", "/abs/%n"].map(str::to_owned).to_vec(),
        certificate_files: vec!["~/c".to_owned()],
        identity_agent: Some("~/agent.sock".to_owned()),
        identities_only: true,
        proxy_command: Some("nc -X 5 %h %p; echo %r %n %k %%".to_owned()),
        user_known_hosts: Some("~/known.%k".to_owned()),
        global_known_hosts: Some("none".to_owned()),
        host_key_alias: Some("Alias".to_owned()),
        hash_known_hosts: true,
        ..SshConfig::default()
    };
    let mine = SshHost { user: None, key_path: Some("/mine".into()), ..host("box") };
    let hop = resolve(&mine, &[("box", config.clone())]).await.unwrap().remove(0);
    let paths: Vec<_> = hop.identities.iter().map(|identity| identity.path.to_str().unwrap()).collect();
    assert_eq!(paths, ["/mine", "/home/me/.ssh/10.0.0.5-admin-2200", "/home/me/x%", "/abs/box"]);
    assert_eq!(hop.certificates, [Path::new("/home/me/c")]);
    assert_eq!(hop.agent.as_deref(), Some(Path::new("/home/me/agent.sock")));
    assert_eq!(hop.via, Via::Command("nc -X 5 10.0.0.5 2200; echo admin box Alias %".to_owned()));
    assert_eq!(hop.known_hosts(), [Path::new("/home/me/known.%k")], "ssh has expanded its tokens");
    assert_eq!((hop.names.recorded.as_str(), hop.names.without_port.as_deref()), ("Alias", None));
    assert!(hop.identities_only && hop.hash_known_hosts && !hop.strict);
    // What ecobox's own configuration says wins.
    let mine = SshHost { port: Some(5), user: Some("me".to_owned()), ..host("box") };
    let hop = resolve(&mine, &[("box", config)]).await.unwrap().remove(0);
    assert_eq!((hop.port, hop.user.as_str()), (5, "me"));
}

#[tokio::test]
async fn jump_hosts_come_in_the_order_of_openssh() {
    let hosts =
        |hops: Vec<Hop>| hops.iter().map(|hop| format!("{}@{}:{}", hop.user, hop.host, hop.port)).collect::<Vec<_>>();
    let named = |name: &str| SshConfig {
        hostname: Some(format!("{name}.real")),
        user: Some("u".to_owned()),
        ..SshConfig::default()
    };
    let via = |name: &str, spec: &str| SshConfig { proxy_jump: Some(spec.to_owned()), ..named(name) };
    // Through a, then b; a has a jump host of its own, b's is not used.
    let configured = [("box", via("box", "a,x@b:2")), ("a", via("a", "c")), ("b", via("b", "d")), ("c", named("c"))];
    let hops = resolve(&host("box"), &configured).await.unwrap();
    assert_eq!(hosts(hops), ["u@c.real:22", "u@a.real:22", "x@b.real:2", "root@box.real:22"]);
    // ecobox's own proxy_jump replaces ssh_config's, and its ProxyCommand.
    let command = SshConfig { proxy_command: Some("nc".to_owned()), ..named("box") };
    for (spec, want) in [("c", 2), ("none", 1)] {
        let own = SshHost { proxy_jump: Some(spec.to_owned()), ..host("box") };
        let hops = resolve(&own, &[("box", command.clone()), ("c", named("c"))]).await.unwrap();
        assert_eq!(hops.len(), want, "{spec}");
        assert!(hops.iter().all(|hop| hop.via == Via::Tcp), "{spec}");
    }
    let circle = resolve(&host("box"), &[("box", jump("a")), ("a", jump("box"))]).await.unwrap_err();
    assert_eq!(circle, "box: its jump hosts lead in a circle");
}

#[tokio::test]
async fn names_that_a_shell_or_ssh_would_misread_are_refused() {
    for name in ["-oProxyCommand=x", "a b", "a;b", "$(x)", "", "a\nb", "a'b"] {
        assert!(resolve(&host(name), &[]).await.unwrap_err().contains("is not a valid host name"), "{name}");
    }
    for user in ["-l", "a -b", "a;b", "$(x)", "", "a\n", "a\\"] {
        let bad = SshHost { user: Some(user.to_owned()), ..host("box") };
        assert!(resolve(&bad, &[]).await.unwrap_err().contains("is not a valid user name"), "{user}");
    }
    for user in ["root", "_x", "svc$", "a.b-c_d9", "me@corp.example", "CORP\\me", "me:target"] {
        let good = SshHost { user: Some(user.to_owned()), ..host("fe80::1") };
        assert!(resolve(&good, &[]).await.is_ok(), "{user}");
    }
    for (command, want) in [("nc %x", "%x is not understood"), ("nc %", "it ends with a %")] {
        let config = SshConfig { proxy_command: Some(command.to_owned()), ..SshConfig::default() };
        assert!(resolve(&host("box"), &[("*", config)]).await.unwrap_err().ends_with(want));
    }
    for file in ["${ECOBOX_NOT_SET}/x", "${x", "%C"] {
        let config = SshConfig { identity_files: vec![file.to_owned()], ..SshConfig::default() };
        assert!(resolve(&host("box"), &[("*", config)]).await.is_err(), "{file}");
    }
}

/// User, host, port.
type Jump = (Option<&'static str>, &'static str, Option<u16>);

#[test]
fn jump_specs_are_read_as_openssh_reads_them() {
    let cases: &[(&str, Option<&[Jump]>)] = &[
        ("", Some(&[])),
        ("none", Some(&[])),
        ("h", Some(&[(None, "h", None)])),
        ("u@h:22", Some(&[(Some("u"), "h", Some(22))])),
        ("ssh://u@h:22/", Some(&[(Some("u"), "h", Some(22))])),
        ("[fe80::1]:22, u@[fe80::2]", Some(&[(None, "fe80::1", Some(22)), (Some("u"), "fe80::2", None)])),
        ("fe80::1", Some(&[(None, "fe80::1", None)])),
        ("h:", None),
        ("h:0", None),
        ("h:65536", None),
        ("h:x", None),
        ("[h", None),
        ("[h]x", None),
        ("me@corp.example@h", Some(&[(Some("me@corp.example"), "h", None)])),
        ("me:box@h:22", Some(&[(Some("me:box"), "h", Some(22))])),
        ("CORP\\me@h", Some(&[(Some("CORP\\me"), "h", None)])),
        ("ssh://me%40corp.example@h:22", Some(&[(Some("me@corp.example"), "h", Some(22))])),
        ("ssh://me;x=y@h", Some(&[(Some("me"), "h", None)])),
        ("ssh://me%4@h", None),
        ("[fe80::7%eth0]:22", Some(&[(None, "fe80::7%eth0", Some(22))])),
        ("büro", Some(&[(None, "büro", None)])),
        ("@h", None),
        ("u@", None),
        ("a,,b", None),
        ("-h", None),
        ("h;x", None),
    ];
    for (spec, want) in cases {
        let got = jump_hosts(spec).ok();
        let got = got.as_ref().map(|hosts| {
            hosts.iter().map(|host| (host.user.as_deref(), host.host.as_str(), host.port)).collect::<Vec<_>>()
        });
        assert_eq!(got.as_deref(), *want, "{spec}");
    }
}
