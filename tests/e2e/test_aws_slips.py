"""What goes wrong with a bucket of AWS on the first day: one line each, with what to do; a region is found out.

The proxy answers as S3 does; what it lets through a real server answers.
"""

from __future__ import annotations

import json
import re
import socket

import pytest
from proxy import Fault, on
from trees import weather, write_store

import zsync
from zsync.errors import CredentialsError, NetworkError, PermissionDeniedError, RegionError
from zsync.publication.policy import actions_in, policy_for
from zsync.storage import regions
from zsync.storage.permissions import action_of

HOME = "eu-west-1"
ELSEWHERE = "us-west-2"


@pytest.fixture
def store(tmp_path):
    write_store(tmp_path / "a.zarr", weather(6, 4), zarr_format=2, chunks={"time": 3, "x": 4})
    return tmp_path / "a.zarr"


@pytest.fixture(autouse=True)
def _nothing_found_yet(monkeypatch):
    monkeypatch.setattr(regions, "_found", {})


@pytest.fixture
def environ(s3, monkeypatch):
    for name, value in s3.env().items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


def options(proxy, region=ELSEWHERE, **more):
    return {"endpoint_url": proxy.endpoint_url, "region": region, "progress": False, **more}


def region_of(exchange):
    return re.search(r"Credential=[^/]+/\d+/([^/]+)/", exchange.headers["authorization"])[1]


def at_home(answer):
    """Answer as S3 does where a request is signed for another region than the bucket's."""
    return lambda exchange: None if region_of(exchange) == HOME else answer


BODY = "<Error><Code>{}</Code><Message>x</Message>{}</Error>"
MALFORMED = Fault.answer(400, BODY.format("AuthorizationHeaderMalformed", f"<Region>{HOME}</Region>"))
MOVED = Fault.answer(
    301, BODY.format("PermanentRedirect", "<Endpoint>b.s3.amazonaws.com</Endpoint>"), **{"x-amz-bucket-region": HOME}
)
WITHOUT_A_WORD = Fault.answer(400, BODY.format("IllegalLocationConstraintException", ""))


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
@pytest.mark.parametrize("answer", [MALFORMED, MOVED], ids=["400", "301"])
def test_a_bucket_of_another_region_is_found_and_that_is_said_once(
    store, proxy, bucket, environ, answer, transport, caplog
):
    proxy.faults.append(at_home(answer))
    result = zsync.publish(store, target=f"s3://{bucket}/x", **options(proxy), transport=transport)
    assert (result.status, result.products[0].sent) == ("published", 13)
    told = [record.getMessage() for record in caplog.records if "region" in record.getMessage()]
    if answer is not MOVED or transport == "obstore":  # botocore follows such an answer by itself
        assert len(told) == 1
        assert f"in region {HOME}, not {ELSEWHERE}" in told[0]
    before = len(proxy.requests)
    assert zsync.publish(store, target=f"s3://{bucket}/x", **options(proxy), transport=transport).status == "unchanged"
    assert HOME in {region_of(exchange) for exchange in proxy.requests[before:]}
    assert not told or {region_of(exchange) for exchange in proxy.requests[before:]} == {HOME}


def test_a_region_that_nobody_tells_is_asked_for(store, proxy, bucket, environ):
    proxy.faults.append(at_home(WITHOUT_A_WORD))
    with pytest.raises(RegionError, match=r"another region.*set `region`"):
        zsync.publish(store, target=f"s3://{bucket}/x", **options(proxy))


def test_the_command_says_it_too(run_zsync, s3, store, proxy, bucket):
    proxy.faults.append(at_home(MALFORMED))
    env = {**s3.env(), "AWS_ENDPOINT_URL": proxy.endpoint_url, "AWS_REGION": ELSEWHERE, "AWS_DEFAULT_REGION": ELSEWHERE}
    env["S3_ENDPOINT_URL"] = ""
    done = run_zsync("publish", store, f"s3://{bucket}/x", env=env)
    assert done.stderr.count(HOME) == 2  # in one line: where it is, and what to write
    assert "published" in done.stdout


