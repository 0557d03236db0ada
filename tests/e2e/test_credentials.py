"""Credentials, endpoints and regions are found where every AWS tool finds them, and in the same order."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys

import pytest
from proxy import Proxy
from trees import s3_bytes, write_tree

import zsync
from zsync.config import Location, Storage
from zsync.errors import CredentialsError, PermissionDeniedError
from zsync.storage import connect, s3fs_options, spec_for

TRANSPORTS = ["obstore", "fsspec"]
FILES = {"a.txt": b"one", "b": {"c.txt": b"two"}}
ARRIVED = {"a.txt": b"one", "b/c.txt": b"two"}


NOWHERE = "http://127.0.0.1:9"
WRONG = ("AKIAWRONG", "a-secret-that-nobody-knows")


class Place:
    """Two files, a fresh bucket, and the AWS configuration of a user who has nothing yet."""

    def __init__(self, s3, bucket, home, tmp_path):
        self.s3, self.bucket, self.home, self.tmp_path = s3, bucket, home, tmp_path
        self.right = (s3.access_key, s3.secret_key)
        write_tree(tmp_path / "files", FILES)

    def credentials(self, **profiles):
        """Write the file of credentials: ``name=(key, secret)``, with a session token or without."""
        names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        sections = {name: dict(zip(names, keys, strict=False)) for name, keys in profiles.items()}
        (self.home / "aws-credentials").write_text(ini(sections))

    def profiles(self, **profiles):
        """Write the file of settings: ``name={"region": ...}``."""
        sections = {name if name == "default" else f"profile {name}": found for name, found in profiles.items()}
        (self.home / "aws-config").write_text(ini(sections))

    def config(self, transport="obstore", **storage):
        return {
            "source": str(self.tmp_path),
            "target": f"s3://{self.bucket}/x",
            "products": {"files": {"path": "files", "kind": "files"}},
            "publish": {"transport": transport},
            "storage": storage,
        }

    def publish(self, transport="obstore", **storage):
        return zsync.publish(self.config(transport, **storage), progress=False)

    def arrived(self):
        return s3_bytes(self.s3, self.bucket, "x/files/")

    def command(self, run_zsync, *args, environment=None, **config):
        """Publish with the command; return its status, its line, and all that it said."""
        path = self.tmp_path / "config.json"
        path.write_text(json.dumps(self.config(**config)))
        done = run_zsync("publish", path, *args, env=environment, check=None)
        lines = [line for line in done.stderr.splitlines() if line.startswith("zsync: ")]
        assert len(lines) == 1, done.stderr
        return done.returncode, lines[0], done.stdout + done.stderr


def ini(sections):
    lines = []
    for name, values in sections.items():
        lines += [f"[{name}]", *(f"{key} = {value}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


@pytest.fixture
def place(s3, bucket, clean_environment, tmp_path, monkeypatch):
    # Should an endpoint be lost on the way, the request for AWS ends here all the same.
    monkeypatch.setenv("HTTPS_PROXY", NOWHERE)
    return Place(s3, bucket, clean_environment, tmp_path)


@pytest.fixture
def proxy(s3):
    with Proxy(s3.endpoint_url) as proxy:
        yield proxy


def signed_by(proxy):
    """Return the access keys and the regions that the requests were signed with."""
    scopes = [exchange.headers["authorization"].partition("Credential=")[2].split("/") for exchange in proxy.requests]
    assert scopes
    return {scope[0] for scope in scopes}, {scope[2] for scope in scopes}


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_keys_come_from_the_default_profile(place, transport):
    place.credentials(default=place.right)
    assert place.publish(transport, endpoint_url=place.s3.endpoint_url).status == "published"
    assert place.arrived() == ARRIVED


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("named", ["in the configuration", "in the environment"])
def test_keys_come_from_the_profile_that_is_named(place, transport, named, monkeypatch):
    place.credentials(default=WRONG, chosen=place.right)
    storage = {"endpoint_url": place.s3.endpoint_url}
    if named == "in the configuration":
        storage["profile"] = "chosen"
    else:
        monkeypatch.setenv("AWS_PROFILE", "chosen")
    assert place.publish(transport, **storage).status == "published"
    assert place.arrived() == ARRIVED


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_profile_may_have_its_keys_in_the_file_of_settings(place, transport):
    key, secret = place.right
    place.profiles(chosen={"aws_access_key_id": key, "aws_secret_access_key": secret, "region": "us-east-1"})
    assert place.publish(transport, profile="chosen", endpoint_url=place.s3.endpoint_url).status == "published"
    assert place.arrived() == ARRIVED


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_environment_alone_is_enough(place, transport, monkeypatch):
    for name, value in place.s3.env().items():
        monkeypatch.setenv(name, value)
    assert place.publish(transport).status == "published"
    assert place.arrived() == ARRIVED


KEYS_IN_ORDER = [
    "access_key_id in the configuration",
    "profile in the configuration",
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "the default profile",
]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("winner", KEYS_IN_ORDER)
def test_of_several_keys_those_that_are_named_most_plainly_win(place, transport, winner, monkeypatch):
    """The winner's keys are right, all that come after it are wrong: nothing arrives unless the order is this one."""
    storage = {"endpoint_url": place.s3.endpoint_url}
    profiles = {}
    for kind in KEYS_IN_ORDER[KEYS_IN_ORDER.index(winner) :]:
        key, secret = place.right if kind == winner else WRONG
        if kind == "access_key_id in the configuration":
            storage |= {"access_key_id": key, "secret_access_key": secret}
        elif kind == "profile in the configuration":
            storage["profile"] = "configured"
            profiles["configured"] = (key, secret)
        elif kind == "AWS_ACCESS_KEY_ID":
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        elif kind == "AWS_PROFILE":
            monkeypatch.setenv("AWS_PROFILE", "environment")
            profiles["environment"] = (key, secret)
        else:
            profiles["default"] = (key, secret)
    place.credentials(**profiles)
    assert place.publish(transport, **storage).status == "published"
    assert place.arrived() == ARRIVED


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("kind", ["configuration", "environment", "profile"])
def test_a_session_token_goes_with_its_own_keys_only(place, proxy, transport, kind, monkeypatch):
    """Each of the three has another token: the one that is sent belongs to the keys that signed."""
    tokens = {"configuration": "token-c", "environment": "token-e", "profile": "token-p"}
    keys = {name: (f"AKIA{name.upper()}", f"secret-{name}") for name in tokens}
    place.credentials(chosen=(*keys["profile"], tokens["profile"]))
    for name, value in zip(
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
        (*keys["environment"], tokens["environment"]),
        strict=True,
    ):
        monkeypatch.setenv(name, value)
    storage = {"endpoint_url": proxy.endpoint_url}
    if kind == "configuration":
        names = ("access_key_id", "secret_access_key", "session_token")
        storage |= dict(zip(names, (*keys[kind], tokens[kind]), strict=True))
    elif kind == "profile":
        storage["profile"] = "chosen"
    with pytest.raises(CredentialsError):
        place.publish(transport, **storage)
    assert signed_by(proxy)[0] == {keys[kind][0]}
    assert {exchange.headers.get("x-amz-security-token") for exchange in proxy.requests} == {tokens[kind]}


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
def test_keys_without_a_token_go_without_the_token_of_the_environment(place, proxy, transport, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "left-over")
    key, secret = place.right
    storage = {"endpoint_url": proxy.endpoint_url, "access_key_id": key, "secret_access_key": secret}
    assert place.publish(transport, **storage).status == "published"
    assert {exchange.headers.get("x-amz-security-token") for exchange in proxy.requests} == {None}


