"""One sitting of a training run: its tensors, its state, and the files that hold both."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from miacap import terminal
from miacap.errors import RunError
from miacap.progress import Progress
from miacap.settings import to_json
from miacap.training import checkpoints, logs, optimisers, randomness
from miacap.training.averages import Averages
from miacap.training.failures import Diverged
from miacap.training.processes import Processes
from miacap.training.settings import TrainingSettings
from miacap.training.state import (
    State,
    check_known,
    check_processes,
    check_settings,
    check_task,
    watched,
)
from miacap.training.tally import Tally
from miacap.training.task import Announcing, FitResult, Grouped, Task
from miacap.weights import not_finite, read_tensors


class Session:
    """What changes while a task is trained, and where it is kept.

    Args:
        task, settings: as in `fit`.
        root: the folder; `checkpoints/`, `metrics.jsonl`, `weights.safetensors` are ours.
        quiet, label: as in `fit`.
        processes: that train together, of which the main one reads and writes the folder; None:
            this one alone.
    """

    def __init__(
        self,
        task: Task,
        settings: TrainingSettings,
        root: Path,
        quiet: bool,
        label: str,
        processes: Processes | None = None,
    ) -> None:
        if task.batches_per_epoch < 1:
            raise RunError("The task has no batch to train on: is its training split empty?")
        self.task, self.settings, self.root, self.quiet = task, settings, root, quiet
        self.processes = processes = processes or Processes()
        self.prefix = f"{label}: " if label else ""
        self.folder = root / "checkpoints"
        self.weights = root / "weights.safetensors"
        self.metrics = root / "metrics.jsonl"
        self.device = processes.device(settings.device)
        self.module: nn.Module = task.module.to(self.device)
        groups = task.groups() if isinstance(task, Grouped) else ()
        self.optimiser = optimisers.build(self.module, settings, groups)
        self.averages = Averages(self.module, settings)
        self.watched, self.sign = watched(settings.watch, task.watched)
        if isinstance(task, Announcing) and task.numbers:
            check_known(task.numbers, self.watched)
        self.state = State()
        self.steps_per_epoch = -(-task.batches_per_epoch // settings.accumulate)
        self.sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        self.tally = Tally(task, self.device)
        self._status = ("", "")
        wanted = settings.tensorboard and processes.main
        self.board = logs.Board(self.folder / "tensorboard", wanted)
        self._began = time.monotonic()
        self._seconds_before = 0.0

    # -- going on ------------------------------------------------------------------------------

    def resume(self) -> None:
        """Go to the newest whole checkpoint, if there is one, and make the files agree with it.

        Raises RunError: see `fit`.
        """
        self._require_alike()
        checkpoint = checkpoints.for_all(self.processes, self._newest)
        if checkpoint is None:
            # All begin with the main one's parameters, also where a task draws them without a seed.
            begun = self.processes.tensors_from_main(self.module.state_dict)
            if self.processes.several:
                self.module.load_state_dict(begun)
            return
        self._restore(checkpoint)
        self.state = checkpoint.saved.place
        self.sums[0], self.sums[1] = self.state.loss, self.state.weight
        own = [self.state.parts, *(other.parts for other in checkpoint.saved.others)]
        self.tally.restore(dict(enumerate(own)).get(self.processes.part.rank, {}))
        self.board.begin(self.state.loss, self.state.weight)
        self._seconds_before = self.state.seconds
        self.state.reason = "" if self.evaluation_is_due() else self.reason()
        if not self.state.reason:
            check_processes(checkpoint.saved.processes, self.processes.part.world, self.root)
        self.processes.from_main(self.settle)
        if not self.state.reason and self.state.step:
            self.note(
                f"{self.prefix}going on after step {self.state.step} "
                f"(epoch {self.state.epoch + 1}, batch {self.state.batch})"
            )

    def _require_alike(self) -> None:
        """Refuse processes that were given different data, settings or parameters."""
        own = json.dumps([to_json(self.settings), self._task_facts()], sort_keys=True)
        if self.processes.from_main(lambda: own) != own:
            raise RunError(
                f"{self.root}: process {self.processes.part.rank} was given other data or settings "
                "than the main one; give all processes the same command and the same files."
            )

    def _newest(self) -> checkpoints.Checkpoint | None:
        """Read the newest checkpoint and see that it fits."""
        checkpoint = checkpoints.newest(self.folder, terminal.tell)
        if checkpoint is None:
            self._require_empty()
            return None
        before = checkpoint.saved.settings
        if not checkpoint.saved.place.history:
            before = {**before, "watch": self.settings.watch}  # it has chosen nothing yet
        check_settings(before, self.settings, self.root)
        check_task(checkpoint.saved.task, self._task_facts(), self.root)
        return checkpoint

    def _require_empty(self) -> None:
        for file in (self.weights, self.metrics):
            if file.exists():
                raise RunError(
                    f"{file}: there is no checkpoint beside it to go on from. Choose another "
                    f"folder, or delete {file.name} to train anew."
                )

    def _restore(self, checkpoint: checkpoints.Checkpoint) -> None:
        tensors, rank = checkpoint.tensors, self.processes.part.rank
        generators = [checkpoint.saved.random, *(o.random for o in checkpoint.saved.others)]
        own = f"random-{rank}" if rank else "random"
        try:
            self.module.load_state_dict(tensors.get("module", {}))
            optimisers.restore(self.optimiser, tensors.get("optimiser", {}))
            self.averages.restore(tensors.get("average", {}))
            if rank < len(generators):  # a finished run has others' and needs none
                randomness.restore(tensors.get(own, {}), generators[rank])
        # What torch, numpy and Python raise of tensors and generators that somebody else wrote.
        except (RuntimeError, LookupError, TypeError, ValueError, OverflowError) as error:
            what = str(error).strip().replace("\n", " ")[:200]
            raise RunError(
                f"{self.folder}: the checkpoint of step {checkpoint.saved.place.step} does not fit "
                f"this run ({type(error).__name__}: {what}). Delete the files of that step to go "
                "on from the one before it."
            ) from None

    def settle(self) -> None:
        """Make weights and metrics those of the state."""
        best = self.state.best
        if best is not None:
            checkpoints.publish(self.folder / best.file, self.weights, best.sha256)
        else:
            self.weights.unlink(missing_ok=True)
        logs.settle(self.metrics, self.state.history)

    def _task_facts(self) -> dict[str, object]:
        shapes = {name: list(value.shape) for name, value in self.module.state_dict().items()}
        return {
            "batches_per_epoch": self.task.batches_per_epoch,
            "watched": self.task.watched,
            "shapes": shapes,
        }

    # -- keeping -------------------------------------------------------------------------------

    def save(self) -> None:
        """Leave a checkpoint of this very state. Raises RunError where numbers are not finite."""
        self.read_sums()
        self.check_finite()
        self.state.seconds = self.seconds()
        self.state.parts = self.tally.sums()
        generators, values = randomness.capture()
        own = {name: state.tolist() for name, state in generators.items()}
        told = self.processes.gathered({"tensors": own, **values, "parts": self.state.parts})
        self.processes.from_main(lambda: self._write(told))

    def _write(self, told: Sequence[dict[str, Any]]) -> None:
        """Write a checkpoint, with the generators and sums of every process."""
        tensors = {
            "module": self.averages.own_weights(),
            "optimiser": optimisers.tensors(self.optimiser),
            "average": self.averages.tensors(),
        }
        for rank, one in enumerate(told):
            states = {
                name: torch.tensor(s, dtype=torch.uint8) for name, s in one["tensors"].items()
            }
            tensors[f"random-{rank}" if rank else "random"] = states
        state: dict[str, Any] = {
            "settings": to_json(self.settings),
            "task": self._task_facts(),
            "place": self.state.to_json(),  # its name in checkpoints since format 1
            "random": {name: told[0][name] for name in ("python", "numpy")},
        }
        if told[1:]:
            names = ("python", "numpy", "parts")
            state["others"] = [{name: one[name] for name in names} for one in told[1:]]
        checkpoints.write(self.folder, self.state.step, tensors, state)
        best = self.state.best.file if self.state.best else None
        checkpoints.prune(self.folder, self.state.step, best)

    def read_sums(self) -> None:
        """Bring the running loss into the state. Raises RunError where it is not finite."""
        at, tally = self.state, self.tally
        at.loss, at.weight = self.sums.tolist()
        if not torch.isfinite(self.sums).all():
            self._refuse(f"the loss is {at.loss}")
        if not tally.batches:
            return
        mean = f"loss {at.loss / at.weight:.4g}, " if at.weight else ""
        # Parts of a batch differ by a picture; what all processes counted is told when it is over.
        rate = tally.speed * self.processes.part.world
        speed = f"{rate:.{0 if rate >= 10 else 1}f} {tally.unit}/s"
        self._status = (speed, f"{mean}waiting {tally.waiting_share:.0%}")
        numbers = {f"{tally.unit} per second": rate, "waiting": tally.waiting_share}
        self.board.during(at.step, (at.loss, at.weight), numbers)

    def check_finite(self) -> None:
        """Raise RunError where a parameter is not finite."""
        name = not_finite(self.module)
        if name is not None:
            self._refuse(f"the parameter {name!r} is not finite")

    def _refuse(self, what: str) -> None:
        at = self.state
        epoch = at.epoch + (at.batch > 0)
        raise Diverged(
            f"{self.root}: training broke down: {what} after step {at.step} (epoch {epoch}). "
            f"Train anew, into another folder, with {_remedies(self.settings)}; here the "
            "checkpoint before this is kept."
        )

    # -- evaluating ----------------------------------------------------------------------------

    def evaluation_is_due(self) -> bool:
        """Say whether an epoch has just ended after which the task is evaluated."""
        at = self.state
        if at.batch or at.evaluated == at.epoch:
            return False
        return at.epoch >= self.settings.epochs or at.epoch % self.settings.evaluate_every == 0

    def reason(self) -> str:
        """Say why the run is over, or "" if it is not; right only after an evaluation."""
        if self.settings.patience and self.state.without_gain >= self.settings.patience:
            return "patience"
        return "epochs" if self.state.epoch >= self.settings.epochs else ""

    # -- telling -------------------------------------------------------------------------------

    def load_best(self) -> None:
        """Put the kept weights into the module."""
        best = self.processes.tensors_from_main(lambda: read_tensors(self.weights))
        self.module.load_state_dict(best)
        self.module.eval()

    def result(self, finished: bool) -> FitResult:
        """Say how the run stands."""
        at = self.state
        return FitResult(
            finished=finished,
            reason=at.reason or "stop_after",
            best=at.best.value if at.best else None,
            best_epoch=at.best.epoch if at.best else 0,
            epochs=at.epoch,
            steps=at.step,
            seconds=at.seconds,
            history=tuple(at.history),
            weights=self.weights,
        )

    def status(self) -> tuple[str, str]:
        """Give speed, and loss and waiting, as they were when the sums were read last."""
        return self._status

    def seconds(self) -> float:
        """Time spent in this run, earlier sittings included, in seconds."""
        return self._seconds_before + time.monotonic() - self._began

    def note(self, text: str) -> None:
        """Say one line on standard error, unless quiet."""
        Progress("", quiet=self.quiet).note(text)


def _remedies(settings: TrainingSettings) -> str:
    """Say which settings keep the numbers of a training finite."""
    said = (
        f"a learning_rate below {settings.learning_rate:g} (--set training.learning_rate=...), "
        "more warmup_steps or a smaller clip_norm"
    )
    return said if settings.precision == "float32" else f"{said}, or in float32 (precision=float32)"
