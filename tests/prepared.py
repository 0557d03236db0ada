"""The command, from a process that has imported it already: `python -m zsync` takes half a second to begin.

A server forks a child for each command, which runs the package as `python -m` does: with its own pid, arguments,
environment, directory, streams and exit status; it may be killed like any other process. The server has imported what
commands import, and has used nothing of it: its children lack no thread that a library believes to have. Tests of how
the command begins have it begin afresh, as has a sample of all others (`is_sampled`). There is one server for all
workers of a run (`share`): to prepare it takes longer than a dozen commands.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import zlib
from pathlib import Path
from typing import Any, NoReturn

COMMAND = [sys.executable, "-m", "zsync"]
SAMPLE = 10
# What Python and libraries read when they begin: whose command has others of these begins afresh.
_READ_AT_THE_BEGINNING = ("PYTHON", "LC_", "LANG", "TZ", "DASK_", "OPENBLAS_", "FORCE_COLOR", "TERMINAL_WIDTH")
_ALSO = (
    "zarr", "rasterio", "s3fs", "watchfiles", "prometheus_client", "rich.progress", "concurrent.futures.thread",
    "platformdirs", "encodings.utf_8_sig", "pydantic.type_adapter", "dask.threaded", "psutil",
)  # fmt: skip
_NUMBER = struct.Struct("!q")
_PLACE = "PREPARED_COMMANDS"  # the variable that says where the server listens


def is_sampled(what: str = "") -> bool:
    """Whether the commands of this test begin afresh, or something else in it goes the long way.

    One in ten, by the test's name and by what it is, so always the same ones.
    """
    name = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0].rpartition("::")[2]
    return zlib.crc32(f"{name}{what}".encode()) % SAMPLE == 0


def command(*args: str | os.PathLike[str], afresh: bool | None = None, **options: Any) -> subprocess.Popen[Any]:
    """Start the command with these arguments.

    Parameters
    ----------
    args
        What follows the command's name.
    afresh
        Whether it begins as a process of its own; None: as the sample says.
    options
        Those of `subprocess.Popen`.
    """
    words = [*COMMAND, *map(str, args)]
    if (is_sampled() if afresh is None else afresh) or _server().begins != _begins(options.get("env") or os.environ):
        return subprocess.Popen(words, **options)
    return _Child(words, **options)


def run(
    *args: str | os.PathLike[str], timeout: float, afresh: bool | None = None, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """Run the command to its end, and return what it said."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with command(*args, afresh=afresh, **{**pipes, **options}) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def share_loaders() -> None:
    """Have all sessions of botocore read its models through one loader, and find out once what is the same for all.

    Each would decode the same megabyte of JSON, which takes longer than most of what is done with its clients; and ask
    what arguments a hundred handlers take, and how the events are called that they are for.
    """
    import botocore.hooks
    import botocore.session

    takes_any = functools.cache(botocore.hooks.accepts_kwargs)
    event_name = botocore.hooks.EventAliaser._alias_event_name
    names: dict[str, str] = {}

    def called(self: Any, name: str) -> str:
        if name not in names:
            names[name] = event_name(self, name)
        return names[name]

    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    # Of a method the function is asked: what is remembered keeps no client alive.
    botocore.hooks.accepts_kwargs = lambda handler: takes_any(getattr(handler, "__func__", handler))
    botocore.hooks.EventAliaser._alias_event_name = called


def _begins(env: Any) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_READ_AT_THE_BEGINNING)}


class _Child(subprocess.Popen[Any]):
    """A command that the server starts and waits for; otherwise a process like any other."""

    def _execute_child(
        self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags, shell,
        p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *_,
    ):  # fmt: skip
        wanted = {
            "args": args[len(COMMAND) :],
            "cwd": os.fspath(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
        }
        streams = [given if given >= 0 else own for own, given in enumerate((p2cread, c2pwrite, errwrite))]
        self._ends = threading.Lock()
        self._connection = _server().start(wanted, streams)
        self.pid = self._answer(None)
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)

    def _answer(self, timeout: float | None) -> int | None:
        self._connection.settimeout(timeout)
        try:
            return _NUMBER.unpack(self._connection.recv(_NUMBER.size))[0]
        except (TimeoutError, BlockingIOError):
            return None

    def _look(self, timeout: float | None) -> int | None:
        with self._ends:
            if self.returncode is None and (status := self._answer(timeout)) is not None:
                self._connection.close()
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        return self._look(0)

    def _wait(self, timeout: float | None) -> int | None:
        if self._look(timeout) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode


def share() -> None:
    """Start a server for this process and all that it starts. It ends when this process does, however that happens."""
    directory = tempfile.mkdtemp(prefix="prepared-")
    os.environ[_PLACE] = f"{directory}/socket"
    ours, theirs = socket.socketpair()
    with socket.socket(socket.AF_UNIX) as listener, theirs:
        listener.bind(os.environ[_PLACE])
        listener.listen()
        ends = [listener.fileno(), theirs.fileno()]
        process = subprocess.Popen(
            [sys.executable, __file__, *map(str, ends)],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )

    @atexit.register
    def end() -> None:
        ours.close()
        process.wait(10)
        shutil.rmtree(directory, ignore_errors=True)


