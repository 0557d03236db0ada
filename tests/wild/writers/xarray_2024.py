# /// script
# requires-python = "==3.11.*"
# dependencies = [
#   "xarray==2024.7.0",
#   "zarr==2.18.7",
#   "numcodecs==0.15.2",
#   "dask==2024.7.0",
#   "pandas==2.3.3",
#   "cftime==1.6.6.1",
#   "numpy==1.26.4",
# ]
# [tool.wild]
# series = true  # an old writer: made anew as it is
# ///
"""xarray of 2024, with zarr-python 2, writes the same layouts."""

from xarray_cases import run

run("xarray 2024", formats=(2,))
