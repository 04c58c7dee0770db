"""Start the server on the settings of the environment: the same as `spark-copilot serve`."""

from spark_copilot.app.cli.main import main

main(["serve"])