class _Server:
    """This process's connection to the server."""

    def __init__(self) -> None:
        self.begins = _begins(os.environ)
        self._lock = threading.Lock()
        self._control = socket.socket(socket.AF_UNIX)
        self._control.connect(os.environ[_PLACE])
        atexit.register(self._control.close)

    def start(self, wanted: dict[str, Any], streams: list[int]) -> socket.socket:
        """Have a command started; on the connection come its pid, and its status when it has ended."""
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            socket.send_fds(self._control, [b"x"], [theirs.fileno(), *streams])
        ours.sendall(json.dumps(wanted).encode() + b"\n")
        return ours


@functools.cache
def _server() -> _Server:
    if _PLACE not in os.environ:
        share()
    return _Server()


# --- the server ------------------------------------------------------------------------------------------------------


def _serve(listener: socket.socket, life: socket.socket) -> None:
    """Start commands until whoever started this server has gone."""
    running: dict[int, socket.socket] = {}
    controls: set[socket.socket] = set()
    woken, wakes = os.pipe()
    for end in (woken, wakes):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    on_interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        ready, _, _ = select.select([listener, life, woken, *controls], [], [])
        if life in ready:
            return
        if woken in ready:
            os.read(woken, 4096)
            _tell_who_has_ended(running)
        if listener in ready:
            _prepare()
            controls.add(listener.accept()[0])
        for control in controls.intersection(ready):
            message, streams, _, _ = socket.recv_fds(control, 1, 4)
            if not message:
                controls.remove(control)
                control.close()
                continue
            connection = socket.socket(fileno=streams.pop(0))
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, on_interrupt)
                with connection, connection.makefile("rb") as asked:
                    wanted = json.loads(asked.readline())
                for other in (listener, life, *controls, *running.values()):
                    other.close()
                for end in (woken, wakes):
                    os.close(end)
                _become(wanted, streams)
            for fd in streams:
                os.close(fd)
            running[pid] = connection
            connection.sendall(_NUMBER.pack(pid))


def _tell_who_has_ended(running: dict[int, socket.socket]) -> None:
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with running.pop(pid) as connection, contextlib.suppress(OSError):
                connection.sendall(_NUMBER.pack(status))


def _become(wanted: dict[str, Any], streams: list[int]) -> NoReturn:
    """Be the command, in a child of the server."""
    import zsync.storage.opening

    for number, fd in enumerate(streams):
        os.dup2(fd, number)
    for fd in streams:
        os.close(fd)
    os.environ.clear()
    os.environ.update(wanted["env"])
    os.chdir(wanted["cwd"])
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        stream = open(number, "rw"[number > 0], -1, old.encoding, old.errors, closefd=False)  # noqa: SIM115 - for good
        if number:
            stream.reconfigure(line_buffering=number == 2 or stream.isatty(), write_through=old.write_through)
        setattr(sys, name, stream)
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    zsync.storage.opening._is_without_obstore = False  # the server has not begun to use it: no thread is missing
    sys.path[0] = wanted["cwd"]
    sys.argv = ["", *wanted["args"]]
    try:
        runpy.run_module("zsync", run_name="__main__", alter_sys=True)
    except BaseException:  # `main` ends the process itself
        sys.excepthook(*sys.exc_info())
    os._exit(70)


@functools.cache
def _prepare() -> None:
    """Import what commands import, once the first of them is wanted."""
    import zsync

    for found in pkgutil.walk_packages(zsync.__path__, "zsync."):
        if found.name != "zsync.__main__" and not found.name.startswith("zsync.demo"):
            importlib.import_module(found.name)
    for name in _ALSO:
        importlib.import_module(name)
    _build_models()
    gc.collect()
    gc.freeze()


def _build_models() -> None:
    """Do what each command would do alike when it is first asked to: half of its time goes there. No thread does."""
    import botocore.session
    import typer.main

    from zsync.cli import base
    from zsync.config.values import Section

    # All twenty commands would be made by each, as all have been imported, and what reads the options of the one.
    typer.main.get_command = functools.cache(typer.main.get_command)
    made = [typer.main.get_command(base.app)]
    for command in made:  # which grows meanwhile
        made += getattr(command, "commands", {}).values()
        for parameter in command.params:
            getattr(parameter, "get_runtime_param", list)()
    below = [Section]
    for model in below:  # which grows meanwhile
        below += model.__subclasses__()
        model.model_rebuild()
    share_loaders()
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    botocore.session.Session().create_client("s3", region_name="us-east-1", **keys).close()


if __name__ == "__main__":
    sys.path[0] = ""  # as for `python -m`, not the directory of this file
    _serve(*(socket.socket(fileno=int(number)) for number in sys.argv[1:]))
