"""A PostgreSQL of the tests' own, from the machine's packages: started on a free port of loopback, gone with the session."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OWNER = "copilot"
"""The role that owns the databases of the tests, as the documentation wants it: no superuser, so row security holds it."""


def binaries() -> Path | None:
    """Where initdb and pg_ctl are; None when PostgreSQL is not installed."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name) if p.parent.name.isdigit() else 0)
    return next((place for place in reversed(places) if (place / "initdb").exists()), None)


@contextmanager
def server(bin_folder: Path, *, fsync: bool = False) -> Iterator[str]:
    """The URL of a running server as its superuser, without a database name. Without `fsync` it is quicker and loses what it has when the machine dies."""
    root = Path(tempfile.mkdtemp(prefix="spark-copilot-pg-", dir="/tmp"))
    root.chmod(0o755)
    home, user = root / "pg", ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    home.mkdir(mode=0o700)
    if user:
        shutil.chown(home, "postgres", "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data, log = home / "data", home / "log"
    _run([*user, str(bin_folder / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"], root)
    control = [*user, str(bin_folder / "pg_ctl"), "-D", str(data), "-w", "-l", str(log)]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home} -c fsync={'on' if fsync else 'off'}"
    try:
        _run([*control, "-o", options, "start"], root)
        yield f"postgresql://postgres@127.0.0.1:{port}"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], cwd=root, capture_output=True, check=False)
        shutil.rmtree(root, ignore_errors=True)


def new_database(server_url: str, name: str | None = None) -> str:
    """The URL of a new and empty database, as the role that owns it; the server's URL may be that role's too."""
    import psycopg

    name = name or f"t{secrets.token_hex(6)}"
    with psycopg.connect(f"{server_url}/postgres", autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [OWNER]).fetchone() is None:
            connection.execute(f"CREATE ROLE {OWNER} LOGIN CREATEDB".encode())
        connection.execute(f"CREATE DATABASE {name} OWNER {OWNER}".encode())
    return f"{server_url.replace('postgres@', f'{OWNER}@')}/{name}"


def _run(command: list[str], folder: Path) -> None:
    # The output goes to a file: the server keeps a pipe open for as long as it runs.
    with (folder / "output").open("w+") as output:
        done = subprocess.run(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
        output.seek(0)
        if done.returncode:
            raise RuntimeError(f"{command[-1]}: {output.read()[-2000:]}")
