//! What the API of a Proxmox VE host told.

use super::{Clock, HostSeen};
use crate::model::access::scope::Comparison;
use crate::model::check::CheckId;
use crate::model::check::diagnosis::{Chart, Trouble};
use crate::model::check::fix::Fix;
use crate::model::id::ServerId;

/// An API that answers.
#[derive(Debug, Default)]
pub(crate) struct ApiSeen {
    /// By which rule its certificate was verified: `cluster-ca`, `fingerprint`; `insecure`: by none.
    pub(crate) trust: &'static str,
    /// What gives the token what it lacks.
    pub(crate) privileges_fix: String,
    /// How the token's privileges compare with its scope; `Err`: not known.
    pub(crate) privileges: Option<Result<Comparison, String>>,
    /// The scope and the major version it was compared for.
    pub(crate) scope: Option<(&'static str, u32)>,
    /// The nodes of its cluster that are not online; `None`: not known.
    pub(crate) quorate: Option<bool>,
    pub(crate) offline: Vec<String>,
    /// What its answers told of its clock; `None`: nothing.
    pub(crate) clock: Option<Clock>,
    /// How many seconds its certificate is valid yet; `None`: nobody says.
    pub(crate) certificate_left: Option<i64>,
}

/// From the port to an answer.
const WAY: [CheckId; 15] = [
    CheckId::ApiUnreachable,
    CheckId::ApiPortClosed,
    CheckId::ApiCloses,
    CheckId::NotPve,
    CheckId::Redirected,
    CheckId::ProxyLogin,
    CheckId::ProxyFailed,
    CheckId::CertificateChanged,
    CheckId::CertificateOther,
    CheckId::CertificateExpiring,
    CheckId::NoToken,
    CheckId::TokenRefused,
    CheckId::UserDisabled,
    CheckId::ApiFails,
    CheckId::NodeLost,
];

/// What an answer tells.
const ANSWERED: [CheckId; 4] =
    [CheckId::CertificateUnchecked, CheckId::PrivilegeMissing, CheckId::RoleOutdated, CheckId::PrivilegeExcess];

/// What the API of pveproxy says of who it lets in, where it closes connections.
fn allow_from(seen: &HostSeen) -> Option<String> {
    let Some(Ok(system)) = &seen.system else { return None };
    let settings: Vec<String> = system
        .pveproxy
        .iter()
        .filter(|(key, _)| key != "LISTEN_IP")
        .map(|(key, value)| format!("{key}=\"{value}\""))
        .collect();
    (!settings.is_empty()).then(|| settings.join(", "))
}

/// What a node with a service that is down cannot have answered.
const DOWN: [CheckId; 4] = [CheckId::PmxcfsDown, CheckId::PveproxyDown, CheckId::PvedaemonDown, CheckId::QuorumLost];

pub(super) fn judge(server: &ServerId, seen: &HostSeen, broken: Option<CheckId>, chart: &mut Chart) {
    let Some(api) = &seen.api else { return };
    match api {
        // A host without SSH that is off: nothing else shows it.
        Err(trouble) if seen.login.is_none() && trouble.id == CheckId::ApiUnreachable && seen.may_be_away.is_some() => {
            chart.fine(CheckId::ApiUnreachable, seen.may_be_away.clone().unwrap_or_default());
            chart.skip(&WAY, CheckId::ApiUnreachable);
            chart.skip(&ANSWERED, CheckId::ApiUnreachable);
        }
        Err(trouble) => {
            let cause = cause(trouble, broken, chart);
            if let Some(cause) = cause {
                chart.skip(&WAY, cause);
            } else {
                let trouble = explained(server, trouble, seen);
                chart.steps(&WAY, Some(&trouble));
                share(trouble.id, seen, chart);
            }
            chart.skip(&ANSWERED, cause.unwrap_or(trouble.id));
        }
        Ok(api) => {
            chart.steps(&WAY, None);
            if broken.is_some() || seen.system.is_none() {
                quorum(api, seen, chart);
            }
            answered(server, api, seen, chart);
        }
    }
}

/// What was found already, of which it is no wonder that the API does not answer.
fn cause(trouble: &Trouble, broken: Option<CheckId>, chart: &Chart) -> Option<CheckId> {
    let down = DOWN.iter().copied().find(|id| chart.has_wrong(*id) && *id != CheckId::QuorumLost);
    let on_the_way = matches!(
        broken,
        Some(
            CheckId::NameUnknown
                | CheckId::HostAway
                | CheckId::JumpHost
                | CheckId::NoNetwork
                | CheckId::SshConfigInvalid
        )
    );
    let reached = !matches!(
        trouble.id,
        CheckId::NoToken | CheckId::CertificateOther | CheckId::TokenRefused | CheckId::PrivilegeMissing
    );
    // Whoever is reached through the host's own SSH says what is in the way of that.
    let same = trouble.id == CheckId::HostAway || broken == Some(trouble.id);
    if reached && on_the_way || same {
        return broken.or(Some(trouble.id));
    }
    down.filter(|_| reached)
}

/// The same with what the host itself says about it: whom pveproxy lets in.
fn explained(server: &ServerId, trouble: &Trouble, seen: &HostSeen) -> Trouble {
    let Some(settings) = allow_from(seen).filter(|_| trouble.id == CheckId::ApiCloses) else { return trouble.clone() };
    let from = match &seen.system {
        Some(Ok(system)) => system.preflight.ssh_client.map(|ip| format!(" {ip}")).unwrap_or_default(),
        _ => String::new(),
    };
    let finding = format!("pveproxy closes connections from here: /etc/default/pveproxy says {settings}");
    let text = format!(
        "let ALLOW_FROM in /etc/default/pveproxy on {server} have this machine's address{from}, then run \
         `systemctl restart pveproxy` there"
    );
    Trouble { id: trouble.id, finding, fix: Some(Fix { on: Some(server.clone()), ..Fix::say(text) }), at: None }
}

/// A cluster has one token: what is wrong with it is wrong on each of its nodes.
fn share(id: CheckId, seen: &HostSeen, chart: &mut Chart) {
    let of_cluster = [CheckId::NoToken, CheckId::TokenRefused, CheckId::UserDisabled];
    if of_cluster.contains(&id)
        && let Some(wrong) = chart.list.iter_mut().find(|one| one.id == id && one.verdict.is_wrong())
    {
        wrong.shared.clone_from(&seen.cluster);
    }
}

fn quorum(api: &ApiSeen, seen: &HostSeen, chart: &mut Chart) {
    match api.quorate {
        Some(false) => {
            let missing = api.offline.join(", ");
            let finding = if missing.is_empty() {
                "its cluster has no quorum".to_owned()
            } else {
                format!("its cluster has no quorum: {missing} not online")
            };
            let fix = Fix::of(CheckId::QuorumLost, &[]);
            chart.problem(CheckId::QuorumLost, finding, Some(fix)).shared.clone_from(&seen.cluster);
        }
        Some(true) => chart.ok(CheckId::QuorumLost),
        None => chart.unknown(CheckId::QuorumLost, "the token may not ask"),
    }
}

fn answered(server: &ServerId, api: &ApiSeen, seen: &HostSeen, chart: &mut Chart) {
    super::upkeep::certificate(server, api.certificate_left, chart);
    if api.trust == "insecure" {
        let finding = "its certificate is not verified: whoever answers gets the token";
        let fix = Fix::say(format!("remove `verify_tls = false` of `{server}` from the configuration"));
        chart.warning(CheckId::CertificateUnchecked, finding, Some(fix));
    } else {
        chart.fine(CheckId::CertificateUnchecked, format!("verified by {}", api.trust));
    }
    let all = [CheckId::PrivilegeMissing, CheckId::RoleOutdated, CheckId::PrivilegeExcess];
    match &api.privileges {
        None => {}
        Some(Err(why)) => all.iter().for_each(|id| chart.unknown(*id, why.as_str())),
        Some(Ok(comparison)) => privileges(api, comparison, seen, chart),
    }
}

/// Reading a virtual machine's addresses, since Proxmox VE 9: a role that was made before does not have it.
const SINCE_9: &str = "VM.GuestAgent.Audit";

fn privileges(api: &ApiSeen, comparison: &Comparison, seen: &HostSeen, chart: &mut Chart) {
    let (scope, major) = api.scope.unwrap_or(("operator", 9));
    let missing = comparison.missing.iter().map(String::as_str);
    let (agent, others): (Vec<&str>, Vec<&str>) = missing.partition(|privilege| *privilege == SINCE_9);
    let fix = || Some(Fix::say(api.privileges_fix.clone()));
    if others.is_empty() {
        chart.ok(CheckId::PrivilegeMissing);
    } else {
        let all: Vec<&str> = others.iter().chain(&agent).copied().collect();
        let finding = format!("its token lacks {} for the scope `{scope}`", all.join(", "));
        chart.problem(CheckId::PrivilegeMissing, finding, fix()).shared.clone_from(&seen.cluster);
    }
    if !others.is_empty() {
        chart.skip(&[CheckId::RoleOutdated], CheckId::PrivilegeMissing);
    } else if agent.is_empty() {
        chart.ok(CheckId::RoleOutdated);
    } else {
        let finding = format!("its token lacks {SINCE_9}, which Proxmox VE {major} has for reading guests' addresses");
        chart.warning(CheckId::RoleOutdated, finding, fix()).shared.clone_from(&seen.cluster);
    }
    if comparison.excess.is_empty() {
        chart.ok(CheckId::PrivilegeExcess);
    } else {
        let finding = format!("its token also has {}, more than `{scope}` needs", comparison.excess.join(", "));
        let fix = Fix::of(CheckId::PrivilegeExcess, &[]);
        chart.warning(CheckId::PrivilegeExcess, finding, Some(fix)).shared.clone_from(&seen.cluster);
    }
}
