# /// script
# requires-python = ">=3.11"
# dependencies = ["bio2zarr==0.2.1", "cyvcf2==0.35.0", "pysam==0.24.1", "zarr==3.4.2", "numpy==2.5.5"]
# ///
"""bio2zarr makes VCF Zarr (formats 2 and 3) of a VCF file; a new sample or a later call makes the store anew."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from pathlib import Path

import pysam
from bio2zarr import vcf
from corpus import Corpus

warnings.simplefilter("ignore")
CORPUS = Corpus("VCF Zarr (bio2zarr)", "bio2zarr", "zarr")
HEAD = """##fileformat=VCFv4.3
##FILTER=<ID=PASS,Description="All filters passed">
##contig=<ID=20,length=1000>
##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">
##INFO=<ID=AF,Number=A,Type=Float,Description="Frequency">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
"""
CALLS = ("0|0", "0|1", "1|1", ".|.")


def calls(variants, samples, k=0):
    names = "\t".join(f"s{n}" for n in range(samples))
    yield HEAD + f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{names}\n"
    for v in range(variants):
        genotypes = "\t".join(CALLS[(v + s + k) % 4] for s in range(samples))
        yield f"20\t{10 + v}\trs{v}\tA\tC\t{20 + v}\tPASS\tDP={v + k};AF=0.5\tGT\t{genotypes}\n"


def converted(variants, samples=3, k=0, zarr_format=2):
    def convert(store):
        shutil.rmtree(store, ignore_errors=True)
        with tempfile.TemporaryDirectory() as place:
            plain = Path(place) / "calls.vcf"
            plain.write_text("".join(calls(variants, samples, k)))
            indexed = pysam.tabix_index(str(plain), preset="vcf", force=True)
            more = {"variants_chunk_size": 4, "samples_chunk_size": 2, "zarr_format": zarr_format}
            vcf.convert([indexed], store, worker_processes=0, **more)

    return convert


for zarr_format in (2, 3):
    layout = f"calls, format {zarr_format}"
    for name, does, changes in (
        ("rewrite", "rewrite", {"variants": 6, "k": 1}),
        ("variants", "append", {"variants": 9}),
        ("samples", "append", {"variants": 6, "samples": 4}),
        ("fewer", "shrink", {"variants": 3}),
    ):
        CORPUS.case(
            f"{name}-v{zarr_format}",
            layout,
            does,
            converted(6, zarr_format=zarr_format),
            converted(**changes, zarr_format=zarr_format),
        )
