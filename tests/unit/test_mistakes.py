"""Mistakes that people make in a configuration, and what they are told: where it is, what is wrong, and what to write.

Each message is scored: a point for the place (the key, the line, the variable or the option; with a line, its file), a
point for the problem (what is wrong with what stands there), a point for the cure (what to write instead). None may
have less than two; together they have nearly all.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from zsync.config import RunConfig
from zsync.errors import ConfigError, ExitStatus

BASE = "source: DIR\ntarget: s3://my-bucket/run\n"
if TYPE_CHECKING:
    from pathlib import Path

SECRET = "SeCrEt"
TRAILING = "trailing comma" if sys.version_info >= (3, 13) else "expecting property name"

# What is written, where it is wrong, what is wrong with it, what to write; of a mistake that has no one cure: None.
KEYS = [
    ("sorce: DIR\ntarget: s3://my-bucket/x\n", "line 1", "unknown key sorce", "did you mean source?"),
    ("source: DIR\ntaget: s3://my-bucket/x\n", "line 2", "unknown key taget", "did you mean target?"),
    ("Source: DIR\ntarget: s3://my-bucket/x\n", "line 1", "unknown key Source", "did you mean source?"),
    (f"{BASE}retire: keep\n", "line 3", "unknown key retire", "did you mean publish.retire?"),
    (f"{BASE}region: us-west-2\n", "line 3", "unknown key region", "did you mean storage.region?"),
    (
        f"{BASE}storage: {{endpoint: 'https://h:9000'}}\n",
        "line 3",
        "unknown key storage.endpoint",
        "storage.endpoint_url?",
    ),
    (f"{BASE}storage:\n  acces_key_id: a\n", "line 4", "unknown key storage.acces_key_id", "storage.access_key_id?"),
    (f"{BASE}publish: {{retier: keep}}\n", "line 3", "unknown key publish.retier", "did you mean publish.retire?"),
    (f"{BASE}publish: {{max-delete: 10%}}\n", "line 3", "unknown key publish.max-delete", "publish.max_delete?"),
    (f"{BASE}products: {{a: {{path: a.zarr, knid: zarr}}}}\n", "line 3", "products.a.knid", "products.a.kind?"),
    (f"{BASE}frobnicate: 1\n", "line 3", "unknown key frobnicate", "known here: source, target"),
    (
        f"{BASE}storage: {{cache_control: {{chunks: no-cache}}}}\n",
        "line 3",
        "cache_control.chunks",
        "cache_control.data",
    ),
    (f"{BASE}notify:\n  - urll: https://h/x\n", "line 4", "unknown key notify.0.urll", "did you mean notify.0.url?"),
    ("sites: {a: {source: DIR, taget: s3://my-bucket/x}}\n", "sites.a", "unknown key sites.a.taget", "sites.a.target?"),
    (f"{BASE}watch: {{setle: 5s}}\n", "line 3", "unknown key watch.setle", "did you mean watch.settle?"),
]
MISSING = [
    ("source: DIR\n", "target", "is missing", "give `target`: s3://bucket/prefix"),
    ("target: s3://my-bucket/x\nproducts: {a: a.zarr}\n", "product a", "is relative", "give `source`"),
    ("target: s3://my-bucket/x\n", "c.yaml", "there is no source", "give `source`"),
    (f"{BASE}products: {{a: {{kind: zarr}}}}\n", "line 3", "products.a.path is missing", "give `path`: where it is"),
    ("", "c.yaml", "is empty", "zsync config init"),
    ("# nothing but this\n", "c.yaml", "is empty", "zsync config init"),
    ("sites: {a: {source: DIR}}\n", "sites.a.target", "is missing", "give `target`: URL"),
    ("sites: {a: {target: s3://my-bucket/x}}\n", "sites.a.source", "is missing", "give `source`: directory"),
    (f"{BASE}storage: {{access_key_id: AKIA}}\n", "storage", "given together or not at all", "give both, or a profile"),
    (f"{BASE}storage: {{session_token: {SECRET}}}\n", "line 3", "needs access_key_id", "give them too"),
    (f"{BASE}storage: {{sse_kms_key_id: k}}\n", "line 3", "sse_kms_key_id needs sse", "sse: aws:kms"),
    (f"{BASE}notify: [{{on: [failed]}}]\n", "notify.0", "either url or command", "give one of them"),
    (f"{BASE}notify: [{{url: 'https://h/x', format: sns}}]\n", "notify.0", "sns needs it", "give both"),
    (f"{BASE}notify: [{{command: 'cat > x'}}]\n", "notify.0.command", "without a shell", "a list of words, like [sh"),
]
TYPES = [
    ("source: 5\ntarget: s3://my-bucket/x\n", "line 1", "source must be text, not a number", "in quotes"),
    ("source: [a, b]\ntarget: s3://my-bucket/x\n", "line 1", "source must be text, not a list", "write a single one"),
    ("source: DIR\ntarget: [s3://my-bucket/x]\n", "line 2", "target must be text, not a list", "write a single one"),
    (f"{BASE}products: [a.zarr, b.zarr]\n", "line 3", "products must be a mapping, not a list", "`name: value` lines"),
    (f"{BASE}products: a.zarr\n", "line 3", "products must be a mapping, not text", "`name: value` lines"),
    (f"{BASE}products: {{a: 5}}\n", "products.a", "must be a mapping, not a number", "`name: value` lines"),
    (f"{BASE}storage: us-west-2\n", "line 3", "storage must be a mapping, not text", "`name: value` lines"),
    (f"{BASE}publish: [keep]\n", "line 3", "publish must be a mapping, not a list", "`name: value` lines"),
    (f"{BASE}publish: {{allow_empty: maybe}}\n", "publish.allow_empty", "not maybe", "must be true or false"),
    (f"{BASE}dry_run: perhaps\n", "dry_run", "not perhaps", "must be true or false"),
    (f"{BASE}storage: {{region: 5}}\n", "storage.region", "must be text, not a number", "put it in quotes"),
    (f"{BASE}storage: {{retries: often}}\n", "storage.retries", "not often", "must be a whole number"),
    (f"{BASE}storage: {{retries: -1}}\n", "storage.retries", "not -1", "must be a whole number from 0"),
    (f"{BASE}publish: {{exclude: {{a: b}}}}\n", "publish.exclude", "must be a list, not a mapping", "[one, another]"),
    (f"{BASE}storage: {{tags: [a]}}\n", "storage.tags", "must be a mapping, not a list", "`name: value` lines"),
    (f"{BASE}only: [5]\n", "only.0", "must be text, not a number", "put it in quotes"),
    ("source: ''\ntarget: s3://my-bucket/x\n", "line 1", "source must not be empty", "give one, or leave"),
    ("- source: DIR\n", "c.yaml", "is a list, not a mapping", "`key: value` lines"),
    ("hello\n", "c.yaml", "is a single value, not a mapping", "`key: value` lines"),
    ("source:DIR\ntarget:s3://my-bucket/x\n", "c.yaml", "not a mapping", "a blank after each colon"),
]
VALUES = [
    (
        f"{BASE}publish: {{retire: sometimes}}\n",
        "publish.retire",
        "not sometimes",
        "must be auto, keep, trash or delete",
    ),
    (f"{BASE}publish: {{retire: kep}}\n", "publish.retire", "not kep", "did you mean keep?"),
    (f"{BASE}products: {{a: {{path: a.zarr, kind: tiff}}}}\n", "products.a.kind", "not tiff", "zarr, cog or files"),
    (f"{BASE}products: {{a: {{path: a.zarr, kind: COG}}}}\n", "products.a.kind", "not COG", "did you mean cog?"),
    (f"{BASE}publish: {{trust: blindly}}\n", "publish.trust", "not blindly", "must be listing or manifest"),
    (f"{BASE}publish: {{transport: rclone}}\n", "publish.transport", "not rclone", "auto, obstore or fsspec"),
    (f"{BASE}publish: {{consolidate: 'yes'}}\n", "publish.consolidate", "not yes", "auto, always, never or as-is"),
    (f"{BASE}publish: {{rewrites: flipped}}\n", "publish.rewrites", "not flipped", "did you mean flip?"),
    (f"{BASE}publish: {{flip_limit: many}}\n", "publish.flip_limit", "not many", "must be a whole number"),
    (f"{BASE}publish: {{workers: 0}}\n", "publish.workers", "not 0", "auto or a whole number from 1"),
    (f"{BASE}publish: {{workers: many}}\n", "publish.workers", "not many", "auto or a whole number from 1"),
    (f"{BASE}publish: {{max_delete: a lot}}\n", "publish.max_delete", "not a lot", "a percentage like 25%"),
    (f"{BASE}publish: {{max_delete: 150%}}\n", "publish.max_delete", "not 150%", "a percentage like 25%"),
    (f"{BASE}publish: {{scheduler: slurm}}\n", "publish.scheduler", "not slurm", "tcp://host:8786"),
    (f"{BASE}publish: {{settle: soon}}\n", "publish.settle", "not soon", "30s, 5m, 2h or 7d"),
    (f"{BASE}publish: {{settle: 5min}}\n", "publish.settle", "not 5min", "30s, 5m, 2h or 7d"),
    (f"{BASE}publish: {{grace: -5}}\n", "publish.grace", "not -5", "30s, 5m, 2h or 7d"),
    (f"{BASE}watch: {{interval: 0.5}}\n", "watch.interval", "not 0.5", "500ms"),
    (f"{BASE}watch: {{listen: '8090'}}\n", "watch.listen", "not 8090", "127.0.0.1:8090, or off"),
    (f"{BASE}watch: {{listen: '127.0.0.1:99999'}}\n", "watch.listen", "not 127.0.0.1:99999", "127.0.0.1:8090, or off"),
    (f"{BASE}watch: {{log_level: loud}}\n", "watch.log_level", "not loud", "debug, info, warning or error"),
    (f"{BASE}team: {{prefer: mine}}\n", "team.prefer", "not mine", "ask, local, remote or both"),
    (f"{BASE}publish: {{exclude: ['re:(']}}\n", "publish.exclude.0", "not a regular expression", "a glob without re:"),
    (f"{BASE}storage: {{region: us west 2}}\n", "storage.region", "a region is a name", "like us-west-2"),
    (f"{BASE}storage: {{sse: rot13}}\n", "storage.sse", "not rot13", "AES256, aws:kms"),
    (f"{BASE}notify: [{{url: 'https://h/x', on: [done]}}]\n", "notify.0.on.0", "not done", "published, pulled, synced"),
]
URLS = [
    ("source: DIR\ntarget: my-bucket/x\n", "line 2", "neither a URL nor an absolute path", "write s3://bucket/prefix"),
    (
        "source: DIR\ntarget: https://my-bucket.s3.us-west-2.amazonaws.com/x\n",
        "line 2",
        "web address of a bucket",
        "write s3://my-bucket/x",
    ),
    (
        "source: DIR\ntarget: https://s3.us-west-2.amazonaws.com/my-bucket/x\n",
        "line 2",
        "web address of a bucket",
        "write s3://my-bucket/x",
    ),
    (
        "source: DIR\ntarget: http://localhost:9000/my-bucket/x\n",
        "http://localhost:9000",
        "not to a web address",
        "write s3://my-bucket/x, and its service as `endpoint_url`",
    ),
    ("source: DIR\ntarget: arn:aws:s3:::my-bucket/x\n", "line 2", "this is no URL", "did you mean s3://my-bucket/x?"),
    ("source: DIR\ntarget: s3:/my-bucket/x\n", "line 2", "this is no URL", "did you mean s3://my-bucket/x?"),
    ("source: DIR\ntarget: s4://my-bucket/x\n", "line 2", "unknown protocol: s4://", "did you mean s3://?"),
    ("source: DIR\ntarget: s3://b/x\n", "line 2", "not a bucket name: s3://b", "at least three characters"),
    ("source: DIR\ntarget: s3://my bucket/x\n", "line 2", "not a bucket name", "letters, digits, hyphens, dots"),
    ("source: DIR\ntarget: s3:///x\n", "line 2", "not a bucket name", "at least three characters"),
    ("source: DIR\ntarget: s3://my-bucket/../x\n", "line 2", "'..' path element", "write the path without it"),
    ("source: DIR\ntarget: s3://my-bucket/a//x\n", "line 2", "empty", "write the path without it"),
    (f"source: DIR\ntarget: s3://AKIA:{SECRET}@my-bucket/x\n", "line 2", "holds credentials", "use storage.profile"),
    (
        f"source: DIR\ntarget: https://h.example.org/x?X-Amz-Signature={SECRET}\n",
        "line 2",
        "holds a query",
        "take it out",
    ),
    ('source: DIR\ntarget: "s3://my-bucket/x\\n"\n', "line 2", "a control character", "stray line ends"),
    (
        f"{BASE}storage: {{endpoint_url: 'localhost:9000'}}\n",
        "storage.endpoint_url",
        "must be a URL",
        "https://host:port",
    ),
    (f"{BASE}storage: {{endpoint_url: 'ftp://h'}}\n", "storage.endpoint_url", "must be a URL", "https://host:port"),
    (
        f"{BASE}storage: {{endpoint_url: 'https://u:{SECRET}@h'}}\n",
        "line 3",
        "holds credentials",
        "use storage.profile",
    ),
    ("source: s3://my-bucket/x\ntarget: s3://my-bucket/y\n", "line 1", "a local path is needed", "give a directory"),
    ("source: file:x\ntarget: s3://my-bucket/y\n", "line 1", "needs an absolute path", "write file:///path"),
    ("source: C:\\data\ntarget: s3://my-bucket/x\n", "line 1", "a path of Windows", "like /mnt/c/data"),
    (f"{BASE}notify: [{{url: hooks/x}}]\n", "notify.0.url", "must be a URL", "https://host:port"),
]
TOGETHER = [
    (f"{BASE}products: {{a: a.zarr, b: {{path: b.zarr, to: a.zarr}}}}\n", "a and b", "one target", "another `to`"),
    (f"{BASE}products: {{a: a.zarr, b: {{path: b.zarr, to: a.zarr/b}}}}\n", "product b", "inside that of product a",
     "another `to`"),
    ("source: DIR\ntarget: DIR/out\n", "product", "lies inside the source", "publish to another directory"),
    ("source: DIR\ntarget: s3://my-bucket/.zsync/x\n", "product", "in a .zsync area", "choose another"),
    (f"{BASE}products: {{pre: a.zarr}}\nonly: [prre]\n", "in only", "unknown product prre", "did you mean pre?"),
    (f"{BASE}storage: {{anonymous: true, access_key_id: a, secret_access_key: {SECRET}}}\n", "line 3",
     "anonymous requests take no access_key_id", "leave one of them out"),
    (f"{BASE}storage: {{access_key_id: a, secret_access_key: '****'}}\n", "storage.secret_access_key", "masked",
     "give the secret itself"),
    (f"{BASE}storage: {{access_key_id: a, secret_access_key: '{SECRET} x'}}\n", "storage.secret_access_key",
     "without blanks", "check for stray characters"),
    (f"{BASE}publish: {{keep_history: true, retire: delete}}\n", "publish", "does not go with", "take auto or trash"),
    (f"{BASE}storage: {{tags: {{{', '.join(f't{n}: x' for n in range(11))}}}}}\n", "storage.tags", "at most 10",
     "leave some out"),
    (f"{BASE}products: {{a/b: a.zarr}}\n", "products.a/b", "no slash", "write it with hyphens"),
    (f"{BASE}products: {{a: {{path: a.zarr, to: /x}}}}\n", "products.a.to", "below the target", "like products/cog"),
    (f"{BASE}products: {{a: {{path: a.zarr, to: ../x}}}}\n", "products.a.to", "below the target", "like products/cog"),
    (f"{BASE}notify: [{{url: 'https://h/x', command: x}}]\n", "notify.0", "either url or command", "give one of them"),
    ("sites: {a: {source: DIR/a, target: s3://my-bucket/x}, b: {source: DIR/b, target: s3://my-bucket/x/y}}\n",
     "site a", "would retire what site b publishes", "a prefix of its own"),
    ("sites: {a: {source: DIR/a, target: s3://my-bucket/x, watch: {listen: 'off'}}}\n", "sites.a.watch",
     "for the service as a whole", "below `watch` above sites"),
    ("source: /\ntarget: s3://my-bucket/x\n", "/", "the root of the file system", "name a directory in it"),
]  # fmt: skip
YAML = [
    ("source: DIR\npublish:\n\tretire: keep\n", "line 3", "TAB", "indent with blanks"),
    ("source: DIR\nsource: /other\n", "line 2", "'source' is there twice", "take one of them out"),
    (f"{BASE}publish:\n  retire: keep\n  retire: trash\n", "line 5", "'retire' is there twice", "take one of them out"),
    ("source: DIR\n  target: s3://my-bucket/x\n", "line 2", "mapping values are not allowed", "check the indentation"),
    ("source: DIR: x\n", "line 1", "mapping values are not allowed", "in quotes"),
    ("source: [\n", "line 2", "found '<stream end>'", "close the bracket, brace or quote"),
    (f"{BASE}products: {{a: a.zarr\n", "line 4", "expected ','", "that begins in line 3"),
    ("source: 'abc\ntarget: x\n", "line 3", "end of stream", "that begins in line 1"),
    ("source: *base\ntarget: s3://my-bucket/x\n", "line 1", "undefined alias", "begins with * in quotes"),
    (f"{BASE}publish: {{max_delete: %25}}\n", "line 3", "character '%'", "put the value in quotes"),
    (f"{BASE}publish: {{message: @home}}\n", "line 3", "character '@'", "put the value in quotes"),
    ("source: !!python/object:os.system x\n", "line 1", "tag", "begins with ! in quotes"),
    (f"{BASE}---\nsource: x\n", "line 3", "another document", "take out the `---`"),
    ("source: DIR\npublish: &a {x: *a}\n", "c.yaml", "nested too deeply", None),
    ('source: "C:\\data"\n', "line 1", "escape character", "in single quotes"),
    ("source: DIR\ntarget\n", "line 3", "could not find expected ':'", "write `key: value`"),
    ("source: \0\n", "line 1", "a character that YAML does not allow", "take it out"),
]
MISTAKES = [("c.yaml", *case) for case in (*KEYS, *MISSING, *TYPES, *VALUES, *URLS, *TOGETHER, *YAML)]
OTHERS = [
    ("c.json", '{"source": "/x",}', "line 1", TRAILING, "no comma after the last"),
    ("c.json", '{"source": "/x", "source": "/y"}', "c.json", "'source' is there twice", "take one of them out"),
    ("c.json", "{'source': '/x'}", "line 1", "double quotes", "put names in double quotes"),
    ("c.json", '{"source": /x}', "line 1", "expecting value", "put text in double quotes"),
    ("c.toml", "source = /x\n", "line 1", "invalid value", "put text in quotes"),
    ("c.toml", 'source = "/x"\nsource = "/y"\n', "line 2", "twice", "take one of them out"),
    ("c.ini", "local_base_dir = /x\n", "line 1", "no section headers", "begin with a section"),
    ("c.ini", "[PATHS]\nlocal_base_dir = /x\n[S3]\nbuket = b\n", "c.ini", "unknown key S3.buket", "mean S3.bucket?"),
    ("c.yaml", "source: /caf\udce9\n", "c.yaml", "not text in UTF-8", "save it as UTF-8"),
    ("a.tif", "II*\0aaaa", "a.tif", "this is a GeoTIFF, not a configuration", "zsync publish DIR --include a.tif"),
    (".zmetadata", "{}", ".zmetadata", "metadata of a Zarr store", "give the store: DIR"),
    ("s.json", '{"stac_version": "1.0.0"}', "s.json", "a STAC document", "--include s.json"),
    ("s3synchrony.json", '{"platforms": {"s3": {}}}', "s3synchrony.json", "aws_bkt is missing", "give `aws_bkt`"),
    ("s3synchrony.json", f'{{"platforms": {{"s3": {{"aws_bkt": "bbb", "credentials": {{"secret": "{SECRET}"}}}}}}}}',
     "platforms.s3.credentials", "not a mapping", "aws_access_key_id"),
    ("rc.yaml", "output: {local: /x, s3: {bucket: b}, naming: {pre_qf: a, post_qf: b}}\n", "output in DIR/rc.yaml",
     "both local and s3", "it needs one of them"),
    ("rc.yaml", "output: {local: /x, naming: {pre_qf: a}}\n", "rc.yaml", "output.naming.post_qf is missing", "post_qf"),
    ("s.yml", "sites: [{local_path: /x}]\n", "sites.0.bucket", "is missing", "give `bucket`"),
    ("s.yml", "general: {local_folder: /x}\n", "general.s3_bucket", "is missing", "give `s3_bucket`"),
]  # fmt: skip
_RUN = {"LOCAL_ROOT": "/d", "PRE_QF_NAME": "x", "POST_QF_NAME": "y", "S3_BUCKET": "bbb", "S3_ROOT_PREFIX": "x"}
ENVIRONMENTS = [
    ({}, "DIR", "there is no configuration", "zsync config init"),
    ({"LOCAL_ROOT": "/d", "S3_BUCKET": "b"}, "PRE_QF_NAME, POST_QF_NAME", "variables are missing", "set them"),
    ({**_RUN, "PRE_QF_NAME": "/x"}, "PRE_QF_NAME", "must be a name below LOCAL_ROOT", "without the root"),
    ({**_RUN, "COG_DIR": "/c"}, "COG_DIR_S3", "are missing", "set them"),
    ({**_RUN, "S3_BUCKET": "b"}, "S3_BUCKET", "not a bucket name", "at least three characters"),
    ({**_RUN, "RC_FILE_OVERRIDE": "/nothing/here.yaml"}, "/nothing/here.yaml", "does not exist", "check its path"),
]
VALUES_GIVEN = [
    ("/nothing/here", {}, "/nothing/here", "neither a directory to publish nor a configuration", "is it mounted?"),
    ("/nothing/here.yaml", {}, "/nothing/here.yaml", "does not exist", "check its path"),
    ("source: /x\ntarget: y", {}, "text of a configuration", "is not the path of one", "give a dict, or the path"),
    ("s3://my-bucket/x", {}, "here", "not a URL", "the URL as `target`"),
    (5, {}, "int", "is not a configuration", "give a dict, the path of a file"),
    ({"source": "/x"}, {"retier": "keep"}, "option retier", "unknown", "did you mean retire?"),
    ({"source": "/x"}, {"retire": "never"}, "publish.retire", "not never", "must be auto, keep, trash or delete"),
    ({"source": "/x"}, {"target": "s3://b"}, "target", "not a bucket name", "at least three characters"),
]


def score(told: str, place: str, problem: str, cure: str | None) -> int:
    return sum(part is not None and part in told for part in (place, problem, cure))


def told_of(value, directory=None, *, environ=None, **overrides) -> str:
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_any(value, environ=environ or {}, **overrides).by_site()
    assert caught.value.exit_status == ExitStatus.USAGE
    told = str(caught.value)
    assert "\n" not in told
    assert SECRET not in told
    return told if directory is None else told.replace(str(directory), "DIR")


def all_told(directory: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Make every mistake; return scores and messages."""
    monkeypatch.chdir(directory)
    found = []
    for name, text, *parts in (*MISTAKES, *OTHERS):
        path = directory / name
        path.write_bytes(os.fsencode(text.replace("DIR", str(directory))))
        told = told_of(path, directory)
        is_local = name in told or parts[0] == "product" or not parts[0].startswith("line")
        found.append((score(told, *parts) - (not is_local), told))
        path.unlink()
    found += [(score(told := told_of(None, directory, environ=env), *parts), told) for env, *parts in ENVIRONMENTS]
    return found + [(score(told := told_of(value, **more), *parts), told) for value, more, *parts in VALUES_GIVEN]


