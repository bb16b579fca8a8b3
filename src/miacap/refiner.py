"""Room: refiner. Mutual Iterative Attention (Liu et al. 2019), for any two sets of features.

One file on torch and jaxtyping alone, so that it can be lifted into any model:

    refine = MutualIterativeAttention(width=512)
    refined = refine(regions, concepts)      # B N 512 and B N 512
    refined.combined                         # B N 512, what the paper's captioners read

One step refines a stream X with the help of a guide G (rows of G ask, rows of X answer):

    A_h = softmax(G Wq_h (X Wk_h)^T / sqrt(d_k))             [eq:attention]  paper Eq. 1
    O   = concat_h(A_h X Wv_h) Wo                            [eq:heads]
    U   = LN(R + O)                                          [eq:residual]   R = X, see below
    Z   = LN(U + relu(U Wf + b) Wff + b')                    [eq:feed-forward] Eq. 2
    I_n = step_I(guide T_{n-1}, I_{n-1})                     [eq:refine-regions]  Eq. 3
    T_n = step_T(guide I_n,     T_{n-1})                     [eq:refine-concepts] Eq. 4
    M   = LN(I_N + T_N)                                      [eq:combine]    Eq. 5
    S_n = ((1 - r) mean_h A_h + r Id) S_{n-1}                [eq:rollout]    our Figure 4

The residual R is the stream's own rows X, so that a stream keeps information of its own kind
alone. X and O have equally many rows only where both streams do (`rows="match"`). Where they
differ (`rows="aligned"`), the steps in which a stream meets a guide of another row order
take R = (mean_h A_h) X instead; from then on both live on the first guide's rows.

Names: I = regions, T = concepts; d_h is `width` here, d_ff is `inner`, N is `iterations`.
Dropout: on A_h once the softmax is taken (its trace is from before), on O, and on what the
feed-forward layer adds to U; on a CPU its rate is rounded to 1/65536 (`_Dropout`).
Differs from the paper: projections have biases (the released code has, Eq. 1 has none).
Axis letters: B pictures, N regions, M concepts, D width, Q guide rows, K stream rows, H heads.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

__all__ = [
    "CONCEPTS_FIRST",
    "REGIONS_FIRST",
    "SELF_ATTENTION",
    "IterativeRefiner",
    "MutualIterativeAttention",
    "Refined",
    "RefinedStreams",
    "StepTrace",
    "Steps",
    "accumulate",
    "origins",
]

Steps = tuple[tuple[str, str], ...]
"""What happens in one iteration, in order: (stream that is refined, stream that guides it)."""

CONCEPTS_FIRST: Steps = (("regions", "concepts"), ("concepts", "regions"))
"""The paper's main order: concepts query the regions first (its Table 5 calls it T* -> I*)."""
REGIONS_FIRST: Steps = (("concepts", "regions"), ("regions", "concepts"))
"""The reversed order of appendix A.1."""
SELF_ATTENTION: Steps = (("regions", "regions"), ("concepts", "concepts"))
"""The control of section 3.5: each stream guides itself."""

Rows = Literal["match", "aligned", "none"]
Residual = Literal["value", "query", "none"]


@dataclass(frozen=True)
class StepTrace:
    """The attention of one step; keeps gradients, and dropout is not yet applied."""

    iteration: int
    """Counted from 1."""
    stream: str
    guide: str
    weights: Float[Tensor, "B H Q K"]
    """Each row sums to 1; masked keys have exactly 0."""
    residuals: int
    """How often the stream's own rows are added to what was attended to (0, 1 or 2)."""


@dataclass(frozen=True)
class RefinedStreams:
    """What an `IterativeRefiner` gives back, by name of stream."""

    features: dict[str, Float[Tensor, "B _ D"]]
    masks: dict[str, Bool[Tensor, "B _"]]
    orders: dict[str, str]
    """Whose rows each stream follows by now: a stream takes over those of its guide."""
    trace: tuple[StepTrace, ...] = ()