def credential_process(place, *, lasts_s, times=1000):
    """Make a profile whose keys come from a program: they last so long, and it gives them so often."""
    script = place.tmp_path / "keys.py"
    script.write_text(
        "import datetime, json, pathlib, sys\n"
        "calls = pathlib.Path(__file__).with_suffix('.calls')\n"
        "count = len(calls.read_text()) if calls.exists() else 0\n"
        "calls.write_text('x' * (count + 1))\n"
        f"if count >= {times!r}: sys.exit('the login has run out')\n"
        f"expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds={lasts_s})\n"
        f"print(json.dumps({{'Version': 1, 'AccessKeyId': {place.right[0]!r}, 'SecretAccessKey': {place.right[1]!r},"
        " 'Expiration': expires.isoformat()}))\n"
    )
    place.profiles(login={"credential_process": shlex.join([sys.executable, str(script)]), "region": "us-east-1"})
    return script.with_suffix(".calls")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_keys_come_from_a_program_that_a_profile_names(place, transport):
    calls = credential_process(place, lasts_s=3600)
    assert place.publish(transport, profile="login", endpoint_url=place.s3.endpoint_url).status == "published"
    assert place.arrived() == ARRIVED
    assert calls.read_text()


@pytest.mark.parametrize(
    "transport",
    ["obstore", "fsspec"],
)
def test_keys_that_run_out_are_renewed(place, transport):
    """Keys with a minute to live are asked for anew before they are used."""
    calls = credential_process(place, lasts_s=60)
    assert place.publish(transport, profile="login", endpoint_url=place.s3.endpoint_url).status == "published"
    assert place.arrived() == ARRIVED
    assert len(calls.read_text()) > 1


