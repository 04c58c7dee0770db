"""Price lists: what a vCPU, a GiB, a unit or a machine costs an hour, with the month it is known for and the page to check it on. Data, never filled in where it is missing.

A list is one of four kinds: `resources` (vCPU and GiB apart), `units` (fixed bundles of both, bought whole), `dcu` (Google's weighted units) and `nodes`
(machines; an executor pays the share of the machine it takes, by cores or by memory, whichever is more).
"""

import json
import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, TypeAdapter, ValidationError

from spark_copilot.rules_engine.errors import BadInput, UsageError

MAX_FILE_BYTES = 1 << 20


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Spot(_Data):
    """What interruptible capacity costs of the on-demand price: a range, since the market moves. `fee_too`: the service's fee falls with it."""

    low: PositiveFloat
    mid: PositiveFloat
    high: PositiveFloat
    fee_too: bool = False


class Node(_Data):
    """One machine type: its price an hour, and what the service adds (`fee` in money, `dbus` in units of the list's `dbu_hour`)."""

    vcpus: PositiveFloat
    gib: PositiveFloat
    hour: NonNegativeFloat
    fee: NonNegativeFloat = 0.0
    dbus: NonNegativeFloat = 0.0


class _List(_Data):
    title: str
    currency: str
    region: str
    date: str
    source: str


class ByResources(_List):
    """vCPU-hours and GiB-hours."""

    kind: Literal["resources"]
    vcpu_hour: NonNegativeFloat
    gib_hour: NonNegativeFloat

    def hour(self, cores: float, gib: float, node: str | None) -> float:
        """Money an hour for a process of this size."""
        return cores * self.vcpu_hour + gib * self.gib_hour


class ByUnits(_List):
    """Whole bundles of vCPUs and memory."""

    kind: Literal["units"]
    unit: str
    unit_vcpus: PositiveFloat
    unit_gib: PositiveFloat
    unit_hour: NonNegativeFloat

    def hour(self, cores: float, gib: float, node: str | None) -> float:
        """Money an hour: as many bundles as hold both the cores and the memory."""
        # A worker's container leaves a part of its bundle to the system: within a quarter over, it is still the same bundle.
        needed = max(cores / self.unit_vcpus, gib / (1.25 * self.unit_gib))
        return max(math.ceil(round(needed, 6)), 1) * self.unit_hour


class ByDcu(_List):
    """Google's data compute units: weights of vCPU and memory, memory beyond a share a vCPU dearer."""

    kind: Literal["dcu"]
    dcu_hour: NonNegativeFloat
    dcu_per_vcpu: NonNegativeFloat
    dcu_per_gib: NonNegativeFloat
    dcu_per_gib_above: NonNegativeFloat
    gib_per_vcpu: PositiveFloat

    def hour(self, cores: float, gib: float, node: str | None) -> float:
        """Money an hour for a process of this size."""
        cheap = min(gib, self.gib_per_vcpu * cores)
        units = self.dcu_per_vcpu * cores + self.dcu_per_gib * cheap + self.dcu_per_gib_above * (gib - cheap)
        return units * self.dcu_hour


class ByNodes(_List):
    """Machines. With `whole_nodes` an executor is a machine; otherwise it pays its share, by cores or by the memory that `usable_memory_ratio` leaves."""

    kind: Literal["nodes"]
    nodes: Mapping[str, Node]
    usable_memory_ratio: PositiveFloat = 1.0
    whole_nodes: bool = False
    fee_per_vcpu: NonNegativeFloat = 0.0
    dbu_hour: NonNegativeFloat = 0.0
    spot: Spot | None = None

    def machine_hour(self, node: str) -> tuple[float, float]:
        """(price of the machine, the service's fee for it) an hour."""
        n = self.nodes[node]
        return n.hour, n.fee + n.dbus * self.dbu_hour + n.vcpus * self.fee_per_vcpu

    def share(self, cores: float, gib: float, node: str) -> float:
        """The part of one machine that a process takes; above 1 where it does not fit."""
        n = self.nodes[node]
        return 1.0 if self.whole_nodes else max(cores / n.vcpus, gib / (n.gib * self.usable_memory_ratio))

    def hour(self, cores: float, gib: float, node: str | None) -> float:
        """Money an hour for a process of this size."""
        assert node is not None, "a list of machines is never used without one"
        return self.share(cores, gib, node) * sum(self.machine_hour(node))


PriceList = Annotated[ByResources | ByUnits | ByDcu | ByNodes, Field(discriminator="kind")]

_ONE: TypeAdapter[ByResources | ByUnits | ByDcu | ByNodes] = TypeAdapter(PriceList)


@cache
def bundled() -> Mapping[str, ByResources | ByUnits | ByDcu | ByNodes]:
    """The lists that come with the program, by name."""
    text = (files("spark_copilot.ml.cost") / "prices.json").read_text(encoding="utf-8")
    return {name: _ONE.validate_python(entry) for name, entry in json.loads(text).items()}


def find(choice: str) -> tuple[str, ByResources | ByUnits | ByDcu | ByNodes, str | None]:
    """(name, list, machine type or None) of `NAME`, `NAME:NODE`, or the path of a file of your own (`FILE` or `FILE:NODE`).

    Raises:
        UsageError: no such list, or no such machine in it.
        BadInput: a file that is no price list.
    """
    lists = bundled()
    name, _, node = choice.partition(":")
    if name not in lists:
        path, node = _path_of(choice)
        if path is None:
            raise UsageError(f"no price list {name!r}", hint="known: " + ", ".join(lists) + "; or a file of your own (docs/cost.md)")
        return path.name, _machine(_own(path), node, path.name), node or None
    return name, _machine(lists[name], node, name), node or None


def _path_of(choice: str) -> tuple[Path | None, str]:
    """A file of this name; what stands behind its last colon is a machine type."""
    if Path(choice).is_file():
        return Path(choice), ""
    before, _, node = choice.rpartition(":")
    return (Path(before), node) if before and Path(before).is_file() else (None, "")


def _machine(prices: ByResources | ByUnits | ByDcu | ByNodes, node: str, name: str) -> ByResources | ByUnits | ByDcu | ByNodes:
    if node and not isinstance(prices, ByNodes):
        raise UsageError(f"the price list {name} has no machine types", hint=f"use {name} alone")
    if node and isinstance(prices, ByNodes) and node not in prices.nodes:
        raise UsageError(f"the price list {name} has no machine {node!r}", hint="known: " + ", ".join(prices.nodes))
    return prices


def _own(path: Path) -> ByResources | ByUnits | ByDcu | ByNodes:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise BadInput(f"{path}: too large for a price list", hint="a price list is a page of YAML or JSON")
    try:
        return _ONE.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"{path}: neither YAML nor JSON: {str(error).splitlines()[0]}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(p) for p in first["loc"]) or "the file"
        raise BadInput(f"{path}, {place}: {first['msg']}", hint="docs/cost.md shows the four kinds of price list") from None
