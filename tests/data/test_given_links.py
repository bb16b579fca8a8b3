"""Links in HDF5 of strangers: what they lead to is never opened, not even to see if it is there."""

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from miacap.data import convert
from miacap.errors import DataError

_OPENED = 0x20  # IN_OPEN of inotify(7)
ROWS, TABLE = np.ones((2, 6), np.float32), np.ones((3, 2, 6), np.float32)


def group(file: Any, **members: object) -> None:
    made = file.create_group("1")
    for name, value in members.items():
        made[name] = value


def through(file: Any, link: h5py.ExternalLink) -> None:
    """A soft link whose way leads through an external one."""
    file["x"] = h5py.ExternalLink(link.filename, "/")
    group(file, features=ROWS, boxes=h5py.SoftLink("/x/secret"))


PLACES: dict[str, Callable[[Any, Any], object]] = {
    "the table": lambda f, link: f.update({"features": link}),
    "its ids": lambda f, link: f.update({"features": TABLE, "image_id": link}),
    "its boxes": lambda f, link: f.update({"features": TABLE, "boxes": link, "image_id": [1, 2]}),
    "features": lambda f, link: f.update({"1_features": link}),
    "boxes": lambda f, link: f.update({"1_features": ROWS, "1_boxes": link}),
    "a group": lambda f, link: f.update({"1": link}),
    "features of a group": lambda f, link: group(f, features=link),
    "boxes of a group": lambda f, link: group(f, features=ROWS, boxes=link),
    "a side": lambda f, link: group(f, features=ROWS, boxes=ROWS[:, :4], img_w=link),
    "on the way": through,
}


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
@pytest.mark.parametrize("place", PLACES)
def test_what_a_link_leads_to_is_not_opened(place: str, tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = ROWS
    with h5py.File(tmp_path / "x.h5", "w") as file:
        PLACES[place](file, h5py.ExternalLink(str(other), "secret"))
    library = ctypes.CDLL(None)
    watch = library.inotify_init1(os.O_NONBLOCK)
    library.inotify_add_watch(watch, bytes(other), _OPENED)
    try:
        with pytest.raises(DataError, match="is a link to elsewhere; nothing is followed"):
            convert([tmp_path / "x.h5"], tmp_path / "f", quiet=True)
        with pytest.raises(BlockingIOError):
            os.read(watch, 4096)
        other.read_bytes()
        assert os.read(watch, 4096)  # so that nothing else would have been silent
    finally:
        os.close(watch)
