#!/usr/bin/env bash
# postgres_start.sh FOLDER PORT: PostgreSQL in FOLDER on 127.0.0.1:PORT, user postgres, password pg. Prints its pid.
set -euo pipefail
folder=$(realpath -m "$1"); port=$2
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1 || true)
bin=${bin:-$(dirname "$(readlink -f "$(command -v initdb)")")}
mkdir -p "$folder/socket"
as=()
if [ "$(id -u)" = 0 ]; then  # the server refuses to run as root
  id postgres > /dev/null 2>&1 || useradd -r -M postgres
  chown -R postgres "$folder"
  as=(setpriv --reuid=postgres --regid="$(id -g postgres)" --clear-groups env "HOME=$folder")
fi
cd "$folder"
if [ ! -f data/PG_VERSION ]; then
  printf 'pg\n' | "${as[@]}" tee password > /dev/null
  "${as[@]}" "$bin/initdb" -D data -U postgres --pwfile=password -A scram-sha-256 -E UTF8 --locale=C.UTF-8 -N > initdb.log 2>&1
  cat >> data/postgresql.conf <<C
listen_addresses = '127.0.0.1'
unix_socket_directories = '$folder/socket'
fsync = off
synchronous_commit = off
full_page_writes = off
timezone = 'UTC'
C
fi
setsid nohup "${as[@]}" "$bin/postgres" -D data -p "$port" > postgres.log 2>&1 < /dev/null &
pid=$!
for _ in $(seq 1 150); do
  "$bin/pg_isready" -q -h 127.0.0.1 -p "$port" && { head -1 data/postmaster.pid; exit 0; }
  kill -0 $pid 2>/dev/null || { echo "PostgreSQL ended; see $folder/postgres.log" >&2; exit 1; }
  sleep 0.1
done
kill $pid; echo "PostgreSQL did not answer" >&2; exit 1
