//! What a host has that arms its network cards at boot.

use super::tree::Tree;
use super::{Nic, NicKind};

/// What Debian ships: every card gets this file unless another comes first.
const DEFAULT_LINK: &str = "# SPDX-License-Identifier: MIT-0\n[Match]\nOriginalName=*\n\n[Link]\nNamePolicy=keep kernel \
    database onboard slot path\nAlternativeNamesPolicy=database onboard slot path mac\nMACAddressPolicy=persistent\n";

/// Writes systemd's files for the cards: one that is armed has a file of its own that says so.
pub(super) fn write_links(tree: &Tree, nics: &[Nic]) {
    tree.write("usr/lib/systemd/network/99-default.link", DEFAULT_LINK);
    for nic in nics.iter().filter(|nic| nic.kind == NicKind::Physical) {
        let mut link = "/usr/lib/systemd/network/99-default.link".to_owned();
        if nic.wol.as_ref().is_some_and(|(_, armed)| armed.contains('g')) {
            link = format!("/etc/systemd/network/50-{}.link", nic.name);
            let mac = nic.permanent_mac.as_ref().unwrap_or(&nic.mac);
            let text = format!("[Match]\nMACAddress={mac}\n\n[Link]\nNamePolicy=keep kernel\nWakeOnLan=magic\n");
            tree.write(link.trim_start_matches('/'), &text);
        }
        tree.write(&format!(".sim/udev/{}", nic.name), &format!("ID_NET_DRIVER=igc\nID_NET_LINK_FILE={link}\n"));
    }
}
