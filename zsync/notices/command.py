"""Commands: run one, with a message on its standard input."""

from __future__ import annotations

import contextlib
import fnmatch
import logging
import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from zsync.errors import TargetError
from zsync.system import inherited

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from zsync.notices.message import Message

log = logging.getLogger(__name__)

# Names of variables that hold credentials, of whatever service, or say where they are.
_CREDENTIAL = re.compile(
    r"SECRET|TOKEN|PASSW|PASSPHRASE|CREDENTIAL|ACCESS_?KEY|API_?KEY|PRIVATE_?KEY|ACCOUNT_?KEY|CONNECTION_STRING|SAS_|_SAS$"
    r"|_KEY$|_PAT$|_PWD$|_AUTH$",
    re.IGNORECASE,
)
_SHOWN = 4096  # bytes of its output that are logged

_running: set[int] = set()  # process groups
os.register_at_fork(after_in_child=_running.clear)  # they are the parent's


def run(
    command: Sequence[str],
    message: Message,
    timeout_s: float,
    is_given_up: threading.Event,
    inherit: Sequence[str] = (),
) -> None:
    """Run a command, without a shell.

    Parameters
    ----------
    is_given_up
        Set by whoever will kill all commands: one that begins just then is not among those that are seen to run.
    inherit
        Globs over names of variables of the environment that hold credentials, and that it gets nevertheless.

    Raises
    ------
    TargetError
        It could not be started, did not end in time, or ended with another status than 0.
    """
    name = Path(command[0]).name  # its arguments may hold what is secret
    told = {
        "ZSYNC_EVENT": message.kind,
        "ZSYNC_PUBLICATION": message.publication or "",
        "ZSYNC_TARGETS": "\n".join(message.targets),
    }
    # Files, not pipes: nothing blocks on a command that does not read, or whose children keep its output open.
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
        given.write(message.data)
        given.seek(0)
        try:
            process = subprocess.Popen(
                command,
                stdin=given,
                stdout=said,
                stderr=said,
                env={**_inherited(inherit), **told},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise TargetError(f"it could not be started ({why})", name) from None
        _running.add(process.pid)
        if is_given_up.is_set():
            _kill(process.pid)
        try:
            status = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            _kill(process.pid)
            process.wait()
            raise TargetError(f"it did not end within {timeout_s:g} s, and was killed", name) from None
        finally:
            _running.discard(process.pid)
        said.seek(0)
        log.debug("%s said: %s", name, said.read(_SHOWN).decode(errors="replace").strip())
    if status:
        raise TargetError(f"it ended with status {status}", name)


def _inherited(inherit: Sequence[str]) -> dict[str, str]:
    """Return the environment without credentials: a command that tells somebody needs none of ours."""
    return {
        name: value
        for name, value in inherited().items()
        if not _CREDENTIAL.search(name) or any(fnmatch.fnmatchcase(name, pattern) for pattern in inherit)
    }


def kill_all() -> None:
    """Kill all commands that are running, with their children."""
    for group in list(_running):
        _kill(group)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
