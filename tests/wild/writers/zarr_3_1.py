# /// script
# requires-python = ">=3.11"
# dependencies = ["zarr==3.1.6", "numcodecs==0.16.6", "numpy==2.4.6", "packaging==26.4"]
# [tool.wild]
# series = true  # an old writer: made anew as it is
# ///
"""zarr-python 3.1 writes formats 2 and 3."""

from zarr_3_cases import run

run("zarr-python 3.1")
