"""The other sections of a configuration: products, pulls, teams, watching, notifications, sites."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from zsync.config.problems import ExpectedError
from zsync.config.publishing import Publish, Storage
from zsync.config.values import (
    Duration,
    LocalPath,
    Patterns,
    Secret,
    SecretUrl,
    Section,
    TargetUrl,
    Text,
    below_target,
    listed,
    signing_key,
)

_PORT = re.compile(r"[0-9]{1,5}")


class Product(Section):
    """One thing that is published."""

    path: LocalPath = Field(description="where it is, below source or absolute")
    kind: Literal["zarr", "cog", "files"] | None = Field(None, description="zarr, cog or files; null: look and see")
    to: Annotated[Text, AfterValidator(below_target)] | None = Field(
        None, description="where it goes, below target or a full URL; null: the last element of path"
    )
    include: Patterns = Field(default_factory=list, description="patterns for this product, instead of publish.include")
    exclude: Patterns = Field(default_factory=list, description="patterns for this product, besides publish.exclude")

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value


class Pull(Section):
    """How `zsync pull` brings targets to this machine."""

    dest: LocalPath | None = Field(None, description="directory that they are pulled below; null: the source")
    root: LocalPath | None = Field(None, description="directory that has to be there before anything is pulled")
    exclude_downloads: bool = Field(default=False, description="leave out what lies in directories called download")
    force_overwrite: bool = Field(default=False, description="compare what is there, and replace what differs")


class Team(Section):
    """How `zsync sync` keeps a folder in step with those of a team."""

    member: Text | None = Field(None, description="who you are to the others; null: user@host")
    prefer: Literal["ask", "local", "remote", "both"] = Field(
        "ask", description="what wins where both sides changed: ask, local, remote, or both (keeps a copy)"
    )
    ignore: Patterns = Field(default_factory=list, description="patterns of what stays on this machine")


class Watch(Section):
    """How `zsync watch` keeps targets up to date."""

    interval: Duration = Field("1s", description="how long at least from one look at the files to the next")
    settle: Duration = Field("2s", description="take up a file or store once it was unchanged for so long")
    marker: Text | None = Field(
        None, description="take up a store only when a file of this name in it, or beside it as NAME.marker, is new"
    )
    events: Literal["auto", "native", "poll"] = Field(
        "auto", description="what tells of changes: native file events, poll (NFS, Lustre), or auto"
    )
    compare: Duration = Field("1h", description="how often all is compared with what the target really holds")
    backoff: Duration = Field("5m", description="how long at most a site that failed waits for its next attempt")
    initial_sync_source: Literal["local", "s3", "auto"] = Field(
        "local", description="which side the first sync takes: local, s3, or auto (the one that changed last)"
    )
    listen: Text = Field("127.0.0.1:8090", description="address of /healthz, /info, /metrics and /reload, or off")
    history: Annotated[int, Ge(1)] = Field(100, description="how many publications stay on record")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="what is logged")
    log_format: Literal["text", "json"] = Field("text", description="how it is logged")
    log_file: LocalPath | None = Field(None, description="file to log to; null: stderr")

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if value != "off" and (not host or not _PORT.fullmatch(port) or int(port) > 65535):
            raise ExpectedError("an address like 127.0.0.1:8090, or off")
        return value


def _words(value: object) -> object:
    """Return a command as its words; a line for a shell, which nobody runs, is none."""
    if isinstance(value, str) and len(value.split()) > 1 and not Path(value).exists():
        raise ValueError("it runs without a shell: write a list of words, like [sh, -c, 'cat > note.json']")
    return listed(value)


def _unmasked_words(words: list[str]) -> list[str]:
    if any(word and not word.strip("*") for word in words):
        raise ValueError("an argument is masked; give the argument itself")
    return words


class Notification(Section):
    """Who is told of a publication: a URL or a command. That it fails never fails a publish."""

    url: SecretUrl | None = Field(None, description="URL to POST to: a webhook, an SQS queue, or an SNS endpoint")
    format: Literal["json", "sqs", "sns"] = Field("json", description="shape of the message: json, sqs or sns")
    topic: Text | None = Field(None, description="ARN of the topic, for sns")
    secret: Annotated[Secret, AfterValidator(signing_key)] | None = Field(
        None, description="key of the HMAC-SHA256 signature that a message to a webhook carries: whsec_ and base64"
    )
    command: Annotated[list[Text], BeforeValidator(_words), AfterValidator(_unmasked_words)] | None = Field(
        None, repr=False, description="program and arguments to run; the message is on its standard input"
    )
    inherit: Annotated[list[Text], BeforeValidator(listed)] = Field(
        default=[], description="names of credentials in the environment that the command gets too, or globs"
    )
    on: Annotated[list[Literal["published", "pulled", "synced", "failed"]], BeforeValidator(listed)] = Field(
        default=["published"], description="what to tell of: published, pulled, synced, failed"
    )
    timeout: Duration = Field("10s", description="how long to wait for an answer, or for the command")

    @model_validator(mode="after")
    def _check_way(self) -> Notification:
        if (self.url is None) == (self.command is None):
            raise ValueError("a notification has either url or command: give one of them")
        if (self.format == "sns") != (self.topic is not None):
            raise ValueError("topic goes with format: sns, and sns needs it: give both, or neither")
        if self.command is not None and self.format != "json":
            raise ValueError("format goes with url")
        if self.inherit and self.command is None:
            raise ValueError("inherit goes with command")
        if self.secret is not None and (self.url is None or self.format != "json"):
            raise ValueError("secret goes with a url and format: json")
        return self


class Site(Section):
    """One of many directories that are watched; what it leaves out comes from what is above `sites`."""

    source: LocalPath = Field(description="directory to publish")
    target: TargetUrl = Field(description="URL that it becomes")
    kind: Literal["zarr", "cog", "files"] | None = Field(None, description="zarr, cog or files; null: look and see")
    storage: Storage = Field(default_factory=Storage, description="as above")
    publish: Publish = Field(default_factory=Publish, description="as above")
    watch: Watch = Field(default_factory=Watch, description="as above; not what concerns the service as a whole")
    notify: list[Notification] | None = Field(None, description="as above")

    @field_validator("watch")
    @classmethod
    def _check_watch(cls, value: Watch) -> Watch:
        if shared := sorted(value.model_fields_set & {"listen", "log_level", "log_format", "log_file"}):
            raise ValueError(f"{', '.join(shared)} is for the service as a whole: write it below `watch` above sites")
        return value
