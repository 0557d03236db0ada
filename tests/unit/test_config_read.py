import json
import os
import subprocess
import sys

import pytest

from zsync.config import RunConfig
from zsync.config import read as reading
from zsync.errors import ConfigError

YAML = """\
source: /data/oco3
target: s3://my-bucket/products/oco3
products:
  pre_qf: {path: oco3_pre_qf.zarr, kind: zarr}
publish:
  retire: keep   # a comment
  max_delete: 25%
"""
DOC = {
    "source": "/data/oco3",
    "target": "s3://my-bucket/products/oco3",
    "products": {"pre_qf": {"path": "oco3_pre_qf.zarr", "kind": "zarr"}},
    "publish": {"retire": "keep", "max_delete": "25%"},
}
TOML = """\
source = "/data/oco3"
target = "s3://my-bucket/products/oco3"
[products.pre_qf]
path = "oco3_pre_qf.zarr"
kind = "zarr"
[publish]
retire = "keep"
max_delete = "25%"
"""


def write(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def said(value, **overrides):
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_any(value, **overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.yaml", YAML),
        ("c.YML", YAML),
        ("c.conf", YAML),
        ("c", YAML),
        ("c.json", json.dumps(DOC)),
        ("c", json.dumps(DOC)),
        ("c.toml", TOML),
        ("c.yaml", "\ufeff" + YAML),
        ("c.yaml", YAML.replace("\n", "\r\n")),
    ],
)
def test_files(tmp_path, name, text):
    path = write(tmp_path, name, text)
    expected = RunConfig.from_any(DOC)
    for value in (path, str(path), path.as_uri(), f"file:{path}"):
        assert RunConfig.from_any(value) == expected


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("c.yaml", "", ["empty"]),
        ("c.yaml", "# nothing\n", ["empty"]),
        ("c.yaml", "{}", ["empty"]),
        ("c.json", " \n", ["empty"]),
        ("c.json", "null", ["empty"]),
        ("c.toml", "", ["empty"]),
        ("c.yaml", "- a\n- b\n", ["a list, not a mapping"]),
        ("c.json", "[1]", ["a list, not a mapping"]),
        ("c.yaml", "just words\n", ["a single value, not a mapping"]),
        ("c.yaml", "a: 1\nb: [1\nc: 2\n", ["not valid YAML", "line 3"]),
        ("c.yaml", "source: /x\n\tb: 1\n", ["not valid YAML", "line 2"]),
        ("c.yaml", "source: /x\na: *nowhere\n", ["not valid YAML", "line 2"]),
        ("c.yaml", "source: /x\na: !!python/object:os.system x\n", ["not valid YAML", "line 2"]),
        ("c.yaml", "source: /x\n---\nsource: /y\n", ["not valid YAML", "line 2"]),
        ("c.yaml", "source: /x\n? [a, b]\n: 1\n", ["not valid YAML", "line 2", "a key must be text"]),
        ("c.yaml", "source: /x\nb: \x01\n", ["not valid YAML", "line 2"]),
        ("c.yaml", "source: /x\nsource: /y\n", ["not valid YAML", "line 2", "source", "twice"]),
        ("c.yaml", "publish:\n  workers: 1\n  retire: keep\n  workers: 2\n", ["line 4", "workers", "twice"]),
        ("c.yaml", "[" * 3000, ["not valid YAML"]),
        ("c.json", '{"source": "/x",\n"target" }', ["not valid JSON", "line 2"]),
        ("c.json", '{"source": "/x", "source": "/y"}', ["not valid JSON", "source", "twice"]),
        ("c.json", "[" * 100_000, ["not valid JSON"]),
        ("c.toml", 'source = "/x"\nb = \n', ["not valid TOML", "line 2"]),
        ("c.toml", 'source = "/x"\nsource = "/y"\n', ["not valid TOML", "line 2"]),
        ("c.toml", 'source = "/x"\nb = [', ["not valid TOML", "line 2"]),
        ("c.yaml", b"source: \xff\xfe\n", ["UTF-8"]),
        ("c.yaml", b"II*\x00\x80\x81", ["UTF-8"]),
        ("c.ini", "[PATHS]\nbase_dir=/x\n", ["local_base_dir"]),
        ("c.cfg", "[PATHS\nbase_dir=/x\n", ["INI", "section"]),
    ],
)
def test_bad_files(tmp_path, name, text, parts):
    path = write(tmp_path, name, text)
    text = said(path)
    for part in [str(path), *parts]:
        assert part in text


