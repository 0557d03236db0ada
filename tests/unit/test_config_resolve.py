import pytest

from zsync.config import Location, ResolvedProduct, RunConfig
from zsync.errors import ConfigError

TARGET = "s3://my-bucket/p"


def resolve(products=None, source="/data", target=TARGET, **options):
    doc = {"source": source, "target": target, "products": products or {}}
    return RunConfig.from_any({name: value for name, value in doc.items() if value is not None}, **options).resolve()


def said(*args, **options):
    with pytest.raises(ConfigError) as caught:
        resolve(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_products():
    products = {
        "a": {"path": "a.zarr", "kind": "zarr", "exclude": ["x"]},
        "b": "sub/b.zarr",
        "c": {"path": "/else/c", "to": "deep/er/"},
        "d": {"path": "file:///else/d", "to": "gs://other/d"},
        "e": {"path": "../e"},
        "f": {"path": "f/.", "include": "*.tif"},
    }
    found = resolve(products, exclude=["y", "x"])
    assert found[0] == ResolvedProduct(
        "a", "/data/a.zarr", "zarr", Location("s3", "my-bucket", "p/a.zarr"), (), ("y", "x")
    )
    assert [(p.name, p.root, p.location.url) for p in found[1:]] == [
        ("b", "/data/sub/b.zarr", "s3://my-bucket/p/b.zarr"),
        ("c", "/else/c", "s3://my-bucket/p/deep/er"),
        ("d", "/else/d", "gs://other/d"),
        ("e", "/e", "s3://my-bucket/p/e"),
        ("f", "/data/f", "s3://my-bucket/p/f"),
    ]
    assert found[5].include == ("*.tif",)


@pytest.mark.parametrize(
    ("source", "target", "name", "url"),
    [
        ("/data/x.zarr", TARGET, "x", "s3://my-bucket/p/x.zarr"),
        ("/data/x.zarr/", "s3://my-bucket/p/x.zarr", "x", "s3://my-bucket/p/x.zarr"),
        ("/data/x.zarr", "s3://my-bucket", "x", "s3://my-bucket/x.zarr"),
        ("file:///data/tiles", TARGET, "tiles", "s3://my-bucket/p/tiles"),
        ("/data/.zarr", TARGET, ".zarr", "s3://my-bucket/p/.zarr"),
    ],
)
def test_the_source_is_the_product(source, target, name, url):
    (product,) = resolve(source=source, target=target)
    assert (product.name, product.location.url, product.kind) == (name, url, None)


def test_names_with_control_characters():
    assert "control character" in said(source="/data/x\n")
    assert "control character" in said({"a": "x\x1b"})
    assert resolve({"a": {"path": "x\x1b", "to": "x"}})[0].root == "/data/x\x1b"


def test_no_source():
    (product,) = resolve({"a": "/x/a"}, source=None)
    assert product.root == "/x/a"
    assert "relative: x/a" in said({"a": "x/a"}, source=None)
    assert "nothing to publish" in said(source=None)
    assert "root of the file system" in said(source="/")


def test_a_relative_source_starts_at_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (product,) = RunConfig(source="in", target=TARGET).resolve()
    assert product.root == str(tmp_path / "in")


def test_no_target():
    assert "target is missing" in said({"a": "a"}, target=None)
    assert "target is missing" in said(target=None)
    (product,) = resolve({"a": {"path": "a", "to": "s3://my-bucket/a"}}, target=None)
    assert product.location.url == "s3://my-bucket/a"


@pytest.mark.parametrize(
    ("products", "options", "parts"),
    [
        ({"a": "x/same", "b": "y/same"}, {}, ["products a and b have one target", "s3://my-bucket/p/same"]),
        ({"a": "a", "b": {"path": "b", "to": "s3a://my-bucket/p/a/"}}, {}, ["one target"]),
        ({"a": "a", "b": {"path": "b", "to": "a/b"}}, {}, ["product b lies inside that of product a"]),
        ({"b": {"path": "b", "to": "a/b"}, "a": "a"}, {}, ["product b lies inside that of product a"]),
        ({"a": {"path": "a", "to": "file:///"}}, {}, ["root of the file system", "product a"]),
        ({"a": {"path": "a", "to": "s3://my-bucket"}, "b": "b"}, {}, ["product b lies inside that of product a"]),
        ({"a": {"path": "a", "to": ".zsync/a"}}, {}, [".zsync", "product a"]),
        ({"a": "a"}, {"target": "s3://my-bucket/.zsync"}, [".zsync"]),
        ({"a": "a"}, {"target": "file:///data/a/out"}, ["inside the source of product a"]),
        ({"a": "a"}, {"target": "file:///data"}, ["inside the source of product a"]),
        ({"a": {"path": "a", "to": "file:///data"}}, {}, ["inside the target of product a"]),
        (
            {"a": {"path": "a", "to": "file:///data/b/c"}, "b": "b"},
            {},
            ["a lies inside the source of product b"],
        ),
        (
            {"a": {"path": "a", "to": "file:///data/b"}, "b": "b/c"},
            {},
            ["b lies inside the target of product a"],
        ),
        ({"a": {"path": "/", "to": "file:///x"}}, {}, ["root of the file system"]),
        ({"a": "/"}, {}, ["root of the file system"]),
        ({"alpha": "a", "beta": "b"}, {"only": ["alpa"]}, ["unknown product alpa in only", "did you mean alpha?"]),
        ({"alpha": "a"}, {"only": ["zz"]}, ["unknown product zz", "known here: alpha"]),
        ({"alpha": "a"}, {"only": ["zz", "yy"]}, ["zz", "yy"]),
    ],
)
def test_refused(products, options, parts):
    text = said(products, **options)
    for part in parts:
        assert part in text


def test_not_refused():
    names = [p.location.path for p in resolve({"a": "x/ab", "b": "x/a"})]
    assert names == ["p/ab", "p/a"]
    assert resolve({"a": "a"}, target="file:///data-out")
    assert resolve({"a": "a"}, target="file:///data/out")
    assert resolve({"a": "a", "b": {"path": "a", "to": "memory://data/a"}})


def test_only():
    products = {"a": "a", "b": "b", "c": "c"}
    assert [p.name for p in resolve(products, only=["c", "a", "c"])] == ["a", "c"]
    assert [p.name for p in resolve(source="/data/x.zarr", only="x")] == ["x"]
    assert "one target" in said({"a": "x/a", "b": "y/a", "c": "c"}, only=["c"])
