"""The training loop.

    for each epoch, for each batch:  gradient of the summed loss   [loop:step]
    after `accumulate` batches:      gradient / summed weight, clip, step at this step's rate
    after `evaluate_every` epochs:   evaluate, keep the best weights, stop when patience ends

Exact resume: after any step the run is its parameters, the optimiser's state, the generators and
a Place; all of these are in a checkpoint, and batches depend on the epoch alone.
"""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from miacap.errors import RunError
from miacap.files import lock
from miacap.progress import Progress
from miacap.training import checkpoints, moving, optimisers, randomness
from miacap.training.interrupts import Interrupts, postponed
from miacap.training.run import Run
from miacap.training.schedules import learning_rate
from miacap.training.settings import TrainingSettings
from miacap.training.task import FitResult, Task


def fit(
    task: Task,
    settings: TrainingSettings,
    folder: str | os.PathLike[str],
    *,
    quiet: bool = False,
    label: str = "",
    stop_after: int | None = None,
) -> FitResult:
    """Train a task, or go on where an earlier call with the same arguments was stopped.

    Owns ``checkpoints/``, ``metrics.jsonl`` and ``weights.safetensors`` (the best) in ``folder``.
    On the same machine and threads, a run that was stopped anywhere, killed even, ends with the
    same weights to the bit as an undisturbed one. A finished run is not trained again. The
    caller's random generators and threads are left as they were.

    Args:
        task: what to train; see ``Task``. Its module must be built alike on every call.
        settings: see ``TrainingSettings``.
        folder: made if absent.
        quiet: say nothing.
        label: put before the progress lines, where several runs follow each other.
        stop_after: leave a checkpoint and return after this many steps of this call.

    Returns:
        How the run stands. If it is finished, the module holds the best weights.

    Raises:
        RunError: settings, data or module differ from the checkpoint's; all checkpoints are
            damaged; the folder is in use; the loss or the watched number is not finite.
        SettingsError: a device that torch does not have.
        MissingExtra: TensorBoard was asked for and is not installed.
        KeyboardInterrupt, SystemExit: after Ctrl-C or SIGTERM, a checkpoint having been left.
    """
    root = Path(folder)
    held = root / "checkpoints" / ".lock"
    with lock(held, timeout=2.0), randomness.apart(settings.seed, settings.threads):
        checkpoints.sweep(root)
        run = Run(task, settings, root, quiet, label)
        run.resume()
        try:
            with postponed() as interrupts:
                finished = _train(run, interrupts, stop_after)
        finally:
            run.board.close()
        if finished:
            run.load_best()
        return run.result(finished)


def _train(run: Run, interrupts: Interrupts, stop_after: int | None) -> bool:
    """Train to the end, or to ``stop_after`` steps from here; say which by True or False."""
    last = None if stop_after is None else run.place.step + stop_after
    while not run.place.reason:
        if run.evaluation_is_due():
            run.evaluate(interrupts)
        elif last is not None and run.place.step >= last:
            run.save()
            return False
        else:
            _epoch(run, interrupts, last)
    return True


def _epoch(run: Run, interrupts: Interrupts, last: int | None) -> None:
    """Take the steps that are left of this epoch, or as many as are allowed."""
    place, settings, epoch = run.place, run.settings, run.place.epoch
    run.module.train()
    left = run.task.batches_per_epoch - place.batch
    batches = iter(run.task.batches(epoch, place.batch))
    label = f"{run.prefix}epoch {epoch + 1}/{settings.epochs}"
    with Progress(label, total=left, unit="batches", quiet=run.quiet) as progress:
        while place.epoch == epoch:
            group = _next_group(run, batches)
            step(run, group)
            progress.advance(len(group))
            if interrupts.received is not None:
                run.save()
                progress.note(f"{label}: stopped; the same command goes on from here.")
                interrupts.act()
            if last is not None and place.step >= last:
                return
            every = settings.checkpoint_every
            ended = place.epoch != epoch and not run.evaluation_is_due()
            if ended or (every and place.step % every == 0):
                run.save()


def _next_group(run: Run, batches: Iterator[Any]) -> list[Any]:
    """Give the batches of the next step and hold the task to the length it promised."""
    promised, done = run.task.batches_per_epoch, run.place.batch
    size = min(run.settings.accumulate, promised - done)
    group = list(islice(batches, size))
    surplus = done + size == promised and next(batches, None) is not None
    if len(group) < size or surplus:
        given = f"more than {promised}" if surplus else str(done + len(group))
        raise RunError(
            f"The task promised {promised} batches per epoch and gave {given} in epoch "
            f"{run.place.epoch + 1}."
        )
    return group


def step(run: Run, group: list[Any]) -> None:
    """Take one optimiser step on the batches of ``group`` together.

    [loop:step]  g = (sum over batches of d loss / d parameters) / (sum of weights)

    Raises RunError where the loss is not finite.
    """
    place, settings, device = run.place, run.settings, run.device
    run.optimiser.zero_grad(set_to_none=True)
    total = torch.zeros((), device=device)
    for batch in group:
        low = settings.precision == "bfloat16"
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=low):
            loss, weight = run.task.loss(run.module, moving.to(batch, device))
        loss.backward()  # type: ignore[no-untyped-call]
        weight = torch.as_tensor(weight, dtype=torch.float32, device=device).detach()
        total += weight
        run.sums += torch.stack((loss.detach().double(), weight.double()))
    _divide(run, total)
    if settings.clip_norm:
        torch.nn.utils.clip_grad_norm_(run.module.parameters(), settings.clip_norm)
    optimisers.set_rate(run.optimiser, learning_rate(settings, place.step, run.steps_per_epoch))
    run.optimiser.step()
    place.step += 1
    place.batch += len(group)
    if place.batch == run.task.batches_per_epoch:
        place.epoch, place.batch = place.epoch + 1, 0
    # Reading the sums makes a GPU wait, so there not after every step.
    if device.type == "cpu" or place.step % 50 == 0:
        run.read_sums()


def _divide(run: Run, weight: Tensor) -> None:
    """Divide all gradients by the weight; a step on nothing but padding has none to divide."""
    divisor = weight.clamp(min=1e-12)
    for parameter in run.module.parameters():
        if parameter.grad is not None:
            parameter.grad.div_(divisor)
