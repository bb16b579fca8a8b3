"""Photos become numbers exactly as written down; what was written down travels as JSON."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from miacap import settings
from miacap.data.features import Preprocessing
from miacap.errors import SettingsError
from miacap.visual.preprocessing import prepare

HOW = Preprocessing("efficientnet-lite2", "ab" * 32, size=32)


def noise(width: int, height: int) -> Image.Image:
    # Mild contrast: where filters overshoot 0 or 255, the order of the two passes would show.
    values = np.random.default_rng(7).integers(90, 166, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def test_values_are_normalised_by_channel() -> None:
    how = replace(HOW, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    x = prepare(Image.new("RGB", (40, 20), (255, 51, 0)), how)
    assert x.shape == (3, 32, 32) and x.dtype == torch.float32
    wanted = torch.tensor([(1 - 0.1) / 0.5, (0.2 - 0.2) / 0.25, (0 - 0.3) / 2])
    torch.testing.assert_close(x[:, 5, 7], wanted)
    assert (x == x[:, :1, :1]).all()


@pytest.mark.parametrize(
    "mean, std", [((0.5,) * 3, (0.5,) * 3), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
)
def test_every_value_is_rounded_as_the_arithmetic_is(
    mean: tuple[float, float, float], std: tuple[float, float, float]
) -> None:
    values = np.arange(1024, dtype=np.uint8).reshape(32, 32)  # all 256 of them, four times
    image = Image.fromarray(np.stack([values, values[::-1], values.T], axis=-1))
    x = prepare(image, replace(HOW, mean=mean, std=std))
    pixels = np.asarray(image)
    for channel in range(3):
        for i in range(32):
            for j in range(32):
                v = np.float32(pixels[i, j, channel]) / np.float32(255)
                wanted = (v - np.float32(mean[channel])) / np.float32(std[channel])
                assert wanted.tobytes() == x[channel, i, j].numpy().tobytes()
    assert x.permute(1, 2, 0).is_contiguous()  # what `Grid` stacks without turning it round


def test_bgr_turns_the_channels_around_and_keeps_their_normalisation() -> None:
    how = replace(HOW, mean=(0.1, 0.2, 0.3))
    image = noise(40, 20)
    assert torch.equal(prepare(image, replace(how, colour="BGR")), prepare(image, how).flip(0))


def kernel(name: str, x: float) -> float:
    x = abs(x)
    if name == "bilinear":
        return max(0.0, 1 - x)
    if name == "bicubic":  # Keys with a = -1/2
        if x < 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0
    sinc = lambda t: 1.0 if t == 0 else math.sin(math.pi * t) / (math.pi * t)  # noqa: E731
    return sinc(x) * sinc(x / 3) if x < 3 else 0.0


def resampled(line: np.ndarray, size: int, name: str) -> np.ndarray:
    """Antialiased resampling of one line by its definition; the filter widens with the scale."""
    scale = len(line) / size
    wide = max(scale, 1.0)
    out = []
    for i in range(size):
        centre = (i + 0.5) * scale
        weights = [kernel(name, (j + 0.5 - centre) / wide) for j in range(len(line))]
        out.append(np.tensordot(weights, line, 1) / sum(weights))
    return np.clip(out, 0, 255)


@pytest.mark.parametrize("name", ["bicubic", "bilinear", "lanczos"])
@pytest.mark.parametrize("size", [(75, 50), (20, 90), (32, 32), (16, 10)])
def test_squash_shows_the_whole_photo(name: str, size: tuple[int, int]) -> None:
    image = noise(*size)
    how = replace(HOW, interpolation=name, mean=(0.0,) * 3, std=(1.0,) * 3)
    found = prepare(image, how).permute(1, 2, 0).numpy() * 255
    across = np.stack([resampled(row, 32, name) for row in np.asarray(image, float)])
    wanted = resampled(across, 32, name)
    # Values are rounded to 8 bits after each of the two passes.
    assert np.abs(found - wanted).max() <= 1.6
    assert np.abs(found - found.round()).max() < 1e-4


def test_crop_shows_the_middle() -> None:
    image = noise(101, 64)
    middle = image.crop((18, 0, 82, 64))
    cropped = replace(HOW, resize="crop")
    inside = slice(2, -2)  # at the borders the filter sees the neighbours that were cut off
    found = prepare(image.crop((0, 0, 100, 64)), cropped)
    assert torch.equal(found[..., inside], prepare(middle, HOW)[..., inside])
    # An odd remainder: the window begins at half a pixel, 18.5; so does the ramp's middle.
    ramp = Image.fromarray(np.tile(np.arange(101, dtype=np.uint8), (64, 1))).convert("RGB")
    columns = (prepare(ramp, cropped)[0, 16, inside] + 1) * 127.5
    wanted = 18.5 + 2 * (torch.arange(32) + 0.5) - 0.5
    assert float((columns - wanted[inside]).abs().max()) <= 0.51
    tall = image.transpose(Image.Transpose.TRANSPOSE)
    assert torch.equal(prepare(tall, cropped), prepare(image, cropped).transpose(1, 2))


def test_it_travels_as_json() -> None:
    how = replace(HOW, resize="crop", mean=(0.1, 0.2, 0.3), colour="BGR", exif="ignore")
    again = settings.from_json(Preprocessing, json.loads(json.dumps(settings.to_json(how))), "f")
    assert again == how


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0}, "size is 32 to 4096 pixels, not 0."),
        ({"size": 10**6}, "size is 32 to 4096 pixels"),
        ({"std": (1.0, 0.0, 1.0)}, "std has to be above 0"),
        ({"std": (1.0, math.nan, 1.0)}, "std has to be above 0"),
        ({"mean": (1.0, math.inf, 1.0)}, "mean has to be finite"),
    ],
)
def test_wrong_values_are_refused(change: dict, message: str) -> None:
    with pytest.raises(SettingsError) as e:
        replace(HOW, **change)
    assert message in str(e.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resise": "crop"}, "unknown setting 'resise'. Did you mean 'resize'?"),
        ({"resize": "stretch"}, "resize is one of squash, crop, not 'stretch'."),
        ({"mean": [0.5, 0.5]}, "mean has 3 entries, not 2."),
        ({"size": "224"}, "size is a whole number, not '224'."),
    ],
)
def test_wrong_json_is_refused(change: dict, message: str) -> None:
    with pytest.raises(SettingsError) as e:
        settings.from_json(Preprocessing, {**settings.to_json(HOW), **change}, "preprocessing")
    assert message in str(e.value)
