"""A store that dies at its n-th request, and with it every store of this process: as if the process had been killed.

Or it fails for a while only, or stands still while somebody else goes on or looks.
"""

from __future__ import annotations

import contextvars
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zsync.errors import NetworkError, ObjectNotFoundError
from zsync.storage import Over

if TYPE_CHECKING:
    from collections.abc import Callable

WRITES = {"put", "put_if", "put_parts", "copy", "delete", "disk"}


@dataclass
class Fate:
    """When the stores of this process die.

    Attributes
    ----------
    at
        The request that is the last one; 0: never.
    acts
        The service still acts on it, and its answer is lost; else it never hears of it.
    lasts
        How many requests go wrong; None: all from then on. Where not all do, `acts` is about each of them.
    meanwhile
        Called before that request, and nothing goes wrong: all stores that were open stand still until it returns,
        but for those that it opens itself.
    watch
        Called after each write, and no other request begins before it returns: what is in the target then is what
        whoever dies at any request before the next write leaves there.
    forget
        Has stores be opened anew.
    at_write
        That request was a write.
    puts, deleted, asked
        Keys that were written, deleted, and asked for: keys or prefixes of all requests whose answer depends on what
        is there.
    """

    at: int = 0
    acts: bool = False
    lasts: int | None = None
    meanwhile: Callable[[], None] | None = None
    watch: Callable[[], None] | None = None
    forget: Callable[[], None] = lambda: None
    count: int = 0
    at_write: bool = False
    generation: int = 0  # of stores: those of an older one stand still
    puts: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    turns: threading.Lock = field(default_factory=threading.Lock)
    going: threading.Event = field(default_factory=threading.Event)

    def set(self, at: int = 0, *, acts: bool = False, lasts: int | None = None, meanwhile=None, watch=None) -> None:
        """Begin anew."""
        with self.lock:
            self.at, self.acts, self.lasts, self.meanwhile, self.watch = at, acts, lasts, meanwhile, watch
            self.count, self.at_write = 0, False
            self.puts, self.deleted, self.asked = [], [], []
            self.going.set()

    @property
    def has_come(self) -> bool:
        """Whether they are dead, or have been."""
        return 0 < self.at <= self.count

    def __call__(self, name, key, request, generation=None):
        if generation is not None and generation == self.generation - 1 and not self.going.is_set():
            self.going.wait()
        with self.lock:
            self.count += 1
            number = self.count
            if number == self.at:
                self.at_write = name in WRITES
            if name not in WRITES or name == "put_if":
                self.asked.append(key)
        if number == self.at and self.meanwhile is not None:
            self._stand_still()
        goes_wrong = self.at and self.meanwhile is None and number >= self.at
        goes_wrong = goes_wrong and (self.lasts is None or number < self.at + self.lasts)
        if goes_wrong and not (self.acts and (number == self.at or self.lasts is not None)):
            raise NetworkError("dead", str(key))
        answer = request() if self.watch is None else self._in_turn(name, request)
        if name in ("put", "put_parts"):
            with self.lock:
                self.puts.append(key)
        if name == "delete":
            with self.lock:
                self.deleted += key
        if goes_wrong:
            raise NetworkError("dead", str(key))
        return answer

    def _in_turn(self, name, request):
        with self.turns:
            try:
                return request()
            finally:
                if name in WRITES:
                    self.watch()

    def _stand_still(self):
        self.going.clear()
        self.generation += 1
        self.forget()
        try:
            contextvars.Context().run(self.meanwhile)  # another process knows no open stores
        finally:
            self.going.set()


class Mortal:
    """A transport whose every request asks its fate first."""

    def __init__(self, store, fate):
        self._store, self._fate, self._generation = store, fate, fate.generation

    @property
    def capabilities(self):
        return self._store.capabilities

    def url(self, key):
        return self._store.url(key)

    def list(self, prefix):
        return iter(self._ask("list", prefix, lambda: list(self._store.list(prefix))))

    def _ask(self, name, key, request):
        return self._fate(name, key, request, self._generation)

    def remove(self, items):
        """Copy what is to be kept, each by a request of its own, then delete."""
        gone = set()
        for key, over in items:
            if over.keep is not None:
                try:
                    self.copy(key, over.keep)
                except ObjectNotFoundError:
                    gone.add(key)
        rest = [(key, Over(over.seen)) for key, over in items if key not in gone]
        return self._fate("delete", [key for key, _ in rest], lambda: self._store.remove(rest), self._generation)

    def __getattr__(self, name):
        method = getattr(self._store, name)
        return lambda first, *rest, **named: self._ask(name, first, lambda: method(first, *rest, **named))
