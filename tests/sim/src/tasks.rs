//! Tasks: they wait for the guest's lock, take their time, and only their end tells what became of them.

mod by_hand;

use std::time::Instant;

pub(crate) use self::by_hand::Ended;
use crate::cluster::Cluster;
use crate::guest::Power;
use crate::migrate;
use crate::power::{Plan, Work, plan};
use crate::snapshot;

/// One worker task.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) upid: String,
    pub(crate) node: String,
    pub(crate) pid: u32,
    pub(crate) pstart: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) kind: String,
    pub(crate) id: String,
    /// `user@realm` or `user@realm!token`.
    pub(crate) user: String,
    pub(crate) log: Vec<String>,
    /// Its log is gone, and with it all that PVE knows of it.
    pub(crate) gone: bool,
    /// The exit status, once it has ended.
    pub(crate) exit: Option<String>,
    pub(crate) work: Work,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting { until: Instant },
    Running { since: Instant, until: Instant, plan: Plan },
    Done,
}

/// What happens to a guest at the end of a task, or later by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    Start,
    Stop,
    /// Stops now and starts a moment later.
    Restart,
    Pause,
    Resume,
    Hibernate,
    /// The image that a hibernation began with stays on its storage.
    LeaveImage,
    /// A task on a snapshot ends.
    Snapshot(usize),
    /// Asks the HA manager, who acts later.
    RequestHa {
        start: bool,
    },
    /// It is on another node now (its place in the cluster).
    Move {
        to: usize,
        /// A container that was shut down for it.
        restarts: bool,
        /// What goes wrong after that.
        paused: bool,
        locked: bool,
    },
    /// A migration was given up.
    Unlock,
    /// The same, of a container that was to be shut down for it.
    StartAgain,
    /// The HA manager is asked to move it, in one of its rounds.
    AskHaToMove {
        to: usize,
    },
    /// Its round has come.
    TakeHaMove {
        to: usize,
    },
}

/// Something that happens to a guest by itself.
#[derive(Debug)]
pub(crate) struct Event {
    at: Instant,
    vmid: u32,
    effect: Effect,
}

impl Cluster {
    /// Starts a task on a node and gives its UPID.
    pub(crate) fn spawn(&mut self, node: &str, kind: &str, id: &str, user: &str, work: Work) -> String {
        self.settle();
        let now = self.clock.now();
        let number = u32::try_from(self.tasks.len()).expect("few tasks");
        let pid = 5000 + number * 7;
        let uptime = self.node_ref(node).map_or(0, |node| node.uptime_at(now));
        let (pstart, start) = (uptime * 100 + u64::from(number), self.clock.epoch(now));
        let upid = format!("UPID:{node}:{pid:08X}:{pstart:08X}:{start:08X}:{kind}:{id}:{user}:");
        let mut log = Vec::new();
        if work.overrules_shutdown {
            let overruled = self.abort_shutdowns(id);
            if !overruled.is_empty() {
                log.push(format!("overruled qmshutdown tasks: {}", overruled.join(", ")));
            }
        }
        let state = State::Waiting { until: now };
        let task = Task {
            upid: upid.clone(),
            node: node.to_owned(),
            pid,
            pstart,
            start,
            end: start,
            kind: kind.to_owned(),
            id: id.to_owned(),
            user: user.to_owned(),
            log,
            gone: false,
            exit: None,
            work,
            state,
        };
        self.tasks.push(task);
        let running = self.tasks.iter().filter(|task| task.node == node && task.exit.is_none()).count();
        let most = &mut self.node_mut(node).most_tasks;
        *most = running.max(*most);
        let index = self.tasks.len() - 1;
        if self.is_locked(id) {
            let until = now + self.clock.seconds(self.timing.lock_wait);
            self.tasks[index].log.push("trying to acquire lock...".to_owned());
            self.tasks[index].state = State::Waiting { until };
        } else {
            self.run(index, now);
        }
        upid
    }

    /// Ends a task as a person does who stops it.
    pub(crate) fn abort(&mut self, index: usize) {
        let now = self.clock.epoch(self.clock.now());
        let task = &mut self.tasks[index];
        if task.exit.is_none() {
            task.finish("received interrupt", now);
        }
    }

