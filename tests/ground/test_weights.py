"""Files of weights, and modules that are built only where they fit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from miacap import weights
from miacap.errors import RunError, SettingsError

TENSORS = {"b": torch.arange(6.0).view(2, 3), "a": torch.tensor([1, 2])}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    for write in (weights.write_weights, weights.write_tensors):
        digest = write(tmp_path / "w", TENSORS)
        assert len(digest) == 64
        read = weights.read_weights(tmp_path / "w")
        assert read.keys() == TENSORS.keys()
        assert all(torch.equal(read[name], value) for name, value in TENSORS.items())


def test_the_checksum_covers_names_types_shapes_and_values() -> None:
    same = {"a": torch.tensor([1, 2]), "b": torch.arange(6.0).view(3, 2).reshape(2, 3)}
    assert weights.checksum(same) == weights.checksum(TENSORS)
    others = [
        {"a": TENSORS["a"], "c": TENSORS["b"]},
        {**TENSORS, "a": TENSORS["a"].int()},
        {**TENSORS, "b": TENSORS["b"].view(3, 2)},
        {**TENSORS, "a": torch.tensor([1, 3])},
        {"a": TENSORS["a"]},
    ]
    digests = {weights.checksum(other) for other in [TENSORS, *others]}
    assert len(digests) == 6


def test_a_changed_weight_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    weights.write_weights(path, TENSORS)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(RunError, match=r"w\.safetensors: damaged \(its checksum differs\); copy"):
        weights.read_weights(path)
    path.write_bytes(bytes(content)[:-3])
    with pytest.raises(RunError, match="no whole safetensors file"):
        weights.read_weights(path)
    with pytest.raises(RunError, match="no whole safetensors file"):
        weights.read_weights(tmp_path / "absent")


def test_a_file_without_a_checksum_is_read_as_it_is(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "w")
    assert torch.equal(weights.read_weights(tmp_path / "w")["a"], torch.ones(2))


def test_tied_and_sliced_tensors_are_written_whole(tmp_path: Path) -> None:
    whole = torch.arange(12.0).view(3, 4)
    tensors = {"whole": whole, "again": whole, "column": whole[:, 1], "row": whole[1]}
    weights.write_tensors(tmp_path / "w", tensors)
    read = load_file(tmp_path / "w")
    assert all(torch.equal(read[name], value) for name, value in tensors.items())


def test_numbers_that_are_not_finite_are_named() -> None:
    module = nn.BatchNorm1d(2)
    assert weights.not_finite(module) is None
    module.running_var[0] = torch.inf
    assert weights.not_finite(module) is None  # a mask may hold infinities
    module.running_var[0] = torch.nan
    assert weights.not_finite(module) == "running_var"
    for value in (torch.nan, torch.inf, -torch.inf):
        module.bias.data[1] = value
        assert weights.not_finite(module) == "bias"


@pytest.mark.parametrize("size", [10**18, 2**62, 2**63, 2**70])
def test_sizes_that_nothing_can_hold_end_in_a_sentence(size: int) -> None:
    with pytest.raises(SettingsError, match=r"^the net: its sizes are beyond what torch can count"):
        weights.build(lambda: nn.Linear(size, 4), "the net")


def test_a_module_is_built_only_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def make() -> nn.Module:
        module = nn.BatchNorm1d(1000)  # 2 x 1,000 parameters, as many numbers and one more beside
        built.append(module.weight.device.type)
        return module

    needed = 4 * 4000 + 8
    monkeypatch.setattr(weights, "free_memory", lambda: needed)
    assert weights.build(make, "the net").weight.device.type == "cpu"
    monkeypatch.setattr(weights, "free_memory", lambda: needed - 1)
    with pytest.raises(SettingsError, match=r"^the net: its parameters take 0\.0 GB, and 0\.0 GB"):
        weights.build(make, "the net")
    assert built == ["meta", "cpu", "meta"]
    monkeypatch.setattr(weights, "free_memory", lambda: None)
    weights.build(make, "the net")
    with pytest.raises(SettingsError, match=r"take 4,611,686,018.4 GB, and"):
        monkeypatch.undo()
        weights.build(lambda: nn.Linear(2**60, 1, bias=False), "the net")


def test_counting_draws_nothing() -> None:
    torch.manual_seed(3)
    first = weights.build(lambda: nn.LSTM(4, 5), "the net")
    torch.manual_seed(3)
    second = nn.LSTM(4, 5)
    for name, value in second.state_dict().items():
        assert torch.equal(first.state_dict()[name], value)


class Drawn(TorchDispatchMode):
    """Collects the operations that draw numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.name() in ("aten::normal_", "aten::uniform_"):
            self.seen.append(func.name())
        return func(*args, **(kwargs or {}))


def test_on_the_meta_device_nothing_is_drawn() -> None:
    def make() -> nn.Module:
        linear, embedding, norm = nn.Linear(2, 3), nn.Embedding(4, 5), nn.LayerNorm(6)
        nn.init.xavier_normal_(linear.weight)
        nn.init.normal_(tensor=linear.bias, std=2.0)
        nn.init.trunc_normal_(embedding.weight)
        linear.weight.detach().normal_().uniform_(1, 2)
        return nn.Sequential(linear, embedding, norm)

    with Drawn() as told:
        with weights.outlined():
            outline = make()
            there = torch.empty(3, device="cpu").uniform_(2, 3)  # held by memory: filled
        assert told.seen == ["aten::uniform_"] and float(there.min()) >= 2
        assert [p.shape for p in outline.parameters()] == [p.shape for p in make().parameters()]
    assert {"aten::normal_", "aten::uniform_"} <= set(told.seen)


class Own(nn.Module):
    """Computes while it is built, which the meta device cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(int(torch.ones(3).sum().item()), 2)


def test_a_module_that_cannot_be_counted_is_built_all_the_same() -> None:
    assert weights.build(Own, "the net").layer.in_features == 3


def test_what_the_module_itself_refuses_stays_its_own_error() -> None:
    def make() -> nn.Module:
        raise SettingsError("width is odd")

    with pytest.raises(SettingsError, match=r"^width is odd$"):
        weights.build(make, "the net")
