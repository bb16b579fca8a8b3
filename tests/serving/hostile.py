"""Requests that somebody sends to break a server, drawn from a seed; none holds a good photo."""

import gzip
import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator

from PIL import Image

Drawn = random.Random
NAME = b"127.0.0.1"


def request(
    body: bytes,
    kind: bytes = b"image/jpeg",
    head: bytes = b"",
    *,
    length: bytes | None = None,
    line: bytes = b"POST /v1/caption HTTP/1.1",
    host: bytes = NAME,
) -> bytes:
    told = b"%d" % len(body) if length is None else length
    lines = [line, b"Host: " + host, b"Content-Type: " + kind, b"Content-Length: " + told]
    return b"\r\n".join(lines) + b"\r\n" + head + b"\r\n" + body


def _noise(drawn: Drawn, form: str) -> bytes:
    size = (drawn.randint(40, 300), drawn.randint(40, 300))
    file = io.BytesIO()
    Image.frombytes("RGB", size, drawn.randbytes(3 * size[0] * size[1])).save(file, form)
    return file.getvalue()


def _png(width: int, height: int, data: bytes) -> bytes:
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)]
    chunks += [b"IDAT" + zlib.compress(data, 9), b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks
    )


def cut(drawn: Drawn) -> bytes:
    data = _noise(drawn, drawn.choice(["JPEG", "PNG", "GIF", "TIFF", "WEBP"]))
    return request(data[: int(len(data) * drawn.uniform(0.01, 0.7))])


def bomb(drawn: Drawn) -> bytes:
    side = drawn.randint(9_500, 4_000_000)
    png = _png(side, side, bytes(drawn.randint(1, 200_000)))
    gif = b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + b"\x80\0\0\0\0\0\xff\xff\xff,"
    bmp = b"BM" + struct.pack("<IIIIiiHHIIiiII", 99, 0, 54, 40, side, side, 1, 24, 0, 0, 1, 1, 0, 0)
    return request(drawn.choice([png, gif + bytes(40), bmp]))


def small_photo_that_unpacks_to_nothing(drawn: Drawn) -> bytes:
    return request(_png(drawn.randint(2_000, 6_000), 2_000, b"short"))


def wrong_type(drawn: Drawn) -> bytes:
    kinds = [
        b"text/html",
        b"application/json",
        b"application/x-www-form-urlencoded",
        b"video/mp4",
        b"multipart/mixed; boundary=x",
        b"text/plain;charset=x",
        b"\xff\xfe",
        b"image",
        b"x;",
    ]
    return request(_noise(drawn, "JPEG"), drawn.choice(kinds))  # fmt: skip


def packed(drawn: Drawn) -> bytes:
    way = drawn.choice([b"gzip", b"br", b"deflate"])
    return request(gzip.compress(bytes(100_000)), head=b"Content-Encoding: " + way + b"\r\n")


def huge_headers(drawn: Drawn) -> bytes:
    if drawn.random() < 0.5:
        head = b"X-Long: " + b"a" * drawn.randint(20_000, 300_000) + b"\r\n"
    else:
        head = b"".join(b"X-%d: a\r\n" % n for n in range(drawn.randint(3_000, 9_000)))
    return request(b"x", head=head)


def broken_form(drawn: Drawn) -> bytes:
    file = b'Content-Disposition: form-data; name="photo"; filename="a.jpg"\r\n'
    part = b"--b\r\n" + file + b"Content-Type: image/jpeg\r\n\r\n" + drawn.randbytes(300)
    bodies = [
        part, part + b"\r\n--c--\r\n", b"--b--\r\n", (part + b"\r\n") * 30 + b"--b--\r\n",
        b"--b\r\n" + b"A: b\r\n" * 500 + b"\r\n\r\n--b--\r\n", drawn.randbytes(500),
        b"--b\r\n" + b"A" * 20_000 + b": b\r\n\r\n\r\n--b--\r\n", part + b"\r\n--b--\r\n",
        b"--b\r\nno header at all\r\n\r\nx\r\n--b--\r\n",
    ]  # fmt: skip
    boundary = drawn.choice([b"b", b"b", b"b", b'"b"', b"", b"b" * 999, b"\xff"])
    return request(drawn.choice(bodies), b"multipart/form-data; boundary=" + boundary)


