"""Files to documents: YAML, JSON and TOML, each strictly, and with errors of one line."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsync.config.bounds import MOST_VALUES, unfit
from zsync.errors import ConfigError
from zsync.system import NotRegularError, read_regular

if TYPE_CHECKING:
    from collections.abc import Callable

    import yaml

# YAML 1.1 reads `no` as false and a date as an object; where text is wanted, neither is what was meant.
_BOOLEAN = re.compile(r"(?:true|True|TRUE|false|False|FALSE)$")  # the whole of it
_MOST_BYTES = 2**24  # of a configuration
_NOT_PLAIN = frozenset({"tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp"})


class _SyntaxError(Exception):
    """A file is not what its name says; the message says why, and holds none of its values."""


def load(path: str) -> dict[str, Any]:
    """Return the document in a file; its format goes by the name, and is YAML where that does not tell.

    Raises
    ------
    ConfigError
        The file cannot be read, is not valid, or holds no mapping.
    """
    suffix = Path(path).suffix.lower()
    name, parse = _PARSERS.get(suffix, ("YAML", _yaml))
    text = _text(path)
    try:
        doc = parse(text)
    except _SyntaxError as error:
        problem = str(error)
    except RecursionError:
        problem = "it is nested too deeply"
    else:
        found = unfit(doc)
        if found is None:
            return _mapping(doc, path)
        problem = found
    # Raised here, not above: an exception's context would keep the text.
    raise ConfigError(f"the configuration is not valid {name}", path, problem)


def line_of(path: str, key: str) -> int | None:
    """Return the line that a dotted key is in, or what holds it, of a file of YAML or JSON; None if it is not found."""
    import yaml

    if Path(path).suffix.lower() not in {".yaml", ".yml", ".json", ""} or not key:
        return None
    try:
        node = yaml.compose(_text(path), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ConfigError, RecursionError):
        return None
    line = None
    rest = key.split(".")
    while rest and (step := _step(node, rest)) is not None:
        mark, node, rest = step
        line = mark.line + 1
    return line


def _step(node: yaml.Node | None, parts: list[str]) -> tuple[yaml.Mark, yaml.Node, list[str]] | None:
    """Return where the longest beginning of a dotted name is, what it stands for, and what is left of the name."""
    import yaml

    if isinstance(node, yaml.SequenceNode) and parts[0].isdecimal() and int(parts[0]) < len(node.value):
        found = node.value[int(parts[0])]
        return found.start_mark, found, parts[1:]
    if isinstance(node, yaml.MappingNode):
        for end in range(len(parts), 0, -1):
            name = ".".join(parts[:end])  # a name may hold dots
            for key, value in node.value:
                if key.value == name:
                    return key.start_mark, value, parts[end:]
    return None


def _mapping(doc: object, path: str) -> dict[str, Any]:
    if doc is None or doc == {}:
        raise ConfigError("the configuration is empty", path, "`zsync config init` writes one to start from")
    if not isinstance(doc, dict):
        what = "a list" if isinstance(doc, list) else "a single value"
        raise ConfigError(
            f"the configuration is {what}, not a mapping",
            path,
            "write it as `key: value` lines, a blank after each colon",
        )
    return doc


def _text(path: str) -> str:
    try:
        return read_regular(path, _MOST_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError("the configuration file does not exist", path, "check its path") from None
    except IsADirectoryError:
        raise ConfigError(
            "the configuration is a directory", path, "name a file; to publish a directory give it as `source`"
        ) from None
    except NotRegularError:
        raise ConfigError(
            "the configuration is not a regular file", path, "write it to a file: a pipe or a device is not read"
        ) from None
    except UnicodeDecodeError:
        problem = "the configuration is not text in UTF-8"
    except OSError as error:
        raise ConfigError(
            "the configuration cannot be read", path, (error.strerror or "unknown error").lower()
        ) from None
    raise ConfigError(problem, path, "is it the right file? save it as UTF-8")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    doc: dict[str, Any] = {}
    for key, value in pairs:
        if key in doc:
            raise _SyntaxError(f"the key {key!r} is there twice; take one of them out")
        doc[key] = value
    return doc


def _json(text: str) -> object:
    import json

    if not text.strip():
        return None
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        problem = f"line {error.lineno}: {error.msg.lower()}; {_hint(_JSON_HINTS, error.msg)}"
    except ValueError:
        problem = _long_number(text)
    raise _SyntaxError(problem)


def _long_number(text: str) -> str:
    """Say where the number is that Python refuses to read, for its time grows with the square of the digits."""
    found = re.search(f"[0-9_]{{{sys.get_int_max_str_digits()}}}", text)
    return f"line {text.count(chr(10), 0, found.start() if found else 0) + 1}: a number has too many digits"


def _toml(text: str) -> object:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", str(error), re.DOTALL)
        what, line = (found[1], found[2]) if found else (str(error), None)
        problem = f"line {line or len(text.splitlines())}: {what.lower()}; {_hint(_TOML_HINTS, what)}"
    except ValueError:
        problem = _long_number(text)
    raise _SyntaxError(problem)


def _ini(text: str) -> object:
    import configparser

    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text)
    except configparser.Error as error:
        said = error.message.splitlines()[0].replace("'<string>'", "it").replace("<string>", "it").rstrip(".")
        line = getattr(error, "lineno", None)
        where = f"line {line}: " if isinstance(line, int) else ""
        problem = f"{where}{said[:1].lower()}{said[1:]}; {_hint(_INI_HINTS, said)}"
    else:
        return {name: dict(parser.items(name)) for name in parser.sections()}
    raise _SyntaxError(problem)


def _yaml(text: str) -> object:
    import yaml

    try:
        return yaml.load(text, Loader=_yaml_loader())  # noqa: S506 - a SafeLoader, stricter still
    except yaml.MarkedYAMLError as error:
        mark, said = error.problem_mark or error.context_mark, _without_text(error)
        begun = f" in line {error.context_mark.line + 1}" if error.context_mark else ""
        hint = _hint(_YAML_HINTS, said).format(begun=begun)
        problem = f"line {mark.line + 1 if mark else 1}: {said}; {hint}"
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"line {line}: a character that YAML does not allow; take it out"
    raise _SyntaxError(problem)


def _without_text(error: yaml.MarkedYAMLError) -> str:
    """Return what is wrong with YAML, without names and tags that may be a secret in the wrong place."""
    said = (error.problem or "not valid").replace("'\\t'", "TAB")
    return re.sub(r"'(?!<)[^']{2,}'", "'...'", said)


def _hint(hints: tuple[tuple[str, str], ...], said: str) -> str:
    """Return what to do about what a parser says."""
    return next((advice for pattern, advice in hints if re.search(pattern, said, re.IGNORECASE)), "correct that line")


_YAML_HINTS = (
    ("TAB", "indent with blanks, not with a tab"),
    ("cannot start any token", "put the value in quotes"),
    ("mapping values are not allowed", "check the indentation, or put a value that holds a colon in quotes"),
    ("alias", "put a value that begins with * in quotes"),
    ("tag|constructor", "put a value that begins with ! in quotes"),
    ("escape character", "put a value with backslashes in single quotes"),
    ("stream end|end of stream|expected ','", "close the bracket, brace or quote that begins{begun}"),
    ("another document", "take out the `---`: a file is one configuration"),
    ("could not find expected ':'|block end", "write `key: value`, one below the other, a blank after the colon"),
    ("key must be text", "write a name before the colon"),
)
_JSON_HINTS = (
    ("trailing comma", "put no comma after the last one"),  # Python 3.13 says so
    ("double quotes", "put names in double quotes, and no comma after the last one"),
    ("delimiter", "a comma or a colon is missing"),
    ("extra data", "take out what follows the last brace"),
    ("expecting value", "put text in double quotes, and no comma after the last item"),
    ("unterminated|control character", "close the quotes on the same line"),
)
_TOML_HINTS = (
    ("invalid value", "put text in quotes"),
    ("overwrite|twice|declare", "the key is there twice: take one of them out"),
    ("=", "write `key = value`"),
    ("unclosed|unterminated|illegal", "close the quotes or the bracket"),
)
_INI_HINTS = (
    ("no section headers", "begin with a section, as [PATHS]"),
    ("already exists", "take one of them out"),
    ("parsing errors", "write `key = value`"),
)


def _yaml_loader() -> type[yaml.SafeLoader]:
    import yaml

    class Loader(yaml.SafeLoader):
        """Safe YAML with keys that are text and there once, dates that are text, and `true` and `false` only."""

        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
            # Here, not where mappings are constructed: by then, merged keys have come in and may be there twice.
            node = super().compose_mapping_node(anchor)
            _check_keys(node)
            return node

        def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - as yaml has it
            # `!!int abc`: what the tag says and the text is not comes out of yaml as any error of Python's.
            try:
                return super().construct_object(node, deep)
            except (yaml.YAMLError, _SyntaxError, RecursionError):
                raise
            except Exception:  # noqa: BLE001
                what = str(node.tag).rpartition(":")[2]
            raise _SyntaxError(f"line {node.start_mark.line + 1}: this is no value of the type {what}")

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            super().flatten_mapping(node)
            if len(node.value) > MOST_VALUES:
                raise _SyntaxError(f"line {node.start_mark.line + 1}: too much is merged")

    Loader.yaml_implicit_resolvers = {
        first: [(tag, regexp) for tag, regexp in resolvers if tag not in _NOT_PLAIN]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOLEAN, list("tTfF"))
    return Loader


def _check_keys(node: yaml.MappingNode) -> None:
    """Make a mapping's keys text as they are written, and refuse one that is there twice."""
    import yaml

    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key must be text", key.start_mark)
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        key.tag = "tag:yaml.org,2002:str"
        if key.value in seen:
            said = f"the key {key.value!r} is there twice; take one of them out"
            raise _SyntaxError(f"line {key.start_mark.line + 1}: {said}")
        seen.add(key.value)


_PARSERS: dict[str, tuple[str, Callable[[str], object]]] = {
    ".yaml": ("YAML", _yaml),
    ".yml": ("YAML", _yaml),
    ".json": ("JSON", _json),
    ".toml": ("TOML", _toml),
    ".ini": ("INI", _ini),
    ".cfg": ("INI", _ini),
}

SUFFIXES = frozenset(_PARSERS)
"""How the names of configurations end."""
