"""A network that learns, and its photos: fixed statistics, stages, views and batches by seed."""

import io
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from miacap.data import Preprocessing
from miacap.errors import DataError, SettingsError
from miacap.parts import Part
from miacap.runs.settings import BackboneTuning
from miacap.visual import backbones, efficientnet_lite
from miacap.visual.efficientnet_lite import EfficientNetLite
from miacap.visual.learning import STAGES, Learning
from miacap.visual.libraries import read_file
from miacap.visual.photo_batches import PhotoBatches, drawn, look
from miacap.visual.preprocessing import View, prepare

NAME = "efficientnet-lite0"


def network() -> EfficientNetLite:
    path = backbones.weights_path(NAME)
    return efficientnet_lite.build(NAME, read_file(path), path.name)


def some_photos(seed: int = 0) -> torch.Tensor:
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def test_what_learns_is_the_network_with_its_own_statistics() -> None:
    """Whatever the mode and the batch: the map of the network as it is used, and BatchNorm's
    mean and variance as its weights came."""
    own, learning = network(), Learning(NAME, network())
    learning.train()
    expected, found = own.map(some_photos()), learning(some_photos())
    assert torch.equal(expected, found) and found.requires_grad
    optimiser = torch.optim.SGD([p for p in learning.parameters() if p.requires_grad], lr=1e-4)
    found.sum().backward()
    optimiser.step()
    before, after = own.state_dict(), learning.network.state_dict()
    statistics = [name for name in before if "running" in name or "batches" in name]
    assert len(statistics) == 3 * 49
    assert all(torch.equal(before[name], after[name]) for name in statistics)
    scales = [name for name in before if "norm.weight" in name or "norm.bias" in name]
    changed = sum(not torch.equal(before[name], after[name]) for name in scales)
    assert changed > 0.9 * len(scales)
    assert torch.equal(before["classifier.weight"], after["classifier.weight"])


@pytest.mark.parametrize(("stages", "first"), [(1, "head."), (2, "blocks.15."), (4, "blocks.8.")])
def test_the_last_stages_learn_and_no_others(stages: int, first: str) -> None:
    """Their gradients are those that they have where all stages learn."""
    whole, part = Learning(NAME, network()), Learning(NAME, network(), stages)
    for module in (whole, part):
        module(some_photos()).square().sum().backward()
    everything = dict(whole.network.named_parameters())
    names = [name for name in everything if not name.startswith("classifier")]
    order = sorted(names, key=lambda name: (name.startswith("head"), name.startswith("blocks")))
    learning = {n for n, p in part.network.named_parameters() if p.grad is not None}
    start = next(index for index, name in enumerate(order) if name.startswith(first))
    assert learning == set(order[start:])
    assert all(everything[name].grad is not None for name in names)
    for name, parameter in part.network.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, everything[name].grad)


def test_settings_know_the_number_of_stages() -> None:
    """They are read without torch, and so cannot ask."""
    assert BackboneTuning().stages == STAGES
    with pytest.raises(SettingsError):
        BackboneTuning(stages=STAGES + 1)


@pytest.mark.parametrize("stages", [0, STAGES + 1])
def test_stages_that_are_not_there(stages: int) -> None:
    with pytest.raises(SettingsError, match=f"stages is 1 to 9, not {stages}"):
        Learning(NAME, network(), stages)


# views


RECORD = Preprocessing("made-up", "0" * 64, size=32, interpolation="bilinear")


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def test_a_view_is_a_part_of_the_photo() -> None:
    """A quarter of a photo of 64 pixels is 32 of them, which nothing scales."""
    photo = noise(64, 64)
    values = (torch.from_numpy(np.array(photo)).permute(2, 0, 1).float() / 255 - 0.5) / 0.5
    part = values[:, 8:40, 24:56]
    seen = prepare(photo, RECORD, View(24 / 64, 8 / 64, 0.5))
    torch.testing.assert_close(seen, part)
    torch.testing.assert_close(prepare(photo, RECORD, View(24 / 64, 8 / 64, 0.5, True)),
                               part.flip(2))  # fmt: skip
    assert torch.equal(prepare(photo, RECORD), prepare(photo, RECORD, View()))


def test_a_view_of_a_photo_whose_middle_is_cut_out() -> None:
    """Of 128 x 64 pixels the network sees the middle 64; the view is a part of these."""
    record = Preprocessing("made-up", "0" * 64, size=32, resize="crop", interpolation="bilinear")
    photo = noise(128, 64)
    seen = prepare(photo, record, View(0.5, 0.0, 0.5))
    expected = prepare(photo.crop((64, 0, 96, 32)), record)
    torch.testing.assert_close(seen, expected)


@given(
    st.integers(0, 2**53 - 1), st.integers(0, 9999), st.text(max_size=9), st.floats(0, 0.99),
    st.integers(1, 300), st.integers(1, 300),
)  # fmt: skip
def test_every_view_lies_in_the_photo(
    seed: int, epoch: int, name: str, crops: float, width: int, height: int
) -> None:
    view = drawn(seed, epoch, name, True, crops)
    assert 1 - crops <= view.side <= 1
    assert min(view.left, view.top) >= 0
    assert max(view.left, view.top) + view.side <= 1 + 1e-12
    prepare(Image.new("RGB", (width, height)), RECORD, view)  # Pillow refuses what leads beyond
    assert view == drawn(seed, epoch, name, True, crops)
    assert not drawn(seed, epoch, name, False, crops).mirrored
    assert drawn(seed, epoch, name, True, 0.0)[:3] == (0, 0, 1)


