"""Notifications: who asked is told, and nothing that goes wrong with that touches a publication."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from botocore.session import Session
from target import same
from trees import weather

import zsync
from zsync.devserver.ports import free_ports
from zsync.errors import SourceError, TargetError

SECRET = "whsec_" + base64.b64encode(b"a key of some 32 bytes, at least").decode()
SESAME = "/services/T0/sesame?token=sesame"


@dataclass
class Receiver:
    """A server that remembers what it is told and answers as it is bidden; the last answer goes on for ever."""

    answers: list = field(default_factory=lambda: [200])
    headers: dict = field(default_factory=dict)  # of the answers
    delay_s: float = 0
    heard: list = field(default_factory=list)

    def __enter__(self):
        receiver, self.over = self, threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                named = {name.lower(): value for name, value in self.headers.items()}
                receiver.heard.append((self.path, named, body))
                receiver.over.wait(receiver.delay_s)
                answer = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
                if answer is None:  # the connection breaks
                    self.connection.close()
                    return
                self.send_response(answer)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def handle(self):
                with contextlib.suppress(OSError, ValueError):
                    super().handle()

            def finish(self):
                with contextlib.suppress(OSError, ValueError):
                    super().finish()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.host = f"http://127.0.0.1:{self.server.server_port}"
        self.url = self.host + SESAME
        return self

    def __exit__(self, *_):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()

    def told(self):
        return [json.loads(body) for _, _, body in self.heard]


def verified(headers, body):
    """Verify a message as the documentation tells receivers to."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    made = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    fresh = abs(time.time() - int(headers["webhook-timestamp"])) < 300
    return fresh and f"v1,{made}" in headers["webhook-signature"].split()


@pytest.fixture
def store(site):
    site.store("a.zarr", weather(12, 8))
    return site


def is_published(site):
    return same(site.read("a.zarr"), weather(12, 8))


def warnings_of(result):
    return [finding.message for finding in result.findings if finding.code == "notification-failed"]


# --- webhooks ---------------------------------------------------------------------------------------------------------


def test_a_webhook_hears_of_a_publication_and_can_tell_that_it_is_ours(store):
    with Receiver() as receiver:
        notify = [{"url": receiver.url, "secret": SECRET}]
        result = store.publish(notify=notify)
        assert not warnings_of(result)
        [(path, headers, body)] = receiver.heard
        assert path == SESAME
        assert verified(headers, body)
        assert not verified(headers, body + b" ")
        assert (headers["zsync-event"], headers["zsync-delivery"]) == ("published", headers["webhook-id"])
        assert (headers["content-type"], headers["user-agent"]) == ("application/json", f"zsync/{zsync.__version__}")
        told = json.loads(body)
        assert (told["type"], told["publication"], told["error"]) == ("published", result.publication, None)
        [product] = told["products"]
        assert {**result.products[0].to_dict(), "changes": product["changes"]} == product
        assert {(change["array"], change["class"]) for change in product["changes"]} >= {("t2m", "new")}
        assert told["by"]["pid"] == str(os.getpid())
        assert store.s3.secret_key not in body.decode()
        # What changes nothing, and what is only planned, is no news.
        assert store.publish(notify=notify).status == "unchanged"
        store.store("a.zarr", weather(17, 8))
        assert store.publish(notify=notify, dry_run=True).status == "planned"
        assert len(receiver.heard) == 1


@pytest.mark.parametrize(
    ("answers", "attempts", "says"),
    [
        ([500, 200], 2, None),
        ([429, 503, 204], 3, None),
        ([None, 200], 2, None),
        ([500], 4, "the answer was 500 (4 attempts)"),
        ([404], 1, "the answer was 404"),
        ([410], 1, "the answer was 410"),
        ([None], 4, "the connection broke (4 attempts)"),
    ],
)
def test_what_may_pass_is_tried_again_and_what_will_not_is_told(store, answers, attempts, says):
    with Receiver(answers) as receiver:
        result = store.publish(notify=[{"url": receiver.url, "secret": SECRET}])
        assert result.status == "published"
        assert warnings_of(result) == ([] if says is None else [f"the notification failed: {says}: {receiver.host}"])
        assert len(receiver.heard) == attempts
        assert len({headers["webhook-id"] for _, headers, _ in receiver.heard}) == 1
        assert all(verified(headers, body) for _, headers, body in receiver.heard)
    assert is_published(store)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(store, status):
    """The message is for whom the configuration names."""
    with Receiver() as elsewhere, Receiver([status], {"Location": elsewhere.url}) as receiver:
        result = store.publish(notify=[{"url": receiver.url}])
        assert warnings_of(result) == [f"the notification failed: the answer was {status}: {receiver.host}"]
        assert len(receiver.heard) == 1
        assert not elsewhere.heard
    assert is_published(store)


