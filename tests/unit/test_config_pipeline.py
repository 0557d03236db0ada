import pytest
import yaml

from zsync.config import RunConfig, to_yaml
from zsync.errors import ConfigError, ExitStatus

ENV = {
    "LOCAL_ROOT": "/tmp/oco3",
    "PRE_QF_NAME": "oco3_pre_qf.zarr",
    "POST_QF_NAME": "oco3_post_qf.zarr",
    "S3_BUCKET": "my-bucket",
    "S3_ROOT_PREFIX": "products/oco3",
}
COG = {"COG_DIR": "cog", "COG_DIR_S3": "cogs"}

RUN_CONFIG = """\
output:
  local: file:///tmp/oco3/
  global: false
  naming: {pre_qf: name_pre_qf.zarr, post_qf: name_post_qf.zarr}
  title:  {pre_qf: TITLE, post_qf: TITLE}
  cog: {output: {local: file:///tmp/oco3/cog/}, options: {BLOCKSIZE: 128}}
input: {files: []}
chunking: {latitude: 800, longitude: 800, time: 14}
"""
IN_S3 = {"url": "s3://b", "region": "us-west-2", "auth": {"accessKeyID": "AKSeCrEt", "secretAccessKey": "SKSeCrEt"}}


def without(env, *names):
    return {name: value for name, value in env.items() if name not in names}


def read(environ, **overrides):
    return RunConfig.from_any(None, environ=environ, **overrides)


def places(config):
    return {product.name: (product.root, product.kind, product.location.url) for product in config.resolve()}


def said(value=None, **options):
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_any(value, **options)
    assert caught.value.exit_status == ExitStatus.USAGE
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def doc():
    return yaml.safe_load(RUN_CONFIG)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(RUN_CONFIG)
    return path


def test_environment():
    config = read(ENV)
    assert places(config) == {
        "pre_qf": ("/tmp/oco3/oco3_pre_qf.zarr", "zarr", "s3://my-bucket/products/oco3/oco3_pre_qf.zarr"),
        "post_qf": ("/tmp/oco3/oco3_post_qf.zarr", "zarr", "s3://my-bucket/products/oco3/oco3_post_qf.zarr"),
    }
    assert (config.dry_run, config.verbose, config.notes, config.nothing_to_do) == (False, False, [], None)
    assert list(places(read(ENV | COG))) == ["pre_qf", "post_qf", "cog"]
    assert places(read(ENV | COG))["cog"] == ("/tmp/oco3/cog", "cog", "s3://my-bucket/products/oco3/cogs")


def test_the_process_environment_is_the_default(monkeypatch):
    for name in [*ENV, *COG, "RC_FILE_OVERRIDE", "DRYRUN", "VERBOSE"]:
        monkeypatch.delenv(name, raising=False)
    assert "there is no configuration" in said(None)
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    assert RunConfig.from_any(None) == read(ENV)


@pytest.mark.parametrize(
    ("change", "product", "root", "url"),
    [
        ({"S3_ROOT_PREFIX": ""}, "pre_qf", None, "s3://my-bucket/oco3_pre_qf.zarr"),
        ({"S3_ROOT_PREFIX": "/"}, "pre_qf", None, "s3://my-bucket/oco3_pre_qf.zarr"),
        ({"S3_ROOT_PREFIX": "/a/b/"}, "pre_qf", None, "s3://my-bucket/a/b/oco3_pre_qf.zarr"),
        ({"S3_BUCKET": "s3://my-bucket"}, "pre_qf", None, "s3://my-bucket/products/oco3/oco3_pre_qf.zarr"),
        ({"S3_BUCKET": "s3://my-bucket/"}, "pre_qf", None, "s3://my-bucket/products/oco3/oco3_pre_qf.zarr"),
        ({"S3_BUCKET": "my-bucket/x"}, "pre_qf", None, "s3://my-bucket/x/products/oco3/oco3_pre_qf.zarr"),
        (
            {"PRE_QF_NAME": "sub/pre.zarr/"},
            "pre_qf",
            "/tmp/oco3/sub/pre.zarr",
            "s3://my-bucket/products/oco3/sub/pre.zarr",
        ),
        ({"LOCAL_ROOT": "file:///x/"}, "pre_qf", "/x/oco3_pre_qf.zarr", None),
        (COG | {"COG_DIR": "/else/cog"}, "cog", "/else/cog", "s3://my-bucket/products/oco3/cogs"),
        (COG | {"COG_DIR": "file:///else/cog/"}, "cog", "/else/cog", None),
        (COG | {"COG_DIR_S3": "/a/cogs/"}, "cog", None, "s3://my-bucket/products/oco3/a/cogs"),
    ],
)
def test_environment_variants(change, product, root, url):
    found = places(read(ENV | change))[product]
    assert root in (None, found[0])
    assert url in (None, found[2])


