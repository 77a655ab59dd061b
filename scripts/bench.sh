# Sourced by build.sh: bench.
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
    FAPWS_BIN=$root/build/fapws exec "$root/build/bench/bench" -apps "$root/bench/apps" -typed "./build.sh bench $*" "$@"
}

# install_peers PACKAGE... installs the servers to compare with. Not every Debian has all of them.
install_peers() {
    local package without=()
    (($#)) || return 0
    if ! can_install; then
        say "left out, not installed: $*"
        return
    fi
    say "installing what to compare with: $*"
    apt_install "$@" && return
    for package; do
        apt_get install -y --no-install-recommends "$package" || without+=("$package")
    done
    say "left out, could not be installed: ${without[*]}"
}

# bench_in_root SUITE [WORDS...] measures in a system of that Debian under build/, which is kept. Without WORDS it measures
# what docs/performance.md shows, stores the results, and makes that page from those of sid.
bench_in_root() {
    local suite=${1-} folder=$roots_folder/bench-${1-} home=/root/fapws results=build/bench/results.json words=("${@:2}")
    [[ $suite =~ ^[a-z]+$ ]] || die "bench --root needs the name of a Debian: ./build.sh bench --root sid"
    need_debootstrap "bench --root" "git=git"
    (($# > 1)) || { words=(--rounds 3 --seconds 1 page) results=bench/results/$suite.json; }
    keep_root "$suite" "$folder"
    refresh_clone "$folder$home"
    build_in "$folder" root bench --json "$home/$results" --typed "./build.sh bench --root $*" "${words[@]}" || die "bench failed in $folder"
    [[ $results == bench/* ]] || return 0
    cp "$folder$home/$results" "$root/$results"
    say "wrote $results"
    [[ $suite == sid ]] || return 0
    use_python
    (cd "$root" && go test -count=1 -run '^TestPerformance$' ./docs -update)
    say "wrote docs/performance.md"
}

# keep_root SUITE FOLDER makes the system, or brings an old one up to date once a day.
keep_root() {
    local stamp=$2.made
    if [[ ! -e $stamp ]]; then
        make_root "$1" "$2"
    elif [[ -n $(find "$stamp" -mmin +1440) ]]; then
        apt_in "$2" dist-upgrade
    fi
    touch "$stamp"
}

# refresh_clone FOLDER has this commit in FOLDER, and keeps what was built there.
refresh_clone() {
    [[ -e $1/.git ]] || git clone -q "$root" "$1"
    git -C "$1" fetch -q "$root" HEAD
    git -C "$1" reset -q --hard FETCH_HEAD
}
