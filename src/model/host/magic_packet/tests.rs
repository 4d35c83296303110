use super::*;

const MAC: &str = "d0:50:99:0a:0b:0c";
const BYTES: [u8; 6] = [0xd0, 0x50, 0x99, 0x0a, 0x0b, 0x0c];

#[test]
fn addresses_are_of_one_card() {
    for (text, want) in [
        ("aa:bb:cc:dd:ee:0f", Ok("aa:bb:cc:dd:ee:0f")),
        ("AA-BB-CC-DD-EE-0F", Ok("aa:bb:cc:dd:ee:0f")),
        ("02:00:00:00:00:00", Ok("02:00:00:00:00:00")),
        ("", Err("is not a valid MAC address")),
        ("aa:bb:cc:dd:ee", Err("is not a valid MAC address")),
        ("aa:bb:cc:dd:ee:ff:00", Err("is not a valid MAC address")),
        ("aa:bb:cc:dd:ee:fg", Err("`aa:bb:cc:dd:ee:fg` is not a valid MAC address: 6 bytes as aa:bb:cc:dd:ee:ff")),
        ("aa:bb:cc:dd:ee:f", Err("is not a valid MAC address")),
        ("aa-bb:cc-dd:ee-ff", Err("is not a valid MAC address")),
        ("aabb.ccdd.ee0f", Ok("aa:bb:cc:dd:ee:0f")),
        ("AABBCCDDEE0F", Ok("aa:bb:cc:dd:ee:0f")),
        ("aabbccddee0", Err("is not a valid MAC address")),
        ("aabbccddee0g", Err("is not a valid MAC address")),
        ("aab.bccdd.ee0f", Err("is not a valid MAC address")),
        ("aabb.ccdd.ee0f.", Err("is not a valid MAC address")),
        ("aabb.ccdd", Err("is not a valid MAC address")),
        ("äabbccddee0", Err("is not a valid MAC address")),
        (" aa:bb:cc:dd:ee:ff", Err("is not a valid MAC address")),
        ("+a:bb:cc:dd:ee:ff", Err("is not a valid MAC address")),
        ("00:00:00:00:00:00", Err("null address")),
        ("ff:ff:ff:ff:ff:ff", Err("broadcast address")),
        ("01:00:5e:00:00:01", Err("multicast address")),
        ("33:33:00:00:00:01", Err("multicast address")),
    ] {
        match (text.parse::<Mac>(), want) {
            (Ok(mac), Ok(want)) => assert_eq!(mac.to_string(), want),
            (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{text}: {error}"),
            (got, _) => panic!("{text}: {got:?}"),
        }
    }
}

#[test]
fn the_packet_is_right_to_the_byte() {
    let body = [[0xff; 6].as_slice(), &BYTES.repeat(16)].concat();
    for (password, tail) in [
        (None, &[][..]),
        (Some("00:11:22:33:44:5f"), &[0x00, 0x11, 0x22, 0x33, 0x44, 0x5f]),
        (Some("00-11-22-33-44-5F"), &[0x00, 0x11, 0x22, 0x33, 0x44, 0x5f]),
        // A password is no address: it may be anything.
        (Some("ff:ff:ff:ff:ff:ff"), &[0xff; 6]),
        (Some("192.0.2.1"), &[192, 0, 2, 1]),
    ] {
        let password = password.map(|text| text.parse::<SecureOn>().unwrap());
        let packet = magic_packet(MAC.parse().unwrap(), password.as_ref());
        assert_eq!(packet.as_slice(), [body.as_slice(), tail].concat(), "{tail:?}");
        assert_eq!(packet.len(), 102 + tail.len());
    }
}

#[test]
fn a_password_is_not_repeated() {
    for text in ["c0ffee", "", "c0:ff:ee:00:11", "c0:ff:ee:00:11:22:33", "1.2.3", "1.2.3.256", "c0-ff:ee-00:11-22"] {
        let error = text.parse::<SecureOn>().unwrap_err();
        assert!(text.is_empty() || !error.to_string().contains(text), "{error}");
    }
    let password: SecureOn = "c0:ff:ee:00:11:22".parse().unwrap();
    assert!(!format!("{password:?}").contains("ff"), "{password:?}");
}
