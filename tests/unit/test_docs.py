"""What the documents say is so."""

from __future__ import annotations

import ast
import configparser
import functools
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
import yaml

import zsync
from zsync.cli import app
from zsync.config import RunConfig
from zsync.errors import ExitStatus
from zsync.verifying.difference import Wrong

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import reference  # noqa: E402 - it lies with the pages that it writes

README = (ROOT / "README.md").read_text()
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("*/README.md")), *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def name_of(path):
    return str(path.relative_to(ROOT))


def blocks(*languages):
    """Return the blocks of these languages, each with the document that it is in."""
    found = [
        pytest.param(text, id=f"{name_of(path)}-{number}")
        for path in DOCUMENTS
        for number, (language, text) in enumerate(FENCE.findall(path.read_text()))
        if language in languages
    ]
    assert found
    return found


def without_blocks(text):
    return FENCE.sub("", text)


@functools.cache
def commands():
    """Return every command that does something, by its name."""
    return {name.removeprefix("zsync").strip(): command for name, command in reference.every_command()}


SUBSTITUTED = re.compile(r"\"\$\(.*\)\"")  # what a shell puts in


def typed(text):
    """Yield what is typed of `zsync`: lines of a console, of a script, or of what runs one."""
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    prompted = [line for line in lines if line.startswith("$ ")]
    for line in prompted or lines:
        for found in re.finditer(
            r"(?:^\$ |^|&& |run: |shell: \"|-m )zsync (?! *[=#])([^|&]*)", SUBSTITUTED.sub("tcp://a:1", line)
        ):
            command = found[1].strip()
            yield command.removesuffix('"') if command.count('"') % 2 else command


def parse(line):
    """Have the command line read a command, as far as it does before it runs."""
    words = shlex.split(line, comments=True)
    redirected = [at for at, word in enumerate(words) if word.startswith(">")]
    words = words[: redirected[0]] if redirected else words
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        assert words, f"no such command: {line}"
        assert words[0] in command.commands, f"no such command: {line}"
        command = command.commands[words.pop(0)]
    command.make_context("zsync", words)


def test_the_readme_is_short_and_begins_with_its_commands():
    assert len(README.splitlines()) <= 120
    assert FENCE.findall(README)[0][1].startswith("$ make demo")


def test_the_first_config_is_one():
    found = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert found
    for block in found:
        config = RunConfig.from_any(yaml.safe_load(block))
        assert {product.name for product in config.resolve()} == {"pre_qf", "post_qf", "cog"}


@pytest.mark.parametrize("text", blocks("console", "bash", "snakemake", "yaml", ""))
def test_what_is_typed_is_understood(text):
    for line in typed(text):
        parse(line)


def test_what_is_typed_is_found_and_looked_at():
    every = [line for block in blocks("console", "bash", "snakemake", "yaml", "") for line in typed(block.values[0])]
    assert len(every) > 80
    assert {line.split()[0] for line in every} >= {
        "publish",
        "plan",
        "pull",
        "verify",
        "log",
        "watch",
        "config",
        "trash",
    }
    for wrong in ("publish --no-such-option", "no-such-command", "log", "publish a b c"):
        with pytest.raises(Exception, match=r"(?i)no such|missing|unexpected"):
            parse(wrong)


def test_every_command_that_is_named_exists():
    known = {word for name in commands() for word in (name, name.split()[0])}
    for path in DOCUMENTS:
        named = set(re.findall(r"`zsync ([a-z][a-z-]+)", without_blocks(path.read_text())))
        assert named <= known, (path, named - known)


def test_every_option_that_is_named_is_one_of_its_command():
    """In text: `zsync COMMAND ... --option`; and in the table of commands of the README."""
    seen = 0
    for path in DOCUMENTS:
        for line in without_blocks(path.read_text()).splitlines():
            for name, rest in re.findall(r"`zsync ((?:config |lease |trash )?[a-z-]+)([^`]*)`", line):
                if name in commands():
                    known = {option for item in commands()[name].params for option in item.opts}
                    named = set(re.findall(r"(?<![\w-])(--[a-z-]+)", rest))
                    assert named <= known | {"--help"}, (path, name, named - known)
                    seen += len(named)
    assert seen > 20
    every = {option for command in commands().values() for item in command.params for option in item.opts}
    table = README[README.index("## Commands") : README.index("## Where to go on")]
    assert set(re.findall(r"`(--[a-z-]+)", table)) <= every
    assert {name.split()[0] for name in commands()} == set(re.findall(r"^\| `zsync ([a-z-]+)", table, re.MULTILINE))


