#!/usr/bin/env python3
"""Lets `ecobox watch -o jsonl` run for long, faster than usual, and prints what it takes: memory, descriptors, CPU.

A simulated cluster of 500 guests (tests/sim/examples/serve.rs) is watched at ten times the default pace, so that an hour
stands for ten. Every line says what the process has now and what it used since the line before; the last lines hold the
end against the first tenth. Some guests change all the time (`--flip`). Nothing is asserted: memory and descriptors
should stand still, and the CPU is to be divided by `--pace` for what it is at the usual pace. Needs a release build to
say anything about CPU. Everything listens on loopback; what is written is in a temporary folder.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The defaults of [dashboard], in seconds.
UPDATE, CHECK, DISCOVERY = 30, 300, 300
FIRST_VMID = 100


class Simulated:
    """The simulated cluster, and what it is told."""

    def __init__(self, args):
        program = args.serve or ROOT / "target" / args.profile / "examples" / "serve"
        argv = [str(program), "--nodes", str(args.nodes), "--guests", str(args.guests), "--live", "1"]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = json.loads(self.process.stdout.readline())
        self.nodes, self.token = said["nodes"], said["token"]

    def tell(self, order):
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


class Lines(threading.Thread):
    """Reads what is streamed, and counts it by event."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream, self.counts = stream, {}
        self.start()

    def run(self):
        for line in self.stream:
            event = json.loads(line)["event"]
            self.counts[event] = self.counts.get(event, 0) + 1


def configure(home, sim, args):
    text = "[ssh]\nconfig = false\n\n[dashboard]\n"
    for key, seconds in (("update", UPDATE), ("system_check", CHECK), ("vm_discovery", DISCOVERY)):
        text += f'{key}_interval = "{round(seconds * 1000 / args.pace)}ms"\n'
    for node in sim.nodes:
        text += (
            f'\n[[servers]]\nid = "{node["name"]}"\ntype = "proxmox"\nhostname = "127.0.0.1"\n'
            f'api_port = {node["port"]}\nfingerprint = "{node["fingerprint"]}"\n'
        )
    path = home / ".config/ecobox/config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    tokens = {f'ECOBOX_TOKEN_{node["name"].upper()}': sim.token for node in sim.nodes}
    return {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", **tokens}


def look(pid, state):
    """Memory in KiB, descriptors, threads, CPU in seconds, and the state file in KiB."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    after_name = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    cpu = (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")
    return {
        "rss": int(status["VmRSS"].split()[0]),
        "fds": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": int(status["Threads"]),
        "cpu": cpu,
        "state": sum(file.stat().st_size for file in state.parent.glob("state.db*")) // 1024,
    }


def flip(sim, args, number):
    """Some guests change their state, others each time."""
    for i in range(args.flip):
        sim.tell(f"flip {FIRST_VMID + (number * args.flip + i) % args.guests}")


def soak(sim, home, args):
    program = args.binary or ROOT / "target" / args.profile / "ecobox"
    environment = configure(home, sim, args)
    argv = [str(program), "watch", "-o", "jsonl"]
    process = subprocess.Popen(
        argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=sys.stderr, text=True
    )
    lines, state = Lines(process.stdout), home / ".local/state/ecobox/state.db"
    begun = time.monotonic()
    end, due, number = begun + args.minutes * 60, begun + args.every, 0
    before, seen = (begun, 0.0), []
    print(f"{'min':>7} {'rss KiB':>9} {'fds':>4} {'threads':>7} {'CPU %':>6} {'state KiB':>9}  lines")
    try:
        while time.monotonic() < end:
            time.sleep(max(0.0, min(1.0, due - time.monotonic())))
            flip(sim, args, number)
            number += 1
            now = time.monotonic()
            if now < due:
                continue
            due += args.every
            if process.poll() is not None:
                sys.exit(f"it ended: {process.returncode}")
            row = look(process.pid, state)
            row["percent"] = 100 * (row["cpu"] - before[1]) / (now - before[0])
            before = (now, row["cpu"])
            seen.append(row)
            print(
                f"{(now - begun) / 60:7.1f} {row['rss']:9} {row['fds']:4} {row['threads']:7} {row['percent']:6.2f} "
                f"{row['state']:9}  {lines.counts}",
                flush=True,
            )
    except KeyboardInterrupt:
        pass
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=30)
    if len(seen) > 1:
        first = seen[: max(1, len(seen) // 10)]
        for what in ("rss", "fds", "threads"):
            began, ended = max(row[what] for row in first), seen[-1][what]
            print(f"{what}: {began} at the most in the first tenth, {ended} at the end ({ended - began:+})")
        mean = sum(row["percent"] for row in seen[1:]) / len(seen[1:])
        print(f"CPU: {mean:.2f} % of a core, {mean / args.pace:.2f} % at the usual pace")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=60, help="seconds between two lines")
    parser.add_argument("--pace", type=float, default=10, help="how many times the default pace")
    parser.add_argument("--guests", type=int, default=500)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--flip", type=int, default=1, help="guests that change their state each second")
    parser.add_argument("--profile", default="release", help="the folder in target/")
    parser.add_argument("--binary", help="the ecobox to watch with")
    parser.add_argument("--serve", help="the simulator")
    args = parser.parse_args()
    sim = Simulated(args)
    try:
        with tempfile.TemporaryDirectory() as home:
            soak(sim, Path(home), args)
    finally:
        sim.end()


if __name__ == "__main__":
    main()