@pytest.mark.parametrize(
    ("transport", "times"),
    [
        *((transport, 0) for transport in TRANSPORTS),
        ("obstore", 2),
        ("fsspec", 2),
    ],
)
def test_keys_that_cannot_be_had_from_the_start_or_after_a_while(place, transport, times):
    credential_process(place, lasts_s=60, times=times)
    with pytest.raises(CredentialsError) as raised:
        place.publish(transport, profile="login", endpoint_url=place.s3.endpoint_url)
    assert raised.value.exit_status == 1
    assert "\n" not in str(raised.value)
    assert place.right[1] not in str(raised.value)


# --- endpoints -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_profile_alone_is_enough(place, transport):
    place.credentials(chosen=place.right)
    place.profiles(
        default={"endpoint_url": NOWHERE}, chosen={"endpoint_url": place.s3.endpoint_url, "region": "us-east-1"}
    )
    assert place.publish(transport, profile="chosen").status == "published"
    assert place.arrived() == ARRIVED


ENDPOINTS_IN_ORDER = ["endpoint_url", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "services of the profile", "profile"]


def endpoints(place, winner, right, monkeypatch):
    """Set the winner's endpoint right, and all that come after it wrong; return the settings of the configuration."""
    storage = {"profile": "chosen"}
    chosen, services = {"region": "us-east-1"}, ""
    for kind in ENDPOINTS_IN_ORDER[ENDPOINTS_IN_ORDER.index(winner) :]:
        url = right if kind == winner else NOWHERE
        if kind == "endpoint_url":
            storage["endpoint_url"] = url
        elif kind == "services of the profile":
            chosen["services"] = "ours"
            services = f"[services ours]\ns3 =\n  endpoint_url = {url}\n"
        elif kind == "profile":
            chosen["endpoint_url"] = url
        else:
            monkeypatch.setenv(kind, url)
    place.credentials(chosen=place.right)
    place.profiles(chosen=chosen)
    with (place.home / "aws-config").open("a") as file:
        file.write(services)
    return storage


@pytest.mark.parametrize(
    ("winner", "transport"),
    [
        ("endpoint_url", "obstore"),
        ("endpoint_url", "fsspec"),
        *((winner, transport) for winner in ENDPOINTS_IN_ORDER[1:3] for transport in TRANSPORTS),
        *(("services of the profile", name) for name in TRANSPORTS),
        ("profile", "obstore"),
        ("profile", "fsspec"),
    ],
)
def test_of_several_endpoints_the_one_that_is_named_most_plainly_wins(place, transport, winner, monkeypatch):
    storage = endpoints(place, winner, place.s3.endpoint_url, monkeypatch)
    assert place.publish(transport, **storage).status == "published"
    assert place.arrived() == ARRIVED


