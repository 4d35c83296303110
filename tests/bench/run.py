#!/usr/bin/env python3
"""Measures what a run of ecobox costs, held against the least a program can do for the same job.

Jobs (all of them, if none is named):
  start     `ecobox --version`
  status    `ecobox status -o json` of 300 and 5,000 guests, at 0 and at 20 ms a request
  check     `ecobox check --cached` of 300 and 5,000 guests, held against `ecobox --version`
  advise    `ecobox advise --cached` over 30 days of 300 and 5,000 guests, held against `ecobox --version`
  stats     `ecobox stats -o json`, likewise, and of 1, 20 and 100 SSH hosts
  record    what it costs `ecobox status` to keep the numbers of 5,000 guests, held against guests that have none
  discover  `ecobox discover` with addresses, also with guest agents that do not answer
  visits    `ecobox init` of 1, 20 and 100 SSH hosts, against OpenSSH's sshd on 127.0.0.1, 127.0.0.2, ...
  hung      `ecobox status -o json` with one node of three hung, held against the same without

The contestants run in turn, and every ratio is of runs made side by side: read the ratios, not the milliseconds, and
leave the machine alone meanwhile. Clusters are simulated (tests/sim/examples/serve.rs), the least a program can do is
tests/sim/examples/floor.rs. The simulator's own work is in every wall time. Nothing is asserted: the goal stands
beside the figure. Everything listens on loopback; what is written is in a temporary folder.
"""

import argparse
import json
import os
import resource
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Contestant:
    """A command in its environment, and its figures."""

    def __init__(self, name, argv, env=None, goal="", cluster=None, statuses=(0,)):
        self.name, self.argv, self.env, self.goal = name, [str(arg) for arg in argv], env or {}, goal
        self.cluster, self.statuses = cluster, statuses
        self.runs, self.peak, self.stats = [], None, None

    def environment(self):
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **self.env}

    def look(self, lines):
        """One run that is not timed: that it does the job, its memory, and what it asked."""
        if self.cluster:
            self.cluster.tell("reset")
        # Not into this script's memory: see `run`.
        with tempfile.TemporaryFile("w+") as out:
            process = subprocess.Popen(
                self.argv, env=self.environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
            )
            seen = []
            watch = threading.Thread(target=high_water, args=(process.pid, seen))
            watch.start()
            process.wait(timeout=300)
            watch.join()
            out.seek(0)
            head = "".join(out.readline(300) for _ in range(20))
            if process.returncode not in self.statuses or head.count("\n") + sum(1 for _ in out) < lines:
                sys.exit(f"{self.name}: exit status {process.returncode}\n{head}")
        self.peak = max(seen, default=0)
        self.stats = self.cluster.ask("stats") if self.cluster else None

    def run(self, null):
        started = time.perf_counter()
        files = [(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1, 2)]
        pid = os.posix_spawnp(self.argv[0], self.argv, self.environment(), file_actions=files)
        _, _, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - started
        # What the kernel reports begins at this script's own size: below it, only what was watched tells.
        if usage.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + 512:
            self.peak = max(self.peak, usage.ru_maxrss)
        self.runs.append((wall, usage.ru_utime + usage.ru_stime))
        return wall


def high_water(pid, seen):
    """Reads the largest memory so far, in KiB, as long as the process lives."""
    while True:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return
        peak = [line for line in status.splitlines() if line.startswith("VmHWM")]
        # Before its exec the process is still this script.
        if peak and not status.startswith("Name:\tpython"):
            seen.append(int(peak[0].split()[1]))
        if not peak:
            return
        time.sleep(0.0005)


def measure(title, contestants, args, lines=0):
    for contestant in contestants:
        contestant.look(lines if isinstance(lines, int) else lines.get(contestant.name, 0))
    null = os.open(os.devnull, os.O_RDWR)
    began, rounds = time.monotonic(), 0
    while rounds < args.rounds and (rounds < 3 or time.monotonic() - began < args.budget):
        for contestant in contestants:
            contestant.run(null)
        rounds += 1
    os.close(null)
    report(title, contestants)


