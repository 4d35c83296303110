//! `ecobox demo`: the real commands, run by this same binary on a fleet that the simulator describes and serves.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ecobox_sim::keys::ClientKey;
use ecobox_sim::{Demo, DemoHost, DemoService};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;

/// The table of a service in the configuration.
const SERVICES: &str = "[[servers.services]]";

/// The table of how a server is woken.
const WAKE: &str = "[servers.wol]";

/// Walk through the commands on a simulated fleet
///
/// A cluster of three nodes and some plain servers run inside this process, on loopback addresses; nothing else is
/// touched. All that it writes is in a temporary folder, which is removed at the end.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Leave the fleet running, and say how a shell finds it
    #[arg(long)]
    keep: bool,
}

/// Ends the walk before its end.
#[derive(Debug, thiserror::Error)]
#[error("ended by a signal")]
struct Signalled(Exit);

/// Runs the walk; `runtime` waits for the commands and for signals, the fleet has threads of its own.
///
/// # Errors
/// A temporary folder that cannot be made; a command that does not end as it should.
pub(crate) fn run(args: &DemoArgs, color: bool, runtime: &Runtime) -> Result<Exit> {
    // Before anything is made: a signal must not leave it behind.
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [interrupt, terminate, hangup] = runtime.block_on(async { kinds.map(signal) });
    let signals = [interrupt?, terminate?, hangup?];
    let home = tempfile::Builder::new().prefix("ecobox-demo-").tempdir().context("making the demo's folder")?;
    let walk = World::new(home.path(), color, runtime, signals).and_then(|mut world| world.walk(args.keep));
    let Err(error) = walk else { return Ok(Exit::Done) };
    if let Some(Signalled(exit)) = error.downcast_ref() {
        return Ok(*exit);
    }
    // Who closes the pipe has read enough.
    let closed = error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
    if closed { Ok(Exit::Done) } else { Err(error) }
}

async fn any([interrupt, terminate, hangup]: &mut [Signal; 3]) -> Exit {
    tokio::select! {
        _ = interrupt.recv() => Exit::Interrupted,
        _ = terminate.recv() => Exit::Terminated,
        _ = hangup.recv() => Exit::Terminated,
    }
}

/// The fleet, and the home of somebody who looks after it.
struct World<'a> {
    home: &'a Path,
    color: bool,
    runtime: &'a Runtime,
    signals: [Signal; 3],
    fleet: Demo,
    /// `ssh` is there to read a configuration of its own.
    has_ssh: bool,
    program: PathBuf,
}

