"""Who waits for a service that says nothing is known, whatever threads do."""

from __future__ import annotations

import sys
import threading

from zsync.storage import silence


def test_services_may_come_to_be_while_others_are_looked_at():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    done = threading.Event()
    made = [silence.Silence("host") for _ in range(2000)]

    def make():
        while not done.is_set() and len(made) < 10_000:
            made.append(silence.Silence("host"))

    maker = threading.Thread(target=make)
    maker.start()
    try:
        for _ in range(100):
            silence._known()
    finally:
        done.set()
        maker.join()
        sys.setswitchinterval(before)
    assert set(made) <= set(silence._known())