def report(title, contestants):
    reference = contestants[0]
    counted = any(contestant.stats for contestant in contestants)
    head = ["", "wall ms", "min-max", "x wall", "CPU ms", "x CPU", "peak MiB"]
    head += ["calls", "connections", "at once"] if counted else []
    print(f"\n### {title}\n\n| " + " | ".join([*head, "runs", "goal"]) + " |")
    print("| --- |" + " ---: |" * len(head) + " --- |")
    for one in contestants:
        walls, cpus = [run[0] for run in one.runs], [run[1] for run in one.runs]
        against = list(zip(one.runs, reference.runs))
        cells = [one.name, ms(statistics.median(walls)), f"{ms(min(walls))}-{ms(max(walls))}"]
        cells.append(f"{statistics.median(a[0] / b[0] for a, b in against):.2f}")
        cells.append(ms(statistics.median(cpus)))
        cells.append(f"{statistics.median(a[1] / b[1] for a, b in against if b[1] > 0):.2f}")
        cells.append(f"{one.peak / 1024:.1f}")
        if counted:
            stats = one.stats or {}
            cells += [str(stats.get(key, "")) for key in ("calls", "connections", "at_once")]
        print("| " + " | ".join([*cells, str(len(one.runs)), one.goal]) + " |")
    sys.stdout.flush()


def ms(seconds):
    value = seconds * 1000
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


class Simulated:
    """A simulated cluster, and a home whose configuration reaches it."""

    def __init__(self, tools, work, *options):
        argv = [tools.serve, *[str(option) for option in options]]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        described = json.loads(self.process.stdout.readline())
        self.home = Path(tempfile.mkdtemp(dir=work))
        ca = self.home / "ca.pem"
        ca.write_text(described["ca"])
        nodes = described["nodes"]
        tables = [
            f'[[servers]]\nid = "{node["name"]}"\ntype = "proxmox"\nhostname = "127.0.0.1"\n'
            f'api_port = {node["port"]}\nca_file = "{ca}"\n'
            for node in nodes
        ]
        configure(self.home, "\n".join(tables))
        tokens = {f"ECOBOX_TOKEN_{node['name'].upper()}": described["token"] for node in nodes}
        self.env = {"HOME": str(self.home), **tokens}
        self.floor_env = {"PORT": str(nodes[0]["port"]), "TOKEN": described["token"], "CA": str(ca)}

    def tell(self, order):
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()

    def ask(self, order):
        self.tell(order)
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def configure(home, text):
    path = home / ".config/ecobox/config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("[ssh]\nconfig = false\n\n" + text)


