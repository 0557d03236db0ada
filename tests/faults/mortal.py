"""A store that dies at its n-th request, and with it every store of this process: as if the process had been killed."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from zsync.errors import NetworkError

WRITES = {"put", "put_if", "put_parts", "copy", "delete"}


@dataclass
class Fate:
    """When the stores of this process die.

    Attributes
    ----------
    at
        The request that is the last one; 0: never.
    acts
        The service still acts on it, and its answer is lost; else it never hears of it.
    at_write
        That request was a write.
    puts, deleted
        Keys that were written, and deleted.
    """

    at: int = 0
    acts: bool = False
    count: int = 0
    at_write: bool = False
    puts: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def set(self, at: int = 0, *, acts: bool = False) -> None:
        """Begin anew."""
        with self.lock:
            self.at, self.acts, self.count, self.at_write = at, acts, 0, False
            self.puts, self.deleted = [], []

    @property
    def has_come(self) -> bool:
        """Whether they are dead."""
        return 0 < self.at <= self.count

    def __call__(self, name, key, request):
        with self.lock:
            self.count += 1
            number = self.count
            if number == self.at:
                self.at_write = name in WRITES
        if self.at and number >= self.at and not (number == self.at and self.acts):
            raise NetworkError("dead", str(key))
        answer = request()
        if name in ("put", "put_parts"):
            with self.lock:
                self.puts.append(key)
        if name == "delete":
            with self.lock:
                self.deleted += key
        if self.at and number >= self.at:
            raise NetworkError("dead", str(key))
        return answer


class Mortal:
    """A transport whose every request asks its fate first."""

    def __init__(self, store, fate):
        self._store, self._fate = store, fate

    @property
    def capabilities(self):
        return self._store.capabilities

    def url(self, key):
        return self._store.url(key)

    def list(self, prefix):
        return iter(self._fate("list", prefix, lambda: list(self._store.list(prefix))))

    def __getattr__(self, name):
        method = getattr(self._store, name)
        return lambda first, *rest, **named: self._fate(name, first, lambda: method(first, *rest, **named))