def test_a_receiver_that_says_when_to_come_again_is_believed(store):
    with Receiver([503, 200], {"Retry-After": "1"}) as receiver:
        began = time.monotonic()
        assert not warnings_of(store.publish(notify=[{"url": receiver.url}]))
        assert time.monotonic() - began >= 1
    with Receiver([503, 200], {"Retry-After": "3600"}) as receiver:
        store.store("a.zarr", weather(17, 8))
        assert "the answer was 503" in warnings_of(store.publish(notify=[{"url": receiver.url}]))[0]
        assert len(receiver.heard) == 1


def test_who_is_slow_is_not_waited_for_longer_than_said(store):
    with Receiver(delay_s=60) as slow, Receiver() as quick:
        notify = [
            {"url": slow.url, "timeout": "300ms"},
            {"url": quick.url},
            {"command": [sys.executable, "-c", "import time; time.sleep(60)"], "timeout": "300ms"},
            {"url": slow.url, "timeout": "200ms"},
        ]
        began = time.monotonic()
        result = store.publish(notify=notify)
        assert time.monotonic() - began < 30
        keys = [finding.key for finding in result.findings if finding.code == "notification-failed"]
        assert keys == ["notify.0", "notify.2", "notify.3"]
        assert all("within" in message for message in warnings_of(result))
        assert len(quick.heard) == 1
    assert is_published(store)


def trickles(connection):
    with connection, contextlib.suppress(OSError):
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10**4:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)


