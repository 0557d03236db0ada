"""What pages of reference say, made from the code: `python docs/reference.py` writes it into them (`make reference`).

A page is written by hand, but for what stands between two marks. A test compares that with the code.
"""

from __future__ import annotations

import ast
import functools
import importlib
import os
import re
import sys
import typing
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer.main
import yaml

from zsync import errors, system
from zsync.cli import app
from zsync.config.model import Sections
from zsync.config.publishing import Publish, Storage
from zsync.config.sections import Notification, Product, Pull, Site, Team, Watch
from zsync.storage import certificates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pydantic import BaseModel

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "zsync"
BEGIN = "<!-- made from the code by docs/reference.py -->"
END = "<!-- to here -->"

# What checks of a configuration raise: it is told as a `ConfigError` with its place. Others of these stay in the code.
_OF_VALUES = {"ValueError", "ExpectedError"}
# What to do about errors that do not say so themselves.
REMEDIES = {
    "a published key cannot be a file here: …": "leave it out: `--exclude`",
    "a raster ends before its tiles do": "write it again",
    "an object is there that nobody wrote": "a service, or what is before it, answers wrongly: see to it",
    "held back: ……": "see what the finding says ([Findings](findings.md)); it is taken up again once it changes",
    "it could not be started (…)": "check the path of `notify.command`",
    "it did not end within … s, and was killed": "raise `notify.timeout`, or have the command return earlier",
    "it ended with status …": "see what the command says on stderr",
    "metadata is larger than it can be": "see who wrote it",
    "no answer within … s": "raise `notify.timeout`, or see to the receiver",
    "only one of these at a time": "leave one out",
    "other bytes than were published": "`zsync verify --deep --repair`",
    "the configuration is nested too deeply, or holds itself": "write it out, without anchors",
    "the lease is not as it was": "somebody else began to publish: run it again",
    "the manifest of publication … cannot be read: …": "name another publication",
    "the manifest of what was published is lost: …": "publish again: what is there is compared, and put on record",
    "the object is not as it was seen": "somebody else wrote it meanwhile: run it again",
    "the object is not as the condition says": "somebody else wrote it meanwhile: run it again",
    "the record of a publication cannot be read": "name another one; `zsync verify URL` says what else is wrong",
    "the record of a publication is that of another": "name another one; `zsync verify URL` says what else is wrong",
    "the service does not do this (…)": "see the notes on services ([MinIO, Ceph, R2, GCS](howto/services.md))",
    "the service refused (…)": "look the code up in the service's documentation",
    "there is no such object": "check the URL; `zsync verify URL` says what is missing",
    "these headers cannot be sent with a copy": "none: bytes come through this machine instead",
    "this goes with --prune": "give `--prune`, or leave it out",
    "this is no prefix that can be listed": "take empty, `.` and `..` path elements out of the URL",
    "this target does not tell when objects were written": "leave `--older-than` out",
    "this target has no conditional writes": "take a service that has them ([MinIO, Ceph, R2, GCS](howto/services.md))",
    "this target has no copies on condition": "none: bytes come through this machine instead",
    "versions of objects are not read here": "use `transport: auto` and an s3:// URL",
    "what names it could not be retired": "none: it is named, and tried again by the next publish",
    "… answered …": "look at the queue or topic, and at what these credentials may do there",
    "… changes were asked about, … answers came": "have `ask` return one answer a change",
    "… could not be asked (…)": "check the URL of the queue or topic, and the network",
    "… objects of stage … have no receipt": "run it again, and report it: this should not happen",
}
_TOLD_ELSEWHERE = ("demo", "devserver")  # rooms that no user of data meets
# What to do about warnings that are only in the log.
WARNINGS = {
    "did not come to a safe point in time: …": "nothing: the next start finishes the work",
    "internal error in thread …: …": "report it, with the log at level debug",
    "left out, for a symbolic link is there: …/…": "put what it leads to in its place",
    "left out: …": "what it says; other products are not concerned",
    "no answer from … for … s": "wait, or see to the network; after a minute it is an error",
    "no file events, so the files are looked at now and then: …": "what it says; `events: poll` keeps it quiet",
    "note: …": "take what is not needed out of the configuration",
    "old publications were not cleared away: …": "what it says; it is tried again",
    "something is still being written, and is left for the next time": "nothing; a marker tells when a writer is done",
    "the base cannot be read, so all is compared anew: … (…)": "nothing, unless it comes again: look at the disk",
    "the bucket is in region …, not …: …; it is asked there (`region: …` spares the detour)": "set `region`",
    "the configuration is not usable, and the one before stays: …": "correct it; it is read again then",
    "the digest cache cannot be read, so files will be hashed again: … (damaged)": "nothing: it is made anew",
    "the digest cache cannot be read, so files will be hashed again: … (…)": "look at `ZSYNC_CACHE_DIR`",
    "the digest cache cannot be written, so files will be hashed again: … (…); set ZSYNC_CACHE_DIR to a directory that"
    " can be written": "what it says",
    "the lease could not be given back and will run out by itself: …": "nothing: it does in a minute",
    "the manifest is lost, so objects are compared by ETag: …": "nothing: a new one is written",
    "the service does not keep storage class …: …": "leave `storage_class` out",
    "what arrives cannot be kept in mind, so that a publish that is cut off sends it again: …"
    " (…)": "look at `ZSYNC_CACHE_DIR`",
    "… cannot be taken away for the moment in which its raster and what belongs to it are replaced (…): readers may see"
    " both mixed in between": "allow `s3:DeleteObject`",
    "… could not be removed: delete it": "delete it",
}


