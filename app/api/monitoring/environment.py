"""`/environment`: ApplicationEnvironmentInfo."""

import re
from collections.abc import Mapping

from spark_copilot.app.api.monitoring.values import Json
from spark_copilot.rules_engine.facts import AppRun


def environment_json(run: AppRun) -> Json:
    """Settings in sorted pairs, as the environment page groups them."""
    env = run.environment
    return {
        "runtime": {
            "javaVersion": env.jvm.get("Java Version", ""),
            "javaHome": env.jvm.get("Java Home", ""),
            "scalaVersion": env.jvm.get("Scala Version", ""),
        },
        "sparkProperties": _redacted(env.spark),
        "hadoopProperties": _redacted(env.hadoop),
        "systemProperties": _redacted(env.system),
        "metricsProperties": _redacted(env.metrics),
        "classpathEntries": _pairs(env.classpath),
        "resourceProfiles": [_profile(key, profile) for key, profile in sorted(run.resource_profiles.items())],
    }


_SENSITIVE = re.compile("secret|password|token|access[.]?key|credential", re.IGNORECASE)
"""`spark.redaction.regex` of Spark 4.3, which a History Server asks of names and of values."""


def _redacted(settings: Mapping[str, str]) -> list[list[str]]:
    return [
        [key, "*********(redacted)" if _SENSITIVE.search(key) or _SENSITIVE.search(value) else value] for key, value in _pairs(settings)
    ]


def _pairs(settings: Mapping[str, str]) -> list[list[str]]:
    return [[key, settings[key]] for key in sorted(settings)]


def _profile(key: int, profile: Mapping[str, Mapping[str, Mapping[str, object]]]) -> Json:
    def resource(name: str, asked: Mapping[str, object]) -> Json:
        out: Json = {"resourceName": asked.get("Resource Name", name), "amount": asked.get("Amount", 0)}
        if "Discovery Script" in asked:
            out |= {"discoveryScript": asked.get("Discovery Script", ""), "vendor": asked.get("Vendor", "")}
        return out

    return {
        "id": key,
        "executorResources": {
            name: resource(name, asked) for name, asked in profile.get("executor", {}).items() if isinstance(asked, Mapping)
        },
        "taskResources": {name: resource(name, asked) for name, asked in profile.get("task", {}).items() if isinstance(asked, Mapping)},
    }
