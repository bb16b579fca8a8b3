"""A captioner of one's own, "glance": an LSTM that looks at the picture's rows after each word."""

from torch import Tensor, cat, nn

from miacap import captioners
from miacap.captioners import FedSizes, Forwarded, LstmState, Pictures, Slot, Trace, masked_softmax


class Glance(nn.Module):
    sizes_type = FedSizes  # extend it where more sizes are needed
    sources = ("plain", "regions", "combined", "normed")
    reads = staticmethod(lambda sizes: captioners.modalities(sizes, ("regions",)))  # its one slot

    def __init__(self, sizes: FedSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.embedding = nn.Embedding(sizes.words, sizes.embedding_width)
        self.feed = captioners.Feed(sizes, ("regions",), self.sources)  # projects, embeds, refines
        self.lstm = captioners.Recurrence((sizes.embedding_width,), sizes.width)
        self.output = nn.Linear(2 * sizes.width, sizes.words)

    def encode(self, pictures: Pictures) -> Slot:  # once a picture: its rows, B R D, and their mask
        return self.feed(pictures, self.embedding.weight).regions

    def start(self, memory: Slot, hypotheses: int = 1) -> LstmState:
        return self.lstm.zeros(len(memory)).fan_out(hypotheses)

    def step(self, memory: Slot, state: LstmState, words: Tensor) -> tuple[Tensor, LstmState]:
        state = self.lstm.step(self.lstm.drive(self.embedding(words)), state)  # words: B K
        alpha = masked_softmax(state.hidden @ memory.rows.mT, memory.mask[:, None])
        return self.output(cat([state.hidden, alpha @ memory.rows], dim=-1)), state

    def forward(self, pictures: Pictures, words: Tensor, trace: bool = False) -> Forwarded:
        fed = self.feed(pictures, self.embedding.weight, trace)  # words: B C T, whole captions
        h, _ = self.lstm.run(self.lstm.drive(self.embedding(words)), self.start(fed.regions))
        alpha = masked_softmax(h @ fed.regions.rows.mT[:, None], fed.regions.mask[:, None, None])
        logits = self.output(cat([h, alpha @ fed.regions.rows[:, None]], dim=-1))
        looks = {"rows": captioners.Attention(self.feed.over("regions"), alpha)}
        return (logits, Trace(looks, refiner=fed.trace)) if trace else logits
