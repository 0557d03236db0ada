"""Fixtures that all tests share: servers, fresh buckets, an environment without surprises, the command."""

from __future__ import annotations

import contextlib
import gc
import itertools
import logging
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import certifi
import prepared
import pytest
import seeds
from _pytest.doctest import DoctestModule
from hypothesis import HealthCheck, Phase, settings
from proxy import Proxy
from servers import Buckets, MotoServer, RcloneServer
from target import Site

from zsync.devserver import DevServer

collect_ignore = ["mutants"]  # what it needs comes with `make mutants` only

# Every run tries the same examples, wherever it runs, and a slow machine is not a failure; `make torture` tries others.
settings.register_profile("fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "torture", derandomize=False, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# Of a mutant it is enough to know that it was noticed (`make mutants`).
settings.register_profile("unshrunk", settings.get_profile("fixed"), phases=[Phase.explicit, Phase.generate])
settings.load_profile("torture" if seeds.SEED else "fixed")


class Examples:
    """Of a module without examples no worker looks for any: to import and search them all took a second of each."""

    @staticmethod
    @pytest.hookimpl(wrapper=True)
    def pytest_collect_file(file_path: Path) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
        found = yield
        has_examples = file_path.suffix != ".py" or b">>>" in file_path.read_bytes()
        return [each for each in found if has_examples or not isinstance(each, DoctestModule)]


def pytest_configure(config: pytest.Config) -> None:
    """Have a seed that is given count, which what is derandomized would not ask for; and workers share a server."""
    if config.getoption("--hypothesis-seed", None) is not None:
        settings.load_profile("torture")
    config.pluginmanager.register(Examples())  # as a plugin, for all directories
    if config.getoption("numprocesses", None):  # not so for a worker
        prepared.share()


# Under `nohup` every process that a test starts would ignore what the tests of signals send.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# And in the background of a shell Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Servers written in Go spend a fifth of their time collecting garbage; a test run has memory to spare. And on several
# processors a third of it in looking for work to share: there is a server for each worker already.
os.environ.setdefault("GOGC", "off")
os.environ.setdefault("GOMEMLIMIT", "1GiB")
os.environ.setdefault("GOMAXPROCS", "1")


def _use_memory(directory: Path = Path("/dev/shm"), room: int = 4 * 2**30) -> None:
    """Have temporary directories be in memory, if there is room, and nobody said otherwise (`TMPDIR=`).

    Tests make and remove files all the time, and a disk's file system then looks for a long while for inodes that were
    not freed just now: a fifth of what a test of pulls takes.
    """
    if "TMPDIR" in os.environ or not os.access(directory, os.W_OK):
        return
    available = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    if available and min(int(available[1]) * 1024, shutil.disk_usage(directory).free) > room:
        os.environ["TMPDIR"] = str(directory)
        tempfile.tempdir = None  # whoever asked before was told another


_use_memory()
prepared.share_loaders()

_FAMILIES = ("AWS_", "S3_", "ZSYNC_")
_PIPELINE = {
    "LOCAL_ROOT",
    "PRE_QF_NAME",
    "POST_QF_NAME",
    "COG_DIR",
    "COG_DIR_S3",
    "DRYRUN",
    "VERBOSE",
    "RC_FILE_OVERRIDE",
}
_BUNDLES = {"REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"}
_PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Fresh directories; `mktemp` would look through all that there are for the next number."""
    root = tmp_path_factory.mktemp("homes")
    return (root / str(number) for number in itertools.count())


@pytest.fixture(scope="session")
def _one_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of certificates as OpenSSL has them, with one in it, which has issued none of our servers'."""
    directory = tmp_path_factory.mktemp("certificates")
    first, end, _ = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----\n")
    (directory / "00000000.0").write_text(first + end)
    return directory


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, _homes: Iterator[Path], _one_authority: Path) -> Path:
    """Take away everything in the environment that zsync and its libraries read; return the directory of caches."""
    logging.getLogger("zsync").setLevel(logging.NOTSET)  # a command that ran in this process leaves its own
    home = next(_homes)
    home.mkdir()
    for name in list(os.environ):
        if name.startswith(_FAMILIES) or name in _PIPELINE or name in _BUNDLES or name.upper() in _PROXIES:
            monkeypatch.delenv(name)
    # Clients of S3 read all authorities of the machine, some 150, each time that one is made.
    monkeypatch.setenv("SSL_CERT_DIR", str(_one_authority))
    monkeypatch.setattr("botocore.httpsession.where", lambda: str(_one_authority / "00000000.0"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return home


@pytest.fixture(scope="session")
def s3() -> Iterator[DevServer]:
    """A SeaweedFS server; if it cannot start, the tests that need it fail."""
    with DevServer() as server:
        yield server


@pytest.fixture(scope="session")
def _buckets(s3: DevServer) -> Iterator[Buckets]:
    buckets = Buckets(s3)
    yield buckets
    buckets.close()


@pytest.fixture
def bucket(_buckets: Buckets) -> str:
    """A fresh bucket of `s3`."""
    return _buckets.take()


@pytest.fixture
def versioned_bucket(_buckets: Buckets) -> str:
    """A fresh bucket of `s3` that keeps versions."""
    return _buckets.take(versioning=True)


@pytest.fixture(scope="session")
def rclone_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneServer]:
    """`rclone serve s3`: a second server, to see whether we depend on the habits of the first."""
    with RcloneServer(tmp_path_factory.mktemp("rclone") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def moto_s3() -> Iterator[MotoServer]:
    """moto's server: a third opinion."""
    with MotoServer() as server:
        yield server


@pytest.fixture
def proxy(s3: DevServer) -> Iterator[Proxy]:
    """A proxy before `s3`, through which nothing goes wrong yet."""
    with Proxy(s3.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def site(s3: DevServer, proxy: Proxy, bucket: str, tmp_path: Path, request: pytest.FixtureRequest) -> Site:
    """A run and its target: published through the proxy, read directly; as the module's `PUBLISH` says."""
    return Site(s3, proxy, bucket, tmp_path / "run", getattr(request.module, "PUBLISH", None))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Three a processor: tests of services and of commands wait for them, half of the time."""
    return 3 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have each worker begin with its share of the slow tests, so that none ends long after the others.

    What takes its choices from a seed is marked; of a longer search nobody knows how long it takes.
    """
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.torture)
        if seeds.SEED:
            item.add_marker(pytest.mark.timeout(0), append=False)
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    slow = [item for item in items if item.get_closest_marker("slow")]
    quick = [item for item in items if not item.get_closest_marker("slow")]
    shares = [quick[len(quick) * n // workers : len(quick) * (n + 1) // workers] for n in range(workers)]
    items[:] = [item for n, share in enumerate(shares) for item in (*slow[n::workers], *share)]


def pytest_collection_finish() -> None:
    """Have the garbage collector leave alone what stays: modules and tests, a quarter of a second to look through.

    And look for the rest less often: hardly anything that tests leave behind is a circle, and an eighth of their time
    went there.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


_TALLY = "tally: "


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Callable[[str, int], None]:
    """Count what the reliability tests do; the sums are printed at the end.

    ``tally("kills in process", 20)``
    """

    def count(what: str, number: int) -> None:
        request.node.user_properties.append((_TALLY + what, number))

    return count


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the sums of what `tally` counted, wherever the tests ran."""
    if seeds.SEED:
        terminalreporter.write_line(f"the seed was {seeds.SEED}; the same again: {seeds.again()}")
    sums: dict[str, int] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, number in getattr(report, "user_properties", ()) if getattr(report, "when", "") == "call" else ():
                if name.startswith(_TALLY):
                    what = name.removeprefix(_TALLY)
                    sums[what] = max(sums.get(what, 0), number) if "longest" in what else sums.get(what, 0) + number
    if sums:
        terminalreporter.section("broken on purpose")
        for what, number in sorted(sums.items()):
            terminalreporter.write_line(f"{number:>9,} {what}")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cut off stays cut off: trying again would only take time."""
    monkeypatch.setattr("zsync.storage.retrying.RetryPolicy.__init__.__defaults__", (1, 1, 0.0, 0.0))


ZARRITA = """
import * as zarr from "zarrita";
import { existsSync, readFileSync } from "node:fs";
const root = process.argv[2];
const plain = { get: async (key) => (existsSync(root + key) ? new Uint8Array(readFileSync(root + key)) : undefined) };
const store = await zarr.withMaybeConsolidatedMetadata(plain).catch(() => plain);
const array = await zarr.open(zarr.root(store).resolve("t2m"), { kind: "array" });
const { data } = await zarr.get(array);
console.log(data[Number(process.argv[3] ?? 23)], "contents" in store ? store.contents().length : 0);
"""


@pytest.fixture(scope="session")
def zarrita(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory in which Node finds zarrita.js; it is fetched, where there is Node and a registry."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("there is no Node here")
    where = tmp_path_factory.mktemp("zarrita")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(where), "zarrita@0.7.5"]
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(command, capture_output=True, timeout=60, check=False)
    if not (where / "node_modules/zarrita").is_dir():
        pytest.skip("zarrita.js is not to be had here")
    (where / "read.mjs").write_text(ZARRITA)
    return where


@pytest.fixture
def run_zsync(tmp_path: Path) -> Run:
    """Run the command in a process of its own.

    ``run_zsync("plan", "run.yaml", env={...}, check=3)`` asserts exit status 3; ``check=None`` takes any. The process
    is prepared (`prepared`), but for a sample of the tests and where ``afresh=True`` says so.
    """

    def run(
        *args: str | Path,
        env: dict[str, str] | None = None,
        check: int | None = 0,
        cwd: Path | None = None,
        timeout: float = 120,
        afresh: bool | None = None,
    ) -> subprocess.CompletedProcess[str]:
        done = prepared.run(
            *args,
            afresh=afresh,
            env={**os.environ, **(env or {})},
            cwd=cwd or tmp_path,
            text=True,
            timeout=timeout,
        )
        assert check is None or done.returncode == check, (
            f"zsync {' '.join(map(str, args))}: status {done.returncode}, not {check}\n{done.stdout}\n{done.stderr}"
        )
        return done

    return run