def test_an_answer_that_comes_byte_by_byte_is_given_up(store):
    """Each byte is in time for a socket's timeout."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=lambda: trickles(listener.accept()[0]), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        began = time.monotonic()
        assert "within" in warnings_of(store.publish(notify=[{"url": url, "timeout": "500ms"}]))[0]
        assert time.monotonic() - began < 30
    assert is_published(store)


@pytest.mark.parametrize("where", ["closed", "http://no-such-host.invalid", "https://closed"])
def test_who_cannot_be_reached_is_told_without_the_rest_of_the_url(store, where, caplog):
    caplog.set_level(logging.DEBUG)
    (port,) = free_ports(1)
    host = where.replace("closed", f"http://127.0.0.1:{port}" if where == "closed" else f"127.0.0.1:{port}")
    result = store.publish(notify=[{"url": host + SESAME, "secret": SECRET}])
    [message] = warnings_of(result)
    assert message.startswith("the notification failed: ")
    assert "sesame" not in message
    assert "notification 0 of published failed" in caplog.text
    for secret in ("sesame", SECRET, SECRET.removeprefix("whsec_")):
        assert secret not in caplog.text
        assert secret not in json.dumps(result.to_dict())
    assert is_published(store)


# --- what is told -----------------------------------------------------------------------------------------------------


def test_a_failure_is_told_before_the_error_goes_on(store):
    with Receiver() as failures, Receiver() as successes:
        notify = [{"url": failures.url, "on": "failed"}, {"url": successes.url}]
        (store.root / "a.zarr" / ".zattrs").write_text("{")
        with pytest.raises(SourceError) as raised:
            store.publish(notify=notify)
        [told] = failures.told()
        assert (told["type"], told["publication"]) == ("failed", None)
        assert told["error"] == {"message": str(raised.value), "exit_status": 3}
        assert [product["url"] for product in told["products"]] == [f"s3://{store.bucket}/run/a.zarr"]
        assert store.s3.secret_key not in json.dumps(told)
        with pytest.raises(SourceError):
            store.publish(notify=notify, dry_run=True)
        assert len(failures.heard) == 1
        assert not successes.heard


def test_an_error_that_is_not_ours_is_told_by_its_kind_only(store, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("sesame")

    monkeypatch.setattr("zsync.verbs.publish.take_stock", broken)
    with Receiver() as receiver:
        with pytest.raises(RuntimeError):
            store.publish(notify=[{"url": receiver.url, "on": ["failed"]}])
        [told] = receiver.told()
    assert told["error"] == {"message": "internal error: RuntimeError", "exit_status": 1}


def test_a_pull_is_told_and_so_is_one_that_fails(store, tmp_path):
    publication = store.publish().publication
    url, storage = f"s3://{store.bucket}/run/a.zarr", store.config()["storage"]
    with Receiver() as receiver:
        notify = [{"url": receiver.url, "on": ["pulled", "failed"]}]
        result = zsync.pull(url, tmp_path / "here", progress=False, notify=notify, **storage)
        assert result.status == "pulled"
        [told] = receiver.told()
        assert (told["type"], told["publication"]) == ("pulled", publication)
        assert told["products"][0]["received"] == result.products[0].received > 0
        assert told["products"][0]["url"] == url
        assert zsync.pull(url, tmp_path / "here", progress=False, notify=notify, **storage).status == "unchanged"
        assert len(receiver.heard) == 1
        store.proxy.refuse()
        with pytest.raises(TargetError) as raised:
            zsync.pull(url, tmp_path / "there", progress=False, notify=notify, retries=0, **storage)
        assert receiver.told()[1]["error"] == {"message": str(raised.value), "exit_status": 1}


def test_the_command_tells_who_was_not_told(store, run_zsync, tmp_path):
    (port,) = free_ports(1)
    config = tmp_path / "run.json"
    notify = [{"url": f"http://127.0.0.1:{port}{SESAME}", "secret": SECRET}]
    config.write_text(json.dumps({**store.config(), "notify": notify}))
    done = run_zsync("publish", config, "--json", "-v")
    result = json.loads(done.stdout)
    assert result["status"] == "published"
    [finding] = [finding for finding in result["findings"] if finding["code"] == "notification-failed"]
    assert (finding["level"], finding["key"]) == ("warning", "notify.0")
    for secret in ("sesame", SECRET.removeprefix("whsec_")):
        assert secret not in done.stdout + done.stderr
    assert "sesame" not in run_zsync("config", "show", config).stdout
    assert is_published(store)


# --- commands ---------------------------------------------------------------------------------------------------------

SAVE = "import os, sys, json; json.dump([sys.stdin.read(), {k: v for k, v in os.environ.items() if 'ZSYNC' in k}], open(sys.argv[1], 'w'))"  # noqa: E501


def test_a_command_reads_the_message_and_a_few_words_of_it(store, tmp_path):
    result = store.publish(notify=[{"command": [sys.executable, "-c", SAVE, str(tmp_path / "told; rm x")]}])
    assert not warnings_of(result)
    message, environment = json.loads((tmp_path / "told; rm x").read_text())
    assert json.loads(message)["publication"] == result.publication
    assert environment == {
        "ZSYNC_EVENT": "published",
        "ZSYNC_PUBLICATION": result.publication,
        "ZSYNC_TARGETS": f"s3://{store.bucket}/run/a.zarr",
    }


def test_j10_a_command_gets_no_credentials_unless_it_asks(store, tmp_path, monkeypatch):
    secret = ("AWS_SESSION_TOKEN", "AZURE_STORAGE_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "SLACK_TOKEN", "my_password")
    usual = ("SLACK_URL", "AWS_REGION", "TERM_PROGRAM", "SSH_AUTH_SOCK")
    for name in (*secret, *usual):
        monkeypatch.setenv(name, "sesame")
    save = "import os, sys; open(sys.argv[1], 'w').write(' '.join(os.environ))"
    for number, inherit in enumerate(([], ["SLACK_TOKEN", "AWS_*"])):
        path = tmp_path / f"told{number}"
        command = [sys.executable, "-c", save, str(path)]
        (store.root / "a.zarr" / ".zattrs").write_text(f'{{"number": {number}}}')
        assert not warnings_of(store.publish(notify=[{"command": command, "inherit": inherit}]))
        told = set(path.read_text().split())
        assert told.issuperset({*usual, "PATH", "ZSYNC_EVENT"})
        assert told.intersection(secret) == ({"SLACK_TOKEN", "AWS_SESSION_TOKEN"} if inherit else set())


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ([sys.executable, "-c", "print('sesame'); raise SystemExit(7)", "sesame"], "it ended with status 7"),
        (["/no/such/program", "sesame"], "it could not be started (No such file or directory)"),
        ([os.devnull, "sesame"], "it could not be started (Permission denied)"),
    ],
)
def test_a_command_that_fails_is_told_without_its_arguments(store, command, says):
    result = store.publish(notify=[{"command": command}])
    name = Path(command[0]).name
    assert warnings_of(result) == [f"the notification failed: {says}: {name}"]
    assert is_published(store)


def test_what_a_command_says_is_logged(store, caplog):
    caplog.set_level(logging.DEBUG, "zsync")
    code = "import sys; print('out'); print('err', file=sys.stderr); print('x' * 10**7)"
    assert not warnings_of(store.publish(notify=[{"command": [sys.executable, "-c", code]}]))
    [record] = [record for record in caplog.records if record.name == "zsync.notices.command"]
    assert record.levelno == logging.DEBUG
    assert "out" in record.message
    assert "err" in record.message
    assert len(record.message) < 5000


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_command_that_does_not_end_is_killed_with_its_children(store, tmp_path):
    pids = tmp_path / "pids"
    script = f"sleep 300 & echo $! >> {pids}; echo $$ >> {pids}; wait"
    result = store.publish(notify=[{"command": ["sh", "-c", script], "timeout": "1s"}])
    assert warnings_of(result) == ["the notification failed: it did not end within 1 s, and was killed: sh"]
    found = [int(pid) for pid in pids.read_text().split()]
    assert len(found) == 2
    deadline = time.monotonic() + 10
    while any(map(is_running, found)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ctrl_c_while_a_command_runs_ends_it_and_goes_on(store, tmp_path):
    pids = tmp_path / "pids"

    def interrupt():
        wait_for(pids)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        store.publish(notify=[{"command": ["sh", "-c", f"echo $$ > {pids}; exec sleep 300"], "timeout": "1m"}])
    deadline = time.monotonic() + 10
    while is_running(int(pids.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert is_published(store)


def test_ctrl_c_while_a_command_is_being_started_ends_it_too(store, tmp_path, monkeypatch):
    """Its process is there, and nobody has noted yet that it is."""
    pids, go_on = tmp_path / "pids", threading.Event()
    start = subprocess.Popen

    def slowly(command, **options):
        process = start(command, **options)
        if command[0] == "sh":
            wait_for(pids)
            os.kill(os.getpid(), signal.SIGINT)
            assert go_on.wait(20)
        return process

    monkeypatch.setattr("zsync.notices.command.subprocess.Popen", slowly)
    with pytest.raises(KeyboardInterrupt):
        store.publish(notify=[{"command": ["sh", "-c", f"echo $$ > {pids}; exec sleep 300"], "timeout": "1m"}])
    go_on.set()
    deadline = time.monotonic() + 10
    while is_running(int(pids.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for(pids):
    while not pids.exists() or not pids.read_text().strip():
        time.sleep(0.01)


# --- queues and topics ------------------------------------------------------------------------------------------------


@pytest.fixture
def aws(moto_s3):
    """Clients of moto's SQS and SNS."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                contextlib.closing(
                    Session().create_client(
                        service,
                        region_name="us-west-2",
                        endpoint_url=moto_s3.endpoint_url,
                        aws_access_key_id="moto-key",
                        aws_secret_access_key="moto-secret",
                    )
                )
            )
            for service in ("sqs", "sns")
        ]