@pytest.mark.parametrize(
    ("asked", "told"),
    [("20261127T120000Z", "23 minutes behind"), ("2026-11-27T14:23:10Z", "120 minutes ahead of")],
)
def test_clocks_that_differ(store, proxy, bucket, environ, asked, told, impatient):
    body = BODY.format(
        "RequestTimeTooSkewed",
        f"<RequestTime>{asked}</RequestTime><ServerTime>2026-11-27T12:23:10Z</ServerTime>",
    )
    proxy.faults.append(on(Fault.answer(403, body), times=None))
    with pytest.raises(CredentialsError, match=f"clock is {told} the service's.*NTP"):
        zsync.publish(store, target=f"s3://{bucket}/x", **options(proxy))


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
@pytest.mark.parametrize(
    ("rule", "action"),
    [
        ({"method": "GET", "query": "list-type"}, "s3:ListBucket"),
        ({"method": "GET", "key": "*/lease.json"}, "s3:GetObject"),
        ({"method": "PUT", "key": "x/a.zarr/*"}, "s3:PutObject"),
    ],
)
def test_what_is_denied_is_named_with_the_statement_that_allows_it(
    store, proxy, bucket, environ, rule, action, transport, impatient
):
    proxy.faults.append(on(Fault.error(403, "AccessDenied"), times=None, **rule))
    if rule["method"] == "GET" and transport == "fsspec":  # s3fs asks for an object before it reads it
        proxy.faults.append(on(Fault.error(403, "AccessDenied"), times=None, **{**rule, "method": "HEAD"}))
    with pytest.raises(PermissionDeniedError) as caught:
        zsync.publish(store, target=f"s3://{bucket}/x", **options(proxy), transport=transport)
    said = str(caught.value)
    assert f": {action}: s3://{bucket}/x/" in said
    statement = json.loads(re.search(r"\{.*?\}", said)[0])
    assert statement["Action"] == action
    resource = statement["Resource"]
    assert (
        resource == f"arn:aws:s3:::{bucket}"
        if action == "s3:ListBucket"
        else resource.startswith(f"arn:aws:s3:::{bucket}/x/")
    )


def test_what_amazon_says_of_the_action_goes_first(store, proxy, bucket, environ, impatient):
    text = (
        "<Error><Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/x is not authorized to perform:"
        " kms:GenerateDataKey on resource: k with an explicit deny in a resource-based policy</Message></Error>"
    )
    proxy.faults.append(on(Fault.answer(403, text), method="PUT", key="x/a.zarr/*", times=None))
    with pytest.raises(PermissionDeniedError, match=r"kms:GenerateDataKey.*a policy denies it explicitly"):
        zsync.publish(store, target=f"s3://{bucket}/x", **options(proxy))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
def test_nobody_there_is_told_from_no_such_host(store, environ, transport, impatient):
    for endpoint, told in (
        (f"http://127.0.0.1:{free_port()}", "connection refused.*does the service run"),
        ("http://no-such-host.invalid", "there is no host no-such-host.invalid|cannot be looked up"),
    ):
        with pytest.raises(NetworkError, match=f"(?:{told})") as caught:
            zsync.publish(
                store, target="s3://bucket/x", endpoint_url=endpoint, region="us-east-1", progress=False,
                transport=transport,
            )  # fmt: skip
        assert endpoint in str(caught.value)


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
def test_https_where_http_is_spoken(store, s3, environ, transport, impatient):
    endpoint = s3.endpoint_url.replace("http:", "https:")
    with pytest.raises(NetworkError, match=r"does not speak TLS.*write http:// in `endpoint_url`"):
        zsync.publish(
            store, target="s3://bucket/x", endpoint_url=endpoint, region="us-east-1", progress=False,
            transport=transport,
        )  # fmt: skip


@pytest.mark.parametrize(
    "text", ["Client sent an HTTP request to an HTTPS server.", "plain HTTP request was sent to HTTPS port"]
)
def test_http_where_https_is_spoken(store, proxy, environ, text, impatient):
    """As servers in Go, and nginx, say it."""
    proxy.faults.append(on(Fault.answer(400, text, "text/plain"), times=None))
    with pytest.raises(NetworkError, match=r"speaks TLS only.*write https://.*ca_bundle"):
        zsync.publish(store, target="s3://bucket/x", **options(proxy))


