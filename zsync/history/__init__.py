"""What was published when and by whom, and what changed between two publications: `zsync log`.

Why it is so
------------

- A difference is one of manifests: parts that both publications name are the same in both, and are not even read. What
  changed is told by digest; by ETag where a digest is not on record.
- Ranges are those of each axis by itself: chunks (0, 0) and (3, 2) come to 0 and 3 of the first axis, 0 and 2 of the
  second. They are in labels where the coordinate is small and can be had as it was published then: where the key still
  holds it, in its version, or in the trash. Every byte that is looked at is compared with its digest on record first.
- What is not to be had any more makes a difference say less, and never fails it: chunks, counts and sizes are in the
  manifests.
"""
