"""Writes the sample logs of this folder with Spark itself (needs Java 17 and pyspark 4.2.0: `make parts`).

    PYTHON=<parts>/pyspark-4.2.0/venv/bin/python; PYSPARK_PYTHON=$PYTHON $PYTHON tests/data/eventlogs/make.py

One small query is logged plainly, what belongs to the machine is taken out of it, and Spark's own codecs pack the same bytes once each.
"""

import os
import re
import socket
import sys
import tempfile
from pathlib import Path

from pyspark.sql import SparkSession

HERE = Path(__file__).resolve().parent
CODECS = ("lz4", "snappy", "lzf", "zstd")


def session(log_dir: str) -> SparkSession:
    """A local Spark that logs plainly, in one file."""
    builder = SparkSession.builder.master("local[2]").appName("codec sample")
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": f"file://{log_dir}",
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.compress": "false",
    }
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def anonymous(text: str, log_dir: str) -> str:
    """The log without this machine's folders, host and classpath."""
    packages = str(Path(sys.prefix).resolve() / "lib" / f"python3.{sys.version_info.minor}" / "site-packages")
    text = re.sub(r'"Classpath Entries":\{[^{}]*\}', '"Classpath Entries":{}', text)
    for place, word in (
        (packages, "/opt/python"),
        (sys.prefix, "/opt/python"),
        (log_dir, "/logs"),
        (str(Path.home()), "/home/user"),
        (str(Path.cwd()), "/app"),
    ):
        text = text.replace(place, word)
    return text.replace(socket.gethostname(), "host").replace(f'"{os.environ.get("USER", "root")}"', '"user"')


def main() -> None:
    """Write `codec-sample` and its packed copies."""
    with tempfile.TemporaryDirectory() as log_dir:
        spark = session(log_dir)
        spark.range(1000).selectExpr("id % 7 as k", "id as v").groupBy("k").sum("v").collect()
        app = spark.sparkContext.applicationId
        spark.stop()
        plain = anonymous((Path(log_dir) / app).read_text(), log_dir)
        (HERE / "codec-sample").write_text(plain)
        spark = session(log_dir)
        jvm = spark._jvm
        for codec in CODECS:
            target = jvm.java.io.FileOutputStream(str(HERE / f"codec-sample.{codec}"))
            packer = jvm.org.apache.spark.io.CompressionCodec.createCodec(spark.sparkContext._jsc.sc().conf(), codec)
            out = packer.compressedOutputStream(target)
            out.write(plain.encode())
            out.close()
        spark.stop()


if __name__ == "__main__":
    main()
