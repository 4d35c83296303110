//! `doctor`: gathers what the checks of `model/check` judge. Nothing is changed anywhere, and whoever does not answer holds
//! up nobody else.
//!
//! Each family of checks has a file here that asks, beside its file there that judges.

mod api;
mod cause;
mod guest;
mod here;
mod host;
mod known;
mod machine;
mod members;
mod sleep;
mod upkeep;

use futures::future::{join, join_all};
use jiff::Timestamp;

use self::known::{Known, Look};
use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::fleet::observe::scope::QueryScope;
use crate::model::check::diagnosis::{Chart, Diagnosis, Trouble, say_at_the_jump_host};
use crate::model::check::guest::{self as of_guest, GuestSeen};
use crate::model::check::host::{self as of_host, HostSeen};
use crate::model::check::machine as of_machine;
use crate::model::check::{CheckId, sleep as of_sleep};
use crate::model::id::ServerId;
use crate::model::inventory::Inventory;

impl Fleet<'_> {
    /// Looks at this machine, at the hosts that the scope means, all at once, and then at their guests that are `meant`.
    /// `known` is what is remembered of all.
    pub(crate) async fn diagnose(
        &self,
        scope: &QueryScope,
        known: &Inventory,
        meant: &dyn Fn(&ServerId) -> bool,
    ) -> Vec<Diagnosis> {
        let hosts: Vec<&ServerConfig> = self.hosts().filter(|host| scope.asks(&host.id)).collect();
        let looks = join_all(hosts.iter().map(|host| {
            let remembered = known.servers.iter().find(|server| server.id == host.id);
            self.host_seen(host, remembered)
        }));
        let (mut machine, seen) = join(Box::pin(self.machine_seen()), looks).await;
        let (seen, clients): (Vec<HostSeen>, Vec<_>) = seen.into_iter().unzip();
        let upkeep = self.upkeep_seen(&hosts, &seen, &clients, known).await;
        add_what_hosts_show(&mut machine, &hosts, &seen);
        let machine = of_machine::judge(&machine);
        let troubles: Vec<(usize, Trouble)> = seen
            .iter()
            .enumerate()
            .filter_map(|(place, seen)| Some((place, seen.login.as_ref()?.as_ref().err()?.clone())))
            .collect();
        let mut charts: Vec<Chart> =
            hosts.iter().zip(&seen).map(|(host, seen)| of_host::judge(&host.id, seen, &machine)).collect();
        for (place, upkeep) in &upkeep {
            of_host::upkeep::judge(&hosts[*place].id, upkeep, &mut charts[*place]);
        }
        self.judge_members(&hosts, &seen, &upkeep, &mut charts);
        say_at_the_jump_host(&mut charts, &troubles);
        let looks: Vec<Look<'_>> = hosts.iter().zip(&seen).zip(&clients).map(Look::of).collect();
        let past = self.state.actions(Timestamp::MIN, self.now()).unwrap_or_default();
        let known = Known { inventory: known, past: &past };
        let guests = Box::pin(self.guests_seen(&known, &looks));
        let (guests, ()) = join(guests, Box::pin(self.add_sleep_and_services(&mut charts, &known, &looks))).await;
        let of_guests = judge_guests(&guests, &looks, &charts, meant);
        let mut list = machine.list;
        list.extend(charts.into_iter().chain(of_guests).flat_map(|chart| chart.list));
        list
    }

    /// Adds whether each host could sleep and be woken, and its services that never answered.
    async fn add_sleep_and_services(&self, charts: &mut [Chart], known: &Known<'_>, looks: &[Look<'_>]) {
        let sleeps = join_all(looks.iter().map(|look| self.sleep_seen(look, known, looks)));
        let services = join_all(looks.iter().map(|Look { host, seen, .. }| async {
            let is_there = matches!(seen.system, Some(Ok(_))) || matches!(seen.api, Some(Ok(_)));
            if is_there { self.services_of_host(host).await } else { Vec::new() }
        }));
        let (sleeps, services) = join(sleeps, services).await;
        for (((Look { host, seen, .. }, sleep), services), chart) in
            looks.iter().zip(&sleeps).zip(&services).zip(charts)
        {
            of_guest::services(&host.id, services, chart);
            let Some(sleep) = sleep else { continue };
            let system = seen.system.as_ref().and_then(|system| system.as_ref().ok());
            let system = system.map(|seen| of_sleep::System { preflight: &seen.preflight, sleep: &seen.sleep });
            // What keeps its system from being looked at has skipped what a script would tell.
            let broken = chart.list.iter().find(|one| one.id == CheckId::NoRoot).and_then(|one| one.because);
            of_sleep::judge(&host.id, sleep, system, broken, chart);
        }
    }
}

/// What the looks at hosts tell of this machine: two that are one, clocks, a network that is not there.
fn add_what_hosts_show(machine: &mut of_machine::MachineSeen, hosts: &[&ServerConfig], seen: &[HostSeen]) {
    machine.twice = host::twice(hosts, seen);
    machine.clocks = seen.iter().filter_map(HostSeen::clock).collect();
    machine.without_network = seen.iter().filter(|seen| host::has_no_network(seen)).count();
    machine.ssh.config = host::ssh_config(hosts, seen);
}

/// The charts of the guests that are meant, by themselves or with their host.
fn judge_guests(
    guests: &[GuestSeen],
    looks: &[Look<'_>],
    charts: &[Chart],
    meant: &dyn Fn(&ServerId) -> bool,
) -> Vec<Chart> {
    let is_meant = |guest: &&GuestSeen| meant(&guest.id) || guest.host.as_ref().is_some_and(meant);
    let twice = of_guest::twice(guests);
    let judged = guests.iter().filter(is_meant).map(|guest| {
        let host = guest.host.as_ref().and_then(|host| looks.iter().position(|look| look.host.id == *host));
        let mut chart = Chart::of(Some(&guest.id));
        of_guest::judge(guest, host.and_then(|at| charts.get(at)), &mut chart);
        chart.list.extend(twice.iter().filter(|(id, _)| *id == guest.id).flat_map(|(_, chart)| chart.list.clone()));
        chart
    });
    judged.collect()
}
