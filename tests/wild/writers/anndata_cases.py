"""What AnnData is asked to write."""

from __future__ import annotations

import shutil
import warnings

import anndata
import numpy as np
import pandas as pd
import zarr
from corpus import Corpus
from scipy import sparse

warnings.simplefilter("ignore")


def cells(n, matrix, k=0):
    counts = np.arange(n * 4).reshape(n, 4) % 3
    counts += (counts > 0) * k  # other numbers, not more of them
    obs = pd.DataFrame(
        {"kind": pd.Categorical([("T", "B")[i % 2] for i in range(n)]), "depth": np.arange(n) + 0.5, "is_good": True},
        index=[f"cell{i}" for i in range(n)],
    )
    found = anndata.AnnData(matrix(counts.astype("f4")), obs=obs, var=pd.DataFrame(index=list("abcd")))
    found.layers["raw"] = sparse.csc_matrix(counts)
    found.obsm["X_pca"] = np.arange(n * 2.0).reshape(n, 2)
    found.obsp["near"] = sparse.csr_matrix(np.eye(n))
    found.uns = {"title": "cells", "nested": {"k": 3, "words": np.array(["a", "b"])}}
    return found


def run(writer, formats):
    corpus = Corpus(writer, "anndata", "zarr")
    for zarr_format in formats:

        def written(n, matrix, k=0, chunks=None, zarr_format=zarr_format):
            def write(store):
                shutil.rmtree(store, ignore_errors=True)
                if hasattr(getattr(anndata, "settings", None), "zarr_write_format"):
                    anndata.settings.zarr_write_format = zarr_format
                cells(n, matrix, k).write_zarr(store, chunks=chunks)

            return write

        def consolidated(step):
            def done(store):
                step(store)
                zarr.consolidate_metadata(str(store))

            return done

        def attributes(store):
            more = {"use_consolidated": False} if zarr.__version__ >= "3" else {}
            group = zarr.open_group(str(store), mode="a", **more)
            group["obs"].attrs["note"] = "looked at"

        def element(store):
            more = {"use_consolidated": False} if zarr.__version__ >= "3" else {}
            group = zarr.open_group(str(store), mode="a", **more)
            write = getattr(anndata.experimental, "write_elem", None) or anndata.io.write_elem
            write(group["obsm"], "X_umap", np.arange(8.0).reshape(4, 2))

        kinds = {"dense": np.asarray, "csr": sparse.csr_matrix}
        for name, matrix in kinds.items():
            suffix = f"{name}-v{zarr_format}"
            layout = f"{name} matrix, format {zarr_format}"
            corpus.case(f"{suffix}-rewrite", layout, "rewrite", written(4, matrix), written(4, matrix, 1))
            corpus.case(f"{suffix}-longer", layout, "rechunk", written(4, matrix), written(6, matrix))
            corpus.case(f"{suffix}-element", layout, "add", written(4, matrix), consolidated(element))
        consolidated_first = consolidated(written(4, np.asarray, chunks=(2, 4)))
        corpus.case(
            f"consolidated-v{zarr_format}",
            f"consolidated, format {zarr_format}",
            "attributes",
            consolidated_first,
            consolidated(attributes),
        )