@pytest.mark.parametrize("winner", ENDPOINTS_IN_ORDER)
def test_boto3_has_the_same_order_of_endpoints(place, winner, monkeypatch):
    """The test above asks for what AWS's own tools do."""
    import boto3

    storage = endpoints(place, winner, place.s3.endpoint_url, monkeypatch)
    explicit = {"endpoint_url": storage["endpoint_url"]} if "endpoint_url" in storage else {}
    client = boto3.Session(profile_name="chosen").client("s3", **explicit)
    assert client.meta.endpoint_url == place.s3.endpoint_url


@pytest.mark.parametrize(
    "keys",
    ["environment", "configuration"],
)
def test_the_endpoint_of_the_default_profile_counts_wherever_the_keys_are_from(place, keys, monkeypatch):
    """Keys and region of the environment are no reason not to look into the profile."""
    key, secret = place.right
    place.profiles(default={"endpoint_url": place.s3.endpoint_url})
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    storage = Storage()
    if keys == "environment":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    else:
        storage = Storage(access_key_id=key, secret_access_key=secret)
    spec = spec_for(Location.parse(f"s3://{place.bucket}/x"), storage)
    assert s3fs_options(spec).get("endpoint_url") == place.s3.endpoint_url


# --- regions ---------------------------------------------------------------------------------------------------------

REGIONS_IN_ORDER = ["region", "AWS_REGION", "AWS_DEFAULT_REGION", "profile"]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("winner", [*REGIONS_IN_ORDER, "none"])
def test_of_several_regions_the_one_that_is_named_most_plainly_wins(place, proxy, transport, winner, monkeypatch):
    storage = {"profile": "chosen"}
    profile = {"endpoint_url": NOWHERE}
    first = len(REGIONS_IN_ORDER) if winner == "none" else REGIONS_IN_ORDER.index(winner)
    for kind in REGIONS_IN_ORDER[first:]:
        region = "eu-central-1" if kind == winner else "ap-south-1"
        if kind == "region":
            storage["region"] = region
        elif kind == "profile":
            profile["region"] = region
        else:
            monkeypatch.setenv(kind, region)
    place.credentials(chosen=WRONG)
    place.profiles(chosen=profile)
    with pytest.raises(CredentialsError):  # the proxy has seen the region by then
        place.publish(transport, endpoint_url=proxy.endpoint_url, **storage)
    assert signed_by(proxy) == ({WRONG[0]}, {"us-east-1" if winner == "none" else "eu-central-1"})


# --- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("given", ["configuration", "environment", "profile"])
def test_a_wrong_secret_is_one_line_that_does_not_repeat_it(run_zsync, place, transport, given):
    secret = "wrong/Secret+that+must+not+show"
    storage, environment = {"endpoint_url": place.s3.endpoint_url}, {}
    if given == "configuration":
        storage |= {"access_key_id": place.right[0], "secret_access_key": secret}
    elif given == "environment":
        environment = {"AWS_ACCESS_KEY_ID": place.right[0], "AWS_SECRET_ACCESS_KEY": secret}
    else:
        place.credentials(default=(place.right[0], secret))
    status, line, said = place.command(run_zsync, environment=environment, transport=transport, **storage)
    assert (status, "does not accept these credentials (SignatureDoesNotMatch)" in line) == (1, True), line
    assert "Traceback" not in said
    _, _, detail = place.command(run_zsync, "-v", environment=environment, transport=transport, **storage)
    assert "Traceback" in detail
    assert secret not in said + detail
    assert s3_bytes(place.s3, place.bucket) == {}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("which", ["key", "secret"])
