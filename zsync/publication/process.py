"""Which process this is, and whether another one still runs."""

from __future__ import annotations

import getpass
import os
import platform
import re
from pathlib import Path

_PID = re.compile(r"[0-9]{1,10}")  # not `isdigit`, to which a superscript is a digit as well


def this_process(version: str) -> dict[str, str]:
    """Return who publishes: user, host, process, version; and what tells this process from all others.

    ``machine`` names the running kernel and the process namespace: process ids mean something only within it, and two
    containers may have one host name.
    """
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no such user in the password file, as in many containers
        user = str(os.getuid())
    pid = os.getpid()
    return {
        "user": user,
        "host": platform.node(),
        "pid": str(pid),
        "machine": machine(),
        "started": _started(pid),
        "zsync": version,
    }


def is_this(process: dict[str, str]) -> bool:
    """Return whether a process is the one that asks."""
    pid = os.getpid()
    mine = (machine(), str(pid), _started(pid))
    return bool(mine[0]) and (process.get("machine"), process.get("pid"), process.get("started")) == mine


def is_dead(process: dict[str, str]) -> bool:
    """Return whether a process is known to run no more: one of this machine only; of others nothing is known."""
    here = machine()
    pid = process.get("pid", "")
    if not here or process.get("machine") != here or _PID.fullmatch(pid) is None:
        return False
    return _started(int(pid)) != process.get("started")


def machine() -> str:
    """Return what tells this machine, as it runs now, from all others; empty where nothing does."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - a name, not a path
    except OSError:  # not Linux: no process is ever known to be dead
        return ""


def _started(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; empty if it does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the name, in parentheses, may hold anything
    return "" if fields[0] in ("Z", "X") else fields[19]
