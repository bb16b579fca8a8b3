"""Batches: the right words beside the right pictures, in an order that can be repeated."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from miacap.data import Batch, Batches, FeatureStore, Manifest, StoreWriter
from miacap.data.features import Given
from miacap.errors import DataError
from miacap.parts import Part
from miacap.pictures import Pictures, collate
from miacap.text.vocabulary import BOS, EOS, PAD

IDS = [f"p{number}" for number in range(7)]


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("regions") / "store"
    with StoreWriter(
        folder, Manifest("regions", Given("test"), 3, None, None, "test"), 2
    ) as writer:
        for number, name in enumerate(IDS):
            writer.add(name, torch.full((2, 3), float(number)), torch.zeros(2, 4))
    return FeatureStore.open(folder)


def of(regions: FeatureStore) -> Callable[[Sequence[str]], Pictures]:
    """What gives the pictures of a store as a batch."""

    def pictures(names: Sequence[str]) -> Pictures:
        return collate(names, regions.rows_of(list(names)))

    return pictures


def captions() -> dict[str, list[list[int]]]:
    """Picture n has n % 3 + 1 captions of the words 10 n, 10 n + 1, ..."""
    return {
        name: [[10 * n + 4 + i for i in range(c + 1)] for c in range(n % 3 + 1)]
        for n, name in enumerate(IDS)
    }


def seen(batches: list[Batch]) -> list[str]:
    return [name for batch in batches for name in batch.pictures.names]


def test_words_and_targets(regions: FeatureStore) -> None:
    batches = Batches(IDS, of(regions), captions=captions(), batch_size=2)
    first, second = list(batches.ordered())[:2]
    assert first.pictures.names == ("p0", "p1")
    assert first.words.tolist() == [
        [[BOS, 4, PAD], [PAD, PAD, PAD]],
        [[BOS, 14, PAD], [BOS, 14, 15]],
    ]
    assert first.targets.tolist() == [
        [[4, EOS, PAD], [PAD, PAD, PAD]],
        [[14, EOS, PAD], [14, 15, EOS]],
    ]
    assert second.words.shape == (2, 3, 4)
    assert torch.equal(first.pictures.regions[1], torch.ones(2, 3))
    assert first.pictures.regions.dtype == torch.float32


def test_a_cut_caption_has_no_end(regions: FeatureStore) -> None:
    said = {"p0": [list(range(4, 9)), list(range(4, 8))]}
    (batch,) = Batches(["p0"], of(regions), captions=said, maximum=4).ordered()
    assert batch.words.tolist() == [[[BOS, 4, 5, 6, PAD], [BOS, 4, 5, 6, 7]]]
    assert batch.targets.tolist() == [[[4, 5, 6, 7, PAD], [4, 5, 6, 7, EOS]]]


def test_captions_without_a_word_and_no_captions(regions: FeatureStore) -> None:
    said = {"p0": [[], [5]], "p1": [[]]}
    (batch,) = Batches(["p0", "p1"], of(regions), captions=said).ordered()
    assert batch.targets.tolist() == [[[5, EOS]], [[PAD, PAD]]]
    (batch,) = Batches(["p0", "p1"], of(regions)).ordered()
    assert batch.words.shape == (2, 0, 0) and batch.pictures.concepts.shape == (2, 0)


def test_every_epoch_has_every_picture_once_in_its_own_order(regions: FeatureStore) -> None:
    batches = Batches(IDS, of(regions), captions=captions(), batch_size=3, seed=5)
    assert len(batches) == 3
    orders = [seen(list(batches.epoch(number))) for number in range(4)]
    assert all(sorted(order) == IDS for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    again = Batches(IDS, of(regions), captions=captions(), batch_size=3, seed=5)
    assert seen(list(again.epoch(2))) == orders[2]
    other = Batches(IDS, of(regions), captions=captions(), batch_size=3, seed=6)
    assert seen(list(other.epoch(2))) != orders[2]
    assert seen(list(batches.ordered())) == IDS


def test_skipping_is_exact_and_reads_nothing(
    regions: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = Batches(IDS, of(regions), captions=captions(), batch_size=2)
    whole = list(batches.epoch(1))
    read: list[str] = []
    real = FeatureStore.rows
    monkeypatch.setattr(FeatureStore, "rows", lambda s, name: read.append(name) or real(s, name))
    rest = list(batches.epoch(1, skip=3))
    assert read == seen(rest) == seen(whole[3:]) and len(read) == 1
    for a, b in zip(rest, whole[3:], strict=True):
        assert torch.equal(a.words, b.words) and torch.equal(a.targets, b.targets)
        assert torch.equal(a.pictures.regions, b.pictures.regions)
    assert list(batches.epoch(1, skip=4)) == []


def test_parts_have_each_picture_of_every_batch_once(regions: FeatureStore) -> None:
    batches = Batches(IDS, of(regions), captions=captions(), batch_size=2)
    whole = list(batches.epoch(1))
    parts = [list(batches.epoch(1, skip=1, part=Part(rank, 3))) for rank in range(3)]
    assert all(len(part) == len(whole) - 1 for part in parts)
    for batch, *shares in zip(whole[1:], *parts, strict=True):
        assert seen([share for share in shares if share is not None]) == seen([batch])
        assert shares[2] is None  # a batch of two has no third part
        for row, share in enumerate(shares[: len(batch.pictures.names)]):
            length, count = share.targets.shape[2], share.targets.shape[1]
            assert torch.equal(share.targets[0], batch.targets[row, :count, :length])
            assert not batch.targets[row, count:].any()
            assert not batch.targets[row, :, length:].any()


def test_words_stay_with_their_pictures(regions: FeatureStore) -> None:
    said = captions()
    for batch in Batches(IDS, of(regions), captions=said, batch_size=3).epoch(0):
        for row, name in enumerate(batch.pictures.names):
            spoken = [[w for w in line if w > EOS] for line in batch.targets[row].tolist()]
            assert [words for words in spoken if words] == said[name]
            assert batch.pictures.regions[row, 0, 0] == int(name[1:])


def test_gaps_are_refused(regions: FeatureStore) -> None:
    with pytest.raises(DataError, match=r"1 of 2 pictures has no captions, the first: 'p1'; leave"):
        Batches(["p0", "p1"], of(regions), captions={"p0": [[5]]})
    with pytest.raises(DataError, match="comes twice"):
        Batches(["p0", "p0"], of(regions))
    with pytest.raises(DataError, match="No pictures"):
        Batches([], of(regions))
    with pytest.raises(DataError, match="at least one picture, not 0"):
        Batches(IDS, of(regions), batch_size=0)


@pytest.mark.slow
def test_an_epoch_of_flickr8ks_size_takes_under_three_seconds(tmp_path: Path) -> None:
    """6,000 pictures of 49 x 1,280, one thread, best of three."""
    import time

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        names = [f"p{number}" for number in range(6000)]
        about = Manifest("regions", Given("test"), 1280, None, None, "test")
        matrix = torch.randn(49, 1280)
        with StoreWriter(tmp_path / "store", about) as writer:
            for name in names:
                writer.add(name, matrix, torch.zeros(49, 4))
        said = {name: [[5, 6, 7, 8, 9, 10]] * 5 for name in names}
        batches = Batches(names, of(FeatureStore.open(tmp_path / "store")), captions=said)
        times = []
        for number in range(3):
            start = time.process_time()
            for _ in batches.epoch(number):
                pass
            times.append(time.process_time() - start)
        assert min(times) < 3
    finally:
        torch.set_num_threads(threads)
