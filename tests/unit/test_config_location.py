import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsync.config import Location
from zsync.config.location import absolute, anchored, local_path
from zsync.errors import ConfigError

GOOD = [
    ("s3://my-bucket", ("s3", "my-bucket", ""), "s3://my-bucket"),
    ("s3://my-bucket/", ("s3", "my-bucket", ""), "s3://my-bucket"),
    ("s3://my-bucket/a/b.zarr/", ("s3", "my-bucket", "a/b.zarr"), "s3://my-bucket/a/b.zarr"),
    ("S3://my-bucket/A", ("s3", "my-bucket", "A"), "s3://my-bucket/A"),
    ("s3a://my-bucket/a", ("s3", "my-bucket", "a"), "s3://my-bucket/a"),
    ("s3n://my-bucket/a", ("s3", "my-bucket", "a"), "s3://my-bucket/a"),
    ("s3://abc/a", ("s3", "abc", "a"), "s3://abc/a"),
    ("s3://my-bucket/50%25 a+b c", ("s3", "my-bucket", "50%25 a+b c"), "s3://my-bucket/50%25 a+b c"),
    ("s3://my-bucket/a?b#c@d:e", ("s3", "my-bucket", "a?b#c@d:e"), "s3://my-bucket/a?b#c@d:e"),
    ("s3://my-bucket/ä/é", ("s3", "my-bucket", "ä/é"), "s3://my-bucket/ä/é"),
    ("/data/out", ("file", "", "data/out"), "file:///data/out"),
    ("//data/out", ("file", "", "data/out"), "file:///data/out"),
    ("/data//x/../out/", ("file", "", "data/out"), "file:///data/out"),
    ("/", ("file", "", ""), "file:///"),
    ("file:///data/a%20b", ("file", "", "data/a%20b"), "file:///data/a%20b"),
    ("file:/data/a", ("file", "", "data/a"), "file:///data/a"),
    ("FILE://localhost/data/a", ("file", "", "data/a"), "file:///data/a"),
    ("local:///data/a", ("file", "", "data/a"), "file:///data/a"),
    ("memory://a/b", ("memory", "", "a/b"), "memory://a/b"),
    ("memory:///a/b", ("memory", "", "a/b"), "memory://a/b"),
    ("memory://", ("memory", "", ""), "memory://"),
    ("gs://bucket/a", ("gs", "bucket", "a"), "gs://bucket/a"),
    ("gcs://bucket/a", ("gs", "bucket", "a"), "gs://bucket/a"),
    (
        "abfs://box@account.dfs.core.windows.net/a",
        ("abfs", "box@account.dfs.core.windows.net", "a"),
        "abfs://box@account.dfs.core.windows.net/a",
    ),
    ("sftp://me@host:22/home/me", ("sftp", "me@host:22", "home/me"), "sftp://me@host:22/home/me"),
    ("https://example.com:8443/a.zarr", ("https", "example.com:8443", "a.zarr"), "https://example.com:8443/a.zarr"),
    ("hdfs://node/a", ("hdfs", "node", "a"), "hdfs://node/a"),
]

BAD = [
    ("", "absolute path"),
    ("my-bucket/prefix", "s3://"),
    ("./out", "absolute path"),
    ("s3:my-bucket/prefix", "s3://"),
    ("s3://", "bucket"),
    ("s3:///a", "bucket"),
    ("s3://ab/a", "three"),
    ("s3://-abc/a", "bucket"),
    ("s3://my bucket/a", "bucket"),
    ("s3://arn:aws:s3:us-west-2:123456789012:accesspoint/x", "ARN"),
    ("s3://my-bucket//a", "element"),
    ("s3://my-bucket/a//b", "element"),
    ("s3://my-bucket/a/../b", "element"),
    ("s3://my-bucket/./b", "element"),
    ("s3://my-bucket/a\nb", "control"),
    ("s3://my-bucket/a\x00", "control"),
    ("s4://my-bucket/a", "did you mean s3"),
    ("nonsense://my-bucket/a", "nonsense://"),
    ("file://data/a", "absolute path"),
    ("file:a", "absolute path"),
    ("gs:///a", "bucket or host"),
    ("https://example.com/a?X-Amz-Signature=SeCrEt", "query"),
    ("simplecache::s3://my-bucket/a", "absolute path"),
]

