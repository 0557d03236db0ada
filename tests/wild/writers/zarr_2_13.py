# /// script
# requires-python = "==3.11.*"
# dependencies = ["zarr==2.13.6", "numcodecs==0.11.0", "numpy==1.26.4", "setuptools==80.9.0"]
# [tool.wild]
# series = true  # an old writer: made anew as it is
# ///
"""zarr-python 2.13 writes format 2."""

from zarr_2_cases import run

run("zarr-python 2.13")