@pytest.mark.parametrize(
    ("name", "body", "what", "advice"),
    [
        (
            "a.zarr.zip",
            b"PK\x03\x04\0",
            "a ZIP archive",
            "-d {place}/a.zarr; to publish it alone: zsync publish {place}",
        ),
        ("a [1].tif", b"II*\0\x80\x81", "a GeoTIFF", "zsync publish {place} --include 'a [[]1].tif'"),
        ("big.tiff", b"MM\0+\x80\x81", "a GeoTIFF", "--include big.tiff"),
        ("a.nc", b"\x89HDF\r\n\x1a\n", "an HDF5 or netCDF file", "--include a.nc"),
        ("raw.bin", b"\0\1\2", "a file of data", "--include raw.bin"),
        ("refs.json", b'{"version": 1, "refs": {".zgroup": "{}"}}', "kerchunk references", "--include refs.json"),
        ("item.json", b'{"stac_version": "1.0.0", "type": "Feature"}', "a STAC document", "--include item.json"),
        ("zarr.json", b'{"zarr_format": 3}', "metadata of a Zarr store", "give the store: {place}"),
    ],
)
def test_one_file_of_data_is_told_for_what_it_is(tmp_path, name, body, what, advice):
    text = said(write(tmp_path, name, body))
    assert f"this is {what}, not a configuration" in text
    assert advice.format(place=tmp_path) in text


def test_a_directory_that_is_not_there_is_not_called_a_configuration(tmp_path):
    for name in ("out.zarr", "results"):
        assert "there is neither a directory to publish nor a configuration" in said(tmp_path / name)


def test_files_that_are_not_there(tmp_path, monkeypatch):
    assert "does not exist" in said(tmp_path / "no.yaml")
    assert "cannot be read" in said(write(tmp_path, "f", "") / "c.yaml")
    assert "cannot be read" in said(tmp_path / ("x" * 300))
    assert "not a URL" in said("s3://my-bucket/c.yaml")
    assert "absolute path" in said("file://c.yaml")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("zsync.config.formats.read_regular", refuse)
    assert "permission denied" in said(tmp_path / "c.yaml")


@pytest.mark.parametrize("text", ["source: /x\ntarget: SeCrEt\n", "{source: SeCrEt}", "token: SeCrEt", "a\0b"])
def test_text_is_not_a_path(text):
    problem = said(text)
    assert "not the path of one" in problem
    assert "SeCrEt" not in problem


def test_problems_name_the_file_but_not_for_what_was_said_on_top(tmp_path):
    path = write(tmp_path, "cfg.yaml", "source: /x\npublish: {retier: keep}\n")
    assert said(path) == f"unknown key publish.retier in {path}, line 2; did you mean publish.retire?"
    assert "cfg.yaml" not in said(write(tmp_path, "cfg.yaml", YAML), workers=0)
    assert "cfg.yaml" not in said(path, publish={"retier": 1})
    path.write_text("source: /x\npublish: {retier: keep}\n")
    text = said(path, workers=0)
    assert f"publish.retier in {path}, line 2 (did you mean" in text
    assert "publish.workers must be auto or a whole number from 1, not 0; " in text
    assert f"in {path}" in said(write(tmp_path, "cfg.yaml", "source: /x\nnotes: [a]\n"))
    assert "did you mean source?" in said(write(tmp_path, "cfg.yaml", "sorce: /x\n"))


