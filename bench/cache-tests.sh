#!/bin/sh
# Runs http-tests/cache-tests, the public suite of HTTP caches, against fapws as a reverse proxy.
#
# usage: bench/cache-tests.sh SUITE [FAPWS]
#
# SUITE is a clone of https://github.com/http-tests/cache-tests after "npm install" in it, FAPWS the executable
# (build/fapws). CACHE is the value of the key cache (true), PORT the port of the suite's server (18100); the next one
# is fapws's. It takes about a minute.
set -eu
[ $# -ge 1 ] && [ -d "$1/test-engine" ] || {
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}
here=$(cd "$(dirname "$0")" && pwd)
suite=$(cd "$1" && pwd)
fapws=${2:-$here/../build/fapws}
fapws=$(cd "$(dirname "$fapws")" && pwd)/$(basename "$fapws")
port=${PORT:-18100}
front=$((port + 1))
folder=$(mktemp -d)
pids=
# shellcheck disable=SC2086
trap 'kill $pids 2>/dev/null || :; wait; rm -rf "$folder"' EXIT

cat >"$folder/fapws.toml" <<END
[[host]]
[[host.route]]
prefix = "/"
proxy = "http://127.0.0.1:$port"
cache = ${CACHE:-true}
END
cd "$suite"
export npm_config_protocol=http npm_config_port="$port" npm_config_pidfile="$folder/pid" \
	npm_package_config_base='' npm_package_config_id=''
node test-engine/server/server.mjs >"$folder/server.log" 2>&1 &
pids=$!
"$fapws" --allow-root -b "127.0.0.1:$front" -c "$folder/fapws.toml" >"$folder/fapws.log" 2>&1 &
pids="$pids $!"
tries=0
until node -e "fetch('http://127.0.0.1:$front/')
	.then(r => process.exit(r.status === 502 ? 1 : 0), () => process.exit(1))"; do
	tries=$((tries + 1))
	[ $tries -lt 60 ] || {
		cat "$folder/server.log" "$folder/fapws.log" >&2
		exit 1
	}
	sleep 1
done
npm_config_base="http://127.0.0.1:$front" node --no-warnings test-engine/cli.mjs >"$folder/results.json"
node "$here/cache-tests.mjs" "$suite" "$folder/results.json"
