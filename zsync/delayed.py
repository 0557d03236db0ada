"""Publish as the last task of a dask graph: `publish_delayed`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from zsync.config import RunConfig
from zsync.errors import CredentialsError
from zsync.verbs.publish import publish

if TYPE_CHECKING:
    import os
    from typing import Unpack

    from zsync.config.options import Options
    from zsync.steps.result import PublishResult


class Delayed(Protocol):
    """A `dask.delayed.Delayed`, with the type of its value."""

    def compute(self, **options: Any) -> PublishResult:
        """Do all that it needs, and publish."""


def publish_delayed(
    run_config: Any = None,
    target: str | os.PathLike[str] | None = None,
    *,
    after: Any = (),
    **overrides: Unpack[Options],
) -> Delayed:
    """Return a task that publishes once others are done: what writes the product, for instance.

    The configuration is read and checked now; the source is looked at when the task runs. It runs once, where dask
    puts it: on a cluster the workers need the source at the same path, and credentials of their own.

    Parameters
    ----------
    run_config, target
        As for `zsync.publish`.
    after
        What has to be done first: a delayed value, or a collection of them, such as ``to_zarr(..., compute=False)``.
    **overrides
        As for `zsync.publish`.

    Returns
    -------
    dask.delayed.Delayed
        Its value is the `PublishResult`.

    Raises
    ------
    ConfigError
        The configuration is wrong or incomplete.
    CredentialsError
        When dask sends the task to another process: credentials that were given here would have to travel with it.

    Examples
    --------
    >>> import zsync
    >>> writing = dataset.to_zarr("oco3.zarr", compute=False)  # doctest: +SKIP
    >>> zsync.publish_delayed("oco3.zarr", "s3://bucket/products", after=writing).compute()  # doctest: +SKIP
    """
    from dask.delayed import delayed

    config = RunConfig.from_any(run_config, target=target, **overrides)
    config.resolve()
    task: Delayed = delayed(_Task(config), name="zsync-publish", pure=False)(after)
    return task


@dataclass(frozen=True, slots=True, repr=False)
class _Task:
    """What is called when all else is done; it shows nothing, for whoever runs it watches tasks."""

    config: RunConfig

    def __call__(self, _after: Any) -> PublishResult:
        return publish(self.config, progress=False)

    def __repr__(self) -> str:
        return "zsync.publish"

    def __reduce__(self) -> tuple[type[_Task], tuple[RunConfig]]:
        """Travel, but for secrets: whoever looks at tasks would see them."""
        if self.config.storage.access_key_id is not None:
            raise CredentialsError(
                "credentials that are given here would travel with the task", "storage",
                "leave them to a profile or the environment of the workers",
            )  # fmt: skip
        return _Task, (self.config,)