def wrong_length(drawn: Drawn) -> bytes:
    lengths = [b"-1", b"1e3", b"99999999999999999999", b"0x10", b"5, 6", b"", b"3", b"20000001"]
    return request(b"no photo at all", length=drawn.choice(lengths))


def bad_chunks(drawn: Drawn) -> bytes:
    head = b"POST /v1/caption HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    bodies = [b"zz\r\nabc\r\n0\r\n\r\n", b"-5\r\nabc\r\n", b"fffffffffffffffffffffff\r\nabc",
              b"3\r\nabcdef\r\n0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n"]  # fmt: skip
    return head + drawn.choice(bodies)


def other_files(drawn: Drawn) -> bytes:
    script = b"<script>alert(1)</script>"
    bodies = [
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", b"<!doctype html>" + script,
        b"GIF89a" + script, b"%PDF-1.7\n" + script, b"PK\3\4" + drawn.randbytes(400), b"MZ\x90\0",
        b"\xff\xd8\xff\xe0" + script * 40, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"\x7fELF" + bytes(300), b"BM" + script, b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(30),
        b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20), b"II*\0\x08\0\0\0\xff\xff" + bytes(90),
        b"\x89PNG\r\n\x1a\n" + script, b"8BPS\0\1" + bytes(30),
    ]  # fmt: skip
    return request(drawn.choice(bodies), drawn.choice([b"image/svg+xml", b"image/png", b""]))


def any_bytes(drawn: Drawn) -> bytes:
    return request(drawn.randbytes(drawn.choice([0, 1, 2, 100, 5_000, 300_000])))


def no_http(drawn: Drawn) -> bytes:
    return drawn.choice([
        b"\x16\x03\x01\x02\x00\x01\x00" + drawn.randbytes(60) + b"\r\n\r\n", b"\r\n\r\nGET\r\n\r\n",
        b"HELO you\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
    ])  # fmt: skip


def wrong_place(drawn: Drawn) -> bytes:
    lines = [b"PUT /v1/caption HTTP/1.1", b"POST /../../etc/passwd HTTP/1.1", b"POST // HTTP/1.1",
             b"POST /v1/caption?best=1e9 HTTP/1.1", b"POST /v1/explain?hide=\xff HTTP/1.1",
             b"TRACE / HTTP/1.1", b"POST /%2e%2e/%00 HTTP/1.1", b"CONNECT a:1 HTTP/1.1",
             b"POST /v1/caption?best=" + b"9" * 5_000 + b" HTTP/1.1"]  # fmt: skip
    return request(b"x", line=drawn.choice(lines))


def stranger(drawn: Drawn) -> bytes:
    photo = _noise(drawn, "JPEG")
    if drawn.random() < 0.5:
        names = [b"evil.example", b"127.0.0.1.evil.example", b"", b"a" * 999, b"127.0.0.1@evil"]
        return request(photo, host=drawn.choice(names))
    origin = drawn.choice([b"http://evil.example", b"null", b"http://127.0.0.1:1", b"\xff"])
    return request(photo, head=b"Origin: " + origin + b"\r\n")


KINDS: tuple[Callable[[Drawn], bytes], ...] = (
    cut, bomb, small_photo_that_unpacks_to_nothing, wrong_type, packed, huge_headers, broken_form,
    wrong_length, bad_chunks, other_files, any_bytes, no_http, wrong_place, stranger,
)  # fmt: skip


def requests(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Draw requests, the kinds in turns."""
    drawn = Drawn(seed)
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        yield kind.__name__, kind(drawn)