def test_wrong_keys_are_a_credentials_error(place, transport, which):
    key, secret = place.right
    given = ("AKIAUNKNOWN", secret) if which == "key" else (key, WRONG[1])
    storage = dict(zip(("access_key_id", "secret_access_key"), given, strict=True))
    with pytest.raises(CredentialsError, match="does not accept these credentials") as raised:
        place.publish(transport, endpoint_url=place.s3.endpoint_url, region="us-east-1", **storage)
    assert raised.value.exit_status == 1
    assert s3_bytes(place.s3, place.bucket) == {}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_who_is_anonymous_is_refused_where_keys_are_needed(place, proxy, transport, monkeypatch):
    """The keys at hand are not used: requests go unsigned."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", place.right[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", place.right[1])
    place.credentials(default=place.right)
    with pytest.raises(PermissionDeniedError) as raised:
        place.publish(transport, endpoint_url=proxy.endpoint_url, anonymous=True)
    assert raised.value.exit_status == 1
    assert proxy.requests
    assert not any("authorization" in exchange.headers for exchange in proxy.requests)
    assert s3_bytes(place.s3, place.bucket) == {}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("named", ["--profile", "AWS_PROFILE"])
def test_a_profile_that_is_not_there_is_named(run_zsync, place, transport, named):
    place.credentials(default=place.right)
    storage = {"endpoint_url": place.s3.endpoint_url, "transport": transport}
    options = {"environment": {"AWS_PROFILE": "absent-one"}} if named == "AWS_PROFILE" else {"profile": "absent-one"}
    status, line, said = place.command(run_zsync, **storage, **options)
    assert (status, "absent-one" in line) == (1, True), line
    assert "profile" in line
    assert "Traceback" not in said
    with pytest.raises(CredentialsError, match="absent-one"):
        place.publish(transport, endpoint_url=place.s3.endpoint_url, profile="absent-one")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_keys_anywhere_is_said_with_what_to_do(place, transport):
    with pytest.raises(CredentialsError, match=r"no AWS credentials were found.*AWS_ACCESS_KEY_ID"):
        place.publish(transport, endpoint_url=place.s3.endpoint_url)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_half_a_pair_of_keys_in_the_environment_is_a_credentials_error(place, transport, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", place.right[0])
    with pytest.raises(CredentialsError, match=r"AWS_SECRET_ACCESS_KEY|secret_key"):
        place.publish(transport, endpoint_url=place.s3.endpoint_url)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_file_of_profiles_that_cannot_be_read_is_named(place, transport):
    (place.home / "aws-config").write_text("this is no INI file\n")
    with pytest.raises(CredentialsError, match=r"aws-config"):
        place.publish(transport, endpoint_url=place.s3.endpoint_url)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    "given",
    ["environment", "profile"],
)
def test_credentials_that_were_put_right_count_at_the_next_call(place, transport, given, monkeypatch):
    """In a notebook the process lives on: who corrects a secret and calls again means the new one."""

    def give(keys):
        if given == "environment":
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys[0])
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys[1])
        else:
            place.credentials(default=keys)

    give((place.right[0], WRONG[1]))
    with pytest.raises(CredentialsError):
        place.publish(transport, endpoint_url=place.s3.endpoint_url)
    give(place.right)
    assert place.publish(transport, endpoint_url=place.s3.endpoint_url).status == "published"


# --- where secrets are -----------------------------------------------------------------------------------------------


def test_secrets_that_were_given_explicitly_do_not_leave_the_process(place):
    """What would travel to a worker names their place; there it is said that they are missing."""
    import pickle

    key, secret = place.right
    storage = Storage(endpoint_url=place.s3.endpoint_url, access_key_id=key, secret_access_key=secret)
    spec = spec_for(Location.parse(f"s3://{place.bucket}/x"), storage)
    packed = pickle.dumps(spec)
    assert secret.encode() not in packed
    assert secret not in repr(spec)
    assert connect(pickle.loads(packed)) is connect(spec)
    worker = (
        "import pickle, sys\nfrom zsync.storage import connect\nconnect(pickle.loads(bytes.fromhex(sys.argv[1])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", worker, packed.hex()], capture_output=True, text=True, env={**os.environ}, check=False
    )
    assert done.returncode == 1
    assert "CredentialsError" in done.stderr.splitlines()[-1]
    assert "use a profile or environment variables on the workers" in done.stderr
