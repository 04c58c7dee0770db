"""What the sample log's clients asked of the server: `python client.py`, with the server of README.md on port 15777."""

import threading
import time

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, count, udf

SERVER = "sc://127.0.0.1:15777/;user_id="


def session(user: str) -> SparkSession:
    """A session of a user; waits until the server answers."""
    for _ in range(60):
        try:
            found = SparkSession.builder.remote(SERVER + user).create()
            found.range(1).collect()
        except PySparkException:
            time.sleep(1)
        else:
            return found
    raise TimeoutError("the server did not answer within a minute")


def refused(query: str, spark: SparkSession) -> None:
    """A query that is meant to fail."""
    try:
        spark.sql(query).collect()
    except PySparkException as error:
        print("refused, as meant:", type(error).__name__)


def main() -> None:
    """Everything once."""
    ann = session("ann")
    ann.range(200_000).groupBy((col("id") % 7).alias("k")).agg(count("*").alias("n")).orderBy("k").collect()
    ann.sql("SELECT 'password=hunter2secret' AS p, id FROM range(10)").collect()
    refused("SELECT assert_true(id < 50, 'too large') FROM range(100)", ann)
    refused("SELECT nothing FROM range(3)", ann)
    ann.range(1000).createOrReplaceTempView("numbers")
    ann.sql("CREATE TABLE kept AS SELECT id, id % 3 AS third FROM numbers").collect()
    bob = SparkSession.builder.remote(SERVER + "bob").create()

    def waits(x: int) -> int:
        time.sleep(0.2)
        return x

    slow = udf(waits, "long")

    def interrupted() -> None:
        bob.addTag("slow one")
        try:
            bob.range(400).select(slow("id")).collect()
        except PySparkException as error:
            print("interrupted, as meant:", type(error).__name__)

    thread = threading.Thread(target=interrupted)
    thread.start()
    time.sleep(4)
    bob.interruptAll()
    thread.join()
    bob.range(10).count()
    bob.stop()
    ann.stop()


main()
