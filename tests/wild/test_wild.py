"""Every sound store of every writer is published, changed as its writer changes it, pulled and read; only those."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import warnings

import pytest
import xarray as xr
import zarr
from kept import Case, archives, cases, scripts
from outcomes import REPLACED, refusal
from servers import object_store
from table import PAGE, page
from trees import read_tree, s3_tree, write_tree
from values import told

import zsync
from zsync.errors import SourceError
from zsync.words import Action

OF = {archive: cases(archive) for archive in archives()}


class Lab:
    """Cases, published as products of one run."""

    def __init__(self, s3, bucket, place, cases):
        self.s3, self.bucket, self.place = s3, bucket, place
        self.cases: list[Case] = cases

    def config(self, **publish):
        return {
            "source": str(self.place / "source"),
            "target": f"s3://{self.bucket}/wild",
            "products": {case.name: {"path": case.name, "kind": case.about["product"]} for case in self.cases},
            "storage": {
                "endpoint_url": self.s3.endpoint_url,
                "region": self.s3.region,
                "access_key_id": self.s3.access_key,
                "secret_access_key": self.s3.secret_key,
            },
            "publish": {"max_delete": "100%", **publish},
        }

    def lay(self, state):
        shutil.rmtree(self.place / "source", ignore_errors=True)
        for case in self.cases:
            write_tree(self.place / "source" / case.name, case.state(state))

    def publish(self, **publish):
        return zsync.publish(self.config(**publish), progress=False)

    def there(self):
        """What the bucket holds of each product: key to ETag, which is the MD5 of what is small."""
        held = {key: etag for key, (_, etag) in s3_tree(self.s3, self.bucket, "wild").items()}
        return {
            case.name: {k.removeprefix(f"{case.name}/"): v for k, v in held.items() if k.startswith(f"{case.name}/")}
            for case in self.cases
        }

    def pull(self):
        shutil.rmtree(self.place / "pulled", ignore_errors=True)
        zsync.pull(self.config(), self.place / "pulled", progress=False)
        return {case.name: content_of(self.place / "pulled" / case.name) for case in self.cases}


def content_of(directory):
    return {key: md5(content) for key, content in read_tree(directory).items() if not key.startswith(".zsync/")}


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def made_by_zsync(plan, *, as_pulled=False):
    """Return what zsync makes itself of each product, by its key: consolidated metadata, and what names other keys."""
    made: dict[str, dict[str, bytes]] = {}
    rows = plan.lasting.select(["product", "key", "content", "original"]).to_pylist()
    for row in rows:
        if row["content"] is not None:
            body = row["content"] if row["original"] is None or not as_pulled else row["original"]
            made.setdefault(row["product"], {})[row["key"]] = body
    return made


def sent(plan):
    """Return the keys of each product that were sent, or copied."""
    keys: dict[str, set[str]] = {}
    rows = zip(*(plan.table.column(name).to_pylist() for name in ("product", "key", "action")), strict=True)
    for product, key, action in rows:
        if action in (Action.SEND, Action.COPY):
            keys.setdefault(product, set()).add(key)
    return keys


@pytest.fixture
def lab(s3, bucket, tmp_path):
    return lambda cases: Lab(s3, bucket, tmp_path, cases)


def is_large(archive):
    """Return whether it takes more than ten seconds to publish it twice and to read all of it."""
    return len(OF[archive]) > 20 or sum(len(case.before) + len(case.after) for case in OF[archive]) > 1500


@pytest.mark.parametrize("archive", [pytest.param(a, marks=[pytest.mark.slow] * is_large(a)) for a in archives()])
def test_sound_stores_are_published_and_pulled_and_read(lab, archive):
    problems = look(lab([c for c in OF[archive] if refusal(c.key) is None]))
    assert not problems, "\n".join(problems)


def look(lab):
    """Publish both states of cases; return what is not as it should be, a line each."""
    lab.lay("before")
    result = lab.publish()
    before = lab.there()
    problems = compare(lab, "before", before, made_by_zsync(result.plan))
    again = zsync.plan(lab.config())
    problems += [f"there is something to do after a publish: {sent(again)}"] if not again.is_empty else []
    lab.lay("after")
    result = lab.publish()
    after = lab.there()
    went = sent(result.plan)
    for case in lab.cases:
        differ = {key for key, content in after[case.name].items() if content != before[case.name].get(key)}
        if went.get(case.name, set()) != differ:
            problems.append(f"{case.key}: sent {went.get(case.name, set())}, and what differs is {differ}")
    flipped = {change.product for change in result.plan.changes if change.flips}
    problems += compare(lab, "after", after, made_by_zsync(result.plan), flipped)
    pulled, made = lab.pull(), made_by_zsync(result.plan, as_pulled=True)
    for case in lab.cases:
        due = {key: md5(body) for key, body in {**case.state("after"), **made.get(case.name, {})}.items()}
        if pulled[case.name] != due:
            problems.append(f"{case.key}: a pull brings something else")
    return problems + [line for case in lab.cases for line in misread(lab, case)]


def compare(lab, state, there, made, flipped=()):
    """Compare what is published with the source, where keys are the same; what zsync makes itself has to be JSON."""
    problems = []
    for case in lab.cases:
        ours = made.get(case.name, {})
        due = {key: md5(content) for key, content in {**case.state(state), **ours}.items()}
        if there[case.name] != due and case.name not in flipped:
            other = sorted(key for key, _ in due.items() ^ there[case.name].items())
            problems.append(f"{case.key}, {state}: not published as it stands: {', '.join(dict.fromkeys(other))}")
        problems += [
            f"{case.key}, {state}: {key} is no JSON" for key, content in ours.items() if not is_strict(content)
        ]
    return problems


def is_strict(content):
    def refuse(token):
        raise ValueError(token)

    try:
        json.loads(content, parse_constant=refuse)
    except ValueError:
        return False
    return True


def misread(lab, case):
    """Read what is published, and say what is not what the writer's own reader found."""
    if case.about["product"] != "zarr":
        return rasters_misread(lab, case)
    nodes = [key.rpartition("/") for key in case.after]
    roots = sorted({node for node, _, name in nodes if name in ("zarr.json", ".zgroup", ".zarray")})
    roots = [root for root in roots if not any(root != other and is_below(root, other) for other in roots)]
    problems = []
    for root in roots:
        place = "/".join(filter(None, ("wild", case.name, root)))
        store = zarr.storage.ObjectStore(object_store(lab.s3, lab.bucket, prefix=place), read_only=True)
        here = lab.place / "source" / case.name / root
        problems += zarr_misread(case, root, store, str(here))
        if case.archive.startswith("xarray"):
            problems += xarray_misread(case, root, store, here)
    return problems


