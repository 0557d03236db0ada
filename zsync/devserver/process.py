"""weed, the one executable of SeaweedFS, as a child process that does not outlive who started it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from zsync.errors import ConfigError
from zsync.version import install

if TYPE_CHECKING:
    from collections.abc import Sequence

# What the runtime of weed heeds, if it is set: memory for time.
_RUNTIME = ("GOGC", "GOMEMLIMIT", "GOMAXPROCS")

# The child asks the kernel to be ended with its parent, then becomes weed: the pid stays the same. A preexec_fn would
# do the same between fork and exec, which is not safe in a process that has threads.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the process that started this server is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


def executable() -> str:
    """Return the path of weed.

    Raises
    ------
    ConfigError
        It is not installed.
    """
    beside_python = Path(sys.executable).parent / "weed"
    found = str(beside_python) if os.access(beside_python, os.X_OK) else shutil.which("weed")
    if found is None:
        raise ConfigError("the S3 server is not installed", "weed", install("demo"))
    return found


class Weed:
    """A running weed.

    Parameters
    ----------
    command
        The executable and its arguments.
    scratch
        Its home and working directory.
    log
        Where it writes what it has to say.
    secrets
        What its environment holds besides: it must read no configuration of the user's.
    """

    def __init__(self, command: Sequence[str], scratch: Path, log: Path, secrets: dict[str, str]) -> None:
        home = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(scratch), "TMPDIR": str(scratch)}
        runtime = {name: os.environ[name] for name in _RUNTIME if name in os.environ}
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=scratch,
                env={**home, **runtime, **secrets},
                # Ctrl-C in a terminal is for us; we then end the server in good order.
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        """Its process id; None when it has ended."""
        return self._process.pid if self._process.poll() is None else None

    def end(self, timeout_s: float) -> None:
        """End it in good order, or, after so many seconds, at once."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()


def last_lines(log: Path | None, count: int) -> str:
    """Return the last lines of a log, joined by `` | ``."""
    if log is None or not log.is_file():
        return "no log"
    with log.open(encoding="utf-8", errors="replace") as lines:
        return " | ".join(deque((line.strip() for line in lines if line.strip()), maxlen=count)) or "the log is empty"
