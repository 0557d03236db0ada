"""The steps of the protocol, that every verb goes through.

1. *Resolve* (`config`): any dialect to a `RunConfig`, that to products with roots and targets. Nothing is looked up
   on disk or network.
2. *Settle* (`steps/settle`), if asked for: wait until the sources have been unchanged for so long. *Take stock*
   (`steps/stock`): scan the sources; read the leases (a publisher at work ends it here), then the heads and listings,
   all products at once. Where a lease is known from last time all are read beside each other: if it still is that one,
   nobody has published since, and what was read beside it counts; else it is read again.
3. *Remember* (`steps/memo`): a plan is a pure function of what was found and of the policy; if neither changed since
   the plan came out empty, it is empty. Nothing heavy has been imported by then.
4. *Inspect* (`steps/source`, `layout`): metadata parses, chunks lie in their grids; consolidated metadata is true, or
   is made anew in memory and describes the target as it will be (the union with what stays there), unless
   `consolidate` says otherwise (`steps/consolidating`).
5. *Digest* (`inventory`): only what the plan cannot do without (`planning.undecided`) and the cache does not know.
6. *Plan* (`steps/decide`, `planning`, `steps/changes`): pure, but for reading the published metadata of stores that
   change, to tell the class of each array's change and to make the fence; and the chunks at the edge of arrays that
   are resized, of which `inventory/chunks` decodes both versions: whether old cells keep their values tells an append
   from an update. A dry run ends here, having written nothing.
7. *Guard*: errors among the findings end it here.
8. *Claim* (`steps/carry`, `publication/lease`): the leases of all products, in the order of their URLs. While data
   goes up, a lease tries out whether the service honours conditions. Multipart uploads that earlier runs left
   unfinished are aborted (`steps/sweep`).
9. *Transfer* (`transfer`): wave after wave, batches of objects as dask tasks, each write on condition of what was
   seen. Before the first stage that is not data the sources are scanned again. The leases are looked at in the target
   before the first stage, before readers are shown anything, and beside the writing of the manifests; before the
   other stages only where the service is not known to honour conditions.
10. *Commit* (`publication`): manifest parts, the publication's record beside each product, then each head by
    compare-and-swap.
11. *Retire*, under the same leases; what stays is named, and the status is one of its own.
12. *Release* the leases; a run that did not come to its end says so in the lease, and the next one lists the target
    even if it was told to trust the manifest.

DESIGN claims the lease before it takes stock. We take it after, because bad input and a publish with nothing to do
should write nothing at all, and lose nothing by it: the lease is never deleted, so its ETag changes with every claim,
renewal and release, and taking it *on condition of the ETag that was read first* proves that nobody published since.
The stock still holds, or the claim fails.
"""
