"""A standalone cluster whose workers have hosts of their own (127.0.0.2, 127.0.0.3, …): what Spark does only between machines, such as copies of slow tasks."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "standalone"
"""`standalone[3,1,1024]`: three workers of one core and 1024 MiB, written as Spark writes `local-cluster[3,1,1024]`."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def cluster(master: str, folder: Path) -> Iterator[str]:
    """Start the cluster that `master` names and give its address; any other master is given back as it is. `folder` takes the workers' files."""
    if not master.startswith(PREFIX):
        yield master
        return
    import pyspark

    workers, cores, memory = (int(n) for n in master[len(PREFIX) + 1 : -1].split(","))
    home = Path(pyspark.__file__).parent
    port = _free_port()
    java = [str(home / "bin" / "spark-class")]
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str, host: str) -> None:
        env = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": host, "SPARK_DAEMON_MEMORY": "256m"}
        started.append(subprocess.Popen([*java, *command], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    try:
        start("org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0", host="127.0.0.1")
        for _i in range(300):
            if _listens(port):
                break
            time.sleep(0.1)
        address = f"spark://127.0.0.1:{port}"
        for n in range(workers):
            host = f"127.0.0.{n + 2}"
            own = ["--cores", str(cores), "--memory", f"{memory}M", "--work-dir", str(folder / f"worker-{n}")]
            start("org.apache.spark.deploy.worker.Worker", "--host", host, "--webui-port", "0", *own, address, host=host)
        time.sleep(4)  # a worker registers within two seconds; the job's first stage waits for all of them
        yield address
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(30)
