"""A store of this package as a store of zarr-python, so that Zarr writes folders and buckets alike."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, BufferPrototype

from sat2cap.stores import Store as PackageStore


class ZarrStore(Store):  # type: ignore[misc]
    """The keys of a store as zarr-python asks for them; failures are those of `sat2cap.stores`."""

    def __init__(self, store: PackageStore, *, read_only: bool = False) -> None:
        super().__init__(read_only=read_only)
        self.store = store

    def with_read_only(self, read_only: bool = False) -> "ZarrStore":
        """Return the same store, to be read only or not."""
        return ZarrStore(self.store, read_only=read_only)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ZarrStore) and other.store == self.store

    def __str__(self) -> str:
        return self.store.name

    @property
    def supports_writes(self) -> bool:
        """Whether keys are written."""
        return self.store.can_write

    @property
    def supports_deletes(self) -> bool:
        """Whether keys are deleted."""
        return self.store.can_write

    @property
    def supports_listing(self) -> bool:
        """Whether keys are listed."""
        return self.store.can_list

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the value of a key or a range of it; None if there is none."""
        try:
            data = await asyncio.to_thread(self._read, key, byte_range)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        return prototype.buffer.from_bytes(data)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return ranges of values."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Return whether there is a value."""
        return bool(await asyncio.to_thread(self.store.sizes, [key]))

    async def set(self, key: str, value: Buffer) -> None:
        """Put a value."""
        self._check_writable()
        await asyncio.to_thread(self.store.put, key, value.to_bytes())

    async def delete(self, key: str) -> None:
        """Delete a value; no error if there is none."""
        self._check_writable()
        await asyncio.to_thread(self.store.delete, key)

    async def list(self) -> AsyncIterator[str]:
        """Yield all keys."""
        for key in await asyncio.to_thread(self._list, ""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys that begin with the folders of `prefix`."""
        for key in await asyncio.to_thread(self._list, prefix.rstrip("/")):
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names directly below `prefix`."""
        folder = prefix.rstrip("/")
        depth = len(folder) + 1 if folder else 0
        keys = await asyncio.to_thread(self._list, folder)
        for name in dict.fromkeys(key[depth:].partition("/")[0] for key in keys):
            yield name

    def _list(self, prefix: str) -> "tuple[str, ...]":
        return tuple(key for key, _ in self.store.list(prefix))

    def _read(self, key: str, part: ByteRequest | None) -> bytes:
        """Return a value or the part of it that Zarr asks for. Raises `FileNotFoundError`."""
        match part:
            case RangeByteRequest(start=start, end=end):
                return self.store.get_range(key, start, end)
            case SuffixByteRequest(suffix=count):
                return self.store.get_end(key, count)
            case OffsetByteRequest(offset=start):
                return self.store.get(key)[start:]
        return self.store.get(key)
