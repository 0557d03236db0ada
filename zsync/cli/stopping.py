"""Signals: work stops at a safe point, and what was taken is given back."""

from __future__ import annotations

import signal
import threading

_NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
_PATIENCE_S = 10.0  # for a request that is under way, during which Python sees no signal


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


def _stop(number: int, _frame: object) -> None:
    raise StoppedError(number)
