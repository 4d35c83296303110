//! One guest that moves: look again, make sure that it is the same guest, send one call, and wait until it is seen there.

use std::time::Duration;

use tokio::time::timeout;

use super::facts::Seen;
use super::follow::Following;
use super::{Around, usual_patience};
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::fleet::act::guest::{Found, LOOK_UP, Named, gone};
use crate::fleet::act::wait::Attempts;
use crate::fleet::act::{PlanRun, StepOutcome, StepReport};
use crate::model::check::fault::Fault;
use crate::model::guest::GuestConfig;
use crate::model::inventory::FailureKind;
use crate::model::migrate::{Claims, Destination, MigrateCall, Move, MoveVerdict, judge_move};
use crate::model::power::{Finding, allow};
use crate::state::StateError;
use crate::transport::Error;
use crate::transport::pve::{Posted, is_not_here};

/// What a look right before the call comes to.
enum Decision {
    Go(Box<Move>),
    Ended(Box<StepReport>),
}

impl Fleet<'_> {
    /// Takes the step of a plan that moves a guest.
    pub(in crate::fleet::act) async fn act_on_move(
        &self,
        run: &PlanRun<'_>,
        number: usize,
        planned: &Move,
        confirmed: &Confirmed,
    ) -> Result<StepReport, StateError> {
        let step = &run.plan.steps[number];
        let server = run.server(step);
        let Some(named) = Named::of(server) else {
            return Ok(StepReport::because(StepOutcome::Failed(FailureKind::Failed), "it is not a guest"));
        };
        run.say(number, &format!("looking at {}", server.called()), None);
        let (found, config) = match self.find_with_config(run.clients, named).await {
            Ok(found) => found,
            Err(missing) => return Ok(self.missing(server, missing)),
        };
        let mut way = match Box::pin(self.decide_move(run, named, &found, &config, planned)).await? {
            Decision::Go(way) => *way,
            Decision::Ended(ended) => {
                if ended.how == StepOutcome::Already {
                    self.settle_moved(named, &step.why)?;
                }
                return Ok(*ended);
            }
        };
        way.call.target_storage.clone_from(&planned.call.target_storage);
        self.keep_identity(named, &config)?;
        let patience = run.options.timeout.unwrap_or_else(|| usual_patience(&way));
        let begun = self.begin(run, step, patience + LOOK_UP)?;
        if way.call.restart
            && let Some(refused) = self.held_meanwhile(run, step)?
        {
            begun.end(&refused, self.now())?;
            return Ok(refused);
        }
        // Before it is sent: whatever becomes of this process, it is known where the guest belongs.
        self.note_moved(named, &step.why, &way)?;
        let following = Following {
            named,
            from: found.node.clone(),
            call: &way.call,
            number,
            patience,
            before: found.status.state,
        };
        let ended = self.send_move(run, &found, &following, confirmed).await;
        self.settle_moved_by(named, &step.why, &ended)?;
        begun.end(&ended, self.now()).inspect_err(|_| {
            let how = ended.how.as_str();
            run.sent_log.note(number, format!("migration of {} to {} was sent: {how}", server.id, way.call.target));
        })?;
        Ok(ended)
    }

    /// What the move comes down to now: since the plan was made the guest may have moved, and the node may be gone.
    async fn decide_move(
        &self,
        run: &PlanRun<'_>,
        named: Named<'_>,
        found: &Found,
        config: &GuestConfig,
        planned: &Move,
    ) -> Result<Decision, StateError> {
        let ended = |ended: StepReport| Decision::Ended(Box::new(ended.seen(found.status.state)));
        let mut findings: Vec<Finding> = self.compare_identity(named, config)?.into_iter().collect();
        let verdict = match self.judge_move_again(run, named, found, config, planned).await {
            Ok(verdict) => verdict,
            Err(error) => return Ok(Decision::Ended(Box::new(self.failed_step(&named.server.id, &error)))),
        };
        let id = &named.server.id;
        let way = match verdict {
            MoveVerdict::Move(way, against) => {
                findings.extend(against.into_iter().map(|against| against.at(id)));
                Some(way)
            }
            MoveVerdict::Nowhere(against) => {
                findings.extend(against.into_iter().map(|against| against.at(id)));
                None
            }
            MoveVerdict::Already => None,
            MoveVerdict::Cannot { why, fix } => {
                return Ok(ended(StepReport { hint: fix, ..StepReport::because(StepOutcome::Refused, why) }));
            }
        };
        if !allow(&mut findings, &run.options.allowed) {
            let lock = found.status.lock.as_deref();
            self.explain_lock(&mut findings, named, &found.node, lock, run.clients).await;
            return Ok(ended(StepReport::refused(findings)));
        }
        Ok(match way {
            Some(way) => Decision::Go(way),
            None => ended(StepReport::because(StepOutcome::Already, format!("it is on {} already", found.node))),
        })
    }

    async fn judge_move_again(
        &self,
        run: &PlanRun<'_>,
        named: Named<'_>,
        found: &Found,
        config: &GuestConfig,
        planned: &Move,
    ) -> Result<MoveVerdict, Error> {
        let target = &planned.call.target;
        if found.node == *target {
            return Ok(MoveVerdict::Already);
        }
        let mut facts = self.cluster_facts(run.clients, named.cluster, run.servers, &Around::default()).await?;
        if super::facts::is_of_a_cpu(config) {
            self.add_cpus(run.clients, named.cluster, &mut facts).await;
        }
        let seen = Seen::now(&found.status);
        let (kind, vmid) = (named.kind, named.vmid);
        let guest =
            self.moving_guest(run.clients, &facts, named.cluster, &found.node, kind, vmid, &seen, Some(config)).await?;
        let to = Destination::Node(target.clone());
        let verdict = judge_move(&guest, &to, &facts.nodes, &mut Claims::default(), &run.options.moving.how);
        Ok(match verdict {
            MoveVerdict::Move(way, mut against) if facts.ha.quorate == Some(false) => {
                let fault = Fault::no_quorum("", "");
                against.push(crate::model::power::Against { fault, overridable: false });
                MoveVerdict::Move(way, against)
            }
            verdict => verdict,
        })
    }

    /// Sends the call, once, and follows what comes of it.
    async fn send_move(
        &self,
        run: &PlanRun<'_>,
        found: &Found,
        following: &Following<'_>,
        _: &Confirmed,
    ) -> StepReport {
        let Following { named, call, number, patience, .. } = following;
        let (id, target) = (&named.server.id, &call.target);
        run.say(*number, &format!("migration of {} to {target} was sent", named.server.called()), Some(*patience));
        run.sent_log.note(*number, format!("migration of {id} to {target} was sent, the answer is not there yet"));
        let sent_at = self.now();
        let mut attempts = Attempts::during(*patience);
        let upid = match self.post_move(found, following, *patience).await {
            Posted::Task(upid) => Some(upid),
            Posted::Done => None,
            Posted::Refused(error) => {
                self.doubt_permissions(named.cluster, &error);
                return self.refused_move(run, following, &error).await;
            }
            Posted::Lost(error) => {
                run.sent_log
                    .note(*number, format!("migration of {id} to {target} was sent, its answer was lost: {error}"));
                let what = format!("the answer about {} was lost, looking for its task", named.server.called());
                run.say(*number, &what, Some(*patience));
                let since = found.client.by_its_clock(sent_at);
                let types = MigrateCall::task_types(named.kind);
                match self.find_lost_task(run.clients, *named, &found.node, types, since, *patience).await {
                    Some(upid) => Some(upid),
                    None => return self.by_place(run, following, &mut attempts, &error).await,
                }
            }
        };
        if let Some(upid) = &upid {
            run.sent_log.note(*number, format!("migration of {id} to {target} goes on there as {upid}"));
        }
        if !run.options.wait && !run.is_needed(*number) {
            return StepReport { upid, ..StepReport::new(StepOutcome::Sent) };
        }
        let ended = self.follow_move(run, following, upid.as_ref(), &mut attempts).await;
        StepReport { upid, ..ended }
    }

    /// Past its deadline an answer is lost, too.
    async fn post_move(&self, found: &Found, following: &Following<'_>, patience: Duration) -> Posted {
        let Following { named, call, .. } = following;
        let posting = found.client.migrate(&found.node, named.kind, named.vmid, call);
        timeout(patience, posting).await.unwrap_or_else(|_| {
            let peer = found.node.as_str().to_owned();
            Posted::Lost(Error::Timeout { peer, doing: "waiting for the answer", after: patience })
        })
    }

    /// Nothing was carried out; if the guest has left its node meanwhile it may be where it should go.
    async fn refused_move(&self, run: &PlanRun<'_>, following: &Following<'_>, error: &Error) -> StepReport {
        let Following { named, call, .. } = following;
        let place = if is_not_here(error) { self.place_of_guest(run, following).await.ok() } else { None };
        if place == Some(None) {
            return gone(named.server);
        }
        if let Some((node, status)) = place.flatten() {
            let how = if node == call.target { StepOutcome::Already } else { StepOutcome::Refused };
            let detail = match how {
                StepOutcome::Already => format!("it is on {node} already"),
                _ => format!("it has moved to {node} meanwhile; nothing was sent"),
            };
            return StepReport::because(how, detail).seen(status.state);
        }
        self.refusal(named.server, error)
    }
}
