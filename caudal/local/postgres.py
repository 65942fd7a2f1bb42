"""A PostgreSQL of this install for BI tools: the system's own binaries, on loopback.

PostgreSQL refuses to run as root. Then it runs as the user that its package made, who must be able to reach the folder.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from caudal.local.child import Child
from caudal.local.errors import StartError
from caudal.local.private import write_private

DATABASE, PUBLISHER, ADMIN = "caudal", "caudal_publisher", "caudal_admin"
OLDEST = 15
# Where Debian, Red Hat and Homebrew put versions side by side; PATH comes first.
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
_USER = "postgres"


@dataclass(frozen=True)
class Passwords:
    """Of the server's administrator, whom only this module uses, and of the publisher."""

    admin: str
    publisher: str


def child(data: Path, port: int, name: str = "postgres") -> Child:
    """The server. Raises StartError when PostgreSQL 15 or newer is not installed."""
    data, found = data.resolve(), binaries()
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        # Sockets lie in /tmp by default, where two installs would meet.
        "unix_socket_directories": "",
        # What is here can be copied from gold again at any time.
        "synchronous_commit": "off",
        "log_statement": "none",
        # Values of rows do not belong into a log.
        "log_error_verbosity": "terse",
        "log_min_error_statement": "panic",
    }
    told = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
    known = passwords(data)
    return Child(
        name=name,
        command=(*_as_user(), str(found / "postgres"), "-D", str(data / "cluster"), *told),
        prepare=lambda: _initialise(data, found),
        ready=lambda: ready(port, known),
        after=lambda: _database(port, known),
        ready_s=60.0,
        stop_s=10.0,
        # SIGTERM would wait until the last tool has disconnected.
        stop_signal=signal.SIGINT,
        # The working folder must be one that its user may enter.
        cwd=Path("/"),
        ports={name: port},
        url=f"postgresql://127.0.0.1:{port}/{DATABASE}",
        gives={"serving.warehouse.url": _url(port, PUBLISHER, known.publisher, DATABASE)},
    )


def binaries() -> Path:
    """The folder of the newest PostgreSQL here. Raises StartError when there is none that is new enough."""
    candidates = [Path(path).resolve().parent for path in [shutil.which("postgres")] if path]
    candidates += [folder for place in _PLACES for folder in Path("/").glob(place.lstrip("/"))]
    fit = [(version, folder) for folder in candidates if (version := _version(folder)) >= OLDEST]
    if not fit:
        raise StartError(
            what=f"PostgreSQL {OLDEST} or newer is not installed",
            why="there is no `postgres` in PATH or where packages put it",
            fix="sudo apt-get install postgresql, or name a server of yours in serving.warehouse.url",
        )
    return max(fit)[1]


def ready(port: int, known: Passwords) -> str | None:
    """None once the server takes a login."""
    import psycopg

    try:
        psycopg.connect(_url(port, ADMIN, known.admin, "postgres"), connect_timeout=2).close()
    except psycopg.OperationalError as error:
        return f"a login ({type(error).__name__})"
    return None


def _database(port: int, known: Passwords) -> None:
    """The publisher, who is no superuser, and its database; both only where they are missing."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(_url(port, ADMIN, known.admin, "postgres"), autocommit=True) as link:
        if link.execute("SELECT FROM pg_roles WHERE rolname = %s", [PUBLISHER]).fetchone() is None:
            verifier = link.pgconn.encrypt_password(known.publisher.encode(), PUBLISHER.encode(), b"scram-sha-256")
            link.execute(
                sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {}").format(
                    sql.Identifier(PUBLISHER), sql.Literal(verifier.decode())
                )
            )
        if link.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
            link.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(PUBLISHER))
            )


def _initialise(data: Path, found: Path) -> None:
    """Make the cluster at the first start, owned by the user that runs it."""
    cluster = data / "cluster"
    if (cluster / "PG_VERSION").exists():
        return
    shutil.rmtree(cluster, ignore_errors=True)
    cluster.mkdir(mode=0o700, parents=True)
    handed = data / "admin.password"
    write_private(handed, passwords(data).admin)
    if os.geteuid() == 0:
        owner = _owner()
        for path in (cluster, handed):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    done = subprocess.run(
        [
            *_as_user(), str(found / "initdb"), "-D", str(cluster), "-U", ADMIN, f"--pwfile={handed}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync",
        ],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    handed.unlink(missing_ok=True)
    if done.returncode != 0:
        raise StartError(
            what="the PostgreSQL cluster could not be made",
            where=str(cluster),
            why=done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"initdb ended with {done.returncode}",
            fix=f"as root, the user {_USER} must be able to enter the folder: name another with --data",
        )


def passwords(data: Path) -> Passwords:
    """The passwords of this data folder; made at first use, readable by the owner only."""
    path = data / "passwords.json"
    if not path.exists():
        data.mkdir(parents=True, exist_ok=True)
        write_private(path, json.dumps(asdict(Passwords(secrets.token_hex(24), secrets.token_hex(24)))))
    return Passwords(**json.loads(path.read_text(encoding="utf-8")))


def _url(port: int, user: str, password: str, database: str) -> str:
    return f"postgresql://{user}:{password}@127.0.0.1:{port}/{database}"


def _version(folder: Path) -> int:
    """The major version of the server in a folder; 0 when it does not say."""
    try:
        said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.search(r"\) (\d+)", said)
    return int(found[1]) if found else 0


def _as_user() -> tuple[str, ...]:
    """The words that give root's rights away before the server starts; none for everybody else."""
    if os.geteuid() != 0:
        return ()
    owner = _owner()
    return ("setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups")


def _owner() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(_USER)
    except KeyError:
        raise StartError(
            what="PostgreSQL does not run as root",
            why=f"there is no user {_USER} to run it as",
            fix="sudo apt-get install postgresql, or start Caudal as another user",
        ) from None