def test_yaml_words_stay_what_was_written(tmp_path):
    path = write(
        tmp_path,
        "c.yaml",
        """\
source: /x
products: {on: no, 007: 'a', 2024-01-01: b, ~: c, true: d}
storage: {region: no, tags: {day: 2024-01-01, run: 7}, profile: yes}
dry_run: yes
verbose: True
only: [on]
""",
    )
    config = RunConfig.from_any(path)
    assert {name: product.path for name, product in config.products.items()} == {
        "on": "no",
        "007": "a",
        "2024-01-01": "b",
        "~": "c",
        "true": "d",
    }
    assert config.storage.region == "no"
    assert config.storage.profile == "yes"
    assert config.storage.tags == {"day": "2024-01-01", "run": "7"}
    assert config.dry_run is True
    assert config.verbose is True


def test_yaml_merges(tmp_path):
    path = write(
        tmp_path,
        "c.yaml",
        """\
source: /x
products:
  a: &a {path: a, kind: zarr}
  b: &b {<<: *a, path: b}
  c: {<<: *b, path: c}
""",
    )
    products = RunConfig.from_any(path).products
    assert [(p.path, p.kind) for p in products.values()] == [
        ("a", "zarr"),
        ("b", "zarr"),
        ("c", "zarr"),
    ]


def test_relative_paths_start_at_the_file(tmp_path, monkeypatch):
    (tmp_path / "conf").mkdir()
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    text = "source: ../data\ntarget: ./out\nproducts: {a: x/a.zarr}\nstorage: {ca_bundle: ca.pem}\n"
    path = write(tmp_path, "conf/c.yaml", text)
    for value in (path, os.path.relpath(path)):
        config = RunConfig.from_any(value)
        assert config.source == str(tmp_path / "data")
        assert config.target == f"file://{tmp_path}/conf/out"
        assert config.storage.ca_bundle == str(tmp_path / "conf/ca.pem")
        assert config.resolve()[0].root == str(tmp_path / "data/x/a.zarr")
    config = RunConfig.from_any(path, source="here", ca_bundle="ca2.pem")
    assert config.source == str(tmp_path / "cwd/here")
    assert config.storage.ca_bundle == str(tmp_path / "cwd/ca2.pem")
    config = RunConfig.from_any({"source": "data", "target": "../out"})
    assert config.source == str(tmp_path / "cwd/data")
    assert config.target == f"file://{tmp_path}/out"


def test_home_in_the_path_of_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, "c.yaml", YAML)
    assert RunConfig.from_any("~/c.yaml").publish.retire == "keep"


def test_dialects_are_a_table():
    assert [dialect.name for dialect in reading.DIALECTS] == [
        "pipeline", "hpc", "team", "service", "starter", "native",
    ]  # fmt: skip
    recognised = [
        [dialect.name for dialect in reading.DIALECTS if dialect.recognise(doc)]
        for doc in ({"output": {"local": "/x"}}, {"publish": {}}, {"output": {}}, {"output": "x"}, {"sites": []})
    ]
    assert recognised == [["pipeline"], ["native"], [], [], ["service", "native"]]


def test_importing_is_cheap():
    code = (
        "import sys, zsync.config\n"
        "heavy = {'yaml', 'tomllib', 'configparser', 'difflib', 'fsspec', 'pyarrow', 'json', 'obstore', 'dask'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert set(json.loads(loaded.replace("'", '"'))) <= {"json"}


def test_a_directory_is_what_to_publish(tmp_path):
    config = RunConfig.from_any(tmp_path, target="s3://bucket/below")
    assert config.source == str(tmp_path)
    [product] = config.resolve()
    assert product.root == str(tmp_path)
    assert product.location.url == f"s3://bucket/below/{tmp_path.name}"
