"""Each captioner's equations as plain loops over Python numbers, written from its paper.

One picture, one caption, rows without padding. ``p`` are parameters by name, as nested lists.
"""

import math
from collections.abc import Callable
from typing import Any

Row = list[float]
Rows = list[Row]
Parameters = dict[str, Any]


def times(matrix: Rows, x: Row) -> Row:
    return [sum(w * a for w, a in zip(line, x, strict=True)) for line in matrix]


def plus(*rows: Row) -> Row:
    return [sum(column) for column in zip(*rows, strict=True)]


def affine(p: Parameters, name: str, x: Row) -> Row:
    product = times(p[f"{name}.weight"], x)
    return plus(product, p[f"{name}.bias"]) if f"{name}.bias" in p else product


def mean(rows: Rows) -> Row:
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def mixed(weights: Row, rows: Rows) -> Row:
    return [
        sum(w * x for w, x in zip(weights, column, strict=True))
        for column in zip(*rows, strict=True)
    ]


def softmax(scores: Row) -> Row:
    powers = [math.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def relu(x: Row) -> Row:
    return [max(0.0, a) for a in x]


def tanh(x: Row) -> Row:
    return [math.tanh(a) for a in x]


def dot(one: Row, other: Row) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def norm(p: Parameters, name: str, x: Row) -> Row:
    middle = sum(x) / len(x)
    spread = math.sqrt(sum((a - middle) ** 2 for a in x) / len(x) + 1e-5)
    gain, shift = p[f"{name}.weight"], p[f"{name}.bias"]
    return [g * (a - middle) / spread + s for a, g, s in zip(x, gain, shift, strict=True)]


def lstm(p: Parameters, name: str, x: Row, state: tuple[Row, Row]) -> tuple[Row, Row]:
    hidden, cell = state
    width = len(hidden)
    gates = plus(
        times(p[f"{name}.inputs"], x), times(p[f"{name}.hidden"], hidden), p[f"{name}.bias"]
    )
    after: Row = []
    for place in range(width):
        i, f = (sigmoid(gates[gate * width + place]) for gate in (0, 1))
        after.append(f * cell[place] + i * math.tanh(gates[3 * width + place]))
    outs = [sigmoid(gates[2 * width + place]) * math.tanh(after[place]) for place in range(width)]
    return outs, after


def zeros(width: int) -> tuple[Row, Row]:
    return [0.0] * width, [0.0] * width


def additive(p: Parameters, name: str, rows: Rows, query: Row) -> Row:
    asked = affine(p, f"{name}.query", query)
    vector = p[f"{name}.score.weight"][0]
    return [dot(vector, tanh(plus(affine(p, f"{name}.key", row), asked))) for row in rows]


def nic(p: Parameters, sizes: Any, v: Rows, t: Rows, words: list[int]) -> Rows:
    state = lstm(p, "recurrence", affine(p, "image", mean(v)), zeros(sizes.width))
    found: Rows = []
    for word in words:
        state = lstm(p, "recurrence", p["embedding.weight"][word], state)
        found.append(affine(p, "output", state[0]))
    return found


def spatial(p: Parameters, sizes: Any, v: Rows, t: Rows, words: list[int]) -> Rows:
    whole, state, found = relu(affine(p, "pooled", mean(v))), zeros(sizes.width), []
    for word in words:
        state = lstm(p, "recurrence", p["embedding.weight"][word] + whole, state)
        context = mixed(softmax(additive(p, "attention", v, state[0])), v)
        found.append(affine(p, "output", plus(context, state[0])))
    return found


def adaptive(p: Parameters, sizes: Any, v: Rows, t: Rows, words: list[int]) -> Rows:
    whole, state, found = relu(affine(p, "pooled", mean(v))), zeros(sizes.width), []
    for word in words:
        embedded, before = p["embedding.weight"][word], state[0]
        state = lstm(p, "recurrence", embedded + whole, state)
        gate = plus(
            affine(p, "gate_word", embedded),
            affine(p, "gate_pooled", whole),
            affine(p, "gate_hidden", before),
        )
        sentinel = [sigmoid(g) * math.tanh(c) for g, c in zip(gate, state[1], strict=True)]
        asked = affine(p, "attention.query", state[0])
        own = tanh(plus(affine(p, "sentinel_key", sentinel), asked))
        scores = additive(p, "attention", v, state[0])
        beta = softmax([*scores, dot(p["attention.score.weight"][0], own)])[-1]
        context = mixed(softmax(scores), v)
        context = plus([beta * s for s in sentinel], [(1 - beta) * c for c in context])
        found.append(affine(p, "output", plus(context, state[0])))
    return found


def up_down(p: Parameters, sizes: Any, v: Rows, t: Rows, words: list[int]) -> Rows:
    whole, one, two, found = mean(v), zeros(sizes.width), zeros(sizes.width), []
    for word in words:
        # The parts of x1 stand in another order in our matrix: word, picture, h2.
        one = lstm(p, "attend", p["embedding.weight"][word] + whole + two[0], one)
        context = mixed(softmax(additive(p, "attention", v, one[0])), v)
        two = lstm(p, "language", context + one[0], two)
        found.append(affine(p, "output", two[0]))
    return found


def att_cnn(p: Parameters, sizes: Any, v: Rows, t: Rows, words: list[int]) -> Rows:
    state = lstm(p, "recurrence", affine(p, "concepts", mean(t)), zeros(sizes.width))
    found: Rows = []
    for word in words:
        state = lstm(p, "recurrence", p["embedding.weight"][word], state)
        found.append(affine(p, "output", state[0]))
    return found


def att_fcn(p: Parameters, sizes: Any, v: Rows, t: Rows, words: list[int]) -> Rows:
    table = p["embedding.weight"]
    state = lstm(p, "recurrence", affine(p, "image", mean(v)), zeros(sizes.width))
    found: Rows = []
    ends = [tanh(row) for row in t]
    for word in words:
        embedded = table[word]
        alpha = softmax([dot(embedded, affine(p, "input_key", row)) for row in t])
        share = [q * x for q, x in zip(p["input_share"], mixed(alpha, t), strict=True)]
        state = lstm(p, "recurrence", affine(p, "input", plus(embedded, share)), state)
        beta = softmax([dot(state[0], affine(p, "output_key", row)) for row in ends])
        share = [q * x for q, x in zip(p["output_share"], mixed(beta, ends), strict=True)]
        found.append(times(table, affine(p, "output", plus(state[0], share))))
    return found


def lstm_a(p: Parameters, sizes: Any, v: Rows, t: Rows, words: list[int]) -> Rows:
    seen, said = affine(p, "image", mean(v)), affine(p, "concepts", mean(t))
    first = {
        "lstm-a2": [seen, said],
        "lstm-a3": [said, seen],
        "lstm-a4": [said],
        "lstm-a5": [seen],
    }[sizes.name]
    always = {"lstm-a4": seen, "lstm-a5": said}.get(sizes.name, [0.0] * len(seen))
    state, found = zeros(sizes.width), []
    for x in first:
        state = lstm(p, "recurrence", x, state)
    for word in words:
        state = lstm(p, "recurrence", plus(p["embedding.weight"][word], always), state)
        found.append(affine(p, "output", state[0]))
    return found


def concept_attention(p: Parameters, sizes: Any, v: Rows, t: Rows, words: list[int]) -> Rows:
    state, found = zeros(sizes.width), []
    for word in words:
        state = lstm(p, "recurrence", plus(p["embedding.weight"][word], mean(t)), state)
        context = mixed(softmax(additive(p, "attention", t, state[0])), t)
        found.append(affine(p, "output", plus(context, state[0])))
    return found


def heads(p: Parameters, name: str, count: int, query: Row, rows: Rows) -> Row:
    size, read = len(query) // count, []
    asked = affine(p, f"{name}.query", query)
    keys = [affine(p, f"{name}.key", row) for row in rows]
    values = [affine(p, f"{name}.value", row) for row in rows]
    for head in range(count):
        part = slice(head * size, (head + 1) * size)
        weights = softmax([dot(asked[part], key[part]) / math.sqrt(size) for key in keys])
        read += mixed(weights, [value[part] for value in values])
    return affine(p, f"{name}.output", read)


def feed(p: Parameters, name: str, x: Row) -> Row:
    return affine(p, f"{name}.narrow", relu(affine(p, f"{name}.widen", x)))


def transformer(p: Parameters, sizes: Any, v: Rows, t: Rows, words: list[int]) -> Rows:
    rows = t if sizes.source == "concepts" else v
    if sizes.source in ("both", "concatenated"):
        first = len(v) - len(t)  # v holds the regions' rows, then the concepts'
        rows = [plus(row, p["kinds"][int(i >= first)]) for i, row in enumerate(v)]
    for layer in range(sizes.layers):
        name = f"encoder.{layer}"
        x = [norm(p, f"{name}.norms.0", row) for row in rows]
        rows = [
            plus(row, heads(p, f"{name}.heads", sizes.layer_heads, query, x))
            for row, query in zip(rows, x, strict=True)
        ]
        rows = [plus(row, feed(p, f"{name}.feed", norm(p, f"{name}.norms.1", row))) for row in rows]
    rows = [norm(p, "encoder_norm", row) for row in rows]
    width = sizes.width
    hidden: Rows = []
    for place, word in enumerate(words):
        embedded = p["embedding.weight"][word]
        if "lift.weight" in p:
            embedded = affine(p, "lift", embedded)
        turns = [
            (math.sin, math.cos)[i % 2](place / 10000 ** (2 * (i // 2) / width))
            for i in range(width)
        ]
        hidden.append([math.sqrt(width) * a + b for a, b in zip(embedded, turns, strict=True)])
    for layer in range(sizes.layers):
        name = f"decoder.{layer}"
        x = [norm(p, f"{name}.norms.0", row) for row in hidden]
        hidden = [
            plus(row, heads(p, f"{name}.own", sizes.layer_heads, x[place], x[: place + 1]))
            for place, row in enumerate(hidden)
        ]
        hidden = [
            plus(
                row,
                heads(p, f"{name}.cross", sizes.layer_heads, norm(p, f"{name}.norms.1", row), rows),
            )
            for row in hidden
        ]
        hidden = [
            plus(row, feed(p, f"{name}.feed", norm(p, f"{name}.norms.2", row))) for row in hidden
        ]
    return [affine(p, "output", norm(p, "decoder_norm", row)) for row in hidden]


LOOPS: dict[str, Callable[[Parameters, Any, Rows, Rows, list[int]], Rows]] = {
    "nic": nic,
    "spatial-attention": spatial,
    "adaptive": adaptive,
    "up-down": up_down,
    "att-cnn-lstm": att_cnn,
    "att-fcn": att_fcn,
    "lstm-a2": lstm_a,
    "lstm-a3": lstm_a,
    "lstm-a4": lstm_a,
    "lstm-a5": lstm_a,
    "concept-attention": concept_attention,
    "transformer": transformer,
}
