#!/usr/bin/env python3
"""Our stack over TUN against a kernel Multipath TCP peer, beside the kernel's own over veth, in one run.

What each row means stands in Benchmarks/README.md. Needs root; makes and removes its own network namespaces.
"""

import argparse
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

PORT = 5201
GIGABYTE = 1e9
OUR_CPU, PEER_CPU = "0", "1"


def sh(command):
    subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL)


def busy_seconds():
    """CPU time that all cores together were not idle, interrupts and softirqs included (/proc/stat)."""
    with open("/proc/stat") as file:
        values = [int(value) for value in file.readline().split()[1:9]]
    user, nice, system, _idle, _wait, interrupt, softirq, steal = values
    return (user + nice + system + interrupt + softirq + steal) / os.sysconf("SC_CLK_TCK")


class Namespaces:
    """Two namespaces `near` and `far` joined by two veth pairs; removed with everything inside on exit."""

    def __init__(self):
        self.near = f"mptcpbench-{os.getpid()}-near"
        self.far = f"mptcpbench-{os.getpid()}-far"

    def __enter__(self):
        for name in (self.near, self.far):
            sh(f"ip netns add {name}")
            sh(f"ip -n {name} link set lo up")
            sh(f"ip -n {name} mptcp limits set subflows 8 add_addr_accepted 8")
        for link in (1, 2):
            sh(f"ip link add veth{link} netns {self.near} type veth peer name veth{link} netns {self.far}")
            for name, host in ((self.near, 1), (self.far, 2)):
                sh(f"ip -n {name} addr add 10.81.{link}.{host}/24 dev veth{link}")
                sh(f"ip -n {name} link set veth{link} up")
        return self

    def __exit__(self, *_):
        for name in (self.near, self.far):
            inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout
            for process in inside.split():
                try:
                    os.kill(int(process), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            subprocess.run(["ip", "netns", "delete", name], check=False)

    def announce(self, on):
        """Whether far's kernel announces its second address, which makes near's kernel join it."""
        sh(f"ip -n {self.far} mptcp endpoint flush")
        if on:
            sh(f"ip -n {self.far} mptcp endpoint add 10.81.2.2 dev veth2 signal")


class Child:
    """A process in a namespace on one CPU: its output and what it used, once it has ended."""

    def __init__(self, namespace, cpu, command, pin):
        prefix = ["ip", "netns", "exec", namespace] + (["taskset", "-c", cpu] if pin else [])
        self.command = command
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            prefix + command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, text=True)

    def wait_for(self, word):
        for line in self.process.stdout:
            if line.strip() == word:
                return
        self.fail(f"ended before it said {word}")

    def finish(self, timeout):
        """Standard output and CPU seconds (user + system, this process and its threads)."""
        deadline = time.monotonic() + timeout
        while True:
            done, status, used = os.wait4(self.process.pid, os.WNOHANG)
            if done:
                break
            if time.monotonic() > deadline:
                self.process.kill()
                self.fail(f"no end within {timeout} s")
            time.sleep(0.002)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        output = self.process.stdout.read()
        if self.process.returncode != 0:
            self.fail(f"exit status {self.process.returncode}")
        return output, used.ru_utime + used.ru_stime

    def fail(self, what):
        self.errors.seek(0)
        raise RuntimeError(f"{' '.join(self.command)}: {what}: {self.errors.read()[-2000:]}")


def last_json(text):
    return json.loads([line for line in text.splitlines() if line.startswith("{")][-1])


def kernel_run(spaces, options, subflows):
    """Kernel to kernel over veth: near sends, far receives."""
    spaces.announce(subflows == 2)
    listener = Child(
        spaces.far, PEER_CPU, [options.peer, "listen", "0.0.0.0", str(PORT), "receive", "0"], options.pin)
    listener.wait_for("ready")
    before = busy_seconds()
    sender = Child(
        spaces.near, OUR_CPU, [options.peer, "connect", "10.81.1.2", str(PORT), "send", str(options.bytes)],
        options.pin)
    _, sender_cpu = sender.finish(options.timeout)
    text, receiver_cpu = listener.finish(options.timeout)
    result = last_json(text)
    return measured(options, result["seconds"], sender_cpu, receiver_cpu, before, result["subflows"])


