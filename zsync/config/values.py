"""The kinds of values in a configuration: text, durations, URLs, patterns, secrets, each with what it must be."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    SecretStr,
    StringConstraints,
    model_validator,
)

from zsync.config.location import CONTROL, Location, local_path
from zsync.config.problems import ExpectedError
from zsync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

PERCENTAGE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,18})?) ?%")
COUNT = re.compile(r"[0-9]{1,18}")
_DURATION = re.compile(r"([0-9]{1,9}) ?(ms|[smhd]?)")
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?")
_ADDRESS = re.compile(r"(?:tcp|tls|ucx|wss?)://[^@\s]+")
_PATH = re.compile(r"[!#-&(-;=?-_a-~]*")  # printable ASCII without quotes, blanks and angle brackets
_UNITS_S = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
SCHEDULERS = ("auto", "threads", "serial", "processes", "distributed")
REGEX = "re:"  # begins a pattern that is a regular expression
MOST_TAGS = 10  # what S3 takes
MOST_MESSAGE = 10_000  # characters
_MOST_META = 100
_META_NAME, _META_VALUE = 128, 1024  # characters


def seconds(duration: int | str) -> float:
    """Return a duration in seconds.

    Examples
    --------
    >>> seconds("5m"), seconds(30), seconds("250ms")
    (300, 30, 0.25)

    Raises
    ------
    ConfigError
        It is not a duration.
    """
    match = _DURATION.fullmatch(str(duration).strip())
    if match is None:
        raise ConfigError("not a duration", str(duration), "give seconds, or a duration like 500ms, 30s, 5m, 2h or 7d")
    return int(match[1]) * _UNITS_S[match[2]]


def listed(value: object) -> object:
    """Return one value as a list of it."""
    return [value] if isinstance(value, str) else value


def _duration(value: object) -> object:
    text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not _DURATION.fullmatch(text):
        raise ExpectedError("a number of seconds, or a duration like 500ms, 30s, 5m, 2h or 7d")
    return int(text) if text.isdigit() else text.replace(" ", "")


def _count_as_text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _meta(value: dict[str, str]) -> dict[str, str]:
    if len(value) > _MOST_META:
        raise ValueError(f"there are at most {_MOST_META} of them, not {len(value)}")
    if any(len(name) > _META_NAME or len(text) > _META_VALUE for name, text in value.items()):
        raise ValueError(f"a name has at most {_META_NAME} characters, what it stands for {_META_VALUE:,}")
    return value


def _header(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise ValueError("a header holds printable ASCII only")
    return value


def _unmasked(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.strip("*"):
        raise ValueError("the secret is empty or masked; give the secret itself, or leave it to the AWS profile")
    return value


def _canonical_url(value: str) -> str:
    try:
        return Location.parse(value).url
    except ConfigError as error:
        problem = str(error)
    raise ValueError(problem)


def _local(value: str) -> str:
    if "\0" in value:
        raise ValueError("a path holds no null character")
    try:
        return local_path(value)
    except ConfigError as error:
        problem = str(error)
    raise ValueError(problem)


def credential(value: str) -> str:
    """Return a key, a secret or a token, without the line end that a file or a shell left at its end.

    Raises
    ------
    ValueError
        It holds what no header can; the value is not part of the text.
    """
    text = value.strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("a credential holds printable ASCII without blanks; check for stray characters")
    return text


def _credential(value: SecretStr) -> SecretStr:
    return SecretStr(credential(value.get_secret_value()))


def region(value: str) -> str:
    """Return the name of a region, without blanks around it.

    Raises
    ------
    ValueError
        It is none.
    """
    text = value.strip()
    if not _REGION.fullmatch(text):
        raise ValueError("a region is a name like us-west-2")
    return text


def endpoint(value: str) -> str:
    """Return the URL of a service, without blanks around it and slashes after it.

    Raises
    ------
    ValueError
        It is none.
    """
    text = value.strip().rstrip("/")
    scheme, _, host = text.partition("://")
    if "@" in host:
        raise ValueError("the URL holds credentials; take them out, use storage.profile or the environment")
    try:
        parts = urlsplit(text)
        is_sound = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError("must be a URL like https://host:port") from None
    # Letters beyond ASCII, quotes and blanks are what no client of S3 takes; a name may be one of Docker's, with "_".
    fits = _HOST.fullmatch(parts.netloc) and _PATH.fullmatch(host)
    if not (is_sound and fits and scheme in {"http", "https"}):
        raise ValueError("must be a URL like https://host:port")
    return text


def _scheduler(value: str) -> str:
    text = value.strip()
    if text in SCHEDULERS or (_ADDRESS.fullmatch(text) and _HOST.fullmatch(text.partition("://")[2])):
        return text
    raise ExpectedError(f"{', '.join(SCHEDULERS)}, or the address of a dask scheduler like tcp://host:8786")


def _webhook(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if endpoint(text) != text.rstrip("/"):
        raise ValueError("the URL has blanks around it")
    return value  # as it is: a slash at its end may matter


def signing_key(value: SecretStr) -> SecretStr:
    """Return a key for signatures; one that says it is base64 must be."""
    text = value.get_secret_value()
    if text.startswith("whsec_"):
        key = text.removeprefix("whsec_")
        try:
            base64.b64decode(key + "=" * (-len(key) % 4), validate=True)
        except ValueError:
            raise ValueError("after whsec_ comes a key in base64") from None
    return value


def below_target(value: str) -> str:
    """Return a place below the target, or a full URL."""
    if "://" in value or value.startswith("file:"):
        return _canonical_url(value)
    path = value.rstrip("/")
    if any(part in {"", ".", ".."} for part in path.split("/")) or CONTROL.search(path):
        raise ValueError("must be a path below the target, like products/cog, or a full URL")
    return path


def _pattern(value: str) -> str:
    if value.startswith(REGEX):
        try:
            re.compile(value.removeprefix(REGEX))
        except re.error as error:
            problem = f"not a regular expression ({error}): correct it, or write a glob without {REGEX}"
        else:
            return value
        raise ValueError(problem)
    return value


def _product_name(value: str) -> str:
    if "/" in value or CONTROL.search(value):
        raise ValueError(
            "a product's name holds no slash and no control character: write it with hyphens, and where it goes as `to`"
        )
    return value


Text = Annotated[str, StringConstraints(min_length=1)]
Header = Annotated[Text, AfterValidator(_header)]
TagValue = Annotated[str, BeforeValidator(_count_as_text)]
Meta = Annotated[dict[Text, TagValue], AfterValidator(_meta)]
Pattern = Annotated[Text, AfterValidator(_pattern)]
Patterns = Annotated[list[Pattern], BeforeValidator(listed)]
Secret = Annotated[SecretStr, AfterValidator(_unmasked)]
Credential = Annotated[Secret, AfterValidator(_credential)]
LocalPath = Annotated[Text, AfterValidator(_local)]
TargetUrl = Annotated[Text, AfterValidator(_canonical_url)]
ProductName = Annotated[Text, AfterValidator(_product_name)]
Duration = Annotated[int | str, BeforeValidator(_duration)]
SecretUrl = Annotated[SecretStr, AfterValidator(_webhook)]
Endpoint = Annotated[Text, AfterValidator(endpoint)]
Scheduler = Annotated[Text, AfterValidator(_scheduler)]
Region = Annotated[Text, AfterValidator(region)]
CacheStage = Literal["root", "group", "array", "data"]


class Section(BaseModel):
    """Base of all parts of a configuration: frozen, closed to unknown keys, silent about the values it was given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show what was said, not every default."""
        return ((name, value) for name, value in super().__repr_args__() if name in self.model_fields_set)

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        known = {field.alias or name for name, field in cls.model_fields.items()}
        return {name: item for name, item in value.items() if item is not None or name not in known}
