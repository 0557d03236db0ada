"""Every configuration that the predecessors' documents show is read as it stands.

`tests/dialects` holds them, and beside each what ``zsync config show`` makes of it.
"""

import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from zsync.cli import app
from zsync.config import RunConfig, to_yaml
from zsync.errors import ConfigError

DIALECTS = Path(__file__).parents[1] / "dialects"
EXAMPLES = sorted(path for path in DIALECTS.iterdir() if ".native." not in path.name)
SECRETS = ("je7MtGb", "wJalrXUt", "AKIA")


def expected(example):
    return (DIALECTS / f"{example.stem}.native.yaml").read_text().replace("HERE", str(DIALECTS))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_config_show_says_what_was_understood(example):
    shown = CliRunner().invoke(app, ["config", "show", str(example)])
    assert shown.exit_code == 0, shown.output
    assert shown.stdout == expected(example)
    assert not any(secret in shown.output for secret in SECRETS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_native_form_means_the_same(tmp_path, example):
    config = RunConfig.from_any(example)
    native = tmp_path / "native.yaml"
    native.write_text(to_yaml(config, mask=False))
    if config.nothing_to_do is None:
        again = RunConfig.from_any(native)
        assert again == config.model_copy(update={"notes": []})


def read(tmp_path, name, **changes):
    """Return the configuration of an example in which keys, dotted, were replaced."""
    doc = yaml.safe_load((DIALECTS / name).read_text())
    for dotted, value in changes.items():
        *parents, last = dotted.split("__")
        place = doc
        for parent in parents:
            place = place[int(parent) if parent.isdigit() else parent]
        place[last] = value
    path = tmp_path / Path(name).with_suffix(".yaml").name
    path.write_text(yaml.safe_dump(doc))
    return RunConfig.from_any(path)


# --- S1: pulls on clusters and laptops --------------------------------------------------------------------------------


def test_s1_notifications(tmp_path):
    text = (DIALECTS / "s1_config.ini").read_text()
    path = tmp_path / "config.ini"
    path.write_text(f"{text}\n[NOTIFY]\nurl = https://example.org/hook\ncommand = mail -s 'it came' me@example.org\n")
    hook, mail = RunConfig.from_any(path).notify
    assert hook.url.get_secret_value() == "https://example.org/hook"
    assert mail.command == ["mail", "-s", "it came", "me@example.org"]
    assert hook.on == mail.on == ["pulled", "failed"]
    path.write_text(f"{text}\n[NOTIFY]\ncomand = x\n")
    with pytest.raises(ConfigError, match="did you mean NOTIFY"):
        RunConfig.from_any(path)


# --- S3: the service for many sites -----------------------------------------------------------------------------------


def test_s3_site_settings_beat_global_ones():
    sites = RunConfig.from_any(DIALECTS / "s3_everything.yml").by_site()
    pictures, text = sites["pictures"], sites["text"]
    assert pictures.storage.access_key_id.get_secret_value() == "AKIAIOSFODNN7EXAMPLE"
    assert text.storage.access_key_id.get_secret_value() == "AKIAI44QH8DHBEXAMPLE"
    assert (pictures.storage.region, text.storage.region) == ("eu-central-1", "us-east-1")
    assert (pictures.storage.retries, text.storage.retries) == (7, 5)
    assert (pictures.watch.interval, text.watch.interval) == ("1m", "30s")
    assert (pictures.publish.workers, text.publish.workers) == (5, 5)


def test_s3_what_is_left_out_comes_from_the_environment():
    storage = RunConfig.from_any(DIALECTS / "s3_document.yml").by_site()["path2"].storage
    assert (storage.access_key_id, storage.region, storage.profile) == (None, None, None)


def test_s3_defaults_are_those_of_the_document():
    site = RunConfig.from_any({"sites": [{"local_path": "/l/x", "bucket": "bucket"}]}).by_site()["x"]
    assert (site.publish.retire, site.storage.storage_class, site.publish.workers) == ("keep", "STANDARD", 10)
    assert (site.watch.interval, site.watch.log_level) == ("1000ms", "info")


@pytest.mark.parametrize(
    ("level", "native"),
    [("trace", "debug"), ("debug", "debug"), ("info", "info"), ("warn", "warning"), ("error", "error"),
     ("fatal", "error"), ("panic", "error")],
)  # fmt: skip
def test_s3_loglevels(tmp_path, level, native):
    assert read(tmp_path, "s3_everything.yml", loglevel=level).watch.log_level == native


@pytest.mark.parametrize(
    ("interval", "native_s"), [(1500, 1.5), ("1500", 1.5), ("30s", 30), ("1m", 60), ("250ms", 0.25)]
)
def test_s3_a_bare_interval_is_in_milliseconds(tmp_path, interval, native_s):
    from zsync.config import seconds

    assert seconds(read(tmp_path, "s3_everything.yml", watch_interval=interval).watch.interval) == native_s


def test_s3_what_is_not_needed_is_noted():
    notes = RunConfig.from_any(DIALECTS / "s3_everything.yml").notes
    assert [note.split()[0] for note in notes] == ["upload_queue_buffer", "checksum_workers"]


def test_s3_sites_of_one_name_are_told_apart():
    doc = {"sites": [{"local_path": f"/{i}/data", "bucket": f"bucket-{i}"} for i in range(3)]}
    assert list(RunConfig.from_any(doc).by_site()) == ["data", "data-2", "data-3"]


GOTCHA = [
    {"local_path": "/l/root", "bucket": "bucket", "retire_deleted": True},
    {"local_path": "/l/below", "bucket": "bucket", "bucket_path": "below"},
]


def test_s3_first_gotcha_is_refused_with_the_reason():
    with pytest.raises(ConfigError, match="site root would retire what site below publishes") as caught:
        RunConfig.from_any({"sites": GOTCHA}).by_site()
    assert "retire_deleted: false" in str(caught.value)
    with pytest.raises(ConfigError, match="site root would retire"):
        RunConfig.from_any({"sites": GOTCHA[::-1]}).by_site()


def test_s3_first_gotcha_is_fine_without_retiring():
    doc = {"sites": [{**GOTCHA[0], "retire_deleted": False}, {**GOTCHA[1], "retire_deleted": True}]}
    assert list(RunConfig.from_any(doc).by_site()) == ["root", "below"]


def test_s3_the_same_prefix_elsewhere_is_no_overlap():
    doc = {"sites": [GOTCHA[0], {**GOTCHA[1], "endpoint": "https://s3.example.org"}]}
    assert len(RunConfig.from_any(doc).by_site()) == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"upload_worker": 3}, "did you mean upload_workers?"),
        ({"sites__0__bucket_pth": "x"}, "did you mean sites.0.bucket_path?"),
        ({"sites__0__bucket": None}, "sites.0.bucket"),
        ({"sites__0__exclusions": ["[a"]}, "not a regular expression"),
        ({"loglevel": "loud"}, "loglevel must be"),
        ({"watch_interval": "soon"}, "watch_interval must be"),
    ],
)
def test_s3_mistakes_are_told(tmp_path, changes, says):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "s3_everything.yml", **changes)
    assert says in str(caught.value)
    assert not any(secret in str(caught.value) for secret in SECRETS)


