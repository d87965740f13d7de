"""Frames on two pipes: one byte of type, four bytes of length (big-endian), the payload.

`J` is a JSON message, `D` is data; an empty `D` ends a stream of data.
"""

from __future__ import annotations

import json
import os
import struct
from typing import IO, Any, Iterator  # noqa: UP035  Python 3.8

JSON_FRAME = b"J"
DATA_FRAME = b"D"
HEADER = struct.Struct(">cI")
FRAME_SIZE = 256 * 1024
"""Bytes that are gathered before a data frame leaves."""
MAX_FRAME = 64 * 1024 * 1024
"""Bytes; a longer frame means that the other side is not ours."""


class ProtocolError(Exception):
    """The other side is gone, or speaks something else."""


def write_frame(stream: IO[bytes], kind: bytes, payload: bytes) -> None:
    """Given a stream, write one frame to it."""
    stream.write(HEADER.pack(kind, len(payload)))
    stream.write(payload)


def read_frame(stream: IO[bytes]) -> tuple[bytes, bytes] | None:
    """Given a stream, return the next frame as (type, payload), or None at its end.

    :raises ProtocolError: the stream ends inside a frame, or holds something else
    """
    header = stream.read(HEADER.size)
    if not header:
        return None
    if len(header) < HEADER.size:
        raise ProtocolError("the stream ends inside a frame")
    kind, length = HEADER.unpack(header)
    if kind not in (JSON_FRAME, DATA_FRAME) or length > MAX_FRAME:
        raise ProtocolError("not a frame")
    payload = stream.read(length)
    if len(payload) < length:
        raise ProtocolError("the stream ends inside a frame")
    return kind, payload


class Channel:
    """The application's side of the two pipes."""

    def __init__(self, commands: IO[bytes], answers: IO[bytes]) -> None:
        self.commands = commands
        self.answers = answers

    @classmethod
    def take_over(cls) -> Channel:
        """Keep stdin and stdout for frames alone: what the application prints from now on goes to stderr."""
        commands, answers = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        return cls(open(commands, "rb"), open(answers, "wb", FRAME_SIZE * 2))  # noqa: PTH123  descriptors

    def send(self, event: str, **values: Any) -> None:
        """Send one JSON message."""
        message = json.dumps(dict(values, event=event), ensure_ascii=True).encode()
        write_frame(self.answers, JSON_FRAME, message)
        self.answers.flush()

    def send_data(self, data: bytes) -> None:
        """Send data, in frames of a size that the other side accepts, past the buffer: it would copy all once more."""
        for start in range(0, len(data), MAX_FRAME):
            piece = memoryview(data)[start : start + MAX_FRAME]
            self.answers.write(HEADER.pack(DATA_FRAME, len(piece)))
            self.answers.flush()
            while piece:
                piece = piece[os.write(self.answers.fileno(), piece) :]

    def receive(self) -> dict[str, Any] | None:
        """Return the next command, or None when the engine has hung up."""
        frame = read_frame(self.commands)
        if frame is None:
            return None
        if frame[0] != JSON_FRAME:
            raise ProtocolError("data where a command was expected")
        command: dict[str, Any] = json.loads(frame[1].decode())
        return command

    def receive_data(self) -> Iterator[bytes]:
        """Yield the data frames up to the empty one."""
        while True:
            frame = read_frame(self.commands)
            if frame is None or frame[0] != DATA_FRAME:
                raise ProtocolError("a stream of data was cut off")
            if not frame[1]:
                return
            yield frame[1]
