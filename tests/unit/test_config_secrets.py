import io
import logging
import pickle
import traceback

import pytest
import yaml

from zsync.config import RunConfig, Storage, template, to_native, to_yaml
from zsync.errors import ConfigError

SECRET = "SeCrEtVaLuE"
NAMES = ["access_key_id", "secret_access_key", "session_token"]
BASE = {"source": "/data/x", "target": "s3://my-bucket/p"}
SECRETS = {name: f"{SECRET}-{name}" for name in NAMES}

WRONG = [
    [SECRET],
    {"value": SECRET},
    {SECRET: 1},
    (SECRET,),
    5,
    True,
]


def told(function, *args, **options):
    """Return all that an exception of a call shows, its causes and its pickle included."""
    with pytest.raises(ConfigError) as caught:
        function(*args, **options)
    error = caught.value
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.emit(logging.LogRecord("x", 40, "", 0, "failed: %s", (error,), (type(error), error, None)))
    chain = "".join(traceback.format_exception_only(error))
    shown = [str(error), repr(error), chain, stream.getvalue(), repr(error.__context__), repr(pickle.dumps(error))]
    return " ".join(shown)


def test_a_config_does_not_show_its_secrets():
    config = RunConfig.from_any({**BASE, "storage": SECRETS})
    shown = [
        repr(config),
        str(config),
        str(config.model_dump()),
        config.model_dump_json(),
        repr(to_native(config)),
        to_yaml(config),
        repr(config.storage),
        str(config.storage.secret_access_key),
        repr(config.resolve()),
        repr(list(config)),
    ]
    assert SECRET not in " ".join(shown)
    assert to_yaml(config).count("********") == 3
    revealed = yaml.safe_load(to_yaml(config, mask=False))
    assert revealed["storage"] == SECRETS


def test_secrets_arrive():
    for config in (
        RunConfig.from_any({**BASE, "storage": SECRETS}),
        RunConfig.from_any(BASE, **SECRETS),
        RunConfig.from_any(BASE, storage=Storage(**SECRETS)),
        RunConfig.from_any(RunConfig.from_any({**BASE, "storage": SECRETS}), workers=2),
    ):
        assert {name: getattr(config.storage, name).get_secret_value() for name in NAMES} == SECRETS


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_wrong_types(name, value):
    storage = {**SECRETS, name: value}
    assert f"storage.{name}" in told(RunConfig.from_any, {**BASE, "storage": storage})
    for call in (
        lambda: RunConfig.from_any({**BASE, "storage": storage}),
        lambda: RunConfig.from_any(BASE, **storage),
        lambda: RunConfig(**BASE, storage=storage),
        lambda: RunConfig.from_any(RunConfig.from_any(BASE), storage=storage),
    ):
        assert SECRET not in told(call)


@pytest.mark.parametrize(
    "storage",
    [
        SECRET,
        [SECRET],
        {"secret_acces_key": SECRET},
        {"secretAccessKey": SECRET, "accessKeyID": SECRET},
        {"access_key_id": SECRET},
        {"secret_access_key": SECRET},
        {**SECRETS, "anonymous": True},
        {**SECRETS, "nonsense": 1},
        {"profile": [SECRET]},
        {"endpoint_url": f"https://me:{SECRET}@host"},
        {"endpoint_url": f"{SECRET}@host"},
        {"auth": {"secret": SECRET}},
        {"tags": SECRET},
        {"cache_control": {"root": f"{SECRET}\n"}},
    ],
    ids=str,
)
def test_secrets_in_the_wrong_place(storage):
    assert SECRET not in told(RunConfig.from_any, {**BASE, "storage": storage})
    assert SECRET not in told(lambda: RunConfig(**BASE, storage=storage))


@pytest.mark.parametrize(
    "change",
    [
        {"target": f"s3://AKIA:{SECRET}@my-bucket/x"},
        {"target": f"https://host/x?sig={SECRET}"},
        {"source": f"s3://AKIA:{SECRET}@my-bucket/x"},
        {"products": {"a": {"path": "a", "to": f"s3://AKIA:{SECRET}@my-bucket/x"}}},
        {"products": {"a": f"s3://AKIA:{SECRET}@my-bucket/x"}},
        {"secret_access_key": SECRET},
        {"credentials": {"secret": SECRET}},
    ],
    ids=str,
)
def test_secrets_elsewhere(change):
    assert SECRET not in told(RunConfig.from_any, {**BASE, **change})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.yaml", "storage:\n  secret_access_key: {secret}: x\n"),
        ("c.yaml", "storage:\n  secret_access_key: *{secret}\n"),
        ("c.yaml", "storage:\n  secret_access_key: !{secret} x\n"),
        ("c.yaml", "storage:\n  secret_access_key: '{secret}\n"),
        ("c.yaml", "storage:\n  secret_access_key: [{secret}\n"),
        ("c.json", '{{"storage": {{"secret_access_key": {secret}}}}}'),
        ("c.toml", "[storage]\nsecret_access_key = {secret}\n"),
        ("c.yaml", "- {secret}\n"),
        ("c.yaml", "{secret}\n"),
    ],
)
def test_files_that_are_not_valid(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text.replace("{secret}", SECRET).replace("{{", "{").replace("}}", "}"))
    assert SECRET not in told(RunConfig.from_any, path)


@pytest.mark.parametrize(
    "output",
    [
        {"s3": {"auth": {"accessKeyID": SECRET, "secretAccessKey": SECRET}}, "unknown": 1},
        {"s3": {"auth": {"secretAccessKey": SECRET}}, "local": "/x"},
        {"s3": SECRET, "local": 5},
        {"s3": [SECRET], "naming": SECRET},
        {"local": "/x", "naming": {"pre_qf": "a", "post_qf": "b"}, "cog": {"output": {"s3": SECRET}, "x": 1}},
        {"local": "/x", "naming": {"pre_qf": "a", "post_qf": "b"}, "auth": {"secretAccessKey": SECRET}},
        {"local": f"s3://me:{SECRET}@bucket", "naming": {"pre_qf": "a", "post_qf": "b"}},
    ],
    ids=str,
)
def test_run_config_auth(output):
    assert SECRET not in told(RunConfig.from_any, {"output": output})


@pytest.mark.parametrize("value", ["", "********", "*"])
def test_masked_secrets_are_refused(value):
    text = told(RunConfig.from_any, {**BASE, "storage": {"access_key_id": "AK", "secret_access_key": value}})
    assert "storage.secret_access_key" in text
    assert "masked" in text


def test_shown_secrets_cannot_be_read_back(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(to_yaml(RunConfig.from_any({**BASE, "storage": SECRETS})))
    assert "masked" in told(RunConfig.from_any, path)


def test_direct_validation_errors_hide_values():
    with pytest.raises(ValueError) as caught:
        Storage(secret_access_key=[SECRET], access_key_id={SECRET: 1})
    assert SECRET not in str(caught.value) + repr(caught.value)


def test_the_template_holds_no_secret():
    assert "access_key_id: null" in template()
