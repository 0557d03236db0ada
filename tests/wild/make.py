"""Make the corpus anew with the newest writers, and say what became different (`make wild`).

Each script in `writers` names its packages in its header (PEP 723); it runs in an environment of its own, made by `uv`.
With ``--keep`` the packages are those that are pinned there, and what is made replaces what is kept.

    python tests/wild/make.py [--keep | --pinned] [SCRIPT...]
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from kept import CORPUS, Case, cases, cases_of, files_of, keep, scripts

sys.path.append(str(Path(__file__).parent / "writers"))
SAME = "the same in other words"
PINS = re.compile(r"(?:==|@)[^\"' ]+$")


def header(script: Path) -> dict[str, Any]:
    """Return what a script says of itself."""
    mark = "#" if script.suffix == ".py" else "//"
    block = re.search(rf"^{mark} /// script\n(.*?)^{mark} ///$", script.read_text(), re.MULTILINE | re.DOTALL)
    assert block, script
    return tomllib.loads("".join(line[len(mark) + 1 :] + "\n" for line in block[1].splitlines()))


def wanted(script: Path, *, newest: bool) -> list[str]:
    """Return the packages of a script; the newest, but for writers that are old on purpose."""
    said = header(script)
    stays = said.get("tool", {}).get("wild", {}).get("series", False)
    return [PINS.sub("", package) if newest and not stays else package for package in said["dependencies"]]


@functools.cache
def uv() -> str:
    """Return uv; where there is none, of an environment that is made for it."""
    if found := shutil.which("uv"):
        return found
    place = Path(tempfile.gettempdir()) / f"zsync-wild-uv-{os.getuid()}"
    if not (place / "bin" / "uv").exists():
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        subprocess.run([place / "bin" / "python", "-m", "pip", "install", "--quiet", "uv"], check=True)
    return str(place / "bin" / "uv")


@functools.cache
def pythons() -> dict[str, str]:
    """Return interpreters by version, the newest first: this one, those on PATH, and those of pyenv."""
    tried = [sys.executable, *(shutil.which(f"python3.{n}") for n in range(15, 10, -1))]
    tried += map(str, (Path.home() / ".pyenv" / "versions").glob("3.*/bin/python"))
    found = {}
    for python in filter(None, tried):
        asked = [python, "-c", "import sys; print('.'.join(map(str, sys.version_info[:3])))"]
        said = subprocess.run(asked, capture_output=True, text=True, check=False)
        if said.returncode == 0:
            found.setdefault(said.stdout.strip(), python)
    return dict(sorted(found.items(), key=lambda item: tuple(map(int, item[0].split("."))), reverse=True))


def python_for(requires: str) -> str | None:
    from packaging.specifiers import SpecifierSet

    return next((python for version, python in pythons().items() if version in SpecifierSet(requires)), None)


def run(script: Path, place: Path, *, newest: bool) -> str | None:
    """Run a script; return why it could not, if so."""
    packages = wanted(script, newest=newest)
    if script.suffix == ".mjs":
        return _run_node(script, place, packages)
    python = python_for(header(script)["requires-python"])
    if python is None:
        return f"no Python {header(script)['requires-python']} here"
    options = [f"--with={package}" for package in packages]
    command = [uv(), "run", "--quiet", "--no-project", "--isolated", "--no-python-downloads", "--python", python]
    return _done([*command, *options, "python", "-W", "ignore", script, place], Path.cwd())


def _run_node(script: Path, place: Path, packages: list[str]) -> str | None:
    if not (shutil.which("npm") and shutil.which("node")):
        return "no Node here"
    work = place.parent / f"{place.name}-npm"
    work.mkdir()
    (work / "package.json").write_text("{}")
    failed = _done(["npm", "install", "--silent", "--no-audit", "--no-fund", *packages], work)
    return failed or _done(["node", script, place], work)


def _done(command: list[Any], cwd: Path) -> str | None:
    environment = {**os.environ, "PYTHONHASHSEED": "0", "TZ": "UTC", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else "\n".join((done.stdout + done.stderr).splitlines()[-8:])


def made(script: Path, place: Path) -> dict[str, bytes]:
    """Return the files that a script made, with digests of what its arrays hold."""
    files = files_of(place)
    for name in [name for name in files if name.count("/") == 1 and name.endswith("case.json")]:
        about = json.loads(files[name])
        about["holds"] = {s: {p: _told(a) for p, a in arrays.items()} for s, arrays in about["holds"].items()}
        files[name] = (json.dumps(about, indent=1) + "\n").encode()
    return files


def _told(held: Any) -> Any:
    """Return the digest of what JavaScript listed; Python did it by itself."""
    if isinstance(held, list):
        return held
    import numpy as np
    from values import told

    return told(np.array(held["values"], held["dtype"]).reshape(held["shape"]))


def differences(kept: list[Case], now: list[Case]) -> list[str]:
    """Say what became different, a line each."""
    old, new = {case.name: case for case in kept}, {case.name: case for case in now}
    said = [f"{name}: is not made any more" for name in sorted(old.keys() - new.keys())]
    said += [f"{name}: is new" for name in sorted(new.keys() - old.keys())]
    for name in sorted(old.keys() & new.keys()):
        for state in ("before", "after"):
            where = f"{name}, {state}"
            said += [f"{where}: {line}" for line in _differences(old[name].state(state), new[name].state(state))]
            holds = [case.about["holds"][state] for case in (old[name], new[name])]
            changed = sorted(
                path for path in holds[0].keys() | holds[1].keys() if holds[0].get(path) != holds[1].get(path)
            )
            said += [f"{where}: holds something else in {path or 'its root'}" for path in changed]
    return said


def _differences(old: dict[str, bytes], new: dict[str, bytes]) -> list[str]:
    lines = [f"without {key}" for key in sorted(old.keys() - new.keys())]
    lines += [f"with {key}" for key in sorted(new.keys() - old.keys())]
    lines += [
        f"{key}: {_difference(old[key], new[key])}" for key in sorted(old.keys() & new.keys()) if old[key] != new[key]
    ]
    again = [line for line in lines if line.endswith(SAME)]
    return [line for line in lines if line not in again] + ([f"{len(again)} documents {SAME}"] if again else [])


def _difference(old: bytes, new: bytes) -> str:
    try:
        before, after = json.loads(old), json.loads(new)
    except ValueError:
        return f"other bytes ({len(old)}, now {len(new)})"
    if before == after:
        return SAME
    return "; ".join(_changed(before, after, ""))[:400]


def _changed(old: Any, new: Any, place: str) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in old | new if old.get(key) != new.get(key)]
        return [line for key in keys for line in _changed(old.get(key), new.get(key), f"{place}.{key}".strip("."))]
    return [f"{place} was {json.dumps(old)[:60]}, is {json.dumps(new)[:60]}"]


def versions(found: list[Case]) -> str:
    return (
        ", ".join(f"{name} {version}" for name, version in found[0].about["packages"].items()) if found else "nothing"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the corpus anew and say what became different.")
    parser.add_argument("--keep", action="store_true", help="with the pinned packages, and keep what is made")
    parser.add_argument("--pinned", action="store_true", help="with the pinned packages")
    parser.add_argument("--into", type=Path, help="directory to make it in; a temporary one without")
    parser.add_argument("script", nargs="*", help="names of scripts; all without")
    given = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        for script in scripts():
            if given.script and script.stem not in given.script:
                continue
            place = (given.into or Path(temporary)).resolve() / script.stem
            if why := run(script, place, newest=not (given.keep or given.pinned)):
                print(f"== {script.stem}: not made: {why}", flush=True)
                failed += 1
                continue
            files = made(script, place)
            now = cases_of(script.stem, files)
            before = cases(script.stem) if (CORPUS / f"{script.stem}.tar.xz").exists() else []
            told = differences(before, now)
            print(f"== {script.stem}: {versions(now)} (kept: {versions(before)}): {len(now)} cases, ", end="")
            print(f"{len(told)} differences" if told else "nothing became different", flush=True)
            print("".join(f"  {line}\n" for line in told), end="", flush=True)
            if given.keep:
                keep(script.stem, files)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
