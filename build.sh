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
  install          into ~/.local, without root; PREFIX=DIR, DESTDIR=DIR
  uninstall        remove every file that install made
  test             all checks: build, vet, tests, short fuzz, race, sanitizer
  race             Go tests under the race detector
  fuzz [SECONDS]   every fuzz target for so long (default 60)
  bench [WORDS]    compare with other servers; see bench/README.md
  lint             gofmt, vet, shellcheck, C with all warnings
  matrix           build and test with every Python 3.8-3.13 found
  env              print what cgo needs: eval "$(./build.sh env)"

The Python to embed is --python, $PYTHON or /usr/bin/python3, in this order.
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
    command -v "${CC:-gcc}" >/dev/null && [[ -e /usr/include/stdio.h ]] ||
        install_packages "a C compiler" gcc libc6-dev
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
      get("LIBDIR"), get("LIBPC"), get("INCLUDEPY"), get("Py_ENABLE_SHARED"), sep="\n")
') || die "$python does not run"
    { read -r py_minor && read -r py_version && read -r py_libdir && read -r py_pc &&
        read -r py_include && read -r py_shared; } <<<"$answer"
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

# --- what cgo must be told --------------------------------------------------

# write_pc fills in python3.pc, which cpy3 and pybridge ask pkg-config for.
write_pc() {
    local dir=$root/build/pc/$py_version rpath=
    # A library outside the system's folders is not found at run time otherwise.
    case $py_libdir in
    /usr/lib | /usr/lib/* | /lib/*) ;;
    *) rpath="-Wl,-rpath,${py_libdir// /\\ }" ;;
    esac
    local compat=$root/pybridge/python/compat.h text
    text=$(sed -e "s|@VERSION@|$py_minor|" -e "s|@RPATH@|${rpath//\\/\\\\}|" \
        -e "s|@COMPAT_H@|${compat// /\\\\ }|" "$root/pybridge/python/python3.pc.in")
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
    [[ $py_shared == 1 ]] ||
        die "$python has no libpython$py_minor.so; fapws needs a Python built with --enable-shared"
    need_python_headers
    write_pc
    # Go's build cache does not look at pkg-config's answer nor at compat.h, and
    # would link the library of another Python: a macro makes the flags differ.
    local id
    id=$(printf '%s\n' "$py_include" "$py_libdir" | cat - "$root/pybridge/python/"* | cksum)
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
    run | build | test | race | fuzz | bench | lint | env | matrix | install | uninstall)
        "word_$word" "$@"
        ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
}

main "$@"
