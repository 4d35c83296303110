//! The order of the steps that make a token, and the way back from each of them.
//!
//! A token exists in two places, on the host and in the state file, and ecobox may be killed between any two
//! steps. So what is about to be made is written down first (the intent), and whatever is found written down is
//! removed by the next run. At every moment a token of ours on a host is the stored one, or has an intent; and the
//! stored one is on the host.
//!
//! This is a state machine without I/O: `start` and `next` say what to do, the caller does it and says how it went.
//!
//! ```text
//! Clear stale intents -> Intend -> Visit (removes what was intended, creates) -> Store -> Clear -> Learn -> Verify
//!                           ^         | failed                                | failed       -> Visit (removes the
//!                           '- exists | `-> Visit (remove) -> Clear -> Failed  `-> the same     replaced one) -> Clear
//! ```

mod protocol;

pub(crate) use self::protocol::{Ending, Event, Goal, Lost, Problem, Start, Step};

use crate::fleet::onboard::answer::{Done, Failure, VisitAnswer};
use crate::fleet::onboard::script::{Action, Removal, Request};
use crate::fleet::onboard::{next_generation, token_id, token_name};
use crate::model::access::scope::Comparison;
use crate::model::id::TokenId;

/// So many names are tried when the host has tokens of the wanted names already.
const MAX_NAMES: u32 = 5;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Saga<E> {
    start: Start,
    /// Intents to act on.
    pending: Vec<TokenId>,
    /// Tokens that are gone and whose intents are not cleared yet.
    gone: Vec<TokenId>,
    generation: u32,
    attempts: u32,
    at: At<E>,
    ending: Ending<E>,
}

/// The step that was asked for last.
#[derive(Debug)]
enum At<E> {
    Start,
    ClearStale,
    Intend(TokenId),
    Create(TokenId),
    /// Removing what was made; or, after a visit without an answer, what may have been or may yet be.
    Undo {
        id: TokenId,
        lost: bool,
    },
    Store(TokenId),
    /// Clearing the intents of tokens that are gone; then on to that.
    Clear(Then<E>),
    Learn(Option<Removal>),
    Verify(Option<Removal>),
    RemoveReplaced(TokenId),
    Revoke,
    Forget,
    Ended,
}

/// What follows when intents are cleared.
#[derive(Debug)]
enum Then<E> {
    Learn(Option<Removal>),
    /// Another name for the token.
    Again,
    End(Option<Problem<E>>),
}

impl<E> Saga<E> {
    /// A saga that has not begun.
    pub(crate) fn new(start: Start) -> Saga<E> {
        let is_stored = |id: &TokenId| start.stored.iter().any(|stored| stored.token == *id);
        let pending = start.intents.iter().filter(|id| !is_stored(id)).cloned().collect();
        let ours = start.stored.iter().map(|stored| &stored.token);
        let generation = next_generation(ours.chain(&start.intents).chain(&start.all_intents), &start.suffix);
        Saga { start, pending, gone: Vec::new(), generation, attempts: 0, at: At::Start, ending: Ending::default() }
    }

    /// The first step.
    pub(crate) fn start(&mut self) -> Step<E> {
        let stale: Vec<TokenId> = self.start.intents.iter().filter(|id| !self.pending.contains(id)).cloned().collect();
        if stale.is_empty() {
            return self.begin();
        }
        self.at = At::ClearStale;
        Step::Clear(stale)
    }

