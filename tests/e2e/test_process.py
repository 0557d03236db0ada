"""The process: forks, silent services, pipes, signals, closed streams, times that no table holds."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import logging
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import typer
from proxy import Fault, on
from servers import s3_client, tool_env
from trees import read_tree, s3_bytes, s3_tree, write_tree

import zsync
from zsync.cli.base import door
from zsync.config import Location, Storage
from zsync.errors import ConfigError, NetworkError, ObjectNotFoundError, SilentError
from zsync.storage import connect, spec_for
from zsync.verbs.trash import list_trash

TRANSPORTS = ("obstore", "fsspec")
PATIENCE_S = 60


@pytest.fixture
def environment(s3, monkeypatch):
    for name, value in tool_env(s3).items():
        monkeypatch.setenv(name, value)
    return dict(os.environ)


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "src", {"a.txt": b"a", "d/b.txt": b"b"})


def put(root, url, transport="auto"):
    return zsync.publish(str(root), target=url, transport=transport, progress=False).status


def use(root, url, dest, transport="auto"):
    """Publish, publish again, pull and list: what a child does."""
    done = [put(root, url, transport), put(root, url, transport)]
    done.append(zsync.pull(f"{url}/{root.name}", dest, transport=transport, progress=False).status)
    return [*done, len(list_trash(f"{url}/{root.name}"))]


USED = ["published", "unchanged", "pulled", 0]


# --- forks -----------------------------------------------------------------------------------------------------------


def in_child(work, patience_s=PATIENCE_S):
    """Do some work in a forked child, and return what it returns, or the text of its error."""
    there, here = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = json.dumps(work())
        except BaseException as error:
            said = json.dumps(f"{type(error).__name__}: {error}")
        os.write(here, said.encode())
        os._exit(0)
    os.close(here)
    deadline = time.monotonic() + patience_s
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        time.sleep(0.01)
    with os.fdopen(there) as said:
        return json.loads(said.read())


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_i1_a_forked_child_does_what_its_parent_did(environment, bucket, tree, tmp_path, transport):
    url = f"s3://{bucket}"
    assert use(tree, f"{url}/parent", tmp_path / "parent", transport) == USED

    def work():
        inner = in_child(lambda: put(tree, f"{url}/grandchild", transport))
        return [*use(tree, f"{url}/child", tmp_path / "child", transport), inner]

    assert in_child(work) == [*USED, "published"]
    assert put(tree, f"{url}/parent", transport) == "unchanged", "the parent is none the worse"
    assert list((tmp_path / "child").rglob("a.txt"))


def test_i1_pools_of_forked_workers(environment, bucket, tree, tmp_path):
    url = f"s3://{bucket}"
    assert put(tree, f"{url}/parent") == "published"
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        futures = [pool.submit(put, tree, f"{url}/{n}") for n in range(3)]
        assert [future.result(PATIENCE_S) for future in futures] == ["published"] * 3
    with context.Pool(1) as pool:
        assert pool.apply_async(put, (tree, f"{url}/0")).get(PATIENCE_S) == "unchanged"


def test_i1_a_fork_while_a_publish_runs(environment, bucket, tree, tmp_path, proxy, monkeypatch):
    """Whatever the other thread holds at that moment, the child gets on; and it is another process to the lease."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint_url)
    url = f"s3://{bucket}"
    many = write_tree(tmp_path / "many", {f"{n}.txt": b"%d" % n for n in range(100)})
    over = threading.Event()
    proxy.faults.append(on(Fault.hold(over, PATIENCE_S), method="PUT", key="many/*.txt", times=None))
    done = []
    thread = threading.Thread(target=lambda: done.append(put(many, f"{url}/many")))
    thread.start()
    while not any(exchange.key.endswith(".txt") for exchange in proxy.requests):
        assert thread.is_alive()
        time.sleep(0.001)

    def same_product():
        try:
            return put(many, f"{url}/many")
        except zsync.ZsyncError as error:
            return error.exit_status

    for number in range(2):
        assert in_child(lambda number=number: put(tree, f"{url}/{number}")) == "published"
    assert in_child(same_product) == 4
    over.set()
    thread.join(PATIENCE_S)
    assert done == ["published"]