@pytest.mark.parametrize("text", blocks("yaml"))
def test_what_is_yaml_is_a_configuration_or_yaml(text, tmp_path):
    """Of a configuration a part may be shown: then what it lacks is put before it."""
    document = yaml.safe_load(text)
    assert document
    if not document.keys() & reference.Sections.model_fields.keys() and "output" not in document:
        return
    begun = document.keys() & {"source", "products", "sites", "output"}
    file = tmp_path / "zsync.yaml"
    file.write_text(text if begun else f"source: /data/oco3\n{text}")
    there = None if document.keys() & {"target", "sites"} else "s3://my-bucket/products"
    assert RunConfig.from_any(file, target=there).by_site()


@pytest.mark.parametrize("text", blocks("json"))
def test_what_is_json_is_json(text):
    """An ellipsis, of what is left out, aside."""
    assert json.loads(re.sub(r",\s*\.\.\.(?=\s*[\]}])", "", text))


@pytest.mark.parametrize("text", blocks("python"))
def test_what_is_python_is_python(text):
    assert ast.parse(text).body


@pytest.mark.parametrize("text", blocks("ini"))
def test_what_is_ini_is_ini(text):
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(text)
    assert parser.sections()


@pytest.mark.parametrize("text", blocks("bash", "sh"))
def test_what_is_bash_is_bash(text):
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_language_of_a_block_is_looked_at():
    known = {"", "bash", "console", "ini", "json", "mermaid", "python", "sh", "snakemake", "yaml"}
    for path in DOCUMENTS:
        told = {language for language, _ in FENCE.findall(path.read_text())}
        assert told <= known, (path, told - known)


def test_every_kind_of_difference_is_told():
    told = (ROOT / "docs" / "verifying.md").read_text()
    assert {str(kind) for kind in Wrong} <= set(re.findall(r"`([a-z-]+)`", told))


def test_every_exit_status_is_told():
    told = (ROOT / "docs" / "exit-statuses.md").read_text()
    assert {int(row) for row in re.findall(r"^\| (\d) \|", told, re.MULTILINE)} == {
        int(status) for status in ExitStatus
    }


def test_every_finding_is_told_with_its_levels():
    """As the code makes them; of what only hands a code on, nothing is to be known."""
    made, handed_on = reference.codes()
    assert set(handed_on) <= {"code", "first.code", "wrong[0]"}, (
        "where a code comes from is not plain: docs/reference.py"
    )
    text = (ROOT / "docs" / "findings.md").read_text()
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| ([a-z, ]+) \| .+ \| .+ \|$", text, re.MULTILINE)
    assert len(rows) == len(dict(rows)) > 60
    assert {code: set(levels.split(", ")) for code, levels in rows} == made


def test_reference_is_as_the_code_has_it():
    assert not [path.name for path, _ in reference.outdated()], "make reference"


def test_every_message_says_what_to_do():
    """By itself, or where it does not, in `reference.REMEDIES` and `WARNINGS`, which hold no other."""
    assert not reference.unadvised(), "give the error advice, or say what to do in REMEDIES of docs/reference.py"
    text = reference.messages()
    assert text.count("\n| ") > 250
    assert not [
        said for said in (*reference.REMEDIES, *reference.WARNINGS) if f"| {reference.cell(said)} |" not in text
    ]


