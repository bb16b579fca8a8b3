"""Files that the shell hands over as pipes (`<(...)`) are read once, and known by those bytes."""

import hashlib
import os
from pathlib import Path

import pytest

from miacap.concepts.lists import read_lists
from miacap.data import NoPhotos
from miacap.data import read as read_data


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="pipes of a shell")
def test_of_a_pipe_the_bytes_that_were_read_are_hashed() -> None:
    data = b'{"a.jpg": ["dog"]}\n'
    there, here = os.pipe()
    os.write(here, data)
    os.close(here)
    lists = read_lists(f"/dev/fd/{there}")
    os.close(there)
    assert lists.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="pipes of a shell")
def test_of_captions_and_splits_in_pipes_the_bytes_that_were_read_are_hashed() -> None:
    texts = (b"a.jpg#0\tA dog .\n", b"a.jpg\n")
    pipes = [os.pipe() for _ in texts]
    for (_, here), text in zip(pipes, texts, strict=True):
        os.write(here, text)
        os.close(here)
    captions, train = (f"/dev/fd/{there}" for there, _ in pipes)
    data = read_data(captions, photos=NoPhotos(), splits={"train": Path(train)})
    for there, _ in pipes:
        os.close(there)
    assert [(source.sha256, source.bytes) for source in data.sources] == [
        (hashlib.sha256(text).hexdigest(), len(text)) for text in texts
    ]