def test_i1_a_fork_inside_a_publish_leaves_the_lease_to_the_parent(site, tmp_path):
    """A child that comes back out of the parent's publish does not go on with it, and gives nothing back."""
    site.root.mkdir()
    write_tree(site.root / "p", {"a": b"a"})
    site.products["p"] = {"path": "p", "kind": "files"}
    seen = []

    class Forking:
        def begin(self, step, objects, size):
            if step != "data" or seen:
                return
            child = os.fork()
            if child == 0:
                raise SystemExit
            os.waitpid(child, 0)
            seen.append(json.loads(s3_bytes(site.s3, site.bucket, "run/.zsync/p/")["lease.json"])["by"])

        def advance(self, objects, size): ...

        def end(self): ...

    parent = os.getpid()
    try:
        status = zsync.publish(site.config(), progress=Forking()).status
    except SystemExit:
        assert os.getpid() != parent
        os._exit(0)
    assert status == "published"
    assert seen[0]["pid"] == str(parent)


def test_i1_a_child_does_not_keep_a_folder_locked(site):
    from zsync.team.base import locked

    mine, its = socket.socketpair()
    with locked(site.root.parent, "x"):
        child = os.fork()
        if child == 0:
            mine.close()
            its.sendall(b"!")
            its.recv(1)
            os._exit(0)
        its.close()
        assert mine.recv(1) == b"!"
    try:
        with locked(site.root.parent, "x"):
            pass
    finally:
        mine.close()
        os.waitpid(child, 0)


# --- a service that says nothing -------------------------------------------------------------------------------------

HEADERS = (
    b'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nETag: "x"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n<'
)


class Mute:
    """A server that accepts, and then says nothing, or not enough."""

    def __init__(self, said=b""):
        self.said, self.kept = said, []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                self.kept.append(connection)
                if self.said:
                    connection.recv(2**16)
                    connection.sendall(self.said)

    def close(self):
        self.server.close()
        for connection in self.kept:
            connection.close()


@pytest.fixture
def hasty(monkeypatch):
    """A minute that takes a second."""
    monkeypatch.setattr("zsync.storage.opening.READ_TIMEOUT_S", 1.0)
    monkeypatch.setattr("zsync.storage.opening.CONNECT_TIMEOUT_S", 0.4)
    monkeypatch.setattr("zsync.storage.silence.SILENCE_S", 0.8)
    monkeypatch.setattr("zsync.storage.silence.WORDS_S", (0.3, 0.6))
    monkeypatch.setattr("zsync.storage.silence._TICK_S", 0.05)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("scheme", "said"), [("http", b""), ("https", b""), ("http", HEADERS)])
def test_i2_a_service_that_says_nothing(hasty, environment, monkeypatch, tree, caplog, scheme, said, transport):
    with contextlib.closing(Mute(said)) as mute, caplog.at_level(logging.WARNING):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"{scheme}://{mute.address}")
        began = time.monotonic()
        with pytest.raises(zsync.ZsyncError) as raised:
            put(tree, "s3://bucket/x", transport)
        assert time.monotonic() - began < 15
    text = str(raised.value)
    if not (said and transport == "fsspec"):  # it takes the headers for an answer, and asks again
        assert isinstance(raised.value, NetworkError), text
        assert mute.address in text or "s3://bucket" in text
        assert f"no answer from {scheme}://{mute.address} for" in caplog.text
    assert "check" in text or "try again" in text


