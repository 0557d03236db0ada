# /// script
# requires-python = ">=3.12"
# dependencies = [
#   "xarray==2026.9.0",
#   "zarr==3.4.2",
#   "dask==2026.8.0",
#   "pandas==3.1.1",
#   "cftime==1.6.6.1",
#   "numpy==2.5.5",
# ]
# ///
"""xarray writes the layouts of missions, models and reanalyses, formats 2 and 3, DataTrees, regions."""

from xarray_cases import run

run("xarray", formats=(2, 3))
