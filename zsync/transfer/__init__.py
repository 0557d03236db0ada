"""Bytes in motion: batches, dask, headers.

Why it is so
------------

- A new object is hashed while it is sent, not before: the plan needs no digest of what the target does not have. What
  was planned is told by the file's signature until then.
- Executors take a work function and batches, and hand outcomes to a callback in the caller's thread. Workers return
  receipts or failures as values and never commit. Processes and distributed schedulers fit behind the same three
  lines.
"""

from zsync.transfer.batch import Batch, Failure, Outcome, Receipt, Retire, Send
from zsync.transfer.destination import Destination
from zsync.transfer.engine import carry_out, retire
from zsync.transfer.executor import Executor, Serial, Threads, executor_for
from zsync.transfer.headers import HeaderPolicy
from zsync.transfer.receipts import Receipts

__all__ = [
    "Batch",
    "Destination",
    "Executor",
    "Failure",
    "HeaderPolicy",
    "Outcome",
    "Receipt",
    "Receipts",
    "Retire",
    "Send",
    "Serial",
    "Threads",
    "carry_out",
    "executor_for",
    "retire",
]
