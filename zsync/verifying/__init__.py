"""Verify: whether what was published is still there, unchanged, and can be read (promise P10).

One listing answers most of it: it is compared with the manifest of the publication, object by object. Lease, head and
unfinished uploads are asked for beside it, manifest and record beside each other; what a listing lacks is asked for by
its key before it counts as missing. What differs is asked for again,
until the head is the one that it was before.

1. *From the listing* (`verifying/asking`, `verifying/compare`): what is missing, what nobody published, what somebody
   wrote over, in size or in ETag.
2. *By a HEAD* (`verifying/headers`): headers and versions, of a sample or of all; the manifest has a digest of them.
3. *By itself* (`verifying/structure`): where nothing is on record, all that `layout` can tell; else of the stores of
   which metadata is not as it was published. What is as it was published was judged then.
4. *From the bytes* (`verifying/reading`): digests, or MD5s where nothing is on record. Of a directory the times of
   files stand for ETags: what was touched is always read.
5. *As a reader* (`verifying/readers`): stores with consolidated metadata and without, some chunks, all rasters.

`verifying/repair` is an ordinary publish. What was found wrong is a fact of its stock (`Stock.doubted`): the target is
not believed to hold it, though size and ETag are those on record.

Thinking (`compare`, `told`, `structure`, `sampling`, `zarr_checksum`, `difference`) does no I/O.
"""
