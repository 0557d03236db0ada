"""The writers' scripts are no tests: they need packages of their own, and are run by `make wild`."""

import sys
from pathlib import Path

collect_ignore_glob = ["writers/*", "make.py"]
sys.path.append(str(Path(__file__).parent / "writers"))
