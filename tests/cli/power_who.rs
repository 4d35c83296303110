//! Whom a power call is for: another guest under a known number, and the guest that ecobox runs in.

use ecobox_sim::{Guest, Kind};

use super::env::skipped;
use super::power::{call, guests, lab, lab_of};

#[test]
fn another_guest_under_a_known_number() {
    for (kind, name, uuid) in [(Kind::Qemu, "off", "1"), (Kind::Qemu, "other", "2")] {
        let lab = lab();
        let _ = lab.power("start vm-102").exits(0);
        let _ = lab.power("stop vm-102 --yes").exits(0);
        let uuid = format!("99999999-0000-4000-8000-00000000000{uuid}");
        lab.sim.cluster().replace_guest(102, kind, name, |guest| guest.uuid(&uuid));
        lab.sim.clear_requests();
        let run = lab.power("start vm-102").exits(6).says("another guest has its number now: on 20");
        assert_eq!(lab.sim.posts(), [""; 0], "{run}");
        let _ = lab.power("start vm-102 --dry-run").exits(6);
        let _ = lab.power("start vm-102 --yes --allow self").exits(6);
        let _ = lab.power("start vm-102 --allow identity-changed").exits(0);
        // Now it is known.
        let _ = lab.power("stop vm-102 --yes").exits(0);
        assert_eq!(lab.sim.posts(), [call(102, "start"), call(102, "stop")]);
    }
}

#[test]
fn a_guest_without_an_smbios_uuid_is_known_by_its_address() {
    let without = |guest: Guest, mac: &str| guest.config("smbios1", "manufacturer=x").mac(mac);
    let (one, two) = ("bc:24:11:00:00:01", "bc:24:11:00:00:02");
    let first: [fn(Guest) -> Guest; 2] =
        [|guest| guest, |guest| guest.config("smbios1", "manufacturer=x").mac("bc:24:11:00:00:01")];
    for describe in first {
        let mut cluster = guests();
        cluster.change_guest(102, describe);
        let lab = lab_of(cluster);
        let _ = lab.power("start vm-102").exits(0);
        let _ = lab.power("stop vm-102 --yes").exits(0);
        lab.sim.clear_requests();
        lab.sim.cluster().replace_guest(102, Kind::Qemu, "off", |guest| without(guest, two));
        let run = lab.power("start vm-102").exits(6).says("another guest has its number now: on 20").says(two);
        lab.sim.cluster().replace_guest(102, Kind::Qemu, "off", |guest| without(guest, one).config("net0", "bridge=x"));
        let again = lab.power("start vm-102").exits(6).says("now it is without SMBIOS UUID and address");
        assert_eq!(lab.sim.posts(), [""; 0], "{run}{again}");
        let _ = lab.power("start vm-102 --allow identity-changed").exits(0);
    }
}

/// A hardware address of this machine, if it has one.
pub(crate) fn own_mac() -> Option<String> {
    let macs = std::fs::read_dir("/sys/class/net").ok()?.filter_map(Result::ok).filter_map(|entry| {
        let mac = std::fs::read_to_string(entry.path().join("address")).ok()?.trim().to_owned();
        // Bridges and pairs of namespaces are left out by ecobox.
        (entry.path().join("device").exists() && mac.len() == 17 && mac != "00:00:00:00:00:00").then_some(mac)
    });
    macs.min()
}

#[test]
fn the_guest_that_ecobox_runs_in() {
    let Some(mac) = own_mac() else {
        skipped("this machine has no network card");
        return;
    };
    let mut cluster = guests();
    cluster.change_guest(101, |vm| vm.mac(&mac));
    let lab = lab_of(cluster);
    let run = lab.power("stop vm-101 --yes").exits(11).says("ecobox itself runs in it").says("--allow self");
    assert_eq!(lab.sim.posts(), [""; 0], "{run}");
    let _ = lab.power("start vm-101").exits(0);
    let _ = lab.power("stop vm-101 --yes --allow self").exits(0);
    assert_eq!(lab.sim.posts(), [call(101, "stop")]);
}
