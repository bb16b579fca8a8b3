"""The training loop.

    for each epoch, for each batch:  gradient of the summed loss   [loop:step]
    after `accumulate` batches:      gradient / summed weight, clip, step at this step's rate,
                                     average (averages.py)
    after `evaluate_every` epochs:   evaluate, keep the best weights, stop when patience ends

Several processes (processes.py) take a part of each batch and sum losses, weights and gradients
before they divide: all take the same step as one process with whole batches would.

Exact resume: after any step the run is its parameters, the optimiser's state, the average, the
generators and a State; all of these are in a checkpoint, and batches depend on the epoch alone.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from miacap.errors import RunError
from miacap.files import subfolder
from miacap.locks import lock
from miacap.parts import WHOLE
from miacap.progress import Progress
from miacap.training import checkpoints, devices, failures, optimisers, randomness
from miacap.training.evaluating import evaluate
from miacap.training.interrupts import Interrupts, postponed
from miacap.training.processes import join
from miacap.training.schedules import learning_rate
from miacap.training.session import Session
from miacap.training.settings import TrainingSettings
from miacap.training.task import FitResult, Task
from miacap.wording import counted

_END = object()  # a batch may be None


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

    Owns `checkpoints/`, `metrics.jsonl` and `weights.safetensors` (the best) in `folder`. Where
    training breaks off with an error, `checkpoints/failure.json` keeps it until it goes on.
    On the same machine and threads, a run that was stopped anywhere, killed even, ends with the
    same weights to the bit as an undisturbed one. A finished run is not trained again. The
    caller's random generators and threads are left as they were.

    Args:
        task: what to train; see `Task`. Its module must be built alike on every call.
        settings: see `TrainingSettings`.
        folder: made if absent.
        quiet: say nothing.
        label: put before the progress lines, where several runs follow each other.
        stop_after: leave a checkpoint and return after this many steps of this call.

    Of several processes that were launched together, all call it alike; the main one has the
    folder, and all give the same result.

    Returns:
        How the run stands. If it is finished, the module holds the best weights.

    Raises:
        RunError: settings, data or module differ from the checkpoint's; all checkpoints are
            damaged; the folder is in use; the loss or the watched number is not finite; another
            number of processes than the run was begun with, or one of them is gone.
        SettingsError: a device that torch does not have.
        MissingExtra: TensorBoard, or several processes, were asked for and are not installed.
        KeyboardInterrupt, SystemExit: after Ctrl-C or SIGTERM, a checkpoint having been left.
    """
    root = Path(folder)
    processes = join(settings.device)
    seed = randomness.stream(settings.seed, processes.part.rank)
    with ExitStack() as held, randomness.apart(seed, settings.threads):

        def take() -> None:
            held.enter_context(lock(subfolder(root, "checkpoints") / ".lock", timeout=2.0))
            checkpoints.sweep(root)

        processes.from_main(take)
        session = Session(task, settings, root, quiet, label, processes)
        session.resume()
        try:
            kept = session.folder if processes.main else None
            with failures.recorded(kept), postponed() as interrupts:
                finished = _train(session, interrupts, stop_after)
        finally:
            session.board.close()
        if finished:
            session.load_best()
        processes.largest([0])  # nobody leaves before all have what they were told
        return session.result(finished)


def _train(session: Session, interrupts: Interrupts, stop_after: int | None) -> bool:
    """Train to the end, or to `stop_after` steps from here; say which by True or False."""
    last = None if stop_after is None else session.state.step + stop_after
    while not session.state.reason:
        if session.evaluation_is_due():
            evaluate(session, interrupts)
        elif last is not None and session.state.step >= last:
            session.save()
            return False
        else:
            _epoch(session, interrupts, last)
    return True


def _epoch(session: Session, interrupts: Interrupts, last: int | None) -> None:
    """Take the steps that are left of this epoch, or as many as are allowed."""
    state, settings, epoch = session.state, session.settings, session.state.epoch
    session.module.train()
    left = session.task.batches_per_epoch - state.batch
    batches = _batches(session)
    label = f"{session.prefix}epoch {epoch + 1}/{settings.epochs}"
    with Progress(label, total=left, unit="batches", quiet=session.quiet) as progress:
        while state.epoch == epoch:
            with session.tally.waiting():
                group = _next_group(session, batches)
            with session.tally.working():
                step(session, group)
            progress.advance(len(group), *session.status())
            # A signal to any process ends all of them, after the same step. What is noted here
            # stays as it is until the checkpoint is there: a signal that comes meanwhile is kept,
            # and the first one to this process does not count as its second.
            wanted = session.processes.largest([interrupts.received or 0])[0]
            if wanted:
                session.save()
                progress.note(f"{label}: stopped; the same command goes on from here.")
                interrupts.received = wanted
                interrupts.act()
            if last is not None and state.step >= last:
                return
            every = settings.checkpoint_every
            ended = state.epoch != epoch and not session.evaluation_is_due()
            if ended or (every and state.step % every == 0):
                session.save()