def test_every_mistake_is_told_with_its_place_problem_and_cure(tmp_path, monkeypatch):
    found = all_told(tmp_path, monkeypatch)
    assert len(found) >= 82
    low = [told for points, told in found if points < 2]
    assert not low
    partly = [told for points, told in found if points < 3]
    assert len(partly) <= 1, partly


def test_the_score_is_no_formality():
    assert score("publish.retire must be keep, not x", "publish.retire", "not x", "must be keep") == 3
    assert score("something is wrong", "publish.retire", "not x", "must be keep") == 0
    assert score("publish.retire: not x", "publish.retire", "not x", None) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["publish", "--retier", "keep"], ["no such option", "--retier", "--retire", "zsync publish --help"]),
        (["publsh"], ["no such command", "publsh", "publish", "zsync --help"]),
        (["publish", ".", "s3://my-bucket/x", "--retries", "often"], ["--retries", "integer", "zsync publish --help"]),
        (["publish", ".", "s3://my-bucket/x", "--retire", "kep"], ["publish.retire", "not kep", "did you mean keep?"]),
        (["publish", ".", "s3://my-bucket/x", "--meta", "run"], ["--meta run", "NAME=VALUE", "--meta run=42"]),
        (
            ["publish", ".", "s3://a-b/x", "--target", "s3://c-d/x"],
            ["two targets", "s3://c-d/x", "leave one of them out"],
        ),
        (["publish", "s3://my-bucket/x"], ["a URL", "s3://my-bucket/x", "zsync publish DIR URL"]),
        (["publish", ".", "s3://my-bucket/x", "--log-level", "loud"], ["--log-level", "'loud'", "debug, info"]),
        (["log"], ["url", "zsync log --help"]),
    ],
)
def test_a_command_line_is_told_in_the_same_way(run_zsync, words, told):
    done = run_zsync(*words, check=2)
    [line] = done.stderr.splitlines()
    assert line.startswith("zsync: ")
    for part in told:
        assert part.lower() in line.lower(), line
