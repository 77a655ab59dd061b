#!/usr/bin/env bash
# Builds, tests and installs fapws; `./build.sh help` lists the words.
#
# This is the only place that knows how to find Python and which flags cgo
# needs. Everything else works in a shell after: eval "$(./build.sh env)"
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
readonly root
readonly go_minimum=25 # of Go 1.x, as in go.mod

usage() {
    cat <<'TEXT'
usage: ./build.sh [--python PATH] WORD [ARGUMENTS]

  run APP ...      build if needed, then serve APP (a script with PATHS)
  build            build/fapws
  install          into ~/.local, without root; PREFIX=DIR, DESTDIR=DIR. --system: as a
                   service, into /usr/local, with a unit of systemd and /etc/fapws
  uninstall        remove every file that install made, with the same arguments
  test             all checks: build, vet, tests, short fuzz, race, sanitizer
  load [C R]       heavy load: ab with C clients and R requests (default 2000 100000),
                   slow clients, no descriptors; run with -v
  race             Go tests under the race detector
  fuzz [SECONDS]   every fuzz target for so long (default 60)
  fuzz paths [N]   no byte from outside a document root, N tries (default 1000000)
  bench [WORDS]    compare with other servers; see bench/README.md
  lint             gofmt, vet, shellcheck, C with all warnings
  matrix           build and test with every Python 3.8-3.13 found
  env              print what cgo needs: eval "$(./build.sh env)"

The Python to embed is --python, $PYTHON or /usr/bin/python3, in this order; it is
linked into the executable, or with LIBPYTHON=shared its shared library is used.
TEXT
}

