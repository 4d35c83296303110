//! Wake-on-LAN: the address of a network card, `SecureOn`'s password, and the magic packet of both.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::model::id::Secret;
use crate::model::text::quoted;

/// The MAC address of one network card: six bytes, not a group's, not null.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Mac([u8; 6]);

/// What is wrong with a text that should be a MAC address, as a fragment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct InvalidMac(String);

impl FromStr for Mac {
    type Err = InvalidMac;

    /// `aa:bb:cc:dd:ee:ff`, `AA-BB-CC-DD-EE-FF`, `aabb.ccdd.eeff` as switches write it, or `aabbccddeeff`.
    fn from_str(text: &str) -> Result<Mac, InvalidMac> {
        let shown = quoted(text);
        let Some(bytes) =
            octets(text).or_else(|| bare(text)).and_then(|bytes| <[u8; 6]>::try_from(bytes.as_slice()).ok())
        else {
            return Err(InvalidMac(format!("{shown} is not a valid MAC address: 6 bytes as aa:bb:cc:dd:ee:ff")));
        };
        let why = match bytes {
            [0, 0, 0, 0, 0, 0] => "the null address, no network card has it",
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => "the broadcast address, no network card has it",
            [first, ..] if first & 1 == 1 => "a multicast address, no network card has it (its first byte is odd)",
            _ => return Ok(Mac(bytes)),
        };
        Err(InvalidMac(format!("{shown} is {why}")))
    }
}

impl fmt::Display for Mac {
    /// Lower case, with colons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if index == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({self})")
    }
}

/// The bytes of twelve digits together, or in three groups of four between dots.
fn bare(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let groups: Vec<&str> = text.split('.').collect();
    let digits = match groups.as_slice() {
        [all] if all.len() == 12 => (*all).to_owned(),
        [a, b, c] if groups.iter().all(|group| group.len() == 4) => [*a, *b, *c].concat(),
        _ => return None,
    };
    let pair = |pair: &[u8]| {
        let digits = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u8::from_str_radix(digits, 16).ok()
    };
    digits.as_bytes().chunks(2).map(pair).collect::<Option<Vec<u8>>>().map(Zeroizing::new)
}

/// The bytes of a text that is all pairs of hexadecimal digits between one kind of separator.
fn octets(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let separator = if text.contains('-') { '-' } else { ':' };
    let octet = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        digits.then(|| u8::from_str_radix(part, 16).ok()).flatten()
    };
    text.split(separator).map(octet).collect::<Option<Vec<u8>>>().map(Zeroizing::new)
}

/// The password that a network card wants to see behind the magic packet: six bytes, or four.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecureOn(Secret);

/// What a `SecureOn` password must look like; what was given is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a valid SecureOn password: 6 bytes as 00:11:22:33:44:55, or 4 as 192.0.2.1")]
pub(crate) struct InvalidSecureOn;

impl FromStr for SecureOn {
    type Err = InvalidSecureOn;

    /// Six bytes as a MAC address is written, or four as an IPv4 address: the forms that ether-wake takes.
    fn from_str(text: &str) -> Result<SecureOn, InvalidSecureOn> {
        let password = SecureOn(Secret::new(text.to_owned()));
        if password.bytes().is_empty() { Err(InvalidSecureOn) } else { Ok(password) }
    }
}

impl SecureOn {
    /// What stands behind the packet.
    fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let text = self.0.expose();
        match text.parse::<std::net::Ipv4Addr>() {
            Ok(address) => Zeroizing::new(address.octets().to_vec()),
            Err(_) => octets(text).filter(|bytes| bytes.len() == 6).unwrap_or_default(),
        }
    }
}

/// The magic packet: six times 0xff, sixteen times the address, then the password; 102, 106 or 108 bytes. It holds a
/// secret where there is a password.
pub(crate) fn magic_packet(mac: Mac, secure_on: Option<&SecureOn>) -> Zeroizing<Vec<u8>> {
    // Room for all of it: what grows leaves copies behind.
    let mut packet = Vec::with_capacity(108);
    packet.extend_from_slice(&[0xff; 6]);
    for _ in 0..16 {
        packet.extend_from_slice(&mac.0);
    }
    if let Some(password) = secure_on {
        packet.extend_from_slice(&password.bytes());
    }
    Zeroizing::new(packet)
}

#[cfg(test)]
mod tests;
