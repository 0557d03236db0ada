import json
import pickle
from pathlib import Path
from types import MappingProxyType

import pydantic
import pytest

from zsync.config import Product, Publish, RunConfig, Storage
from zsync.config.publishing import most_deleted
from zsync.errors import ConfigError, ExitStatus

BASE = {"source": "/data/oco3", "target": "s3://my-bucket/products/oco3"}


def said(doc, **overrides):
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_any(doc, **overrides)
    assert caught.value.exit_status == ExitStatus.USAGE
    assert "\n" not in str(caught.value)
    assert caught.value.__context__ is None
    return str(caught.value)


def test_the_native_example_of_the_design():
    config = RunConfig.from_any(
        {
            **BASE,
            "products": {
                "pre_qf": {"path": "oco3_pre_qf.zarr", "kind": "zarr"},
                "cog": {"path": "cog", "kind": "cog", "to": "cog"},
            },
            "storage": {
                "endpoint_url": None,
                "region": "us-west-2",
                "storage_class": "STANDARD",
                "cache_control": {"root": "no-cache", "data": "max-age=86400"},
                "sse": None,
                "tags": {},
                "requester_pays": False,
            },
            "publish": {"retire": "auto", "max_delete": "25%", "workers": "auto", "trust": "listing", "exclude": []},
        }
    )
    assert config.products["pre_qf"] == Product(path="oco3_pre_qf.zarr", kind="zarr")
    assert config.storage.cache_control == {
        "root": "no-cache",
        "group": "no-cache",
        "array": "no-cache",
        "data": "max-age=86400",
    }
    assert config.notes == []
    assert config.nothing_to_do is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"root": "no-cache", "group": "no-cache", "array": "no-cache"}),
        ({"root": "max-age=60"}, {"root": "max-age=60", "group": "max-age=60", "array": "max-age=60"}),
        ({"group": "private"}, {"root": "no-cache", "group": "private", "array": "no-cache"}),
        ({"root": "x", "group": "y", "data": "z"}, {"root": "x", "group": "y", "array": "x", "data": "z"}),
    ],
)
def test_cache_control(given, expected):
    assert Storage(cache_control=given).cache_control == expected
    assert Storage(cache_control=expected).cache_control == expected


@pytest.mark.parametrize(
    ("given", "kept", "limits"),
    [
        (0, 0, {0: 0, 100: 0}),
        (7, 7, {0: 7, 100: 7}),
        ("7", 7, {100: 7}),
        ("25%", "25%", {0: 0, 3: 0, 4: 1, 10: 2, 1_000_003: 250_000}),
        ("25 %", "25%", {4: 1}),
        ("12.5%", "12.5%", {8: 1, 7: 0}),
        ("0.1%", "0.1%", {1000: 1, 999: 0}),
        ("100%", "100%", {9: 9}),
        ("0%", "0%", {9: 0}),
    ],
)
def test_max_delete(given, kept, limits):
    publish = Publish(max_delete=given)
    assert publish.max_delete == kept
    assert {total: most_deleted(publish.max_delete, total) for total in limits} == limits
    assert Publish(max_delete=kept) == publish


@pytest.mark.parametrize("given", [-1, "-1", "101%", "%", "a lot", "", 0.25, True, [], "1e3", "٣"])
def test_bad_max_delete(given):
    text = said({**BASE, "publish": {"max_delete": given}})
    assert "publish.max_delete must be a number of objects or a percentage like 25%" in text


@pytest.mark.parametrize(("given", "kept"), [("auto", "auto"), (1, 1), (64, 64), ("8", 8)])
def test_workers(given, kept):
    assert Publish(workers=given).workers == kept


