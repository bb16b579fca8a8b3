"""Several processes that work together: who is who, sums, what all know, and who writes.

    accelerate launch, torchrun   start them; `parts` reads in the environment which one this is
    Hugging Face Accelerate       joins them (`PartialState`: backend, device of each process)
    the main one (rank 0)         holds locks, reads and writes the run folder, evaluates, prints

Nothing else in miacap knows of ranks. Without a launch there is one process: everything here
passes its argument through, and accelerate is not imported.

Gradients are summed by hand, after `backward` and before they are divided and clipped
[processes:sum]:

    g = (sum over processes and their batches of d loss / d parameters) / (sum of weights)

which is the gradient of one process on the joined batch. So nothing wraps the module, and any
loss does: steps that were sampled, parameters that only some processes used, a process
whose part of a batch is empty.

What all have to know goes over two groups of their own on the CPU (gloo). In the one a step asks
all (`largest`), and waits `PATIENCE` as the sums do, no longer. The other has a long time limit:
there the others wait while the main process evaluates. A process that dies closes its
connections, and every other one that waits for it ends with a RunError at once; one that hangs
in a step ends them after `PATIENCE`.
"""

import atexit
import contextlib
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from miacap import parts
from miacap.devices import Device, choose
from miacap.errors import MissingExtra, RunError, SettingsError
from miacap.parts import WHOLE, Part
from miacap.wording import counted

__all__ = ["PATIENCE", "Processes", "join"]

PATIENCE = timedelta(minutes=10)
"""How long a step waits for a process that is there and does not come."""

_EVALUATION = timedelta(days=1)
"""How long the others wait for what the main process does alone."""

_BUCKET = 1 << 24  # numbers that are summed together: 64 MB of gradients

T = TypeVar("T")


def join(device: Device = "auto") -> "Processes":
    """Join the processes that were launched with this one; without a launch, there is one.

    Args:
        device: on which they will compute; every process of a machine with GPUs has its own.

    Raises:
        MissingExtra: several were launched and accelerate is not installed.
        RunError: the others are not there, the environment makes no sense, or there are fewer
            GPUs than processes of this machine.
    """
    part = parts.own()
    if part.world == 1:
        return Processes()
    cpu = str(device) == "cpu" or not torch.cuda.is_available()
    if not cpu and (here := parts.on_this_machine()) > torch.cuda.device_count():
        raise RunError(
            f"{here} processes were launched on this machine, which has "
            f"{counted(torch.cuda.device_count(), 'GPU')}, and each takes one of its own: launch "
            "as many as there are, or compute on the CPU (--device cpu; in a training "
            "--set training.device=cpu)."
        )
    return _joined(part, cpu)


@functools.cache
def _joined(part: Part, cpu: bool) -> "Processes":
    try:
        from accelerate import PartialState
    except ImportError:
        raise MissingExtra("distributed", "Training in several processes") from None
    with _joining(part.world):
        state = PartialState(cpu=cpu, timeout=PATIENCE)
        joined = Part(state.process_index, state.num_processes)
        if joined != part:
            raise RunError(
                f"Accelerate joined process {joined.rank} of {joined.world}, and "
                f"the environment says {part.rank} of {part.world}. Start with `accelerate launch` "
                "or `torchrun`, which set RANK, LOCAL_RANK and WORLD_SIZE."
            )
        stepping = dist.new_group(backend="gloo", timeout=PATIENCE)
        told = dist.new_group(backend="gloo", timeout=_EVALUATION)
    atexit.register(_leave)
    return Processes(part, state.device, told, stepping)


def _leave() -> None:
    with contextlib.suppress(RuntimeError, ValueError):  # others may be gone before us
        dist.destroy_process_group()


