"""The evaluations of a training: what they give, which weights are kept, what is said.

    numbers  what the task's evaluation gives, in evaluation mode and with the averaged weights
    judge    the best so far, by the number that is watched: its weights are written
    tell     the record in metrics.jsonl, in TensorBoard, and on standard error

Of several processes the main one does all of this, and the others take over the state.
"""

import time
from collections.abc import Mapping
from typing import Any

import torch

from miacap.errors import RunError
from miacap.training import logs, randomness
from miacap.training.interrupts import Interrupts
from miacap.training.saved import RECORDED, read_place
from miacap.training.schedules import learning_rate
from miacap.training.session import Session
from miacap.training.state import Best, check_watched
from miacap.training.tally import LEFT, WAITING
from miacap.training.task import Doubting, Showing
from miacap.weights import write_weights
from miacap.wording import counted, duration

__all__ = ["evaluate"]


def evaluate(session: Session, interrupts: Interrupts) -> None:
    """Evaluate, keep the weights if they are the best, say so, and leave a checkpoint."""
    began = time.monotonic()
    numbers, value = _numbers(session, interrupts)
    told = session.processes.gathered(session.tally.told())
    lasted, said = time.monotonic() - began, list[tuple[dict[str, float], bool]]()

    def judged() -> dict[str, Any]:
        session.tally.join(told)
        said.append(_judge(session, numbers, value, lasted))
        place: dict[str, Any] = session.state.to_json()
        return place

    place = session.processes.from_main(judged)
    if not session.processes.main:
        session.state = read_place(place)
    session.sums.zero_()
    session.tally.begin()
    # From here on a kill loses nothing: what follows is made again from the checkpoint.
    session.save()
    session.processes.from_main(lambda: _tell(session, *said[0]))


def _numbers(session: Session, interrupts: Interrupts) -> tuple[dict[str, float], float | None]:
    """Give what the evaluation gives, and the number that is watched."""
    session.read_sums()
    session.check_finite()
    generators = randomness.capture()
    session.module.eval()

    def measured() -> tuple[dict[str, float], float | None]:
        # The average goes in and out while signals wait: half of it in place is no state.
        with session.averages.in_place(), interrupts.at_once(), torch.no_grad():
            numbers = {name: float(value) for name, value in session.task.evaluate().items()}
        value = check_watched(numbers, session.watched)
        _check_names(session, numbers)
        return numbers, value

    try:
        numbers, value = session.processes.from_main(measured)
    except BaseException:
        # The epoch's work outlives an evaluation that was interrupted, failed or gave too
        # little.
        randomness.restore(*generators)
        session.save()
        raise
    # What is measured, and how often, changes nothing of what is trained.
    randomness.restore(*generators)
    return numbers, value


def _check_names(session: Session, numbers: Mapping[str, float]) -> None:
    for name in (*RECORDED, *session.tally.parts(), WAITING, LEFT):
        if name in numbers:
            raise RunError(
                f"The task's evaluation gives a number named {name!r}, which the loop writes "
                "itself; name it otherwise."
            )


def _judge(
    session: Session, numbers: Mapping[str, float], value: float | None, seconds: float
) -> tuple[dict[str, float], bool]:
    """Bring an evaluation into the state; write the weights if they are the best.

    Returns:
        What was timed, and whether these are the best weights by a number that is watched.
    """
    at = session.state
    at.evaluated = at.epoch
    before = at.best.value if at.best else None
    gained = before is None or value is None or session.sign * (value - before) > 0
    if gained:
        file = f"best-{at.step:09d}.safetensors"
        digest = write_weights(session.folder / file, session.averages.weights())
        at.best = Best(value, at.epoch, at.step, file, digest)
    at.without_gain = 0 if gained else at.without_gain + 1
    at.reason = session.reason()
    timed = _timed(session, seconds)
    parts = session.tally.parts()
    at.history.append(logs.plain({**_counts(session), **parts, **numbers, **timed}))
    return timed, gained and value is not None


def _tell(session: Session, timed: Mapping[str, float], best: bool) -> None:
    """Write and say what the last evaluation gave."""
    session.settle()
    record = session.state.history[-1]
    session.board.add(record)
    if isinstance(session.task, Showing):
        session.board.show(session.task.examples, session.state.step)
    _say(session, record, timed, best)


def _counts(session: Session) -> dict[str, int | float]:
    """Give what the loop knows of an evaluation by itself."""
    at = session.state
    rate = learning_rate(session.settings, max(0, at.step - 1), session.steps_per_epoch)
    return {
        "epoch": at.epoch,
        "step": at.step,
        "seconds": round(session.seconds(), 3),
        "loss": at.loss / at.weight if at.weight else 0.0,
        "learning_rate": rate,
    }


def _timed(session: Session, evaluation: float) -> dict[str, float]:
    """Give how fast it went since the evaluation before, and how long it goes on at most.

    This evaluation took so many seconds.
    """
    at, tally = session.state, session.tally
    if not tally.batches:  # of an epoch that an earlier sitting trained
        return {}
    timed = {
        f"{tally.unit} per second": round(tally.speed, 3),
        WAITING: round(tally.waiting_share, 4),
    }
    if not at.reason:
        epochs = session.settings.epochs - at.epoch
        training = tally.seconds_for(epochs * session.task.batches_per_epoch)
        evaluations = -(-epochs // session.settings.evaluate_every)
        timed[LEFT] = round(training + evaluations * evaluation, 1)
    return timed


def _say(
    session: Session, record: Mapping[str, Any], timed: Mapping[str, float], best: bool
) -> None:
    said = "  (best so far)" if best else ""
    if LEFT in timed:
        most = "at most " if session.settings.patience else ""
        said += f"  {most}{duration(timed[LEFT])} left"
    first, *more = logs.summary(record, timed, session.settings.epochs, session.watched, said)
    for line in (session.prefix + first, *more, *_doubts(session), *_ended(session)):
        session.note(line)


def _doubts(session: Session) -> list[str]:
    """Say what the task doubts, the first time it does."""
    if not isinstance(session.task, Doubting):
        return []
    *before, last = map(session.task.doubt, session.state.history)
    told = last is not None and not any(before)
    return [f"{session.prefix}warning: {last}"] if told else []


def _ended(session: Session) -> list[str]:
    """Say why no epoch follows, where some are left."""
    at, settings = session.state, session.settings
    if at.reason != "patience" or at.epoch >= settings.epochs:
        return []
    return [
        f"{session.prefix}stopped after epoch {at.epoch}: "
        f"{counted(at.without_gain, 'evaluation')} without a gain in {session.watched} "
        f"(training.patience={settings.patience})"
    ]
