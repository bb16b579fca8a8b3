"""The conformance suite over every registered captioner and source, with both kinds of rows."""

import pytest

from miacap import captioners
from miacap.captioners import conformance
from miacap.captioners.conformance import Check
from miacap.errors import SettingsError

SMALL = {"width": 8, "heads": 2, "inner": 12}
REFINED = ("regions", "concepts", "combined", "both")


def every(**sizes: object) -> list[Check]:
    return [
        check for name in captioners.names() for check in conformance.checks(name, **SMALL, **sizes)
    ]


@pytest.mark.parametrize("check", every(), ids=str)
def test_captioners_conform(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    "check",
    [
        check
        for check in every(rows="aligned", word_width=6, preset="released")
        if check.source in REFINED
        and check.what in ("forward-is-steps", "alone", "reorder", "gradients")
        and check.captioner not in ("att-fcn", "concept-attention")  # e = d_h, always
    ],
    ids=str,
)
def test_unequal_rows_conform(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (name, source)
        for name in captioners.names()
        for source in ("plain", "regions", "concepts", "combined", "both", "concatenated", "normed")
        if source not in captioners.sources(name)
    ],
)
def test_other_sources_are_refused(name: str, source: str) -> None:
    with pytest.raises(
        SettingsError, match=f"{name}' cannot be fed '{source}'.* It takes: plain, "
    ):
        captioners.build(name, source, words=9)
