"""What a captioner says that it reads, and its sizes, without building it."""

import pkgutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from miacap import captioners
from miacap.captioners import registry
from miacap.errors import SettingsError, UnknownName

SCORED = {"concept_input": "probabilities", "concepts": 4}
ALONE = {"attention": "self"}
BOTH = "regions concepts"

READS: list[tuple[str, str, dict[str, Any], str]] = [
    ("nic", "plain", {}, "regions"),
    ("nic", "normed", {}, "regions"),
    ("nic", "regions", {}, BOTH),
    ("nic", "combined", {}, BOTH),
    ("nic", "combined", {"iterations": 0}, BOTH),
    ("nic", "combined", ALONE, BOTH),
    ("nic", "regions", {"iterations": 0}, "regions"),
    ("nic", "regions", ALONE, "regions"),
    ("nic", "regions", {"iterations": 1, "order": "regions-first"}, BOTH),
    ("spatial-attention", "concatenated", {}, BOTH),
    ("spatial-attention", "both", ALONE, BOTH),
    ("up-down", "plain", {"raw_features": True}, "regions"),
    ("att-cnn-lstm", "plain", {}, "concepts"),
    ("att-cnn-lstm", "plain", SCORED, "scores"),
    ("att-cnn-lstm", "concepts", {}, BOTH),
    ("att-cnn-lstm", "concepts", ALONE, "concepts"),
    ("att-fcn", "plain", {}, BOTH),
    ("att-fcn", "plain", {"visual": "none"}, "concepts"),
    ("att-fcn", "concepts", {"visual": "none", **ALONE}, "concepts"),
    ("att-fcn", "concepts", {"visual": "plain", **ALONE}, BOTH),
    ("lstm-a3", "plain", {}, BOTH),
    ("lstm-a3", "plain", SCORED, "regions scores"),
    ("concept-attention", "plain", {}, "concepts"),
    ("concept-attention", "combined", {}, BOTH),
    ("transformer", "plain", {}, "regions"),
    ("transformer", "concepts", {}, BOTH),
    ("transformer", "concepts", {"iterations": 0}, "concepts"),
]


@pytest.mark.parametrize(("name", "source", "sizes", "read"), READS)
def test_a_captioner_says_what_it_reads(
    name: str, source: str, sizes: dict[str, Any], read: str
) -> None:
    assert captioners.reads(name, source, **sizes) == set(read.split())


def test_sizes_are_parsed_without_building() -> None:
    sizes = captioners.sizes("transformer", "plain", width=6, layer_heads=3)
    assert (sizes.name, sizes.source, sizes.rows, sizes.region_width) == (
        "transformer",
        "plain",
        "match",
        1280,
    )
    assert captioners.sizes("nic", rows="aligned").rows == "aligned"
    assert captioners.sizes("nic", words=77).words == 77
    with pytest.raises(SettingsError, match=r"unknown setting 'widht'. Did you mean 'width'\?"):
        captioners.sizes("nic", widht=4)
    with pytest.raises(SettingsError, match="'nic' cannot be fed 'concepts'"):
        captioners.reads("nic", "concepts")
    with pytest.raises(UnknownName, match=r"Did you mean 'nic'\?"):
        captioners.reads("nick")
    with pytest.raises(UnknownName, match=r"Did you mean 'att-fcn'\?"):
        captioners.regulariser("att-fnc")


@pytest.mark.parametrize(
    ("name", "source", "sizes", "multiple", "adjustable"),
    [
        ("nic", "plain", {}, 1, None),
        ("nic", "plain", {"word_width": 5}, 1, "word_width"),
        ("nic", "combined", {"heads": 4}, 4, None),
        ("att-fcn", "plain", {"word_width": 512}, 1, None),
        ("concept-attention", "plain", {"word_width": 512}, 1, None),
        ("transformer", "plain", {"heads": 3}, 8, "layer_inner"),
        ("transformer", "combined", {"heads": 6, "width": 48}, 24, "layer_inner"),
    ],
)
def test_sizes_say_which_widths_there_are(
    name: str, source: str, sizes: dict[str, Any], multiple: int, adjustable: str | None
) -> None:
    found = captioners.sizes(name, source, **sizes)
    assert (found.width_multiple, found.adjustable) == (multiple, adjustable)


def test_no_public_name_hides_behind_a_file_of_the_room() -> None:
    """Importing a submodule sets it on its package, in place of a function of that name."""
    files = {file.name for file in pkgutil.iter_modules(captioners.__path__)}
    assert files and not files & set(captioners.__all__)


def test_the_import_contract_names_every_family() -> None:
    """Decoding, runs, captioning and experiments import none of them."""
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    contracts = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    (contract,) = [c for c in contracts if "know no family" in c["name"]]
    families = {f"miacap.captioners.{where.split(':')[0]}" for where in registry._OURS.values()}
    assert families <= set(contract["forbidden_modules"])
    above = {"decoding", "runs", "captioning", "experiments"}
    assert {f"miacap.{room}" for room in above} <= set(contract["source_modules"])
