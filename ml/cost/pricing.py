"""Money for one run: what it cost, what was useful, what a saving brings, what another size would cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from spark_copilot.ml.cost.price_list import ByDcu, ByNodes, ByResources, ByUnits, find
from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.rules_engine.facts import MISSING, SUCCESS, AppRun
from spark_copilot.rules_engine.findings import CostReport, Interval, Money, Remedy, Resize, Saving
from spark_copilot.rules_engine.resources import GIB, Lease, driver_lease, executor_leases, redone_ms

HOUR_MS = 3_600_000.0

_NODE_KEYS = (
    "spark.databricks.clusterUsageTags.clusterNodeType",
    "spark.kubernetes.executor.node.selector.node.kubernetes.io/instance-type",
    "spark.kubernetes.node.selector.node.kubernetes.io/instance-type",
)
"""Settings in which a platform writes the machine type of its workers."""


@dataclass(frozen=True, slots=True)
class Pricing:
    """A price list with the machine type to use. `currency` and `date` are shown beside every figure."""

    name: str
    prices: ByResources | ByUnits | ByDcu | ByNodes
    node: str | None

    @classmethod
    def of(cls, choice: str, run: AppRun | None = None) -> "Pricing":
        """The list that `--pricing` names. A list of machines takes the type from the choice, else from the run's own settings.

        Raises:
            UsageError: no such list or machine, or a list of machines and no type known.
            BadInput: a file that is no price list.
        """
        name, prices, node = find(choice)
        if isinstance(prices, ByNodes) and node is None:
            node = next((n for key in _NODE_KEYS if run is not None and (n := run.conf(key)) in prices.nodes), None)
            if node is None:
                raise UsageError(
                    f"{name} prices machines, and the log does not name one of them: which?",
                    hint=f"for example --pricing {choice}:{next(iter(prices.nodes))}; known: {', '.join(prices.nodes)}",
                )
        return cls(name, prices, node)

    @property
    def currency(self) -> str:
        """The list's currency."""
        return self.prices.currency

    @property
    def label(self) -> str:
        """The list as it is named beside a figure: name, machine, region, date."""
        machine = f" {self.node}" if self.node else ""
        return f"{self.name}{machine}, {self.prices.region}, {self.prices.date}"

    def lease_cost(self, lease: Lease) -> float:
        """What one process cost over its life."""
        return self.hour(lease.cores, lease.memory_bytes) * lease.ms / HOUR_MS

    def hour(self, cores: float, memory_bytes: float) -> float:
        """Money an hour for a process of this size."""
        return self.prices.hour(cores, memory_bytes / GIB, self.node)


@dataclass(frozen=True, slots=True)
class RunCost:
    """The parts of a run's cost. The five add up to `total`: useful, idle, failed and redone are the executors', by core time."""

    useful: float
    idle: float
    failed: float
    redone: float
    driver: float

    @property
    def executors(self) -> float:
        """What the executors cost."""
        return self.useful + self.idle + self.failed + self.redone

    @property
    def total(self) -> float:
        """The whole run."""
        return self.executors + self.driver


def run_cost(run: AppRun, pricing: Pricing) -> RunCost:
    """What the run cost, from the lifetimes of its executors and driver."""
    leases = executor_leases(run)
    spent = sum(pricing.lease_cost(lease) for lease in leases)
    held = sum(lease.core_ms for lease in leases)
    duration = run.tasks.duration_ms * run.task_cpus
    good, lost = float(duration[run.tasks.status == SUCCESS].sum()), float(duration[run.tasks.status != SUCCESS].sum())
    redone = min(float(redone_ms(run)), good)
    # Tasks may overlap the edges of a lease by clock skew; shares are of whichever is more.
    whole = max(float(held), good + lost, 1.0)
    parts = [spent * x / whole for x in (good - redone, lost, redone)]
    driver = driver_lease(run)
    return RunCost(
        useful=parts[0],
        failed=parts[1],
        redone=parts[2],
        idle=max(spent - sum(parts), 0.0),
        driver=pricing.lease_cost(driver) if driver is not None else 0.0,
    )


def cost_report(run: AppRun, pricing: Pricing) -> CostReport:
    """The report's block: the total, what bought nothing, and the parts."""
    cost = run_cost(run, pricing)
    parts = {"useful": cost.useful, "idle": cost.idle, "failed": cost.failed, "redone": cost.redone, "driver": cost.driver}
    return CostReport(
        currency=pricing.currency,
        price_date=pricing.prices.date,
        total=_money(cost.total),
        wasted=_money(cost.idle + cost.failed + cost.redone),
        by={name: _money(value) for name, value in parts.items()},
    )