def _batches(session: Session) -> Iterator[Any]:
    """Give what is left of this epoch; of several processes each its part."""
    at, part = session.state, session.processes.part
    # A task that is trained in one process alone need not know of parts.
    given = (at.epoch, at.batch) if part == WHOLE else (at.epoch, at.batch, part)
    return iter(session.task.batches(*given))


def _next_group(session: Session, batches: Iterator[Any]) -> list[Any]:
    """Give the batches of the next step and hold the task to the length it promised."""
    promised, done = session.task.batches_per_epoch, session.state.batch
    size = min(session.settings.accumulate, promised - done)
    group = list(islice(batches, size))
    surplus = done + size == promised and next(batches, _END) is not _END
    if len(group) < size or surplus:
        given = f"more than {promised}" if surplus else str(done + len(group))
        raise RunError(
            f"The task promised {counted(promised, 'batch', 'batches')} per epoch and gave "
            f"{given} in epoch "
            f"{session.state.epoch + 1}."
        )
    if not session.processes.several and any(batch is None for batch in group):
        raise RunError(
            f"The task gave None in place of a batch in epoch {session.state.epoch + 1}; None is "
            "a part without a row, and one process has the whole of each batch."
        )
    return group


def step(session: Session, group: list[Any]) -> None:
    """Take one optimiser step on the batches of `group` together.

    [loop:step]  g = (sum over batches of d loss / d parameters) / (sum of weights)

    Both sums go over all processes, too. A batch of which this one has no part is None.

    Raises RunError where the loss is not finite.
    """
    state, settings, device = session.state, session.settings, session.device
    session.optimiser.zero_grad(set_to_none=True)
    total = torch.zeros((), device=device)
    sums = []
    for batch in group:
        if batch is None:
            continue
        low = settings.precision == "bfloat16"
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=low):
            loss, weight = _loss(session, devices.to(batch, device))
        session.tally.add()
        loss.backward()  # type: ignore[no-untyped-call]
        weight = torch.as_tensor(weight, dtype=torch.float32, device=device).detach()
        total += weight
        sums.append(torch.stack((loss.detach().double(), weight.double())))
    if session.processes.several:
        sums = [_added(session, sums)]
        total = sums[0][1].float()
    for both in sums:
        session.sums += both
    _divide(session, total)
    optimisers.clip(session.module, settings)
    optimisers.set_rate(
        session.optimiser, learning_rate(settings, state.step, session.steps_per_epoch)
    )
    session.optimiser.step()
    state.step += 1
    state.batch += len(group)
    if state.batch == session.task.batches_per_epoch:
        state.epoch, state.batch = state.epoch + 1, 0
    session.averages.update(state.step, epoch_ended=state.batch == 0)
    # Reading the sums makes a GPU wait, so there not after every step.
    if device.type == "cpu" or state.step % 50 == 0:
        session.read_sums()


def _loss(session: Session, batch: Any) -> tuple[Tensor, Any]:
    """Ask the task for a loss; where parameters broke down before, say that in place of its error.

    Words cannot be drawn from numbers that are not finite, so tasks that draw some fail first.
    """
    try:
        return session.task.loss(session.module, batch)
    except Exception:
        session.check_finite()
        raise


def _added(session: Session, sums: list[Tensor]) -> Tensor:
    """Sum gradients, and the loss and weight of this step, over all processes."""
    both = torch.zeros_like(session.sums)
    for own in sums:
        both += own
    session.processes.add_gradients(session.module)
    session.processes.add([both])
    return both


def _divide(session: Session, weight: Tensor) -> None:
    """Divide all gradients by the weight; a step on nothing but padding has none to divide."""
    divisor = weight.clamp(min=1e-12)
    for parameter in session.module.parameters():
        if parameter.grad is not None:
            parameter.grad.div_(divisor)
