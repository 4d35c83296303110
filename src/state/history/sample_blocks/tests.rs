use super::*;

#[test]
fn counts_of_all_lengths_come_back() {
    for count in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 1 << 40, i64::MAX.unsigned_abs(), u64::MAX] {
        let mut body = Vec::new();
        write_count(&mut body, count);
        let mut rest = body.as_slice();
        assert_eq!((read_count(&mut rest), rest), (Some(count), &[][..]));
        for end in 0..body.len() {
            assert_eq!(read_count(&mut &body[..end]), None, "{count}");
        }
    }
    assert_eq!(read_count(&mut &[0xff; 11][..]), None);
}

#[test]
fn each_source_has_a_code_of_its_own() {
    for one in Source::ALL {
        assert!(code(one) < 16);
        assert_eq!(source(code(one)), one);
    }
    assert_eq!(source(15), Source::Cache);
}

#[test]
fn a_sample_that_is_cut_is_none() {
    let usage = Usage { cpu_percent: Some(1.5), uptime_seconds: Some(Count::new(300)), ..Usage::default() };
    let sample = Sample { source: Source::Local, usage, pressure: Pressure::default(), watts: None };
    let mut body = Vec::new();
    write(&mut body, (7 << 32) | 0x1f, &sample);
    assert_eq!(body.len(), 1 + 2 + 4 + 2);
    assert_eq!(read_one(&mut body.as_slice()), Some((15, sample)));
    for end in 0..body.len() {
        assert_eq!(read_one(&mut &body[..end]), None);
    }
}

#[test]
fn watts_come_back_with_who_says_so_and_between_what() {
    let all = WattsBy::ALL.map(|by| Watts::measured(by, 23.5));
    for watts in all.into_iter().chain([Watts::modelled(40.0, 120.0, 50.0), Watts::asleep(3.0)]) {
        let usage = Usage { uptime_seconds: Some(Count::new(300)), ..Usage::default() };
        let sample = Sample { source: Source::Ssh, usage, pressure: Pressure::default(), watts: Some(watts) };
        let mut body = Vec::new();
        write(&mut body, 5, &sample);
        let mut rest = body.as_slice();
        assert_eq!((read_one(&mut rest), rest), (Some((5, sample)), &[][..]));
        for end in 0..body.len() {
            assert_eq!(read_one(&mut &body[..end]), None);
        }
        // Of a later version.
        let at = body.len() - if watts.by == WattsBy::Model { 13 } else { 5 };
        body[at] = 99;
        body.truncate(at + 5);
        assert_eq!(read_one(&mut body.as_slice()), Some((5, Sample { watts: None, ..sample })));
    }
}