    /// Brings everything up to date that should have happened by now, in its order.
    pub(crate) fn settle(&mut self) {
        let now = self.clock.now();
        loop {
            let task = self.tasks.iter().enumerate().filter_map(|(index, task)| Some((task.due()?, index))).min();
            let event = self.events.iter().enumerate().map(|(index, event)| (event.at, index)).min();
            match (task, event) {
                (Some((at, index)), event) if at <= now && event.is_none_or(|(other, _)| at <= other) => {
                    self.advance_task(index, at);
                }
                (_, Some((at, index))) if at <= now => {
                    let event = self.events.swap_remove(index);
                    self.apply(event.vmid, event.effect, at);
                }
                _ => break,
            }
        }
        self.broadcast_when_due();
    }

    fn advance_task(&mut self, index: usize, at: Instant) {
        let end = self.clock.epoch(at);
        match std::mem::replace(&mut self.tasks[index].state, State::Done) {
            State::Waiting { .. } => {
                let file = self.tasks[index].work.lock_file();
                self.tasks[index].finish(&format!("can't lock file '{file}' - got timeout"), end);
            }
            State::Running { mut plan, .. } => {
                let vmid = self.tasks[index].work.vmid;
                let warnings = self.find(vmid).map_or(0, |guest| guest.warnings);
                if plan.exit == "OK" && warnings > 0 {
                    plan.log.extend((0..warnings).map(|_| "WARN: something is odd".to_owned()));
                    plan.exit = format!("WARNINGS: {warnings}");
                }
                self.tasks[index].log.extend(plan.gradual.into_iter().map(|(_, line)| line));
                self.tasks[index].log.extend(plan.log);
                self.tasks[index].finish(&plan.exit, end);
                self.apply(vmid, plan.effect, at);
                let id = self.tasks[index].id.clone();
                self.next_in_line(&id, at);
            }
            State::Done => {}
        }
    }

    fn run(&mut self, index: usize, at: Instant) {
        self.go(index, at);
        self.settle();
    }

    fn next_in_line(&mut self, id: &str, at: Instant) {
        if self.is_locked(id) {
            return;
        }
        let waiting = |task: &Task| task.id == id && matches!(task.state, State::Waiting { .. });
        if let Some(index) = self.tasks.iter().position(waiting) {
            self.tasks[index].log.push(" OK".to_owned());
            self.go(index, at);
        }
    }

    fn go(&mut self, index: usize, at: Instant) {
        let plan = plan(self, &self.tasks[index].work);
        // The configuration says so as long as the memory is written.
        if plan.effect == Effect::Hibernate {
            let vmid = self.tasks[index].work.vmid;
            self.guest_mut(vmid).lock = Some("suspending".to_owned());
        }
        if let Effect::Snapshot(number) = plan.effect {
            snapshot::begin(self, number, at);
        }
        migrate::begin(self, &self.tasks[index].work.clone(), plan.effect);
        self.tasks[index].state = State::Running { since: at, until: at + plan.takes, plan };
    }

    fn is_locked(&self, id: &str) -> bool {
        self.held.iter().any(|vmid| vmid.to_string() == id)
            || self
                .tasks
                .iter()
                .any(|task| task.id == id && task.work.vmid != 0 && matches!(task.state, State::Running { .. }))
    }

    fn abort_shutdowns(&mut self, id: &str) -> Vec<String> {
        let running = |task: &Task| task.id == id && task.kind == "qmshutdown" && task.exit.is_none();
        let indexes: Vec<usize> = (0..self.tasks.len()).filter(|index| running(&self.tasks[*index])).collect();
        indexes
            .into_iter()
            .map(|index| {
                self.abort(index);
                self.tasks[index].upid.clone()
            })
            .collect()
    }

