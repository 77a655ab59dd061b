# Sourced by build.sh: bench and profile.
# shellcheck shell=bash

# word_bench [--root SUITE] [WORDS...] measures here, or in a Debian system for that.
word_bench() {
    if [[ ${1-} == --root ]]; then
        bench_in_root "${@:2}"
        return
    fi
    local missing
    word_build
    (cd "$root" && go build -buildvcs=false -o build/bench/ ./bench ./bench/baregnet ./bench/nethttp)
    mapfile -t missing < <("$root/build/bench/bench" --packages)
    install_peers "${missing[@]}"
    FAPWS_BIN=$root/build/fapws exec "$root/build/bench/bench" -apps "$root/bench/apps" \
        -typed "./build.sh bench $*" "$@"
}

# install_peers PACKAGE... installs the servers to compare with, one by one: not every Debian has all of them.
install_peers() {
    local package
    for package; do
        if can_install; then
            say "installing $package, to compare with it"
            apt_install "$package" && continue
        fi
        say "left out, not installed: $package"
    done
}

# bench_in_root SUITE [WORDS...] measures in a fresh system of that Debian under build/. Without WORDS it measures
# what docs/performance.md shows, stores the results, and makes that page from those of sid.
bench_in_root() {
    local suite=${1-} results=build/bench/results.json words=("${@:2}")
    [[ $suite =~ ^[a-z]+$ ]] || die "bench --root needs the name of a Debian: ./build.sh bench --root sid"
    need_debootstrap "bench --root" "git=git"
    (($# > 1)) || { words=(--rounds 3 --seconds 1 page) results=bench/results/$suite.json; }
    in_fresh_root "$suite" root bench_in "./build.sh bench --root $*"
    [[ $results == bench/*/sid.json ]] || return 0
    use_python
    (cd "$root" && go test -count=1 -run '^TestPerformancePage' ./docs -update)
    say "wrote docs/performance.md"
}

# bench_in TYPED FOLDER USER measures in that system, and takes the results.
bench_in() {
    build_in "$2" "$3" bench --json "/root/fapws/$results" --typed "$1" "${words[@]}" || die "bench failed in $2"
    mkdir -p "$root/build/bench"
    cp "$2/root/fapws/$results" "$root/$results"
    say "wrote $results"
}

# --- profile ----------------------------------------------------------------
#
# cmd/fapws/default.pgo names the hot calls. `go build` uses it for every architecture: it copies such functions into
# their callers, and calls methods of interfaces directly. The file belongs to the sources, so builds of a commit stay
# the same; an old profile costs only speed.

# word_profile [SECONDS] records cmd/fapws/default.pgo with a server under loads of SECONDS (default 3) each.
word_profile() {
    local folder seconds=${1:-3} mode
    want_programs "for profile" openssl=openssl
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
    (cd "$root" && go tool pprof -symbolize=none -proto "$folder"/*.prof >cmd/fapws/default.pgo 2>"$folder/log") ||
        die "$(<"$folder/log")"
    say "wrote cmd/fapws/default.pgo, $(stat -c %s "$root/cmd/fapws/default.pgo") bytes"
}

# profile_server NAME APP SETTING profiles a server of bench/apps/APP, with and without TLS.
profile_server() {
    local server plain secure log=$folder/$1.log
    printf '%s\n' 'bind = ["127.0.0.1:0", "https://127.0.0.1:0"]' "certfile = \"$folder/chain.pem\"" \
        "keyfile = \"$folder/key.pem\"" "app = \"$root/bench/apps/$2\"" "$3" >"$folder/$1.toml"
    start_server "$log" env "CPUPROFILE=$folder/$1.prof" FAPWS_ALLOW_ROOT=1 \
        "$folder/bin/fapws" --config "$folder/$1.toml"
    plain=$(address_of "$log" http) secure=$(address_of "$log" https)
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
