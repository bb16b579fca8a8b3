"""JPEG files that lack only their end marker: told from those that are cut off inside.

A decoder that runs out of data invents the rest of the photo. So a file that ends early is
decoded three times, each time with other bytes appended: if its data are whole, none of these is
looked at, and the photos are equal. Of a progressive JPEG all scans have to be there, too.
"""

import re
from collections.abc import Iterator

MOST_SCANNED = 1_500_000_000
"""Pixels that a decoder goes over, all scans together: 16 scans of the largest photo."""
MOST_JUNK = 1 << 20
"""Bytes before the first scan that belong to no segment."""
MOST_SEGMENTS = 100_000
"""Half a gigabyte of EXIF and colour profile, in segments of 64 KB, has 8,000."""

_START, _END = b"\xff\xd8", b"\xff\xd9"
# Zeros, ones (FF 00 is eight of them), and neither: two alone may mislead a decoder alike.
TAILS = (b"\x00" * 64, b"\xff\x00" * 64, b"\x55\xaa\x3c" * 64)
_PROGRESSIVE = 0xC2
_FRAMES = (0xC0, 0xC1, _PROGRESSIVE)
_SCAN = 0xDA
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
_COEFFICIENT_BYTES = 2.1  # two, and rows and columns that fill the last blocks


def ends_early(data: bytes) -> bool:
    """Whether these may be the bytes of a JPEG without its end marker."""
    return data.startswith(_START) and _has_all_scans(data)


def completed(data: bytes, tail: bytes) -> bytes:
    """Give a JPEG that ends early with some bytes and an end marker behind it.

    Equal photos whatever the tail mean that nothing but the end marker is missing.
    """
    return (data[:-1] if data.endswith(b"\xff") else data) + tail + _END


def coefficients(data: bytes) -> int:
    """Give how many bytes of coefficients libjpeg holds while it decodes: none of a single scan.

    Progressive files have several scans, and so may sequential ones.
    """
    frame, several = b"", False
    for marker, segment in _segments(data):
        if marker in _FRAMES and len(segment) >= 6:
            frame, several = segment, marker == _PROGRESSIVE
        elif marker == _SCAN:
            several = several or (bool(segment and frame) and segment[0] < frame[5])
            break
    if not several:
        return 0
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    sampling = [(byte >> 4, byte & 15) for byte in frame[7 : 6 + 3 * frame[5] : 3]]
    most = max(h for h, _ in sampling) * max(v for _, v in sampling) if sampling else 0
    share = sum(h * v for h, v in sampling) / max(1, most)
    return int(width * height * share * _COEFFICIENT_BYTES)


def _has_all_scans(data: bytes) -> bool:
    """Whether each coefficient of each channel has come with its last bit, as far as it matters.

    A scan that refines bits says from which bit on it holds them ("Al"); 0 is the last one
    (ITU-T T.81, B.2.3). A sequential JPEG has them all in whatever scans there are.
    """
    missing: dict[int, set[int]] = {}
    progressive = False
    for marker, segment in _segments(data):
        if marker == _PROGRESSIVE and len(segment) >= 6:
            progressive = True
            missing = {segment[6 + 3 * i]: set(range(64)) for i in range(segment[5])}
        elif marker == _SCAN and segment:
            count = segment[0]
            first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
            if bits & 15 == 0:
                for channel in segment[1 : 1 + 2 * count : 2]:
                    missing.get(channel, set()).difference_update(range(first, last + 1))
    return not progressive or not any(missing.values())


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give markers and what belongs to them, up to the end marker or the end of the data."""
    at = 2
    # Stuffed bytes, restarts and fill bytes have nothing behind them, and are no markers here.
    while marker := _MARKER.search(data, at):
        at = marker.start()
        if data[at + 1] == _END[1] or at + 4 > len(data):
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        yield data[at + 1], data[at + 4 : at + 2 + length]
        at += 2 + max(length, 2)


def is_junk(data: bytes) -> bool:
    """Whether so much lies before the first scan that looking for it would take long.

    Segments are skipped by their length, so EXIF and colour profiles may be as long as they like.
    Pillow takes everything else byte by byte.
    """
    at, junk, segments = 2, 0, 0
    if not data.startswith(_START):
        return False
    while junk <= MOST_JUNK and segments <= MOST_SEGMENTS:
        marker = _MARKER.search(data, at, at + MOST_JUNK + 2)
        if marker is None:
            return len(data) - at > MOST_JUNK
        junk += marker.start() - at
        at = marker.start()
        if data[at + 1] == _SCAN or at + 4 > len(data):
            return False
        if data[at + 1] == _END[1]:  # Pillow looks on behind it
            at, junk = at + 2, junk + 2
            continue
        at += 2 + max(int.from_bytes(data[at + 2 : at + 4], "big"), 2)
        segments += 1
    return True


def scans(data: bytes) -> int:
    """Count the scans of a JPEG, each of which goes over the whole photo once more."""
    count = 0
    for index, (marker, _) in enumerate(_segments(data)):
        count += marker == _SCAN
        if index > MOST_SEGMENTS:
            return index
    return count


def takes_too_long(data: bytes, pixels: int) -> bool:
    """Whether decoding goes over more than `MOST_SCANNED` pixels, all scans together."""
    # The bytes of a scan's marker occur in thumbnails and further photos of the file as well.
    if data.count(bytes((0xFF, _SCAN))) * pixels <= MOST_SCANNED:
        return False
    return scans(data) * pixels > MOST_SCANNED
