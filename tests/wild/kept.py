"""The corpus: what the scripts in `writers` made, kept as one archive a writer."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WRITERS, CORPUS = HERE / "writers", HERE / "corpus"
ENDS = (".py", ".mjs")
SHARED = {"corpus.py", "values.py"}


@dataclass(frozen=True)
class Case:
    """A store in two states: as its writer made it, and as its writer changed it."""

    archive: str
    name: str
    about: dict[str, Any]
    before: dict[str, bytes]
    after: dict[str, bytes]

    @property
    def key(self) -> str:
        return f"{self.archive}/{self.name}"

    def state(self, which: str) -> dict[str, bytes]:
        return self.before if which == "before" else self.after


def scripts() -> list[Path]:
    """Return the scripts that run: those with a header."""
    return [p for p in sorted(WRITERS.iterdir()) if p.suffix in ENDS and "/// script" in p.read_text()]


def archives() -> list[str]:
    return sorted(path.name.removesuffix(".tar.xz") for path in CORPUS.glob("*.tar.xz"))


def cases(archive: str) -> list[Case]:
    """Return the cases of an archive."""
    with tarfile.open(CORPUS / f"{archive}.tar.xz") as packed:
        files = {member.name: packed.extractfile(member).read() for member in packed if member.isfile()}  # type: ignore[union-attr]
    return cases_of(archive, files)


def cases_of(archive: str, files: dict[str, bytes]) -> list[Case]:
    names = sorted({name.split("/")[0] for name in files})
    return [
        Case(
            archive,
            name,
            json.loads(files[f"{name}/case.json"]),
            *(_below(files, name, s) for s in ("before", "after")),
        )
        for name in names
    ]


def _below(files: dict[str, bytes], name: str, state: str) -> dict[str, bytes]:
    prefix = f"{name}/{state}/"
    return {key.removeprefix(prefix): content for key, content in files.items() if key.startswith(prefix)}


def files_of(directory: Path) -> dict[str, bytes]:
    """Return what a script made."""
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def keep(archive: str, files: dict[str, bytes]) -> None:
    """Pack files, the same each time."""
    CORPUS.mkdir(exist_ok=True)
    with tarfile.open(CORPUS / f"{archive}.tar.xz", "w:xz", format=tarfile.PAX_FORMAT) as packed:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
