"""Read a publication in place, as it was published, however much is published meanwhile.

A snapshot is a publication of a product: its id, and the parts of its manifest (`snapshots/finding`). Of each object
that the manifest names it reads the version on record; where the bucket keeps none, what has the ETag on record: in its
place, or, where a later publication put it aside, in the trash (`publication/whereabouts`). Every request names version
or ETag, whole objects have to come to the digest on record besides, and nothing else is ever read: so that what a
reader gets is of one publication, or an error that names what is gone. Only what the manifest does not name is absent,
and so a fill value.

Objects that were replaced are looked for when a request finds them gone, not before: a reader that opens the current
publication asks for the head, the manifest and what it reads. Whatever is put aside is so before it is replaced, so
that a listing of the trash that began after the miss has it; one listing serves all who miss something.

Doors are a store for zarr (`snapshots/store`) and a file system for GDAL (`snapshots/files`): GDAL has no way to name a
version of S3's, and a signed URL would hold a secret, in the dataset's name. What travels to workers is the snapshot, a
value without secrets; each opens its own connection, and keeps the manifest for all tasks (`reading.contents_of`).
"""
