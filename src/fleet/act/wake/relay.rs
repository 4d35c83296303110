//! Magic packets from another server: one script over SSH, with whatever program that server has.

// A place that was found in foreign text is no promise: what is not there must be an answer, and not the end.
#![cfg_attr(not(test), deny(clippy::string_slice, clippy::indexing_slicing))]

use std::fmt::Write as _;
use std::net::IpAddr;

use zeroize::Zeroizing;

use super::{Parcel, SendError, Sent};
use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::model::host::magic_packet::Mac;
use crate::model::id::ServerId;
use crate::model::inventory::FailureKind;
use crate::model::inventory::server::ServerKey;
use crate::model::power::PowerState;
use crate::model::text::{clean, cut};
use crate::transport::Error;
use crate::transport::ssh::HostKeyPolicy;
use crate::transport::wol::Order;

/// Sends the packet, and says what it sent. Before it stand the values.
///
/// The packet may hold a password: it goes through a pipe, and never into the arguments of a program, which every user of
/// the relay could read. A program that only takes it as an argument is not used then.
const SCRIPT: &str = r#"
set -f
networks() {
	ip -o -4 addr show up 2>/dev/null | while read -r number name family own rest; do
		[ -z "$interface" ] || [ "$name" = "$interface" ] || continue
		case " $rest" in *' brd '*) ;; *) continue ;; esac
		rest=" $rest"
		rest=${rest#* brd }
		echo "$name ${own%/*} ${rest%% *}"
	done
}
nets=$(networks)
own=-
if [ -n "$interface" ] && [ -n "$nets" ]; then
	own=${nets#* }
	own=${own%% *}
fi
targets() {
	if [ -n "$broadcast" ]; then
		echo "$broadcast $own"
	elif [ -n "$nets" ]; then
		printf '%s\n' "$nets" | while read -r name from to; do
			echo "255.255.255.255 $from"
			echo "$to $from"
		done
	else
		echo "255.255.255.255 $own"
	fi
	[ -z "$last" ] || echo "$last $own"
}
ways() {
	targets | while read -r to from; do
		for port in $ports; do echo "$to $port $from"; done
	done
}
frames() {
	names=${interface:-$(printf '%s\n' "$nets" | while read -r name rest; do echo "$name"; done)}
	for name in ${names:-eth0}; do
		if why=$("$@" -b -i "$name" "$mac" 2>&1 </dev/null); then
			echo "frame $name"
		else
			echo "failed $name - "$why
		fi
	done
}
if perl -MSocket -e 1 2>/dev/null; then
	echo by perl
	{ echo "$packet"; ways; } | perl -MSocket -e '
		chomp(my $hex = <STDIN>);
		my $packet = pack "H*", $hex;
		while (my $way = <STDIN>) {
			my ($to, $port, $own) = split " ", $way;
			my $s;
			my $ok = socket($s, PF_INET, SOCK_DGRAM, 17) && setsockopt($s, SOL_SOCKET, SO_BROADCAST, 1);
			$ok = $own ne "-" if $ok && $ARGV[0] ne "" && !setsockopt($s, SOL_SOCKET, 25, "$ARGV[0]\0");
			$ok = bind($s, pack_sockaddr_in(0, inet_aton($own))) if $ok && $own ne "-";
			$ok = defined send($s, $packet, 0, pack_sockaddr_in($port, inet_aton($to))) if $ok;
			print $ok ? "sent $to $port\n" : "failed $to $port $!\n";
		}' "$interface"
elif python3 -c 'import socket' 2>/dev/null; then
	echo by python3
	{ echo "$packet"; ways; } | python3 -c '
import socket, sys
packet = bytes.fromhex(sys.stdin.readline().strip())
for way in sys.stdin:
    to, port, own = way.split()
    try:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        try:
            if sys.argv[1]:
                s.setsockopt(socket.SOL_SOCKET, 25, sys.argv[1].encode() + bytes(1))
        except OSError:
            if own == "-":
                raise
        if own != "-":
            s.bind((own, 0))
        s.sendto(packet, (to, int(port)))
        print("sent", to, port)
    except OSError as error:
        print("failed", to, port, error.strerror)
' "$interface"
elif [ -n "$password" ]; then
	echo none
elif command -v etherwake >/dev/null; then
	echo by etherwake
	frames etherwake
elif command -v ether-wake >/dev/null; then
	echo by ether-wake
	frames ether-wake
elif command -v busybox >/dev/null && busybox --list 2>/dev/null | grep -qx ether-wake; then
	echo by busybox
	frames busybox ether-wake
elif command -v wakeonlan >/dev/null; then
	echo by wakeonlan
	ways | while read -r to port from; do
		if why=$(wakeonlan -i "$to" -p "$port" "$mac" 2>&1 </dev/null); then
			echo "sent $to $port"
		else
			echo "failed $to $port "$why
		fi
	done
else
	echo none
fi
"#;

/// The script with its values; none of them needs quoting. It may hold a secret.
fn script(order: &Order<'_>, mac: Mac, has_password: bool) -> Zeroizing<String> {
    // Room for all of it: what grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(SCRIPT.len() + 1024));
    let last = order.last_address.filter(|last| last.is_ipv4() && Some(*last) != order.broadcast.map(IpAddr::V4));
    let ports: Vec<String> = order.ports().iter().map(ToString::to_string).collect();
    text.push_str("packet=");
    for byte in order.packet {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    let _ = write!(
        text,
        "\nmac={mac} password={} interface={} broadcast={} last={} ports='{}'\n{SCRIPT}",
        if has_password { "yes" } else { "" },
        order.interface.unwrap_or_default(),
        order.broadcast.map(|address| address.to_string()).unwrap_or_default(),
        last.map(|address| address.to_string()).unwrap_or_default(),
        ports.join(" "),
    );
    text
}

/// What is believed of what the script prints: a line for each way and each port, and each a few words.
const MOST_LINES: usize = 256;
const LONGEST_LINE: usize = 200;

/// What the script says that it sent. Else why nothing was.
pub(super) fn read(text: &str, interface: Option<&str>, has_password: bool) -> Result<Sent, String> {
    let mut all = Sent::default();
    let by = interface.map(|name| format!(" by {name}")).unwrap_or_default();
    for line in text.lines().take(MOST_LINES) {
        let line = cut(line, LONGEST_LINE);
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("none"), None, ..) => {
                let why = if has_password {
                    "it has neither perl nor python3, and other programs would show SecureOn's password"
                } else {
                    "it has none of perl, python3, etherwake, ether-wake and wakeonlan"
                };
                return Err(why.to_owned());
            }
            (Some("sent"), Some(to), Some(port), None) => {
                all.sent.push(clean(&format!("{to}:{port}{by}")).into_owned());
            }
            (Some("frame"), Some(name), None, _) => all.sent.push(clean(&format!("a frame by {name}")).into_owned()),
            (Some("failed"), Some(name), Some("-"), why) => {
                all.failed.push(clean(&format!("a frame by {name}: {}", why.unwrap_or_default())).into_owned());
            }
            (Some("failed"), Some(to), Some(port), why) => {
                all.failed.push(clean(&format!("{to}:{port}{by}: {}", why.unwrap_or_default())).into_owned());
            }
            _ => {}
        }
    }
    if !all.sent.is_empty() {
        return Ok(all);
    }
    Err(if all.failed.is_empty() { "it does not say what it sent".to_owned() } else { all.failed.join("; ") })
}

