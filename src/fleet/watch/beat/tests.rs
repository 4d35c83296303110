use super::*;

#[test]
fn a_look_is_on_the_grid_and_sooner_after_a_failure() {
    let first = Instant::now();
    let mut beat = Beat::new(first, Duration::from_secs(10));
    assert_eq!(beat.next(), first);
    // When a look ends, how, and when the next one is.
    for (at, ended, next) in [
        (1, Ended::Well, 10),
        (12, Ended::Well, 20),
        // It took longer than the interval: nothing is made up for.
        (47, Ended::Well, 50),
        (50, Ended::Well, 60),
        (61, Ended::Failed, 62),
        (62, Ended::Failed, 64),
        (64, Ended::Failed, 68),
        (68, Ended::Failed, 70),
        (71, Ended::Failed, 80),
        (82, Ended::Failed, 90),
        (91, Ended::Well, 100),
        (101, Ended::Failed, 102),
        (102, Ended::Well, 110),
    ] {
        beat.ended(first + Duration::from_secs(at), ended);
        assert_eq!(beat.next(), first + Duration::from_secs(next), "{at}");
    }
}

#[test]
fn failures_are_no_reason_to_look_oftener_than_configured() {
    let first = Instant::now();
    let mut beat = Beat::new(first, Duration::from_millis(100));
    beat.ended(first + Duration::from_millis(130), Ended::Failed);
    assert_eq!(beat.next(), first + Duration::from_millis(200));
}

#[test]
fn who_is_refused_knocks_more_and_more_rarely() {
    let first = Instant::now();
    let waits = |interval, count| {
        let mut beat = Beat::new(first, Duration::from_secs(interval));
        let mut wait = || {
            let before = beat.next();
            beat.ended(before, Ended::Refused);
            (beat.next() - before).as_secs()
        };
        (0..count).map(|_| wait()).collect::<Vec<_>>()
    };
    assert_eq!(waits(30, 6), [30, 60, 120, 240, 300, 300]);
    assert_eq!(waits(400, 3), [400, 400, 400]);
    let mut beat = Beat::new(first, Duration::from_secs(30));
    for (at, ended, next) in
        [(1, Ended::Refused, 30), (31, Ended::Refused, 90), (91, Ended::Well, 120), (121, Ended::Refused, 150)]
    {
        beat.ended(first + Duration::from_secs(at), ended);
        assert_eq!(beat.next(), first + Duration::from_secs(next), "{at}");
    }
}

#[test]
fn many_begin_one_after_the_other_and_stay_apart() {
    let first = Instant::now();
    let millis = |beat: &Beat| (beat.next() - first).as_millis();
    let begin =
        |interval, place| Beat::new(first, Duration::from_millis(interval)).late(Duration::from_millis(200), place, 20);
    let all: Vec<_> = (0..20).map(|place| millis(&begin(30_000, place))).collect();
    assert_eq!(all, (0..20).map(|place| place * 10).collect::<Vec<_>>());
    assert_eq!(millis(&begin(100, 19)), 95);
    // All were held up, as by a machine that slept.
    let mut late = begin(30_000, 3);
    late.ended(first + Duration::from_secs(100), Ended::Well);
    assert_eq!(millis(&late), 120_030);
}
