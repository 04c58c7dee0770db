"""Replay of a recorded run: the same tasks, scheduled again under a remedy. The difference in wall clock is what the remedy saves.

`ReplayModel.of(run)` prepares, `replay(model)` schedules, `apply(model, remedies)` changes the model, `Simulator` puts them together and prices.
"""

from spark_copilot.ml.simulator.model import ReplayModel
from spark_copilot.ml.simulator.pricing import Simulator
from spark_copilot.ml.simulator.remedies import apply
from spark_copilot.ml.simulator.replay import Replay, replay

__all__ = ["Replay", "ReplayModel", "Simulator", "apply", "replay"]
