"""The layout of archives of modules, which pybridge/core_archive.c reads. scripts/archive.py runs this file, too."""

import importlib.util
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, NamedTuple

    class Module(NamedTuple):
        name: str
        kind: int  # 1 for a package, plus twice the number of its folder (_finder.py)
        code: bytes  # in the form of module marshal, perhaps compressed
        full_size: int  # of the code after decompression, or 0
        source: bytes  # compressed, or empty

else:
    from collections import namedtuple

    Module = namedtuple("Module", "name kind code full_size source")

__all__ = ["FIRST", "Module", "pack"]

# Python needs these modules before it can decompress.
FIRST = {"encodings", "encodings.aliases", "encodings.ascii", "encodings.latin_1", "encodings.utf_8"}


def pack(modules: "Iterable[Module]") -> bytes:
    """Returns an archive with the modules."""
    ordered = sorted(modules, key=lambda module: module.name.encode())
    names = b"".join(module.name.encode() + b"\0" for module in ordered)
    name = 8 + 4 + 4 + len(ordered) * 7 * 4
    position = name + len(names)
    head = [struct.pack("<8s4sI", b"fapws 2\0", importlib.util.MAGIC_NUMBER, len(ordered))]
    bodies = []
    for m in ordered:
        head.append(struct.pack("<7I", name, position, len(m.code), m.full_size, position + len(m.code), len(m.source),
                                m.kind))
        name += len(m.name.encode()) + 1
        position += len(m.code) + len(m.source)
        bodies += m.code, m.source
    return b"".join([*head, names, *bodies])
