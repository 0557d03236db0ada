# /// script
# requires-python = "==3.11.*"
# dependencies = [
#   "anndata==0.10.9",
#   "zarr==2.18.7",
#   "numcodecs==0.15.2",
#   "scipy==1.17.1",
#   "pandas==2.3.3",
#   "numpy==1.26.4",
# ]
# [tool.wild]
# series = true  # an old writer: made anew as it is
# ///
"""AnnData of 2024, with zarr-python 2."""

from anndata_cases import run

run("AnnData 0.10", formats=(2,))
