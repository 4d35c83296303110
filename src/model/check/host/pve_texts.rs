//! What is said of the checks of Proxmox VE hosts and their API.

use crate::model::check::{CheckId, Text};

pub(in crate::model::check) const TEXTS: &[(CheckId, Text)] = &[
    (
        CheckId::PveOld,
        Text {
            fault: "this version of Proxmox VE is not supported",
            looks: "the version of Proxmox VE",
            why: "ecobox supports Proxmox VE 7, 8 and 9",
            fix: "upgrade the host",
        },
    ),
    (
        CheckId::PmxcfsDown,
        Text {
            fault: "the cluster's file system is not mounted",
            looks: "whether /etc/pve is mounted",
            why: "without it neither the API nor root's SSH keys work on the host",
            fix: "look on the host's console: `systemctl status pve-cluster`; until it runs, root's SSH keys in \
                  /etc/pve/priv do not work",
        },
    ),
    (
        CheckId::QuorumLost,
        Text {
            fault: "the cluster has no quorum",
            looks: "whether the cluster has quorum, and which of its nodes are online",
            why: "without quorum Proxmox VE starts no guest and changes no configuration",
            fix: "bring its other nodes back; `pvecm status` on a node says which votes are missing",
        },
    ),
    (
        CheckId::NodeLost,
        Text {
            fault: "a cluster does not see a node: one that answers, or one that is not configured",
            looks: "which nodes the cluster counts as online, and whether the others answer or are configured: ecobox can only have put \
                    to sleep what is configured",
            why: "its guests are shown as unknown, and HA may start them elsewhere",
            fix: "look at its place in the cluster with `{command}`",
        },
    ),
    (
        CheckId::PveproxyDown,
        Text {
            fault: "pveproxy does not run",
            looks: "the service pveproxy on the host",
            why: "it is the API: without it guests can be neither listed nor controlled",
            fix: "on the host: `systemctl restart pveproxy`; it stops no guest",
        },
    ),
    (
        CheckId::PvedaemonDown,
        Text {
            fault: "pveproxy answers, and pvedaemon behind it does not",
            looks: "the service pvedaemon on the host",
            why: "pveproxy answers by itself only a little: nothing can be started, stopped or measured",
            fix: "look at it with `{command}`; a restart of pvedaemon stops no guest",
        },
    ),
    (
        CheckId::PvestatdDown,
        Text {
            fault: "pvestatd does not run",
            looks: "the service pvestatd on the host",
            why: "states and numbers of its guests grow old and then turn to `unknown`",
            fix: "on the host: `systemctl restart pvestatd`; it stops no guest",
        },
    ),
    (
        CheckId::ApiUnreachable,
        Text {
            fault: "the API does not answer from here",
            looks: "the port of the API, as seen from this machine",
            why: "the API runs, and something between here and there drops the connection: guests can be neither \
                  listed nor controlled",
            fix: "open the port of the API for this machine: look at the firewall of the host and of its network",
        },
    ),
    (
        CheckId::ApiPortClosed,
        Text {
            fault: "nothing listens at the port of the API",
            looks: "the port of the API",
            why: "guests can be neither listed nor controlled",
            fix: "start pveproxy there (`systemctl start pveproxy`), or check `api_port` of `{server}` in {config}",
        },
    ),
    (
        CheckId::ApiCloses,
        Text {
            fault: "the port of the API closes before anything is said",
            looks: "the port of the API, and ALLOW_FROM in /etc/default/pveproxy",
            why: "pveproxy closes connections from addresses that it does not allow",
            fix: "the connection is closed before anything is sent: for a Proxmox VE host look at ALLOW_FROM in \
                  /etc/default/pveproxy",
        },
    ),
    (
        CheckId::NotPve,
        Text {
            fault: "something else answers where the API should be",
            looks: "what answers at the port of the API",
            why: "the token must not go to anybody else",
            fix: "check `hostname` and `api_port` of `{server}` in {config}: something else answers there",
        },
    ),
    (
        CheckId::Redirected,
        Text {
            fault: "something in front of the API redirects",
            looks: "what answers at the port of the API",
            why: "ecobox follows no redirect: the token must not go to anybody else",
            fix: "something in front of the API sends ecobox elsewhere: set `hostname` and `api_port` of `{server}` \
                  in {config} to the host itself",
        },
    ),
    (
        CheckId::ProxyLogin,
        Text {
            fault: "a proxy in front of the API refuses ecobox, or wants a login of its own",
            looks: "what answers at the port of the API",
            why: "the API behind the proxy is never asked",
            fix: "a proxy in front of the API refuses ecobox before the token is looked at: set `hostname` and \
                  `api_port` of `{server}` in {config} to the host itself",
        },
    ),
    (
        CheckId::ProxyFailed,
        Text {
            fault: "a proxy in front of the API does not reach it",
            looks: "what answers at the port of the API",
            why: "the API behind the proxy is never asked",
            fix: "a proxy in front of the API does not reach it: start pveproxy on the host, or set \
                  `hostname` and `api_port` of `{server}` in {config} to the host itself",
        },
    ),
    (
        CheckId::ApiFails,
        Text {
            fault: "the API answers with an error",
            looks: "one request to the API that any token may make",
            why: "guests can be neither listed nor controlled",
            fix: "look at the message; `journalctl -u pveproxy -u pvedaemon` on the host says more",
        },
    ),
    (
        CheckId::CertificateChanged,
        Text {
            fault: "the API's certificate is not the one that was learned over SSH",
            looks: "the API's certificate against what was learned over SSH, and against what the host says now",
            why: "somebody else may answer in its place: the token is not sent",
            fix: "run `ecobox setup-token{check} {server}` to look at the certificate over SSH; if it is refused \
                  again, somebody else answers there",
        },
    ),
    (
        CheckId::CertificateOther,
        Text {
            fault: "the API's certificate is not the one that the configuration names",
            looks: "the API's certificate against `fingerprint` or `ca_file` of the configuration, or the CAs of \
                    this machine",
            why: "somebody else may answer in its place: the token is not sent",
            fix: "if {fingerprint} is its certificate, set `fingerprint = \"{fingerprint}\"` of `{server}` in \
                  {config}, or `ca_file` to a copy of the host's /etc/pve/pve-root-ca.pem",
        },
    ),
    (
        CheckId::CertificateUnchecked,
        Text {
            fault: "the API's certificate is not verified",
            looks: "whether the configuration switches verification off",
            why: "whoever answers at the address gets the token",
            fix: "remove `verify_tls = false` of `{server}` in {config}",
        },
    ),
    (
        CheckId::CertificateExpiring,
        Text {
            fault: "the API's certificate expires soon",
            looks: "until when the API's certificate is valid",
            why: "once it has expired the API is refused; Proxmox VE renews its own two weeks before, unless the \
                  host sleeps",
            fix: "on the host: `pvecm updatecerts --force`, then `systemctl reload pveproxy`",
        },
    ),
    (
        CheckId::NoToken,
        Text {
            fault: "there is no API token for the server",
            looks: "the token for the API: `token_command`, the environment, systemd's credentials, the state file",
            why: "guests can be neither listed nor controlled",
            fix: "run `ecobox setup-token`, or give a token by `token_command` or ECOBOX_TOKEN_<ID> (see \
                  config.example.toml)",
        },
    ),
    (
        CheckId::TokenRefused,
        Text {
            fault: "Proxmox VE does not take the token",
            looks: "whether Proxmox VE takes the token",
            why: "guests can be neither listed nor controlled",
            fix: "run `ecobox setup-token` to make another one",
        },
    ),
    (
        CheckId::UserDisabled,
        Text {
            fault: "the user of the token is disabled, or its account has ended",
            looks: "whether Proxmox VE takes the token",
            why: "guests can be neither listed nor controlled",
            fix: "let its tokens work again, on that host: `pveum user modify {user} {option}`",
        },
    ),
    (
        CheckId::TokenExpiring,
        Text {
            fault: "the API token expires soon",
            looks: "until when the token is valid",
            why: "once it has expired guests can be neither listed nor controlled",
            fix: "let it end later on a node of its cluster: `pveum user token modify {user} {token} --expire 0` (0 is never, \
                  else seconds since 1970); `ecobox setup-token --rotate` keeps its end",
        },
    ),
    (
        CheckId::PrivilegeMissing,
        Text {
            fault: "the token may not do it",
            looks: "what the token may do, against what its scope needs",
            why: "what the token may not see is missing from reports, and what it may not do is refused",
            fix: "run `ecobox setup-token{scope}` to give it what is missing",
        },
    ),
    (
        CheckId::PrivilegeExcess,
        Text {
            fault: "the token may do more than its scope needs",
            looks: "what the token may do, against what its scope needs",
            why: "whoever steals the token can do more than necessary",
            fix: "take the other roles from the token and its user in Proxmox VE (Datacenter, Permissions), or make \
                  another one by `ecobox setup-token`",
        },
    ),
    (
        CheckId::RoleOutdated,
        Text {
            fault: "the role of the token is that of an older Proxmox VE",
            looks: "the role of the token on Proxmox VE 9",
            why: "a role that was made on Proxmox VE 8 lacks VM.GuestAgent.Audit after the upgrade, so that virtual \
                  machines have no addresses",
            fix: "run `ecobox setup-token`, which brings the role up to date",
        },
    ),
    (
        CheckId::StorageUnavailable,
        Text {
            fault: "a storage is enabled and not available",
            looks: "the storages that are enabled on the node",
            why: "guests with disks there do not start, and backups to it fail",
            fix: "look at it in Proxmox VE (Datacenter, Storage), or disable it for this node",
        },
    ),
    (
        CheckId::StorageFull,
        Text {
            fault: "a storage is nearly full",
            looks: "how full the storages are",
            why: "guests on a full storage stop with I/O errors, and backups fail",
            fix: "delete old backups, snapshots or unused disks there",
        },
    ),
    (
        CheckId::BackupFailed,
        Text {
            fault: "the last backup of a guest failed",
            looks: "the last backup of each guest, in the task logs of its node",
            why: "a guest without a backup is lost with its disk",
            fix: "see why in the task's log in Proxmox VE, and run the backup again",
        },
    ),
];
