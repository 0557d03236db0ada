"""Bytes in motion: batches, dask, headers.

Why it is so
------------

- A new object is hashed while it is sent, not before: the plan needs no digest of what the target does not have. What
  was planned is told by the file's signature until then.
- Executors take a work function and batches, and hand outcomes to a callback in the caller's thread. Workers return
  receipts or failures as values and never commit. Threads, processes and dask's workers fit behind the same three
  lines.
- How many requests are in flight is one window a process (`window`), whatever batches there are: it widens while the
  process mostly waits. A batch is only what is handed out, and what a process that dies has to have done again.
"""

from zsync.transfer.batch import Batch, Batches, Check, Cut, Failure, Hash, Outcome, Receipt, Retire, Send, cut
from zsync.transfer.checking import check_batch, hash_batch
from zsync.transfer.destination import Destination
from zsync.transfer.engine import carry_out, retire
from zsync.transfer.executor import Executor, Serial, Threads, executor_for
from zsync.transfer.headers import HeaderPolicy
from zsync.transfer.receipts import Receipts

__all__ = [
    "Batch",
    "Batches",
    "Check",
    "Cut",
    "Destination",
    "Executor",
    "Failure",
    "Hash",
    "HeaderPolicy",
    "Outcome",
    "Receipt",
    "Receipts",
    "Retire",
    "Send",
    "Serial",
    "Threads",
    "carry_out",
    "check_batch",
    "cut",
    "executor_for",
    "hash_batch",
    "retire",
]