# document, what the message must hold
BAD = [
    ({"publish": {"retier": "keep"}}, ["unknown key publish.retier", "did you mean publish.retire?"]),
    ({"storage": {"endpoint": "https://x"}}, ["unknown key storage.endpoint", "did you mean storage.endpoint_url?"]),
    ({"products": {"a": {"path": "x", "knid": "zarr"}}}, ["products.a.knid", "did you mean products.a.kind?"]),
    ({"retire": "keep"}, ["unknown key retire", "did you mean publish.retire?"]),
    ({"region": "x"}, ["unknown key region", "did you mean storage.region?"]),
    ({"Target": "s3://bbb/x"}, ["unknown key Target", "did you mean target?"]),
    ({"zzzzzz": 1}, ["unknown key zzzzzz", "known here: source, target", "only, dry_run, verbose"]),
    ({"notes": ["x"]}, ["unknown key notes"]),
    ({"nothing_to_do": "x"}, ["unknown key nothing_to_do"]),
    ({"storage": {"cache_control": {"rot": "x"}}}, ["unknown key storage.cache_control.rot", "cache_control.root?"]),
    ({"source": 5}, ["source must be text, not a number"]),
    ({"source": ""}, ["source must not be empty"]),
    ({"source": "s3://bucket/x"}, ["source", "local path"]),
    ({"target": ["a"]}, ["target must be text, not a list"]),
    ({"target": "my-bucket/x"}, ["target", "s3://"]),
    ({"products": []}, ["products must be a mapping, not a list"]),
    ({"products": {"a": 5}}, ["products.a must be a mapping, not a number"]),
    ({"products": {"a": {}}}, ["products.a.path is missing"]),
    ({"products": {"a/b": "x"}}, ["products.a/b", "no slash"]),
    ({"products": {"": "x"}}, ["name", "not empty"]),
    ({"products": {"a\x1b": "x"}}, ["products.a?", "control"]),
    ({"products": {5: "x"}}, ["name", "text"]),
    ({"products": {"a": {"path": "x", "kind": "tiff"}}}, ["products.a.kind must be zarr, cog or files, not tiff"]),
    ({"products": {"a": {"path": "x", "to": "/x"}}}, ["products.a.to", "below the target"]),
    ({"products": {"a": {"path": "x", "to": "a//b"}}}, ["products.a.to"]),
    ({"products": {"a": {"path": "x", "to": "../b"}}}, ["products.a.to"]),
    ({"products": {"a": {"path": "x", "to": "s3://a/b"}}}, ["products.a.to", "three characters"]),
    ({"storage": "x"}, ["storage must be a mapping, not text"]),
    ({"storage": {"region": 5}}, ["storage.region must be text, not a number"]),
    ({"storage": {"anonymous": "perhaps"}}, ["storage.anonymous must be true or false"]),
    ({"storage": {"sse": "rot13"}}, ["storage.sse must be AES256, aws:kms or aws:kms:dsse, not rot13"]),
    ({"storage": {"sse_kms_key_id": "k"}}, ["sse_kms_key_id needs sse"]),
    ({"storage": {"access_key_id": "k"}}, ["access_key_id and secret_access_key"]),
    ({"storage": {"session_token": "k"}}, ["session_token needs"]),
    (
        {"storage": {"access_key_id": "k", "secret_access_key": "s", "anonymous": True}},
        ["anonymous requests take no access_key_id"],
    ),
    ({"storage": {"endpoint_url": "localhost:9000"}}, ["storage.endpoint_url", "https://host:port"]),
    ({"storage": {"endpoint_url": "ftp://x"}}, ["storage.endpoint_url"]),
    ({"storage": {"cache_control": {"root": "a\r\nX-Evil: 1"}}}, ["storage.cache_control.root", "printable"]),
    ({"storage": {"content_type": {"*.x": "a\nb"}}}, ["storage.content_type.*.x", "printable"]),
    ({"storage": {"storage_class": "é"}}, ["storage.storage_class", "printable"]),
    ({"storage": {"tags": {str(n): "x" for n in range(11)}}}, ["storage.tags", "at most 10 tags, not 11"]),
    ({"storage": {"tags": {"a" * 129: "x"}}}, ["storage.tags", "128"]),
    ({"storage": {"tags": {"a": True}}}, ["storage.tags.a must be text, not true or false"]),
    ({"publish": {"workers": 0}}, ["publish.workers must be auto or a whole number from 1, not 0"]),
    ({"publish": {"workers": "many"}}, ["publish.workers must be auto or a whole number from 1, not many"]),
    ({"publish": {"workers": True}}, ["publish.workers must be"]),
    ({"publish": {"workers": 1.5}}, ["publish.workers must be"]),
    ({"publish": {"retire": "burn"}}, ["publish.retire must be auto, keep, trash or delete, not burn"]),
    ({"publish": {"workers": "9" * 5000}}, ["publish.workers must be auto or a whole number from 1, not that text"]),
    ({"publish": {5: 1}}, ["publish.5 is not text"]),
    ({"publish": {"retier": None}}, ["unknown key publish.retier"]),
    ({"products": {"a": {"path": None}}}, ["products.a.path is missing"]),
    ({"products": {"a": {"path": "a\0"}}}, ["products.a.path", "null character"]),
    ({"storage": {"cache_control": {"root": None}}}, ["storage.cache_control.root must be text, not null"]),
    ({"publish": {"include": {"a": 1}}}, ["publish.include must be a list, not a mapping"]),
    ({"publish": {"exclude": [""]}}, ["publish.exclude.0 must not be empty"]),
    ({"publish": {"follow_symlinks": 7}}, ["publish.follow_symlinks must be true or false"]),
    *[
        ({"publish": {"scheduler": value}}, ["publish.scheduler must be auto, threads", "tcp://host:8786"])
        for value in ("dask", "http://host:1", "tcp://", "tcp://user:secret@host:1", "tcp://ho st:1")
    ],
    ({"only": [1]}, ["only.0 must be text, not a number"]),
    ({"dry_run": "maybe"}, ["dry_run must be true or false"]),
    ({"publish": {"rewrites": "flipp"}}, ["publish.rewrites must be auto, inplace or flip", "did you mean flip?"]),
    ({"publish": {"on_incompatible": "yes"}}, ["publish.on_incompatible must be auto, refuse, flip or replace"]),
    ({"publish": {"flip_limit": -1}}, ["publish.flip_limit"]),
]


