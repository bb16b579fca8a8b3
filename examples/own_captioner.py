"""A captioner of one's own, "glance": a GRU that looks at the picture's rows after every word.

h_t = GRU(w_t, h_{t-1}), h_0 = mean(S_V)        S_V: rows of the source that it is fed
alpha_t = softmax(S_V h_t), p_t = softmax(W [h_t ; alpha_t S_V] + b)
"""

from dataclasses import dataclass

from torch import Tensor, cat, nn

from miacap import captioners
from miacap.captioners import Attention, FedSizes, Feed, Forwarded, Slot, StateRecord, Trace
from miacap.pictures import Pictures


@dataclass(frozen=True)
class GlanceState(StateRecord):  # gives select and reorder, which searches need
    hidden: Tensor  # B K D


class Glance(nn.Module):
    sizes_type = FedSizes  # extend it where more sizes are needed
    sources = ("plain", "regions", "combined", "normed")
    reads = staticmethod(lambda sizes: captioners.modalities(sizes, ("regions",)))  # its slot

    def __init__(self, sizes: FedSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.embedding = nn.Embedding(sizes.words, sizes.embedding_width)
        self.feed = Feed(sizes, ("regions",), self.sources)  # projects, embeds, refines
        self.gru = nn.GRU(sizes.embedding_width, sizes.width, batch_first=True)
        self.output = nn.Linear(2 * sizes.width, sizes.words)

    def encode(self, pictures: Pictures) -> Slot:  # once a picture: rows B R D and their mask
        slot: Slot = self.feed(pictures, self.embedding.weight).regions
        return slot

    def start(self, memory: Slot, hypotheses: int = 1) -> GlanceState:
        return GlanceState(captioners.mean_rows(memory).unsqueeze(1)).fan_out(hypotheses)

    def step(self, memory: Slot, state: GlanceState, words: Tensor) -> tuple[Tensor, GlanceState]:
        logits, after, _ = self.read(memory, state, words.unsqueeze(2))
        return logits.squeeze(2), GlanceState(after)

    def forward(self, pictures: Pictures, words: Tensor, trace: bool = False) -> Forwarded:
        fed = self.feed(pictures, self.embedding.weight, trace)
        logits, _, alpha = self.read(fed.regions, self.start(fed.regions, words.shape[1]), words)
        shown = Trace({"rows": Attention(self.feed.over("regions"), alpha)}, refiner=fed.trace)
        return (logits, shown) if trace else logits

    def read(self, memory: Slot, state: GlanceState, words: Tensor) -> tuple[Tensor, ...]:
        h, last = self.gru(self.embedding(words).flatten(0, 1), state.hidden.flatten(0, 1)[None])
        h = h.reshape(len(words), -1, h.shape[-1])  # of all words of a picture: B KT D
        alpha = captioners.masked_softmax(h @ memory.rows.mT, memory.mask.unsqueeze(1))
        logits = self.output(cat([h, alpha @ memory.rows], dim=-1)).view(*words.shape, -1)
        return logits, last.view(state.hidden.shape), alpha.view(*words.shape, -1)
