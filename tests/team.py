"""Members of a team: each with a folder and a cache of their own, all with one target."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager

from trees import md5, read_tree, s3_bytes, s3_tree

import zsync


class Member:
    """One member, on a machine of their own as far as files go."""

    def __init__(self, team, name):
        self.team, self.name = team, name
        self.home = team.root / name
        self.folder = self.home / "Data"
        self.home.mkdir(parents=True)

    def config(self, **more):
        return {
            "source": str(self.folder),
            "target": f"s3://{self.team.bucket}/{self.team.prefix}/Data",
            "products": {"Data": {"path": str(self.folder), "to": f"s3://{self.team.bucket}/{self.team.prefix}/Data"}},
            "storage": {
                "endpoint_url": self.team.endpoint_url,
                "region": self.team.s3.region,
                "access_key_id": self.team.s3.access_key,
                "secret_access_key": self.team.s3.secret_key,
            },
            "team": {"member": self.name, "ignore": [".S3"]},
            **more,
        }

    def dialect(self, **more):
        """Write what s3synchrony reads, into the member's home."""
        document = {
            "platform": "s3",
            "local_data_rel_dir": "Data",
            "platforms": {"s3": {"aws_bkt": self.team.bucket, "aws_prfx": f"{self.team.prefix}/Data"}},
            **more,
        }
        (self.home / "s3synchrony.json").write_text(json.dumps(document))
        return self.home / "s3synchrony.json"

    @contextmanager
    def own_cache(self):
        before = os.environ.get("ZSYNC_CACHE_DIR")
        os.environ["ZSYNC_CACHE_DIR"] = str(self.home / "cache")
        try:
            yield
        finally:
            if before is None:
                del os.environ["ZSYNC_CACHE_DIR"]
            else:
                os.environ["ZSYNC_CACHE_DIR"] = before

    def sync(self, *, yes=True, **options):
        with self.own_cache():
            return zsync.sync(self.config(), yes=yes, progress=False, **options)

    def did(self, **options):
        """Synchronize, and return what was done: unit to what its states came to and what was done."""
        [product] = self.sync(**options).products
        return {change.unit: (str(change.verdict), change.action) for change in product.changes}

    def write(self, key, content):
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def read(self):
        return read_tree(self.folder) if self.folder.exists() else {}

    def trash(self):
        """Return everything in the trash here, by key: a list of contents."""
        root = self.home / ".zsync" / "Data" / "trash"
        found = {}
        for key, content in (read_tree(root) if root.exists() else {}).items():
            found.setdefault(key.partition("/")[2], []).append(content)
        return found


class Team:
    """Some members, and what they share."""

    def __init__(self, s3, bucket, root, endpoint_url=None, prefix="team"):
        self.s3, self.bucket, self.root, self.prefix = s3, bucket, root, prefix
        self.endpoint_url = endpoint_url or s3.endpoint_url
        self.members = {}

    def __call__(self, name):
        if name not in self.members:
            self.members[name] = Member(self, name)
        return self.members[name]

    def remote(self):
        return s3_bytes(self.s3, self.bucket, f"{self.prefix}/Data/")

    def holds(self, tree):
        """Whether the target holds just these files, as its ETags tell: they are MD5s."""
        found = s3_tree(self.s3, self.bucket, f"{self.prefix}/Data/")
        return found == {key: (len(content), md5(content)) for key, content in tree.items()}

    def trash(self):
        """Return everything in the target's trash, by key: a list of contents."""
        found = {}
        for key, content in s3_bytes(self.s3, self.bucket, f"{self.prefix}/.zsync/Data/trash/").items():
            found.setdefault(key.partition("/")[2], []).append(content)
        return found