    /// The step after the one last asked for, which went as `event` says.
    pub(crate) fn next(&mut self, event: Event<E>) -> Step<E> {
        match (std::mem::replace(&mut self.at, At::Ended), event) {
            (At::ClearStale, Event::Recorded(Ok(()))) => self.begin(),
            (At::ClearStale | At::Intend(_) | At::Forget, Event::Recorded(Err(error))) => {
                self.end(Some(Problem::State(error)))
            }
            (At::Intend(id), Event::Recorded(Ok(()))) => self.create(id),
            (At::Create(id), Event::Visited(result)) => self.created(id, result),
            (At::Undo { id, lost }, Event::Visited(result)) => self.undone(id, lost, result.ok()),
            (At::Store(_), Event::Stored(Ok(replaced))) => self.clear(Then::Learn(replaced)),
            (At::Store(id), Event::Stored(Err(error))) => {
                self.ending.token = None;
                self.undo(id, false, Problem::State(error))
            }
            // The intents of tokens that are gone do no harm: the next run finds nothing to remove.
            (At::Clear(then), Event::Recorded(_)) => self.then(then),
            (At::Learn(_), Event::Learned(Err(error))) => self.end(Some(Problem::Trust(error))),
            (At::Learn(replaced), Event::Learned(Ok(()))) => {
                self.at = At::Verify(replaced);
                Step::Verify
            }
            (At::Verify(_), Event::Verified(Err(error))) => self.end(Some(Problem::Unverified(error))),
            (At::Verify(replaced), Event::Verified(Ok(comparison))) => self.verified(comparison, replaced),
            (At::RemoveReplaced(id), Event::Visited(result)) => {
                self.keep_removed(result.as_deref().ok());
                if self.ending.removed.contains(&id) {
                    self.clear(Then::End(None))
                } else {
                    self.ending.left.push(id);
                    self.end(None)
                }
            }
            (At::Revoke, Event::Visited(result)) => self.revoked(result),
            (At::Forget, Event::Recorded(Ok(()))) => self.clear(Then::End(None)),
            _ => self.end(Some(Problem::OutOfStep)),
        }
    }

    /// What begins once the state file is known to be writable, or needs no writing yet.
    fn begin(&mut self) -> Step<E> {
        if let Goal::Revoke(token) = &self.start.goal {
            let token = token.clone();
            self.at = At::Revoke;
            let mut remove = self.pending_removals();
            remove.extend(token);
            return self.visit(Action::Revoke, remove);
        }
        self.attempts += 1;
        if self.attempts > MAX_NAMES {
            return self.end(Some(Problem::NamesTaken));
        }
        let name = token_name(&self.start.hostname, &self.start.suffix, self.generation);
        match token_id(self.start.scope, &self.start.ssh_user, &name) {
            Ok(id) => {
                self.at = At::Intend(id.clone());
                Step::Intend(id)
            }
            Err(error) => self.end(Some(Problem::Name(error))),
        }
    }

    fn create(&mut self, id: TokenId) -> Step<E> {
        let action = Action::Create {
            token: id.clone(),
            comment: self.start.comment.clone(),
            replaces: self.start.replaces.clone(),
        };
        self.at = At::Create(id);
        let remove = self.pending_removals();
        self.visit(action, remove)
    }

    fn created(&mut self, id: TokenId, result: Result<Box<VisitAnswer>, Lost<E>>) -> Step<E> {
        self.keep_removed(result.as_deref().ok());
        let answer = match result {
            Ok(answer) => *answer,
            Err(Lost::NotSent(error)) => return self.clear_and_fail(id, Problem::Lost(error)),
            Err(Lost::Unknown(error)) => return self.undo(id, true, Problem::Lost(error)),
        };
        self.ending.host = answer.host;
        match answer.result {
            Ok(Done::Created(token)) => {
                self.ending.token = Some(id.clone());
                self.at = At::Store(id);
                Step::Store(token, self.ending.host.clone())
            }
            Ok(_) => self.undo(id, false, Problem::OutOfStep),
            Err(Failure::TokenExists(_)) => {
                // Not made now, so not to be removed: its intent goes before another name is tried.
                self.generation = self.generation.saturating_add(1);
                self.gone.push(id);
                self.clear(Then::Again)
            }
            Err(failure) if answer.leftover => self.undo(id, false, Problem::Host(failure)),
            Err(failure) => self.clear_and_fail(id, Problem::Host(failure)),
        }
    }

    /// Removes a token that cannot be kept, or that may have been made.
    fn undo(&mut self, id: TokenId, lost: bool, problem: Problem<E>) -> Step<E> {
        self.ending.problem = Some(problem);
        self.at = At::Undo { id: id.clone(), lost };
        let removal = Removal { token: id, scope: Some(self.start.scope) };
        self.visit(Action::Remove, vec![removal])
    }

