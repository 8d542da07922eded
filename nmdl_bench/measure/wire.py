"""Messages between a parent and its worker processes: msgpack, each preceded by its length, over private pipes."""

from __future__ import annotations

import os
import struct
from typing import Any

import msgspec

_HEADER = struct.Struct("<I")
_CHUNK = 1 << 20
_encoder = msgspec.msgpack.Encoder()


def send(fd: int, message: Any) -> None:
    """Write one message (msgpack-encodable) to a file descriptor, waiting until all of it is out."""
    data = _encoder.encode(message)
    view = memoryview(_HEADER.pack(len(data)) + data)
    while view:
        view = view[os.write(fd, view) :]


class Inbox:
    """Collects bytes from a file descriptor and hands out whole messages."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._buffer = bytearray()

    def read(self) -> None:
        """Take what is there, waiting for at least one byte; raises EOFError when the other side is gone."""
        data = os.read(self.fd, _CHUNK)
        if not data:
            raise EOFError
        self._buffer += data

    def pop(self) -> bytes | None:
        """The next whole message, still encoded, or None."""
        if len(self._buffer) < _HEADER.size:
            return None
        (length,) = _HEADER.unpack_from(self._buffer)
        end = _HEADER.size + length
        if len(self._buffer) < end:
            return None
        message = bytes(self._buffer[_HEADER.size : end])
        del self._buffer[:end]
        return message

    def receive(self) -> Any:
        """Wait for the next message and decode it; raises EOFError when the other side is gone."""
        while (message := self.pop()) is None:
            self.read()
        return msgspec.msgpack.decode(message)
