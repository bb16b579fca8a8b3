"""Which captioners there are, and building one by name.

A captioner from outside registers by code (`register`) or by an entry point in the group
"miacap.captioners"; both give a factory (contract.py). Listing names imports no torch.
"""

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from miacap.errors import SettingsError, UnknownName
from miacap.settings import from_json

if TYPE_CHECKING:
    from miacap.captioners.contract import Factory, Regulariser
    from miacap.captioners.settings import Sizes

__all__ = [
    "build",
    "names",
    "reads",
    "register",
    "regulariser",
    "self_critical_rate",
    "sizes",
    "sources",
]

_OURS = {
    "nic": "nic:Nic",
    "spatial-attention": "spatial:Spatial",
    "adaptive": "adaptive:Adaptive",
    "up-down": "up_down:UpDown",
    "att-cnn-lstm": "att_cnn:AttCnn",
    "att-fcn": "att_fcn:AttFcn",
    "lstm-a2": "lstm_a:LstmA",
    "lstm-a3": "lstm_a:LstmA",
    "lstm-a4": "lstm_a:LstmA",
    "lstm-a5": "lstm_a:LstmA",
    "concept-attention": "concept_attention:ConceptAttention",
    "transformer": "transformer:Transformer",
}
_SOURCES = {
    **dict.fromkeys(
        ("spatial-attention", "adaptive", "up-down"),
        ("plain", "regions", "combined", "both", "concatenated", "normed"),
    ),
    **dict.fromkeys(("att-cnn-lstm", "concept-attention"), ("plain", "concepts", "combined")),
    **dict.fromkeys(
        ("lstm-a2", "lstm-a3", "lstm-a4", "lstm-a5"),
        ("plain", "regions", "concepts", "combined", "both", "normed"),
    ),
    "nic": ("plain", "regions", "combined", "normed"),
    "att-fcn": ("plain", "concepts", "combined", "both", "normed"),
    "transformer": (
        "plain", "regions", "concepts", "combined", "both", "concatenated", "normed",
    ),
}  # fmt: skip
"""As the factories say (tests/captioners/test_registry.py), for lists that need no torch."""
_SOME_WORDS = 5
"""The smallest vocabulary: stands in where nothing depends on its size."""
_SELF_CRITICAL_RATE = 5e-5
_GROUP = "miacap.captioners"
_registered: "dict[str, Factory]" = {}


def names() -> tuple[str, ...]:
    """List every captioner that `build` knows: ours, registered ones, entry points."""
    every = dict.fromkeys([*_OURS, *_registered, *_entry_points()])
    return tuple(every)


def sources(name: str) -> tuple[str, ...]:
    """List what a captioner can be fed; raises UnknownName."""
    if name in _SOURCES:
        return _SOURCES[name]
    return tuple(_factory(name).sources)


def sizes(name: str, source: str = "combined", **sizes: Any) -> "Sizes":
    """Parse the sizes of a captioner, without building it.

    Args:
        name: a registered name.
        source: what it is fed; one of `sources(name)`.
        sizes: fields of its `sizes_type`; `words` may be left out.

    Raises:
        UnknownName: no such captioner.
        SettingsError: a source that it cannot take, or an unknown or wrong size.
    """
    return _sizes(_factory(name), name, source, {"words": _SOME_WORDS} | sizes)


def reads(name: str, source: str = "combined", **sizes: Any) -> frozenset[str]:
    """Say what a captioner reads: "regions", "concepts" (as rows), "scores" of all concepts.

    Args:
        name: a registered name.
        source: what it is fed; one of `sources(name)`.
        sizes: fields of its `sizes_type`; `words` may be left out.

    Raises:
        UnknownName: no such captioner.
        SettingsError: a source that it cannot take, or an unknown or wrong size.
    """
    factory = _factory(name)
    return frozenset(factory.reads(_sizes(factory, name, source, {"words": _SOME_WORDS} | sizes)))


def regulariser(name: str) -> "Regulariser | None":
    """Give what a captioner's own paper adds to the loss, or None; raises UnknownName.

    It takes a trace and a mask of the words that are predicted, and gives a cost a caption.
    """
    from miacap.captioners.contract import Regularised

    factory = _factory(name)
    return factory.regulariser if isinstance(factory, Regularised) else None


def self_critical_rate(name: str) -> float:
    """Give the learning rate for self-critical training of a captioner; raises UnknownName.

    A factory that needs another one than recurrent captioners do (5e-5) says so in an attribute
    `self_critical_rate`.
    """
    return float(getattr(_factory(name), "self_critical_rate", _SELF_CRITICAL_RATE))


def register(name: str, factory: "Factory") -> None:
    """Add a captioner from outside.

    Args:
        name: a new name.
        factory: usually its class: called with one `Sizes`, it gives an `nn.Module` that
            fulfils the contract; `sizes_type`, `sources` and `reads` are its attributes.

    Raises:
        SettingsError: the name is taken.
    """
    if name in names():
        raise SettingsError(
            f"A captioner named {name!r} is already registered; choose another name."
        )
    _registered[name] = factory


def build(
    name: str, source: str = "combined", *, words: int, region_width: int = 1280, **sizes: Any
) -> Any:
    """Build a captioner.

    `build(**settings.to_json(captioner.sizes))` builds the same one again.

    Args:
        name: a registered name.
        source: what it is fed; one of `sources(name)`.
        words: W, size of the vocabulary with its four special ids.
        region_width: V, width of a region's features.
        sizes: fields of the captioner's `sizes_type`, e.g. width, dropout, iterations.

    Returns:
        An `nn.Module` that fulfils the contract, with `.sizes`.

    Raises:
        UnknownName: no such captioner.
        SettingsError: a source that it cannot take, or an unknown or wrong size.
    """
    factory = _factory(name)
    values = {"words": words, "region_width": region_width} | sizes
    settings = _sizes(factory, name, source, values)
    try:
        return factory(settings)
    except ValueError as error:
        raise SettingsError(f"Captioner {name!r}: {error}") from None


def _sizes(factory: "Factory", name: str, source: str, values: dict[str, Any]) -> "Sizes":
    from miacap.captioners.settings import check_source

    check_source(name, source, tuple(factory.sources))
    every = {"name": name, "source": source} | values
    result: Sizes = from_json(factory.sizes_type, every, f"Captioner {name!r}")
    return result


def _factory(name: str) -> "Factory":
    if name in _registered:
        return _registered[name]
    if name in _OURS:
        module, _, attribute = _OURS[name].partition(":")
        factory: Factory = getattr(import_module(f"miacap.captioners.{module}"), attribute)
        return factory
    points = _entry_points()
    if name in points:
        outside: Factory = points[name].load()
        return outside
    raise UnknownName("captioner", name, names())


def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=_GROUP)}
