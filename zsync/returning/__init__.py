"""Go back to an earlier publication: a publish whose source is what the place itself held.

`meant` tells which publication each product goes back to, `sources` takes stock: the source is the earlier manifest,
each object read from where its bytes are now (`steps/whereabouts`): its place, an older version of it, or the trash.
What is not to be had any more is known before anything is written, for all products; then none goes back. Where ETags
say nothing of bytes, what would be sent is read once beforehand, and has to come to the digest on record.

From there on it is a publish (`going`): survey, plan, fence, stages, leases, conditions, record, head. What differs is
policy. Nothing is judged anew; how many objects retire is no question, for that was asked for; what is on record and
was not published then retires, and whatever else lies in a store, for readers who list it would find it; what lies
elsewhere and is on no record is somebody else's. Where the bucket keeps no versions all that is replaced goes to the
trash, so that a rollback can be undone by another. Headers of what stays are left as they are on record.

The bucket copies by itself what is sent, on condition of the ETag that the source has to have and of what is replaced
(`ObjectStore.copy_seen`); whether the service heeds both is tried out on the record. What it does not copy, and all of
it where conditions are ignored, travels through this machine, where it is compared with the digest on record.
"""