impl<'a> World<'a> {
    fn new(home: &'a Path, color: bool, runtime: &'a Runtime, signals: [Signal; 3]) -> Result<World<'a>> {
        use std::os::unix::fs::DirBuilderExt;
        let mut folders = std::fs::DirBuilder::new();
        folders.recursive(true).mode(0o700);
        for folder in [".ssh", ".config/ecobox"] {
            folders.create(home.join(folder))?;
        }
        let key = ClientKey::create(&home.join(".ssh/id_ed25519"), None);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let has_ssh = std::env::split_paths(&path).any(|folder| folder.join("ssh").is_file());
        let program = std::env::current_exe().context("finding the path of ecobox itself")?;
        let fleet = Demo::start(&key.public);
        let world = World { home, color, runtime, signals, fleet, has_ssh, program };
        world.write_ssh_config()?;
        Ok(world)
    }

    fn config_path(&self) -> PathBuf {
        self.home.join(".config/ecobox/config.toml")
    }

    fn state_path(&self) -> PathBuf {
        self.home.join(".local/state/ecobox/state.db")
    }

    /// ssh looks for its files in the home of the user, whatever HOME says. So that the user's own are neither read nor
    /// written, the demo has an `ssh_config` of its own; without `ssh` there is none, and HOME is what counts.
    fn write_ssh_config(&self) -> Result<()> {
        let file = self.home.join(".ssh/config");
        let setting = if self.has_ssh { format!("{:?}", file.display().to_string()) } else { "false".to_owned() };
        let folder = self.home.join(".ssh").display().to_string();
        std::fs::write(
            file,
            format!(
                "Host *\n    IdentityFile {folder}/id_ed25519\n    IdentitiesOnly yes\n    IdentityAgent none\n    \
                 UserKnownHostsFile {folder}/known_hosts\n    GlobalKnownHostsFile /dev/null\n"
            ),
        )?;
        let text = format!("# The demo's key and known_hosts, not yours.\n[ssh]\nconfig = {setting}\n");
        Ok(std::fs::write(self.config_path(), text)?)
    }

    fn walk(&mut self, keep: bool) -> Result<()> {
        self.introduce()?;
        say("Name the hosts. `init` writes the configuration, and looks at each over SSH:")?;
        self.init(|_| true)?;
        self.complete_config()?;
        say("One API token for the cluster, with no more rights than needed, made over SSH:")?;
        self.ecobox(&["setup-token"])?;
        say("From now on the API is asked: which guests there are, and their addresses:")?;
        self.ecobox(&["discover"])?;
        let news = self.fleet.evening();
        say(&format!("In the evening {news}. Everything at a glance:"))?;
        self.ecobox(&["status"])?;
        let before: Vec<SocketAddr> = self.on().map(|host| host.ssh).collect();
        let news = self.fleet.next_day();
        say(&format!("The next day {news}:"))?;
        self.init(|host| !before.contains(&host.ssh))?;
        self.complete_config()?;
        self.ecobox(&["setup-token"])?;
        self.ecobox(&["discover"])?;
        say("A part of the fleet, by tag, node, kind, pool, name or id:")?;
        self.ecobox(&["status", "tag=prod"])?;
        say("How hard hosts and guests work. Hosts are asked over SSH, one script each:")?;
        self.ecobox(&["stats", "node=pve2"])?;
        self.ecobox(&["stats", "pve2"])?;
        say("And how hard they worked, as Proxmox VE remembers it:")?;
        self.ecobox(&["stats", "db-01", "--since", "24h"])?;
        self.walk_power()?;
        if keep {
            self.keep()
        } else {
            say("That was the demo. `ecobox demo --keep` leaves the fleet running for you to try.")
        }
    }

    /// Down with reasons, down with a plan, and up again.
    fn walk_power(&mut self) -> Result<()> {
        say("pve2 is busy. Each failed check comes with the command that fixes it:")?;
        self.ecobox(&["power", "suspend", "pve2"])?;
        say("On pve3 only the archive runs: it is shut down first, and then its host sleeps:")?;
        self.ecobox(&["power", "suspend", "pve3", "--guests", "shutdown", "--yes"])?;
        self.ecobox(&["status", "pve3", "archive"])?;
        say("At eight in the evening somebody needs the archive. First the plan, then the action:")?;
        self.ecobox(&["power", "start", "archive", "--dry-run"])?;
        self.ecobox(&["power", "start", "archive"])
    }

    fn on(&self) -> impl Iterator<Item = &DemoHost> {
        self.fleet.hosts().iter().filter(|host| host.is_on)
    }

    /// Adds hosts that are on.
    fn init(&mut self, which: impl Fn(&DemoHost) -> bool) -> Result<()> {
        let hosts: Vec<String> =
            self.on().filter(|host| which(host)).map(|host| format!("root@{}", host.ssh)).collect();
        let args: Vec<&str> =
            ["init", "--accept-new"].into_iter().chain(hosts.iter().flat_map(|h| ["--host", h])).collect();
        self.ecobox(&args)
    }

    fn introduce(&self) -> Result<()> {
        let hosts = self.fleet.hosts();
        let list = |nodes: bool| {
            let of_kind = hosts.iter().filter(|host| host.is_node == nodes);
            let off = |host: &DemoHost| if host.is_on { "" } else { " (off)" };
            let shared = self.fleet.shared_address().is_some();
            let at =
                |host: &DemoHost| if shared { format!("port {}", host.ssh.port()) } else { host.ssh.ip().to_string() };
            of_kind.map(|host| format!("{} {}{}", host.name, at(host), off(host))).collect::<Vec<_>>().join(", ")
        };
        let mut out = io::stdout().lock();
        writeln!(out, "# A simulated fleet runs inside this process:")?;
        writeln!(out, "#   Proxmox VE  {}", list(true))?;
        writeln!(out, "#   Linux       {}", list(false))?;
        if let Some(why) = self.fleet.shared_address() {
            writeln!(out, "# All hosts share 127.0.0.1 here and differ in their ports:\n# {why}.")?;
        }
        writeln!(out, "# What the commands read and write is in {}.", self.home.display())?;
        Ok(())
    }

    /// What a person would now write into the configuration: services, and ports where the usual ones are taken.
    fn complete_config(&self) -> Result<()> {
        let mut text = std::fs::read_to_string(self.config_path())?;
        if self.fleet.shared_address().is_some() {
            say("The API has another port here: `api_port` is written into the configuration.")?;
            for (ssh, api) in self.on().filter_map(|host| Some((host.ssh.port(), host.api?.port()))) {
                let (line, setting) = (format!("ssh_port = {ssh}\n"), format!("api_port = {api}\n"));
                if !text.contains(&setting) {
                    text = text.replace(&line, &(line.clone() + &setting));
                }
            }
        }
        if !text.contains(SERVICES) {
            for DemoService { name, kind, port } in self.fleet.services() {
                let table = format!("\n{SERVICES}\nname = \"{name}\"\ntype = \"{kind}\"\nport = {port}\n");
                text.push_str(&table);
            }
            let names: Vec<&str> = self.fleet.services().iter().map(|service| service.name).collect();
            say(&format!("Into the configuration, by hand: what nas offers ({}).", names.join(", ")))?;
        }
        if let Some((host, port)) = self.fleet.sleeper()
            && !text.contains(WAKE)
        {
            // The entry that `init` added last is the host's.
            let table = format!("\n{WAKE}\nbroadcast = \"127.0.0.1\"\nport = {port}\n");
            text.push_str(&table);
            say(&format!(
                "Into the configuration, by hand: where magic packets for {host} go, as loopback has no broadcast."
            ))?;
        }
        Ok(std::fs::write(self.config_path(), text)?)
    }

    /// Shows a command as typed, and runs it. It may end with 8, as not all hosts are on, and with 11, as some things are
    /// refused.
    fn ecobox(&mut self, args: &[&str]) -> Result<()> {
        let typed = wrapped(args);
        let style = if self.color { anstyle::Style::new().bold() } else { anstyle::Style::new() };
        let mut out = io::stdout();
        writeln!(out, "{style}$ {typed}{style:#}")?;
        out.flush()?;
        let mut command = crate::transport::child::command(&self.program);
        // One transcript: what a command says on stderr stays in its place.
        let stderr = std::os::fd::AsFd::as_fd(&out).try_clone_to_owned()?;
        command.args(args).env_clear().envs(environment()).env("HOME", self.home);
        command.stderr(stderr);
        let signals = &mut self.signals;
        let status = self.runtime.block_on(async {
            let (mut child, _family) = crate::transport::child::spawn(&mut command).context("running ecobox")?;
            tokio::select! {
                status = child.wait() => anyhow::Ok(status?),
                exit = any(signals) => Err(Signalled(exit).into()),
            }
        })?;
        match status.code() {
            Some(0 | 8 | 11) => Ok(()),
            _ => anyhow::bail!("`ecobox {}` ended with {status}", args.join(" ")),
        }
    }

    /// Tells how a shell finds the fleet, and waits for a signal or the end of the input.
    fn keep(&mut self) -> Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "\n# The fleet keeps running. In another shell:")?;
        if self.has_ssh {
            writeln!(out, "export ECOBOX_CONFIG={}", self.config_path().display())?;
            writeln!(out, "export ECOBOX_STATE={}", self.state_path().display())?;
        } else {
            writeln!(out, "unset XDG_CONFIG_HOME XDG_STATE_HOME ECOBOX_CONFIG ECOBOX_STATE")?;
            writeln!(out, "export HOME={}", self.home.display())?;
        }
        writeln!(out, "alias ecobox={}", self.program.display())?;
        let first: Option<SocketAddr> = self.fleet.hosts().first().map(|host| host.ssh);
        if let (true, Some(first)) = (self.has_ssh, first) {
            let file = self.home.join(".ssh/config");
            writeln!(out, "ssh -F {} -p {} root@{}   # if you like", file.display(), first.port(), first.ip())?;
        }
        writeln!(out, "# Ctrl-C here ends it and removes everything.")?;
        drop(out);
        let (ended, end_of_input) = tokio::sync::oneshot::channel();
        // A terminal's end is a signal; to read from it would stop a demo in the background.
        let _watch = if io::stdin().is_terminal() {
            Some(ended)
        } else {
            std::thread::spawn(move || {
                let mut ignored = [0; 1024];
                while io::stdin().read(&mut ignored).is_ok_and(|count| count > 0) {}
                let _ = ended.send(());
            });
            None
        };
        let signals = &mut self.signals;
        self.runtime.block_on(async {
            tokio::select! { _ = any(signals) => {}, _ = end_of_input => {} }
        });
        Ok(())
    }
}

/// A line of explanation.
fn say(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "\n# {text}")?)
}

/// What a command may know of the user's environment: how to print, nothing of where things are.
fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    let kept =
        ["PATH", "TERM", "COLORTERM", "NO_COLOR", "CLICOLOR_FORCE", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"];
    std::env::vars_os().filter(move |(name, _)| kept.iter().any(|kept| name == kept))
}

/// The command line, broken before options so that it fits 80 columns.
fn wrapped(args: &[&str]) -> String {
    let mut text = "ecobox".to_owned();
    let mut width = 2 + text.len();
    for (i, arg) in args.iter().enumerate() {
        let needs = if arg.starts_with("--") {
            arg.len() + args.get(i + 1).map_or(0, |value| value.len() + 1)
        } else {
            arg.len()
        };
        if width + needs + 3 > 80 {
            text.push_str(" \\\n   ");
            width = 3;
        }
        text.push(' ');
        text.push_str(arg);
        width += 1 + arg.len();
    }
    text
}
