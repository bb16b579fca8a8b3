"""What a training leaves, and the settings of one that is compared with itself."""

from pathlib import Path

from miacap.training import TrainingSettings

from ..records import evaluations

SETTINGS = TrainingSettings(epochs=3, warmup_steps=4, learning_rate=0.02, seed=7, patience=9)


def ending(folder: Path) -> tuple[bytes, dict[str, bytes], list[dict[str, object]]]:
    """Weights, the tensors of the last checkpoint, and the metrics without their seconds."""
    last = sorted((folder / "checkpoints").glob("step-*.safetensors"))[-1]
    lines = evaluations(folder / "metrics.jsonl")
    return (folder / "weights.safetensors").read_bytes(), {last.name: last.read_bytes()}, lines
