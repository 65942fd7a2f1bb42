#!/usr/bin/env bash
# Makes everything that Caudal needs: a virtual environment with locked packages, Java, jars.
#   setup.sh [demo|test]
# It may be interrupted anywhere and run again; once it has finished it does nothing and needs no network.
set -euo pipefail
cd "$(dirname "$0")/../.."

purpose="${1:-demo}"
venv=".venv"
stamp="$venv/share/caudal/setup-$purpose"
started=$(date +%s)

say() { printf '[set-up] %s\n' "$*" >&2; }
stop() { printf '[set-up] %s\n' "$*" >&2; exit 3; }

# Root, or sudo without a password, may install system packages; everybody else gets the command to type.
if [ "$(id -u)" = 0 ]; then as_root=(env); elif sudo -n true 2>/dev/null; then as_root=(sudo -n); else as_root=(); fi

install_package() { # install_package WHAT-FOR NAME...: the first name that the system knows
    local what="$1"; shift
    if [ ${#as_root[@]} -eq 0 ] || ! command -v apt-get >/dev/null; then
        say "$what is missing and cannot be installed from here. Install it, for example: sudo apt-get install $1"
        return 1
    fi
    say "installing $what"
    "${as_root[@]}" apt-get update -q >&2
    local name
    for name in "$@"; do
        if "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$name" >&2
        then return 0; fi
    done
    say "$what could not be installed"
    return 1
}

inputs() {
    cat deploy/setup/requirements.txt deploy/setup/uv.txt pyproject.toml deploy/setup/setup.sh caudal/local/jars.lock \
        2>/dev/null | cksum
}

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(inputs) $PWD" ]; then
    exit 0
fi

# 1. Python: the first of 3.13, 3.12, 3.11 that can make a virtual environment.
if ! "$venv/bin/python" -c 'import pip, sys; assert (3, 11) <= sys.version_info[:2] <= (3, 13)' 2>/dev/null; then
    rm -rf "$venv"
    python=""
    for candidate in python3.13 python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys; assert (3, 11) <= sys.version_info[:2] <= (3, 13)' 2>/dev/null; then
            python="$candidate"; break
        fi
    done
    [ -n "$python" ] || stop "Python 3.11, 3.12 or 3.13 is needed and was not found"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install_package "python3-venv" python3-venv || exit 3
    say "making $venv with $("$python" --version)"
    "$python" -m venv "$venv"
fi
mkdir -p "$(dirname "$stamp")"

# 2. Packages, each checked against its hash. uv prints every download with its size.
say "installing packages (about 1.2 GB on disk; the largest is pyspark)"
"$venv/bin/python" -m pip install --disable-pip-version-check --require-hashes -r deploy/setup/uv.txt >&2
"$venv/bin/uv" pip install --python "$venv/bin/python" --require-hashes -r deploy/setup/requirements.txt >&2
"$venv/bin/uv" pip install --python "$venv/bin/python" --no-deps --no-build-isolation -q -e . >&2

# 3. Java 17 or 21.
if ! "$venv/bin/python" -m caudal.local.java >/dev/null 2>&1; then
    install_package "Java 17 or 21" openjdk-17-jre-headless openjdk-21-jre-headless || exit 3
    "$venv/bin/python" -m caudal.local.java >/dev/null || stop "Java 17 or 21 is needed; set JAVA_HOME to one"
fi

# 4. Jars of Kafka and Spark, fetched once by the Ivy that pyspark brings.
"$venv/bin/python" -m caudal.local.jars >&2

# 5. An archive of Spark's classes, for quicker starts.
"$venv/bin/python" -m caudal.local.classes >&2 || say "Spark's classes could not be archived; starts take longer"

# 6. What only the tests need. Without rights they skip and say so.
if [ "$purpose" = test ]; then
    "$venv/bin/python" -m caudal.local.jars --with s3 >&2
    ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null \
        || install_package "PostgreSQL, for the tests of the warehouse" postgresql || true
    command -v chromium >/dev/null || install_package "Chromium, for the browser tests" chromium || true
fi

printf '%s %s' "$(inputs)" "$PWD" > "$stamp"
# What the tests need includes what the demo needs.
if [ "$purpose" = test ]; then cp "$stamp" "$venv/share/caudal/setup-demo"; fi
ended=$(date +%s)
printf '{"started": %s, "ended": %s}\n' "$started" "$ended" > "$venv/share/caudal/setup.json"
say "done in $((ended - started)) s"
