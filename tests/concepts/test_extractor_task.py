"""What an extractor is trained on: order, loss, first weights, and what its epoch is chosen by."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from miacap.concepts import (
    train,
    training,
)
from miacap.concepts.task import FEW, ExtractorTask, Rows, Statistics, begin, smoothed
from miacap.training import TrainingSettings

from .conftest import SHORT, World


def test_every_epoch_has_another_order(world: World) -> None:
    regions, dataset = world
    names = dataset.split("train").ids[:10]
    rows, targets = Rows(regions, names), torch.eye(10).bool()
    module = training.build("pooled", 12, 10, 0, 0.0)

    def orders(seed: int, epoch: int, skip: int = 0) -> list[int]:
        task = ExtractorTask(module, rows, targets, None, batch_size=4, seed=seed)
        batches = list(task.batches(epoch, skip))
        assert len(batches) == task.batches_per_epoch - skip == 3 - skip
        for batch in batches:  # rows and targets of the same pictures
            for row, target in zip(batch.rows, batch.targets, strict=True):
                name = names[int(target.int().argmax())]
                assert torch.equal(row, regions.rows(name).float())
        return [int(t.int().argmax()) for batch in batches for t in batch.targets]

    first = orders(0, 0)
    assert sorted(first) == list(range(10)) != first
    assert orders(0, 0) == first and orders(0, 0, skip=1) == first[4:]
    assert len({tuple(orders(0, epoch)) for epoch in range(4)}) == 4
    assert orders(1, 0) != first


def test_the_loss_is_summed_over_words_and_weighed_by_pictures(world: World) -> None:
    regions, dataset = world
    targets = torch.eye(10).bool()
    module = training.build("pooled", 12, 10, 0, 0.0)
    task = ExtractorTask(module, Rows(regions, dataset.ids[:10]), targets, None, batch_size=4)
    batch = next(iter(task.batches(0, 0)))
    loss, weight = task.loss(module, batch)
    yes, no = module(batch.rows, batch.mask)
    assert weight == 4
    torch.testing.assert_close(loss, -torch.where(batch.targets, yes, no).sum())


def test_words_of_all_and_of_no_pictures_begin_finite() -> None:
    targets = torch.tensor([[True, False, True]] * 4 + [[True, False, False]] * 5)
    assert smoothed(targets).tolist() == pytest.approx([0.95, 0.05, 0.45])
    for kind, rows in (("multiple-instance", 4.0), ("pooled", 1.0)):
        module = training.build(kind, 12, 3, 0, 0.0)
        module.head.output.weight.data.zero_()
        begin(module, Statistics(torch.zeros(12), torch.ones(12), rows), targets, rows > 1)
        yes, no = module(torch.zeros(1, 4, 12), torch.ones(1, 4).bool())
        assert yes.exp()[0].tolist() == pytest.approx([0.95, 0.05, 0.45], rel=1e-4)
        assert bool(torch.isfinite(yes).all()) and bool(torch.isfinite(no).all())


def test_first_weights_follow_the_seed_and_the_fold(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Enough(Exception):
        """All first weights were seen."""

    def first(seed: int, other: int) -> list[torch.Tensor]:
        seen: list[torch.Tensor] = []
        inner = training.fit

        def watching(task: ExtractorTask, settings: TrainingSettings, *args: object, **m: object):
            seen.append(task.module.head.output.weight.detach().clone())
            assert settings.seed == seed
            assert torch.equal(task.module.head.mean, task._rows.statistics().mean)
            assert float(task.module.head.scale.max()) != 1.0
            if len(seen) == 4:
                raise Enough
            return inner(task, settings, *args, **m)

        wanted = replace(SHORT, seed=seed, training=TrainingSettings(epochs=1, seed=other))
        with monkeypatch.context() as patch:
            patch.setattr(training, "fit", watching)
            before = torch.get_rng_state()
            with pytest.raises(Enough):
                train(*world, tmp_path / f"{seed}-{other}", wanted, quiet=True)
        assert torch.equal(torch.get_rng_state(), before)
        return seen

    one = first(3, 0)
    assert len({tuple(weight.flatten().tolist()) for weight in one}) == 4  # whole, three folds
    assert all(map(torch.equal, first(3, 9), one))  # training.seed is not used
    assert not any(map(torch.equal, first(4, 0), one))


def test_a_few_dev_pictures_choose_by_log_likelihood(world: World, tmp_path: Path) -> None:
    regions, dataset = world
    dev = [entry.id for entry in dataset.pictures if entry.split == "dev"]
    for kept, watched in ((FEW, "mAP"), (FEW - 1, "log-likelihood")):
        rows = Rows(regions, dev[:kept])
        targets = torch.zeros(kept, 3, dtype=torch.bool)
        targets[:, 0] = True
        module = training.build("pooled", 12, 3, 0, 0.0).eval()
        task = ExtractorTask(module, rows, targets, (rows, targets))
        assert task.watched == watched and watched in task.evaluate()
        assert list(task.numbers) == list(task.evaluate())
    without = ExtractorTask(module, rows, targets, None)
    assert without.watched is None and not without.numbers
