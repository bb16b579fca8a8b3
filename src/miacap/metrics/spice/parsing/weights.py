"""Weights of spaCy's small English model, read from its files without spaCy.

To import spaCy takes seconds (it imports torch where torch is installed), to read these files
milliseconds. They are thinc's: msgpack, with the layers of a network in the order in which it
walks them, and with the parameters of each. What is read is checked layer by layer: of a model
with another architecture nothing is used, and spaCy runs it (`pipeline`).
"""

import importlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_COLUMNS = ["NORM", "PREFIX", "SUFFIX", "SHAPE", "SPACY", "IS_SPACE"]
_MOVES = ("S", "D", "L", "R", "B")  # by the numbers of spaCy's file
_FEATURES = 8  # words by which the parser scores its moves
_LAYER = "residual(expand_window>>maxout>>layernorm>>dropout)"
_TAGGER = ["tok2vec-listener>>with_array(softmax)", "tok2vec-listener", "with_array(softmax)",
           "softmax"]  # fmt: skip
_PARSER = ["parser_model", "tok2vec-listener>>list2array>>linear", "precomputable_affine",
           "linear", "tok2vec-listener", "list2array", "linear"]  # fmt: skip


class Layer(NamedTuple):
    """Maxout and layer norm.

    Attributes:
        weight: outputs x pieces x inputs.
        bias: outputs x pieces.
        scale, shift: outputs.
    """

    weight: Floats
    bias: Floats
    scale: Floats
    shift: Floats


class Hashed(NamedTuple):
    """Embeddings of one feature, each the sum of four rows.

    Attributes:
        table: rows x numbers.
        seed: of the hash that gives the rows.
    """

    table: Floats
    seed: int


class Linear(NamedTuple):
    """W x + b.

    Attributes:
        weight: outputs x inputs.
        bias: outputs.
    """

    weight: Floats
    bias: Floats


class ParserWeights(NamedTuple):
    """The parser.

    Attributes:
        reduce: from a word's state to fewer numbers.
        table: features x hidden x pieces x inputs.
        bias: hidden x pieces.
        absent: features x hidden x pieces, for "no word".
        scores: of the moves.
        moves: their names, such as "L-nsubj".
    """

    reduce: Linear
    table: Floats
    bias: Floats
    absent: Floats
    scores: Linear
    moves: list[str]


class Weights(NamedTuple):
    """All that is evaluated.

    Attributes:
        features: of a word: norm, prefix, suffix, shape, blank behind it, whether it is blank.
        mixed: from the features' embeddings to a word's.
        layers: of the encoder.
        tags: their scores.
        tag_names: Penn Treebank.
        parser: see there.
        norms: a word's hash to what stands for it ("colour" to "color").
    """

    features: list[Hashed]
    mixed: Layer
    layers: list[Layer]
    tags: Linear
    tag_names: list[str]
    parser: ParserWeights
    norms: dict[int, str]


class _Other(Exception):
    """The model has another architecture."""


def read(folder: Path) -> Weights | None:
    """Read the model in `folder`; None where it has another architecture, or damaged files."""
    try:
        _require(_json(folder / "meta.json").get("lang") == "en")
        features, mixed, layers = _encoder(_nodes(folder / "tok2vec" / "model"))
        tags = _nodes(folder / "tagger" / "model")
        _require([node.name for node in tags] == _TAGGER)
        lookups = _unpacked((folder / "vocab" / "lookups.bin").read_bytes())
        _require(set(lookups) <= {"lexeme_norm"})
        return Weights(
            features,
            mixed,
            layers,
            _linear(tags[3]),
            list(_json(folder / "tagger" / "cfg")["labels"]),
            _parser(folder / "parser"),
            dict(lookups.get("lexeme_norm", {})),
        )
    except (_Other, OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


class _Node(NamedTuple):
    name: str
    attributes: dict[str, Any]
    parameters: dict[str, Floats]


def _nodes(path: Path) -> list[_Node]:
    """Layers of a network, a layer before those inside it, level by level."""
    stored = _unpacked(path.read_bytes())
    rows = zip(stored["nodes"], stored["attrs"], stored["params"], strict=True)
    return [
        _Node(
            node["name"],
            {name: _unpacked(value) for name, value in attributes.items()},
            {name: np.asarray(value, np.float32) for name, value in parameters.items()},
        )
        for node, attributes, parameters in rows
    ]


def _encoder(nodes: list[_Node]) -> tuple[list[Hashed], Layer, list[Layer]]:
    """Embedding and layers of the encoder."""
    depth = sum(node.name == _LAYER for node in nodes)
    lists = "|".join(["ints-getitem>>hashembed"] * len(_COLUMNS))
    embed = f"extract_features>>list2ragged>>with_array({lists})>>"
    embed += "with_array(maxout>>layernorm>>dropout)>>ragged2list"
    encode = f"with_array({'>>'.join([_LAYER] * depth)})"
    _require(depth > 0 and [n.name for n in nodes[:3]] == [f"{embed}>>{encode}", embed, encode])
    _require(nodes[2].attributes == {"pad": depth})
    _require(nodes[3].attributes == {"columns": _COLUMNS})
    hashed = [node for node in nodes if node.name == "hashembed"]
    windows = [node.attributes for node in nodes if node.name == "expand_window"]
    _require([node.attributes["column"] for node in hashed] == list(range(len(_COLUMNS))))
    _require(windows == [{"window_size": 1}] * depth)
    maxouts = [node.parameters for node in nodes if node.name == "maxout"]
    norms = [node.parameters for node in nodes if node.name == "layernorm"]
    mixed, *layers = (
        Layer(maxout["W"], maxout["b"], norm["G"], norm["b"])
        for maxout, norm in zip(maxouts, norms, strict=True)
    )
    return [Hashed(n.parameters["E"], n.attributes["seed"]) for n in hashed], mixed, layers


def _parser(folder: Path) -> ParserWeights:
    """The dependency parser: arc-eager and greedy, its moves scored by eight words."""
    settings = _json(folder / "cfg")
    nodes = _nodes(folder / "model")
    _require([node.name for node in nodes] == _PARSER)
    _require(bool(nodes[0].attributes.get("has_upper")))
    _require(not nodes[0].attributes.get("unseen_classes"))
    _require(settings.get("beam_width", 1) == 1 and not settings.get("learn_tokens"))
    table = nodes[2].parameters
    _require(table["W"].shape[0] == _FEATURES)
    moves = _moves(json.loads(_unpacked((folder / "moves").read_bytes())["moves"]))
    scores = _linear(nodes[3])
    _require(len(moves) == len(scores.bias))
    return ParserWeights(_linear(nodes[6]), table["W"], table["b"], table["pad"][0], scores, moves)


def _moves(stored: dict[str, dict[str, int]]) -> list[str]:
    """Names of the moves in the order of their scores: by kind, the commonest label first."""
    names = []
    for number, labels in sorted(stored.items()):
        _require(min(labels.values(), default=0) >= 0)  # a label that was added later
        for _, label in sorted(((n, label) for label, n in labels.items()), reverse=True):
            _require("subtok" not in label)
            kind = _MOVES[int(number)]
            names.append(f"{kind}-{label}" if label else kind)
    return names


def _linear(node: _Node) -> Linear:
    return Linear(node.parameters["W"], node.parameters["b"])


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _unpacked(data: bytes) -> Any:
    return importlib.import_module("srsly").msgpack_loads(data)


def _require(holds: bool) -> None:
    if not holds:
        raise _Other