@pytest.mark.parametrize(
    "fail",
    [
        lambda here: RunConfig.from_any(here / "nowhere.yaml"),
        lambda here: RunConfig.from_any({"source": str(here), "products": {"a": {"path": "a"}}}).resolve(),
        lambda here: zsync.plan(here, "https://my-bucket.s3.us-west-2.amazonaws.com/a"),
        lambda here: zsync.plan(here / "nowhere", (here / "target").as_uri()),
        lambda here: zsync.log((here / "nowhere").as_uri()),
        lambda here: zsync.verify((here / "nowhere").as_uri()),
        lambda here: zsync.pull((here / "nowhere").as_uri(), here / "there"),
        lambda here: zsync.open_zarr((here / "nowhere").as_uri()),
    ],
)
def test_what_is_raised_is_told(fail, tmp_path):
    """A row of the page fits what an error says, with anything in place of an ellipsis."""
    rows = re.findall(r"^\| (.+) \| (.+) \|$", reference.messages(), re.MULTILINE)
    fitting = [re.escape(text.replace("\\|", "|")).replace("…", ".*") for text, _ in rows if text.strip("… ")]
    with pytest.raises(zsync.ZsyncError) as raised:
        fail(tmp_path)
    said = reference.cell(raised.value.message).replace("\\|", "|")
    assert [text for text in fitting if re.search(text, said) and len(text) > 20], said


def test_every_schema_is_named():
    told = set(re.findall(r"\]\((json/[\w.-]+)\)", (ROOT / "docs" / "json.md").read_text()))
    assert told == {f"json/{path.name}" for path in (ROOT / "docs" / "json").iterdir()}


def test_every_name_of_the_package_is_in_the_reference():
    told = set(re.findall(r"^::: (\S+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE))
    homes = {}
    for name in set(zsync.__all__) - {"__version__"}:
        value = getattr(zsync, name)
        homes[name] = f"{value.__module__}.{value.__qualname__}"
    missing = {name: home for name, home in homes.items() if home not in told and home.rpartition(".")[0] not in told}
    assert not missing


def anchors(path):
    """Return the anchors of a page's headings, as they are made of them."""
    titles = re.findall(r"^#{1,6} (.+)$", without_blocks(path.read_text()), re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).strip().lower() for title in titles)
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", without_blocks(path.read_text())):
        if target.startswith("https://"):
            continue
        page = (path.parent / target).resolve() if target else path
        assert page.exists(), target
        if anchor:
            assert anchor in anchors(page), f"{target}#{anchor}"


def nav(entries):
    for entry in entries:
        value = entry if isinstance(entry, str) else next(iter(entry.values()))
        yield from nav(value) if isinstance(value, list) else [value]


def test_every_page_is_in_the_navigation():
    text = re.sub(r"!!python/name:\S+", "", (ROOT / "mkdocs.yml").read_text())
    listed = list(nav(yaml.safe_load(text)["nav"]))
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert len(listed) == len(set(listed))
    assert pages == {page for page in listed if not page.startswith("project/") and page != "index.md"}


@pytest.mark.slow
@pytest.mark.slow
def test_the_site_is_built_strictly(tmp_path):
    command = [sys.executable, str(ROOT / "docs" / "building.py"), str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    api = (tmp_path / "site" / "api.html").read_text()
    assert 'id="zsync.verbs.publish.publish"' in api
    assert "Content decides" in (tmp_path / "site" / "index.html").read_text()
    for broken in ("[a](nowhere.md)", "[a](safety.md#nowhere)", "\n\n::: zsync.nowhere\n"):
        page = tmp_path / "docs" / "faq.md"
        whole = page.read_text()
        page.write_text(f"{whole}\n{broken}\n")
        again = [sys.executable, "-m", "zensical", "build", "--strict"]
        assert subprocess.run(again, cwd=tmp_path, capture_output=True, check=False).returncode, broken
        page.write_text(whole)


def test_nothing_names_a_registry_or_this_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert "README.md" in listed
    unwanted = re.compile(r"pypi\.org|pythonhosted|registry\.npmjs|deb\.debian\.org|/work/|/root/\.|/tmp/v3")
    found = [
        f"{name}: {match[0]}"
        for name in listed
        if name != "tests/unit/test_docs.py" and (match := unwanted.search((ROOT / name).read_text(errors="replace")))
    ]
    assert not found
