//! `rrddata`: what the round-robin databases hold.

use crate::api::{Context, Refusal, Reply, guests, nodes};

pub(crate) fn of_guest(context: &mut Context<'_>) -> Reply {
    let vmid = context.vmid();
    let Some(guest) = guests::find(context).ok().filter(|guest| !guest.history.is_unrecorded()) else {
        let folder = if context.cluster.version.is_9() { "pve-vm-9.0" } else { "pve2-vm" };
        let file = format!("/var/lib/rrdcached/db/{folder}/{vmid}");
        let cause = format!("rrd_fetch_r failed: opening '{file}': No such file or directory");
        return Err(Refusal::died(format!("RRD error: rrdcached@unix:/var/run/rrdcached.sock: {cause}")));
    };
    let (timeframe, cf) = parameters(context);
    Ok(context.cluster.guest_history(guest, timeframe, cf).into())
}

pub(crate) fn of_node(context: &mut Context<'_>) -> Reply {
    let node = nodes::this(context)?;
    let (timeframe, cf) = parameters(context);
    Ok(context.cluster.node_history(node, timeframe, cf).into())
}

fn parameters<'a>(context: &'a Context<'_>) -> (&'a str, &'a str) {
    let value = |name: &str, usual: &'static str| context.call.parameters.get(name).map_or(usual, String::as_str);
    (value("timeframe", "hour"), value("cf", "AVERAGE"))
}