    fn apply(&mut self, vmid: u32, effect: Effect, at: Instant) {
        let later = |seconds: f64, cluster: &Cluster| at + cluster.clock.seconds(seconds);
        let broken = self.find(vmid).is_some_and(|guest| guest.ha.as_deref() == Some("error"));
        let follow = match effect {
            Effect::RequestHa { .. } if broken => None,
            // Its start is one like any other.
            Effect::Restart if !self.quorate => None,
            Effect::Restart => Some((later(self.timing.reboot_gap, self), Effect::Start)),
            Effect::RequestHa { start: true } => Some((later(self.timing.ha, self), Effect::Start)),
            Effect::RequestHa { start: false } => Some((later(self.timing.ha, self), Effect::Stop)),
            Effect::AskHaToMove { to } => Some((later(self.timing.ha, self), Effect::TakeHaMove { to })),
            _ => None,
        };
        if let Some((at, effect)) = follow {
            self.events.push(Event { at, vmid, effect });
        }
        if let Effect::Snapshot(number) = effect {
            if snapshot::finish(self, number) {
                self.apply(vmid, Effect::Start, at);
            }
            return;
        }
        if effect == Effect::LeaveImage {
            self.left_images.insert(vmid);
        }
        if let Effect::TakeHaMove { to } = effect {
            self.take_ha_move(vmid, to, at);
        }
        let home = match effect {
            Effect::Move { to, .. } => self.nodes.get(to).map(|node| node.name.clone()),
            _ => None,
        };
        if matches!(effect, Effect::Move { .. } | Effect::Unlock | Effect::StartAgain) {
            self.end_ha_move(vmid);
        }
        let Some(guest) = self.guests.iter_mut().find(|guest| guest.vmid == vmid) else { return };
        match effect {
            Effect::Nothing
            | Effect::LeaveImage
            | Effect::Snapshot(_)
            | Effect::AskHaToMove { .. }
            | Effect::TakeHaMove { .. } => {}
            Effect::Unlock => guest.lock = guest.lock.take().filter(|lock| lock != "migrate"),
            Effect::StartAgain => guest.begin(at),
            Effect::Move { restarts, paused, locked, .. } => {
                guest.lock = locked.then(|| "migrate".to_owned());
                guest.node = home.unwrap_or_default();
                if restarts {
                    guest.begin(at);
                }
                if paused {
                    guest.power = Power::Paused;
                }
            }
            // In this state the HA manager does nothing until somebody has looked.
            Effect::RequestHa { .. } if guest.ha.as_deref() == Some("error") => {}
            Effect::RequestHa { start } => guest.ha = Some(if start { "started" } else { "stopped" }.to_owned()),
            Effect::Start => {
                guest.begin(at);
                // QEMU begins halted, and nobody lets it go on.
                if guest.config.get("freeze").is_some_and(|value| *value == 1) {
                    guest.power = Power::Other("prelaunch".to_owned());
                }
            }
            Effect::Stop | Effect::Restart => guest.end(),
            Effect::Pause | Effect::Resume => {
                guest.count(at);
                guest.power = if effect == Effect::Pause { Power::Paused } else { Power::Running };
            }
            Effect::Hibernate => {
                guest.end();
                *guest = guest.clone().hibernated();
            }
        }
    }
}

impl Task {
    /// Whether this caller (`user@realm` or a token) started it.
    pub(crate) fn belongs_to(&self, caller: &str) -> bool {
        self.user == caller
    }

    /// What its log says at this moment.
    pub(crate) fn log_at(&self, now: Instant) -> Vec<String> {
        let mut log = self.log.clone();
        if let State::Running { since, plan, .. } = &self.state {
            let passed = now.saturating_duration_since(*since);
            log.extend(plan.gradual.iter().filter(|(at, _)| *at <= passed).map(|(_, line)| line.clone()));
        }
        log
    }

    fn due(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until } | State::Running { until, .. } => Some(until),
            State::Done => None,
        }
    }

    fn finish(&mut self, exit: &str, end: u64) {
        self.log.push(match exit {
            "OK" => "TASK OK".to_owned(),
            _ if exit.starts_with("WARNINGS: ") => format!("TASK {exit}"),
            _ => format!("TASK ERROR: {exit}"),
        });
        self.exit = Some(exit.to_owned());
        self.end = end;
        self.state = State::Done;
    }
}