def test_a_relative_root_starts_at_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read(ENV | {"LOCAL_ROOT": "data"}).source == str(tmp_path / "data")


@pytest.mark.parametrize("value", ["1", "0", "", "false"])
def test_switches_are_on_when_set_at_all(value):
    config = read(ENV | {"DRYRUN": value})
    assert (config.dry_run, config.verbose) == (True, False)
    config = read(ENV | {"VERBOSE": value})
    assert (config.dry_run, config.verbose) == (False, True)


def test_all_missing_variables_are_named():
    text = said(environ={"LOCAL_ROOT": "/x", "COG_DIR": "cog"})
    for name in ["PRE_QF_NAME", "POST_QF_NAME", "S3_BUCKET", "S3_ROOT_PREFIX", "COG_DIR_S3"]:
        assert name in text
    assert "LOCAL_ROOT" not in text


@pytest.mark.parametrize("name", ENV)
def test_each_variable_is_needed(name):
    text = said(environ=without(ENV, name))
    assert f"missing: {name};" in text
    if name != "S3_ROOT_PREFIX":
        assert f"missing: {name};" in said(environ=ENV | {name: ""})


@pytest.mark.parametrize("place", [{}, {"COG_DIR_S3": ""}, {"COG_DIR_S3": "/"}])
def test_cog_dir_needs_its_place(place):
    assert "COG_DIR_S3 (needed with COG_DIR)" in said(environ=ENV | {"COG_DIR": "cog"} | place)


def test_cog_place_without_cogs_is_noted():
    config = read(ENV | {"COG_DIR_S3": "cog"})
    assert list(config.products) == ["pre_qf", "post_qf"]
    assert config.notes == ["COG_DIR_S3 is not needed without COG_DIR"]
    assert "cog" not in read(ENV | {"COG_DIR": ""}).products


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"S3_BUCKET": "ab"}, ["S3_BUCKET", "three characters"]),
        ({"S3_BUCKET": "a:b@bucket"}, ["S3_BUCKET"]),
        ({"S3_ROOT_PREFIX": "a//b"}, ["S3_ROOT_PREFIX", "empty"]),
        ({"PRE_QF_NAME": "/abs/pre.zarr"}, ["PRE_QF_NAME", "below LOCAL_ROOT"]),
        ({"POST_QF_NAME": "/"}, ["POST_QF_NAME"]),
        ({"PRE_QF_NAME": "../pre.zarr"}, ["pre_qf.to"]),
        ({"LOCAL_ROOT": "s3://bucket/x"}, ["source", "local path"]),
    ],
)
def test_bad_environments(change, parts):
    text = said(environ=ENV | change)
    for part in parts:
        assert part in text


def test_one_name_for_both():
    with pytest.raises(ConfigError, match="products pre_qf and post_qf have one target"):
        read(ENV | {"POST_QF_NAME": ENV["PRE_QF_NAME"]}).resolve()


def test_what_is_said_beats_the_environment():
    config = read(without(ENV, "S3_BUCKET", "S3_ROOT_PREFIX"), target="s3://other/x", retire="keep", verbose=True)
    assert config.target == "s3://other/x"
    assert config.publish.retire == "keep"
    assert config.verbose
    assert read(ENV | {"DRYRUN": "1"}, dry_run=False).dry_run is False
    config = read(ENV, source="/else", target="s3://other/x")
    assert places(config) == {"else": ("/else", None, "s3://other/x/else")}


