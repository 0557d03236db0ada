"""Everything that may happen to a target, in any order: readers see what they may."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter

import pytest
from hypothesis.stateful import run_state_machine_as_test
from proxy import Proxy
from publish_machine import Target
from seeds import sequences
from servers import s3_client
from target import Site

EXAMPLES = 13


@pytest.mark.slow
@pytest.mark.torture
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("impatient")
def test_whatever_happens_readers_see_what_they_may(s3, bucket, tmp_path, tally):
    counts: Counter[str] = Counter()
    numbers = itertools.count()

    def target():
        site = Site(s3, proxy, bucket, tmp_path / f"example-{next(numbers)}")
        site.prefix = site.root.name
        return Target(site, client, counts)

    with Proxy(s3.endpoint_url) as proxy, contextlib.closing(s3_client(s3)) as client:
        run_state_machine_as_test(target, settings=sequences(EXAMPLES, 15))
    tally("state machines", next(numbers))
    for name, number in counts.items():
        tally(f"state machines: {name}", number)
    assert all(counts[kind] for kind in ("published", "crashes", "reads"))