@pytest.mark.parametrize("verb", ["pull", "list", "plan"])
def test_i2_every_verb_ends(hasty, environment, monkeypatch, tree, tmp_path, verb):
    verbs = {
        "pull": lambda: zsync.pull("s3://bucket/x", tmp_path / "d", progress=False),
        "list": lambda: list_trash("s3://bucket/x"),
        "plan": lambda: zsync.plan(str(tree), target="s3://bucket/x", progress=False),
    }
    with contextlib.closing(Mute()) as mute:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{mute.address}")
        began = time.monotonic()
        with pytest.raises(SilentError, match=r"no answer.*check `endpoint_url`"):
            verbs[verb]()
        assert time.monotonic() - began < 10


def test_i2_who_asks_for_more_attempts_gets_them(hasty, environment, monkeypatch, tree):
    with contextlib.closing(Mute()) as mute:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{mute.address}")
        began = time.monotonic()
        with pytest.raises(NetworkError):
            zsync.publish(str(tree), target="s3://bucket/x", progress=False, retries=2)
        assert time.monotonic() - began > 2.5


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_i2_a_service_that_goes_silent_on_the_way(hasty, environment, monkeypatch, bucket, tree, proxy, transport):
    """Nor does giving the lease back take another minute."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint_url)
    silent, over = threading.Event(), threading.Event()

    def rule(exchange):
        if exchange.method == "PUT" and exchange.key.endswith("a.txt"):
            silent.set()
        return Fault.hold(over, 60) if silent.is_set() else None

    proxy.faults.append(rule)
    began = time.monotonic()
    with pytest.raises(zsync.ZsyncError):
        put(tree, f"s3://{bucket}/x", transport)
    assert time.monotonic() - began < 15
    over.set()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_i2_a_slow_service_is_borne(hasty, environment, monkeypatch, bucket, tree, proxy, caplog, transport):
    """Every answer takes long, but comes: there is a word, and all is published."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint_url)
    monkeypatch.setattr("zsync.storage.opening.READ_TIMEOUT_S", 20.0)
    monkeypatch.setattr("zsync.storage.silence.SILENCE_S", 20.0)
    monkeypatch.setattr("zsync.storage.silence.WORDS_S", (0.5,))
    proxy.faults.append(on(Fault.delay(0.8), method="GET", times=None))
    with caplog.at_level(logging.INFO, logger="zsync"):
        assert put(tree, f"s3://{bucket}/x", transport) == "published"
    assert "no answer from" in caplog.text
    assert "answers again" in caplog.text


# --- pipes and signals -----------------------------------------------------------------------------------------------


def run(*words, env=None, shell=None, timeout=PATIENCE_S):
    """Run the command, from a shell if redirections are wanted."""
    command = [sys.executable, "-m", "zsync", *map(str, words)]
    if shell is not None:
        command = ["bash", "-c", f'"$@" {shell}', "bash", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=env)


@pytest.fixture
def local(tree, tmp_path):
    """A publish to a directory of this machine, of which two keys were retired into the trash."""
    url = f"file://{tmp_path}/t"
    zsync.publish(str(tree), target=url, progress=False)
    write_tree(tree, {f"{n}.txt": b"x" for n in range(3)})
    return url


@pytest.mark.parametrize(
    ("words", "shell"),
    [
        (["config", "init", "{tmp}/c.yaml"], "| true"),
        (["plan", "{src}", "--target", "{url}", "--json"], "2>/dev/null | true"),
    ],
)
def test_i3_nobody_reads_the_output(local, tree, tmp_path, words, shell):
    words = [word.format(tmp=tmp_path, src=tree, url=local) for word in words]
    done = run(*words, shell=f"{shell}; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (141, "")


def test_i3_the_output_is_full(local, tree):
    done = run("config", "show", tree, "--target", local, shell="> /dev/full")
    assert done.returncode == 1
    assert done.stderr == "zsync: the output cannot be written (No space left on device)\n"


@pytest.mark.parametrize(
    ("sent", "status", "says"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "hung up"),
    ],
)
def test_i3_a_signal_ends_what_waits_for_a_silent_service(environment, tree, sent, status, says):
    """A second one at once, though no thread comes back."""
    with contextlib.closing(Mute()) as mute:
        process = subprocess.Popen(
            [sys.executable, "-m", "zsync", "publish", str(tree), "--target", "s3://bucket/x"],
            env={**environment, "AWS_ENDPOINT_URL": f"http://{mute.address}"},
            stderr=subprocess.PIPE,
            text=True,
        )
        while not mute.kept:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(sent)
        time.sleep(0.2)
        process.send_signal(sent)
        _, said = process.communicate(timeout=25)
    assert process.returncode == status
    assert f"zsync: {says}" in said
    assert "Traceback" not in said


