"""`python -m spark_copilot`: the same as the `spark-copilot` script."""

from spark_copilot.app.cli.main import main

main()
