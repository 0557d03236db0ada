"""Build the site: `python docs/building.py DIRECTORY` makes DIRECTORY/site, unless anything is broken (`make docs`).

Its first page is the README, and what pages link to elsewhere in the repository is in it too. Links are written as they
hold in the repository, where everybody reads them; here they are made to hold in the site.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
FIRST = "README.md"
PAGES = (FIRST, "CHANGELOG.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md")
OTHERS = ("docs/json/*", "docs/images/*", "notebooks/*.ipynb", "LICENSE")
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(?=[)#])")
_CODE_IN_ROW = re.compile(r"`[^`\n]*`(?=[^\n]*\|$)", re.MULTILINE)
_FENCE = re.compile(r"(^```.*?^```[^\n]*$)", re.DOTALL | re.MULTILINE)


def in_site(path: str) -> str:
    """Return where a file of the repository is in the site.

    Examples
    --------
    >>> in_site("docs/howto/aws.md"), in_site("README.md"), in_site("SECURITY.md")
    ('howto/aws.md', 'index.md', 'project/SECURITY.md')
    """
    if path == FIRST:
        return "index.md"
    return path.removeprefix("docs/") if path.startswith("docs/") else f"project/{path}"


def as_in_site(path: str, text: str) -> str:
    """Return a page with links that hold in the site.

    Parameters
    ----------
    path
        The page, in the repository.
    text
        What it says.

    Examples
    --------
    >>> as_in_site("docs/howto/aws.md", "[a](../../SECURITY.md#x), [b](https://example.org)")
    '[a](../project/SECURITY.md#x), [b](https://example.org)'
    """
    here, place = PurePosixPath(path).parent, PurePosixPath(in_site(path)).parent

    def moved(link: re.Match[str]) -> str:
        return os.path.relpath(in_site(os.path.normpath(here / link[1])), place)

    parts = _FENCE.split(text)
    parts[::2] = [_unescaped(LINK.sub(moved, part)) for part in parts[::2]]  # what lies between is code
    return "".join(parts)


def _unescaped(text: str) -> str:
    """Return text with the bars in code, in tables, as they are: there a backslash before them is for GitHub alone."""
    return _CODE_IN_ROW.sub(lambda code: code[0].replace("\\|", "|"), text)


def prepare(directory: Path) -> None:
    """Write all that the site is made of."""
    shutil.rmtree(directory / "docs", ignore_errors=True)
    pages = [*PAGES, *(str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").rglob("*.md")))]
    for path in pages:
        page = directory / "docs" / in_site(path)
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(as_in_site(path, (ROOT / path).read_text(encoding="utf-8")), encoding="utf-8")
    for source in (found for glob in OTHERS for found in sorted(ROOT.glob(glob))):
        file = directory / "docs" / in_site(str(source.relative_to(ROOT)))
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, file)
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    (directory / "mkdocs.yml").write_text(config.replace("paths: [.]", f"paths: ['{ROOT}']"), encoding="utf-8")


def build(directory: Path) -> int:
    """Build the site; return the exit status."""
    prepare(directory)
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    return subprocess.run(command, cwd=directory, check=False).returncode


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1] if len(sys.argv) > 1 else "build")))
