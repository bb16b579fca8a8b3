"""Where weights are found: whose files count for which network."""

from pathlib import Path

import pytest

from miacap.data.features import Preprocessing
from miacap.errors import RunError
from miacap.files import sha256
from miacap.visual import Places, load, regions_for
from miacap.visual.backbones import weights_path
from miacap.visual.places import Called

CALLED = Called(("net.V2", "net"), "net_coco-22.pth", ("net_coco-11.pth",))


def made(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.mark.parametrize(
    ("names", "best"),
    [
        (("net.pth", "net_coco-22.pth"), "net_coco-22.pth"), (("net-a.pth", "net.bin"), "net.bin"),
        (("net.pth", "net.V2.pth"), "net.V2.pth"), (("net.pth", "net.V2-a.pth"), "net.V2-a.pth"),
        (("network.pth", "net.txt", "net_coco-11.pth", "internet.pth"), None),
        (("net-a.pth", "nets.pth"), "net-a.pth"),
    ],
)  # fmt: skip
def test_the_best_name_in_a_folder(tmp_path: Path, names: tuple[str, ...], best: str) -> None:
    folder = made(tmp_path / "f", *names)
    found = Places((folder,)).file(CALLED)
    assert found == (None if best is None else folder / best)


def test_several_that_fit_alike_are_named(tmp_path: Path) -> None:
    folder = made(tmp_path / "f", "net-a.pth", "net-b.safetensors")
    with pytest.raises(RunError, match=r"weights of net\.V2: .*net-a\.pth, .*net-b\.safetensors\."):
        Places((folder,)).file(CALLED)
    files = (folder / "net-a.pth", folder / "net-b.safetensors")
    assert Places((folder,)).files(CALLED) == list(files)
    with pytest.raises(RunError, match="Several files may be"):
        Places(files).file(CALLED)
    assert Places(files[:1]).file(CALLED) == files[0]


def test_a_file_for_all_networks_counts_for_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(tmp_path / "f", "resnet101.pth")
    monkeypatch.setenv("MIACAP_WEIGHTS", str(folder / "resnet101.pth"))
    places = Places.of()
    assert places.file(CALLED) is None and places.files(CALLED) == []
    assert places.file(Called(("resnet101",))) == folder / "resnet101.pth"
    # Named for this network, it is taken whatever its name.
    assert Places.of([folder / "resnet101.pth"]).file(CALLED) == folder / "resnet101.pth"
    own = weights_path("efficientnet-lite0")
    assert load("efficientnet-lite0", "cpu").weights_sha256 == sha256(own)


def test_other_weights_on_the_way_do_not_hide_the_right_ones(tmp_path: Path) -> None:
    own = weights_path("efficientnet-lite0")
    record = Preprocessing("efficientnet-lite0", sha256(own))
    wrong = made(tmp_path / "f", "resnet101.pth", "efficientnet-lite0-mine.pth")
    named = (wrong / "resnet101.pth", wrong)
    assert regions_for(record, "cpu", places=Places(named)).record == record
    right = tmp_path / "as-I-like.pth"
    right.write_bytes(own.read_bytes())
    assert regions_for(record, "cpu", places=Places((*named, right))).record == record
