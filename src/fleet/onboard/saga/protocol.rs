//! What the saga and its caller say to each other: where it starts, its steps, how each went, and how it all ended.

use crate::fleet::onboard::answer::{Failure, HostSide, VisitAnswer};
use crate::fleet::onboard::script::{Removal, Request};
use crate::model::access::scope::{Comparison, TokenScope};
use crate::model::id::{InvalidId, Token, TokenId};

/// What is to be reached, and what is known before.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) goal: Goal,
    pub(crate) scope: TokenScope,
    /// Who logs in over SSH.
    pub(crate) ssh_user: String,
    /// This machine's name and its own six hex digits, for the token's name.
    pub(crate) hostname: String,
    pub(crate) suffix: String,
    /// Stands beside the token in Proxmox VE.
    pub(crate) comment: String,
    /// The intents on this server or its cluster.
    pub(crate) intents: Vec<TokenId>,
    /// The token that is stored for the cluster: a new one gets the ACLs that it has.
    pub(crate) replaces: Option<TokenId>,
    /// All stored tokens, of all clusters. An intent for one of them is out of date: it is forgotten, never acted on.
    pub(crate) stored: Vec<Removal>,
    /// All intents, of all servers: their names are not used again.
    pub(crate) all_intents: Vec<TokenId>,
}

/// What the saga is to end in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Goal {
    /// A new token that works. One that is stored for the same cluster is replaced, and removed at the end.
    Create,
    /// This token gone, and user and role with it if no other token uses them.
    Revoke(Option<Removal>),
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Step<E> {
    /// Record durably that this token is about to be made. Answer: `Event::Recorded`.
    Intend(TokenId),
    /// Run the request's plan on the host. Answer: `Event::Visited`.
    Visit(Request),
    /// If another token is stored for the host's cluster: record an intent for that one. Then, in one transaction,
    /// store this one and clear its intent. Answer: `Event::Stored`.
    Store(Token, HostSide),
    /// Clear these intents. Answer: `Event::Recorded`.
    Clear(Vec<TokenId>),
    /// Learn what the API's certificate must satisfy, and store it. Answer: `Event::Learned`.
    Learn,
    /// Compare what the token may do with its scope. Answer: `Event::Verified`.
    Verify,
    /// Forget the stored token. Answer: `Event::Recorded`.
    Forget,
    End(Ending<E>),
}

/// How a step went. `E` is the caller's error.
#[derive(Debug)]
pub(crate) enum Event<E> {
    Recorded(Result<(), E>),
    Visited(Result<Box<VisitAnswer>, Lost<E>>),
    /// With the token that was stored before for the same cluster.
    Stored(Result<Option<Removal>, E>),
    Learned(Result<(), E>),
    Verified(Result<Comparison, E>),
}

/// A visit without an answer.
#[derive(Debug)]
pub(crate) enum Lost<E> {
    /// The script certainly did not run.
    NotSent(E),
    /// It may have run, in part or to its end.
    Unknown(E),
}

/// How it all ended.
#[derive(Debug)]
pub(crate) struct Ending<E> {
    /// The token now stored; `None` after a revocation.
    pub(crate) token: Option<TokenId>,
    pub(crate) host: HostSide,
    /// What the token may do beyond its scope, or not.
    pub(crate) comparison: Option<Comparison>,
    /// Tokens removed from the host.
    pub(crate) removed: Vec<TokenId>,
    /// Tokens that may still stand on the host. Their intents are kept: the next run removes them.
    pub(crate) left: Vec<TokenId>,
    pub(crate) problem: Option<Problem<E>>,
}

impl<E> Default for Ending<E> {
    fn default() -> Ending<E> {
        Ending {
            token: None,
            host: HostSide::default(),
            comparison: None,
            removed: Vec::new(),
            left: Vec::new(),
            problem: None,
        }
    }
}

/// Why the goal was not reached.
#[derive(Debug)]
pub(crate) enum Problem<E> {
    /// The state file could not be written. No token was made, or it was removed again, if `left` does not say otherwise.
    State(E),
    /// Nothing came back from the host.
    Lost(E),
    /// The host's own answer.
    Host(Failure),
    /// The token is stored; what the API's certificate must satisfy could not be learned.
    Trust(E),
    /// The token is stored; the API could not be asked what it may do.
    Unverified(E),
    /// The token is stored and may do less than its scope.
    Missing,
    /// The host has tokens of all names tried.
    NamesTaken,
    /// The login user's name cannot be a Proxmox VE user's.
    Name(InvalidId),
    /// The caller answered another step than the one asked for.
    OutOfStep,
}