def test_i3_below_nohup_a_hangup_is_ignored(environment, site, tmp_path):
    site.root.mkdir()
    write_tree(site.root / "p", {"a": b"a"})
    site.products["p"] = {"path": "p", "kind": "files"}
    over = threading.Event()
    site.proxy.faults.append(on(Fault.hold(over), method="PUT", key="run/p/a"))
    config = tmp_path / "c.json"
    config.write_text(json.dumps(site.config()))
    command = ["nohup", sys.executable, "-m", "zsync", "publish", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not any(exchange.key == "run/p/a" for exchange in site.proxy.requests):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.1)
    over.set()
    process.communicate(timeout=30)
    assert process.returncode == 0


# --- closed streams --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "closed"),
    [(["publish"], "2>&-"), (["publish"], "<&- >&- 2>&-"), (["watch", "--once"], "<&- >&- 2>&-")],
)
def test_k19_streams_that_are_closed(tree, tmp_path, words, closed):
    target = tmp_path / "t"
    done = run(*words, tree, "--target", f"file://{target}", shell=closed)
    assert (done.returncode, done.stderr if "2>" in closed else "") == (0, "")
    found = next(target.rglob("a.txt")).parent
    assert read_tree(found) == read_tree(tree), "nothing that was said is in a file"


@pytest.mark.parametrize("verb", ["pull", "sync"])
def test_k19_other_verbs(local, tree, tmp_path, verb):
    words = {
        "pull": ["pull", f"{local}/src", tmp_path / "d"],
        "sync": ["sync", tmp_path / "sync.yaml", "--yes"],
    }
    (tmp_path / "team").mkdir()
    (tmp_path / "sync.yaml").write_text(f"source: {tmp_path}/team\ntarget: {local}/team\n")
    done = run(*words[verb], shell="<&- >&- 2>&-")
    assert done.returncode == 0


# --- the door --------------------------------------------------------------------------------------------------------


class PanicError(BaseException):
    """A panic of a Rust library, which is no Exception."""


@pytest.mark.parametrize("kind", [PanicError, RuntimeError, MemoryError])
@pytest.mark.parametrize("verbose", [False, True])
def test_nothing_passes_the_door(capsys, kind, verbose):
    with pytest.raises(typer.Exit) as ended, door(verbose=verbose):
        raise kind("a\x1b[31m\nb")
    said = capsys.readouterr().err
    assert ended.value.exit_code == 1
    text = "" if kind is PanicError else ": a\\x1b[31m b"  # what a panic says may hold anything
    assert said.splitlines()[-1].startswith(f"zsync: internal error: {kind.__name__}{text};")
    assert ("Traceback" in said) == verbose
    assert "\x1b" not in said


