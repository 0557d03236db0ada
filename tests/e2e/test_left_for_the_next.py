"""Files that come or change while files are published that nothing describes: said, and sent the next time."""

from __future__ import annotations

import pytest
from anyservice import BUCKET, AnyService
from trees import write_tree

import zsync


@pytest.mark.parametrize("what", ["appears", "appears below", "changes", "is excluded"])
def test_k14_what_moves_meanwhile_is_left_for_the_next_publish(tmp_path, what):
    tree = write_tree(tmp_path / "src", {"f0": b"0", "f1": b"1"})
    came = {"appears": "new", "appears below": "d/new", "changes": "f0", "is excluded": "x.tmp"}[what]

    def meanwhile(key):
        if key == "p/src/f1":
            write_tree(tree, {came: b"later"})
        return False

    with AnyService() as service:
        config = {"source": str(tree), "target": f"s3://{BUCKET}/p", "storage": service.storage,
                  "publish": {"scheduler": "serial", "exclude": ["*.tmp"]}}  # fmt: skip
        service.refuses = meanwhile
        done = zsync.publish(config, progress=False)
        service.refuses = lambda _key: False
        assert done.status == "published"
        told = [finding.key for finding in done.findings if finding.code == "left-for-the-next"]
        assert told == ([] if what == "is excluded" else [came])
        again = zsync.publish(config, progress=False)
        assert (again.status, again.products[0].sent) == (
            ("unchanged", 0) if what == "is excluded" else ("published", 1)
        )
        assert not again.findings
