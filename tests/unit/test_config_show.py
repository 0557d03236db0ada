import string

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from zsync.config import Product, Publish, RunConfig, Storage, template, to_native, to_yaml
from zsync.config.formats import _yaml
from zsync.config.sections import Notification, Pull, Site, Team, Watch
from zsync.errors import ConfigError

text = st.text(st.characters(exclude_categories=("Cc", "Cs", "Co", "Cn")), min_size=1, max_size=12)
plain = st.text(string.ascii_letters + string.digits + "-_. %+", min_size=1, max_size=12).filter(
    lambda name: name.strip(". ") == name and name
)
header = st.text(string.ascii_letters + string.digits + "=,- ", min_size=1, max_size=20)
patterns = st.lists(text, max_size=3)
# Printable ASCII without blanks: whatever else is in a credential has strayed into it.
secret = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12).filter(
    lambda value: value.strip("*")
)
region = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=12).filter(
    lambda name: name.strip("-") == name
)
keys = plain.map(lambda name: f"s3://my-bucket/{name}")


def mappings(**fields):
    return st.fixed_dictionaries({}, optional=fields)


credentials = st.fixed_dictionaries(
    {"access_key_id": secret, "secret_access_key": secret}, optional={"session_token": secret}
)
storage = st.tuples(
    st.one_of(st.just({}), credentials, st.just({"anonymous": True})),
    mappings(
        endpoint_url=st.sampled_from(["http://localhost:9000", "https://s3.example.org"]),
        region=region,
        profile=text,
        path_style=st.none() | st.booleans(),
        ca_bundle=plain.map(lambda name: f"/etc/{name}"),
        storage_class=header,
        cache_control=st.dictionaries(st.sampled_from(["root", "group", "array", "data"]), header),
        content_type=st.dictionaries(text, header, max_size=2),
        sse=st.sampled_from([None, "AES256", "aws:kms"]),
        tags=st.dictionaries(text, text, max_size=3),
        requester_pays=st.booleans(),
    ),
).map(lambda pair: pair[0] | pair[1])
publish = mappings(
    retire=st.sampled_from(["auto", "keep", "trash", "delete"]),
    max_delete=st.one_of(st.integers(0, 10**9), st.integers(0, 100).map(lambda n: f"{n}%"), st.just("12.5%")),
    allow_empty=st.booleans(),
    workers=st.just("auto") | st.integers(1, 1000),
    transport=st.sampled_from(["auto", "obstore", "fsspec"]),
    scheduler=st.sampled_from(["auto", "threads", "serial", "processes", "tcp://10.0.0.1:8786"]),
    trust=st.sampled_from(["listing", "manifest"]),
    include=patterns,
    exclude=patterns,
    follow_symlinks=st.booleans(),
    foreign=st.sampled_from(["publish", "skip", "refuse"]),
    check_cogs=st.sampled_from(["warn", "refuse", "off"]),
    damaged=st.sampled_from(["refuse", "allow"]),
    consolidate=st.sampled_from(["auto", "always", "never", "as-is"]),
    rewrites=st.sampled_from(["auto", "inplace", "flip"]),
    on_incompatible=st.sampled_from(["auto", "refuse", "flip", "replace"]),
)
product = st.fixed_dictionaries(
    {"path": plain},
    optional={
        "kind": st.sampled_from([None, "zarr", "cog", "files"]),
        "to": st.none() | plain | keys,
        "include": patterns,
        "exclude": patterns,
    },
)
documents = mappings(
    source=plain.map(lambda name: f"/data/{name}"),
    target=keys,
    products=st.dictionaries(text.filter(lambda name: "/" not in name and name.isprintable()), product, max_size=3),
    storage=storage,
    publish=publish,
    only=patterns,
    dry_run=st.booleans(),
    verbose=st.booleans(),
)


@settings(max_examples=300, deadline=None)
@given(documents)
def test_round_trip(doc):
    config = RunConfig.from_any(doc)
    assert RunConfig.from_any(to_native(config)) == config
    assert RunConfig.from_any(_yaml(to_yaml(config, mask=False)) or {}) == config


@settings(max_examples=50, deadline=None)
@given(documents)
def test_round_trip_through_safe_yaml(doc):
    config = RunConfig.from_any(doc)
    assert RunConfig.from_any(yaml.safe_load(to_yaml(config, mask=False))) == config


def test_show_leaves_out_what_is_default():
    config = RunConfig.from_any(
        {"source": "/x", "target": "s3a://my-bucket/p/", "products": {"a": "a.zarr"}, "publish": {"retire": "auto"}},
        workers=4,
        dry_run=True,
    )
    assert to_yaml(config) == (
        "source: /x\n"
        "target: s3://my-bucket/p\n"
        "products:\n"
        "  a:\n"
        "    path: a.zarr\n"
        "publish:\n"
        "  workers: 4\n"
        "dry_run: true\n"
    )


def test_what_a_file_may_not_hold_is_not_shown():
    config = RunConfig.from_any({"output": {"s3": {"url": "s3://x"}}})
    assert config.nothing_to_do
    assert to_native(config) == {}


def read_text(tmp_path, text):
    path = tmp_path / "zsync.yaml"
    path.write_text(text)
    return RunConfig.from_any(path)


def test_template_is_valid_and_says_the_defaults(tmp_path):
    config = read_text(tmp_path, template())
    assert config.storage == Storage()
    assert config.publish == Publish()
    assert (config.only, config.dry_run, config.verbose) == ([], False, False)
    assert list(config.products) == ["pre_qf", "post_qf", "cog"]
    assert len(config.resolve()) == 3


def test_template_explains_every_option():
    text = template()
    for section, model in {"storage": Storage, "publish": Publish, "pull": Pull, "team": Team, "watch": Watch}.items():
        lines = text.partition(f"\n{section}:\n")[2].partition("\n\n")[0].splitlines()
        for name in model.model_fields:
            (at,) = [number for number, line in enumerate(lines) if line.startswith(f"  {name}:")]
            assert lines[at - 1].startswith("  # ")
            assert len(lines[at - 1]) > 10
    for name in (*Product.model_fields, *Site.model_fields, *Notification.model_fields):
        assert any(line.startswith(f"#   {name}: ") for line in text.splitlines())
    for model in (Storage, Publish, Pull, Team, Watch, Product, Site, Notification):
        assert all(field.description for field in model.model_fields.values())


@pytest.mark.parametrize("name", ["plain", "with: colon", "# hash", "yes", "ä b", "'quote\"", "007"])
def test_template_takes_what_is_given(tmp_path, name):
    text = template(
        source=f"/data/{name}", target=f"s3://my-bucket/{name}", products={name: {"path": name, "kind": "zarr"}}
    )
    config = read_text(tmp_path, text)
    assert config.source == f"/data/{name}"
    assert config.target == f"s3://my-bucket/{name}"
    assert config.products == {name: Product(path=name, kind="zarr")}
    assert read_text(tmp_path, template(products={})).products == {}


def test_j10_arguments_of_commands_are_masked(tmp_path):
    config = RunConfig.from_any({"source": "/x", "target": "s3://bucket/x", "notify": [
        {"command": ["/bin/curl", "-H", "Authorization: sesame"]}, {"command": ["curl -H sesame"]},
    ]}, environ={})  # fmt: skip
    text = to_yaml(config)
    assert "/bin/curl" in text
    assert "sesame" not in text + repr(config) + str(config)
    assert "sesame" in to_yaml(config, mask=False)
    path = tmp_path / "masked.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="masked"):
        RunConfig.from_any(path, environ={})