def test_run_config(file, doc):
    config = RunConfig.from_any(file, target="s3://my-bucket/p")
    assert places(config) == {
        "pre_qf": ("/tmp/oco3/name_pre_qf.zarr", "zarr", "s3://my-bucket/p/name_pre_qf.zarr"),
        "post_qf": ("/tmp/oco3/name_post_qf.zarr", "zarr", "s3://my-bucket/p/name_post_qf.zarr"),
        "cog": ("/tmp/oco3/cog", "cog", "s3://my-bucket/p/cog"),
    }
    assert config.notes == []
    assert RunConfig.from_any(doc, target="s3://my-bucket/p") == config
    assert RunConfig.from_any(doc, target="s3://my-bucket/p", workers=4).publish.workers == 4
    with pytest.raises(ConfigError, match="target is missing"):
        RunConfig.from_any(file).resolve()


def test_run_config_paths_are_relative_to_it(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(RUN_CONFIG.replace("file:///tmp/oco3/cog/", "out/cog").replace("file:///tmp/oco3/", "out"))
    found = places(RunConfig.from_any(path, target="s3://my-bucket/p"))
    assert found["pre_qf"][0] == str(tmp_path / "out/name_pre_qf.zarr")
    assert found["cog"][0] == str(tmp_path / "out/cog")


def test_minimal_run_config(doc):
    doc = {"output": {"local": doc["output"]["local"], "naming": doc["output"]["naming"]}, "source": "x", "publish": 5}
    assert list(RunConfig.from_any(doc).products) == ["pre_qf", "post_qf"]


@pytest.mark.parametrize("value", [True, False, "yes", None])
def test_global_is_accepted(doc, value):
    doc["output"]["global"] = value
    assert RunConfig.from_any(doc).notes == []


def test_output_in_s3_is_nothing_to_do(doc):
    doc["output"] |= {"s3": IN_S3}
    del doc["output"]["local"]
    for doc_ in (doc, {"output": {"s3": IN_S3}}):
        config = RunConfig.from_any(doc_)
        assert "output.s3" in config.nothing_to_do
        assert config.resolve() == ()
        assert "SeCrEt" not in repr(config) + to_yaml(config) + config.model_dump_json() + repr(config.__dict__)
        assert RunConfig.from_any(config, workers=2).nothing_to_do == config.nothing_to_do


def test_cogs_in_s3_are_skipped_with_a_note(doc):
    doc["output"]["cog"] = {"output": {"s3": IN_S3}}
    config = RunConfig.from_any(doc)
    assert list(config.products) == ["pre_qf", "post_qf"]
    assert len(config.notes) == 1
    assert "output.cog.output.s3" in config.notes[0]
    assert "SeCrEt" not in repr(config)


def change(doc, path, value):
    *parents, last = path.split(".")
    for name in parents:
        doc = doc[name]
    if value is None:
        del doc[last]
    else:
        doc[last] = value


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("output.locall", "x", ["unknown key output.locall", "did you mean output.local?"]),
        ("output.nameing", {}, ["unknown key output.nameing", "did you mean output.naming?"]),
        ("output.globl", True, ["did you mean output.global?"]),
        ("output.naming.pre_fq", "x", ["unknown key output.naming.pre_fq", "did you mean output.naming.pre_qf?"]),
        ("output.cog.option", {}, ["unknown key output.cog.option", "did you mean output.cog.options?"]),
        ("output.cog.output.locale", {}, ["unknown key output.cog.output.locale", "output.cog.output.local?"]),
        ("output.local", None, ["output", "neither local nor s3"]),
        ("output.s3", IN_S3, ["output", "both local and s3"]),
        ("output.naming", None, ["naming is missing"]),
        ("output.naming.pre_qf", None, ["output.naming.pre_qf is missing"]),
        ("output.naming.post_qf", None, ["output.naming.post_qf is missing"]),
        ("output.naming.post_qf", 5, ["output.naming.post_qf must be text, not a number"]),
        ("output.local", 5, ["output.local must be text"]),
        ("output.local", "s3://bucket/x", ["output.local", "local path"]),
        ("output.global", "perhaps", ["output.global must be true or false"]),
        ("output.cog", "x", ["output.cog must be a mapping, not text"]),
        ("output.cog.output", None, ["output.cog.output is missing"]),
        ("output.cog.output", {}, ["output.cog.output", "neither local nor s3"]),
        ("output.naming.pre_qf", "/abs", ["products.pre_qf.to"]),
    ],
)
def test_bad_run_configs(doc, path, value, parts):
    change(doc, path, value)
    text = said(doc)
    for part in parts:
        assert part in text
    assert "SeCrEt" not in text


