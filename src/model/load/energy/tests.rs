use proptest::prelude::*;

use super::*;
use crate::model::power::PowerState;

#[test]
fn what_meters_print() {
    let ipmi = "\n    Instantaneous power reading:                   137 Watts\n    Minimum during sampling period:                 11 \
        Watts\n    IPMI timestamp:                           Thu Nov 26 10:11:12 2026\n    Sampling period:                          \
        00000001 Seconds.\n    Power reading state is:                   activated\n\n\n";
    for (text, want) in [
        ("137", Ok(137.0)),
        (" 85.5\n", Ok(85.5)),
        ("85.5 W", Ok(85.5)),
        ("137 Watts\n", Ok(137.0)),
        ("0.137kW", Ok(137.0)),
        ("4200 mW", Ok(4.2)),
        ("1.2e2", Ok(120.0)),
        ("-3", Ok(-3.0)),
        ("0", Ok(0.0)),
        (ipmi, Ok(137.0)),
        (&ipmi.replace("137", "0"), Err("its BMC has no power sensor")),
        (&ipmi.replace(" activated", " deactivated"), Err("its power reading is `deactivated`")),
        (" \n", Err("it printed nothing")),
        ("NaN", Err("it printed `NaN`, which is not a number of watts")),
        ("inf", Err("it printed `inf`, which is not a number of watts")),
        ("1e400", Err("it printed `1e400`, which is not a number of watts")),
        ("85,5", Err("it printed `85,5`, which is not a number of watts")),
        ("85.5 VA", Err("it printed `85.5 VA`, which is not a number of watts")),
        ("unavailable", Err("it printed `unavailable`, which is not a number of watts")),
        ("null", Err("it printed `null`, which is not a number of watts")),
        ("\u{1b}[2J85", Err("it printed `\\u{1b}[2J85`, which is not a number of watts")),
        ("85\n86\n", Err("it printed more than a number: `85\\u{a}86`")),
    ] {
        assert_eq!(parse_meter(text), want.map_err(str::to_owned), "{text:?}");
    }
}

#[test]
fn what_no_server_draws_is_not_believed() {
    for (watts, max, is_up, want) in [
        (85.0, None, true, None),
        (5000.0, None, true, None),
        (10_000.0, None, true, Some("10000 W is more than 5000 W, the most that is believed without `max_watts`")),
        (10_000.0, Some(8000.0), true, None),
        (180.0, Some(120.0), true, None),
        (181.0, Some(120.0), true, Some("181 W is more than one and a half times its `max_watts` of 120")),
        (-0.5, None, true, Some("-0.5 W is negative")),
        (0.0, None, true, Some("it says 0 W while the server is up")),
        // A plug does not see what little a server draws that is off.
        (0.0, None, false, None),
        (-0.5, None, false, Some("-0.5 W is negative")),
    ] {
        let got = in_bounds(watts, max, is_up);
        assert_eq!(got, want.map_or(Ok(watts), |why| Err(why.to_owned())), "{watts} {max:?} {is_up}");
    }
}

#[test]
fn the_model_is_a_line_with_a_range() {
    let watts = |cpu| {
        let Watts { likely: watts, least, most, .. } = Watts::modelled(40.0, 120.0, cpu);
        [watts, least, most.unwrap()]
    };
    // 15 percent of the 80 W between idle and busy are 12 W; never less than idle, never more than busy.
    for (cpu, want) in [
        (0.0, [40.0, 40.0, 52.0]),
        (50.0, [80.0, 68.0, 92.0]),
        (100.0, [120.0, 108.0, 120.0]),
        (250.0, [120.0, 108.0, 120.0]),
    ] {
        assert!(watts(cpu).iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-4), "{cpu}: {:?}", watts(cpu));
    }
    let none = Watts::modelled(40.0, 40.0, 70.0);
    assert_eq!((none.likely, none.least, none.most), (40.0, 40.0, Some(40.0)));
}

