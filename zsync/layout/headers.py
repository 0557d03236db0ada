"""Content types.

Sources: Zarr v3 core specification (metadata documents are JSON); STAC best practices and pystac for the media type of
Cloud-Optimized GeoTIFFs; the IANA media type registry and common use for the rest.
"""

from __future__ import annotations

from zsync.words import Kind, Role

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
JSON = "application/json"
BINARY = "application/octet-stream"

# Written out, since what `mimetypes` answers depends on the machine that it runs on.
_BY_EXTENSION = {
    "bz2": "application/x-bzip2",
    "css": "text/css",
    "csv": "text/csv",
    "geojson": "application/geo+json",
    "gif": "image/gif",
    "gpkg": "application/geopackage+sqlite3",
    "gz": "application/gzip",
    "h5": "application/x-hdf5",
    "hdf5": "application/x-hdf5",
    "htm": "text/html",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript",
    "json": JSON,
    "log": "text/plain",
    "md": "text/markdown",
    "msk": "image/tiff",
    "nc": "application/x-netcdf",
    "ovr": "image/tiff",
    "parquet": "application/vnd.apache.parquet",
    "pdf": "application/pdf",
    "png": "image/png",
    "prj": "text/plain",
    "svg": "image/svg+xml",
    "tfw": "text/plain",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "toml": "application/toml",
    "tsv": "text/tab-separated-values",
    "txt": "text/plain",
    "vrt": "application/xml",
    "webp": "image/webp",
    "xml": "application/xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "zip": "application/zip",
    "zst": "application/zstd",
}


def content_type(kind: Kind, role: Role, key: str) -> str:
    """Return the content type that an object is published with.

    Parameters
    ----------
    kind
        The product's kind.
    role
        What the object is to the product.
    key
        Its key; decides where the role does not.

    Examples
    --------
    >>> content_type(Kind.ZARR, Role.CHUNK, "t2m/0.0")
    'application/octet-stream'
    >>> content_type(Kind.FILES, Role.FILE, "tables/SITES.CSV")
    'text/csv'
    """
    if role is Role.CHUNK:
        return BINARY
    if kind is Kind.ZARR and role in {Role.METADATA, Role.CONSOLIDATED}:
        return JSON
    if role is Role.COG:
        return COG
    _, dot, extension = key.rpartition("/")[2].rpartition(".")
    return _BY_EXTENSION.get(extension.lower(), BINARY) if dot else BINARY
