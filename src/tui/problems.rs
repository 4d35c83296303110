//! What is wrong, one line for each trouble: the header says it, and counts as `status` and the page do.

use crate::model::inventory::Server;
use crate::model::inventory::problems::{self, troubles};
use crate::tui::state::{Problem, State, Weight};

/// All that is wrong now.
pub(crate) fn problems(state: &State) -> Vec<Problem> {
    let failed = state.failed.iter().map(|text| (Weight::Action, format!("{text} (Esc: read)")));
    let servers: Vec<&Server> = state.fleet.servers.iter().collect();
    let troubles = troubles(&servers, &state.fleet.failures);
    let troubles = troubles.into_iter().map(|trouble| match trouble.kind {
        problems::Kind::Failure => (Weight::Failure, trouble.text),
        problems::Kind::State | problems::Kind::Service => (Weight::Alarm, trouble.text),
    });
    let old = stale(state).map(|text| (Weight::Stale, text));
    failed.chain(troubles).chain(old).map(|(weight, text)| Problem { weight, text }).collect()
}

/// How many troubles of the fleet these are.
pub(crate) fn number_of_troubles(problems: &[Problem]) -> usize {
    problems.iter().filter(|problem| matches!(problem.weight, Weight::Failure | Weight::Alarm)).count()
}

/// `2 servers with old answers: nas, web`; names beyond what a line can hold are not made.
fn stale(state: &State) -> Option<String> {
    const NAMED: usize = 20;
    let mut names = Vec::new();
    let mut number = 0;
    for server in state.fleet.servers.iter().filter(|server| state.is_stale(server)) {
        number += 1;
        if names.len() < NAMED {
            names.push(server.name.as_str());
        }
    }
    let more = if number > NAMED { ", …" } else { "" };
    let s = if number == 1 { "" } else { "s" };
    (number > 0).then(|| format!("{number} server{s} with old answers: {}{more}", names.join(", ")))
}