#[test]
fn the_best_source_counts() {
    use PowerState::{Asleep, Offline, Online, Unknown};
    let all = EnergySettings {
        power_command: Some(vec!["meter".to_owned()]),
        idle_watts: Some(40.0),
        max_watts: Some(120.0),
        sleep_watts: Some(3.0),
    };
    let bare = EnergySettings::default();
    let half = EnergySettings { max_watts: Some(120.0), ..bare.clone() };
    let lines = EnergySettings { idle_watts: Some(40.0), ..half.clone() };
    let given = Given {
        meter: Some(Ok(70.0)),
        sensors: Some(65.0),
        rapl: Some((20.0, WattsBy::Package)),
        silence: None,
        cpu_percent: Some(25.0),
        over: Some(300.0),
    };
    let said = |settings: &EnergySettings, state, given: &Given<'_>| match choose(settings, state, given) {
        Ok(MeasuredWatts { watts, over, note }) => {
            let said = note.map(|note| format!(" ({note})")).unwrap_or_default();
            format!("{} by {} over {over:?}{said}", watts.likely, watts.by.as_str())
        }
        Err(why) => why.unwrap_or_default(),
    };
    let bad = || Given { meter: Some(Err("it printed nothing".to_owned())), ..given.clone() };
    let without_meter = || Given { meter: None, ..given.clone() };
    let counters = || Given { sensors: None, ..without_meter() };
    let alone = || Given { rapl: None, ..counters() };
    for (settings, state, given, want) in [
        (&all, Online, given.clone(), "70 by meter over None"),
        (&all, Online, bad(), "65 by sensors over None (`power_command`: it printed nothing)"),
        (
            &all,
            Online,
            Given { meter: Some(Ok(9000.0)), ..alone() },
            "60 by model over Some(300.0) (`power_command`: 9000 W is more than one and a half times its `max_watts` of 120)",
        ),
        (&bare, Online, without_meter(), "65 by sensors over None"),
        (&bare, Online, counters(), "20 by rapl-package over Some(300.0)"),
        (
            &bare,
            Online,
            Given { sensors: Some(0.0), ..counters() },
            "20 by rapl-package over Some(300.0) (its power meter: it says 0 W while the server is up)",
        ),
        (&all, Online, alone(), "60 by model over Some(300.0)"),
        (&all, Online, Given { cpu_percent: None, ..alone() }, "how busy its CPUs are is unknown"),
        (&bare, Online, alone(), ""),
        (&bare, Online, Given { silence: Some("only root may read it"), ..alone() }, "only root may read it"),
        // What a host measured itself is not of the time when it sleeps. A meter is awake.
        (&all, Asleep, given.clone(), "70 by meter over None"),
        (&all, Asleep, Given { meter: Some(Ok(0.0)), ..given.clone() }, "0 by meter over None"),
        (&all, Asleep, bad(), "3 by model over None (`power_command`: it printed nothing)"),
        (&bare, Asleep, alone(), ""),
        (&lines, Asleep, alone(), "it is asleep, and neither `power_command` nor `sleep_watts` is configured"),
        (&half, Online, alone(), "a model needs `idle_watts` and `max_watts`"),
        (&all, Offline, alone(), "it is offline"),
        (&all, Offline, given.clone(), "70 by meter over None"),
        (&all, Unknown, alone(), "its state is unknown"),
    ] {
        assert_eq!(said(settings, state, &given), want);
    }
    for (by, most) in [(WattsBy::Meter, Some(5.0)), (WattsBy::Package, None), (WattsBy::Platform, None)] {
        assert_eq!(Watts::measured(by, 5.0).most, most);
        assert_eq!(WattsBy::parse(by.as_str()), Some(by));
    }
}

proptest! {
    #[test]
    fn no_text_makes_nonsense(text in "[0-9 .eE+-]{0,12}( ?(W|kW|mW|Watts|VA))?|\\PC{0,40}") {
        if let Ok(watts) = parse_meter(&text) {
            prop_assert!(watts.is_finite());
            if let Ok(watts) = in_bounds(watts, None, true) {
                prop_assert!(watts > 0.0 && watts <= 5000.0);
            }
        }
    }

    #[test]
    fn a_model_stays_within_what_is_configured(idle in 0.0..500.0f64, more in 0.0..500.0f64, cpu in -10.0..200.0f32) {
        let Watts { likely: watts, least, most, .. } = Watts::modelled(idle, idle + more, cpu);
        let most = most.unwrap();
        prop_assert!(least <= watts && watts <= most);
        prop_assert!(f64::from(least) >= idle - 1e-3 && f64::from(most) <= idle + more + 1e-3);
    }
}
