"""Run folders: begun, interrupted, gone on with, damaged."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from miacap import runs
from miacap.data import Preprocessing, Source
from miacap.errors import MiacapError, RunError, SettingsError
from miacap.runs import CrossEntropy, RunSettings, Trained, card_text, create
from miacap.runs import folder as module
from miacap.text import Vocabulary
from miacap.weights import write_weights

SETTINGS = RunSettings("nic", "plain", {"width": 8, "word_width": 8}, region_width=6)
WORDS = Vocabulary(["a", "cat", "dog"])
PREPARED = Preprocessing("efficientnet-lite0", "0" * 64)
SOURCES = (Source("captions.csv", "1" * 64, 10, "CC0"),)


def lay(folder: Path, settings: RunSettings = SETTINGS, sources: tuple[Source, ...] = SOURCES):  # type: ignore[no-untyped-def]
    return create(folder, settings, WORDS, PREPARED, sources)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    laid = lay(folder)
    weights = dict(module.build(laid.settings, len(WORDS)).state_dict())
    write_weights(folder / "weights.safetensors", weights)
    return folder


@pytest.mark.parametrize("written", range(1, 5))
def test_a_run_that_was_hardly_begun_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    inner, calls = module.write_json, []

    def deadly(path: Path, value: object) -> None:
        calls.append(path)
        if len(calls) == written:
            path.with_name(f".{path.name}.x-1-2.part").write_bytes(b"half")
            raise KeyboardInterrupt
        inner(path, value)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_json", deadly)
        with pytest.raises(KeyboardInterrupt):
            lay(tmp_path / "run")
    assert not (tmp_path / "run" / "settings.json").exists()
    assert runs.load(lay(tmp_path / "run").folder).settings == SETTINGS


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("dear diary")
    with pytest.raises(
        RunError, match=r"holds 'diary\.txt' and is no run of miacap; choose an empty"
    ):
        lay(tmp_path)
    with pytest.raises(RunError, match=r"diary\.txt: is a file, not a folder"):
        lay(tmp_path / "diary.txt")
    with pytest.raises(SettingsError, match="format is 2 for new runs, not 3"):
        lay(tmp_path / "new", replace(SETTINGS, format=3))
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]


def test_other_data_is_no_way_to_go_on(run: Path) -> None:
    lay(run)
    for sources in ((), (Source("captions.csv", "2" * 64, 10, "CC0"),)):
        with pytest.raises(RunError, match=r"begun with other data \(captions\.csv is not what"):
            lay(run, sources=sources)
    (run / "data.json").write_text("null")
    for way in (lambda: lay(run), lambda: card_text(runs.load(run), {"CIDEr-D": 1.0}, 1)):
        with pytest.raises(RunError, match=r'data\.json: expected an object with a list "sourc'):
            way()


@pytest.mark.parametrize("value", [["x"], {}, 1, None])
@pytest.mark.parametrize("name", ["name", "sha256"])
def test_a_source_that_cannot_be_ends_in_a_sentence(run: Path, name: str, value: object) -> None:
    data = json.loads((run / "data.json").read_text())
    data["sources"][0][name] = value
    (run / "data.json").write_text(json.dumps(data))
    for way in (lambda: lay(run), lambda: card_text(runs.load(run), {"CIDEr-D": 1.0}, 1)):
        with pytest.raises(RunError, match=rf"data\.json: '{name}' of source 1 is .*, not text"):
            way()


def test_a_changed_letter_in_the_vocabulary_is_noticed(run: Path) -> None:
    file = run / "vocabulary.json"
    file.write_text(file.read_text().replace("cat", "cut"))
    with pytest.raises(RunError, match=r"vocabulary\.json: damaged"):
        runs.load(run)


def test_weights_are_read_back_and_every_changed_bit_is_noticed(run: Path) -> None:
    path = run / "weights.safetensors"
    runs.load(run).captioner()
    with safe_open(path, framework="pt") as file:
        assert set(file.metadata()) == {"format", "sha256"}
    content = path.read_bytes()
    for place in (len(content) - 1, len(content) - 700):
        damaged = bytearray(content)
        damaged[place] ^= 16
        path.write_bytes(bytes(damaged))
        with pytest.raises(RunError, match=r"weights\.safetensors: damaged \(its checksum diff"):
            runs.load(run).captioner()
    for damaged in (b"", content[:-9], b"\x80\x04K\x05.", b"\xff" * 99):
        path.write_bytes(damaged)
        with pytest.raises(RunError, match=r"weights\.safetensors: no whole safetensors file"):
            runs.load(run).captioner()


@pytest.mark.parametrize("kind", [torch.int8, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_weights_of_another_kind_of_number_are_refused(run: Path, kind: torch.dtype) -> None:
    state = runs.load(run).captioner().state_dict()
    write_weights(run / "weights.safetensors", {n: t.to(kind) for n, t in state.items()})
    with pytest.raises(RunError, match=r"do not fit the run.*holds numbers of type"):
        runs.load(run).captioner()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_floating_types_are_taken(run: Path, kind: torch.dtype) -> None:
    state = runs.load(run).captioner().state_dict()
    write_weights(run / "weights.safetensors", {n: t.to(kind) for n, t in state.items()})
    runs.load(run).captioner()


def test_a_file_of_another_size_is_refused_before_it_is_read(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("miacap.weights.read_weights", lambda path: pytest.fail("was read"))
    path = run / "weights.safetensors"
    os.truncate(path, 20 * 10**9)  # sparse: takes no disk
    with pytest.raises(RunError, match="no whole safetensors file"):
        runs.load(run).captioner()
    header = b'{"x":{"dtype":"U8","shape":[20000000000],"data_offsets":[0,20000000000]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + 20 * 10**9)
    with pytest.raises(RunError, match=r"do not fit the run's settings.*unexpected tensor 'x'"):
        runs.load(run).captioner()


def test_weights_without_a_checksum_are_those_of_older_runs(run: Path) -> None:
    module_ = runs.load(run).captioner()
    save_file(dict(module_.state_dict()), run / "weights.safetensors")
    again = runs.load(run).captioner()
    assert all(map(torch.equal, module_.parameters(), again.parameters()))


def test_weights_of_another_run_are_one_line(run: Path) -> None:
    settings = json.loads((run / "settings.json").read_text())
    settings["sizes"]["width"] = 16
    (run / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(RunError, match="do not fit the run's settings or vocabulary") as found:
        runs.load(run).captioner()
    assert "\n" not in str(found.value) and len(str(found.value)) < 400


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("settings.json", "null", "settings.json: not the settings of a run"),
        ("settings.json", '{"format": true}', "settings.json: not the settings of a run"),
        ("settings.json", '{"format": 3}', "run format 3, but this miacap .* install a newer"),
        ("preprocessing.json", "{}", "missing: 'backbone', 'weights_sha256'"),
        ("vocabulary.json", None, "no whole run folder .it has no vocabulary.json."),
    ],
)
def test_damaged_descriptions_are_named(
    run: Path, name: str, content: str | None, message: str
) -> None:
    (run / name).unlink()
    if content is not None:
        (run / name).write_text(content)
    with pytest.raises(RunError, match=message):
        runs.load(run)


def test_half_an_extractor_is_not_none(run: Path) -> None:
    assert runs.load(run).extractor() is None
    (run / "extractor.safetensors").write_bytes(b"x")
    with pytest.raises(RunError, match=r"concepts\.json"):
        runs.load(run).extractor()


def test_the_card_prints_counts_as_whole_numbers(run: Path) -> None:
    card = card_text(runs.load(run), {"CIDEr-D": 1.0, "distinct": 858.0}, 3)
    assert "| CIDEr-D | 1.0000 |" in card and "| distinct | 858 |" in card


def test_folders_as_text(run: Path) -> None:
    assert runs.load(lay(str(run)).folder).settings == SETTINGS  # type: ignore[arg-type]
    assert runs.listing(str(run.parent)) == [run]


@pytest.mark.parametrize("name", ["beam", "maximum_words"])
def test_searches_without_end_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is at most 1,000, not 1001"):
        RunSettings(**{name: 1_001})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"region_width": 2**50}, "the captioner 'nic': its .* take smaller sizes"),
        ({"region_width": 2**62}, r"region_width is below 2\^53"),
        ({"region_width": 2**70}, r"region_width is below 2\^53"),
        ({"sizes": {"width": 2**62, "word_width": 8}}, "."),
        ({"sizes": {"width": 2**63, "word_width": 8}}, "."),
        ({"sizes": {"width": 2**70, "word_width": 8}}, "."),
        ({"sizes": {"width": 10**18, "word_width": 8}}, "."),
        ({"sizes": {"width": 2**40, "word_width": 8}}, "take smaller sizes"),
        ({"sizes": {"width": 8, "word_width": 8, "dropout": math.nan}}, "dropout"),
    ],
)
def test_sizes_that_nothing_can_hold_end_in_a_sentence(
    run: Path, change: dict[str, object], message: str
) -> None:
    file = run / "settings.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(MiacapError, match=message) as caught:
        runs.load(run).captioner()
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(run: Path, value: float) -> None:
    tensors = dict(runs.load(run).captioner().state_dict())
    name = next(iter(tensors))
    tensors[name] = torch.full_like(tensors[name], value)
    save_file(tensors, run / "weights.safetensors")  # without a checksum
    with pytest.raises(RunError, match=r"weights\.safetensors: the weights '.*' are not finite"):
        runs.load(run).captioner()
    write_weights(run / "weights.safetensors", tensors)  # with a right one
    with pytest.raises(RunError, match=r"weights\.safetensors: the weights '.*' are not finite"):
        runs.load(run).captioner()


def test_settings_of_the_first_format_are_read(run: Path) -> None:
    """Label smoothing and ATT-FCN's penalty stood beside the other settings then."""
    file = run / "settings.json"
    older = json.loads(file.read_text())
    for name in ("objective", "minimum_words", "length_penalty", "block_repeats"):
        del older[name]
    older |= {"format": 1, "label_smoothing": 0.1, "attention_penalty": 0.0}
    file.write_text(json.dumps(older))
    settings = runs.load(run).settings
    assert settings.objective == CrossEntropy(label_smoothing=0.1)
    assert settings == replace(SETTINGS, objective=CrossEntropy(label_smoothing=0.1))


