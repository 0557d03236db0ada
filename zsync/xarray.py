"""`Dataset.zsync`, `DataArray.zsync`: what is in memory is published, by way of a store that stays on this machine.

``import zsync.xarray`` has every dataset and array have it; ``import zsync`` does, where xarray was imported before.
"""

from __future__ import annotations

import os
import shutil
import uuid
import warnings
from typing import TYPE_CHECKING, Any

import xarray as xr

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from pathlib import Path
    from typing import Literal, Unpack

    from zsync.config.options import Options
    from zsync.report.progress import Progress
    from zsync.steps.result import PublishResult

_register: Any = xr.register_dataset_accessor
_register_array: Any = xr.register_dataarray_accessor
_CODECS = ("compressors", "filters", "serializer")  # in an encoding: those of the format that it was read from


@_register("zsync")
class Publisher:
    """What zsync does with a dataset: ``dataset.zsync``.

    Parameters
    ----------
    dataset
        The dataset.
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    def publish(
        self,
        target: str,
        *,
        encoding: Mapping[Hashable, Mapping[str, Any]] | None = None,
        zarr_format: Literal[2, 3] | None = None,
        staging: str | os.PathLike[str] | None = None,
        dry_run: bool = False,
        client: Any = None,
        progress: Progress | bool | None = None,
        **overrides: Unpack[Options],
    ) -> PublishResult:
        """Publish the dataset as a Zarr store; of one that is published already only chunks that differ travel.

        All of it is written to a store on this machine first, which takes the room of the dataset there, and stays for
        the next time; then that is published as any other is. To append to a store that is too large to be written anew
        each time, write it with ``to_zarr(..., append_dim=...)``, and call `zsync.publish`.

        Parameters
        ----------
        target
            URL of the store.
        encoding, zarr_format
            As for `xarray.Dataset.to_zarr`; what was read from a store of Zarr v2 is written as such by itself.
        staging
            Directory for the store on this machine; by default one in zsync's cache, which the target names
            (`staging_of`). Where a dask cluster computes the dataset, give one that its workers see.
        dry_run
            Say what would be published. The store on this machine is written all the same.
        client, progress, **overrides
            As for `zsync.publish`.

        Returns
        -------
        PublishResult
            What was done.

        Raises
        ------
        ConfigError
            The target is no URL of a store, there is something else in `staging`, or the dataset cannot be written.
        ZsyncError
            As for `zsync.publish`.

        Examples
        --------
        >>> import xarray as xr
        >>> import zsync.xarray
        >>> dataset = xr.open_dataset("sst.nc")  # doctest: +SKIP
        >>> dataset.zsync.publish("s3://bucket/products/sst.zarr")  # doctest: +SKIP
        """
        from pathlib import Path

        from zsync.config import Location, RunConfig, said
        from zsync.errors import ConfigError
        from zsync.report.traces import show_in_ipython
        from zsync.verbs.publish import publish

        show_in_ipython()
        location = Location.parse(said.path("target", target))
        if not location.path:
            raise ConfigError("a whole bucket is no store", str(location), "name the store: s3://bucket/sst.zarr")
        store = staging_of(target) if staging is None else Path(staging).absolute() / location.name
        product = {"path": str(store), "kind": "zarr", "to": location.url}
        config = RunConfig.from_any({"products": {location.name.removesuffix(".zarr"): product}}, **overrides)
        config.resolve()  # before anything is written
        _write(self._dataset, store, encoding, zarr_format)
        return publish(config, dry_run=dry_run, client=client, progress=progress)


@_register_array("zsync")
class ArrayPublisher(Publisher):
    """What zsync does with an array: it is published as a dataset that holds it, by its name."""

    def __init__(self, array: xr.DataArray) -> None:
        super().__init__(array.to_dataset(name="data" if array.name is None else array.name))


def staging_of(target: str) -> Path:
    """Return where a dataset is kept on this machine that is published to a URL.

    Examples
    --------
    >>> staging_of("s3://bucket/products/sst.zarr").name
    'sst.zarr'
    """
    from zsync.config import Location
    from zsync.inventory.cache import cached_at

    location = Location.parse(os.fspath(target))
    return cached_at("staging", location.url) / location.name


def _write(dataset: xr.Dataset, store: Path, encoding: Any, zarr_format: Any) -> None:
    """Write a dataset, and have it take the place of the one before only when it is whole.

    What was published last may be what the dataset reads from; and a crash leaves no half of one.
    """
    from zsync.errors import ConfigError
    from zsync.system import advice_on

    if store.exists() and not any((store / name).exists() for name in ("zarr.json", ".zgroup")):
        raise ConfigError("this is no Zarr store, and is not replaced", str(store), "give another `staging`")
    beside = store.with_name(f".{store.name}.{uuid.uuid4().hex[:8]}")
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
            _begun(dataset, beside, store, encoding, zarr_format).compute()
        if store.exists():
            old = beside.with_name(f"{beside.name}.old")
            store.rename(old)
            beside.rename(store)
            shutil.rmtree(old)
        else:
            beside.rename(store)
    except OSError as error:
        where = str(error.filename or store)
        raise ConfigError(f"the dataset cannot be kept here ({error.strerror})", where, advice_on(error)) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _begun(dataset: xr.Dataset, beside: Path, store: Path, encoding: Any, zarr_format: Any) -> Any:
    """Write all of a dataset but what dask has to compute, which is returned: what that raises is not about writing."""
    from zsync.errors import ConfigError

    written, before = dataset.copy(), _encodings(store)
    for name, variable in written.variables.items():
        if variable.chunks is None and "chunks" not in variable.encoding:  # what was computed has lost it
            variable.encoding = {**before.get(name, {}), **variable.encoding}
    formats = {_format_of(codec) for variable in written.variables.values() for codec in _codecs(variable)}
    if zarr_format is None and formats == {2}:
        zarr_format = 2
    for variable in written.variables.values():
        if any(_format_of(codec) != (zarr_format or 3) for codec in _codecs(variable)):
            variable.encoding = {name: value for name, value in variable.encoding.items() if name not in _CODECS}
    options = {"encoding": encoding, "zarr_format": zarr_format, "consolidated": True}
    try:
        return written.to_zarr(beside, mode="w", compute=False, **options)
    except (TypeError, ValueError, NotImplementedError) as error:
        why = " ".join(": ".join(str(each) for each in (error, error.__cause__) if each).split())
        raise ConfigError(
            f"the dataset cannot be written as Zarr ({why})", None, "mend it, give `encoding`, or try drop_encoding()"
        ) from error


def _encodings(store: Path) -> dict[Hashable, dict[str, Any]]:
    """Return how arrays were cut and coded the last time: in the same form what did not change stays as it is."""
    if not store.exists():
        return {}
    with xr.open_zarr(store, chunks=None, decode_cf=False) as last:
        kept = ("chunks", "shards", *_CODECS)
        return {
            name: {key: value for key, value in variable.encoding.items() if key in kept}
            for name, variable in last.variables.items()
        }


def _codecs(variable: xr.Variable) -> list[Any]:
    """Return the codecs that an encoding names."""
    named = (variable.encoding.get(name) for name in _CODECS)
    return [codec for codecs in named for codec in (codecs if isinstance(codecs, tuple | list) else [codecs]) if codec]


def _format_of(codec: Any) -> int:
    """Return the version of Zarr that a codec is of."""
    from numcodecs.abc import Codec

    return 2 if isinstance(codec, Codec) else 3
