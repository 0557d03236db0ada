"""What lies among data and is none: what writers, editors and desktops leave behind, secrets, and repositories.

A name alone does not tell: an array may be called ``co2.partial``, and then it is one. So a directory counts as a node
where it has a node's document, but for what a writer of whole stores has not finished (``site.zarr.partial``), which
lies in no store.

The list of what is private is short on purpose: names that mean nothing else, of files that hold credentials by the
conventions of their tools, and of directories that hold a history nobody meant to publish.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
from enum import Enum

# Never data, whether files or directories.
LEFTOVERS = (
    "*.partial", ".nfs*", ".DS_Store", "*.__lock", "._*", "Thumbs.db", "desktop.ini", ".zsync*", ".ipynb_checkpoints",
    ".fuse_hidden*", "*.swp", "*.swo", ".*.un~", "*~", ".~lock.*#", "*.?*.tmp",
)  # fmt: skip
PRIVATE = (
    ".git", ".hg", ".svn", ".bzr", ".env", ".env.*", ".envrc", ".aws", ".azure", ".gcloud", ".kube", ".docker", ".ssh",
    ".gnupg", ".netrc", "_netrc", ".git-credentials", ".pgpass", ".my.cnf", ".s3cfg", ".boto", ".pypirc", ".htpasswd",
    ".cdsapirc", ".ecmwfapirc", ".vault-token", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "*.pem", "*.ppk",
    "*.kdbx",
)  # fmt: skip
_OURS = (".zsync*", ".ipynb_checkpoints")  # no node, whatever is in them
_UNFINISHED = "*.partial"
NODE_NAMES = frozenset({".zarray", ".zgroup", "zarr.json"})
_LEFTOVER, _SPARE = (
    re.compile("|".join(fnmatch.translate(name) for name in names)) for names in (LEFTOVERS, (*LEFTOVERS, *PRIVATE))
)


class Spare(Enum):
    """Why something is left out."""

    LEFTOVER = "leftover"
    PRIVATE = "private"


def is_leftover(key: str) -> bool:
    """Return whether a key is what writers, editors and file systems leave behind, or lies in it, by its name."""
    return any(_LEFTOVER.match(part) for part in key.split("/"))


def is_spare_name(name: str) -> bool:
    """Return whether something of this name may be left out; `judged` tells."""
    return _SPARE.match(name) is not None


def spare_kind(name: str) -> str:
    """Return the pattern that a name of what is left out matches."""
    return next((pattern for pattern in (*LEFTOVERS, *PRIVATE) if fnmatch.fnmatchcase(name, pattern)), name)


def judged(entry: os.DirEntry[str], *, in_store: bool) -> Spare | None:
    """Return why an entry of a directory is left out; None if it is data.

    Parameters
    ----------
    in_store
        A directory above is an array or a group.

    Raises
    ------
    OSError
        It cannot be looked at.
    """
    if not is_spare_name(entry.name):
        return None
    is_leftover = _LEFTOVER.match(entry.name) is not None
    if (is_leftover or in_store) and _is_node(entry, in_store=in_store):
        return None
    return Spare.LEFTOVER if is_leftover else Spare.PRIVATE


def _is_node(entry: os.DirEntry[str], *, in_store: bool) -> bool:
    if not entry.is_dir() or any(fnmatch.fnmatchcase(entry.name, name) for name in _OURS):
        return False
    if fnmatch.fnmatchcase(entry.name, _UNFINISHED) and not in_store:
        return False
    return _has_node(entry.path) or (in_store and _is_implicit_group(entry.path))


def _has_node(path: str) -> bool:
    return any(os.path.lexists(f"{path}/{name}") for name in NODE_NAMES)


def _is_implicit_group(path: str) -> bool:
    """Return whether a directory without a document of its own holds nodes."""
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        return any(entry.is_dir() and _has_node(entry.path) for entry in entries)
    return False
