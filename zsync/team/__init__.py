"""Keep a folder in step with a team's: both ways.

A synchronization is a pull of what changed there and a publish of what changed here, each about some *units*: a Zarr
store as a whole, or a file outside stores. What both sides last agreed on is the *base*, kept beside the folder;
`planning/merge` compares base, folder and target, and says of each unit what changed where (pure: no clock decides
anything). Downloads go first, then uploads, then the base is written, so that a synchronization that was cut off
looks to the next one like one that was partly done: what both sides hold alike is agreed. The base also names what
was on its way, which tells a colleague's half upload of a store from a change, and the stores that were being
replaced, key by key as they were: what is left of one, half replaced, is no version that anybody made, whatever is
preferred the next time. In the target, what is in the way of a file or a directory of its name goes in a publication
of its own, first: a bucket holds both, and nobody could look at that.

Nobody's edit is lost. What a write takes the place of is named with it (`storage.Over`): it must be what was seen,
and is kept in the trash. On a file system that is a hard link followed by a rename, so that even who has the file
open goes on writing into what is kept; on a bucket it rests on the lease. Two members at once are kept apart by lease
and head, as two publishers are; the second waits, looks again, and merges again.
"""
