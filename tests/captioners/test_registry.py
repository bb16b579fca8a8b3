"""Names, sources, building, refusals, and captioners from outside."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch

from miacap import captioners
from miacap.captioners import registry
from miacap.captioners.conformance import some_pictures, some_words
from miacap.captioners.nic import Nic
from miacap.captioners.settings import FedSizes
from miacap.errors import DataError, SettingsError, UnknownName
from miacap.pictures import collate
from miacap.settings import to_json

TINY: dict[str, Any] = {"words": 23, "region_width": 6, "width": 8, "heads": 2, "inner": 12}


def test_names_and_sources() -> None:
    assert captioners.names()[:12] == (
        "nic",
        "spatial-attention",
        "adaptive",
        "up-down",
        "att-cnn-lstm",
        "att-fcn",
        "lstm-a2",
        "lstm-a3",
        "lstm-a4",
        "lstm-a5",
        "concept-attention",
        "transformer",
    )
    # What Tables 1 to 3 report, row by row.
    table = {
        "nic": "plain regions combined",
        "spatial-attention": "plain regions combined",
        "adaptive": "plain regions combined",
        "up-down": "plain regions combined",
        "att-cnn-lstm": "plain concepts combined",
        "att-fcn": "plain concepts combined",
        "lstm-a2": "plain regions concepts combined",
        "lstm-a3": "plain regions concepts combined",
        "lstm-a4": "plain regions concepts combined",
        "lstm-a5": "plain regions concepts combined",
        "concept-attention": "plain concepts combined",
        "transformer": "plain regions concepts combined",
    }
    controls = {"both", "concatenated", "normed"}
    for name, reported in table.items():
        assert set(captioners.sources(name)) - controls == set(reported.split()), name


def test_listing_names_needs_no_torch() -> None:
    code = (
        "import sys; from miacap import captioners; captioners.names(); "
        "print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_unknown_names_and_sizes_are_explained() -> None:
    with pytest.raises(UnknownName, match=r"No captioner named 'updown'. Did you mean 'up-down'\?"):
        captioners.build("updown", "plain", words=9)
    with pytest.raises(SettingsError, match=r"unknown setting 'widht'. Did you mean 'width'\?"):
        captioners.build("nic", "plain", words=9, widht=4)
    with pytest.raises(SettingsError, match=r"'att-cnn-lstm' cannot be fed 'regions'"):
        captioners.build("att-cnn-lstm", "regions", words=9)
    with pytest.raises(SettingsError, match=r"Did you mean 'combined'\? It takes: plain, regions"):
        captioners.build("nic", "combine", words=9)
    with pytest.raises(SettingsError, match="'nic': 3 heads do not divide a width of 8"):
        captioners.build("nic", "combined", **(TINY | {"heads": 3}))


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("nic", {"words": 3}, "words counts the four special ids"),
        ("nic", {"width": 0}, "width is at least 1"),
        ("nic", {"dropout": 1.0}, "dropout lies in \\[0, 1\\)"),
        ("nic", {"iterations": -1}, "iterations is 0 or more"),
        ("nic", {"iterations": 10**12}, "iterations is at most 1,000"),
        ("nic", {"preset": "official"}, "preset is one of paper, released"),
        ("att-fcn", {"word_width": 5}, "att-fcn compares words with concepts: word_width is 8"),
        ("concept-attention", {"word_width": 5}, "adds words to concepts"),
        ("up-down", {"raw_features": True}, "raw_features goes with source='plain'"),
        ("lstm-a5", {"concept_input": "probabilities", "concepts": 9}, "needs concepts as rows"),
        (
            "lstm-a5",
            {"concept_input": "probabilities", "source": "plain"},
            "needs concepts, their number",
        ),
        ("spatial-attention", {"scorer": 0}, "'spatial-attention': scorer is at least 1, not 0"),
        ("up-down", {"scorer": -2}, "'up-down': scorer is at least 1, not -2"),
        ("transformer", {"layer_heads": 3}, "3 layer_heads do not divide width=8"),
        ("transformer", {"layers": 0}, "at least 1"),
        ("transformer", {"layers": 10**9}, "'transformer': layers is at most 100, not 1000000000"),
        ("transformer", {"layer_dropout": -0.1}, "layer_dropout is from 0"),
    ],
)
def test_sizes_that_make_no_captioner(name: str, sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        captioners.build(name, **(TINY | {"source": "combined"} | sizes))


def test_sizes_travel_as_json() -> None:
    module = captioners.build("transformer", "both", **TINY, layer_heads=4, order="regions-first")
    assert isinstance(module.sizes, FedSizes)
    again = captioners.build(**to_json(module.sizes))
    assert again.sizes == module.sizes
    assert [p.shape for p in again.parameters()] == [p.shape for p in module.parameters()]


def test_pictures_that_do_not_fit_are_explained() -> None:
    module = captioners.build("nic", "combined", **TINY)
    bare = collate(["a"], [torch.zeros(2, 6)])
    with pytest.raises(DataError, match="'combined' reads concepts, but these pictures have none"):
        module.encode(bare)
    wide = collate(["a"], [torch.zeros(2, 7)])
    with pytest.raises(DataError, match=r"Regions are 7 wide.*region_width=6"):
        captioners.build("nic", "plain", **TINY).encode(wide)
    with pytest.raises(DataError, match=r"Regions are 7 wide.*region_width=6"):
        captioners.build("up-down", "plain", **TINY, raw_features=True).encode(wide)
    scored = captioners.build(
        "att-cnn-lstm", "plain", **TINY, concept_input="probabilities", concepts=4
    )
    with pytest.raises(DataError, match="reads 4 concept probabilities; these pictures have none"):
        scored.encode(bare)


def test_plain_regions_need_no_concepts() -> None:
    bare = collate(["a"], [torch.zeros(2, 6)])
    for name in ("nic", "spatial-attention", "adaptive", "up-down", "transformer"):
        for source in ("plain", "normed"):
            module = captioners.build(name, source, **TINY)
            assert module(bare, some_words(1)).shape == (1, 2, 5, 23)


@pytest.mark.parametrize("name", ["att-cnn-lstm", "lstm-a3", "lstm-a5"])
def test_probabilities_in_place_of_rows(name: str) -> None:
    sizes = {"concept_input": "probabilities", "concepts": 15}
    module = captioners.build(name, "plain", **TINY, **sizes).eval()
    pictures, words = some_pictures(), some_words(3)
    one = module(pictures, words)
    # Neither the order of concepts nor which are ranked matters: scores alone are read.
    empty = pictures.concepts[:, :0]
    other = module(replace(pictures, concepts=empty, concept_mask=empty.bool()), words)
    assert torch.equal(one, other)
    assert pictures.concept_scores is not None
    changed = replace(pictures, concept_scores=pictures.concept_scores.flip(1))
    assert not torch.equal(one, module(changed, words))


@pytest.mark.parametrize("visual", ["source", "plain", "none"])
def test_what_att_fcn_sees_before_the_first_word(visual: str) -> None:
    module = captioners.build("att-fcn", "combined", **TINY, visual=visual).double().eval()
    memory = module.encode(some_pictures())
    if visual == "none":
        assert memory.image is None
        return
    fed = module.feed(some_pictures(), module.embedding.weight)
    slot = fed.visual if visual == "source" else fed.projected
    count = slot.mask.sum(1, keepdim=True)
    pooled = (slot.rows * slot.mask[..., None]).sum(1) / count
    torch.testing.assert_close(memory.image, module.image(pooled))


def test_raw_features_are_attended_to_as_they_are() -> None:
    module = captioners.build("up-down", "plain", **TINY, raw_features=True).double().eval()
    pictures, words = some_pictures(), some_words(3)
    memory = module.encode(pictures)
    assert torch.equal(memory.rows, pictures.regions.double())
    state, logits = module.start(memory, 2), []
    for time in range(5):
        found, state = module.step(memory, state, words[:, :, time])
        logits.append(found)
    torch.testing.assert_close(module(pictures, words), torch.stack(logits, 2))


def test_a_captioner_from_outside_registers_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    captioners.register("mine", Nic)
    assert captioners.names()[-1] == "mine"
    assert captioners.build("mine", "plain", **TINY).sizes.name == "mine"
    with pytest.raises(SettingsError, match="'mine' is already registered"):
        captioners.register("mine", Nic)
    with pytest.raises(SettingsError, match="'nic' is already registered"):
        captioners.register("nic", Nic)


def test_entry_points_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    point = EntryPoint("theirs", "miacap.captioners.nic:Nic", "miacap.captioners")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert "theirs" in captioners.names()
    assert captioners.build("theirs", "plain", **TINY).sizes.name == "theirs"


def test_sources_that_are_listed_without_torch_are_those_of_the_factories() -> None:
    from miacap.captioners.registry import _OURS, _SOURCES, _factory

    assert set(_SOURCES) == set(_OURS)
    for name in _OURS:
        assert tuple(_factory(name).sources) == captioners.sources(name), name
