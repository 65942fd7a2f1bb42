#!/usr/bin/env bash
# Writes deploy/compose/secrets.env with fresh random secrets, once; an existing file is left alone.
set -euo pipefail
cd "$(dirname "$0")"
[ -e secrets.env ] && exit 0
random() { od -An -vtx1 -N"$1" /dev/urandom | tr -d ' \n'; }
umask 077
cat > secrets.env <<END
CAUDAL_SECRET_S3_ACCESS=$(random 10)
CAUDAL_SECRET_S3_SECRET=$(random 24)
CAUDAL_SECRET_S3_WRAP=$(random 32)
CAUDAL_SECRET_VALKEY=$(random 24)
CAUDAL_SECRET_GRAFANA=$(random 12)
END
