"""The extractor that is kept: scores, heat maps, devices, and files that are damaged or strange."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from miacap.concepts import (
    ConceptFolder,
    ConceptVocabulary,
    Extractor,
    extract,
    heat,
    train,
    training,
)
from miacap.concepts.extractor import copy
from miacap.errors import DataError, RunError, SettingsError
from miacap.settings import override

from .conftest import QUICK, World, scores


@pytest.mark.parametrize("kind", ["multi-label", "pooled"])
def test_other_extractors_by_name(world: World, tmp_path: Path, kind: str) -> None:
    regions, dataset = world
    settings = override(QUICK, [f"extractor={kind}"])
    found = train(regions, dataset, tmp_path / "c", settings, quiet=True)
    row = found["splits"]["dev"]
    assert row["scores"]["mAP"] > 1.5 * row["base rate"]["mAP"]
    kept = Extractor.load(tmp_path / "c")
    stored = scores(tmp_path / "c")["000.jpg"]
    torch.testing.assert_close(extract(kept, [regions.rows("000.jpg")])[0], stored)
    with pytest.raises(RunError, match=rf"A {kind} extractor has no belief per region"):
        heat(kept, regions.rows("000.jpg").float())


def test_a_heat_map_multiplies_to_the_score(world: World, finished: Path) -> None:
    regions, _ = world
    kept = Extractor.load(finished)
    rows = regions.rows("000.jpg").float()
    cells = heat(kept, rows)
    assert cells.shape == (4, len(kept.words))
    whole = extract(kept, [rows])[0]
    for word in range(len(kept.words)):
        product = math.prod(1 - float(cells[n, word]) for n in range(4))
        assert float(whole[word]) == pytest.approx(1 - product, abs=1e-5)


def test_live_rows_are_rounded_as_stored_ones_are(world: World, finished: Path) -> None:
    regions, _ = world
    kept = Extractor.load(finished)
    live = regions.rows("000.jpg").float() * (1 + 1e-5)
    assert torch.equal(live.half(), regions.rows("000.jpg"))
    assert torch.equal(extract(kept, [live]), extract(kept, [regions.rows("000.jpg")]))
    assert extract(kept, []).shape == (0, len(kept.words))
    with pytest.raises(DataError, match=r"width 5 for an extractor of width 12: .* backbone"):
        extract(kept, [torch.zeros(2, 5)])


class Recorder(nn.Module):
    """Notes where its rows lie, and believes in nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, device="meta"))
        self.seen: list[str] = []

    def forward(self, rows: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, None]:
        self.seen += [rows.device.type, mask.device.type]
        return torch.full((len(rows), 2), -torch.inf), None


def test_a_damaged_extractor_is_found_when_it_is_opened_or_copied(
    finished: Path, tmp_path: Path
) -> None:
    copy(finished, tmp_path / "run")
    assert Extractor.load(tmp_path / "run").words == Extractor.load(finished).words
    before = (tmp_path / "run" / "extractor.safetensors").stat().st_mtime_ns
    copy(finished, tmp_path / "run")
    assert (tmp_path / "run" / "extractor.safetensors").stat().st_mtime_ns == before
    shutil.copytree(finished, tmp_path / "c")
    assert ConceptFolder.open(tmp_path / "c").store.names
    weights = tmp_path / "c" / "extractor.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    for use in (ConceptFolder.open, Extractor.load, lambda folder: copy(folder, tmp_path / "new")):
        with pytest.raises(RunError, match=r"extractor\.safetensors: damaged, or not the weights"):
            use(tmp_path / "c")
    assert not (tmp_path / "new").exists()
    with pytest.raises(RunError, match=r"new: no concept extractor here \("):
        copy(tmp_path / "new", tmp_path / "run")


def test_a_stale_extractor_is_replaced(finished: Path, tmp_path: Path) -> None:
    kept = Extractor.load(finished)
    module = training.build("multiple-instance", 12, len(kept.words), 16, 0.1)
    Extractor(kept.vocabulary, "multiple-instance", 12, 16, 0.1, module).save(tmp_path)
    assert Extractor.load(tmp_path).checksum != kept.checksum
    copy(finished, tmp_path)
    assert Extractor.load(tmp_path).checksum == kept.checksum


def test_an_extractor_computes_on_its_device(finished: Path) -> None:
    assert Extractor.load(finished, torch.device("meta")).device.type == "meta"
    assert Extractor.load(finished, "cpu").device.type == "cpu"
    with pytest.raises(SettingsError, match="no device named 'nowhere'"):
        Extractor.load(finished, "nowhere")
    module = Recorder()
    vocabulary = ConceptVocabulary(["dog", "cat"])
    extractor = Extractor(vocabulary, "pooled", 3, 0, 0.0, module)
    assert extract(extractor, [torch.zeros(2, 3)]).tolist() == [[0.0, 0.0]]
    assert module.seen == ["meta", "meta"]


@pytest.mark.parametrize("kind", [torch.int8, torch.bool])
def test_an_extractor_of_another_kind_of_number_is_refused(
    finished: Path, tmp_path: Path, kind: torch.dtype
) -> None:
    extractor = Extractor.load(finished)
    state = {name: value.to(kind) for name, value in extractor.module.state_dict().items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extractor.module, "state_dict", lambda: state)
        extractor.save(tmp_path)
    with pytest.raises(RunError, match=r"these weights do not fit .*holds numbers of type"):
        Extractor.load(tmp_path)


def test_files_that_do_not_belong_together(finished: Path, tmp_path: Path) -> None:
    place = tmp_path / "c"
    with pytest.raises(RunError, match=r"no concept extractor here .* miacap concepts train"):
        Extractor.load(place)
    shutil.copytree(finished, place)
    said = json.loads((place / "concepts.json").read_text())
    del said["sha256"]  # as older miacaps wrote it
    for change, message in [
        ({"format": 2}, "format 2, this miacap reads 1; install a newer"),
        ({"kind": "oracle"}, "an extractor of kind 'oracle' is unknown"),
        ({"words": said["words"][1:]}, "these weights do not fit"),
        ({"dropout": 2.0}, r"dropout lies in \[0, 1\), not 2\.0"),
        ({"dropout": math.nan}, r"dropout lies in \[0, 1\), not nan"),
        ({"width": 2**50}, "take smaller sizes"),
        ({"hidden": 2**40}, "take smaller sizes"),
        ({"hidden": 2**62}, r"hidden is below 2\^53, not 4611686018427387904"),
        ({"hidden": -1}, "hidden is at least 0, not -1"),
        ({"width": 2**63}, r"width is below 2\^53"),
        ({"width": 2**70}, r"width is below 2\^53"),
        ({"width": 0}, "width is at least 1, not 0"),
        ({"width": None}, "width is absent or of the wrong type"),
        ({"weights_sha256": "0" * 64}, "damaged, or not the weights that concepts.json"),
    ]:
        (place / "concepts.json").write_text(json.dumps({**said, **change}))
        with pytest.raises(RunError, match=message):
            Extractor.load(place)
    (place / "concepts.json").write_text("[]")
    with pytest.raises(RunError, match="not the description of concepts"):
        Extractor.load(place)
    (place / "concepts.json").write_text(json.dumps(said))
    (place / "extractor.safetensors").unlink()
    with pytest.raises(RunError, match=r"extractor\.safetensors: the weights .* are absent"):
        Extractor.load(place)