@pytest.mark.parametrize("fifo", [False, True])
def test_a_queue_hears_of_a_publication(store, aws, fifo):
    sqs, _ = aws
    name, attributes = ("news.fifo", {"FifoQueue": "true"}) if fifo else ("news", {})
    queue = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    result = store.publish(notify=[{"url": queue, "format": "sqs"}], region="us-west-2")
    assert not warnings_of(result)
    [message] = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"])["Messages"]
    assert json.loads(message["Body"])["publication"] == result.publication
    assert message["MessageAttributes"]["event"]["StringValue"] == "published"
    sqs.delete_queue(QueueUrl=queue)


def test_the_subscribers_of_a_topic_hear_of_a_publication(store, aws, moto_s3):
    sqs, sns = aws
    queue = sqs.create_queue(QueueName="subscriber")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name="news")["TopicArn"]
    only = {"FilterPolicy": json.dumps({"event": ["published"]})}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=only)
    result = store.publish(notify=[{"url": moto_s3.endpoint_url, "format": "sns", "topic": topic}])
    assert not warnings_of(result)
    [message] = sqs.receive_message(QueueUrl=queue)["Messages"]
    envelope = json.loads(message["Body"])
    assert envelope["Subject"] == "zsync: published"
    assert json.loads(envelope["Message"])["publication"] == result.publication
    sqs.delete_queue(QueueUrl=queue)


@pytest.mark.parametrize("kind", ["missing queue", "missing topic", "closed"])
def test_a_queue_that_is_not_there_is_told(store, aws, moto_s3, kind):
    (port,) = free_ports(1)
    notification, says = {
        "missing queue": (
            {"url": f"{moto_s3.endpoint_url}/123456789012/sesame", "format": "sqs"},
            f"SQS answered AWS.SimpleQueueService.NonExistentQueue: {moto_s3.endpoint_url}",
        ),
        "missing topic": (
            {"url": moto_s3.endpoint_url, "format": "sns", "topic": "arn:aws:sns:us-west-2:123456789012:sesame"},
            f"SNS answered NotFound: {moto_s3.endpoint_url}",
        ),
        "closed": (
            {"url": f"http://127.0.0.1:{port}/1/sesame", "format": "sqs", "timeout": "20s"},
            f"SQS could not be asked (EndpointConnectionError): http://127.0.0.1:{port}",
        ),
    }[kind]
    result = store.publish(notify=[notification])
    assert warnings_of(result) == [f"the notification failed: {says}"]
    assert is_published(store)
