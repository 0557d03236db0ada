"""Bring what is published to this machine: a publish the other way.

A pull is a publish the other way: what is published is the source (`inventory/origin.Objects`, from the manifest or a
listing), a directory is the target (`file://`), and everything between is the same: survey, plan, fence, stages,
receipts, manifest, head, lease. So a reader of the local copy sees what a remote reader would. What differs is
policy: objects that are here and were not pulled as they are now are left alone (`planning/safe`, a Zarr store as a
whole), content that is here is recognised by hashing it (`pulling/adopt`), only objects of stores that we put here
are retired, keys that cannot be files here are refused (`layout/checks.local_findings`), and every read asks for the
ETag or version on record, so that nothing can be of two publications.

A part (`--select`, `--variables`) is cut array by array, by the names of dimensions (`layout/dimensions`), so that
nobody has to be able to open a group as a whole; what has no names is told and does not come. What a pull replaces or
removes and did not put here as it is was somebody's edit, and leaves a copy in the trash (`pulling/edits`). What is
wrong with the chunks of another publisher's store concerns who reads it, here or there, and stops no copy.

On a file system an ETag is a file's times and inode: it tells neither what a pull wrote that was then cut off, nor a
file whose permissions were changed. So a pull notes what it is about to write before it begins (`pulling/pending`,
beside the lease), and the next one takes for ours what holds, by its bytes, what was noted or is on record. Files
that are half written are called `.<hex>.partial` beside their place, are not there for a listing, and go with the
next pull that takes the lease. What comes from a bucket is only what somebody wrote: keys, names of products, sizes
and digests of a manifest are checked before anything is written (`pulling/published`, `pulling/room`), and bytes that
are not those on record are asked for again, then refused (`inventory/origin.ObjectReader`).
"""
