"""A server that speaks S3, on a free port of loopback: versitygw where it is installed, else moto; gone with the block."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

PARTS = Path(os.environ.get("SPARK_COPILOT_PARTS", Path.home() / ".cache" / "spark-copilot-parts"))
KEY, SECRET = "testkey", "testsecret-0f1e2d3c4b5a"


def program() -> list[str] | None:
    """The command of one that is installed, without its port."""
    if found := shutil.which("versitygw") or shutil.which("versitygw", path=str(PARTS / "bin")):
        return [found]
    if found := shutil.which("moto_server"):
        return [found]
    return None


@contextmanager
def serving(command: list[str], folder: Path, bucket: str) -> Iterator[dict[str, str]]:
    """The environment in which a client finds it, with an empty bucket in it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "buckets"
    (data / bucket).mkdir(parents=True)  # which is all that versitygw wants of a bucket
    gateway = ["--port", f"127.0.0.1:{port}", "posix", str(data)]
    command = [*command, *(gateway if Path(command[0]).name == "versitygw" else ["-H", "127.0.0.1", "-p", str(port)])]
    environment = {**os.environ, "ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}
    environment.pop("VIRTUAL_ENV", None)
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        end = time.monotonic() + 40
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((folder / "s3.log").read_text()) from None
                time.sleep(0.1)
        httpx.put(f"http://127.0.0.1:{port}/{bucket}", trust_env=False)  # and moto wants this; it checks no signature
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
        }  # fmt: skip
    finally:
        process.terminate()
        process.wait()
