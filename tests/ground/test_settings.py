import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from miacap.errors import SettingsError
from miacap.runs import RunSettings, SelfCritical
from miacap.settings import (
    check_at_least,
    check_at_most,
    check_seed,
    check_share,
    first_difference,
    from_json,
    override,
    to_json,
)


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise SettingsError(f"rate is above 0, not {self.rate}.")


@dataclass(frozen=True)
class Outer:
    name: str
    width: int = 512
    schedule: Literal["cosine", "constant"] = "cosine"
    quick: bool = False
    limit: int | None = None
    words: tuple[str, ...] = ()
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width is at least 1, not {self.width}.")


def test_settings_survive_json() -> None:
    settings = Outer("x", 3, "constant", True, 7, ("a", "b"), Inner(0.25, (0.1, 0.2)))
    assert from_json(Outer, to_json(settings), "f.json") == settings


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"name": "x", "widht": 3}, r"f.json: unknown setting 'widht'. Did you mean 'width'\?"),
        ({"name": "x", "width": "3"}, "f.json: width is a whole number, not '3'"),
        ({"name": "x", "width": True}, "width is a whole number, not True"),
        ({"name": "x", "quick": 1}, "quick is true or false, not 1"),
        ({"name": "x", "schedule": "cosin"}, r"one of cosine, constant, not 'cosin'.*'cosine'"),
        ({"name": "x", "limit": 1.5}, "limit is a whole number"),
        ({"name": "x", "words": "ab"}, "words is a list"),
        ({"name": "x", "inner": {"betas": [1.0]}}, r"f.json: inner: betas has 2 entries, not 1"),
        ({"name": "x", "inner": {"rate": float("nan")}}, "rate is a number, not nan"),
        ({"name": "x", "width": 0}, "f.json: width is at least 1, not 0"),
        ({"name": "x", "inner": {"rate": -1}}, "f.json: inner: rate is above 0, not -1.0"),
        ({"name": "x", "inner": {"rate": 10**400}}, "f.json: inner: rate is a number, not 1000000"),
        ({"name": "x", "width": "9" * 5000}, r"a whole number, not '9{59}\.\.\. \(5002 char"),
        ({"name": "x", "width": [10**5000]}, "a whole number, not a number that is far too long"),
        ({}, "^f.json: missing: 'name'.$"),
        ([], "expected settings"),
    ],
)
def test_wrong_settings_are_named(mapping: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        from_json(Outer, mapping, "f.json")


def test_override_reaches_into_nested_settings() -> None:
    changed = override(
        Outer("x"), ["inner.rate=1", 'words=["a"]', "name=plain words", "limit=null"]
    )
    assert changed.inner.rate == 1.0 and changed.words == ("a",)
    assert changed.name == "plain words" and changed.limit is None


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("width", "write name=value"),
        ("iner.rate=1", r"'iner' holds no settings. Did you mean 'inner'\?"),
        ("inner.rat=1", r"unknown setting 'rat'. Did you mean 'rate'\?"),
        ('inner={"rate":1,"rate":2}', "^--set inner: the key 'rate' occurs twice in one object.$"),
        ("words=" + "[" * 101 + "]" * 101, "^--set words: cannot be read .nested more than 100"),
    ],
)
def test_wrong_overrides_are_named(assignment: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        override(Outer("x"), [assignment])


@dataclass(frozen=True)
class Plain:
    kind: Literal["plain"] = "plain"
    smoothing: float = 0.0


@dataclass(frozen=True)
class Fancy:
    kind: Literal["fancy"] = "fancy"
    samples: int = 5


@dataclass(frozen=True)
class Choosing:
    loss: Plain | Fancy = field(default_factory=Plain)


def test_a_kind_says_which_settings_they_are() -> None:
    settings = Choosing(Fancy(samples=3))
    assert to_json(settings) == {"loss": {"kind": "fancy", "samples": 3}}
    assert from_json(Choosing, to_json(settings), "f.json") == settings
    changed = override(Choosing(Plain(smoothing=0.1)), ["loss=fancy", "loss.samples=7"])
    assert changed == Choosing(Fancy(samples=7))
    assert override(Choosing(), ["loss.smoothing=0.2"]) == Choosing(Plain(smoothing=0.2))
    # The kind that is there already is no other kind.
    smoothed = Choosing(Plain(smoothing=0.1))
    assert override(smoothed, ["loss=plain"]) == smoothed


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("loss=fanci", r"loss: kind is one of plain, fancy, not 'fanci'. Did you mean 'fancy'\?"),
        ("loss.samples=3", "loss: unknown setting 'samples'"),
        ("loss=3", "loss: expected settings with a kind .plain, fancy., got 3"),
        ('loss={"kind": ["plain"]}', "kind is one of plain, fancy, not .'plain'."),
    ],
)
def test_a_wrong_kind_is_named(assignment: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        override(Choosing(), [assignment])


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: check_at_least(1, epochs=0), r"^epochs is at least 1, not 0\.$"),
        (lambda: check_at_least(0, decay=-0.5), r"^decay is at least 0, not -0\.5\.$"),
        (lambda: check_at_least(1, epochs=2, width=2**53), r"^width is below 2\^53, not 9007"),
        (lambda: check_at_least(0, clip=math.inf), r"^clip is below 2\^53, not inf\.$"),
        (lambda: check_at_least(0, clip=math.nan), r"^clip is at least 0, not nan\.$"),
        (lambda: check_at_least(1, width=10**5000), "^width is below 2.53, not a number that is"),
        (lambda: check_at_most(1000, beam=1001), r"^beam is at most 1,000, not 1001\.$"),
        (lambda: check_at_most(1000, beam=math.nan), r"^beam is at most 1,000, not nan\.$"),
        (lambda: check_share(dropout=1.0), r"^dropout lies in \[0, 1\), not 1\.0\.$"),
        (lambda: check_share(dropout=-0.1), r"^dropout lies in \[0, 1\), not -0\.1\.$"),
        (lambda: check_share(dropout=math.nan), r"^dropout lies in \[0, 1\), not nan\.$"),
        (lambda: check_seed(-1), r"^seed lies in \[0, 2\^53\), not -1\.$"),
        (lambda: check_seed(2**53), r"^seed lies in \[0, 2\^53\), not 9007199254740992\.$"),
    ],
)
def test_numbers_out_of_range_are_named(check: Callable[[], None], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        check()


def test_numbers_at_the_ends_of_their_range_pass() -> None:
    check_at_least(1, epochs=1, threads=None, width=2**53 - 1)
    check_at_most(1000, beam=1000, threads=None)
    check_share(dropout=0.0, momentum=0.999, region_dropout=None)
    check_seed(0)
    check_seed(2**53 - 1)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("epochs=3", "'inner.epochs'"),
        ("epoch=3", "'inner.epochs'"),
        ("with=3", "'sizes.width'"),
        ("depht=3", "'inner.sizes.depth'"),
        ("sed=1", "'seed'"),
    ],
)
def test_a_setting_is_offered_by_its_full_name(typed: str, offered: str) -> None:
    @dataclass(frozen=True)
    class Inner:
        epochs: int = 1
        sizes: dict[str, Any] = field(default_factory=lambda: {"depth": 2})

    @dataclass(frozen=True)
    class Outer:
        seed: int = 0
        inner: Inner = Inner()

    with pytest.raises(SettingsError, match=f"Did you mean {offered}\\?"):
        override(Outer(), [typed], further=["sizes.width"])


