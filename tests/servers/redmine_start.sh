#!/usr/bin/env bash
# redmine_start.sh FOLDER PORT KEY: a Redmine of its own in FOLDER, on 127.0.0.1:PORT, with KEY for admin. Prints its pid.
set -euo pipefail
folder=$(realpath -m "$1"); port=$2; key=$3
export BUNDLER_VERSION=2.3.15 RAILS_ENV=production REDMINE_LANG=en SCHEMA=/dev/null LANG=C.UTF-8 TZ=UTC
instance=huikuan$(printf '%s' "$folder" | cksum | cut -d' ' -f1)
export REDMINE_INSTANCE=$instance
mkdir -p "$folder"/{config,log,files,tmp/pids,public/plugin_assets}
ln -sfn "$folder" "/var/lib/redmine/$instance"
cat > "$folder/config/database.yml" <<Y
production: {adapter: sqlite3, database: "$folder/redmine.sqlite3", encoding: utf8, timeout: 10000}
Y
[ -f "$folder/config/secret_key.txt" ] || openssl rand -hex 16 > "$folder/config/secret_key.txt"
cd /usr/share/redmine
if [ ! -f "$folder/.ready" ]; then
  # Two runs: in one, Rails would go on with the column lists from before the migration.
  bundle exec rake db:migrate > "$folder/log/setup.log" 2>&1
  bundle exec rake redmine:load_default_data >> "$folder/log/setup.log" 2>&1
  bundle exec rails runner "
    Setting.rest_api_enabled = '1'; Setting.login_required = '1'; Setting.default_language = 'en'
    admin = User.find_by_login('admin'); admin.must_change_passwd = false; admin.save!
    token = Token.find_or_initialize_by(user_id: admin.id, action: 'api'); token.save!; token.update_column(:value, '$key')
  " >> "$folder/log/setup.log" 2>&1
  touch "$folder/.ready"
fi
setsid nohup bundle exec puma -e production -b "tcp://127.0.0.1:$port" -t 1:4 --dir /usr/share/redmine config.ru > "$folder/log/puma.log" 2>&1 < /dev/null &
pid=$!
for _ in $(seq 1 240); do
  if curl -fsS -m 5 -o /dev/null -H "X-Redmine-API-Key: $key" "http://127.0.0.1:$port/users/current.json" 2>/dev/null; then echo $pid; exit 0; fi
  kill -0 $pid 2>/dev/null || { echo "Redmine ended; see $folder/log/puma.log" >&2; exit 1; }
  sleep 0.25
done
kill $pid; echo "Redmine did not answer within a minute" >&2; exit 1