say() { printf 'build.sh: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

# --- what the machine must have ---------------------------------------------

# install_packages WHY PACKAGE... installs with apt when that is possible and
# otherwise ends with the command to type.
install_packages() {
    local why=$1
    shift
    if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
        die "$why is missing; install it with: sudo apt-get install $*"
    fi
    say "$why is missing, installing: $*"
    apt_install "$@" || die "apt-get could not install: $*"
}

apt_install() {
    local get=(env DEBIAN_FRONTEND=noninteractive apt-get -qq)
    "${get[@]}" install -y --no-install-recommends "$@" >/dev/null 2>&1 && return
    # The package lists of a fresh machine are empty or old.
    "${get[@]}" update >/dev/null 2>&1 &&
        "${get[@]}" install -y --no-install-recommends "$@" >/dev/null
}

need_go() {
    command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin
    command -v go >/dev/null ||
        die "Go is missing; fapws needs Go 1.$go_minimum or later: https://go.dev/dl/"
    local found minor
    # From / and local: inside the module an old Go would fetch a newer one.
    found=$(cd / && GOTOOLCHAIN=local go env GOVERSION)
    minor=${found#go1.}
    minor=${minor%%[!0-9]*}
    ((minor >= go_minimum)) ||
        die "$found is too old; fapws needs Go 1.$go_minimum or later: https://go.dev/dl/"
}

need_compiler() {
    if ! command -v "${CC:-gcc}" >/dev/null || [[ ! -e /usr/include/stdio.h ]]; then
        install_packages "a C compiler" gcc libc6-dev
    fi
    command -v pkg-config >/dev/null || install_packages pkg-config pkg-config
}

# choose_python sets python to the interpreter to embed.
choose_python() {
    python=${python_option:-${PYTHON:-/usr/bin/python3}}
    if [[ ! -x $python && $python == /usr/bin/python3 ]]; then
        install_packages Python python3-dev
    fi
    python=$(command -v "$python") || die "there is no Python at ${python_option:-$PYTHON}"
}

# ask_python sets py_* from what the chosen Python says of itself.
ask_python() {
    local answer
    answer=$("$python" -S -c '
import sys, sysconfig
get = sysconfig.get_config_var
print("%d.%d" % sys.version_info[:2], "%d.%d.%d" % sys.version_info[:3],
      get("LIBDIR"), get("LIBPC"), get("INCLUDEPY"), get("Py_ENABLE_SHARED"),
      "%s/lib%s%d.%d.a" % ((get("LIBPL"), "python") + sys.version_info[:2]),
      *dict.fromkeys(" ".join(get(k) or "" for k in ("MODLIBS", "LIBS", "SYSLIBS")).split()), sep="\n")
') || die "$python does not run"
    { read -r py_minor && read -r py_version && read -r py_libdir && read -r py_pc &&
        read -r py_include && read -r py_shared && read -r py_archive && mapfile -t py_libs; } <<<"$answer"
    case $py_minor in
    3.[89] | 3.1[0-9]) ;;
    *) die "$python is Python $py_version; fapws needs 3.8 or later" ;;
    esac
}

need_python_headers() {
    [[ -e $py_include/Python.h && -e $py_pc/python-$py_minor-embed.pc ]] && return
    [[ $py_include == /usr/include/* ]] ||
        die "$python has no headers and pkg-config files in $py_include and $py_pc"
    install_packages "the headers of Python $py_minor" "libpython$py_minor-dev"
}

# What samples/ shows and the tests need, each as "module=Debian package".
readonly frameworks="flask=python3-flask django=python3-django pyramid=python3-pyramid
    bottle=python3-bottle falcon=python3-falcon starlette=python3-starlette fastapi=python3-fastapi
    websockets=python3-websockets uvloop=python3-uvloop"

# need_frameworks sees to those of Debian's Python. Another Python has what it has.
need_frameworks() {
    local pair modules=() packages=()
    for pair in $frameworks; do
        (cd / && "$python" -c "import ${pair%=*}" 2>/dev/null) && continue
        modules+=("${pair%=*}")
        packages+=("${pair#*=}")
    done
    ((${#modules[@]})) || return 0
    if [[ $(realpath "$python") == /usr/bin/* ]]; then
        install_packages "for the tests ${modules[*]}" "${packages[@]}"
    else
        say "$python does not have ${modules[*]}: their samples are not tested"
    fi
}

# need_apache sees to the server that some tests compare with. The package has
# no service that would start.
need_apache() {
    PATH=$PATH:/usr/sbin
    command -v apache2 >/dev/null || install_packages "for the tests apache2" apache2-bin
}

# need_php sees to PHP, and to an application in PHP that needs no database.
need_php() {
    command -v php-cgi >/dev/null || install_packages "for the tests php-cgi" php-cgi
    [[ -e /usr/share/dokuwiki/doku.php ]] || install_packages "for the tests DokuWiki" dokuwiki
}

# What the tests look with from outside, each as "command=Debian package".
readonly test_tools="ab=apache2-utils strace=strace systemd-analyze=systemd chromium=chromium"

need_test_tools() {
    local pair packages=()
    for pair in $test_tools; do
        command -v "${pair%=*}" >/dev/null || packages+=("${pair#*=}")
    done
    ((${#packages[@]})) || return 0
    install_packages "what the tests look with" "${packages[@]}"
}

# --- what cgo must be told --------------------------------------------------

# link_python sets py_linked and py_link: how libpython gets into the executable.
#
# The distribution's archive is made of the same objects as its python3, and a
# sixth faster than its shared library, whose code has to be position-independent
# and which calls itself through a table. LIBPYTHON=shared takes the library all the
# same: whoever packages fapws may want Python's updates without building again.
link_python() {
    py_linked=shared
    if [[ ${LIBPYTHON-} == static || -z ${LIBPYTHON-} && $py_libdir == /usr/lib* && -e $py_archive ]]; then
        py_linked=static
    fi
    if [[ $py_linked == static ]]; then
        [[ -e $py_archive ]] || die "$python has no $py_archive"
        # Extension modules take Python's functions from the executable.
        py_link="\"$py_archive\" ${py_libs[*]} -Wl,--export-dynamic"
        return
    fi
    [[ $py_shared == 1 ]] ||
        die "$python has no libpython$py_minor.so; fapws needs a Python built with --enable-shared, or try LIBPYTHON=static"
    py_link="-L\"$py_libdir\" -lpython$py_minor"
    # A library outside the system's folders is not found at run time otherwise.
    case $py_libdir in
    /usr/lib | /usr/lib/* | /lib/*) ;;
    *) py_link+=" -Wl,-rpath,\"$py_libdir\"" ;;
    esac
}

# write_pc fills in python3.pc, which cpy3 and pybridge ask pkg-config for.
write_pc() {
    local dir=$root/build/pc/$py_version-$py_linked
    local text
    text=$(<"$root/pybridge/python/python3.pc.in")
    text=${text//@VERSION@/"$py_minor"}
    text=${text//@LINK@/"$py_link"}
    text=${text//@FOLDER@/"$root/pybridge/python"}
    if [[ ! -e $dir/python3.pc || $text != "$(<"$dir/python3.pc")" ]]; then
        mkdir -p "$dir"
        # Renamed into place: another build may be reading it.
        printf '%s\n' "$text" >"$dir/.python3.pc.$$"
        mv "$dir/.python3.pc.$$" "$dir/python3.pc"
    fi
    PKG_CONFIG_PATH=$dir:$py_pc
}

# use_python makes this shell ready for `go build` with the chosen Python.
use_python() {
    need_go
    need_compiler
    choose_python
    ask_python
    need_python_headers
    link_python
    write_pc
    # Go's build cache does not look at pkg-config's answer nor at compat.h, and
    # would link the library of another Python: a macro makes the flags differ.
    local id
    id=$(printf '%s\n' "$py_include" "$py_link" | cat - "$root/pybridge/python/"* | cksum)
    CGO_CFLAGS="${CFLAGS:--O2 -g} -DFAPWS_PY_${py_minor/./_} -DFAPWS_PY_BUILD=${id%% *}"
    CGO_LDFLAGS="${LDFLAGS:--O2 -g}"
    CGO_ENABLED=1 PYTHON=$python
    export PATH PKG_CONFIG_PATH CGO_CFLAGS CGO_LDFLAGS CGO_ENABLED PYTHON
}

word_env() {
    use_python
    local name
    for name in PATH PYTHON PKG_CONFIG_PATH CGO_ENABLED CGO_CFLAGS CGO_LDFLAGS; do
        printf 'export %s=%q\n' "$name" "${!name}"
    done
}

# --- building ---------------------------------------------------------------

# version_text is the changelog's newest version, with the commit unless that
# commit is tagged with it.
version_text() {
    local version commit
    version=$(sed -n 's/^## *\[\{0,1\}v\{0,1\}\([0-9][0-9A-Za-z.-]*\).*/\1/p' "$root/CHANGELOG.md" 2>/dev/null | head -1) || true
    version=${version:-0.1.0}
    commit=$(git -C "$root" rev-parse --short HEAD 2>/dev/null) || commit=
    if [[ -n $commit ]] && ! git -C "$root" tag --points-at HEAD | grep -qFx "v$version"; then
        version+=+$commit
    fi
    printf '%s\n' "$version"
}

# interpreter_flag tells the bridge which Python it is linked with.
interpreter_flag() { printf '%s' "-X 'fapws/pybridge.interpreter=$python'"; }

# build_to FILE [FLAGS] builds the stripped executable.
build_to() {
    (cd "$root" && go build -trimpath -buildvcs=false "${@:2}" \
        -ldflags "-s -w -X main.version=$(version_text) $(interpreter_flag)" -o "$1.linked" ./cmd/fapws)
    cmp -s "$1.linked" "$1" || copy_in_pages "$1.linked" "$1"
}

# copy_in_pages SOURCE PATH copies an executable page by page. Linux keeps in
# memory in one piece what was written in one, and since 6.18 a process that
# touches a page of such a piece is given all of it, up to 2 MB: an idle server
# then has 14 MB instead of 10.
copy_in_pages() {
    rm -f "$2"
    dd "if=$1" "of=$2" bs=4k status=none
    chmod 755 "$2"
}

word_build() {
    use_python
    say "Python $py_version ($python), $py_linked"
    build_to "$root/build/fapws"
    say "built build/fapws"
}

word_run() {
    (($#)) || die "which script? for example: ./build.sh run samples/hello/hello.py"
    use_python
    build_to "$root/build/fapws"
    if [[ $EUID -eq 0 && -z ${FAPWS_ALLOW_ROOT-} ]]; then
        say "you are root, and so is what is served now (FAPWS_ALLOW_ROOT=1)"
        export FAPWS_ALLOW_ROOT=1
    fi
    exec "$root/build/fapws" "$@"
}

# --- installing -------------------------------------------------------------
# The manifest lists what was made, one per line, as "file PATH" and "dir PATH"
# without DESTDIR; uninstall reads it backwards.

# choose_prefix takes PREFIX= and DESTDIR= also as arguments, as make does, and
# --system.
choose_prefix() {
    local argument
    system=
    for argument; do
        case $argument in
        --system) system=yes ;;
        PREFIX=*) PREFIX=${argument#*=} ;;
        DESTDIR=*) DESTDIR=${argument#*=} ;;
        *) die "unknown argument: $argument" ;;
        esac
    done
    if [[ $system ]]; then
        PREFIX=${PREFIX:-/usr/local}
        [[ $EUID -eq 0 || -n ${DESTDIR-} ]] || die "only root installs for the system (or DESTDIR=DIR, for a package)"
    fi
    prefix=$(realpath -m "${PREFIX:-$HOME/.local}")
    dest=${DESTDIR:+$(realpath -m "$DESTDIR")}
    manifest=$prefix/share/fapws/manifest
}

# make_dir PATH makes a folder and its parents, and remembers the new ones and
# those that an earlier installation made.
make_dir() {
    [[ -n ${seen[$1]-} || $1 == / ]] && return
    seen[$1]=yes
    make_dir "$(dirname "$1")"
    if [[ ! -d $dest$1 ]]; then
        mkdir "$dest$1"
        made+=("dir $1")
    elif grep -qsFx "dir $1" <<<"$earlier"; then
        made+=("dir $1")
    fi
}

# install_file MODE SOURCE PATH
install_file() {
    make_dir "$(dirname "$3")"
    if [[ $1 == 755 ]]; then
        copy_in_pages "$2" "$dest$3"
    else
        install -m "$1" "$2" "$dest$3"
    fi
    made+=("file $3")
}

word_install() {
    choose_prefix "$@"
    word_build
    local earlier=
    if [[ -e $dest$manifest ]]; then
        earlier=$(<"$dest$manifest")
        remove_installed
    fi
    mkdir -p "$dest/"
    local -A seen=()
    local made=() site=$prefix/lib/python$py_minor/site-packages package file
    install_file 755 "$root/build/fapws" "$prefix/bin/fapws"
    while read -r file; do
        install_file 644 "$root/contrib/$file" "$site/$file"
    done < <(cd "$root/contrib" && find fapws fapws4 -type f -not -name '*.pyc' | sort)
    "$root/build/fapws" internal man >"$root/build/fapws.1"
    install_file 644 "$root/build/fapws.1" "$prefix/share/man/man1/fapws.1"
    "$root/build/fapws" internal completion >"$root/build/completion"
    install_file 644 "$root/build/completion" "$prefix/share/bash-completion/completions/fapws"
    [[ -z $system ]] || install_units
    make_dir "$(dirname "$manifest")"
    made+=("file $manifest")
    printf '%s\n' "${made[@]}" >"$dest$manifest"
    # Other users of this prefix could not store the compiled modules later.
    for package in fapws fapws4; do
        "$python" -m compileall -q -d "$site/$package" "$dest$site/$package"
    done
    say "installed $dest$prefix/bin/fapws and $dest$site/{fapws,fapws4}"
    if [[ -z $dest && :$PATH: != *:$prefix/bin:* ]]; then
        say "$prefix/bin is not on your PATH; add to ~/.profile: export PATH=\"$prefix/bin:\$PATH\""
    fi
    [[ -z $system ]] || say "now edit /etc/fapws/fapws.toml, then: systemctl daemon-reload && systemctl enable --now fapws"
}

# install_units installs what a service of the system needs. The configuration is
# the administrator's: one that is there stays, also when fapws is removed.
install_units() {
    local units=/etc/systemd/system config=/etc/fapws/fapws.toml unit
    case $prefix in
    /usr | /usr/local) units=$prefix/lib/systemd/system ;; # systemd looks there, too
    esac
    for unit in fapws.service fapws.socket; do
        sed "s|@PREFIX@|$prefix|g" "$root/contrib/$unit" >"$root/build/$unit"
        install_file 644 "$root/build/$unit" "$units/$unit"
    done
    if [[ ! -e $dest$config ]]; then
        install -D -m 644 "$root/contrib/fapws.toml" "$dest$config"
        say "made $dest$config"
    fi
}

word_uninstall() {
    choose_prefix "$@"
    [[ -e $dest$manifest ]] || die "nothing is installed in $dest$prefix"
    remove_installed
    say "removed fapws from $dest$prefix"
}

remove_installed() {
    local kind path stem
    while read -r kind path; do
        path=$dest$path
        case $kind in
        file)
            rm -f "$path"
            if [[ $path == *.py ]]; then
                stem=$(basename "$path" .py)
                rm -f "$(dirname "$path")/__pycache__/$stem".*.pyc
            fi
            ;;
        dir)
            # Others may have put files there since.
            rmdir "$path/__pycache__" "$path" 2>/dev/null || true
            ;;
        esac
    done < <(tac "$dest$manifest")
}

