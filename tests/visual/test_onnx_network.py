"""ONNX files: what is run, what is refused, and why."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from miacap.errors import DataError, MissingExtra, RunError, SettingsError
from miacap.visual import detectors
from miacap.visual.detectors import onnx_file
from miacap.visual.detectors.network import OnnxNetwork

BOX, SCORE = [[0.0, 0.0, 0.5, 1.0]], [[1.0, 0.5]]


def test_outputs_come_by_name(onnx_files: SimpleNamespace) -> None:
    network = OnnxNetwork(onnx_files.detector(BOX, SCORE), "lamp", "cpu")
    scores, boxes = network(np.full((3, 64, 64), 0.5, dtype=np.float32), ["scores", "boxes"])
    torch.testing.assert_close(scores, torch.tensor([[0.5, 0.25]]))
    torch.testing.assert_close(boxes, torch.tensor(BOX))


def test_bytes_are_loaded_in_the_format_in_which_they_were_checked(
    onnx_files: SimpleNamespace,
) -> None:
    data = onnx_files.field(2, "xxORTM") + onnx_files.detector(BOX, SCORE)
    assert data[4:8] == b"ORTM"  # the mark of onnxruntime's own format, in a name of ONNX
    onnx_file.check(data, "lamp")
    network = OnnxNetwork(data, "lamp", "cpu")
    (boxes,) = network(np.full((3, 64, 64), 0.5, dtype=np.float32), ["boxes"])
    torch.testing.assert_close(boxes, torch.tensor(BOX))


def outside(files: SimpleNamespace, where: str) -> bytes:
    """A model one of whose tensors lies in another file."""
    place = files.field(13, files.field(1, "location") + files.field(2, "../../etc/passwd"))
    said = {"place alone": place, "location alone": files.field(14, 1)}
    array = files.tensor("t", np.float32([1.0]), said.get(where, place + files.field(14, 1)))
    if where in ("initializer", *said):
        return files.model([], [], [], [array])
    attribute = files.field(1, "value")
    if where == "attribute":
        attribute += files.field(5, array)
    elif where == "graph within":
        attribute += files.field(6, files.field(5, array))
    elif where == "sparse":
        attribute += files.field(22, files.field(1, array))
    return files.model([files.field(4, "If") + files.field(5, attribute)], [], [])


@pytest.mark.parametrize(
    "where", ["initializer", "place alone", "location alone", "attribute", "graph within", "sparse"]
)
def test_weights_in_other_files_are_refused(onnx_files: SimpleNamespace, where: str) -> None:
    with pytest.raises(RunError) as e:
        OnnxNetwork(outside(onnx_files, where), "thing", "cpu")
    assert str(e.value).startswith("thing: its weights lie in other files, which are never opened")


def test_weights_within_are_not(onnx_files: SimpleNamespace) -> None:
    within = onnx_files.tensor("t", np.float32([1.0]), onnx_files.field(14, 0))
    onnx_file.check(onnx_files.model([], [], [], [within]), "thing")


@pytest.mark.parametrize("length", [1, 10, 60, 200, -1])
def test_files_cut_short_are_refused(onnx_files: SimpleNamespace, length: int) -> None:
    with pytest.raises(RunError, match=r"^thing: (no whole ONNX file|onnxruntime cannot load it)"):
        OnnxNetwork(onnx_files.detector(BOX, SCORE)[:length], "thing", "cpu")


def test_bytes_of_any_kind_end_in_a_sentence() -> None:
    drawn = np.random.default_rng(0)
    for _ in range(300):
        data = drawn.integers(0, 256, drawn.integers(0, 60), dtype=np.uint8).tobytes()
        try:
            onnx_file.check(data, "thing")
        except RunError as error:
            assert str(error).startswith("thing: ")


def test_graphs_within_graphs_without_end_are_refused(onnx_files: SimpleNamespace) -> None:
    graph = b""
    for _ in range(200):
        graph = onnx_files.field(1, onnx_files.field(5, onnx_files.field(6, graph)))
    with pytest.raises(RunError, match="no whole ONNX file"):
        onnx_file.check(onnx_files.field(7, graph), "thing")


def test_a_file_beyond_every_detector_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "LARGEST", 5 << 20)
    with pytest.raises(RunError, match="thing: 6 MiB; a detector has at most 5"):
        onnx_file.check(bytes(6 << 20), "thing")


def test_what_asks_for_more_than_a_photo_is_refused(onnx_files: SimpleNamespace) -> None:
    f = onnx_files
    both = [f.value("a", [1, 3, 64, 64]), f.value("size", [1, 2])]
    data = f.model([f.node("Identity", ["a"], ["b"])], both, [f.value("b", [1, 3, 64, 64])])
    with pytest.raises(RunError) as e:
        OnnxNetwork(data, "thing", "cpu")
    assert "takes one array of pixels, and this one asks for a (tensor(float)), size" in str(
        e.value
    )


def test_an_unknown_operator_is_refused_in_a_sentence(onnx_files: SimpleNamespace) -> None:
    f = onnx_files
    data = f.model([f.node("Teleport", ["a"], ["b"])], [f.value("a", [1])], [f.value("b", [1])])
    with pytest.raises(RunError, match=r"^thing: onnxruntime cannot load it \(.*Teleport"):
        OnnxNetwork(data, "thing", "cpu")


def test_a_description_of_other_sizes_or_outputs_is_named(
    onnx_files: SimpleNamespace, tmp_path: Path
) -> None:
    import json

    file = onnx_files.write(tmp_path, BOX, SCORE, ["cat", "dog"])
    good = json.loads(file.with_suffix(".json").read_text())
    for changes, message in (
        ({"input": {"width": 96, "height": 64}},
         r"takes an input of shape \[1, 3, 64, 64\], and the description says \[1, 3, 64, 96\]"),
        ({"outputs": {"kind": "boxes", "boxes": "box", "scores": "scores"}},
         "has no output 'box', which the description names. Its outputs: boxes, scores"),
        ({"sha256": "ab" * 32}, "its description is of another file .SHA-256 abababababab, not"),
    ):  # fmt: skip
        file.with_suffix(".json").write_text(json.dumps({**good, **changes}))
        with pytest.raises(RunError, match=message):
            detectors.load(file, "cpu")


def test_a_detector_without_description_says_what_to_write(
    onnx_files: SimpleNamespace, tmp_path: Path
) -> None:
    file = onnx_files.write(tmp_path, BOX, SCORE, ["cat", "dog"])
    file.with_suffix(".json").unlink()
    with pytest.raises(RunError, match=r"no description of this detector\. Write lamp\.json"):
        detectors.load(file, "cpu")
    with pytest.raises(DataError, match="there is no such file"):
        detectors.load(tmp_path / "absent.onnx", "cpu")
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(DataError, match="is a named pipe"):
        detectors.load(tmp_path / "pipe.onnx", "cpu")


def test_without_onnxruntime_the_extra_is_named(
    onnx_files: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = onnx_files.write(tmp_path, BOX, SCORE, ["cat", "dog"])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra) as e:
        detectors.load(file, "cpu")
    assert str(e.value) == (
        "An ONNX detector needs the extra [detector]: pip install 'miacap[detector]'"
    )


def test_our_descriptions_are_of_files_that_we_know() -> None:
    found = detectors.shipped()
    assert set(found) == {"yolox_nano", "picodet_s_416_coco"}
    for one in found.values():
        assert len(one.classes) == len(set(one.classes)) == 80 and one.sha256
        assert one.classes[0] == "person" and one.classes[-1] == "toothbrush"


def test_a_network_that_takes_all_memory_is_stopped(onnx_files: SimpleNamespace) -> None:
    """One number spread over 4 GiB; a thousandth of it is fine."""
    f = onnx_files
    for share, fits in ((1000, True), (1, False)):
        shape = f.tensor("shape", np.array([(1 << 30) // share], dtype=np.int64))
        nodes = [
            f.node("ReduceMean", ["a"], ["m"], keepdims=0),
            f.node("Expand", ["m", "shape"], ["e"]),
            f.node("ReduceMax", ["e"], ["b"], keepdims=0),
        ]
        inputs, outputs = [f.value("a", [1, 3, 64, 64])], [f.value("b", [])]
        network = OnnxNetwork(f.model(nodes, inputs, outputs, [shape]), "thing", "cpu")
        pixels = np.ones((3, 64, 64), dtype=np.float32)
        if fits:
            assert float(network(pixels, ["b"])[0]) == 1.0
        else:
            with pytest.raises(RunError, match=r"^thing: onnxruntime fails on it \("):
                network(pixels, ["b"])


def test_a_wrong_device_is_named(onnx_files: SimpleNamespace) -> None:
    with pytest.raises(SettingsError, match="no device named 'gpu'"):
        OnnxNetwork(onnx_files.detector(BOX, SCORE), "lamp", "gpu")
