//! `doctor`: gathers what the checks of `model/check` judge. Nothing is changed anywhere, and whoever does not answer holds
//! up nobody else.
//!
//! Each family of checks has a file here that asks, beside its file there that judges.

mod api;
mod cause;
mod here;
mod host;
mod machine;
mod upkeep;

use futures::future::{join, join_all};

use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::fleet::observe::scope::Scope;
use crate::model::check::diagnosis::{Chart, Diagnosis, Trouble, say_at_the_jump_host};
use crate::model::check::host::{self as of_host, HostSeen};
use crate::model::check::machine as of_machine;
use crate::model::inventory::Inventory;

impl<'a> Fleet<'a> {
    /// Looks at this machine, and at the hosts that the scope means, all at once. `known` is what is remembered of all.
    pub(crate) async fn diagnose(&self, scope: &Scope, known: &Inventory) -> Vec<Diagnosis> {
        let hosts: Vec<&ServerConfig> = self.hosts().filter(|host| scope.asks(&host.id)).collect();
        let looks = join_all(hosts.iter().map(|host| {
            let remembered = known.servers.iter().find(|server| server.id == host.id);
            self.host_seen(host, remembered)
        }));
        let (mut machine, seen) = join(Box::pin(self.machine_seen()), looks).await;
        let (seen, clients): (Vec<HostSeen>, Vec<_>) = seen.into_iter().unzip();
        let upkeep = self.upkeep_seen(&hosts, &seen, &clients, known).await;
        self.add_what_hosts_show(&mut machine, &hosts, &seen);
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
        say_at_the_jump_host(&mut charts, &troubles);
        let mut list = machine.list;
        list.extend(charts.into_iter().flat_map(|chart| chart.list));
        list
    }

    /// What the looks at hosts tell of this machine: two that are one, clocks, a network that is not there.
    fn add_what_hosts_show(&self, machine: &mut of_machine::MachineSeen, hosts: &[&ServerConfig], seen: &[HostSeen]) {
        machine.twice = host::twice(hosts, seen);
        machine.clocks = seen.iter().filter_map(|seen| seen.system.as_ref()?.as_ref().ok()?.clock).collect();
        machine.without_network = seen.iter().filter(|seen| host::has_no_network(seen)).count();
        machine.ssh.config = host::ssh_config(hosts, seen);
    }
}
