"""Receipts of a run, column by column: of a million there is no object each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from zsync.packed import Texts, numbers_of
from zsync.transfer.batch import Receipt

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Iterator

    import pyarrow as pa


_DIGEST = 32  # bytes of a BLAKE3


class Receipts:
    """What the stores answered, in the order in which it came; it grows as a list does.

    Examples
    --------
    >>> digest = "0a" * 32
    >>> receipts = Receipts([Receipt("p", "a", 1, digest, "e", None)])
    >>> receipts += [Receipt("q", "b", 2, digest, "e", None)]
    >>> len(receipts), [receipt.key for receipt in receipts], receipts.products
    (2, ['a', 'b'], ('p', 'q'))
    """

    def __init__(self, receipts: Iterable[Receipt] = ()) -> None:
        self._columns: dict[str, _Columns] = {}
        self.extend(receipts)

    @property
    def products(self) -> tuple[str, ...]:
        """The products of which there are any."""
        return tuple(self._columns)

    def append(self, receipt: Receipt) -> None:
        """Take one in."""
        self.extend((receipt,))

    def extend(self, receipts: Iterable[Receipt]) -> None:
        """Take some in."""
        by_product: dict[str, list[Receipt]] = {}
        for receipt in receipts:
            by_product.setdefault(receipt.product, []).append(receipt)
        for product, some in by_product.items():
            if product not in self._columns:
                self._columns[product] = _Columns()
            self._columns[product].extend(some)

    def __iadd__(self, receipts: Iterable[Receipt]) -> Self:
        self.extend(receipts)
        return self

    def __iter__(self) -> Iterator[Receipt]:
        for product, columns in self._columns.items():
            yield from columns.rows(product)

    def __len__(self) -> int:
        return sum(len(columns.keys) for columns in self._columns.values())

    def table(self, product: str) -> pa.Table:
        """Return those of a product: `zsync.tables.ANSWERS`. None can be added any more while it is used."""
        return self._columns.get(product, _Columns()).table()


class _Columns:
    def __init__(self) -> None:
        self.keys: Texts[str] = Texts()
        self._sizes: array[int] = numbers_of(())
        self._digests = bytearray()  # of 32 bytes each
        self._etags: Texts[str | None] = Texts()
        self._versions: Texts[str | None] = Texts()

    def extend(self, receipts: list[Receipt]) -> None:
        self.keys.extend([receipt.key for receipt in receipts])
        self._sizes.extend([receipt.size for receipt in receipts])
        self._digests += bytes.fromhex("".join([receipt.digest for receipt in receipts]))
        self._etags.extend([receipt.etag for receipt in receipts])
        self._versions.extend([receipt.version for receipt in receipts])

    def rows(self, product: str) -> Iterator[Receipt]:
        digests = (self._digests[at : at + _DIGEST].hex() for at in range(0, len(self._digests), _DIGEST))
        columns = (self.keys, self._sizes, digests, self._etags, self._versions)
        for key, size, digest, etag, version in zip(*columns, strict=True):
            yield Receipt(product, key, size, digest, etag, version)

    def table(self) -> pa.Table:
        import pyarrow as pa

        from zsync.tables import ANSWERS, column

        keys, etags, versions = (column(values, pa.string()) for values in (self.keys, self._etags, self._versions))
        digests = pa.Array.from_buffers(pa.binary(_DIGEST), len(self.keys), [None, pa.py_buffer(self._digests)])
        return pa.table([keys, digests, etags, versions], schema=ANSWERS)
