"""``wsgi.file_wrapper`` (PEP 3333)."""
from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["FileWrapper"]

_BLOCK = 65536  # bytes


class FileWrapper:
    """FileWrapper(filelike, block_size=65536): wsgi.file_wrapper of PEP 3333."""

    __module__ = "_fapws"
    __slots__ = ("block_size", "filelike")

    def __init__(self, filelike: Any, block_size: int = _BLOCK) -> None:
        self.filelike = filelike
        self.block_size = block_size if block_size > 0 else _BLOCK

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> Any:
        block = self.filelike.read(self.block_size)
        if len(block) == 0:
            raise StopIteration
        return block

    def close(self) -> Any:
        """Closes the wrapped file."""
        close = getattr(self.filelike, "close", None)
        return close() if close is not None else None