impl Fleet<'_> {
    /// Sends one round of packets from another server.
    pub(super) async fn send_from(
        &self,
        relay: &ServerId,
        parcel: &Parcel<'_>,
        packet: &[u8],
    ) -> Result<Sent, SendError> {
        let Some(server) = self.config.servers.iter().find(|server| server.id == *relay) else {
            let detail = "it is not configured".to_owned();
            return Err(SendError::NoMeans { relay: relay.clone(), detail });
        };
        self.refuse_circle(server, parcel.server).await?;
        let order = parcel.order(packet);
        let has_password = parcel.secure_on.is_some();
        let script = script(&order, parcel.mac, has_password);
        let output = self.run_script_in_time(server, HostKeyPolicy::Refuse, &script).await;
        let output = output.map_err(|error| {
            // The next try needs a session of its own.
            self.forget_session(&server.id);
            SendError::Relay { relay: relay.clone(), state: self.state_of_relay(relay, &error), error }
        })?;
        read(&output.stdout, order.interface, has_password)
            .map_err(|detail| SendError::NoMeans { relay: relay.clone(), detail })
    }

    /// Refuses a relay that is reached through the server that sleeps: by `ssh_config`, which only a look at the way tells.
    pub(in crate::fleet) async fn refuse_circle(
        &self,
        relay: &ServerConfig,
        sleeper: &ServerConfig,
    ) -> Result<(), SendError> {
        if relay.access != Access::Ssh || sleeper.access != Access::Ssh {
            return Ok(());
        }
        // What is wrong with the way itself is reported when it is used.
        let (Ok(way), Ok(target)) = (self.route(relay).await, self.route(sleeper).await) else { return Ok(()) };
        let (Some((_, jumps)), Some(target)) = (way.hops().split_last(), target.hops().last()) else { return Ok(()) };
        if jumps.iter().any(|hop| (&hop.host, hop.port) == (&target.host, target.port)) {
            let detail = format!("it is reached through {} itself, which has to be awake for that", sleeper.id);
            return Err(SendError::NoMeans { relay: relay.id.clone(), detail });
        }
        Ok(())
    }

    /// What keeps a relay from answering, as far as is known.
    fn state_of_relay(&self, relay: &ServerId, error: &Error) -> PowerState {
        if error.kind() != FailureKind::Unreachable {
            // Something answered.
            return PowerState::Online;
        }
        if matches!(error, Error::Connect { failure, .. } if !failure.reached_host()) {
            // The relay itself was not reached.
            return PowerState::Unknown;
        }
        let sleeps = self.state.intended_sleep().is_ok_and(|marks| marks.get(relay).is_some_and(|mark| mark.asleep));
        let known = || self.state.states().ok()?.get(&ServerKey::of_server(relay)).map(|known| known.state);
        match known() {
            _ if sleeps => PowerState::Asleep,
            Some(PowerState::Asleep) => PowerState::Asleep,
            _ => PowerState::Offline,
        }
    }
}

#[cfg(test)]
mod tests;