@dataclass(frozen=True)
class Refined:
    """I*, T*, M of the paper; rows that a mask leaves out are exactly 0."""

    regions: Float[Tensor, "B Q D"]
    """I*. Under the default order its rows are those of the concepts."""
    concepts: Float[Tensor, "B K D"]
    """T*."""
    combined: Float[Tensor, "B Q D"] | None
    """LayerNorm(I* + T*). None only where the rows need not match and the streams never met
    (self-attention, no iteration)."""
    region_mask: Bool[Tensor, "B Q"]
    concept_mask: Bool[Tensor, "B K"]
    trace: tuple[StepTrace, ...] = ()
    """One entry a step, if asked for."""

    @property
    def mask(self) -> Bool[Tensor, "B Q"]:
        """The mask of `combined`: of both streams, once a guide has lent them its rows."""
        return self.region_mask


class _Attention(nn.Module):
    """[eq:attention] and [eq:heads]: every row of the guide reads the rows of the stream."""

    def __init__(self, width: int, heads: int, dropout: float, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(width, width, bias=bias)
        self.value = nn.Linear(width, width, bias=bias)
        self.output = nn.Linear(width, width)
        self.dropout = _Dropout(dropout)
        # As the released code draws them: W^Q, W^K, W^V are d_h x d_k a head.
        for part in (self.query, self.key, self.value):
            nn.init.normal_(part.weight, std=(2.0 / (width + width // heads)) ** 0.5)
        nn.init.xavier_normal_(self.output.weight)

    def forward(
        self,
        guide: Float[Tensor, "B Q D"],
        stream: Float[Tensor, "B K D"],
        mask: Bool[Tensor, "B K"] | None,
    ) -> tuple[Float[Tensor, "B Q D"], Float[Tensor, "B H Q K"]]:
        query, key, value = self.query(guide), self.key(stream), self.value(stream)
        query, key, value = (
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (query, key, value)
        )
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        weights = _masked_softmax(scores, None if mask is None else mask[:, None, None])
        read = (self.dropout(weights).to(value.dtype) @ value).transpose(1, 2).flatten(-2)
        return self.output(read), weights


def _masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    # In single precision at least: half precision cannot hold a mask apart from a low score.
    if scores.dtype in (torch.float16, torch.bfloat16):
        scores = scores.float()
    if mask is not None:
        # The lowest number swallows any score; adding it is faster than filling it in.
        lowest = scores.new_zeros(mask.shape).masked_fill_(~mask, torch.finfo(scores.dtype).min)
        scores = scores + lowest
    return scores.softmax(dim=-1)


class _Dropout(nn.Dropout):
    """Dropout, on a CPU several times faster than torch's: from 16 random bits a number.

    There p is rounded to 1/65536, and what is kept is divided by exactly the share that is kept.
    """

    def forward(self, x: Tensor) -> Tensor:
        noise = self._noise(x)
        if noise is None:
            return super().forward(x)
        return (x.to(noise.dtype) * noise).to(x.dtype)

    def _noise(self, x: Tensor) -> Tensor | None:
        """Give 0 for what is dropped and 1 / share for what is kept; None: leave it to torch."""
        if not self.training or not 0.0 < self.p < 1.0 or not _plain(x):
            return None
        dropped = min(max(round(self.p * 65536), 1), 65535)
        words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16)[: x.numel()]
        # Whole numbers from -32768; comparing them would make bools, whose casts are slow.
        last = dropped - 1 - 32768
        kept = bits.clamp_(last, last + 1).sub_(last)
        kind = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype
        return kept.to(kind).mul_(65536 / (65536 - dropped)).view(x.shape)


def _plain(x: Tensor) -> bool:
    """Say whether x is numbers on a CPU that may be looked at, not what stands in for them.

    Where torch has other names for what it is asked, nothing is known, and torch does the rest.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return False
    transformed = getattr(torch._C, "_are_functorch_transforms_active", None)  # vmap and others
    watched = getattr(torch._C, "_len_torch_dispatch_stack", None)  # make_fx and others
    if transformed is None or watched is None:
        return False
    return x.device.type == "cpu" and type(x) is Tensor and not transformed() and not watched()


def _alike(rows: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    # Torch would do so itself in a sum of two kinds, but takes many times longer on a CPU.
    kind = torch.promote_types(rows.dtype, x.dtype)
    return rows.to(kind), x.to(kind)


class _Step(nn.Module):
    """[eq:residual] and [eq:feed-forward]: one stream's parameters, shared by all iterations."""

    def __init__(
        self, width: int, heads: int, inner: int, dropout: float, bias: bool, outer: bool
    ) -> None:
        super().__init__()
        self.attention = _Attention(width, heads, dropout, bias)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, inner)
        self.narrow = nn.Linear(inner, width)
        self.feed_norm = nn.LayerNorm(width)
        self.outer_norm = nn.LayerNorm(width) if outer else None
        self.dropout = _Dropout(dropout)

    def forward(
        self,
        guide: Float[Tensor, "B Q D"],
        stream: Float[Tensor, "B K D"],
        mask: Bool[Tensor, "B K"] | None,
        inner_residual: Literal["own", "aligned", "query", "none"],
        outer_residual: Literal["own", "aligned", "none"],
    ) -> tuple[Float[Tensor, "B Q D"], Float[Tensor, "B H Q K"]]:
        attended, weights = self.attention(guide, stream, mask)
        rows: dict[str, Tensor] = {"own": stream, "query": guide}
        if "aligned" in (inner_residual, outer_residual):
            rows["aligned"] = weights.mean(dim=1).to(stream.dtype) @ stream
        if inner_residual == "none":
            hidden = self.dropout(attended)
        else:
            own, attended = _alike(rows[inner_residual], attended)
            hidden = own + self.dropout(attended)
        hidden = self.norm(hidden)
        hidden, fed = _alike(hidden, self.narrow(torch.relu(self.widen(hidden))))
        refined: Tensor = self.feed_norm(hidden + self.dropout(fed))
        if self.outer_norm is not None:
            outer = rows[outer_residual] if outer_residual != "none" else 0.0
            refined = self.outer_norm(refined + outer)
        return refined, weights


class IterativeRefiner(nn.Module):
    """Any number of streams that refine one another, N times over with the same parameters.

    Args:
        width: D, of every stream.
        streams: their names.
        steps: (stream, guide) pairs of one iteration. A stream has one set of parameters
            however often it is refined, and none if it never is.
        heads: attention heads H; divides `width`.
        inner: width of the feed-forward layer.
        iterations: N, unless a call says otherwise.
        dropout: on attention weights and on the output of both sub-layers.
        bias: whether query, key and value projections have biases.
        rows: "match": all streams have the same rows, anything else is refused.
            "aligned": they need not; where row orders meet, R = (mean_h A_h) X.
            "none": they need not; where row orders meet, there is no residual (an ablation).
        residual: R of [eq:residual]: "value" the stream's own rows, "query" the guide's
            (an ablation: it carries the guide into the stream), "none".
        outer: streams whose step ends with LN(X + Z), as the released code's regions.

    Raises:
        ValueError: sizes, names or steps that make no refiner.
    """

    def __init__(
        self,
        width: int,
        streams: Sequence[str],
        steps: Sequence[tuple[str, str]],
        *,
        heads: int = 8,
        inner: int = 2048,
        iterations: int = 2,
        dropout: float = 0.1,
        bias: bool = True,
        rows: Rows = "match",
        residual: Residual = "value",
        outer: Collection[str] = (),
    ) -> None:
        super().__init__()
        if heads < 1 or width < 1 or width % heads:
            raise ValueError(f"{heads} heads do not divide a width of {width}.")
        if inner < 1:
            raise ValueError(f"inner is the width of the feed-forward layer, not {inner}.")
        if rows not in ("match", "aligned", "none"):
            raise ValueError(f"rows is 'match', 'aligned' or 'none', not {rows!r}.")
        if residual not in ("value", "query", "none"):
            raise ValueError(f"residual is 'value', 'query' or 'none', not {residual!r}.")
        if len(set(streams)) != len(streams) or not streams:
            raise ValueError(f"streams are different names, not {list(streams)}.")
        self.width = width
        self.streams = tuple(streams)
        self._check_names([name for step in steps for name in step] + list(outer))
        self.steps: Steps = tuple((stream, guide) for stream, guide in steps)
        self.iterations = _checked_iterations(iterations)
        self.rows = rows
        self.residual = residual
        refined = [name for name in self.streams if any(name == step[0] for step in self.steps)]
        self.refine = nn.ModuleDict(
            {name: _Step(width, heads, inner, dropout, bias, name in outer) for name in refined}
        )

    def forward(
        self,
        features: Mapping[str, Float[Tensor, "B _ D"]],
        masks: Mapping[str, Bool[Tensor, "B _"] | None] | None = None,
        *,
        iterations: int | None = None,
        wanted: Collection[str] | None = None,
        trace: bool = False,
    ) -> RefinedStreams:
        """Refine the streams.

        Args:
            features: B x rows x D by name of stream; those that reach no wanted stream may be
                absent.
            masks: B x rows, True where a row is real; absent or None: all are. Each picture
                needs one real row in each stream; under rows="match" all masks are the same.
            iterations: N of this call, 0 or more.
            wanted: streams to give back; steps that none of them needs are skipped.
            trace: whether to return each step's attention.

        Raises:
            ValueError: streams, shapes or masks that do not fit.
        """
        self._check_names(wanted or ())
        count = self.iterations if iterations is None else _checked_iterations(iterations)
        needed = self.streams if wanted is None else origins(self.steps, count, wanted)
        known = self._checked_masks(features, masks or {}, needed)
        state = {name: _zeroed(features[name], mask) for name, mask in known.items()}
        # Under "match" every stream follows the first one's rows from the beginning.
        first = self.streams[0]
        orders = {name: first if self.rows == "match" else name for name in self.streams}
        kept: list[StepTrace] = []
        for iteration, stream, guide in _live_steps(self.steps, count, wanted):
            inner, outer = self._residuals(stream, guide, orders)
            state[stream], weights = self.refine[stream](
                state[guide], state[stream], known[stream], inner, outer
            )
            known[stream], orders[stream] = known[guide], orders[guide]
            if trace:
                own = (inner == "own") + (outer == "own" and self._has_outer(stream))
                kept.append(StepTrace(iteration, stream, guide, weights, own))
        names = self.streams if wanted is None else wanted
        return RefinedStreams(
            features={name: _zeroed(state[name], known[name]) for name in names},
            masks={name: _or_all(known[name], state[name]) for name in names},
            orders={name: orders[name] for name in names},
            trace=tuple(kept),
        )

    def unused(self, wanted: Collection[str]) -> list[nn.Parameter]:
        """List the parameters that no step on the way to the wanted streams reads.

        Their gradient stays None at `iterations`, which data-parallel wrappers must know.
        """
        live = {stream for _, stream, _ in _live_steps(self.steps, self.iterations, wanted)}
        return [
            parameter
            for name, step in self.refine.items()
            if name not in live
            for parameter in step.parameters()
        ]

    def origins(self, wanted: Collection[str]) -> set[str]:
        """Name the streams whose features reach the wanted ones, these included.

        What feeds another stream gets no gradient at `iterations`, either.
        """
        return origins(self.steps, self.iterations, wanted)

    def order(self, stream: str) -> str:
        """Name the stream whose rows this one follows after `iterations`."""
        if self.rows == "match":
            return stream
        orders = {name: name for name in self.streams}
        for _, name, guide in _live_steps(self.steps, self.iterations, (stream,)):
            orders[name] = orders[guide]
        return orders[stream]

    def _has_outer(self, stream: str) -> bool:
        step = self.refine[stream]
        assert isinstance(step, _Step)
        return step.outer_norm is not None

    def _residuals(self, stream: str, guide: str, orders: Mapping[str, str]) -> tuple[str, str]:
        """Say what is added before the first norm and, where there is one, the outer norm."""
        own: str = "own"
        if orders[stream] != orders[guide]:
            own = "aligned" if self.rows == "aligned" else "none"
        return {"value": own, "query": "query", "none": "none"}[self.residual], own

    def _check_names(self, names: Collection[str]) -> None:
        for name in names:
            if name not in self.streams:
                raise ValueError(f"No stream is named {name!r}; there are {list(self.streams)}.")

    def _checked_masks(
        self,
        features: Mapping[str, Tensor],
        masks: Mapping[str, Tensor | None],
        needed: Collection[str],
    ) -> dict[str, Tensor | None]:
        self._check_names((*features, *masks))
        for name in self.streams:
            if name in needed and name not in features:
                raise ValueError(f"Stream {name!r} is missing; got {list(features)}.")
        given = [name for name in self.streams if name in features]
        for name in given:
            shape, first = features[name].shape, features[given[0]].shape
            if len(shape) != 3 or shape[2] != self.width or shape[1] == 0 or shape[0] != first[0]:
                raise ValueError(
                    f"Stream {name!r} has shape {tuple(shape)}; expected "
                    f"({first[0]}, rows, {self.width}) with at least one row."
                )
            mask = masks.get(name)
            if mask is not None and (mask.dtype != torch.bool or mask.shape != shape[:2]):
                raise ValueError(
                    f"The mask of {name!r} is {mask.dtype} of shape {tuple(mask.shape)}; "
                    f"expected torch.bool of {tuple(shape[:2])}."
                )
            if self.rows == "match":
                _check_same_rows(given[0], name, features)
        return {name: masks.get(name) for name in given}


class MutualIterativeAttention(nn.Module):
    """Regions and concepts that describe each other; the two-name face of IterativeRefiner.

    Args:
        width: D of both; the paper's d_h.
        heads: attention heads; divides `width`.
        inner: width of the feed-forward layers.
        iterations: N; 2 in the paper's main results.
        preset: "paper", or "released": the authors' code, whose visual step alone ends with
            one more residual and norm.
        steps: order of one iteration: CONCEPTS_FIRST, REGIONS_FIRST or SELF_ATTENTION.
        dropout, bias, rows, residual: as in IterativeRefiner.
        outer_residual: "none" or "visual"; None: as the preset says.

    Raises:
        ValueError: sizes, names or steps that make no refiner.
    """

    def __init__(
        self,
        width: int,
        heads: int = 8,
        inner: int = 2048,
        iterations: int = 2,
        preset: Literal["paper", "released"] = "paper",
        *,
        steps: Sequence[tuple[str, str]] = CONCEPTS_FIRST,
        dropout: float = 0.1,
        bias: bool = True,
        rows: Rows = "match",
        residual: Residual = "value",
        outer_residual: Literal["none", "visual"] | None = None,
    ) -> None:
        super().__init__()
        if preset not in ("paper", "released"):
            raise ValueError(f"preset is 'paper' or 'released', not {preset!r}.")
        if outer_residual not in (None, "none", "visual"):
            raise ValueError(f"outer_residual is 'none' or 'visual', not {outer_residual!r}.")
        if outer_residual is None:
            outer_residual = "visual" if preset == "released" else "none"
        self.refiner = IterativeRefiner(
            width,
            ("regions", "concepts"),
            steps,
            heads=heads,
            inner=inner,
            iterations=iterations,
            dropout=dropout,
            bias=bias,
            rows=rows,
            residual=residual,
            outer=("regions",) if outer_residual == "visual" else (),
        )
        self.norm = nn.LayerNorm(width)

    @property
    def iterations(self) -> int:
        """N, unless a call says otherwise."""
        return self.refiner.iterations

    def forward(
        self,
        regions: Float[Tensor, "B N D"],
        concepts: Float[Tensor, "B M D"],
        region_mask: Bool[Tensor, "B N"] | None = None,
        concept_mask: Bool[Tensor, "B M"] | None = None,
        iterations: int | None = None,
        trace: bool = False,
    ) -> Refined:
        """Refine both and combine them ([eq:combine]).

        Args:
            regions: image features, row i beside concept i.
            concepts: word features, most probable first. N = M unless `rows` says otherwise.
            region_mask: True where a region is real; None: all are.
            concept_mask: likewise; the same as `region_mask` under rows="match", which the
                caller sees to: comparing them would stop an export, and wait for a GPU.
            iterations: N of this call; 0 gives back what came in, and LayerNorm of its sum.
            trace: whether to return each step's attention.

        Raises:
            ValueError: shapes or masks that do not fit, or unequal rows under rows="match".
        """
        streams = self.refiner(
            {"regions": regions, "concepts": concepts},
            {"regions": region_mask, "concepts": concept_mask},
            iterations=iterations,
            trace=trace,
        )
        new_regions, new_concepts = streams.features["regions"], streams.features["concepts"]
        masks = streams.masks
        combined = None
        if streams.orders["regions"] == streams.orders["concepts"]:
            total = self.norm(new_regions + new_concepts)
            combined = _zeroed(total, masks["regions"] & masks["concepts"])
        return Refined(
            regions=new_regions,
            concepts=new_concepts,
            combined=combined,
            region_mask=masks["regions"],
            concept_mask=masks["concepts"],
            trace=streams.trace,
        )


def accumulate(
    trace: Sequence[StepTrace], stream: str, residual: float = 0.5
) -> tuple[Float[Tensor, "B Q K"], ...]:
    """Follow a stream's rows back to its rows before refinement ([eq:rollout]).

    Args:
        trace: what a refiner returned in eval mode.
        stream: whose steps to follow.
        residual: r, the share that a residual keeps; 0 gives the pure product.

    Returns:
        One matrix a step of the stream: entry (i, j) is how much of row i, after that step,
        comes from original row j. Rows sum to 1.

    Raises:
        ValueError: the trace holds no step of that stream, or r is not within 0 and 1.
    """
    if not 0.0 <= residual <= 1.0:
        raise ValueError(f"residual is a share from 0 to 1, not {residual}.")
    steps = [step for step in trace if step.stream == stream]
    if not steps:
        raise ValueError(f"The trace holds no step of a stream named {stream!r}.")
    size = steps[0].weights.shape[-1]
    first = torch.eye(size, dtype=steps[0].weights.dtype, device=steps[0].weights.device)
    rolled: list[Tensor] = []
    for step in steps:
        mixed = step.weights.mean(dim=1)
        for _ in range(step.residuals):
            own = torch.eye(mixed.shape[-1], dtype=mixed.dtype, device=mixed.device)
            mixed = (1.0 - residual) * mixed + residual * own
        rolled.append(mixed @ (rolled[-1] if rolled else first))
    return tuple(rolled)


def origins(steps: Sequence[tuple[str, str]], iterations: int, wanted: Collection[str]) -> set[str]:
    """Name the streams whose features reach the wanted ones, these included.

    Args:
        steps: (stream, guide) pairs of one iteration.
        iterations: N.
        wanted: streams that are read in the end.
    """
    return set(wanted) | {guide for _, _, guide in _live_steps(steps, iterations, wanted)}


def _live_steps(
    steps: Sequence[tuple[str, str]], iterations: int, wanted: Collection[str] | None
) -> list[tuple[int, str, str]]:
    """List the steps on the way to the wanted streams: iteration, stream, guide."""
    every = [(n + 1, stream, guide) for n in range(iterations) for stream, guide in steps]
    if wanted is None:
        return every
    needed, live = set(wanted), []
    for step in reversed(every):
        if step[1] in needed:
            needed.add(step[2])
            live.append(step)
    return live[::-1]


def _checked_iterations(iterations: int) -> int:
    if iterations < 0:
        raise ValueError(f"iterations is 0 or more, not {iterations}.")
    return iterations


def _check_same_rows(first: str, name: str, state: Mapping[str, Tensor]) -> None:
    rows, wanted = state[first].shape[1], state[name].shape[1]
    if rows != wanted:
        raise ValueError(
            f"{rows} row{'' if rows == 1 else 's'} of {first!r} cannot meet {wanted} of "
            f"{name!r}. Give them the same rows, "
            "or build the refiner with rows='aligned'."
        )


# Results may leave a model that is exported (torch.export) as they are.
for _result in (StepTrace, RefinedStreams, Refined):
    torch.export.register_dataclass(_result)


def _or_all(mask: Tensor | None, rows: Tensor) -> Tensor:
    return rows.new_ones(rows.shape[:2], dtype=torch.bool) if mask is None else mask


def _zeroed(rows: Tensor, mask: Tensor | None) -> Tensor:
    # Padded rows may hold anything on the way in; weight 0 times NaN would still be NaN.
    if mask is None:
        return rows
    if not _plain(mask) or not _plain(rows):
        return rows.masked_fill(~mask.unsqueeze(-1), 0.0)
    # The same, where numbers can be looked at: nothing to do, or a few rows to fill.
    padded = (~mask).flatten().nonzero().squeeze(1)
    if len(padded) == 0:
        return rows
    return rows.flatten(0, 1).index_fill(0, padded, 0.0).reshape(rows.shape)
