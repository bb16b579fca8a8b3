"""Rates against the formulas of the docstring, written out as numbers."""

import math

import pytest

from miacap.errors import SettingsError
from miacap.settings import from_json
from miacap.training import TrainingSettings
from miacap.training.schedules import learning_rate


def rates(steps: int, per_epoch: int, **settings: object) -> list[float]:
    chosen = TrainingSettings(learning_rate=2.0, **settings)  # type: ignore[arg-type]
    return [learning_rate(chosen, s, per_epoch) for s in range(steps)]


def test_warm_up_climbs_to_the_full_rate_and_constant_stays() -> None:
    assert rates(7, 5, schedule="constant", warmup_steps=4) == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0, 2.0]


def test_cosine_falls_from_one_to_the_final_factor() -> None:
    found = rates(13, 6, epochs=2, schedule="cosine", warmup_steps=4, final_factor=0.1)
    expected = [2 * (0.1 + 0.9 * (1 + math.cos(math.pi * k / 8)) / 2) for k in range(9)]
    assert found[4:] == pytest.approx(expected, abs=1e-15)
    assert found[4] == 2.0 and found[12] == pytest.approx(0.2)


def test_linear_falls_by_equal_amounts_and_stays_at_its_end() -> None:
    assert rates(6, 2, epochs=2, schedule="linear") == pytest.approx([2, 1.5, 1, 0.5, 0, 0])


def test_step_falls_after_whole_epochs() -> None:
    found = rates(12, 2, epochs=6, schedule="step", step_epochs=2, step_factor=0.8)
    assert found == pytest.approx([2.0] * 4 + [1.6] * 4 + [1.28] * 4)


def test_what_falls_may_stay_at_the_full_rate_first() -> None:
    found = rates(12, 2, epochs=6, schedule="step", step_epochs=2, step_factor=0.5,
                  constant_epochs=3)  # fmt: skip
    assert found == [2.0] * 10 + [1.0] * 2
    found = rates(9, 2, epochs=6, schedule="exponential", step_epochs=2, step_factor=0.5,
                  constant_epochs=1)  # fmt: skip
    expected = [2.0] * 2 + [2 * 0.5 ** ((s / 2 - 1) / 2) for s in range(2, 9)]
    assert found == pytest.approx(expected) and found[6] == pytest.approx(1.0)


def test_the_inverse_root_goes_on_from_the_warm_up() -> None:
    found = rates(20, 10, epochs=2, schedule="inverse-root", warmup_steps=4)
    assert found[:5] == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert found[16] == pytest.approx(2 * (4 / 16) ** 0.5)
    assert rates(3, 10, schedule="inverse-root") == pytest.approx([2.0, 2.0, 2 / 2**0.5])


def test_the_length_of_the_schedule_may_differ_from_the_run() -> None:
    whole = rates(6, 1, epochs=6, schedule="cosine")
    part = rates(3, 1, epochs=3, schedule="cosine", schedule_epochs=6)
    assert part == whole[:3]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, r"epochs is at least 1, not 0\."),
        ({"learning_rate": 0.0}, r"learning_rate is above 0"),
        ({"betas": [0.9, 1.0]}, r"betas lies in \[0, 1\), not 1\.0"),
        ({"schedule": "cosin"}, r"schedule is one of .*Did you mean 'cosine'\?"),
        ({"clip": 1}, r"unknown setting 'clip'\. Did you mean|unknown setting 'clip'"),
        ({"threads": 0}, r"threads is at least 1"),
    ],
)
def test_settings_without_sense_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        from_json(TrainingSettings, values, "settings.json")


def test_settings_built_in_code_are_checked_too() -> None:
    settings = TrainingSettings()
    object.__setattr__(settings, "optimiser", "adan")  # beartype would refuse it before we do
    with pytest.raises(
        SettingsError, match=r"optimiser is one of adamw, adam, sgd, rmsprop, not 'adan'"
    ):
        settings.__post_init__()


@pytest.mark.parametrize("schedule", ["cosine", "constant", "linear", "step"])
def test_a_warm_up_takes_at_most_half_of_all_steps(schedule: str) -> None:
    """Of 200 steps of warm-up a few dozen photos would see the first ones alone."""
    found = rates(6, 1, epochs=6, schedule=schedule, warmup_steps=200, step_epochs=9)
    assert found[:4] == pytest.approx([2 / 3, 4 / 3, 2.0, 2.0])
    assert max(found) == 2.0
    longer = rates(6, 2, epochs=1, schedule_epochs=4, schedule=schedule, warmup_steps=200)
    assert longer[:4] == [0.5, 1.0, 1.5, 2.0]  # half of the schedule's steps, not of this run's
    assert rates(1, 1, epochs=1, schedule=schedule, warmup_steps=200) == [2.0]
    whole = rates(8, 8, epochs=1, schedule=schedule, warmup_steps=4)
    assert whole[:5] == [0.5, 1.0, 1.5, 2.0, 2.0]  # a warm-up of half is taken as it is
