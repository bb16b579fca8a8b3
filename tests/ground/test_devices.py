"""One function gives the device of a name, and refuses what cannot compute."""

import pytest
import torch

from miacap import devices
from miacap.errors import SettingsError


@pytest.mark.parametrize("seen", [True, False])
def test_auto_is_a_gpu_where_torch_sees_one(seen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: seen)
    assert devices.choose("auto").type == devices.choose().type == ("cuda" if seen else "cpu")
    assert devices.choose("cpu").type == "cpu"


def test_a_made_device_is_taken_as_it_is() -> None:
    assert devices.choose(torch.device("meta")) == torch.device("meta")


@pytest.mark.parametrize("name", ["gpu", "GPU:0", "", "nowhere"])
def test_a_name_that_is_no_device_gets_the_names_to_choose_from(name: str) -> None:
    with pytest.raises(SettingsError) as e:
        devices.choose(name)
    assert str(e.value) == f"no device named {name!r}; choose auto, cpu or cuda."


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_gpu_is_refused_where_none_is_usable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingsError) as e:
        devices.choose(name)
    assert str(e.value) == f"device {name!r}: no GPU is usable here; choose auto or cpu."


def test_what_cannot_compute_is_refused() -> None:
    with pytest.raises(SettingsError) as e:
        devices.choose("meta")
    assert str(e.value).startswith("device 'meta' cannot be used (")
    assert str(e.value).endswith("); choose auto, cpu or cuda.") and "\n" not in str(e.value)