def test_nothing_passes_the_command():
    code = (
        "import zsync.cli\n"
        "class PanicException(BaseException): pass\n"
        "def panic(**_): raise PanicException('x')\n"
        "zsync.cli.app = panic\n"
        "zsync.cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "zsync: internal error: PanicException; run with -v and report it\n"


@pytest.mark.parametrize("name", ["AWS_CONFIG_FILE", "AWS_CA_BUNDLE"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_i4_a_pipe_where_a_file_is_meant(environment, monkeypatch, bucket, tree, tmp_path, name, transport):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv(name, str(tmp_path / "pipe"))
    if name == "AWS_CONFIG_FILE":
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        monkeypatch.delenv("AWS_REGION")
        monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(ConfigError, match=r"pipe|regular file"):
        put(tree, f"s3://{bucket}/x", transport)


# --- names -----------------------------------------------------------------------------------------------------------


def test_j9_names_from_outside_are_escaped(environment, s3, bucket, tree, tmp_path, monkeypatch):
    """The holder of a lease, a link's target, keys of a bucket, products and directories, on every stream."""
    nasty = "\x1b[31m\u202e\x9b"
    root = write_tree(tmp_path / f"src{nasty}", {"a.txt": b"a"})
    (root / "link").symlink_to(f"/nowhere{nasty}\n!")
    done = run("plan", root, "--target", f"s3://{bucket}/x")
    (root / "link").unlink()
    assert "\\x1b[31m" in done.stderr + done.stdout
    said = [done]
    assert put(tree, f"s3://{bucket}/y") == "published"
    state = json.loads(s3_bytes(s3, bucket, "y/.zsync/src/")["lease.json"])
    state |= {"by": {"user": nasty, "host": nasty, "pid": "1"}, "expires": "2999-01-01T00:00:00+00:00"}
    with contextlib.closing(s3_client(s3)) as client:
        client.put_object(Bucket=bucket, Key="y/.zsync/src/lease.json", Body=json.dumps(state).encode())
        client.put_object(Bucket=bucket, Key=f"y/src/key{nasty}", Body=b"")
    (tree / "new.txt").write_text("new")
    said.append(run("publish", tree, "--target", f"s3://{bucket}/y"))
    assert said[-1].returncode == 4
    assert "\\x1b[31m\\u202e" in said[-1].stderr
    said.append(run("lease", "show", f"s3://{bucket}/y/src"))
    assert "\\x1b[31m\\u202e" in said[-1].stdout
    as_json = run("lease", "show", f"s3://{bucket}/y/src", "--json")
    assert json.loads(as_json.stdout)[0]["by"]["user"] == nasty
    for done in [*said, as_json]:
        assert not any(char in done.stdout + done.stderr for char in nasty if char not in "[31m")


# --- times -----------------------------------------------------------------------------------------------------------

BEYOND = [
    (11_000_000_000, "after 2262"),
    (-10_000_000_000, "before 1677"),
    (-1, "before 1970"),
    (0, "the first moment"),
]


@pytest.mark.parametrize(("second", "_what"), BEYOND)
def test_k18_times_that_no_table_holds(environment, site, tmp_path, second, _what):
    site.root.mkdir()
    path = write_tree(site.root / "p", {"a": b"one", "b": b"b"}) / "a"
    os.utime(path, (second, second))
    site.products["p"] = {"path": "p", "kind": "files"}
    assert site.publish(settle="100ms").status == "published"
    assert site.publish().status == "unchanged"
    path.write_bytes(b"two")
    os.utime(path, (second, second))
    assert site.publish().status == "published", "the change shows in the ctime"
    assert s3_tree(site.s3, site.bucket, "run/p/")["a"]
    config = site.config(watch={"listen": "off", "settle": "50ms"})
    write_tree(site.root / "p", {"c": b"c"})
    os.utime(site.root / "p" / "c", (second, second))
    assert zsync.watch(config, once=True).exit_status == 0


# --- what the machine lacks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_j10_too_many_open_files_are_called_so(environment, monkeypatch, bucket, transport):
    store = connect(spec_for(Location.parse(f"s3://{bucket}/x"), Storage(retries=0), transport))
    with pytest.raises(ObjectNotFoundError):
        store.head("nothing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    store = connect(spec_for(Location.parse(f"s3://{bucket}/x"), Storage(retries=0), transport))
    with pytest.raises(NetworkError, match="check `endpoint_url`"):
        store.head("nothing")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len([*Path("/proc/self/fd").iterdir()]) + 2, limits[1]))
    kept = []
    try:
        with contextlib.suppress(OSError):
            while True:
                kept.append(os.dup(0))
        with pytest.raises(NetworkError, match="ulimit -n"):
            store.head("nothing")
    finally:
        for number in kept:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
