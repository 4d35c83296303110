//! What the screen of `watch` shows, and how each event changes it. Pure: no I/O, and no clock but the one of `Tick`.

use std::collections::HashSet;

use crossterm::event::KeyEventKind;

use crate::model::id::ServerId;
use crate::model::inventory::server::ServerKey;
use crate::model::inventory::{Inventory, Server};
use crate::tui::event::{Effect, Event, Plan};
use crate::tui::keys;
use crate::tui::layout::Areas;
use crate::tui::mouse;
use crate::tui::problems::problems;
use crate::tui::rows;
use crate::tui::state::{Doing, Log, Mode, Row, State};

/// How many failed actions are remembered.
const MOST_FAILED: usize = 20;

impl State {
    /// Makes the rows again, and keeps the selected server selected.
    pub(crate) fn arrange(&mut self) {
        self.rows = rows::rows(self);
        let place = |row: &Row| self.chosen.as_ref() == Some(&self.keys[row.place]);
        if let Some(at) = self.rows.iter().position(place) {
            self.at = at;
        }
        self.settle();
    }

    /// Keeps the chosen row in the list and on the screen.
    pub(crate) fn settle(&mut self) {
        self.at = self.at.min(self.rows.len().saturating_sub(1));
        let height = usize::from(Areas::of(self).rows.height).max(1);
        self.top = self.top.min(self.at).max((self.at + 1).saturating_sub(height));
        self.top = self.top.min(self.rows.len().saturating_sub(height));
    }

    /// Takes what is typed as the filter, or keeps the one before and says why.
    pub(crate) fn apply_filter(&mut self) {
        match self.fleet.filtered(&self.filter.text) {
            Ok(places) => {
                self.filter.error = None;
                self.filter.kept.clone_from(&self.filter.text);
                self.choose(places);
            }
            Err(error) => self.filter.error = Some(error),
        }
        self.arrange();
    }

    /// Shows those that the filter lets through.
    fn choose(&mut self, places: Vec<usize>) {
        let all = self.filter.kept.trim().is_empty();
        self.filter.chosen = (!all).then(|| places.into_iter().map(|place| self.keys[place].clone()).collect());
    }

    fn take_fleet(&mut self, fleet: Inventory) {
        self.keys = fleet.servers.iter().map(Server::key).collect();
        self.fleet = fleet;
        self.looked = true;
        let known: HashSet<&ServerKey> = self.keys.iter().collect();
        self.samples.retain(|key, _| known.contains(key));
        self.marked.retain(|key| known.contains(key));
        self.folded.retain(|key| known.contains(key));
        // Whom the filter lets through may have changed.
        if let Ok(places) = self.fleet.filtered(&self.filter.kept) {
            self.choose(places);
        }
        self.problems = problems(self);
        self.arrange();
    }

    fn take_plan(&mut self, plan: Plan) -> Vec<Effect> {
        match self.request.take_if(|request| request.number == plan.number) {
            Some(request) => {
                match &mut self.mode {
                    Mode::Dialogue { request: shown, plan: old, again, .. } if shown.number == request.number => {
                        (*old, *again) = (plan, false);
                    }
                    _ => self.ready = Some((request, plan)),
                }
                Vec::new()
            }
            None => vec![Effect::Abandon { number: plan.number }],
        }
    }

    /// There is no plan for what was wished.
    fn drop_request(&mut self, number: u64, why: String) {
        if self.request.take_if(|request| request.number == number).is_none() {
            return;
        }
        self.message = Some(why);
        if matches!(&self.mode, Mode::Dialogue { request, .. } if request.number == number) {
            self.mode = Mode::Browse;
        }
    }

    /// What came of an action.
    fn take_end(&mut self, server: &ServerId, good: bool, text: &str) {
        self.progress.remove(server);
        let text = format!("{server}: {text}");
        if good {
            self.message = Some(text);
        } else {
            self.failed.truncate(MOST_FAILED - 1);
            self.failed.push_front(text);
            self.problems = problems(self);
            self.settle();
        }
    }

    /// Asks what waits to be asked. Not over a filter: a letter that is meant for it must not be the answer.
    fn open_dialogue(&mut self) {
        if self.mode == Mode::Browse
            && let Some((request, plan)) = self.ready.take()
        {
            self.mode = Mode::Dialogue { request, plan, typed: String::new(), top: 0, again: false };
            self.message = None;
        }
    }
}

/// What an event changes, and what is to be done then. Nothing else changes the state.
pub(crate) fn update(state: &mut State, event: Event) -> Vec<Effect> {
    let before = state.chosen.clone();
    let mut effects = Vec::new();
    state.dirty = true;
    match event {
        Event::Key(key) if key.kind == KeyEventKind::Release => {}
        Event::Key(key) => effects = keys::press(state, key),
        Event::Mouse(mouse) => mouse::handle(state, mouse),
        Event::Next(at) => state.next = Some(at),
        Event::Paste(text) => keys::paste(state, &text),
        Event::Resize(columns, lines) => {
            state.size = (columns, lines);
            state.settle();
        }
        Event::Tick(now) => {
            state.now = now;
            state.problems = problems(state);
            state.settle();
        }
        Event::Fleet(fleet) => state.take_fleet(*fleet),
        // Those of a server that left would be kept for ever.
        Event::Samples { server, .. } if state.looked && !state.keys.contains(&server) => {}
        Event::Samples { server, points } => state.samples.entry(server).or_default().extend(points),
        Event::Log { server, events, tasks } => {
            if state.chosen.as_ref() == Some(&server) {
                state.log = Log { server: Some(server), events, tasks };
            }
        }
        Event::Plan(plan) => effects = state.take_plan(plan),
        Event::NoPlan { number, why } => state.drop_request(number, why),
        Event::Progress { server, text, of } => {
            let since = state.progress.get(&server).map_or(state.now, |known| known.since);
            state.progress.insert(server, Doing { text, since, of });
        }
        Event::Over { server } => drop(state.progress.remove(&server)),
        Event::Ended { server, good, text } => state.take_end(&server, good, &text),
        Event::Message(text) => state.message = Some(text),
    }
    state.open_dialogue();
    state.chosen = state.rows.get(state.at).map(|row| state.keys[row.place].clone());
    if state.chosen != before {
        state.pane_top = 0;
        state.log = Log::default();
        effects.extend(state.chosen.clone().map(Effect::Detail));
    }
    effects
}
