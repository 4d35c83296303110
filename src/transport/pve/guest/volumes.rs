//! What a container mounts.

use super::{first, property};
use crate::model::migrate::Volume;
use crate::transport::pve::lenient::flag;

/// `local:201/vm-201-disk-0.raw,size=8G`, or a folder or device of the node: `/srv/data,mp=/data,shared=1`.
pub(super) fn volume(key: String, text: &str) -> Volume {
    let place = first(text, "volume").unwrap_or_default();
    let storage = place.split_once(':').filter(|_| !place.starts_with('/')).map(|(storage, _)| storage.to_owned());
    let shared = property(text, "shared").and_then(flag) == Some(true);
    Volume { key, storage, shared, size: property(text, "size").and_then(size) }
}

/// `8G`, `512M`
fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text.strip_prefix(digits)? {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_container_mounts() {
        for (text, storage, shared, bytes) in [
            ("local:201/vm-201-disk-0.raw,size=8G", Some("local"), false, Some(8 << 30)),
            ("tank:subvol-201-disk-1,mp=/data,size=512M", Some("tank"), false, Some(512 << 20)),
            ("volume=tank:subvol-201-disk-1,mp=/data,size=1T", Some("tank"), false, Some(1 << 40)),
            ("/srv/data,mp=/data", None, false, None),
            ("/srv/data:old,mp=/data,shared=1", None, true, None),
            ("/dev/sdb1,mp=/data,size=8X", None, false, None),
            ("", None, false, None),
        ] {
            let volume = volume("mp0".to_owned(), text);
            assert_eq!((volume.storage.as_deref(), volume.shared, volume.size), (storage, shared, bytes), "{text}");
        }
    }
}