# --- S4: the starter --------------------------------------------------------------------------------------------------


def test_s4_without_deletions_nothing_is_retired(tmp_path):
    assert read(tmp_path, "s4_config.yml", sync__sync_deletions=False).publish.retire == "keep"


@pytest.mark.parametrize("bucket", ["my-bucket/below", "s3://my-bucket/below/"])
def test_s4_a_bucket_may_have_a_prefix(tmp_path, bucket):
    (product,) = read(tmp_path, "s4_config.yml", general__s3_bucket=bucket).resolve()
    assert product.location.url == "s3://my-bucket/below"


def test_s4_what_is_not_needed_is_noted():
    assert RunConfig.from_any(DIALECTS / "s4_config.yml").notes == ["logging.format is not needed"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sync__intervall": 3}, "did you mean sync.interval?"),
        ({"general__local_folder": None}, "general.local_folder"),
        ({"sync__interval": "often"}, "sync.interval must be"),
    ],
)
def test_s4_mistakes_are_told(tmp_path, changes, says):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "s4_config.yml", **changes)
    assert says in str(caught.value)


# --- S2: the team folder ----------------------------------------------------------------------------------------------


def test_s2_the_folder_is_called_data_unless_said(tmp_path):
    config = RunConfig.from_any({"platform": "s3", "platforms": {"s3": {"aws_bkt": "bucket", "aws_prfx": "p"}}})
    assert config.source == str(Path.cwd() / "Data")


@pytest.mark.parametrize(
    ("remote", "url"),
    [(None, "s3://analytics/team/project"), ("more", "s3://analytics/team/project/more"), ("s3://b2k/x", "s3://b2k/x")],
)
def test_s2_remote_data_dir(tmp_path, remote, url):
    config = read(tmp_path, "s2_s3synchrony.json", remote_data_dir=remote)
    assert config.resolve()[0].location.url == url


@pytest.mark.parametrize(
    ("credentials", "profile", "key"),
    [
        ("team", "team", None),
        ({"AccessKeyId": "A", "SecretAccessKey": "B", "SessionToken": "C"}, None, "A"),
        ({"aws_access_key_id": "A", "aws_secret_access_key": "B", "region_name": "eu-west-1"}, None, "A"),
    ],
)
def test_s2_credentials(tmp_path, credentials, profile, key):
    storage = read(tmp_path, "s2_s3synchrony.json", platforms__s3__credentials=credentials).storage
    assert storage.profile == profile
    assert (storage.access_key_id and storage.access_key_id.get_secret_value()) == key


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"platforms__s3__aws_bucket": "x"}, "did you mean platforms.s3.aws_bkt?"),
        ({"platform": "azure"}, "platform must be"),
        ({"platforms__s3__credentials": {"password": "hunter2"}}, "platforms.s3.credentials must be"),
    ],
)
def test_s2_mistakes_are_told(tmp_path, changes, says):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "s2_s3synchrony.json", **changes)
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_s2_is_understood_wherever_it_lies(tmp_path):
    shutil.copy(DIALECTS / "s2_s3synchrony.json", tmp_path / "s3synchrony.json")
    assert RunConfig.from_any(tmp_path / "s3synchrony.json").source == str(tmp_path / "Data")
