#!/usr/bin/env bash
# MailDev from npm into .cache/servers of the checkout.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p .cache/servers && cd .cache/servers
[ -x node_modules/.bin/maildev ] || npm install --silent --no-audit --no-fund --no-package-lock maildev@3
