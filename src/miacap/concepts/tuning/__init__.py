"""A backbone tuned on the concept words of training captions.

`tune` makes the folder of a tuned backbone, `TuneSettings` says how; `tuning_table`
sets its report.
"""

from miacap.concepts.tuning.making import tune
from miacap.concepts.tuning.report import leak as tuning_leak
from miacap.concepts.tuning.report import table as tuning_table
from miacap.concepts.tuning.settings import TuneSettings

__all__ = ["TuneSettings", "tune", "tuning_leak", "tuning_table"]