def saving_cost(run: AppRun, pricing: Pricing, saving: Saving, remedies: Sequence[Remedy] = ()) -> Money:
    """What a saving is worth in money.

    On a fixed cluster every second that the application ends earlier gives back its executors and its driver. Under dynamic allocation executors
    come and go with the work, so the bill follows the core time saved; how closely depends on idle timeouts, so the two are the ends of the interval.
    A `Resize` is priced by the executors it leaves.
    """
    cost = run_cost(run, pricing)
    wall = max(run.wall_ms, 1)
    sizes = [r for r in remedies if isinstance(r, Resize) and r.executors is not None]
    if sizes and sizes[-1].executors is not None:
        share = min(sizes[-1].executors / max(run.executors_max, 1), 1.0)
        low, mid, high = (_resized(cost, share, saved / wall) for saved in (saving.wall_ms.low, saving.wall_ms.mid, saving.wall_ms.high))
        return _interval(low, mid, high, pricing.currency)
    by_wall = [cost.total * saved / wall for saved in (saving.wall_ms.low, saving.wall_ms.mid, saving.wall_ms.high)]
    if (run.conf("spark.dynamicAllocation.enabled", "false") or "").lower() != "true" or run.local_cores is not None:
        return _interval(by_wall[0], by_wall[1], by_wall[2], pricing.currency)
    held = max(sum(lease.core_ms for lease in executor_leases(run)), 1)
    by_core = [
        cost.executors * core / held + cost.driver * saved / wall
        for core, saved in (
            (saving.core_ms.low, saving.wall_ms.low),
            (saving.core_ms.mid, saving.wall_ms.mid),
            (saving.core_ms.high, saving.wall_ms.high),
        )
    ]
    ends = sorted((by_wall[1], by_core[1]))
    return _interval(min(by_wall[0], by_core[0], ends[0]), sum(ends) / 2, max(by_wall[2], by_core[2], ends[1]), pricing.currency)


def size_cost(run: AppRun, pricing: Pricing, executors: int, cores: int, wall: Interval) -> Money:
    """What the run would cost with this many executors of this many cores, over this wall clock. Executors live for the same share of it as recorded."""
    leases = executor_leases(run)
    memory = leases[0].memory_bytes if leases else GIB
    if run.local_cores is not None:
        # One process whose slots are scaled: its memory goes with its cores.
        memory = int(memory * cores * executors / max(run.local_cores, 1))
        rate = pricing.hour(cores * executors, memory)
        alive = 1.0
    else:
        at = int(cores)
        usual = leases[0].cores if leases else at
        rate = executors * pricing.hour(at, memory * at / max(usual, 1))
        lives = [lease.ms / max(run.wall_ms, 1) for lease in leases if int(run.executors.removed_ms[lease.executor_row or 0]) == MISSING]
        alive = sum(lives) / len(lives) if lives else 1.0
    driver = driver_lease(run)
    fixed = pricing.hour(driver.cores, driver.memory_bytes) if driver is not None else 0.0
    low, mid, high = ((rate * alive + fixed) * ms / HOUR_MS for ms in (wall.low, wall.mid, wall.high))
    return _interval(low, mid, high, pricing.currency)


def alternatives(run: AppRun, pricing: Pricing) -> list[str]:
    """The same work on cheaper machines of the list and on interruptible ones, in sentences; empty for a list without machines."""
    prices = pricing.prices
    if not isinstance(prices, ByNodes) or pricing.node is None or run.local_cores is not None:
        return []
    now = run_cost(run, pricing).total
    said = []
    cheaper = [
        (run_cost(run, other).total, node)
        for node in prices.nodes
        if (other := Pricing(pricing.name, prices, node)).node != pricing.node and _fits(run, other)
    ]
    if cheaper and min(cheaper)[0] < 0.97 * now:
        total, node = min(cheaper)
        said.append(
            f"the same executors on {node}: {total:.2f} {prices.currency} instead of {now:.2f}, if its cores are as fast (another processor may not be; run once and compare)"
        )
    if prices.spot is not None:
        machine, fee = prices.machine_hour(pricing.node)
        shares = [
            (machine * ratio + (fee * ratio if prices.spot.fee_too else fee)) / max(machine + fee, 1e-9)
            for ratio in (prices.spot.low, prices.spot.mid, prices.spot.high)
        ]
        cost = run_cost(run, pricing)
        low, mid, high = (cost.executors * share + cost.driver for share in shares)
        said.append(
            f"executors on spot machines, the driver on demand: about {mid:.2f} {prices.currency}, between {low:.2f} and {high:.2f}; "
            "a machine that is taken away loses its shuffle files, so its stages run again (decommissioning with a fallback store lowers that)"
        )
    return said


def _fits(run: AppRun, pricing: Pricing) -> bool:
    leases = executor_leases(run)
    prices = pricing.prices
    if not leases or not isinstance(prices, ByNodes) or pricing.node is None:
        return False
    n = prices.nodes[pricing.node]
    room = n.gib * prices.usable_memory_ratio * GIB
    return all(lease.cores <= n.vcpus and lease.memory_bytes <= room for lease in leases)


def _resized(cost: RunCost, share: float, saved: float) -> float:
    """Money that comes back when `share` of the executors stay and the run takes `1 - saved` of its time."""
    return cost.executors * (1.0 - share * (1.0 - saved)) + cost.driver * saved


def _interval(low: float, mid: float, high: float, currency: str) -> Money:
    low, mid, high = (max(x, 0.0) for x in (low, mid, high))
    return Money(low=_money(min(low, mid)), mid=_money(mid), high=_money(max(high, mid)), currency=currency)


def _money(value: float) -> float:
    """Six digits behind the point: a small run costs hundredths of a cent."""
    return round(value, 6)
