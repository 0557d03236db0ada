# /// script
# requires-python = ">=3.12"
# dependencies = ["zarrs==0.2.3", "zarr==3.4.2", "numcodecs==0.17.1", "numpy==2.5.5", "packaging==26.4"]
# ///
"""zarrs (Rust) encodes the chunks, through zarr-python's codec pipeline."""

import zarr
import zarrs
from zarr_3_cases import run

_ = zarrs.ZarrsCodecPipeline
zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
# What is not about chunks zarr-python writes, here as elsewhere.
CHUNKS = (
    "append",
    "shrink",
    "rewrite",
    "sharded",
    "keys",
    "edges",
    "emptied",
    "types",
    "texts",
    "codecs",
    "rectilinear",
)
run("zarrs", "zarrs", only=CHUNKS)