def test_one_run_and_several_joined_are_trained(run: Path) -> None:
    alone = runs.load(run)
    joined = runs.join([alone, alone])
    assert isinstance(alone, Trained) and isinstance(joined, Trained)
    assert alone.members == (alone,) and joined.members == (alone, alone)
    assert joined.reads == alone.reads == {"regions"}


@pytest.mark.parametrize(
    "name", ["data.json", "vocabulary.json", "environment.json", ".data.json.mine.part", ".lock"]
)
def test_somebodys_files_are_neither_replaced_nor_removed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("theirs")
    os.utime(tmp_path / name, (0, 0))
    with pytest.raises(RunError, match="is no run of miacap; choose an empty or new folder"):
        lay(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "theirs"


def test_settings_are_kept_once_training_has_accepted_them(run: Path) -> None:
    """A refused `train` leaves settings.json as it was."""
    before = (run / "settings.json").read_bytes()
    changed = replace(SETTINGS, training=replace(SETTINGS.training, epochs=7))
    again = lay(run, changed)
    assert again.settings.training.epochs == 7
    assert (run / "settings.json").read_bytes() == before
    runs.keep_settings(again)
    assert runs.load(run).settings.training.epochs == 7


def test_what_a_run_was_begun_with_is_named_in_full(run: Path) -> None:
    start = runs.Start("xe", "0" * 64)
    objective = runs.SelfCritical(baseline="beam")
    critical = replace(SETTINGS, objective=objective, start=start)
    lay(run.parent / "sc", critical)
    for folder, settings, said in (
        (run, critical, "objective.kind = 'cross-entropy', not 'self-critical'; choose another "
         "folder, or add --set objective=cross-entropy to go on."),
        (run.parent / "sc", replace(critical, objective=CrossEntropy()),
         "objective.kind = 'self-critical', not 'cross-entropy'; choose another folder, or add "
         "--set objective=self-critical to go on."),
        (run.parent / "sc", replace(critical, objective=replace(objective, baseline="mean")),
         "objective.baseline = 'beam', not 'mean'; choose another folder, or take the same "
         "settings to go on."),
        (run, replace(SETTINGS, sizes={"width": 9, "word_width": 8}), "sizes.width = 8, not 9; "),
        (run, replace(SETTINGS, tuning=runs.BackboneTuning()), "= unset, not "),
        (run.parent / "sc", replace(critical, start=replace(start, weights_sha256="1" * 64)),
         "start.weights_sha256 = '000"),
    ):  # fmt: skip
        with pytest.raises(RunError) as refusal:
            lay(folder, settings)
        assert str(refusal.value).startswith(f"{folder}: holds a run with ")
        assert said in str(refusal.value)


@pytest.mark.parametrize(
    "change", [{"minimum_words": 30}, {"minimum_words": -1}, {"length_penalty": 50.0},
               {"block_repeats": -2}, {"beam": 1001}],
)  # fmt: skip
def test_settings_that_no_search_can_use_are_refused_at_once(change: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        RunSettings(**change)


def test_a_run_that_reads_concepts_and_has_none_is_no_whole_run(tmp_path: Path) -> None:
    lay(tmp_path / "r", replace(SETTINGS, source="combined"))
    with pytest.raises(RunError, match=r"'combined' reads concepts, and concepts\.json is absent"):
        runs.load(tmp_path / "r")