# --- checking ---------------------------------------------------------------

check_gofmt() {
    local files
    files=$(cd "$root" && gofmt -l bench cmd pybridge runtime samples)
    [[ -z $files ]] || die "not gofmt clean: $files"
}

check_vet() { (cd "$root" && go vet ./...); }

check_shell() {
    if command -v shellcheck >/dev/null; then
        (cd "$root" && shellcheck build.sh .ci/*)
    else
        say "no shellcheck here, build.sh is not checked"
    fi
}

# Warnings that cpy3's wrappers cannot pass. Unused parameters are the rule in functions
# that Python calls.
readonly c_warnings=(-Wall -Wextra -Werror -Wdeprecated-declarations -Wno-unused-parameter)

# check_c compiles our C with them.
check_c() {
    local flags
    eval "flags=($CGO_CFLAGS $(pkg-config --cflags python3))"
    (cd "$root" && "${CC:-gcc}" "${flags[@]}" "${c_warnings[@]}" -fsyntax-only pybridge/*.c cmd/fapws/cage/*.c)
}

# check_c_others does so with the headers of every other Python of this machine: only
# `matrix` builds with them.
check_c_others() {
    local candidate version include checked=() without=() jobs=() job status=0
    while read -r candidate; do
        { read -r version && read -r include; } < <("$candidate" -S -c '
import sys, sysconfig
print("%d.%d.%d" % sys.version_info[:3], sysconfig.get_config_var("INCLUDEPY"), sep="\n")')
        if [[ $include == "$py_include" ]]; then
            continue
        elif [[ -e $include/Python.h ]]; then
            check_c_with "$version" "$include" &
            jobs+=($!) checked+=("$version")
        else
            without+=("$version")
        fi
    done < <(list_pythons)
    for job in "${jobs[@]}"; do
        wait "$job" || status=1
    done
    say "C checked with the headers of Python ${checked[*]:-(there is no other)}${without[*]:+; without headers: ${without[*]}}"
    return "$status"
}

# check_c_with VERSION FOLDER checks with the headers in FOLDER. They are parsed once, which
# takes most of the time otherwise.
check_c_with() {
    local all=$root/build/headers/$1/all.h status=0
    local flags=("-I$root" "-I$2" "${c_warnings[@]}")
    mkdir -p "${all%/*}"
    printf '#include "%s"\n' pybridge/python/compat.h pybridge/bridge.h >"$all"
    (cd "$root" && "${CC:-gcc}" "${flags[@]}" -x c-header "$all" -o "$all.gch" &&
        "${CC:-gcc}" "${flags[@]}" -Winvalid-pch -include "$all" -fsyntax-only pybridge/*.c) || status=1
    rm -f "$all.gch" # 12 MB
    ((status == 0)) || say "the C of pybridge does not compile with Python $1"
    return "$status"
}

# Most tests wait for servers rather than work: more of them at once than CPUs. With
# eight, those of acceptance leave half of two CPUs idle.
test_go() { (cd "$root" && go test -timeout 10m -parallel 8 -ldflags "$(interpreter_flag)" "$@"); }

test_python() { (cd "$root/contrib" && "$python" -m unittest discover -q -s tests -t .); }

# fuzz_one TARGET TIME PACKAGE. Where an input takes long, Go may call it a failure that time
# was up while one was being tried, and names none; one that was found it always names.
fuzz_one() {
    local said status=0
    said=$(go test -run '^$' -fuzz "^$1\$" -fuzztime "$2" "$3" 2>&1) || status=$?
    printf '%s\n' "$said"
    [[ $status == 0 ]] || { [[ $said == *"context deadline exceeded"* && $said != *"Failing input"* && $said != *panic* ]]; }
}

# test_fuzz TIME gives every fuzz target so much time.
test_fuzz() {
    local file target
    cd "$root"
    while IFS=: read -r file target; do
        say "fuzz $(dirname "$file") $target"
        fuzz_one "$target" "$1" "./$(dirname "$file")" || return 1
    done < <(grep -roP --include='*_test.go' '^func \KFuzz\w+' bench cmd pybridge runtime)
}

# Both kinds of race tests end at the first race found. A program with the detector
# otherwise sleeps for a second before it exits, for goroutines that are just
# reporting another one.
readonly race_options="halt_on_error=1 atexit_sleep_ms=50"

# test_race tests the packages by themselves.
test_race() {
    local packages
    mapfile -t packages < <(cd "$root" && go list ./runtime/... ./cmd/... | grep -vxE 'fapws/cmd/fapws(/acceptance)?')
    GORACE=$race_options test_go -race "${packages[@]}"
}

# test_race_whole tests an executable that looks for races, from outside; the tests
# are clients and need not look themselves. One mode will do. Left out are the
# frameworks and samples, which are Python's matter, what only counts threads and
# memory, which are others here, and the command line, which starts the executable
# too often for what there is to find.
test_race_whole() {
    build_to "$root/build/race/fapws" -race
    FAPWS_BIN=$root/build/race/fapws GORACE=$race_options FAPWS_ONLY_MODE=threads \
        test_go -skip 'Flask|Django|Pyramid|Bottle|Falcon|ChunkedBodies|Routes|SteadyThreads|SupervisorKeepsNothing|P16' \
        ./cmd/fapws/acceptance
}

# test_sanitizer runs pybridge's tests with its C under AddressSanitizer. Python
# must take its memory from malloc to be seen, and keeps some until the end. The
# tests look at their own stderr, so the reports go to files.
test_sanitizer() {
    local folder=$root/build/sanitizer
    rm -rf "$folder"
    mkdir -p "$folder"
    # With -c the test keeps the line numbers that the reports show.
    test_go -asan -c -o "$folder/pybridge.test" ./pybridge
    if ! (cd "$root/pybridge" && PYTHONMALLOC=malloc \
        ASAN_OPTIONS=detect_leaks=0:log_path="'$folder/report'" "$folder/pybridge.test" -test.timeout 10m); then
        cat "$folder"/report* 2>/dev/null
        return 1
    fi
}

# test_soak REQUESTS sends so many mixed requests in each mode.
test_soak() {
    FAPWS_SOAK_REQUESTS=$1 test_go -count=1 -run '^TestSoak$' -v ./cmd/fapws/acceptance
}

# stage NAME COMMAND... runs one part of `test` and keeps its result.
stage() {
    local name=$1 start=$SECONDS status=0
    shift
    say "== $name"
    set +e # inside `if` or `||` the shell would ignore set -e in the command
    (set -e; "$@") </dev/null
    status=$?
    set -e
    if ((status)); then
        failed+=("$name")
        say "== $name FAILED ($((SECONDS - start)) s)"
    else
        say "== $name ok ($((SECONDS - start)) s)"
    fi
}

word_test() {
    local failed=()
    word_build
    need_frameworks
    need_apache
    need_php
    need_test_tools
    export FAPWS_BIN=$root/build/fapws
    stage gofmt check_gofmt
    stage vet check_vet
    stage "C warnings" check_c
    stage "C, other Pythons" check_c_others
    stage "Go tests" test_go ./...
    stage "Python tests" test_python
    stage "short fuzz" test_fuzz 3s
    stage race test_race
    stage "race, the whole server" test_race_whole
    stage "address sanitizer" test_sanitizer
    stage soak test_soak 200000
    stage install "$root/.ci/install-test"
    summary
}

# summary ends a word that has stages.
summary() {
    if ((${#failed[@]})); then
        die "FAILED after $SECONDS s: ${failed[*]}"
    fi
    say "all good after $SECONDS s"
}

word_race() {
    local failed=()
    use_python
    need_frameworks
    need_apache
    need_php
    need_test_tools
    stage race test_race
    stage "race, the whole server" test_race_whole
    summary
}

word_load() {
    word_build
    need_test_tools
    FAPWS_BIN=$root/build/fapws FAPWS_AB="${1:-2000} ${2:-100000}" test_go -count=1 -v -run '^Test(P2|P18)' ./cmd/fapws/acceptance
}

word_fuzz() {
    use_python
    if [[ ${1-} == paths ]]; then
        cd "$root"
        FAPWS_TRIES=${2:-1000000} go test -count=1 -v -timeout 60m -run '^TestNoByteFromOutside$' ./runtime/static
        return
    fi
    test_fuzz "${1:-60}s"
}

word_lint() {
    local failed=()
    use_python
    stage gofmt check_gofmt
    stage vet check_vet
    stage shellcheck check_shell
    stage "C warnings" check_c
    stage "C, other Pythons" check_c_others
    stage "other machines" test_go -run '^TestP16$' ./cmd/fapws/acceptance
    summary
}

# --- every Python -----------------------------------------------------------

# list_pythons prints the 3.8-3.13 of this machine, one path for each installation.
list_pythons() {
    local candidate
    for candidate in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3 /usr/bin/python3 \
        /usr/bin/python3.* /usr/local/bin/python3.* $(compgen -c python3. | sort -u); do
        [[ $candidate =~ python3(\.[0-9]+)?$ ]] || continue # not python3.11-config
        "$candidate" -S -c '
import sys
if (3, 8) <= sys.version_info < (3, 14) and sys.prefix == sys.base_prefix:
    print("%d.%d.%d" % sys.version_info[:3], sys.prefix, sys.argv[1])
' "$candidate" 2>/dev/null || true
    done | sort -V -u -k1,2 | cut -d' ' -f3
}

# try_python builds and tests with the Python of --python; it runs in a subshell.
try_python() {
    local bin=$root/build/matrix/$1/fapws
    use_python
    need_frameworks
    need_test_tools
    build_to "$bin"
    export FAPWS_BIN=$bin
    test_go -count=1 ./pybridge/... ./cmd/... ./samples/...
    test_python
}

word_matrix() {
    local failed=() rows=() candidate version log
    while read -r candidate; do
        version=$("$candidate" -S -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
        log=$root/build/matrix/$version/log
        mkdir -p "$(dirname "$log")"
        python_option=$candidate stage "$version" try_python "$version" > >(tee "$log") 2>&1
        case " ${failed[*]-} " in
        *" $version "*) rows+=("$version|FAILED|$candidate|$log") ;;
        *) rows+=("$version|ok|$candidate|") ;;
        esac
    done < <(list_pythons)
    printf '%s\n' "${rows[@]}" | column -t -s '|' -N PYTHON,RESULT,WHERE,LOG
    summary
}

# --- comparing --------------------------------------------------------------

# The loader and the peers, each as "command or module=Debian package".
readonly bench_tools="wrk=wrk uwsgi=uwsgi-core uwsgi_python3=uwsgi-plugin-python3
    flask=python3-flask django=python3-django gunicorn=gunicorn waitress=python3-waitress cheroot=python3-cheroot uvicorn=uvicorn
    uvloop=python3-uvloop httptools=python3-httptools hypercorn=python3-hypercorn websockets=python3-websockets
    starlette=python3-starlette fastapi=python3-fastapi nginx=nginx-light apache2=apache2 php-cgi=php-cgi"

has_bench_tool() {
    command -v "$1" >/dev/null || [[ -n $(find /usr/lib/python3/dist-packages/"$1" \
        /usr/lib/uwsgi/plugins/"$1"_plugin.so -maxdepth 0 2>/dev/null) ]]
}

word_bench() {
    local tool missing=()
    word_build
    for tool in $bench_tools; do
        has_bench_tool "${tool%=*}" || missing+=("${tool#*=}")
    done
    if ((${#missing[@]})); then
        if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
            say "installing what to compare with: ${missing[*]}"
            apt_install "${missing[@]}" || say "some could not be installed; they are left out"
        else
            say "left out, not installed: ${missing[*]}"
        fi
    fi
    (cd "$root" && go build -buildvcs=false -o build/bench/ ./bench ./bench/baregnet)
    FAPWS_BIN=$root/build/fapws exec "$root/build/bench/bench" -apps "$root/bench/apps" "$@"
}

# --- the words --------------------------------------------------------------

main() {
    local python_option=
    take_python_option() {
        case ${1-} in
        --python) python_option=${2:?--python needs a path}; return 0 ;;
        --python=*) python_option=${1#*=}; return 0 ;;
        esac
        return 1
    }
    while take_python_option "$@"; do [[ $1 == --python ]] && shift; shift; done
    local word=${1:-help}
    shift || true
    while take_python_option "$@"; do [[ $1 == --python ]] && shift; shift; done
    case $word in
    help | -h | --help) usage ;;
    run | build | test | race | load | fuzz | bench | lint | env | matrix | install | uninstall)
        "word_$word" "$@"
        ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
}

main "$@"
