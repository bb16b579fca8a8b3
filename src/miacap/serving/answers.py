"""The answers' fields: what is sent, and what /openapi.json says of it."""

from pydantic import BaseModel, Field

__all__ = ["Alternative", "Captioned", "Failed", "Found", "Health", "Region", "Said", "Trust"]


class Said(BaseModel):
    """A word of the caption, or its end."""

    word: str = Field(description='As the captioner says it; "<eos>" for the end.')
    log_probability: float = Field(
        description="Natural logarithm, given the photo and the words before."
    )


class Alternative(BaseModel):
    """One of the n best captions."""

    caption: str
    log_probability: float = Field(description="Sum over the words and the end.")


class Found(BaseModel):
    """A concept that the run found in the photo."""

    word: str
    probability: float


class Region(BaseModel):
    """A part of the photo that the run sees."""

    name: str = Field(description="Where it lies, in words.")
    box: list[float] = Field(description="x0, y0, x1, y1, relative to the photo.")


class Trust(BaseModel):
    """How far a caption may be trusted, by what the run was calibrated on."""

    wrong: float | None = Field(
        description="Share of captions as probable as this one that people would call wrong; "
        "null where the photo is out of the run's depth."
    )
    unsure: bool = Field(
        description="A wrong caption is at least as likely as a right one, or the photo is out of "
        "the run's depth."
    )
    out_of_depth: bool = Field(
        description="The photo is unlike those that the run was calibrated on."
    )
    sentence: str = Field(description="The same in words for people.")


class Captioned(BaseModel):
    """A photo's caption, and what there is beside it."""

    caption: str
    log_probability: float = Field(description="Of the whole caption: the sum over its words.")
    confidence: Trust | None = Field(description="null where the run is not calibrated.")
    words: list[Said]
    best: list[Alternative] = Field(description="The caption itself first, then the best others.")
    concepts: list[Found] = Field(description="Most probable first; empty where none are read.")
    regions: list[Region]
    runs: list[str] = Field(description="Names of the runs; several form an ensemble.")
    captioner: str
    source: str = Field(description='What the captioner is fed: "plain", "combined", ...')
    notes: list[str] = Field(description="What this run has nothing to show of, and why.")


class Health(BaseModel):
    """That the server is there, and with what."""

    status: str
    version: str
    runs: list[str]


class Failed(BaseModel):
    """Why there is no answer."""

    error: str = Field(description="What was wrong and what to do, in a sentence or two.")
