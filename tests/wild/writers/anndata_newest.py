# /// script
# requires-python = ">=3.12"
# dependencies = ["anndata==0.13.4", "scipy==1.18.1", "zarr==3.4.2", "pandas==3.1.1", "numpy==2.5.5"]
# ///
"""AnnData writes dense and sparse matrices, tables and categories."""

from anndata_cases import run

run("AnnData", formats=(2, 3))
