"""What a directory lies on: file events come only from this machine's own writes, on its own file systems."""

from __future__ import annotations

import os
import re
from pathlib import Path

# File systems of which other machines write too, or that tell nothing: mount types of Linux.
_SHARED = {
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "drvfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
    "wekafs",
}  # fmt: skip
_ESCAPED = re.compile(r"\\([0-7]{3})")


def mount_type(path: str, mounts: str) -> str | None:
    r"""Return the type of the file system that a path lies on.

    Parameters
    ----------
    path
        Absolute, without links.
    mounts
        The text of ``/proc/self/mountinfo``.

    Examples
    --------
    >>> mount_type("/data/a", "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n36 21 0:32 / /data rw - nfs4 host:/x rw")
    'nfs4'
    """
    found: tuple[int, str] | None = None
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        if len(fields) < 5 or not right:
            continue
        point = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4]).rstrip("/")
        # Of two mounts on one point the later hides the earlier.
        if (path == point or path.startswith(f"{point}/")) and (found is None or len(point) >= found[0]):
            found = len(point), right.split()[0]
    return None if found is None else found[1]


def has_events(path: str) -> bool:
    """Return whether file events can be relied on for a directory."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # not Linux: there watchfiles knows best
        return True
    kind = mount_type(os.path.realpath(path), mounts) or ""
    return kind not in _SHARED and not kind.startswith("fuse")
