#!/usr/bin/env bash
# prefect_start.sh FOLDER PORT PYTHON_BIN: a Prefect server of its own on 127.0.0.1:PORT. Prints its pid.
set -euo pipefail
folder=$(realpath -m "$1"); port=$2; bin=$3
mkdir -p "$folder"
export PREFECT_HOME="$folder/home" PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1 PREFECT_CLI_PROMPT=false PREFECT_LOGGING_LEVEL=WARNING
export PREFECT_SERVER_DATABASE_CONNECTION_URL="sqlite+aiosqlite:///$folder/prefect.db" NO_PROXY=127.0.0.1,localhost
setsid nohup "$bin/prefect" server start --host 127.0.0.1 --port "$port" > "$folder/server.log" 2>&1 < /dev/null &
pid=$!
for _ in $(seq 1 480); do
  curl -fsS -m 5 -o /dev/null "http://127.0.0.1:$port/api/health" 2>/dev/null && { echo $pid; exit 0; }
  kill -0 $pid 2>/dev/null || { echo "Prefect ended; see $folder/server.log" >&2; exit 1; }
  sleep 0.25
done
kill $pid; echo "Prefect did not answer" >&2; exit 1
