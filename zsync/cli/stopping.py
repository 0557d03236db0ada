"""Signals: work stops at a safe point, and what was taken is given back; if that takes long, it just ends."""

from __future__ import annotations

import os
import signal
import threading

from zsync.cli.output import say

_NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
_PATIENCE_S = 8.0  # less than what is waited for us elsewhere, as by `docker stop`


class StoppedError(KeyboardInterrupt):
    """A signal asks to stop; raised wherever the main thread is, as at Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return _NAMES[signal.Signals(self.number)]

    @property
    def status(self) -> int:
        """The exit status, as a shell would give it."""
        return 128 + self.number


def listen() -> None:
    """Stop at SIGINT, SIGTERM and SIGHUP; one that is ignored, as below `nohup`, stays so."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _NAMES:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def end_at_last() -> None:
    """End the process some seconds after a signal, or at a second one, wherever its threads are.

    A request that is under way cannot be broken off, and while one waits Python may not even see the signal. Nothing is
    lost: a publish that was killed is one that the next run takes up, and its lease is known to be nobody's.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    there, here = os.pipe()
    os.set_blocking(here, False)
    signal.set_wakeup_fd(here, warn_on_full_buffer=False)
    threading.Thread(target=_await_signals, args=(there,), name="zsync-signals", daemon=True).start()


def _stop(number: int, _frame: object) -> None:
    raise StoppedError(number)


def _await_signals(there: int) -> None:
    timer: threading.Timer | None = None
    while numbers := os.read(there, 1):
        number = numbers[0]
        if number not in _NAMES or signal.getsignal(number) is not _stop:  # whoever has another handler sees to it
            continue
        if timer is not None:
            _end(number)
        timer = threading.Timer(_PATIENCE_S, _end, (number,))
        timer.daemon = True
        timer.start()


def _end(number: int) -> None:
    error = StoppedError(number)
    say(f"zsync: {error}; what was under way is left as it is, and the next run goes on from there", err=True)
    os._exit(error.status)
