"""The repository that something lies in: which commit is checked out, for the record of what was made with it.

What is asked is read from git's own files; only whether anything differs from the commit git itself has to say. Git
runs programs that the configuration of a repository names, so it is not asked of one that names any.

Source: git's documentation, "gitrepository-layout", "git-config", "git-worktree".
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_MOST_BYTES = 2**20
_PACKED_BYTES = 2**26
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SECTION = re.compile(r'\s*\[\s*([^\s"\]]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]')
_URL = re.compile(r"\s*url\s*=\s*(\S+)\s*", re.IGNORECASE)
_RUNS = re.compile(
    r"\[\s*(?:filter|include)|fsmonitor|worktreeconfig|attributesfile|hookspath|partialclone|promisor|sshcommand",
    re.IGNORECASE,
)
_SCP_LIKE = re.compile(r"(?:git@)?([A-Za-z0-9.-]+\.[A-Za-z]+:[^@:?#\\]+)")
_STATUS = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all")
_PATIENCE_S = 5.0
_NAME = 250  # characters of a branch, or a URL


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository as it is checked out.

    Attributes
    ----------
    top
        The directory of the working tree.
    commit, branch
        What is checked out; None where that is not known, or no branch is.
    remote
        The URL of ``origin``; None where it holds anything that may be a credential, or is a path of this machine.
    """

    top: str
    commit: str | None
    branch: str | None
    remote: str | None

    def is_dirty(self) -> bool | None:
        """Return whether files that git knows differ from the commit; None if that cannot be told."""
        git_directory, common = _directories(self.top)
        if any(_RUNS.search(_read(f"{place}/config")) for place in {git_directory, common}):
            return None
        command = ["git", "-C", self.top, "--no-optional-locks", "-c", "core.fsmonitor=false", *_STATUS]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        environment["GIT_NO_LAZY_FETCH"] = "1"
        try:
            done = subprocess.run(
                command, capture_output=True, check=True, stdin=subprocess.DEVNULL, timeout=_PATIENCE_S, env=environment
            )
        except (OSError, subprocess.SubprocessError):  # no git, not our repository, or a very large one
            return None
        return bool(done.stdout.strip())

    def to_dict(self) -> dict[str, Any]:
        """Return what is known of it as JSON; of its place on this machine nothing."""
        said = {"commit": self.commit, "branch": self.branch, "dirty": self.is_dirty(), "remote": self.remote}
        return {name: value for name, value in said.items() if value is not None}


def repository_of(path: str) -> Repository | None:
    """Return the repository that a file or a directory lies in; None if it lies in none."""
    real = os.path.realpath(path)
    for top in (real, *map(str, Path(real).parents)):
        if os.path.lexists(f"{top}/.git"):
            git_directory, common = _directories(top)
            commit, branch = _checked_out(git_directory, common)
            return None if commit is None else Repository(top, commit, branch, _remote(common))
    return None


def _directories(top: str) -> tuple[str, str]:
    """Return where git keeps what belongs to a working tree, and what all of them share."""
    place = Path(top, ".git")
    if place.is_file():
        place = Path(top, _read(str(place)).partition("gitdir:")[2].strip())
    shared = _read(f"{place}/commondir").strip()
    return str(place), str(place / shared)


def _checked_out(git_directory: str, common: str) -> tuple[str | None, str | None]:
    head = _read(f"{git_directory}/HEAD").strip()
    name = head.partition("ref:")[2].strip()
    if not name:
        return (head if _COMMIT.fullmatch(head) else None), None
    if ".." in name or not name.startswith("refs/"):
        return None, None
    places = (f"{git_directory}/{name}", f"{common}/{name}")
    commit = next((found for place in places if _COMMIT.fullmatch(found := _read(place).strip())), None)
    if commit is None:
        packed = re.search(rf"^([0-9a-f]+) {re.escape(name)}$", _read(f"{common}/packed-refs", _PACKED_BYTES), re.M)
        commit = packed[1] if packed else None
    return commit, name.removeprefix("refs/heads/")[:_NAME]


def _remote(common: str) -> str | None:
    section = None
    for line in _read(f"{common}/config").splitlines():
        if (begin := _SECTION.match(line)) is not None:
            section = begin[1].lower(), begin[2]
        elif section == ("remote", "origin") and (found := _URL.fullmatch(line)) is not None:
            return harmless(found[1].strip('"'))
    return None


def harmless(url: str) -> str | None:
    """Return the URL of a remote as far as it is no secret; None where that is not sure.

    Examples
    --------
    >>> harmless("https://git.example.org/a/b.git"), harmless("git@git.example.org:a/b.git")
    ('https://git.example.org/a/b.git', 'git.example.org:a/b.git')
    >>> harmless("https://ada:token@git.example.org/a/b.git") is None
    True
    """
    if len(url) > _NAME or not url.isprintable():
        return None
    if (match := _SCP_LIKE.fullmatch(url)) is not None and "://" not in url:
        return match[1]
    try:
        parts = urlsplit(url)
        is_plain = bool(parts.hostname) and not parts.query and not parts.fragment
    except ValueError:
        return None
    place = parts.netloc.removeprefix("git@") if parts.scheme == "ssh" else parts.netloc
    is_open = parts.scheme in {"https", "http", "ssh", "git"} and "@" not in f"{place}{parts.path}"
    return f"{parts.scheme}://{place}{parts.path}" if is_plain and is_open else None


def _read(path: str, most: int = _MOST_BYTES) -> str:
    """Return a small file as text; empty if there is none, or none that can be read."""
    try:
        if not Path(path).is_file():  # a FIFO would be waited for
            return ""
        with open(path, "rb") as file:
            return file.read(most).decode(errors="replace")
    except OSError:
        return ""
