//! In which order guests and steps go.

use std::collections::{HashMap, HashSet};

use super::{Planner, StepKind};
use crate::model::power::PowerAction;

impl Planner<'_> {
    /// Among guests of one node Proxmox VE's `startup` order holds: one order waits for the one before; down, the
    /// other way round.
    pub(super) fn order_guests(&mut self) {
        let down = match self.action {
            PowerAction::Start | PowerAction::Resume => false,
            PowerAction::Shutdown | PowerAction::Stop | PowerAction::Suspend | PowerAction::Hibernate => true,
            PowerAction::Reboot | PowerAction::Reset | PowerAction::Wake | PowerAction::Migrate => return,
        };
        let steps = self.plan.steps.iter().enumerate();
        let acting = steps.filter(|(_, step)| matches!(step.does, StepKind::Guest(_) | StepKind::GuestLater));
        let mut by_node: HashMap<_, Vec<(u64, usize)>> = HashMap::new();
        for (number, step) in acting {
            let server = &self.servers[step.server];
            let order = self.inputs.startups.get(&server.id).and_then(|startup| startup.order);
            // Without an order: after all that have one, as at boot.
            let order = order.map_or(u64::MAX, u64::from);
            by_node.entry((&server.cluster, &server.node)).or_default().push((order, number));
        }
        let mut edges = Vec::new();
        for mut group in by_node.into_values() {
            group.sort_by_key(|(order, number)| (if down { u64::MAX - order } else { *order }, *number));
            let mut before: Vec<usize> = Vec::new();
            for rank in group.chunk_by(|(one, _), (other, _)| one == other) {
                edges.extend(rank.iter().flat_map(|(_, number)| before.iter().map(|earlier| (*number, *earlier))));
                before = rank.iter().map(|(_, number)| *number).collect();
            }
        }
        for (step, earlier) in edges {
            self.plan.steps[step].follows.push(earlier);
        }
        self.sort();
    }

    /// Puts the steps into an order in which each comes after those it waits for, as near to the order asked for as
    /// that allows.
    fn sort(&mut self) {
        let steps = std::mem::take(&mut self.plan.steps);
        let mut places = vec![usize::MAX; steps.len()];
        let mut order = Vec::with_capacity(steps.len());
        let mut done = HashSet::new();
        while order.len() < steps.len() {
            let ready = |number: &usize| {
                let step = &steps[*number];
                !done.contains(number) && step.needs.iter().chain(&step.follows).all(|other| done.contains(other))
            };
            // Needs and orders cannot contradict each other: hosts come before guests, or after them, as a whole.
            let Some(next) = (0..steps.len()).find(ready) else { break };
            done.insert(next);
            places[next] = order.len();
            order.push(next);
        }
        order.extend((0..steps.len()).filter(|number| !done.contains(number)));
        for (place, number) in order.iter().enumerate() {
            places[*number] = place;
        }
        self.plan.steps = order
            .iter()
            .map(|number| {
                let mut step = steps[*number].clone();
                for other in step.needs.iter_mut().chain(&mut step.follows) {
                    *other = places[*other];
                }
                step
            })
            .collect();
        self.steps = self.plan.steps.iter().enumerate().map(|(number, step)| (step.server, number)).collect();
    }
}