def test_views_differ_from_epoch_to_epoch_and_picture_to_picture() -> None:
    views = [drawn(1, epoch, name, True, 0.2) for epoch in range(30) for name in "abcdefgh"]
    assert len({view[:3] for view in views}) == 240
    assert 90 < sum(view.mirrored for view in views) < 150
    assert min(view.side for view in views) < 0.81 and max(view.side for view in views) > 0.99
    assert drawn(2, 0, "a", True, 0.2) != drawn(1, 0, "a", True, 0.2)


# batches


class Photos:
    def __init__(self, content: Mapping[str, bytes]) -> None:
        self.content = dict(content)

    def read(self, id: str) -> bytes:
        return self.content[id]

    def __contains__(self, id: object) -> bool:
        return id in self.content


def png(seed: int) -> bytes:
    file = io.BytesIO()
    noise(40, 30, seed).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def photos() -> Photos:
    return Photos({f"p{n}": png(n) for n in range(7)})


def batches_of(photos: Photos, **options: object) -> PhotoBatches:
    sums = look(photos, list(photos.content), RECORD, quiet=True).sums
    return PhotoBatches(photos, sums, RECORD, 3, **options)  # type: ignore[arg-type]


def test_what_cannot_be_read_is_told_before(photos: Photos) -> None:
    photos.content |= {"cut": png(9)[:300], "none": b"no photo"}
    found = look(photos, [*photos.content, "absent"], RECORD, quiet=True)
    assert list(found.sums) == [f"p{n}" for n in range(7)]
    assert set(found.aside) == {"cut", "none", "absent"}
    assert "is not there" in found.aside["absent"]


def test_batches_hang_on_the_epoch_alone(photos: Photos) -> None:
    given = batches_of(photos, seed=4)
    assert len(given) == 3
    first = list(given.epoch(2))
    assert sorted(i for indices, _ in first for i in indices) == list(range(7))
    assert [len(indices) for indices, _ in first] == [3, 3, 1]
    again = batches_of(photos, seed=4)
    next(iter(again.epoch(0)))  # another epoch, begun and left
    for skip in (0, 1, 2, 3):
        rest = list(again.epoch(2, skip))
        assert len(rest) == 3 - skip
        for (one, pixels), (other, others) in zip(first[skip:], rest, strict=True):
            assert one == other and torch.equal(pixels, others)
    assert [indices for indices, _ in given.epoch(3)] != [indices for indices, _ in first]


def test_parts_have_each_photo_of_every_batch_once(photos: Photos) -> None:
    whole = {i: row for indices, pixels in batches_of(photos, seed=4).epoch(2)
             for i, row in zip(indices, pixels, strict=True)}  # fmt: skip
    order = [indices for indices, _ in batches_of(photos, seed=4).epoch(2)]
    parts = [list(batches_of(photos, seed=4).epoch(2, part=Part(rank, 2))) for rank in range(2)]
    assert [[None if b is None else b[0] for b in part] for part in parts] == [
        [order[0][::2], order[1][::2], order[2]], [order[0][1::2], order[1][1::2], None]
    ]  # fmt: skip
    for indices, pixels in (batch for part in parts for batch in part if batch is not None):
        for index, row in zip(indices, pixels, strict=True):
            assert torch.equal(row, whole[index])


def test_photos_are_seen_by_their_views_or_whole(photos: Photos) -> None:
    given = batches_of(photos, seed=4, crops=0.3)
    for indices, pixels in given.epoch(1):
        for index, own in zip(indices, pixels, strict=True):
            view = drawn(4, 1, given.names[index], True, 0.3)
            assert torch.equal(own, prepare(noise(40, 30, index), RECORD, view))
    whole = torch.cat([pixels for _, pixels in given.ordered()])
    for index, own in enumerate(whole):
        assert torch.equal(own, prepare(noise(40, 30, index), RECORD))


def test_what_is_learned_from_has_a_size_of_its_own(photos: Photos) -> None:
    """Views are drawn as ever and scaled to it; whole photos keep the record's."""
    given = batches_of(photos, seed=4, crops=0.3, crop_size=(32, 48))
    for indices, pixels in given.epoch(1):
        assert pixels.shape[1:] == (3, 32, 48)
        for index, own in zip(indices, pixels, strict=True):
            view = drawn(4, 1, given.names[index], True, 0.3)
            smaller = replace(RECORD, size=(32, 48))
            assert torch.equal(own, prepare(noise(40, 30, index), smaller, view))
    for (_, whole), (_, expected) in zip(
        given.ordered(), batches_of(photos).ordered(), strict=True
    ):
        assert torch.equal(whole, expected)


def test_a_photo_that_changed_or_went_stops_it(photos: Photos) -> None:
    given = batches_of(photos)
    photos.content["p3"] = png(20)
    with pytest.raises(DataError, match=r"p3: the photo is not the one"):
        list(given.ordered())
    photos.content["p3"] = png(3)[:200]
    with pytest.raises(DataError, match=r"p3.*the same command goes on"):
        list(given.epoch(0))
    with pytest.raises(DataError, match="No photos"):
        PhotoBatches(photos, {}, RECORD)