@pytest.mark.parametrize(("doc", "parts"), BAD)
def test_bad_documents(doc, parts):
    text = said({**BASE, **doc})
    for part in parts:
        assert part in text


def test_all_problems_are_told_and_no_more_than_five():
    text = said({**BASE, "publish": {"retier": 1, "workers": 0}, "only": 3})
    assert "publish.retier (did you mean publish.retire?); " in text
    assert "publish.workers" in text
    assert "only must be a list" in text
    text = said({**BASE, "storage": dict.fromkeys(["a1", "a2", "a3", "a4", "a5", "a6", "a7"], 1)})
    assert "a5" in text
    assert "a6" not in text
    assert "; and 2 more" in text


def test_long_values_are_not_repeated():
    assert "x" * 41 not in said({**BASE, "publish": {"retire": "x" * 41}})


def test_the_constructor_speaks_as_the_reader_does():
    with pytest.raises(ConfigError, match=r"unknown key publish.retier; did you mean publish.retire\?"):
        RunConfig(**BASE, publish={"retier": "keep"})
    with pytest.raises(ConfigError, match="source must be text"):
        RunConfig.model_validate({"source": 5})


def test_friendly_forms(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = RunConfig.from_any(
        MappingProxyType(
            {
                "source": Path("data"),
                "target": Path("/out"),
                "products": {"a": "a.zarr", "b": Path("b"), "c": {"path": "file:///c/"}, "d": "~/d"},
                "publish": {"exclude": "*.tmp", "include": ("a", "b")},
                "storage": {"tags": {"year": 2024}, "endpoint_url": "http://localhost:9000/"},
                "only": "a",
            }
        )
    )
    assert config.source == str(tmp_path / "data")
    assert config.target == "file:///out"
    assert config.products["a"] == Product(path="a.zarr")
    assert config.products["b"].path == "b"
    assert config.products["c"].path == "/c"
    assert config.products["d"].path == str(Path("~/d").expanduser())
    assert config.publish.exclude == ["*.tmp"]
    assert config.publish.include == ["a", "b"]
    assert config.storage.tags == {"year": "2024"}
    assert config.storage.endpoint_url == "http://localhost:9000"
    assert config.only == ["a"]


def test_null_is_the_default():
    doc = {name: None for name in RunConfig.model_fields if name not in {"notes", "nothing_to_do", "origin"}}
    assert RunConfig.from_any({**doc, **BASE}) == RunConfig.from_any(BASE)
    for name, section in (("storage", Storage), ("publish", Publish)):
        nulls = dict.fromkeys(section.model_fields)
        assert RunConfig.from_any({**BASE, name: nulls}) == RunConfig.from_any(BASE)


def test_only_home_is_expanded(monkeypatch):
    monkeypatch.setenv("WHERE", "no")
    monkeypatch.setenv("HOME", "/home/me")
    assert RunConfig.from_any({"source": "~/$WHERE"}).source == "/home/me/$WHERE"


def test_overrides(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = RunConfig.from_any(
        {**BASE, "publish": {"retire": "trash", "workers": 2}, "storage": {"region": "eu-west-1"}},
        target="./out",
        retire="keep",
        endpoint_url="http://localhost:9000",
        only=("a",),
        dry_run=True,
        source="in",
        products={"a": Path("x")},
        max_delete=None,
        region=None,
    )
    assert config.publish == Publish(retire="keep", workers=2)
    assert config.storage == Storage(region="eu-west-1", endpoint_url="http://localhost:9000")
    assert config.source == str(tmp_path / "in")
    assert config.target == f"file://{tmp_path}/out"
    assert config.only == ["a"]
    assert config.dry_run is True
    assert config.products == {"a": Product(path="x")}


def test_overrides_of_whole_sections():
    config = RunConfig.from_any({**BASE, "storage": {"region": "a"}}, storage={"profile": "p"}, workers=3)
    assert config.storage == Storage(region="a", profile="p")
    config = RunConfig.from_any(
        {**BASE, "storage": Storage(region="a")}, storage=Storage(profile="p"), endpoint_url="http://x"
    )
    assert config.storage == Storage(profile="p", endpoint_url="http://x")
    assert "storage must be a mapping" in said(BASE, storage="x", region="y")


def test_include_said_on_top_is_not_hidden_by_products():
    doc = {**BASE, "products": {"a": {"path": "a", "include": ["*.tif"]}, "b": "b"}}
    resolved = RunConfig.from_any(doc, include=["2024/*"]).resolve()
    assert [product.include for product in resolved] == [("2024/*",), ("2024/*",)]
    assert "products must be a mapping" in said({**BASE, "products": 5}, include=["x"])


def test_overrides_of_a_config():
    config = RunConfig.from_any(BASE, retire="keep")
    assert RunConfig.from_any(config) is config
    assert RunConfig.from_any(config, retire=None) is config
    changed = RunConfig.from_any(config, workers=4, target="s3://other/x")
    assert changed.publish == Publish(retire="keep", workers=4)
    assert changed.target == "s3://other/x"
    assert config.target == BASE["target"]


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        ({"retier": "keep"}, ["unknown option retier", "did you mean retire?"]),
        ({"endpoint": "x"}, ["unknown option endpoint", "did you mean endpoint_url?"]),
        ({"notes": []}, ["unknown option notes"]),
        ({"dryrun": True}, ["unknown option dryrun", "did you mean dry_run?"]),
        ({"workers": "x"}, ["publish.workers must be"]),
        ({"rewrites": "flipp"}, ["publish.rewrites", "did you mean flip?"]),
        ({"aa_": 1, "retier": 2}, ["aa_", "retier"]),
    ],
)
def test_bad_overrides(overrides, parts):
    text = said(BASE, **overrides)
    for part in parts:
        assert part in text


