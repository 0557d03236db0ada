# /// script
# requires-python = ">=3.11"
# dependencies = ["hdmf-zarr==0.14.0", "pynwb==4.2.0", "zarr==3.4.2", "numpy==2.5.5"]
# ///
"""hdmf-zarr writes NWB files as Zarr: links between nodes, references, text, compound types."""

from __future__ import annotations

import shutil
import warnings
from datetime import UTC, datetime

from corpus import Corpus, lasting_names

lasting_names()

import numpy as np  # noqa: E402
from hdmf_zarr import NWBZarrIO, ZarrDataIO  # noqa: E402
from pynwb import NWBFile, TimeSeries  # noqa: E402

warnings.simplefilter("ignore")
CORPUS = Corpus("NWB (hdmf-zarr)", "hdmf-zarr", "pynwb", "zarr")


def session(n=8, k=0, unit=None):
    start = datetime(2020, 1, 1, tzinfo=UTC)
    nwb = NWBFile("a session", "session", start, file_create_date=start, timestamps_reference_time=start)
    data = ZarrDataIO(np.arange(n * 2.0).reshape(n, 2) + k, chunks=(4, 2))
    nwb.add_acquisition(TimeSeries("lick", data=data, unit="V", timestamps=np.arange(n) / 10.0))
    nwb.add_trial_column("side", "left or right")
    for trial in range(2):
        nwb.add_trial(start_time=float(trial), stop_time=trial + 0.5, side=("left", "right")[trial])
    if unit:
        nwb.add_acquisition(TimeSeries("more", data=np.arange(3.0), unit=unit, rate=1.0))
    return nwb


def written(**what):
    def write(store):
        shutil.rmtree(store, ignore_errors=True)
        with NWBZarrIO(str(store), mode="w") as io:
            io.write(session(**what), cache_spec=False)

    return write


def added(store):
    with NWBZarrIO(str(store), mode="r+") as io:
        nwb = io.read()
        nwb.add_acquisition(TimeSeries("more", data=np.arange(3.0), unit="m", rate=1.0))
        io.write(nwb, cache_spec=False)


CORPUS.case("rewrite", "a session with trials", "rewrite", written(), written(k=5))
CORPUS.case("add", "a series is added", "add", written(), added)
CORPUS.case("longer", "a longer session, written anew", "rechunk", written(), written(n=12))
