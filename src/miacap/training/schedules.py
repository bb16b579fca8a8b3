"""Learning rates as pure functions of the step.

With s = step counted from 0, S = all steps of the schedule, w = warm-up steps, but at most S / 2
(or a few dozen photos would never be trained at the full rate), f = final factor, and
p = min(1, (s - w) / (S - w)):

    s < w          (s + 1) / w
    constant       1
    cosine         f + (1 - f) (1 + cos(pi p)) / 2
    linear         f + (1 - f) (1 - p)
    step           step_factor ^ floor(max(0, epoch - constant_epochs) / step_epochs)
    exponential    step_factor ^ (max(0, s / steps per epoch - constant_epochs) / step_epochs)
    inverse-root   sqrt(w / s), with w at least 1
"""

import math

from miacap.training.settings import TrainingSettings


def learning_rate(settings: TrainingSettings, step: int, steps_per_epoch: int) -> float:
    """Give the rate of optimiser step `step` (from 0)."""
    return settings.learning_rate * _factor(settings, step, steps_per_epoch)


def _factor(settings: TrainingSettings, step: int, steps_per_epoch: int) -> float:
    total = (settings.schedule_epochs or settings.epochs) * steps_per_epoch
    warmup = min(settings.warmup_steps, total // 2)
    if step < warmup:
        return (step + 1) / warmup
    if settings.schedule == "constant":
        return 1.0
    if settings.schedule == "step":
        epochs = max(0, step // steps_per_epoch - settings.constant_epochs)
        return settings.step_factor ** (epochs // settings.step_epochs)
    if settings.schedule == "exponential":
        passed = max(0.0, step / steps_per_epoch - settings.constant_epochs)
        return float(settings.step_factor ** (passed / settings.step_epochs))
    if settings.schedule == "inverse-root":
        return math.sqrt(max(1, warmup) / max(1, step))
    part = min(1.0, (step - warmup) / max(1, total - warmup))
    fall = (1 + math.cos(math.pi * part)) / 2 if settings.schedule == "cosine" else 1 - part
    return settings.final_factor + (1 - settings.final_factor) * fall
