"""Servers that speak S3, GCS and Azure's protocol, each on a free port of loopback, gone with its block."""

import base64
import hashlib
import hmac
import importlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import httpx

PARTS = Path(os.environ.get("SPARK_COPILOT_PARTS", Path.home() / ".cache" / "spark-copilot-parts"))
KEY, SECRET = "testkey", "testsecret-0f1e2d3c4b5a"
ACCOUNT, ACCOUNT_KEY = "testaccount", base64.b64encode(hashlib.sha512(b"a key of the tests").digest()).decode()
WAIT_SECONDS = 40.0

MISSING = {
    "s3": "no S3 server is installed: run `make parts-s3`",
    "gs": "no GCS server is installed: run `make parts-clouds` (needs Go)",
    "az": "no Azure server is installed: run `make parts-clouds` (needs npm)",
}
Environment = dict[str, str]


def program(kind: str) -> str | None:
    """The server of a kind of store, where `make parts-s3` or `make parts-clouds` has put it."""
    places = {
        "s3": [PARTS / "s3" / "venv" / "bin" / "moto_server"],
        "gs": [PARTS / "clouds" / "bin" / "fake-gcs-server"],
        "az": [PARTS / "clouds" / "azurite" / "node_modules" / ".bin" / "azurite-blob"],
    }
    return next((str(place) for place in places[kind] if place.exists()), None)


@contextmanager
def serving(kind: str, command: str, folder: Path, bucket: str) -> Iterator[Environment]:
    """The environment in which a client finds the store, with an empty bucket in it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments, own, make, found = {"s3": _s3, "gs": _gs, "az": _az}[kind](port, folder, bucket)
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | own
    with (folder / f"{kind}.log").open("wb") as log:
        process = subprocess.Popen([command, *arguments], env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        _wait(port, process, folder / f"{kind}.log")
        answer = httpx.request(*make[:2], headers=make[2], json=make[3], trust_env=False, timeout=30)
        assert answer.is_success, answer.text
        yield found
    finally:
        process.kill()  # they keep nothing, and asked to end they wait for connections that clients keep open
        process.wait()


def put(bucket: str, key: str, content: bytes) -> None:
    """An object into the bucket of this address."""
    scheme, _, name = bucket.partition("://")
    if scheme == "gs":  # the server knows only one of the two ways to write, and the client the other
        where = f"{os.environ['GOOGLE_BASE_URL']}/upload/storage/v1/b/{name}/o"
        httpx.post(where, params={"uploadType": "media", "name": key}, content=content, trust_env=False).raise_for_status()
        return
    kinds = importlib.import_module("obstore.store")
    store = {"s3": kinds.S3Store, "az": kinds.AzureStore}[scheme](name, client_options={"allow_http": True})
    store.put(key, content)


def cleared(environment: Environment) -> list[str]:
    """Variables of this process that would send a client elsewhere."""
    prefixes = ("AWS_", "AZURE_", "GOOGLE_")
    return [name for name in os.environ if name.startswith(prefixes) and name not in environment]


Started = tuple[list[str], Environment, tuple[str, str, dict[str, str], dict[str, str] | None], Environment]
"""Arguments and environment of the server, the request that makes the bucket, and the environment of its clients."""


def _s3(port: int, folder: Path, bucket: str) -> Started:
    url = f"http://127.0.0.1:{port}"
    client = {
        "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
    }  # fmt: skip
    return ["-H", "127.0.0.1", "-p", str(port)], {}, ("PUT", f"{url}/{bucket}", {}, None), client


def _gs(port: int, folder: Path, bucket: str) -> Started:
    url = f"http://127.0.0.1:{port}"
    arguments = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory", "-public-host", f"127.0.0.1:{port}"]
    # What it documents for emulators: an account without a key.
    account = {"gcs_base_url": url, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    client = {"GOOGLE_BASE_URL": url, "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)}
    return arguments, {}, ("POST", f"{url}/storage/v1/b?project=test", {}, {"name": bucket}), client


def _az(port: int, folder: Path, bucket: str) -> Started:
    url, date = f"http://127.0.0.1:{port}/{ACCOUNT}", formatdate(usegmt=True)
    arguments = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder / "azure"), "--skipApiVersionCheck"]
    version = "2021-12-02"
    signed = "PUT\n" + "\n" * 11 + f"x-ms-date:{date}\nx-ms-version:{version}\n/{ACCOUNT}/{ACCOUNT}/{bucket}\nrestype:container"
    signature = base64.b64encode(hmac.new(base64.b64decode(ACCOUNT_KEY), signed.encode(), hashlib.sha256).digest()).decode()
    headers = {"x-ms-date": date, "x-ms-version": version, "Authorization": f"SharedKey {ACCOUNT}:{signature}"}
    client = {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY, "AZURE_STORAGE_ENDPOINT": url}
    server = {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{ACCOUNT_KEY}"}
    return arguments, server, ("PUT", f"{url}/{bucket}?restype=container", headers, None), client


def _wait(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(log.read_text(errors="replace")) from None
            time.sleep(0.1)
