"""The folders at the top of the repository install as one import package, `spark_copilot`."""

from setuptools import find_packages, setup

FOLDERS = ["agents", "app", "connectors", "ml", "orchestration", "rag", "rules_engine", "storage", "workloads"]

setup(
    packages=["spark_copilot", *(f"spark_copilot.{n}" for n in find_packages(include=[p for f in FOLDERS for p in (f, f"{f}.*")]))],
    package_dir={"spark_copilot": "spark_copilot", **{f"spark_copilot.{f}": f for f in FOLDERS}},
    package_data={
        "spark_copilot": ["py.typed"],
        "spark_copilot.app": ["web/dist/**", "samples/*"],
        "spark_copilot.app.api": ["*.json"],
        "spark_copilot.connectors.spark_registry": ["*.java"],
        "spark_copilot.ml": ["data/*"],
        "spark_copilot.ml.cost": ["*.json"],
        "spark_copilot.rag": ["cards/*", "models/*", "data/*"],
        "spark_copilot.rules_engine": ["data/*"],
        "spark_copilot.rules_engine.gate": ["*.json.gz", "*.json", "NOTICE"],
        "spark_copilot.storage.migrations": ["*.mako", "versions/*"],
    },
    include_package_data=False,
)
