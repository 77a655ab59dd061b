#!/usr/bin/env bash
# Builds, tests and installs fapws; `./build.sh help` lists the words.
#
# The words are in scripts/. Everything else works in a shell after:
# eval "$(./build.sh env)"
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
readonly root

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

# shellcheck source=scripts/packages.sh
source "$root/scripts/packages.sh"
# shellcheck source=scripts/go.sh
source "$root/scripts/go.sh"
# shellcheck source=scripts/python.sh
source "$root/scripts/python.sh"
# shellcheck source=scripts/install.sh
source "$root/scripts/install.sh"
# shellcheck source=scripts/check.sh
source "$root/scripts/check.sh"
# shellcheck source=scripts/bench.sh
source "$root/scripts/bench.sh"

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