SECRET_URLS = [
    "s3://AKIAXX:SeCrEt@my-bucket/a",
    "s3://SeCrEt@my-bucket/a",
    "s3://AKIAXX:SeCrEt/more@my-bucket/a",
    "s3://AKIAXX:SeCrEt//more@my-bucket/a",
    "gs://SeCrEt@bucket/a",
    "sftp://me:SeCrEt@host/a",
    "sftp://me:SeC/rEt@host/a",
    "https://me:SeCrEt@example.com/a",
    "https://SeCrEt@example.com/a",
    "https://example.com/a?sig=SeCrEt",
    "me:SeCrEt@my-bucket/a",
]


@pytest.mark.parametrize(("text", "parts", "url"), GOOD)
def test_parse(text, parts, url):
    place = Location.parse(text)
    assert (place.scheme, place.bucket, place.path) == parts
    assert place.url == str(place) == url
    assert Location.parse(place.url) == place


@pytest.mark.parametrize(("text", "part"), BAD)
def test_parse_refuses(text, part):
    with pytest.raises(ConfigError) as caught:
        Location.parse(text)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", SECRET_URLS)
def test_a_secret_in_a_url_is_refused_and_not_repeated(text):
    with pytest.raises(ConfigError) as caught:
        Location.parse(text)
    assert "SeC" not in str(caught.value) + repr(caught.value)


def test_parse_takes_paths_and_expands_home(tmp_path, monkeypatch):
    assert Location.parse(tmp_path / "a").url == f"file://{tmp_path}/a"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("X", "no")
    assert Location.parse("~/a/$X").url == f"file://{tmp_path}/a/$X"
    with pytest.raises(ConfigError, match="home"):
        Location.parse("~nobody-of-this-name/a")


def test_family():
    place = Location.parse("s3://my-bucket/a/b")
    assert place.name == "b"
    assert place.parent.url == "s3://my-bucket/a"
    assert place.parent.parent.url == "s3://my-bucket"
    assert place.parent.parent.name == ""
    assert place.parent.parent.parent == place.parent.parent
    assert place.child("c/.zarray").url == "s3://my-bucket/a/b/c/.zarray"
    assert place.child("") == place
    assert Location.parse("s3://my-bucket").child("c").url == "s3://my-bucket/c"
    assert Location.parse("/").child("c").url == "file:///c"
    assert Location.parse("memory://").child("c").url == "memory://c"


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ("s3://bucket/a", "s3://bucket/a", True),
        ("s3://bucket/a", "s3://bucket/a/b", True),
        ("s3://bucket/a", "s3://bucket/ab", False),
        ("s3://bucket/a/b", "s3://bucket/a", False),
        ("s3://bucket", "s3://bucket/a", True),
        ("s3://bucket", "s3://bucket2/a", False),
        ("gs://bucket/a", "s3://bucket/a/b", False),
        ("/", "/data", True),
        ("/data", "memory://data/a", False),
    ],
)
def test_contains(outer, inner, expected):
    assert Location.parse(outer).contains(Location.parse(inner)) is expected


def test_is_a_value():
    place = Location.parse("s3://my-bucket/a")
    assert pickle.loads(pickle.dumps(place)) == place
    assert len({place, Location.parse("s3a://my-bucket/a/")}) == 1
    with pytest.raises(AttributeError):
        place.path = "b"


segments = st.text(st.characters(exclude_characters="/", exclude_categories=("Cc", "Cs")), min_size=1).filter(
    lambda text: text not in {".", ".."}
)


@given(st.lists(segments, min_size=1, max_size=4))
def test_keys_are_literal(parts):
    key = "/".join(parts)
    place = Location.parse(f"s3://my-bucket/{key}")
    assert place.path == key
    assert Location.parse("s3://my-bucket").child(key) == place
    assert Location.parse(place.url) == place
    assert place.parent.contains(place)
    assert place.parent.child(place.name) == place


def test_local_paths(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/me")
    assert local_path("~/x") == "/home/me/x"
    assert local_path("file:///x/") == "/x"
    assert local_path("a/./b/") == "a/b"
    assert local_path("") == ""
    with pytest.raises(ConfigError):
        local_path("s3://bucket/a")
    assert anchored("a/b", "/base") == "/base/a/b"
    for kept in ("", "/a", "~/a", "file:///a", "s3://bucket/a"):
        assert anchored(kept, "/base") == kept
    monkeypatch.chdir(tmp_path)
    assert absolute("../x") == os.path.normpath(tmp_path / "../x")
    assert absolute("//x/") == "/x"
