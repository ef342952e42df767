"""Clocks: wall time, processor time of both sides, peak memory."""

import os
import resource
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")

# A case that takes longer than this many seconds is broken, not slow.
RUN_TIME_MAX = 600


class Failed(Exception):
    """A case could not be measured; the text gives the reason."""


@dataclass
class Run:
    """One run of a case: seconds and bytes."""

    wall: float
    cpu: float
    rss: int
    server_cpu: float = 0.0
    server_rss: int = 0


def run(command, servers=(), cwd=None, env=None):
    """Runs a command to its end, from its start to its exit; `servers` are the processes of the other side."""
    before = sum(cpu_of(pid) for pid in servers)
    started = time.monotonic()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=cwd, env=env)
    watchdog = subprocess.Popen(["sleep", str(RUN_TIME_MAX)])
    try:
        errors = _last_words(process, watchdog)
        _, status, usage = os.wait4(process.pid, 0)
    finally:
        watchdog.kill()
        watchdog.wait()
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed(f"{Path(str(command[0])).name} ended with {process.returncode}: {errors.strip()[-400:]}")
    return Run(
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        rss=usage.ru_maxrss * 1024,
        server_cpu=sum(cpu_of(pid) for pid in servers) - before,
        server_rss=max((peak_rss(pid) for pid in servers), default=0),
    )


def _last_words(process, watchdog):
    """The output of the process; ends it after the time limit."""
    import selectors
    with selectors.DefaultSelector() as ready:
        ready.register(process.stderr, selectors.EVENT_READ)
        said = b""
        while True:
            if watchdog.poll() is not None:
                process.kill()
                process.wait()
                raise Failed(f"not done after {RUN_TIME_MAX} s")
            if not ready.select(timeout=1):
                continue
            piece = os.read(process.stderr.fileno(), 65536)
            if not piece:
                return said.decode(errors="replace")
            said = (said + piece)[-65536:]


def floor():
    """The least peak memory that a client can show: that of this program, which starts it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def with_children(pid):
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [pid, *map(int, children.split())]


def cpu_of(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_rss(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def stop(process):
    """Ends a server and waits for it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(condition, what, seconds=60):
    """Waits until a condition holds and returns its value."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (found := condition()):
            return found
        time.sleep(0.02)
    raise Failed(f"{what}: not within {seconds} s")
