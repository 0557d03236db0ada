"""Bytes in motion: batches, dask, headers."""

from zsync.transfer.batch import Batch, Failure, Outcome, Receipt, Retire, Send
from zsync.transfer.destination import Destination
from zsync.transfer.engine import carry_out, retire
from zsync.transfer.executor import Executor, Serial, Threads, executor_for
from zsync.transfer.headers import HeaderPolicy

__all__ = [
    "Batch",
    "Destination",
    "Executor",
    "Failure",
    "HeaderPolicy",
    "Outcome",
    "Receipt",
    "Retire",
    "Send",
    "Serial",
    "Threads",
    "carry_out",
    "executor_for",
    "retire",
]
