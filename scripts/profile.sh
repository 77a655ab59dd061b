# Sourced by build.sh: profile.
# shellcheck shell=bash
#
# cmd/fapws/default.pgo says which calls are hot. `go build` takes it by itself, for every architecture: it copies
# such functions into their callers, and calls methods of interfaces directly. The file belongs to the sources, so builds
# of a commit stay the same; a profile that is old costs only speed.

# word_profile [SECONDS] records cmd/fapws/default.pgo with a server under load, SECONDS (default 3) for each kind of it.
word_profile() {
    local folder seconds=${1:-3} mode
    command -v openssl >/dev/null || want openssl openssl
    install_wanted
    use_python
    folder=$(mktemp -d) # the profile names its executable: this path says nothing
    # shellcheck disable=SC2064 # of this directory
    trap "rm -rf '$folder'" EXIT
    ln -s "$root/contrib" "$folder/contrib" # where the executable looks for it
    build_to "$folder/bin/fapws" -tags profile -pgo=off
    issue_certificate "$folder"
    profile_server threads app.py ''
    profile_server inline app.py 'threads = 0'
    profile_server asgi asgi.py ''
    (cd "$root" && go tool pprof -symbolize=none -proto "$folder"/*.prof >cmd/fapws/default.pgo 2>"$folder/log") || die "$(<"$folder/log")"
    say "wrote cmd/fapws/default.pgo, $(stat -c %s "$root/cmd/fapws/default.pgo") bytes"
}

# profile_server NAME APP SETTING profiles a server of bench/apps/APP, with and without TLS.
profile_server() {
    local server plain secure log=$folder/$1.log
    printf '%s\n' 'bind = ["127.0.0.1:0", "https://127.0.0.1:0"]' "certfile = \"$folder/chain.pem\"" "keyfile = \"$folder/key.pem\"" \
        "app = \"$root/bench/apps/$2\"" "$3" >"$folder/$1.toml"
    CPUPROFILE=$folder/$1.prof FAPWS_ALLOW_ROOT=1 "$folder/bin/fapws" --config "$folder/$1.toml" >"$log" 2>&1 &
    server=$!
    until plain=$(sed -n 's|.* \(http://127.0.0.1:[0-9]*\)/.*|\1|p' "$log") secure=$(sed -n 's|.* \(https://127.0.0.1:[0-9]*\)/.*|\1|p' "$log") && [[ $plain && $secure ]]; do
        kill -0 "$server" 2>/dev/null || die "the server has ended: $(<"$log")"
        sleep 0.1
    done
    profile_load "$plain/hello" -c 64
    profile_load "$plain/json" -c 64
    profile_load "$secure/hello" -c 64
    profile_load "$secure/json" -c 64
    profile_load "$secure/hello" -c 64 --http2
    profile_load "$secure/hello" -c 4 --http2 --streams 16
    kill -IO "$server"
    until grep -q '^profile written' "$log"; do sleep 0.1; done
    kill "$server"
    wait "$server" || true
}

# profile_load URL FLAGS... loads a server.
profile_load() {
    "$folder/bin/fapws" bench -k -t 1 -d "${seconds}s" "${@:2}" "$1" >"$folder/log" 2>&1 || die "$(<"$folder/log")"
}
