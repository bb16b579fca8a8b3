"""The photo in a request: its bytes as they are, or the one file of a form; all in memory.

Content-Type: image/jpeg (any image type), application/octet-stream, or none     the bytes
Content-Type: multipart/form-data; boundary=...                                  one file
"""

import asyncio
from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from miacap.serving.limits import Limits
from miacap.serving.refusals import Refused

__all__ = ["photo_of"]

_MOST_PARTS = 20
_MOST_HEADERS = 8
_LONGEST_HEADER = 4096
_HOW = "send the photo's bytes as the body, or as the one file of a multipart form"


async def photo_of(request: Request, limits: Limits) -> bytes:
    """Give the photo that a request brings, empty bytes where it has none.

    Raises:
        Refused: too large (413), too slow (408), of a type that holds no photo (415), a broken
            form or no photo (400).
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    form = kind == b"multipart/form-data"
    if (
        not form
        and kind not in (b"", b"application/octet-stream")
        and not kind.startswith(b"image/")
    ):
        raise Refused(415, f"A body of type {_shown(kind)} holds no photo; {_HOW}.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "A body that is packed (Content-Encoding) is not read; send it plain.")
    boundary = options.get(b"boundary", b"")
    if form and not boundary:
        raise Refused(400, "The form's Content-Type names no boundary; let your client set it.")
    _check_length(request, limits)
    try:
        async with asyncio.timeout(limits.body_seconds):
            body = await _read(request.stream(), limits.body_bytes)
    except TimeoutError:
        raise Refused(
            408, f"The body did not arrive within {limits.body_seconds:g} seconds; send it again."
        ) from None
    except ClientDisconnect:
        raise Refused(400, "The connection ended before the body did.") from None
    photo = _file_of(body, boundary) if form else body
    if not photo:
        raise Refused(400, f"There is no photo in the request; {_HOW}.")
    return photo


def _check_length(request: Request, limits: Limits) -> None:
    told = request.headers.get("content-length", "0")
    if told.isdecimal() and int(told[:20]) > limits.body_bytes:
        raise _too_large(limits.body_bytes)


async def _read(chunks: AsyncIterator[bytes], most: int) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        if len(body) + len(chunk) > most:
            raise _too_large(most)
        body += chunk
    return bytes(body)


def _too_large(most: int) -> Refused:
    return Refused(
        413,
        f"The body has more than {most / 1e6:g} MB; make the photo smaller, or save it as JPEG.",
    )


def _shown(kind: bytes) -> str:
    return repr(kind[:60].decode("latin-1"))


class _Form:
    """Collects the one file of a form; fields beside it are passed over."""

    def __init__(self) -> None:
        self.files: list[bytearray] = []
        self.whole = False
        self._parts = 0
        self._name, self._value = b"", b""
        self._into: bytearray | None = None

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._part,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def _part(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise Refused(400, f"The form has more than {_MOST_PARTS} parts; send the photo alone.")
        self._into = None

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header(self) -> None:
        name, value = self._name.lower(), self._value
        self._name, self._value = b"", b""
        if name != b"content-disposition":
            return
        _, options = parse_options_header(value)
        if b"filename" in options or b"filename*" in options:
            self._into = bytearray()
            self.files.append(self._into)
            if len(self.files) > 1:
                raise Refused(400, "The form has several files; send one photo a request.")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._into is not None:
            self._into += data[start:end]

    def _end(self) -> None:
        self.whole = True


def _file_of(body: bytes, boundary: bytes) -> bytes:
    form = _Form()
    try:
        parser = MultipartParser(
            boundary,
            form.callbacks(),  # type: ignore[arg-type]
            max_header_count=_MOST_HEADERS,
            max_header_size=_LONGEST_HEADER,
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Refused(400, f"The form is broken ({str(error)[:100]}); {_HOW}.") from None
    if not form.whole:
        raise Refused(400, f"The form is cut off: its last boundary is absent; {_HOW}.")
    return bytes(form.files[0]) if form.files else b""