class Hosts:
    """sshd on many addresses of the loopback, with keys of its own, and a home whose configuration reaches them."""

    PER_SSHD = 16  # so many addresses one sshd listens on

    def __init__(self, work, count):
        sshd = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        self.home = Path(tempfile.mkdtemp(dir=work))
        self.key, host_key = self.home / "key", self.home / "host_key"
        for path in (self.key, host_key):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        self.host_key = Path(f"{host_key}.pub")
        shutil.copy(f"{self.key}.pub", self.home / "authorized_keys")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.names = [f"127.0.0.{number}" for number in range(1, count + 1)]
        key = " ".join(self.host_key.read_text().split()[:2])
        (self.home / ".ssh").mkdir(mode=0o700)
        (self.home / ".ssh/known_hosts").write_text("".join(f"[{name}]:{self.port} {key}\n" for name in self.names))
        self.user = subprocess.run(["id", "-un"], check=True, capture_output=True, text=True).stdout.strip()
        tables = [
            f'[[servers]]\nid = "host{number}"\nhostname = "{name}"\nssh_user = "{self.user}"\nssh_port = {self.port}\n'
            f'ssh_key_path = "{self.key}"\n'
            for number, name in enumerate(self.names)
        ]
        configure(self.home, "\n".join(tables))
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd wants it of root
        self.processes = [self.serve(sshd, at) for at in range(0, count, self.PER_SSHD)]
        for name in self.names:
            self.wait_for(name)

    def serve(self, sshd, at):
        config = self.home / f"sshd_config.{at}"
        listen = [f"ListenAddress {name}:{self.port}" for name in self.names[at : at + self.PER_SSHD]]
        settings = f"""HostKey {self.home}/host_key
AuthorizedKeysFile {self.home}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PrintMotd no
PrintLastLog no
SetEnv HOME={self.home}
MaxStartups 1000
PerSourceMaxStartups none
LogLevel QUIET
"""
        config.write_text("\n".join(listen) + "\n" + settings)
        return subprocess.Popen([sshd, "-D", "-f", config], stdin=subprocess.DEVNULL)

    def wait_for(self, name):
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection((name, self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > until:
                    sys.exit(f"sshd does not listen on {name}")
                time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


class Tools:
    """The programs, built if need be."""

    def __init__(self, args):
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
        folder = target / ("debug" if args.profile == "dev" else args.profile)
        build = ["cargo", "build", "--quiet", "--locked", "--profile", args.profile]
        examples = ["--package", "ecobox-sim", "--example", "serve", "--example", "floor"]
        subprocess.run([*build, *examples], cwd=ROOT, check=True)
        if not args.ecobox:
            subprocess.run([*build, "--package", "ecobox"], cwd=ROOT, check=True)
        self.ecobox = Path(args.ecobox).resolve() if args.ecobox else folder / "ecobox"
        self.serve, self.floor = folder / "examples/serve", folder / "examples/floor"


def job_start(tools, work, args):
    env = {"HOME": work}
    measure(
        "start",
        [
            Contestant("floor", [tools.floor, "start"]),
            Contestant("ecobox --version", [tools.ecobox, "--version"], env, "wall 2 x"),
        ],
        args,
    )


def curl(sim, work):
    if not shutil.which("curl"):
        return []
    settings = sim.floor_env
    config = Path(sim.home, "curl")
    config.write_text(f'header = "Authorization: PVEAPIToken={settings["TOKEN"]}"\n')
    url = f"https://127.0.0.1:{settings['PORT']}/api2/json/cluster/resources"
    argv = ["curl", "-s", "-o", "/dev/null", "--fail", "--cacert", settings["CA"], "-K", config, url]
    return [Contestant("curl, the same request", argv, cluster=sim)]


def listing(command, tools, work, args):
    """A command that lists all guests, held against the least that a program can do for that."""
    for guests in (300, 5000):
        for latency in (0, 20):
            with Simulated(tools, work, "--guests", guests, "--latency-ms", latency) as sim:
                goal = "1 call, 1 connection, wall " + ("1.2 x" if latency else "1.5 x")
                goal += ", peak 16 MiB" if guests == 5000 else ""
                argv = [tools.ecobox, command, "-o", "json"]
                contestants = [
                    Contestant("floor", [tools.floor, "list"], sim.floor_env, cluster=sim),
                    Contestant(f"ecobox {command} -o json", argv, sim.env, goal, sim),
                    Contestant(f"ecobox {command}", argv[:2], sim.env, "", sim),
                    *curl(sim, work),
                ]
                first = contestants[1]
                subprocess.run(first.argv, env=first.environment(), stdout=subprocess.DEVNULL, check=True)
                title = f"{command}: 3 nodes, {guests} guests, {latency} ms a request"
                measure(title, contestants, args, {"floor": guests, f"ecobox {command}": guests})


def job_status(tools, work, args):
    listing("status", tools, work, args)


def job_check(tools, work, args):
    for guests in (300, 5000):
        with Simulated(tools, work, "--guests", guests) as sim:
            live = Contestant("ecobox check", [tools.ecobox, "check"], sim.env, cluster=sim)
            subprocess.run(live.argv, env=live.environment(), stdout=subprocess.DEVNULL, check=True)
            cached = [tools.ecobox, "check", "--cached"]
            goal = "10 ms more" if guests == 300 else ""
            conditions = ["-w", "cpu>99", "-c", "memory>200", "-w", "age>10m"]
            contestants = [
                Contestant("ecobox --version", [tools.ecobox, "--version"], sim.env),
                Contestant("ecobox check --cached", cached, sim.env, goal),
                Contestant("the same of numbers", [*cached, *conditions], sim.env, goal),
                live,
            ]
            measure(f"check: 3 nodes, {guests} guests", contestants, args)


def job_advise(tools, work, args):
    for guests, minutes, goal in ((300, 5, "wall 1 s"), (5000, 30, "wall 10 s, peak 64 MiB")):
        with Simulated(tools, work, "--guests", guests) as sim:
            first = Contestant("ecobox status", [tools.ecobox, "status"], sim.env)
            subprocess.run(first.argv, env=first.environment(), stdout=subprocess.DEVNULL, check=True)
            month(sim.home / ".local/state/ecobox/state.db", minutes)
            contestants = [
                Contestant("ecobox --version", [tools.ecobox, "--version"], sim.env),
                Contestant("ecobox advise --cached", [tools.ecobox, "advise", "--cached", "-o", "json"], sim.env, goal),
            ]
            measure(f"advise: 3 nodes, {guests} guests, 30 days, a look each {minutes} minutes", contestants, args)


def month(path, minutes):
    """Gives the state file of one run a month of such runs: a week of samples, and hours of the time before."""
    with sqlite3.connect(path) as db:
        hour = 3_600_000
        (newest,) = db.execute("SELECT max(at) FROM samples").fetchone()
        border = newest // hour * hour - 7 * 24 * hour
        columns = ", ".join(row[1] for row in db.execute("PRAGMA table_info(samples)") if row[1] != "at")
        copy = f"INSERT INTO samples (at, {columns}) SELECT ?, {columns} FROM samples WHERE at = {newest}"
        db.executemany(copy, [(at,) for at in range(border, newest - minutes * 60_000, minutes * 60_000)])
        db.execute("INSERT OR REPLACE INTO samples_gone (id, before) VALUES (1, ?)", [border])
        db.execute("DELETE FROM unrolled WHERE kind = 'samples'")
        numbers = "cpu_n, cpu_min, cpu_avg, cpu_max, memory_n, memory_min, memory_avg, memory_max, " + ", ".join(
            f"{name}_n, {name}_min, {name}_avg, {name}_max" for name in ("receive", "transmit")
        )
        some = "abs(random()) % 900000"
        rows = db.execute("SELECT (cluster << 32) | vmid, vmid FROM guests").fetchall()
        for back in range(1, 23 * 24):
            db.executemany(
                # Numbers that differ, as those of real guests do.
                f"INSERT INTO sample_hours (hour, subject, n, {numbers}) VALUES (?, ?, 12, 12, 0, {some}, 900000, "
                f"12, 0, {some} * 4000, 4000000000, 12, 0, {some}, {some}, 12, 0, {some}, {some})",
                [(border - back * hour, subject) for subject, _ in rows],
            )
        (cluster,) = db.execute("SELECT name FROM clusters").fetchone()
        size = {"cores": 4, "memory_mib": 4096, "balloon": {"reports": {"actual": None}}}
        sizes = json.dumps({str(vmid): size for _, vmid in rows})
        told = "INSERT OR REPLACE INTO upkeep (subject, what, told, at) VALUES (?, 'guest-sizes', ?, ?)"
        db.execute(told, [cluster, sizes, newest])
    db.close()


def job_stats(tools, work, args):
    listing("stats", tools, work, args)
    if not has_sshd("stats"):
        return
    for count in (1, 20, 100):
        with Hosts(work, count) as hosts:
            settings = {"PORT": str(hosts.port), "HOST_KEY": str(hosts.host_key)}
            script = hosts.home / "load.sh"
            script.write_text(load_script())
            floor = [tools.floor, "ssh", script, hosts.user, hosts.key, *hosts.names]
            stats = [tools.ecobox, "stats", "-o", "json"]
            contestants = [
                Contestant("floor, the same script", floor, settings),
                Contestant("ecobox stats -o json", stats, {"HOME": str(hosts.home)}, "wall 1.3 x, CPU 2 x"),
            ]
            # The first run measures for a second; later ones compare with what it remembered.
            first = contestants[1]
            subprocess.run(first.argv, env=first.environment(), stdout=subprocess.DEVNULL, check=True)
            time.sleep(2)
            measure(f"stats: {count} hosts", contestants, args, {"floor, the same script": count})


def load_script():
    """What `ecobox stats` sends to a host whose last reading it remembers: hosts on the loopback share one boot."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    lines = (ROOT / "src/fleet/host/load.sh").read_text().splitlines()
    code = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    df = "printf 'df\\t\\n'\ndf -P -k \"$@\" 2>/dev/null\n:\n"
    return "\n".join([f"known={boot} since=0 pause=1 whole=1", *code]) + "\n" + df


def job_record(tools, work, args):
    status = [tools.ecobox, "status", "-o", "json"]
    options = "--guests", 5000, "--off"
    with (
        Simulated(tools, work, *options, 1) as off,
        Simulated(tools, work, *options, 0) as on,
        Simulated(tools, work, *options, 0) as old,
    ):
        # Of guests that are off nothing is kept.
        contestants = [
            Contestant("all guests are off: no numbers", status, off.env, cluster=off),
            Contestant("all guests run", status, on.env, "50 ms more", on),
            Contestant("the same, and each run sums up and deletes", status, old.env, "50 ms more", old),
        ]
        for contestant in contestants:
            subprocess.run(status, env=contestant.environment(), stdout=subprocess.DEVNULL, check=True)
        age(old.home / ".local/state/ecobox/state.db")
        measure("record: 3 nodes, 5000 guests", contestants, args)
        walls = [[run[0] for run in one.runs] for one in contestants]
        for one, more in zip(contestants[1:], walls[1:]):
            difference = statistics.median(b - a for a, b in zip(walls[0], more))
            print(f"\n{one.name}: {ms(difference)} ms more")


def age(path):
    """Gives the state file of one run eight days of such runs, so that the next ones have to sum up and to delete."""
    with sqlite3.connect(path) as db:
        (newest,) = db.execute("SELECT max(at) FROM samples").fetchone()
        columns = ", ".join(row[1] for row in db.execute("PRAGMA table_info(samples)") if row[1] != "at")
        copy = f"INSERT INTO samples (at, {columns}) SELECT ?, {columns} FROM samples WHERE at = {newest}"
        hour = 3_600_000
        # More runs in the hour that is summed up: there is work in it for many runs, and no more in each.
        over = newest // hour * hour - hour
        stamps = [newest - back * hour // 2 for back in range(5, 8 * 48)]
        stamps += range(over - hour // 2, over + hour - 1, hour // 36)
        db.executemany(copy, [(at,) for at in sorted(set(stamps))])
        db.execute("DELETE FROM unrolled WHERE kind = 'samples'")
        db.execute("INSERT INTO unrolled (kind, hour, most) VALUES ('samples', ?, 5000)", [over])
        # Runs that agree on how late it is.
        db.execute("DELETE FROM clock")
        db.executemany("INSERT INTO clock (at) VALUES (?)", [(newest - back * hour // 6,) for back in range(6, 0, -1)])
    db.close()


def job_discover(tools, work, args):
    for options, words in ([], ""), (["--dead-agents", 1], ", every 20th guest has a dead agent"):
        with Simulated(tools, work, "--guests", 300, "--latency-ms", 20, *options) as sim:
            contestants = [
                Contestant("floor, 3 at a time on each node", [tools.floor, "addresses", 3], sim.floor_env, cluster=sim),
                Contestant(
                    "ecobox discover", [tools.ecobox, "discover", "--all"], sim.env,
                    "one call more a running guest, 3 at once on each of 3 nodes, wall 1.3 x", sim,
                ),
            ]
            # The first run also learns which servers are one cluster, and who each guest is.
            first = contestants[1]
            subprocess.run(first.argv, env=first.environment(), stdout=subprocess.DEVNULL, check=True)
            measure(f"discover: 3 nodes, 300 guests, 20 ms a request{words}", contestants, args, 300)


def has_sshd(job):
    found = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not found:
        print(f"\nSKIPPED: {job} of SSH hosts need sshd (openssh-server)", file=sys.stderr)
    return found


def job_visits(tools, work, args):
    if not has_sshd("visits"):
        return
    script = ROOT / "src/fleet/host/facts.sh"
    for count in (1, 20, 100):
        with Hosts(work, count) as hosts:
            settings = {"PORT": str(hosts.port), "HOST_KEY": str(hosts.host_key)}
            floor = [tools.floor, "ssh", script, hosts.user, hosts.key, *hosts.names]
            contestants = [
                Contestant("floor, the same script", floor, settings),
                Contestant("ecobox init", [tools.ecobox, "init"], {"HOME": str(hosts.home)}, "wall 1.3 x, CPU 2 x"),
            ]
            measure(f"visits: {count} hosts", contestants, args, count)


def job_hung(tools, work, args):
    status = [tools.ecobox, "status", "-o", "json"]
    for hung in ("pve3", "pve1"):
        with Simulated(tools, work, "--guests", 300) as sound, Simulated(tools, work, "--guests", 300) as other:
            contestants = [
                Contestant("all nodes answer", status, sound.env, cluster=sound),
                Contestant(f"{hung} hung", status, other.env, "wall 1.1 x", other, statuses=(0, 8)),
            ]
            # While all answer, both learn which servers are one cluster.
            for contestant in contestants:
                subprocess.run(status, env=contestant.environment(), stdout=subprocess.DEVNULL, check=True)
            other.tell(f"hang {hung}")
            which = "the last of the configuration" if hung == "pve3" else "the one asked first"
            measure(f"hung: 3 nodes, 300 guests, one of them hung, {which}", contestants, args)


JOBS = {
    "start": job_start,
    "status": job_status,
    "check": job_check,
    "advise": job_advise,
    "stats": job_stats,
    "record": job_record,
    "discover": job_discover,
    "visits": job_visits,
    "hung": job_hung,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=", ".join(JOBS))
    parser.add_argument("--rounds", type=int, default=21, help="timed runs of each contestant at most (21)")
    parser.add_argument("--budget", type=float, default=20, help="seconds for a table, after three rounds (20)")
    parser.add_argument("--profile", default="release", help="cargo's profile (release)")
    parser.add_argument("--ecobox", help="measure this binary instead of building one")
    args = parser.parse_args()
    if unknown := set(args.jobs) - set(JOBS):
        parser.error(f"no such job: {', '.join(unknown)}")
    tools = Tools(args)
    processor = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    print(f"{processor}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {args.profile} build")
    with tempfile.TemporaryDirectory(prefix="ecobox-bench-") as work:
        for job in args.jobs or JOBS:
            JOBS[job](tools, work, args)


main()
