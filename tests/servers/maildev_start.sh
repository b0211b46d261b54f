#!/usr/bin/env bash
# maildev_start.sh FOLDER PORT: MailDev with its mails in FOLDER; REST on 127.0.0.1:PORT, SMTP on PORT+1. Prints its pid.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
folder=$(realpath -m "$1"); port=$2
maildev=$here/.cache/servers/node_modules/.bin/maildev
[ -x "$maildev" ] || { echo "MailDev is not installed: bash tests/servers/maildev_install.sh" >&2; exit 3; }
mkdir -p "$folder/mail"
setsid nohup node "$maildev" --ip 127.0.0.1 --smtp $((port + 1)) --web-ip 127.0.0.1 --web "$port" \
  --mail-directory "$folder/mail" > "$folder/maildev.log" 2>&1 < /dev/null &
pid=$!
for _ in $(seq 1 150); do
  curl -fsS -m 3 -o /dev/null "http://127.0.0.1:$port/api/healthz" 2> /dev/null && { echo "$pid"; exit 0; }
  kill -0 "$pid" 2> /dev/null || { echo "MailDev died:" >&2; tail -5 "$folder/maildev.log" >&2; exit 1; }
  sleep 0.1
done
echo "MailDev does not answer" >&2; kill "$pid"; exit 1
