# /// script
# requires-python = "==3.11.*"
# dependencies = ["zarr==2.18.7", "numcodecs==0.15.2", "numpy==2.4.6", "setuptools==80.9.0"]
# [tool.wild]
# series = true  # an old writer: made anew as it is
# ///
"""zarr-python 2.18 writes format 2."""

from zarr_2_cases import run

run("zarr-python 2.18")
