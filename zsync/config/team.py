"""The dialect of team folders: ``s3synchrony.json``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from zsync.config.dialect import Reading
from zsync.config.location import anchored
from zsync.config.problems import ExpectedError, checked
from zsync.config.values import Section, Text

FILE = "s3synchrony.json"
LEFTOVERS = ".S3"  # where the tool of this dialect kept its state, in the folder
_MARKS = {"local_data_rel_dir", "remote_data_dir", "platforms", "platform"}
_CREDENTIALS = {
    "accesskeyid": "access_key_id",
    "secretaccesskey": "secret_access_key",
    "sessiontoken": "session_token",
    "region": "region",
    "regionname": "region",
}


class _S3(Section):
    aws_bkt: Text
    aws_prfx: str = ""
    credentials: dict[str, Any] | Text | None = None

    @field_validator("credentials")
    @classmethod
    def _check_credentials(cls, value: dict[str, Any] | str | None) -> dict[str, Any] | str | None:
        if isinstance(value, dict) and any(_known(name) is None or not isinstance(value[name], str) for name in value):
            raise ExpectedError("a profile, or a mapping of aws_access_key_id, aws_secret_access_key, region_name")
        return value


class _Platforms(Section):
    s3: _S3


class _Team(Section):
    platforms: _Platforms
    platform: Literal["s3", "S3"] = "s3"
    local_data_rel_dir: Text = "Data"
    remote_data_dir: Text | None = None
    member: Text | None = Field(None, alias="_name")


def recognise(doc: dict[str, Any]) -> bool:
    """Return whether a document is in this dialect."""
    return not doc.keys().isdisjoint(_MARKS)


def read(doc: dict[str, Any], base: str, place: str | None) -> Reading:
    """Return the native document: one folder, and the prefix that it is kept in step with.

    Raises
    ------
    ConfigError
        Something is missing, unknown or of the wrong type.
    """
    said = checked(_Team, doc, place)
    s3 = said.platforms.s3
    folder = anchored(said.local_data_rel_dir, base)
    name = folder.rstrip("/").rpartition("/")[2]
    target = _target(s3, said.remote_data_dir)
    team: dict[str, Any] = {"ignore": [LEFTOVERS]} | ({"member": said.member} if said.member else {})
    found = {
        "source": folder,
        "target": target,
        "products": {name: {"path": folder, "to": target}},
        "team": team,
    }
    storage = _storage(s3.credentials)
    return Reading({**found, **({"storage": storage} if storage else {})})


def _target(s3: _S3, remote: str | None) -> str:
    """Return the folder's place: the prefix, or what `remote_data_dir` names, as a URL or below the prefix."""
    if remote is not None and "://" in remote:
        return remote
    parts = (s3.aws_bkt, s3.aws_prfx, remote or "")
    return "s3://" + "/".join(part.strip("/") for part in parts if part.strip("/"))


def _storage(credentials: dict[str, Any] | str | None) -> dict[str, Any]:
    if isinstance(credentials, str):
        return {"profile": credentials}
    found = {_known(name): value for name, value in (credentials or {}).items()}
    return {name: value for name, value in found.items() if name is not None}


def _known(name: str) -> str | None:
    """Return what AWS tools in their various spellings mean: AccessKeyId, aws_access_key_id, ..."""
    return _CREDENTIALS.get(name.lower().replace("_", "").removeprefix("aws"))