def test_a_setting_of_another_kind_says_which() -> None:
    with pytest.raises(SettingsError) as caught:
        override(RunSettings(), ["objective.baseline=greedy"])
    assert str(caught.value) == (
        "--set: objective: unknown setting 'baseline' of cross-entropy; self-critical has it: add "
        "--set objective=self-critical."
    )
    both = override(RunSettings(), ["objective=self-critical", "objective.baseline=greedy"])
    assert both.objective == SelfCritical(baseline="greedy")
    assert override(RunSettings(), ["objective.baseline=greedy", "objective=self-critical"]) == both
    with pytest.raises(SettingsError, match="unknown setting 'baselien'"):
        override(RunSettings(), ["objective.baselien=greedy"])


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({"a": 1, "b": {"c": [1, 2]}}, {"b": {"c": [1, 2]}, "a": 1}, None),
        ({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 3, "c": 4}, "b = 2, not 3"),
        (
            {"c": {"d": {"e": 1, "f": "x"}}},
            {"c": {"d": {"e": 1, "f": "y"}}},
            "c.d.f = 'x', not 'y'",
        ),
        # Settings of another kind have other names: which ones says nothing.
        ({"b": {"x": 1, "kind": "u"}}, {"b": {"y": 2, "kind": "v"}}, "b.kind = 'u', not 'v'"),
        ({"b": {"c": 1}}, {"b": None}, "b.c = 1, not unset"),
        ({"b": None}, {"b": {"c": 1}}, "b.c = unset, not 1"),
        ({"b": None}, {"b": {}}, "b = None, not {}"),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": None}}, "a.c = unset, not None"),
        ({"a": 1, "old": 2}, {"a": 1}, "old = 2, not unset"),
        ({"r": {"x": 1.0}}, {"r": {"y": 1.0}}, "r.x = 1.0, not unset"),
    ],
)
def test_the_first_setting_that_differs_is_named_in_full(
    old: Any, new: Any, found: str | None
) -> None:
    difference = first_difference(old, new)
    assert found == (None if difference is None else str(difference))
    kind = difference is not None and difference.name == "b.kind"
    wanted = "add --set b=u to go on" if kind else "take the same settings to go on"
    assert difference is None or difference.advice == wanted
