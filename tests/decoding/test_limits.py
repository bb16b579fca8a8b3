"""Searches that memory does not hold are refused before they are tried."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from decoding_toys import Known, Toy, logs, pictures
from torch import Tensor

from miacap import memory
from miacap.captioners.records import StateRecord
from miacap.decoding import SearchSettings, beam, greedy, limits, sample, search
from miacap.decoding.limits import Needs, require_memory
from miacap.errors import RunError, SettingsError
from miacap.memory import free_memory

NEEDS = Needs(pictures=2, vocabulary=10, maximum=20, memory=1000, state=300, itemsize=4)


@dataclass(frozen=True)
class Record(StateRecord):
    tensors: tuple[Tensor, ...]
    nothing: None = None


def steady(picture: int, words: tuple[int, ...]) -> list[float]:
    return logs(a=0.5, end=0.5)


def test_what_a_hypothesis_takes() -> None:
    one = 5 * 4 * 10 + 32 * 2 + 32 * 20
    assert NEEDS.of(1) == 2 * one + 2 * 300 + 1000
    wide = 5 * 4 * 10 + 32 * 10 + 32 * 20  # no more than the vocabulary
    assert NEEDS.of(100) == 100 * (2 * wide + 2 * 300 + 1000)


def ask(monkeypatch: pytest.MonkeyPatch, free: int | None, width: int, **changed: Any) -> None:
    monkeypatch.setattr(limits, "free_memory", lambda: free)
    parts: dict[str, Any] = dict(
        memory=Record((torch.zeros(2, 25), torch.zeros(2, 100))),
        states=(Record((torch.zeros(2, 1, 3),)), Record((torch.zeros(2, 1, 5),))),
        logits=torch.zeros(2, 1, 10),
    )
    require_memory(width, 20, **(parts | changed))


def test_what_is_read_of_a_captioner(monkeypatch: pytest.MonkeyPatch) -> None:
    # States grew from 24 to 40 bytes in one step of 20: 40 + 19 * 16 at the end.
    needs = dataclasses.replace(NEEDS, state=344)
    ask(monkeypatch, needs.of(7), 7)
    with pytest.raises(SettingsError, match="take at most 6"):
        ask(monkeypatch, needs.of(7) - 1, 7)
    with pytest.raises(SettingsError, match="take at most 7"):
        ask(monkeypatch, needs.of(7), 100_000)
    with pytest.raises(SettingsError, match="take fewer pictures at a time"):
        ask(monkeypatch, 10, 3)
    double = dataclasses.replace(needs, itemsize=8)
    with pytest.raises(SettingsError, match="at most 6"):
        ask(monkeypatch, double.of(7) - 1, 7, logits=torch.zeros(2, 1, 10, dtype=torch.float64))


def test_states_that_shrink_are_not_taken_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    smaller = (Record((torch.zeros(2, 1, 9),)), Record((torch.zeros(2, 1, 5),)))
    needs = dataclasses.replace(NEEDS, state=40)
    ask(monkeypatch, needs.of(7), 7, states=smaller)
    with pytest.raises(SettingsError, match="at most 6"):
        ask(monkeypatch, needs.of(7) - 1, 7, states=smaller)


def test_every_kind_of_record_is_counted() -> None:
    four = torch.zeros(4, dtype=torch.float64)
    assert limits._bytes({"a": four, "b": [four, (four, None)]}) == 96
    assert limits._bytes(Record((four, four[:1]))) == 40


def test_where_memory_is_not_known_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ask(monkeypatch, None, 10**12)
    monkeypatch.setattr(limits, "free_memory", lambda: 0)
    ask(monkeypatch, 0, 3, logits=torch.zeros(2, 1, 10, device="meta"))


def test_a_beam_beyond_memory_is_refused_before_it_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "free_memory", lambda: 10_000)
    for refused in (
        lambda captioner: beam(captioner, pictures(2), 100_000),
        lambda captioner: sample(captioner, pictures(2), 100_000),
    ):
        captioner = Known(steady)
        with pytest.raises(
            SettingsError,
            match=r"100000 hypotheses for each of 2 pictures take about \d+\.\d GB .* "
            r"0\.0 GB are free; take at most \d+",
        ):
            refused(captioner)
        assert captioner.widths == [1]
    captioner = Known(steady)
    with pytest.raises(SettingsError, match=r"1000 hypotheses for each of 2 pictures take about"):
        search(captioner, pictures(2), SearchSettings(beam=1_000))
    assert captioner.widths == [1]
    monkeypatch.setattr(limits, "free_memory", lambda: 0)
    for tried in (greedy, lambda *given: beam(*given, 1), lambda *given: sample(*given, 1)):
        tried(Known(steady), pictures(2))  # one hypothesis is tried in any case


def test_a_beam_beyond_this_machine_is_refused() -> None:
    with pytest.raises(SettingsError, match="of memory at once"):
        beam(Toy(9), pictures(1), 10**11)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_no_probabilities_are_refused(value: float) -> None:
    def damaged(picture: int, words: tuple[int, ...]) -> list[float]:
        return [value] * 6 if picture == 1 else [0.0] * 6

    for refused in (greedy, beam, sample, search):
        with pytest.raises(RunError, match=r"gives '1' no probabilities .* damaged"):
            refused(Known(damaged), pictures(3))
    greedy(Known(damaged), pictures(1))


def test_what_a_gpu_has_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch has reserved and does not use can be used."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 9999))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 700)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 400)
    assert limits._free(torch.device("cuda")) == 1300
    assert limits._free(torch.device("meta")) is None


# free memory


def test_free_memory_is_some() -> None:
    free = free_memory()
    assert free is None or 0 < free < 2**50


def files(folder: Path, monkeypatch: pytest.MonkeyPatch, **texts: str) -> None:
    for name, text in texts.items():
        (folder / name.replace("_", ".")).write_text(text)
    monkeypatch.setattr(memory, "_PROC", folder / "meminfo")
    monkeypatch.setattr(memory, "_GROUP", folder)


def test_the_least_of_machine_and_container_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files(tmp_path, monkeypatch, meminfo="MemTotal:  9 kB\nMemAvailable:   5 kB\n")
    assert free_memory() == 5 * 1024
    group = dict(memory_current="4000", memory_stat="anon 1\ninactive_file 500\n")
    files(tmp_path, monkeypatch, memory_max="max\n", **group)
    assert free_memory() == 5 * 1024
    files(tmp_path, monkeypatch, memory_max="6000\n")
    assert free_memory() == 2500
    files(tmp_path, monkeypatch, memory_max="9999999\n")
    assert free_memory() == 5 * 1024
    files(tmp_path, monkeypatch, memory_max="3000\n")
    assert free_memory() == 0


def test_machines_that_tell_only_their_whole_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files(tmp_path, monkeypatch)
    sizes = {"SC_PHYS_PAGES": 10, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(memory.os, "sysconf", sizes.__getitem__)
    assert free_memory() == 40960
    monkeypatch.delattr(memory.os, "sysconf")
    assert free_memory() is None