    fn undone(&mut self, id: TokenId, lost: bool, mut answer: Option<Box<VisitAnswer>>) -> Step<E> {
        if let Some(answer) = answer.as_mut().filter(|answer| lost && answer.absent.contains(&id)) {
            // A script whose connection was lost may still run, and make it: the next run looks again.
            answer.removed.retain(|removed| *removed != id);
        }
        self.keep_removed(answer.as_deref());
        let problem = self.ending.problem.take();
        if !self.ending.removed.contains(&id) {
            self.ending.left.push(id);
        }
        self.clear(Then::End(problem))
    }

    /// Nothing was made: the intent goes.
    fn clear_and_fail(&mut self, id: TokenId, problem: Problem<E>) -> Step<E> {
        if !self.gone.contains(&id) {
            self.gone.push(id);
        }
        self.clear(Then::End(Some(problem)))
    }

    fn clear(&mut self, then: Then<E>) -> Step<E> {
        if self.gone.is_empty() {
            return self.then(then);
        }
        self.at = At::Clear(then);
        Step::Clear(std::mem::take(&mut self.gone))
    }

    fn then(&mut self, then: Then<E>) -> Step<E> {
        match then {
            Then::Learn(replaced) => {
                self.at = At::Learn(replaced);
                Step::Learn
            }
            Then::Again => self.begin(),
            Then::End(problem) => self.end(problem),
        }
    }

    fn verified(&mut self, comparison: Comparison, replaced: Option<Removal>) -> Step<E> {
        let missing = !comparison.missing.is_empty();
        self.ending.comparison = Some(comparison);
        match replaced {
            // The replaced one is kept as long as the new one is not what it should be; its intent stands.
            Some(replaced) if missing => {
                self.ending.left.push(replaced.token);
                self.end(Some(Problem::Missing))
            }
            Some(replaced) => {
                self.at = At::RemoveReplaced(replaced.token.clone());
                self.visit(Action::Remove, vec![replaced])
            }
            None => self.end(missing.then_some(Problem::Missing)),
        }
    }

    fn revoked(&mut self, result: Result<Box<VisitAnswer>, Lost<E>>) -> Step<E> {
        self.keep_removed(result.as_deref().ok());
        let problem = match result {
            Ok(answer) => {
                self.ending.host = answer.host;
                answer.result.err().map(Problem::Host)
            }
            Err(Lost::NotSent(error) | Lost::Unknown(error)) => Some(Problem::Lost(error)),
        };
        let token = match &self.start.goal {
            Goal::Revoke(Some(removal)) => Some(removal.token.clone()),
            _ => None,
        };
        match token {
            Some(token) if problem.is_none() || self.ending.removed.contains(&token) => {
                self.ending.problem = problem;
                self.at = At::Forget;
                Step::Forget
            }
            _ => self.clear(Then::End(problem)),
        }
    }

    fn end(&mut self, problem: Option<Problem<E>>) -> Step<E> {
        self.at = At::Ended;
        let mut ending = std::mem::take(&mut self.ending);
        ending.problem = problem.or(ending.problem);
        ending.left.append(&mut self.pending);
        Step::End(ending)
    }

    fn visit(&self, action: Action, remove: Vec<Removal>) -> Step<E> {
        let Start { scope, ssh_user, .. } = &self.start;
        Step::Visit(Request { action, scope: *scope, remove, ssh_user: ssh_user.clone() })
    }

    /// Of an intent the scope is not known.
    fn pending_removals(&self) -> Vec<Removal> {
        self.pending.iter().map(|token| Removal { token: token.clone(), scope: None }).collect()
    }

    fn keep_removed(&mut self, answer: Option<&VisitAnswer>) {
        for id in answer.into_iter().flat_map(|answer| &answer.removed) {
            if !self.ending.removed.contains(id) {
                self.ending.removed.push(id.clone());
                self.gone.push(id.clone());
            }
        }
        self.pending.retain(|id| !self.ending.removed.contains(id));
    }
}

#[cfg(test)]
mod tests;
