"""Every option has the same name on the command line, in the file and in Python; and takes the same words."""

from __future__ import annotations

import inspect
from typing import Literal, get_args, get_origin

import pytest
import typer.main

import zsync
from zsync.cli import app, choices
from zsync.config import RunConfig
from zsync.config.model import Sections
from zsync.config.publishing import Publish, Storage
from zsync.config.sections import Pull, Team, Watch
from zsync.errors import ConfigError

# What a file holds and no command line: with the reason.
NOT_TYPED = {
    "source": "the first word is it",
    "products": "of many parts; the first word is one",
    "sites": "of many parts",
    "notify": "of many parts, and a secret may be in it",
    "storage.access_key_id": "a secret: everybody who lists processes would see it",
    "storage.secret_access_key": "a secret",
    "storage.session_token": "a secret",
    "pull.dest": "the second word is it",
}
SECTIONS = {"storage": Storage, "publish": Publish, "pull": Pull, "team": Team, "watch": Watch}
COMMANDS = {"storage": "publish", "publish": "publish", "pull": "pull", "team": "sync", "watch": "watch"}
BASE = {"source": "/data/x", "target": "s3://my-bucket/x"}


def command(name):
    found = typer.main.get_command(app)
    for word in name.split():
        found = found.commands[word]
    return found


def options(name):
    return {parameter.name: parameter for parameter in command(name).params if parameter.param_type_name == "option"}


def fields():
    for name, field in Sections.model_fields.items():
        if not field.exclude and name not in SECTIONS:
            yield name, "publish", name
    for section, model in SECTIONS.items():
        for name in model.model_fields:
            yield f"{section}.{name}", COMMANDS[section], name


def test_every_option_of_the_file_is_one_of_the_command_line():
    missing = [place for place, where, name in fields() if name not in options(where) and place not in NOT_TYPED]
    assert not missing
    known = {place for place, _, _ in fields()}
    assert NOT_TYPED.keys() <= known


@pytest.mark.parametrize(
    "name", ["publish", "plan", "watch", "pull", "sync", "rollback", "verify", "log", "trash list", "lease show"]
)
def test_a_typed_option_is_called_as_it_is_in_python(name):
    for parameter in command(name).params:
        if parameter.param_type_name == "option":
            name = {"as_json": "json"}.get(parameter.name, parameter.name)
            assert f"--{name.replace('_', '-')}" in parameter.opts, parameter.opts


def test_options_of_storage_and_publish_are_names_in_python():
    for section in ("storage", "publish"):
        for name in SECTIONS[section].model_fields:
            value = getattr(getattr(RunConfig.from_any(BASE), section), name)
            assert RunConfig.from_any(BASE, **{name: value}) is not None


@pytest.mark.parametrize(("section", "verb"), [("team", zsync.sync), ("watch", zsync.watch), ("pull", zsync.pull)])
def test_options_of_a_verb_are_its_names_in_python(section, verb):
    """What is not known at all is told; what is known of the wrong type is told by its place in the file."""
    own = inspect.signature(verb).parameters
    for name in SECTIONS[section].model_fields:
        if name not in own:
            with pytest.raises(ConfigError, match=rf"{section}\.{name}"):
                verb({**BASE, "storage": {"anonymous": True}}, **{name: {"no": "such"}})


def words_of(annotation):
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return next((found for part in get_args(annotation) if (found := words_of(part))), ())


@pytest.mark.parametrize(
    ("words", "model", "name"),
    [
        (choices.RETIRE, Publish, "retire"),
        (choices.DAMAGED, Publish, "damaged"),
        (choices.OUTSIDE_GRID, Publish, "outside_grid"),
        (choices.TRUST, Publish, "trust"),
        (choices.REWRITES, Publish, "rewrites"),
        (choices.ON_INCOMPATIBLE, Publish, "on_incompatible"),
        (choices.CONSOLIDATE, Publish, "consolidate"),
        (choices.FOREIGN, Publish, "foreign"),
        (choices.CHECK_COGS, Publish, "check_cogs"),
        (choices.TRANSPORT, Publish, "transport"),
        (choices.SSE, Storage, "sse"),
        (choices.PREFER, Team, "prefer"),
        (choices.FIRST_SOURCE, Watch, "initial_sync_source"),
        (choices.EVENTS, Watch, "events"),
        (choices.LOG_FORMATS, Watch, "log_format"),
        (choices.LOG_LEVELS, Watch, "log_level"),
    ],
)
def test_words_to_choose_from_are_those_of_the_file(words, model, name):
    assert set(words) == set(words_of(model.model_fields[name].annotation))


def test_schedulers_are_those_of_the_file():
    from zsync.config.values import SCHEDULERS

    assert choices.SCHEDULERS == SCHEDULERS


def leaves(found, name=""):
    inner = getattr(found, "commands", None)
    if inner is None:
        return [(name, found)]
    return [leaf for child, deeper in inner.items() for leaf in leaves(deeper, f"{name} {child}".strip())]


@pytest.mark.parametrize(("name", "found"), leaves(typer.main.get_command(app)), ids=lambda part: str(part)[:20])
def test_every_command_has_examples_and_says_how_it_logs(name, found):
    assert f"zsync {name}" in found.epilog
    assert {"log_format", "log_file", "log_level"} <= {parameter.name for parameter in found.params}
    for parameter in found.params:
        is_flag = getattr(parameter, "is_flag", False)
        assert is_flag or parameter.metavar or parameter.name == "port", (name, parameter.name)