def is_below(path, other):
    return not other or path.startswith(f"{other}/")


def read_array(store, path):
    return attempt(lambda: told(zarr.open_array(store, path=path, mode="r")[...]))


def zarr_misread(case, root, store, here):
    problems = []
    for path, holds in case.about["holds"]["after"].items():
        if not is_below(path, root) and path != root:
            continue
        inner = path.removeprefix(root).strip("/")
        found = read_array(store, inner)
        # Of what zarr-python reads otherwise than the writer does, or not at all, it reads the same as it does here.
        if found != holds and found != read_array(here, inner):
            problems.append(f"{case.key}: {path} reads as {found}, not {holds}")
    return problems


def attempt(read):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def xarray_misread(case, root, store, here):
    paths = [path.removeprefix(root).strip("/") for path in case.about["holds"]["after"] if is_below(path, root)]
    groups = sorted({"/".join(path.split("/")[:-1]) for path in paths})
    problems = []
    for group in groups:
        options = {"group": group or None, "chunks": None, "consolidated": None}
        ours = attempt(lambda o=options: xr.open_zarr(store, **o).load())
        theirs = attempt(lambda o=options: xr.open_zarr(here, **{**o, "consolidated": False}).load())
        if isinstance(ours, str) or isinstance(theirs, str) or not ours.identical(theirs):
            problems.append(f"{case.key}: xarray reads {group or 'the root'} as {ours}, not {theirs}")
    return problems


def rasters_misread(lab, case):
    import rasterio
    from rasterio.session import AWSSession

    session = AWSSession(
        aws_access_key_id=lab.s3.access_key,
        aws_secret_access_key=lab.s3.secret_key,
        region_name=lab.s3.region,
        endpoint_url=lab.s3.endpoint_url.removeprefix("http://"),
    )
    problems = []
    with rasterio.Env(session, AWS_HTTPS="NO", AWS_VIRTUAL_HOSTING="FALSE"):
        for path, holds in case.about["holds"]["after"].items():

            def read(path=path):
                with rasterio.open(f"/vsis3/{lab.bucket}/wild/{case.name}/{path}") as raster:
                    return told(raster.read())

            found = attempt(read)
            if found != holds:
                problems.append(f"{case.key}: {path} reads as {found}, not {holds}")
    return problems


@pytest.mark.parametrize("archive", [a for a in archives() if any(refusal(c.key) for c in OF[a])])
def test_what_cannot_be_published_soundly_is_refused_and_says_why(lab, archive):
    lab = lab([case for case in OF[archive] if refusal(case.key)])
    lab.lay("before")
    lab.publish()
    before, everything = s3_tree(lab.s3, lab.bucket), lab.cases
    lab.lay("after")
    for case in everything:
        lab.cases = [case]
        with pytest.raises(SourceError, match=refusal(case.key)[0]) as refused:
            lab.publish()
        assert refused.value.exit_status == 3
    assert s3_tree(lab.s3, lab.bucket) == before
    lab.cases = [case for case in everything if refusal(case.key) in REPLACED]
    if lab.cases:
        lab.publish(on_incompatible="replace")
        found = lab.there()
        assert [case.key for case in lab.cases if not case.after.keys() <= found[case.name].keys()] == []
        assert [line for case in lab.cases for line in misread(lab, case)] == []


def test_the_page_of_writers_says_what_the_tests_find():
    assert PAGE.read_text() == page(), "make it anew: python tests/wild/table.py"


def test_every_script_pins_its_writers_and_has_made_what_is_kept():
    assert archives() == sorted(script.stem for script in scripts())
    for script in scripts():
        pinned = dict(re.findall(r'"([\w.-]+)(?:==|@)([\w.]+)"', script.read_text().split("/// script")[1]))
        for case in OF[script.stem]:
            versions = {name: version for name, version in case.about["packages"].items() if name in pinned}
            assert versions, case.key
            assert versions.items() <= pinned.items(), case.key
