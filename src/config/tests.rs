use super::*;

#[test]
fn the_example_of_ecobox_server_loads_as_it_stands() {
    let text = r#"[dashboard]
vm_discovery_interval = 300  # seconds

[[servers]]
id = "proxmox-host"
name = "Proxmox Host"
hostname = "proxmox.example.com"
mac_address = "aa:bb:cc:dd:ee:ff"
ssh_user = "root"
ssh_port = 22
ssh_key_path = "/path/to/ssh/key"

[[servers.services]]
name = "Proxmox Web UI"
port = 8006
type = "https"
"#;
    let config = Config::parse(text, Path::new("/etc/x/config.toml")).unwrap();
    assert_eq!(config.settings, Settings::default());
    assert!(config.ignored.is_empty());
    let [server] = config.servers.as_slice() else { panic!("{config:?}") };
    assert_eq!((server.id.as_str(), server.name.as_str()), ("proxmox-host", "Proxmox Host"));
    assert_eq!((server.hostname.as_str(), server.access), ("proxmox.example.com", Access::Ssh));
    assert_eq!(server.ssh_key_path.as_deref(), Some(Path::new("/path/to/ssh/key")));
    assert_eq!((server.ssh_port, server.api_port()), (Some(22), 8006));
    assert_eq!(server.services[0].port, 8006);
}
