"""Money: price lists as data, and what a run, a saving or another size costs under one of them."""

from spark_copilot.ml.cost.price_list import bundled
from spark_copilot.ml.cost.pricing import Pricing, alternatives, cost_report, run_cost, saving_cost, size_cost

__all__ = ["Pricing", "alternatives", "bundled", "cost_report", "run_cost", "saving_cost", "size_cost"]