def cell(text: str) -> str:
    """Return text as the cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


# Commands


@functools.cache
def every_command() -> tuple[tuple[str, Any], ...]:
    """Return every command that does something, with its name."""

    def below(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        children = getattr(command, "commands", {})
        if not children:
            yield name, command
        for child, inner in children.items():
            yield from below(inner, f"{name} {child}")

    return tuple(below(typer.main.get_command(app), "zsync"))


def commands() -> str:
    """Return every command, with its arguments, options and examples."""
    lines: list[str] = []
    for name, command in every_command():
        arguments = [item for item in command.params if item.param_type_name == "argument"]
        options = [item for item in command.params if item.param_type_name == "option" and not item.hidden]
        usage = " ".join([name, *(_word(item) for item in arguments), "[OPTIONS]"])
        lines += [f"## {name}", f"`{usage}`", "", _paragraphs(command.help), ""]
        if examples := [line.strip() for line in (command.epilog or "").splitlines() if line.startswith("  ")]:
            lines += ["```console", *(f"$ {example}" for example in examples), "```", ""]
        lines += ["| option | |", "|---|---|"]
        lines += [f"| `{cell(_word(item))}` | {cell(item.help or '')} |" for item in arguments if item.help]
        lines += [f"| {_flags(item)} | {cell(item.help or '')} |" for item in options]
        lines.append("")
    return "\n".join(lines)


def _word(argument: Any) -> str:
    word = argument.metavar or argument.name.upper()
    return word if argument.required or word.startswith("[") else f"[{word}]"


def _flags(option: Any) -> str:
    names = [*option.opts, *option.secondary_opts]
    value = "" if option.is_flag or not option.metavar else f" {option.metavar}"
    return ", ".join(f"`{name}{value}`" for name in sorted(names, key=len, reverse=True)).replace("|", "\\|")


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.replace("\b", "").split("\n\n"))


# Configuration

_SECTIONS: tuple[tuple[str, str, type[BaseModel]], ...] = (
    ("products", "products: NAME:", Product),
    ("storage", "storage:", Storage),
    ("publish", "publish:", Publish),
    ("pull", "pull:", Pull),
    ("team", "team:", Team),
    ("watch", "watch:", Watch),
    ("sites", "sites: NAME:", Site),
    ("notify", "notify:", Notification),
)


def configuration() -> str:
    """Return every option of a configuration, with what it may be and its default."""
    lines = ["## At the top", *_options(Sections)]
    for _, title, model in _SECTIONS:
        lines += ["", f"## {title.rstrip(':')}", " ".join((model.__doc__ or "").split("\n\n")[0].split()), ""]
        lines += _options(model)
    return "\n".join(lines)


def _options(model: type[BaseModel]) -> Iterator[str]:
    sections = {name for name, _, _ in _SECTIONS}
    yield from ("| option | default | what it is |", "|---|---|---|")
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        if field.is_required():
            text = "required"
        elif name in sections:
            text = f"[below](#{name}-name)" if name in {"products", "sites"} else f"[below](#{name})"
        else:
            text = f"`{_plain(field.get_default(call_default_factory=True))}`"
        yield f"| `{name}` | {cell(text)} | {cell(_described(field))} |"


def _plain(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
    return text.removesuffix("...\n").strip()


def _described(field: Any) -> str:
    """Return what an option is, with the words to choose from that its description leaves out."""
    said = field.description or ""
    words = [word for word in _words(field.annotation) if not re.search(rf"\b{re.escape(str(word))}\b", said)]
    return f"{said}; or {', '.join(f'`{word}`' for word in words)}" if words else said


def _words(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)
    return next((found for part in typing.get_args(annotation) if (found := _words(part))), ())


# Findings


def codes() -> tuple[dict[str, set[str]], list[str]]:
    """Return the codes of findings with their levels, and what is written where a code is passed on."""
    found: dict[str, set[str]] = defaultdict(set)
    unknown = []
    for module, call in _calls({"Finding", "_tell"}):
        place = 0 if _name(call) == "_tell" else 1
        if len(call.args) <= place or (place == 0 and not module.endswith("inventory.walk")):
            continue
        level = "error" if _name(call) == "_tell" else ast.unparse(call.args[0])
        code = _constant(module, call.args[place])
        if code is None:
            unknown.append(ast.unparse(call.args[place]))
        else:
            found[code] |= set(re.findall(r"error|warning|info", level)) or {"error"}
    walk = ast.parse((PACKAGE / "inventory" / "walk.py").read_text())  # hands pairs of code and message on
    for node in ast.walk(walk):
        first = node.elts[0] if isinstance(node, ast.Tuple) and len(node.elts) == 2 else None
        if isinstance(first, ast.Constant) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", str(first.value)):
            found[str(first.value)].add("error")
    return dict(found), unknown


def _constant(module: str, node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Name):
        value = getattr(importlib.import_module(module), node.id, None)
        return value if isinstance(value, str) else None
    return None


# Messages


@functools.cache
def messages() -> str:
    """Return every message of an error, by exit status and kind, with what to do."""
    rows: dict[str, set[tuple[str, str]]] = defaultdict(set)
    values: set[str] = set()
    for module, call in _calls(_kinds() | _OF_VALUES):
        room = module.split(".")[1] if "." in module else ""
        if room in _TOLD_ELSEWHERE or not call.args:
            continue
        if _name(call) not in _OF_VALUES:
            advice = _texts(call, 2)
            if pairs := _pairs(call):
                rows[_name(call)] |= pairs
                continue
            rows[_name(call)] |= {
                (text, REMEDIES.get(text, "") if said == "" else said) for text in _texts(call, 0) for said in advice
            }
        elif room == "config":
            values |= set(_texts(call, 0))
    lines = []
    for name in sorted(rows, key=lambda name: (int(getattr(errors, name).exit_status), name)):
        kind = getattr(errors, name)
        told = sorted((text, advice) for text, advice in rows[name] if text.strip("… "))
        lines += [f"## {name}", f"{_line(kind.__doc__)} Exit status {int(kind.exit_status)}.", ""]
        lines += ["| message | what to do |", "|---|---|"]
        lines += [f"| {cell(text)} | {_filled_in(text) if advice == '…' else cell(advice)} |" for text, advice in told]
        lines.append("")
    lines += ["## Values of a configuration", "A `ConfigError` too: the option, and what its value is to be.", ""]
    lines += [f"- {cell(text)}" for text in sorted(values) if text.strip("… ")]
    lines += ["", "## Warnings of the log", "Beside those that are [findings](findings.md).", ""]
    lines += ["| message | what to do |", "|---|---|"]
    lines += [f"| {cell(text)} | {cell(WARNINGS.get(text, ''))} |" for text in sorted(_logged())]
    lines += ["", "## What the system says", "In brackets, where a file or a directory is in the way.", ""]
    lines += ["| it says | what to do |", "|---|---|"]
    lines += [f"| {os.strerror(number)} | {cell(advice)} |" for number, advice in sorted(system._ADVICE.items())]
    lines += ["", "## What is wrong with a certificate", "| it is said | what to do |", "|---|---|"]
    lines += [f"| {cell(said)} | {cell(advice)} |" for _, said, advice in certificates._PROBLEMS]
    return "\n".join(lines)


def unadvised() -> list[str]:
    """Return the messages of which nothing says what to do."""
    return re.findall(r"^\| (.+) \|  \|$", messages(), re.MULTILINE)


def _logged() -> set[str]:
    """Return what is logged as a warning or an error, but for what only hands a message on."""
    calls = (call for _, call in _calls({"warning", "error"}) if call.args and isinstance(call.func, ast.Attribute))
    own = (call for call in calls if getattr(call.func.value, "id", "") in {"log", "logger"})
    texts = {re.sub(r"%(\.\d)?[a-z]", "…", text) for call in own for text in _said(call.args[0], call)}
    return {text for text in texts if text.strip("…: ")}


def _filled_in(text: str) -> str:
    """Return where it is told what to do about an error of which the message goes on to say so."""
    if "certificate" in text:
        return "[by what is wrong with it](#what-is-wrong-with-a-certificate)"
    return "[by what the system says](#what-the-system-says)" if "(…)" in text else "what it goes on to say"


def _pairs(call: ast.Call) -> set[tuple[str, str]]:
    """Return what is said, and what to do about it, where a function of the module returns the two together."""
    scope = next((above for above in _lineage(call) if isinstance(above, ast.FunctionDef)), None)
    made = {
        getattr(node.value.func, "id", ""): [getattr(name, "id", "") for name in node.targets[0].elts]
        for node in ast.walk(scope or call)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Call)
    }
    found: set[tuple[str, str]] = set()
    for function in [node for node in ast.walk(list(_lineage(call))[-1]) if isinstance(node, ast.FunctionDef)]:
        said, advice = (*made.get(function.name, ()), "", "")[:2]
        if advice and len(call.args) > 2 and getattr(call.args[2], "id", "") == advice and _names(call.args[0], said):
            returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
            found |= {
                (_texts(call, 0)[0].replace("…", text), do)
                for value in returned
                if isinstance(value, ast.Tuple) and len(value.elts) == 2
                for text in _said(value.elts[0], value)
                for do in _said(value.elts[1], value)
            }
    return found


def _line(text: str | None) -> str:
    return (text or "").partition("\n")[0]


def _kinds() -> set[str]:
    return {name for name in dir(errors) if name.endswith("Error")}


_ABOVE: dict[ast.AST, ast.AST] = {}  # what each node of the code lies in


@functools.cache
def _code() -> tuple[tuple[str, ast.Module], ...]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text())
        _ABOVE.update((child, node) for node in ast.walk(tree) for child in ast.iter_child_nodes(node))
        found.append((module, tree))
    return tuple(found)


def _calls(names: set[str]) -> Iterator[tuple[str, ast.Call]]:
    for module, tree in _code():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node) in names:
                yield module, node


def _name(call: ast.Call) -> str:
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def _texts(call: ast.Call, place: int) -> list[str]:
    """Return what an argument of an error can say, with an ellipsis for what is filled in."""
    if len(call.args) <= place:
        given = next((item.value for item in call.keywords if item.arg == "advice" and place == 2), None)
        return _said(given, call) if given is not None else [""]
    return _said(call.args[place], call)


def _said(node: ast.expr, near: ast.AST) -> list[str]:
    match node:
        case ast.Constant(value=str() as text):
            return [text]
        case ast.Constant(value=None):
            return [""]
        case ast.JoinedStr(values=values):
            return ["".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in values)]
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return [a + b for a in _said(left, near) for b in _said(right, near)]
        case ast.BoolOp(op=ast.Or(), values=values):
            return [text for value in values for text in _said(value, near)]
        case ast.IfExp(body=body, orelse=orelse):
            return [*_said(body, near), *_said(orelse, near)]
        case ast.Name(id=name):
            return _assigned(name, near) or ["…"]
        case _:
            return ["…"]


def _assigned(name: str, near: ast.AST) -> list[str]:
    """Return what a variable can hold: what is assigned to it before, in the function around or else in the module."""
    above = list(_lineage(near))
    for scope in above:
        if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
            continue
        nodes = scope.body if isinstance(scope, ast.Module) else ast.walk(scope)
        found = [node for node in nodes if isinstance(node, ast.Assign) and _targets(node) == [name]]
        if not isinstance(scope, ast.Module):
            found = [node for node in found if node.lineno < getattr(near, "lineno", 0) and not _is_left(node, above)]
        if found:
            found.sort(key=lambda node: node.lineno)
            certain = [at for at, node in enumerate(found) if _ABOVE[node] in above]
            found = found[certain[-1] if certain else 0 :]  # it takes the place of what was assigned before
            return [text for node in found if not _names(node.value, name) for text in _said(node.value, node)]
    return []


def _is_left(node: ast.AST, above: list[ast.AST]) -> bool:
    """Whether a branch that a node is in, and what comes after it is not, ends by leaving the function or the loop."""
    while node not in above and (outer := _ABOVE.get(node)) is not None:
        bodies = [body for name in ("body", "orelse") if isinstance(body := getattr(outer, name, None), list)]
        branch = next((body for body in bodies if node in body), [])
        is_shared = any(other in branch for other in above)
        if branch and not is_shared and isinstance(branch[-1], ast.Return | ast.Raise | ast.Continue):
            return not isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        node = outer
    return False


def _lineage(node: ast.AST) -> Iterator[ast.AST]:
    while (outer := _ABOVE.get(node)) is not None:
        yield outer
        node = outer


def _targets(node: ast.Assign) -> list[str]:
    return [getattr(target, "id", "") for target in node.targets]


def _names(node: ast.AST, name: str) -> bool:
    return any(isinstance(inner, ast.Name) and inner.id == name for inner in ast.walk(node))


# Pages

PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands,
    "configuration.md": configuration,
    "messages.md": messages,
}


def renewed(page: str, made: str) -> str:
    """Return a page with what is between its marks made anew."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"a page of reference holds {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{made.strip()}\n{END}{after}"


def outdated() -> Iterable[tuple[Path, str]]:
    """Yield the pages that say other than the code, with what they should say."""
    for name, make in PAGES.items():
        path = DOCS / name
        text = path.read_text(encoding="utf-8")
        if (new := renewed(text, make())) != text:
            yield path, new


if __name__ == "__main__":
    for path, text in outdated():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.name} made anew\n")
