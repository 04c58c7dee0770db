"""The effective view: the settings of one application with Spark's precedence applied, and typed answers to a rule's questions.

A question about a setting has three answers: a value, "absent" (then the default of the target version counts, where that is known), and
"not known", which is None. Rules say nothing on None.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from spark_copilot.rules_engine.gate import values
from spark_copilot.rules_engine.gate.keys import Catalog, Entry
from spark_copilot.rules_engine.gate.setting import STARTUP, Mark, Setting
from spark_copilot.rules_engine.gate.target import SparkVersion, Target

PLATFORM_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "emr": {"spark.dynamicAllocation.enabled": "true", "spark.shuffle.service.enabled": "true"},
    "emr-serverless": {"spark.dynamicAllocation.enabled": "true", "spark.dynamicAllocation.shuffleTracking.enabled": "true"},
    "dataproc": {"spark.dynamicAllocation.enabled": "true", "spark.shuffle.service.enabled": "true"},
    "dataproc-serverless": {"spark.dynamicAllocation.enabled": "true", "spark.dynamicAllocation.shuffleTracking.enabled": "true"},
    "glue": {"spark.dynamicAllocation.enabled": "true", "spark.shuffle.service.enabled": "true"},
    "databricks": {"spark.databricks.delta.preview.enabled": "true", "spark.eventLog.enabled": "true"},
}
"""What a platform sets before the user does. Sources: EMR "Configure Spark", Dataproc autoscaling and Serverless properties, Glue job docs (2025-11)."""

_AQE_SINCE = SparkVersion(3, 2)


class View:
    """Settings and marks of one scope in file order. `kind` and `file` name the reader and the path they come from."""

    def __init__(self, kind: str, file: str, scope: str, settings: Sequence[Setting], marks: Sequence[Mark], target: Target, known: Catalog) -> None:  # fmt: skip
        self.kind, self.file, self.scope = kind, file, scope
        self.settings, self.marks = tuple(settings), tuple(marks)
        self.target, self.catalog = target, known

    # -- what is written -------------------------------------------------------------------------------------------

    @cached_property
    def effective(self) -> Mapping[str, Setting]:
        """The winning assignment of every key: the highest place, and the last within it."""
        best: dict[str, Setting] = {}
        for setting in self.settings:
            held = best.get(setting.key)
            if held is None or setting.place >= held.place:
                best[setting.key] = setting
        return best

    @cached_property
    def at_start(self) -> Mapping[str, Setting]:
        """As `effective`, without what is set in a running session."""
        best: dict[str, Setting] = {}
        for setting in self.settings:
            held = best.get(setting.key)
            if setting.place in STARTUP and (held is None or setting.place >= held.place):
                best[setting.key] = setting
        return best

    def get(self, key: str) -> Setting | None:
        """The winning assignment of a key, whether its value is known or not."""
        return self.effective.get(key)

    def first(self, *keys: str) -> Setting | None:
        """The winning assignment of the first of these keys that is set."""
        return next((found for key in keys if (found := self.get(key)) is not None), None)

    def starting_with(self, *prefixes: str) -> Iterator[Setting]:
        """Winning assignments of the keys under these prefixes, in file order."""
        for setting in self.settings:
            if setting.key.startswith(prefixes) and self.effective.get(setting.key) is setting:
                yield setting

    def known(self) -> Iterator[tuple[Setting, Entry]]:
        """Every assignment whose value is known and whose key the catalog has (old names included)."""
        for setting in self.settings:
            if not setting.known:
                continue
            entry = self.catalog.entry(setting.key) or self.catalog.entry(self.catalog.successor(setting.key) or "")
            if entry is not None:
                yield setting, entry

    def marked(self, *names: str) -> list[Mark]:
        """Marks of these names in file order."""
        return [mark for mark in self.marks if mark.what in names]

    def has(self, *names: str) -> bool:
        """Whether the file bears one of these marks."""
        return any(mark.what in names for mark in self.marks)

    # -- what it means ---------------------------------------------------------------------------------------------

    def default(self, key: str) -> str | None:
        """What an absent key means: the platform's default, else Spark's of the target version."""
        platform = PLATFORM_DEFAULTS.get(self.target.platform or "", {})
        if key in platform:
            return platform[key]
        entry = self.catalog.entry(key)
        return None if entry is None else entry.default(self.target.spark)

    def text(self, key: str) -> str | None:
        """The value of a set key; None when absent or not known."""
        setting = self.get(key)
        return setting.value if setting is not None and setting.known else None

    def text_or_default(self, key: str) -> str | None:
        """The value in force; None when not known. An absent key whose default changed between versions is not known without a version."""
        setting = self.get(key)
        if setting is not None:
            return setting.value if setting.known else None
        entry = self.catalog.entry(key)
        if entry is not None and self.target.spark is None and len(set(entry.defaults.values())) > 1:
            return None
        return self.default(key)

    def is_true(self, key: str) -> bool:
        """Whether the key is surely on, by assignment or by default."""
        text = self.text_or_default(key)
        return text is not None and values.boolean(text) is True

    def is_false(self, key: str) -> bool:
        """Whether the key is surely off, by assignment or by default."""
        text = self.text_or_default(key)
        return text is not None and values.boolean(text) is False

    def says(self, key: str, value: bool) -> Setting | None:
        """The assignment of a key that is written with this truth value."""
        setting = self.get(key)
        return setting if setting is not None and setting.known and values.boolean(setting.value) is value else None

    def number(self, key: str) -> float | None:
        """The number written for a key; None when absent, not known or no number."""
        text = self.text(key)
        return None if text is None else values.double(text)

    def count(self, key: str) -> int | None:
        """The whole number written for a key."""
        text = self.text(key)
        return None if text is None else values.integer(text)

    def size(self, key: str, *, or_default: bool = False) -> int | None:
        """Bytes written for a key, in the key's own unit when bare."""
        text = self.text_or_default(key) if or_default else self.text(key)
        entry = self.catalog.entry(key)
        unit = entry.unit if entry is not None and entry.unit in values.UNIT_BYTES else "B"
        return None if text is None else values.size(text, unit)

    def time(self, key: str, *, or_default: bool = False) -> float | None:
        """Milliseconds written for a key, in the key's own unit when bare."""
        text = self.text_or_default(key) if or_default else self.text(key)
        entry = self.catalog.entry(key)
        unit = entry.unit if entry is not None and entry.unit in values.UNIT_MS else "ms"
        return None if text is None else values.duration(text, unit)

    @property
    def spark(self) -> SparkVersion | None:
        """The target's Spark version."""
        return self.target.spark

    def at_least(self, major: int, minor: int) -> bool:
        """Whether the target is surely this version or newer."""
        return self.target.spark is not None and self.target.spark >= SparkVersion(major, minor)

    def before(self, major: int, minor: int) -> bool:
        """Whether the target is surely older than this version."""
        return self.target.spark is not None and self.target.spark < SparkVersion(major, minor)

    def on(self, *platforms: str) -> bool:
        """Whether the platform is surely one of these."""
        return self.target.platform in platforms

    @cached_property
    def master(self) -> str | None:
        """The master in force: yarn, local, kubernetes or standalone; from the settings, else from the platform."""
        setting = self.get("spark.master")
        if setting is not None:
            return kind_of_master(setting.value) if setting.known else None
        if self.on("yarn", "kubernetes", "standalone", "local"):
            return self.target.platform
        return "yarn" if self.on("emr", "dataproc") else None

    @property
    def is_properties(self) -> bool:
        """Whether the settings stand in a properties file, on its own or inside another document."""
        return self.kind == "properties" or self.has("properties-text")

    @property
    def is_local(self) -> bool:
        """Whether driver and executor are surely one process."""
        return self.master == "local"

    @property
    def is_test(self) -> bool:
        """Whether the settings are for tests or a developer's machine."""
        return self.target.is_test

    @property
    def starts_application(self) -> bool:
        """Whether the settings are of an application's start, so that a missing key can mean something."""
        return any(s.place in STARTUP for s in self.settings)


def kind_of_master(text: str) -> str | None:
    """yarn, local, kubernetes or standalone; None for anything else."""
    for prefix, kind in (("local", "local"), ("yarn", "yarn"), ("k8s:", "kubernetes"), ("spark:", "standalone")):
        if text.strip().lower().startswith(prefix):
            return kind
    return None


def scopes_of(settings: Iterable[Setting], marks: Iterable[Mark]) -> list[str]:
    """Scope names in the order they first appear."""
    names = dict.fromkeys([s.scope for s in settings] + [m.scope for m in marks])
    return list(names) or [""]