def test_bad_run_config_names_its_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(RUN_CONFIG.replace("naming", "nameing"))
    assert f"unknown key output.nameing in {path}" in said(path)


def test_override_file(file):
    env = {"RC_FILE_OVERRIDE": str(file), "S3_BUCKET": "my-bucket", "S3_ROOT_PREFIX": "p", "COG_DIR_S3": "cogs"}
    expected = {
        "pre_qf": ("/tmp/oco3/name_pre_qf.zarr", "zarr", "s3://my-bucket/p/name_pre_qf.zarr"),
        "post_qf": ("/tmp/oco3/name_post_qf.zarr", "zarr", "s3://my-bucket/p/name_post_qf.zarr"),
        "cog": ("/tmp/oco3/cog", "cog", "s3://my-bucket/p/cogs"),
    }
    assert places(read(env)) == expected
    assert places(read(env | {"RC_FILE_OVERRIDE": file.as_uri()})) == expected
    over = {"LOCAL_ROOT": "/no", "PRE_QF_NAME": "no", "POST_QF_NAME": "no2", "COG_DIR": "no3"}
    assert places(read(env | over)) == expected
    assert "COG_DIR_S3" in said(environ=without(env, "COG_DIR_S3"))
    assert "missing: S3_BUCKET, S3_ROOT_PREFIX;" in said(environ=without(env, "S3_BUCKET", "S3_ROOT_PREFIX"))
    assert read(env | {"RC_FILE_OVERRIDE": ""} | ENV).source == "/tmp/oco3"


def test_override_file_without_cogs_leaves_those_of_the_environment(file):
    lines = [line for line in RUN_CONFIG.splitlines() if "cog:" not in line]
    file.write_text("\n".join(lines))
    found = places(read(ENV | COG | {"RC_FILE_OVERRIDE": str(file)}))
    assert found["cog"] == ("/tmp/oco3/cog", "cog", "s3://my-bucket/products/oco3/cogs")


def test_override_file_with_cogs_in_s3(file, doc):
    doc["output"]["cog"]["output"] = {"s3": IN_S3}
    file.write_text(yaml.safe_dump(doc))
    config = read(ENV | COG | {"RC_FILE_OVERRIDE": str(file)})
    assert "cog" not in config.products
    assert len(config.notes) == 1


def test_override_file_with_output_in_s3(file):
    file.write_text(yaml.safe_dump({"output": {"s3": IN_S3}}))
    config = read({"RC_FILE_OVERRIDE": str(file), "VERBOSE": ""})
    assert config.nothing_to_do
    assert config.verbose
    assert config.resolve() == ()


def test_bad_override_files(file, tmp_path):
    assert "does not exist" in said(environ=ENV | {"RC_FILE_OVERRIDE": str(tmp_path / "no.yaml")})
    file.write_text("source: /x\n")
    assert "RC_FILE_OVERRIDE" in said(environ=ENV | {"RC_FILE_OVERRIDE": str(file)})
    file.write_text(RUN_CONFIG.replace("title", "titel"))
    text = said(environ=ENV | {"RC_FILE_OVERRIDE": str(file)})
    assert f"unknown key output.titel in {file}, line 5; did you mean output.title?" in text


@pytest.mark.parametrize("environ", [{}, {"PATH": "/bin"}, {"S3_BUCKET": "b", "DRYRUN": "1"}])
def test_no_environment(environ):
    text = said(environ=environ)
    assert "file or a dict" in text
    assert "LOCAL_ROOT" in text


def test_the_record_of_a_publication_is_told_what_the_run_config_calls_it(file):
    for config in (RunConfig.from_any(file), read(ENV | COG | {"RC_FILE_OVERRIDE": str(file)})):
        assert (config.origin.file, config.origin.titles) == (str(file), {"pre_qf": "TITLE", "post_qf": "TITLE"})
