//! What the log of a migration says, for display only: how far it is, how it went, and what went wrong.

/// How far it is, by the newest line that says so: `memory 30 %, 110.0 MiB/s`, `scsi0 15 %`.
pub(crate) fn progress<S: AsRef<str>>(lines: &[S]) -> Option<String> {
    lines.iter().rev().find_map(|line| step_of(text_of(line.as_ref())))
}

/// How it went: `downtime 57 ms, 113.0 MiB/s`.
pub(crate) fn summary<S: AsRef<str>>(lines: &[S]) -> Option<String> {
    lines.iter().rev().find_map(|line| {
        let rest = text_of(line.as_ref()).strip_prefix("average migration speed: ")?;
        let (speed, downtime) = rest.split_once(" - downtime ")?;
        Some(format!("downtime {}, {}", downtime.trim(), speed.trim()))
    })
}

/// What went wrong, in the first words that say so.
pub(crate) fn problem<S: AsRef<str>>(lines: &[S]) -> Option<String> {
    let errors = lines.iter().filter_map(|line| text_of(line.as_ref()).strip_prefix("ERROR: "));
    let mut errors = errors.map(|error| {
        let is_end = error.starts_with("migration aborted") || error.starts_with("migration finished with problems");
        match error.split_once("): ").filter(|_| is_end) {
            Some((_, why)) => why.trim().to_owned(),
            None if is_end => String::new(),
            None => error.trim().to_owned(),
        }
    });
    errors.find(|error| !error.is_empty())
}

/// A line without the time before it.
fn text_of(line: &str) -> &str {
    let is_time = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || b"-: ".contains(&byte));
    match line.get(..20) {
        Some(time) if is_time(time) => line.get(20..).unwrap_or_default(),
        _ => line,
    }
}

fn step_of(text: &str) -> Option<String> {
    if let Some(rest) = text.strip_prefix("migration active, transferred ") {
        let (done, rest) = rest.split_once(" of ")?;
        let (all, rest) = rest.split_once(" VM-state")?;
        let part = size(done)? * 100.0 / size(all).filter(|all| *all > 0.0)?;
        let rate = rest.strip_prefix(", ").and_then(|rest| rest.split(',').next()).filter(|rate| !rate.is_empty());
        let rate = rate.map(|rate| format!(", {}", rate.trim())).unwrap_or_default();
        // What changes meanwhile is transferred again.
        return Some(format!("memory {:.0} %{rate}", part.min(100.0)));
    }
    let rest = text.strip_prefix("drive-").or_else(|| text.strip_prefix("mirror-"))?;
    let (drive, rest) = rest.split_once(": transferred ")?;
    let (_, percent) = rest.split_once('(')?;
    let (percent, _) = percent.split_once("%)")?;
    Some(format!("{drive} {:.0} %", percent.parse::<f64>().ok()?))
}

/// `1.2 GiB` in MiB.
fn size(text: &str) -> Option<f64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let number: f64 = number.parse().ok()?;
    let factor = match unit {
        "B" => 1.0 / (1024.0 * 1024.0),
        "KiB" => 1.0 / 1024.0,
        "MiB" => 1.0,
        "GiB" => 1024.0,
        "TiB" => 1024.0 * 1024.0,
        _ => return None,
    };
    Some(number * factor).filter(|size| size.is_finite())
}
