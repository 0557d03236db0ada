# /// script
# requires-python = ">=3.12"
# dependencies = ["zarr==3.4.2", "numcodecs==0.17.1", "numpy==2.5.5", "packaging==26.4"]
# ///
"""zarr-python newest writes formats 2 and 3."""

from zarr_3_cases import run

run("zarr-python newest")