def our_run(spaces, options, subflows, sending):
    """Ours over TUN against a kernel peer in the namespace of the TUN devices' kernel ends."""
    spaces.announce(False)
    role = "receive" if sending else "send"
    peer = Child(
        spaces.near, PEER_CPU, [options.peer, "listen", "0.0.0.0", str(PORT), role, str(options.bytes)], options.pin)
    peer.wait_for("ready")
    paths = []
    for link in range(1, subflows + 1):
        paths += ["--path", f"tun:bench{link},address=10.82.{link}.2/24,gateway=10.82.{link}.1"]
    report = tempfile.NamedTemporaryFile(suffix=".json")
    what = ["--bytes", str(options.bytes)] if sending else ["--receive"]
    before = busy_seconds()
    ours = Child(
        spaces.near, OUR_CPU,
        [options.tool, "bench", *paths, *what, "--report", report.name, "10.82.1.1", str(PORT)], options.pin)
    _, our_cpu = ours.finish(options.timeout)
    text, peer_cpu = peer.finish(options.timeout)
    result = last_json(text)
    with open(report.name) as file:
        told = json.load(file)
    carrying = sum(1 for one in told["subflows"] if one["bytesSent"] + one["bytesReceived"] > options.bytes // 100)
    if not told["multipath"]:
        raise RuntimeError(f"fell back to plain TCP: {told['fallback']}")
    if sending and result["bytes"] != options.bytes or not sending and told["bytesReceived"] != options.bytes:
        raise RuntimeError(f"bytes went missing: {result}, {told}")
    seconds = result["seconds"] if sending else told["seconds"]
    return measured(options, seconds, our_cpu, peer_cpu, before, carrying)


def measured(options, seconds, own_cpu, peer_cpu, busy_before, subflows):
    gigabytes = options.bytes / GIGABYTE
    return {
        "gigabitsPerSecond": options.bytes * 8 / seconds / 1e9,
        "ownSecondsPerGB": own_cpu / gigabytes,
        "peerSecondsPerGB": peer_cpu / gigabytes,
        "machineSecondsPerGB": (busy_seconds() - busy_before) / gigabytes,
        "subflows": subflows,
    }


def rows(options):
    for subflows in (1, 2):
        yield f"kernel, veth, {subflows} subflow{'s'[:subflows - 1]}", subflows, kernel_run, ()
        if options.kernel_only:
            continue
        for sending in (True, False):
            verb = "sends" if sending else "receives"
            yield f"ours, TUN, {verb}, {subflows} subflow{'s'[:subflows - 1]}", subflows, our_run, (sending,)


def summarise(name, subflows, runs, baseline):
    summary = {key: statistics.median(run[key] for run in runs) for key in runs[0] if key != "subflows"}
    summary.update(
        name=name, subflows=subflows, subflowsSeen=sorted({run["subflows"] for run in runs}),
        slowest=min(run["gigabitsPerSecond"] for run in runs), fastest=max(run["gigabitsPerSecond"] for run in runs),
        runs=runs)
    against = baseline or summary
    for key in ("gigabitsPerSecond", "ownSecondsPerGB", "machineSecondsPerGB"):
        summary[key + "Ratio"] = summary[key] / against[key] if against[key] else None
    return summary


def table(summaries):
    heads = ["", "Gbit/s", "(min…max)", "own CPU s/GB", "peer CPU s/GB", "machine s/GB", "rate ratio", "machine ratio"]
    lines = [heads]
    for one in summaries:
        lines.append([
            one["name"], f"{one['gigabitsPerSecond']:.2f}", f"{one['slowest']:.2f}…{one['fastest']:.2f}",
            f"{one['ownSecondsPerGB']:.3f}", f"{one['peerSecondsPerGB']:.3f}", f"{one['machineSecondsPerGB']:.3f}",
            f"{one['gigabitsPerSecondRatio']:.2f}", f"{one['machineSecondsPerGBRatio'] or 0:.2f}"])
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        print("  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths))))


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*:\s*(.*)", file.read())
    return {
        "kernel": platform.release(), "cpus": os.cpu_count(), "model": model.group(1) if model else "unknown",
        "loadBefore": os.getloadavg()[0],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", required=True, help="the mptcp program")
    parser.add_argument("--peer", required=True, help="bench-peer, from Benchmarks/peer.c")
    parser.add_argument("--bytes", type=int, default=2_000_000_000, help="a run's bytes")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--timeout", type=float, default=120, help="seconds that one run may take")
    parser.add_argument("--json", default=".build/bench.json", help="where the results go")
    parser.add_argument("--no-pin", dest="pin", action="store_false", help="leave the choice of CPU to the kernel")
    parser.add_argument("--kernel-only", action="store_true", help="only the kernel's own rows")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root (network namespaces, TUN); run `sudo make bench`")
    options.tool, options.peer = os.path.abspath(options.tool), os.path.abspath(options.peer)

    facts = machine()
    where = f"sender or ours on CPU {OUR_CPU}, receiver or kernel peer on CPU {PEER_CPU}" if options.pin else "unpinned"
    print(f"{facts['model']}, {facts['cpus']} CPUs, Linux {facts['kernel']}, load {facts['loadBefore']:.1f}; {where}")
    print(f"{options.bytes / GIGABYTE:g} GB a run, medians of {options.runs}, rows taken in turn; CUBIC throughout")
    plan = list(rows(options))
    runs = {name: [] for name, *_ in plan}
    failures = {}
    with Namespaces() as spaces:
        for _ in range(options.runs):
            for name, subflows, function, extra in plan:
                if name in failures:
                    continue
                try:
                    runs[name].append(function(spaces, options, subflows, *extra))
                except RuntimeError as error:
                    failures[name] = str(error)
    summaries, baselines = [], {}
    for name, subflows, function, _ in plan:
        if not runs[name]:
            continue
        one = summarise(name, subflows, runs[name], baselines.get(subflows))
        if function is kernel_run:
            baselines[subflows] = one
        summaries.append(one)
    table(summaries)
    for one in summaries:
        # An idle machine's TUN path is never full: the scheduler of lowest round trip may leave the second path unused.
        if one["subflowsSeen"] != [one["subflows"]]:
            print(f"REMARK {one['name']}: subflows that carried data, by run: {one['subflowsSeen']} of {one['subflows']}")
    for name, reason in failures.items():
        print(f"FAILED {name}: {reason}")
    with open(options.json, "w") as file:
        json.dump({"machine": facts, "pinned": options.pin, "rows": summaries, "failures": failures}, file, indent=1)
    print(f"all runs: {options.json}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
