"""Messages: what they hold, how large they get, how they are signed; and that nothing secret is in them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zsync.config import RunConfig, to_yaml
from zsync.errors import ConfigError
from zsync.notices import Event, tell
from zsync.notices.message import MAX_BYTES, body, headers, signature
from zsync.words import Finding

TIME = "2025-01-02T03:04:05Z"
BY = {"user": "ann", "host": "node7", "pid": "42", "zsync": "0.1.0"}

ANY_TEXT = st.text(max_size=60) | st.builds(
    lambda piece, times: piece * times,
    st.sampled_from(["x", "é", "\0", '"', "🛰", "\ud800"]),
    st.integers(0, 9000),
)
FINDINGS = st.builds(Finding, st.sampled_from(["error", "warning", "info"]), ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT)
PRODUCTS = st.fixed_dictionaries(
    {
        "name": ANY_TEXT,
        "url": ANY_TEXT,
        "sent": st.integers(0, 2**63),
        "changes": st.lists(st.fixed_dictionaries({"store": ANY_TEXT, "array": ANY_TEXT}), max_size=4),
    }
)
EVENTS = st.builds(
    Event,
    kind=st.sampled_from(["published", "pulled", "synced", "failed"]),
    publication=st.none() | ANY_TEXT,
    products=st.lists(PRODUCTS, max_size=6).map(tuple) | PRODUCTS.map(lambda product: (product,) * 400),
    findings=st.lists(FINDINGS, max_size=6).map(tuple) | FINDINGS.map(lambda finding: (finding,) * 400),
    seconds=st.floats(0, 1e9),
    error=st.none() | ANY_TEXT,
    exit_status=st.none() | st.integers(0, 5),
    site=st.none() | ANY_TEXT,
)


@settings(max_examples=40)  # of several hundred products some
@given(EVENTS)
def test_a_message_is_small_and_says_what_was_left_out(event):
    data = body(event, TIME, BY)
    assert len(data) <= MAX_BYTES < 256 * 2**10
    told = json.loads(data)
    assert (told["format"], told["type"], told["timestamp"], told["by"]) == (1, event.kind, TIME, BY)
    wanted = {
        "products": len(event.products),
        "findings": sum(finding.level != "info" for finding in event.findings),
    }
    for name, number in wanted.items():
        assert len(told[name]) + told.get(f"{name}_omitted", 0) == number
    for product in told["products"]:
        assert product["sent"] == event.products[0]["sent"] or len(event.products) < 10
    assert (told["error"] is None) == (event.error is None)


def test_a_small_message_is_whole():
    finding = Finding("warning", "left-alone", "a", "k", "was left alone")
    product = {"name": "a", "url": "s3://bucket/a", "sent": 1, "changes": [{"store": "", "array": "t"}]}
    event = Event(
        "published", "2025-id", (product,), (finding, Finding("info", "x", "", "", "")), 1.23456, site="north"
    )
    assert json.loads(body(event, TIME, BY)) == {
        "format": 1, "type": "published", "timestamp": TIME, "publication": "2025-id", "site": "north", "by": BY,
        "seconds": 1.235, "error": None, "products": [product], "findings": [finding.to_dict()],
    }  # fmt: skip
    failed = Event("failed", error="the bucket does not exist: s3://b", exit_status=1)
    assert json.loads(body(failed, TIME, BY))["error"] == {"message": failed.error, "exit_status": 1}


KEYS = st.one_of(
    st.binary(min_size=24, max_size=64).map(lambda key: (f"whsec_{base64.b64encode(key).decode()}", key)),
    st.binary(min_size=24, max_size=64).map(lambda key: (f"whsec_{base64.b64encode(key).decode().rstrip('=')}", key)),
    st.text(min_size=1).filter(lambda text: not text.startswith("whsec_") and text.isprintable())
    .map(lambda text: (text, text.encode())),
)  # fmt: skip


@given(KEYS, st.binary(max_size=200), st.integers(0, 2**40))
def test_a_signature_verifies_as_the_specification_says(key, data, timestamp):
    secret, raw = key
    named = headers("published", "msg_1", timestamp, data, secret=secret, version="0")
    content = b".".join([named["webhook-id"].encode(), named["webhook-timestamp"].encode(), data])
    # HMAC by its definition (RFC 2104), not by the function that the code uses.
    block = (hashlib.sha256(raw).digest() if len(raw) > 64 else raw).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + content).digest()
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()
    version, _, signed = named["webhook-signature"].partition(",")
    assert (version, base64.b64decode(signed)) == ("v1", outer)
    assert signature(secret, "msg_1", timestamp, data + b" ") != named["webhook-signature"]
    assert signature(secret, "msg_2", timestamp, data) != named["webhook-signature"]
    assert signature(secret, "msg_1", timestamp + 1, data) != named["webhook-signature"]


def test_without_a_key_nothing_is_signed():
    named = headers("failed", "msg_1", 7, b"{}", secret=None, version="0.1")
    assert "webhook-signature" not in named
    assert (named["Zsync-Event"], named["Zsync-Delivery"], named["webhook-id"]) == ("failed", "msg_1", "msg_1")
    assert (named["Content-Type"], named["User-Agent"]) == ("application/json", "zsync/0.1")


SECRETS = {"url": "https://hooks.example/T0/B0/sesame", "secret": "whsec_" + base64.b64encode(b"open" * 8).decode()}


def config_of(**notification):
    return RunConfig.from_any({"source": "/data", "target": "s3://bucket/x", "notify": [notification]})


def test_a_configuration_hides_what_is_secret():
    config = config_of(**SECRETS)
    for text in (repr(config), str(config), to_yaml(config)):
        assert "sesame" not in text
        assert SECRETS["secret"] not in text
    assert "sesame" in to_yaml(config, mask=False)


@pytest.mark.parametrize(
    ("notification", "says"),
    [
        ({"url": "https://x", "secret": "whsec_not base64!"}, "base64"),
        ({"command": ["true"], "secret": "abc"}, "secret goes with"),
        ({"url": "https://x", "format": "sqs", "secret": "abc"}, "secret goes with"),
        ({"command": ["true"], "format": "sqs"}, "format goes with url"),
        ({"url": "https://x", "command": ["true"]}, "either url or command"),
        ({"url": "https://x", "format": "sns"}, "topic"),
    ],
)
def test_what_would_do_nothing_is_refused(notification, says):
    with pytest.raises(ConfigError, match=says) as raised:
        config_of(**notification)
    assert "not base64!" not in str(raised.value)


def test_the_path_of_a_webhook_stays_as_it_is():
    url = config_of(url="https://hooks.example/a/").notify[0].url
    assert url is not None
    assert url.get_secret_value() == "https://hooks.example/a/"


def test_who_tells_nobody_pays_nothing():
    script = (
        "import sys; from zsync.config import RunConfig; from zsync.notices import Event, tell\n"
        "config = RunConfig.from_any({'source': '/data', 'target': 's3://bucket/x',"
        " 'notify': [{'url': 'https://x', 'on': 'failed'}]})\n"
        "assert tell(config, Event('published')) == []\n"
        "print({'urllib.request', 'http.client', 'botocore', 'subprocess', 'zsync.notices.sending'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_nothing_is_raised_whatever_happens(monkeypatch):
    def broken(*_):
        raise RuntimeError("sesame")

    config = config_of(**SECRETS)
    monkeypatch.setattr("zsync.notices.sending.send_all", broken)
    [finding] = tell(config, Event("published"))
    assert (finding.level, finding.code) == ("warning", "notification-failed")
    assert "sesame" not in str(finding)
    monkeypatch.undo()
    monkeypatch.setattr("zsync.notices.webhook.post", broken)
    [finding] = tell(config, Event("published"))
    assert finding.key == "notify.0"
    assert "sesame" not in str(finding)


# --- what the documentation says --------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_every_example_of_a_configuration_is_one(tmp_path):
    assert len(blocks("yaml")) >= 3
    for block in blocks("yaml"):
        (tmp_path / "run.yaml").write_text(block)
        assert RunConfig.from_any(tmp_path / "run.yaml").notify


def test_the_example_of_a_message_has_what_a_message_has():
    [example] = [json.loads(block) for block in blocks("json")]
    product = {**example["products"][0]}
    made = json.loads(body(Event("published", "id", (product,)), TIME, BY))
    assert example.keys() == made.keys()
    assert example["by"].keys() == BY.keys()


def test_a_receiver_that_does_as_it_is_told_knows_our_messages():
    code = next(block for block in blocks("python") if "hmac" in block)
    secret, data = SECRETS["secret"], body(Event("published"), TIME, BY)
    named = headers("published", "msg_1", int(time.time()), data, secret=secret, version="0")
    old = headers("published", "msg_1", 1614265330, data, secret=secret, version="0")
    cases = [(data, named, (True, True)), (data + b" ", named, (False, True)), (data, old, (True, False))]
    for received, names_of, outcome in cases:
        names = {"secret": secret, "headers": names_of, "body": received}
        exec(code, names)
        assert (names["is_ours"], names["is_fresh"]) == outcome