def test_the_policy_allows_what_is_asked_for_and_no_more(store, proxy, bucket, environ, tmp_path):
    config = {
        "source": str(store.parent),
        "target": f"s3://{bucket}/run",
        "products": {"a": {"path": "a.zarr", "kind": "zarr"}},
        "storage": {"endpoint_url": proxy.endpoint_url, "region": "us-east-1", "tags": {"run": "1"}},
    }
    zsync.publish(config, progress=False)
    (store / "t2m" / "0.0").write_bytes((store / "t2m" / "0.0").read_bytes()[::-1])
    zsync.publish(config, progress=False, keep_history=True)
    target, how = f"s3://{bucket}/run/a.zarr", config["storage"]
    reached = {"endpoint_url": how["endpoint_url"], "region": how["region"]}
    zsync.verify(target, deep=True, headers=True, **reached)
    zsync.log(f"s3://{bucket}/run", **reached)
    zsync.pull(target, tmp_path / "pulled", progress=False, **reached)
    with (store / "large").open("wb") as file:
        file.truncate(70 * 2**20)
    zsync.publish(config, progress=False)
    zsync.rollback(target, "head~1", progress=False, **reached)

    policy = policy_for(zsync.RunConfig.from_any(config))
    asked = {action_of(e.method, e.key, e.query) for e in proxy.requests}
    asked |= {"s3:PutObjectTagging" for e in proxy.requests if "x-amz-tagging" in e.headers}
    # An upload is ended by hand only where it was left; a bucket that keeps versions is asked for them.
    spare = {"s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:GetObjectVersion", "s3:ListBucketVersions"}
    assert asked <= actions_in(policy)
    assert actions_in(policy) - asked <= spare | {"s3:GetObjectTagging"}
    lists, objects = policy["Statement"]
    prefixes = lists["Condition"]["StringLike"]["s3:prefix"]
    for exchange in proxy.requests:
        if exchange.key:
            place = f"arn:aws:s3:::{bucket}/{exchange.key}"
            assert any(fits(place, resource) for resource in objects["Resource"]), place
        elif "prefix" in exchange.query:
            assert any(fits(exchange.query["prefix"], prefix) for prefix in prefixes), exchange.query


def fits(text, pattern):
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text) is not None


def test_a_policy_with_keys_queues_and_topics(tmp_path):
    config = {
        "source": str(tmp_path),
        "target": "s3://my-bucket",
        "products": {"a": {"path": "a.zarr", "to": "s3://other-bucket"}, "b": "b.zarr"},
        "storage": {"sse": "aws:kms", "sse_kms_key_id": "arn:aws:kms:us-west-2:1:key/k"},
        "notify": [
            {"url": "https://sqs.us-west-2.amazonaws.com/123/done", "format": "sqs"},
            {"url": "https://sns.us-west-2.amazonaws.com", "format": "sns", "topic": "arn:aws:sns:us-west-2:1:done"},
        ],
    }
    policy = policy_for(zsync.RunConfig.from_any(config))
    by_action = {json.dumps(item["Action"]): item["Resource"] for item in policy["Statement"]}
    assert by_action['["kms:GenerateDataKey", "kms:Decrypt"]'] == "arn:aws:kms:us-west-2:1:key/k"
    assert by_action['"sqs:SendMessage"'] == "arn:aws:sqs:us-west-2:123:done"
    assert by_action['"sns:Publish"'] == "arn:aws:sns:us-west-2:1:done"
    text = json.dumps(policy)
    assert "arn:aws:s3:::other-bucket/.zsync/@root/*" in text
    assert "arn:aws:s3:::my-bucket/b.zarr/*" in text


def test_the_command_prints_the_policy(run_zsync, store):
    done = run_zsync("config", "check", store, "s3://bucket/x", "--iam")
    assert json.loads(done.stdout)["Version"] == "2012-10-17"
    assert done.stderr == ""
    assert (
        "nothing of this configuration is in S3"
        in run_zsync("config", "check", store, "file:///elsewhere/x", "--iam", check=2).stderr
    )