class Processes:
    """The processes that work together, seen from one of them; `join` gives them.

    Every process calls the same methods in the same order, except where the docstring says so.

    Args:
        part: which one this is, and how many there are.
        device: where it computes.
        told: the group in which the main one tells and is told things; it waits long.
        stepping: the group in which a step asks all; it waits `PATIENCE`.

    Raises RunError, everywhere, where another process is gone or does not answer.
    """

    def __init__(
        self,
        part: Part = WHOLE,
        device: torch.device | None = None,
        told: Any = None,
        stepping: Any = None,
    ) -> None:
        self.part = part
        self._device, self._told_in, self._stepping = device, told, stepping

    @property
    def several(self) -> bool:
        """Whether there is more than this one."""
        return self.part.world > 1

    @property
    def main(self) -> bool:
        """Whether this is the one that writes, locks, evaluates and prints."""
        return self.part.rank == 0

    def device(self, wish: Device) -> torch.device:
        """Give the device of a name; of several GPUs each process takes the one that is its own.

        Raises SettingsError: one GPU for all processes.
        """
        if not self.several or self._device is None:
            return choose(wish)
        if str(wish) in ("auto", self._device.type):
            return self._device
        chosen = choose(wish)
        if chosen.type != "cpu":
            raise SettingsError(
                f"device {str(wish)!r} would be that of all {self.part.world} processes; leave it "
                "at auto, and each takes a GPU of its own."
            )
        return chosen

    # -- sums ----------------------------------------------------------------------------------

    def add(self, tensors: Iterable[Tensor]) -> None:
        """Put into each tensor the sum of what all processes have in it."""
        if not self.several:
            return
        for some in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in some])
            with _reached(self.part.world):
                dist.all_reduce(flat, group=self._group(flat))
            own = torch.split(flat, [tensor.numel() for tensor in some])
            for tensor, summed in zip(some, own, strict=True):
                tensor.copy_(summed.view(tensor.shape))

    def add_gradients(self, module: nn.Module) -> None:
        """Put into each gradient the sum over all processes. [processes:sum]

        A parameter that only some of them used has no gradient in the others, which is 0.
        """
        if not self.several:
            return
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        used = self.largest([int(parameter.grad is not None) for parameter in parameters])
        gradients = []
        for parameter, here in zip(parameters, used, strict=True):
            if here and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if parameter.grad is not None:
                gradients.append(parameter.grad)
        self.add(gradients)

    def largest(self, numbers: Sequence[int]) -> list[int]:
        """Give, at each place, the largest number that any process has there."""
        if not self.several:
            return list(numbers)
        found = torch.tensor(numbers, dtype=torch.int64)
        with _reached(self.part.world):
            dist.all_reduce(found, op=dist.ReduceOp.MAX, group=self._stepping)
        return [int(number) for number in found.tolist()]

    # -- what the main process does for all ------------------------------------------------------

    def from_main(self, work: Callable[[], T]) -> T:
        """Do something in the main process alone, and tell the others what came of it.

        Args:
            work: gives what JSON can hold (a tuple becomes a list); calls nothing of this class.

        Raises:
            RunError: in the others, where the work raised in the main process; signals are
                raised in all.
        """
        if not self.several:
            return work()
        if not self.main:
            told = json.loads(self._broadcast(b""))
            if "value" not in told:
                raise _ended(told)
            value: T = told["value"]
            return value
        try:
            value = work()
        except BaseException as error:
            with contextlib.suppress(RunError):  # what went wrong first is told
                self._broadcast(json.dumps(_why(error)).encode())
            raise
        self._broadcast(json.dumps({"value": value}).encode())
        return value

    def tensors_from_main(self, work: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Give all the tensors that `work` gives in the main process; errors as of `from_main`."""
        if not self.several:
            return dict(work())
        found: dict[str, Tensor] = {}

        def described() -> list[list[Any]]:
            found.update(work())
            return [[n, str(t.dtype).split(".")[1], list(t.shape)] for n, t in found.items()]

        for name, kind, shape in self.from_main(described):
            if not self.main:
                found[name] = torch.empty(shape, dtype=getattr(torch, kind))
            if found[name].numel():
                flat = found[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8)
                with _reached(self.part.world):
                    dist.broadcast(flat, 0, group=self._told_in)
                if not self.main:
                    found[name] = flat.view(getattr(torch, kind)).reshape(shape)
        return found

    # -- what the main process learns of all ----------------------------------------------------

    def gathered(self, value: Any) -> list[Any]:
        """Give the main process what each has to say, as JSON can hold it; the others get []."""
        if not self.several:
            return [value]
        own = iter([json.dumps(value).encode()])
        return [json.loads(text) for text in self.in_turn(own)]

    def in_turn(self, own: Iterator[bytes]) -> Iterator[bytes]:
        """Give the main process the results of all: one of each process, then the next of each.

        The main process may stop drawing only by an error. The others get none, and have to draw
        until it ends.
        """
        if not self.several:
            yield from own
        elif self.main:
            yield from self._received(own)
        else:
            for data in own:
                self._send(data)
            self._send(None)

    def _received(self, own: Iterator[bytes]) -> Iterator[bytes]:
        ranks = list(range(self.part.world))
        while ranks:
            for rank in tuple(ranks):
                data = self._receive(rank) if rank else next(own, None)
                if data is None:
                    ranks.remove(rank)
                else:
                    yield data

    def _send(self, data: bytes | None) -> None:
        """Send to the main process; None says that nothing more comes."""
        size = torch.tensor([-1 if data is None else len(data)])
        with _reached(self.part.world):
            dist.send(size, 0, group=self._told_in)
            if data:
                dist.send(_bytes(data), 0, group=self._told_in)

    def _receive(self, rank: int) -> bytes | None:
        size = torch.zeros(1, dtype=torch.int64)
        with _reached(self.part.world):
            dist.recv(size, rank, group=self._told_in)
            body = torch.empty(max(0, int(size)), dtype=torch.uint8)
            if len(body):
                dist.recv(body, rank, group=self._told_in)
        return None if int(size) < 0 else body.numpy().tobytes()

    def _broadcast(self, data: bytes) -> bytes:
        """Give all what the main process has."""
        size = torch.tensor([len(data)])
        with _reached(self.part.world):
            dist.broadcast(size, 0, group=self._told_in)
            body = _bytes(data) if self.main else torch.empty(int(size), dtype=torch.uint8)
            dist.broadcast(body, 0, group=self._told_in)
        return body.numpy().tobytes()

    def _group(self, tensor: Tensor) -> Any:
        """Give the group that sums such tensors: NCCL has none on the CPU."""
        on_gpu = self._device is not None and self._device.type != "cpu"
        return self._stepping if on_gpu and tensor.device.type == "cpu" else None


def _bytes(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Give tensors in groups of one kind and of a bounded size, in an order that all share."""
    some: list[Tensor] = []
    for tensor in tensors:
        large = sum(t.numel() for t in some) + tensor.numel() > _BUCKET
        if some and (large or (tensor.dtype, tensor.device) != (some[0].dtype, some[0].device)):
            yield some
            some = []
        some.append(tensor)
    if some:
        yield some


def _why(error: BaseException) -> dict[str, Any]:
    """Say in JSON why the main process ends."""
    if isinstance(error, KeyboardInterrupt):
        return {"interrupted": True}
    if isinstance(error, SystemExit):
        return {"code": error.code if isinstance(error.code, int) else 1}
    return {"error": str(error) or type(error).__name__}


def _ended(told: Mapping[str, Any]) -> BaseException:
    if "interrupted" in told:
        return KeyboardInterrupt()
    if "code" in told:
        return SystemExit(told["code"])
    return RunError(f"Ended with the main process, which says: {told['error']}")


@contextlib.contextmanager
def _joining(world: int) -> Iterator[None]:
    """Say in a sentence that the processes did not come together at all."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise RunError(
            f"The {world} processes could not be joined ({_last_line(error)}). Start them with "
            "`accelerate launch` or `torchrun`, which say to all where the main one is "
            "(MASTER_ADDR, MASTER_PORT)."
        ) from None


@contextlib.contextmanager
def _reached(world: int) -> Iterator[None]:
    """Say in a sentence that another process is gone; torch says where in its sources."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError) as error:
        raise RunError(
            f"Another of the {world} processes is gone, or does not answer ({_last_line(error)}); "
            "its own message says why. Start the same command again: it goes on from what was kept."
        ) from None


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1][:200]