@pytest.mark.parametrize("value", [5, 1.5, b"x.yaml", ["a"], object(), True])
def test_not_a_configuration(value):
    assert "is not a configuration" in said(value)


def test_pickle():
    config = RunConfig.from_any(
        {**BASE, "products": {"a": "a.zarr"}}, access_key_id="AK", secret_access_key="SK", retire="keep"
    )
    again = pickle.loads(pickle.dumps(config))
    assert again == config
    assert again.storage.secret_access_key.get_secret_value() == "SK"
    assert pickle.loads(pickle.dumps(config.resolve())) == config.resolve()


def test_frozen():
    config = RunConfig.from_any(BASE)
    with pytest.raises(pydantic.ValidationError):
        config.target = "s3://other/x"


def test_what_is_said_of_a_run_is_added_to_what_is_said_of_all(tmp_path):
    file = tmp_path / "zsync.json"
    file.write_text(json.dumps({**BASE, "publish": {"meta": {"project": "oco3", "run": 1}, "message": "daily"}}))
    config = RunConfig.from_any(file, meta={"run": "2"}, message="by hand")
    assert (config.publish.meta, config.publish.message) == ({"project": "oco3", "run": "2"}, "by hand")
    assert config.origin.file == str(file)
    assert RunConfig.from_any(config, workers=2).origin.file == str(file)


@pytest.mark.parametrize(
    "wrong",
    [
        {"meta": {"": "x"}}, {"meta": {"a": "x" * 1025}}, {"meta": {str(n): "x" for n in range(101)}},
        {"meta": {"a": None}}, {"message": "x" * 10_001}, {"meta": {"a": True}},
    ],
)  # fmt: skip
def test_what_is_said_of_a_publication_is_bounded(wrong):
    with pytest.raises(ConfigError):
        RunConfig.from_any(BASE, **wrong)
