# Sourced by build.sh: bench.

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
    for package; do
        can_install && apt_install "$package" 2>/dev/null || without+=("$package")
    done
    ((${#without[@]} == 0)) || say "left out, not installed: ${without[*]}"
}

# bench_in_root SUITE [WORDS...] measures in a system of that Debian under build/, which is kept. Without WORDS it measures
# what docs/performance.md shows, stores the results, and makes that page from those of sid.
bench_in_root() {
    local suite=${1-} folder=$roots_folder/bench-${1-} home=/root/fapws results=build/bench/results.json words=("${@:2}")
    [[ $suite =~ ^[a-z]+$ ]] || die "bench --root needs the name of a Debian: ./build.sh bench --root sid"
    need_debootstrap "bench --root" "git=git"
    (($# > 1)) || { words=(--rounds 3 --seconds 1 page) results=bench/results/$suite.json; }
    [[ -e $folder$home ]] || { make_root "$suite" "$folder" && git clone -q "$root" "$folder$home"; }
    git -C "$folder$home" fetch -q "$root" HEAD
    git -C "$folder$home" reset -q --hard FETCH_HEAD
    build_in "$folder" root bench --json "$home/$results" --typed "./build.sh bench --root $*" "${words[@]}" || die "bench failed in $folder"
    [[ $results == bench/* ]] || return 0
    cp "$folder$home/$results" "$root/$results"
    say "wrote $results"
    [[ $suite == sid ]] || return 0
    use_python
    (cd "$root" && go test -count=1 -run '^TestPerformance$' ./docs -update)
    say "wrote docs/performance.md"
}
