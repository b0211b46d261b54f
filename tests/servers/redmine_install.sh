#!/usr/bin/env bash
# Debian's Redmine with SQLite and puma; no service is started and no default database made.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
# Debian's own bundler: the one that security updates carry cannot see gems that come as Debian packages.
export BUNDLER_VERSION=2.3.15
if [ -f /usr/share/redmine/Gemfile.local ]; then exit 0; fi
printf '%s\n' 'redmine redmine/instances/default/dbconfig-install boolean false' \
  'redmine redmine/instances/default/database-type select sqlite3' | debconf-set-selections
apt-get install -y -qq --no-install-recommends redmine redmine-sqlite puma
cd /usr/share/redmine
echo "gem 'puma'" > Gemfile.local
bundle install --local --quiet
