"""Decompress a body with a limit on what comes out: a small body must not become a large one in memory."""

import zlib
from collections.abc import Callable, Mapping
from typing import Final

import zstandard


class TooLarge(ValueError):
    """More came out than the limit allows."""


class Broken(ValueError):
    """Not what its coding says: corrupt, or cut short."""


_UNKNOWN: Final = 2**64 - 1  # zstd: the frame does not tell its size
_WINDOW: Final = 2**23  # zstd: bytes a frame may look back; what RFC 8878 §3.1.1.1.2 asks decoders for


def gzip(data: bytes, limit: int) -> bytes:
    """Inflate RFC 1952, all members of it."""
    parts: list[bytes] = []
    while data:
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        parts.append(_inflate(member, data, limit))
        limit -= len(parts[-1])
        data = member.unused_data
    return b"".join(parts)


def deflate(data: bytes, limit: int) -> bytes:
    """Inflate RFC 1950; also the bare RFC 1951 that some senders mean by ``deflate``."""
    wrapped = len(data) > 1 and data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
    return _inflate(zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS), data, limit)


def zstd(data: bytes, limit: int) -> bytes:
    """Decompress one frame of RFC 8878. No more memory than the limit is used, whatever the frame says of itself."""
    try:
        told = zstandard.get_frame_parameters(data).content_size
        if told == _UNKNOWN:
            return _zstd_stream(data, limit)
        if told > limit:
            raise TooLarge
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=limit, allow_extra_data=False)
    except zstandard.ZstdError as exc:
        raise Broken(str(exc)) from None


def _zstd_stream(data: bytes, limit: int) -> bytes:
    """Decompress a frame that does not tell its size: first to measure it, then to keep it."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    with decompressor.stream_reader(data) as reader:
        size = 0
        while chunk := reader.read(2**16):
            size += len(chunk)
            if size > limit:
                raise TooLarge
    stream = decompressor.decompressobj()
    out = stream.decompress(data)
    if not stream.eof or stream.unused_data:
        raise Broken("the frame ends too early, or something follows it")
    return out


def _inflate(stream: "zlib._Decompress", data: bytes, limit: int) -> bytes:
    try:
        out = stream.decompress(data, limit + 1)
    except zlib.error as exc:
        raise Broken(str(exc)) from None
    if len(out) > limit:
        raise TooLarge
    if not stream.eof:
        raise Broken("the data ends too early")
    return out


CODINGS: Final[Mapping[str, Callable[[bytes, int], bytes]]] = {
    "gzip": gzip,
    "x-gzip": gzip,
    "deflate": deflate,
    "zstd": zstd,
}
"""By their names in ``Content-Encoding`` (lower case)."""
