#!/usr/bin/env bash
# Installs what the tests against real servers need, from Debian's packages and npm. Run as root; harmless to repeat.
set -uo pipefail
cd "$(dirname "$0")"
export DEBIAN_FRONTEND=noninteractive
status=0
apt-get update -qq || status=1
bash redmine_install.sh || status=1
apt-get install -y -qq --no-install-recommends libreoffice-calc poppler-utils fonts-noto-cjk || status=1
bash maildev_install.sh || status=1
exit $status
