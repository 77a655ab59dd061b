#!/usr/bin/env bash
# Builds, tests and installs fapws. `./build.sh WORD` calls the function word_WORD; most of these functions are in
# scripts/. `./build.sh help` lists the words.
# To run other commands, such as go, in a shell: eval "$(./build.sh env)"
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)

usage() {
    cat <<TEXT
usage: ./build.sh [--python PATH] WORD [ARGUMENTS]

  run APP ...      build if needed, then serve APP (a script with PATHS)
  build            build/fapws
  install          into ~/.local, without root; PREFIX=DIR, DESTDIR=DIR. --system: as a
                   service, into /usr/local, with a unit of systemd and /etc/fapws
  uninstall        remove every file that install made, with the same arguments
  test             all checks: build, vet, tests, short fuzz, race, sanitizer
  load [C R]       heavy load: ab with C clients and R requests (default 2000 100000),
                   slow clients, no descriptors; run with -v
  small            a server with 64, 96, 128 and 256 MiB and a tenth of a processor, in control groups, under attacks on its
                   memory; and 200 kills and 200 losses of power during work; needs root
  today            build/today, a virtual environment with the packages of PyPI in scripts/today.txt: tools and
                   frameworks of today, for tests run by hand; test makes it itself
  race             Go tests and the whole server under the race detector
  asan             pybridge and the whole server with their C under AddressSanitizer, and Go's check of
                   pointers in memory of C
  tsan             pybridge with its C under ThreadSanitizer, for a Python without the GIL; --python names
                   one that was built --with-thread-sanitizer (CONTRIBUTING.md)
  fuzz [SECONDS]   every fuzz target for so long (default 60)
  fuzz paths [N]   no byte from outside a document root, N tries (default 1000000)
  bench [WORDS]    compare with other servers of today, from PyPI in build/peers; see bench/README.md.
                   --export WORDS: with ten rounds of five seconds, and write docs/performance.md
                   events: what an event of two servers over Redis costs, beside peers
  request [FLAGS] URL  send many requests to a server, and show how fast it answers (--help: all flags)
  profile [SECONDS]  record cmd/fapws/default.pgo, which builds are optimized with, under loads of
                   SECONDS each (default 3)
  testssl [FLAGS]  try HTTPS with testssl.sh: no finding above LOW, grade A; takes some minutes
  lint             gofmt, vet, staticcheck, shellcheck, actionlint, clang-format, C with all warnings,
                   pyflakes, codespell
  outdated         the modules of go.mod that have newer versions
  docs             build/site, the documentation as a site with search, with the packages of PyPI in
                   scripts/site/requirements.txt; build/fapws -c build/site/fapws.toml serves it
  cross ARCH       build/cross/ARCH/fapws for arm64, armhf or riscv64, with Debian's cross compiler and
                   Python of this Debian or of SUITE=trixie; --test [TESTS]: then try it in qemu
  musl [static | dynamic] [ARCH] [--ssl]  build/musl/static/fapws, one file with Python and its standard library inside,
                   for every Linux, or build/musl/ARCH/static/fapws for arm64 or armhf; or build/dist/fapws-….tar.gz
                   for Alpine, which loads extension modules, too.
                   --ssl: with OpenSSL, for the module ssl; --test: then try it in an empty root
  tarball [ARCH]   build/dist/fapws-….tar.gz, to unpack into ~/.local
  deb [ARCH]       build/dist/fapws_….deb for Debian and Ubuntu, with the service of systemd;
                   --test: then install, upgrade and remove it in a fresh system
  wheel [ARCH]     build/dist/fapws-….whl, for pip install with the Python of --python, or --all that are found;
                   wheel musl: for Alpine, with this machine's Python of the same version;
                   --into FOLDER: there; --test [TESTS]: then install it and run these acceptance tests, or all
  sdist [FOLDER]   build/dist/fapws-….tar.gz, the source for pip
  release          build/dist with the tarball, the .deb, an SBOM (CycloneDX) and SHA256SUMS
  container        the image of bin/run.sh, with podman, buildah or docker; --test: build it on a
                   Debian of debootstrap, not of a registry, and try each mode
  systemd          the .deb in a virtual machine (qemu) with Debian's kernel and systemd: start, reload,
                   watchdog, socket, upgrade under load, restart, removal; needs root
  roots [SUITES]   build and serve in fresh Debian systems, or in Ubuntu 24.04 (noble), as root and
                   as a user; needs root and debootstrap. --as root or --as user: as that one only;
                   --test: run all checks there, too. --wheel: install wheels there, and in each Python found
  env              print what cgo needs: eval "\$(./build.sh env)"

Supported are Python 3.$python_oldest to 3.$python_newest. The one to embed is --python, \$PYTHON or /usr/bin/python3,
in this order. It is linked into the executable if the system has an archive that
links, otherwise or with LIBPYTHON=shared its shared library is used.
TEXT
}

say() { printf 'build.sh: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

# patiently WHAT COMMAND... runs COMMAND, and prints WHAT after three seconds and then every 30 seconds.
patiently() {
    local status=0 ticker
    tick 3 30 printf '%s' "$1"
    "${@:2}" || status=$?
    stop_ticking
    return "$status"
}

# tick FIRST NEXT COMMAND... prints the output of COMMAND and the elapsed time, after FIRST seconds and then every NEXT
# seconds, until stop_ticking. It sets ticker.
tick() {
    local pause=$1 start=$SECONDS
    {
        # A sleep in another process could outlive this process.
        while ! read -r -t "$pause" _ <> <(:) && kill -0 $$ 2>/dev/null; do
            say "$("${@:3}") ($((SECONDS - start)) s)"
            pause=$2
        done
    } </dev/null >/dev/null &
    ticker=$!
}

stop_ticking() {
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
}

# logged FILE COMMAND... runs COMMAND, and writes its output to FILE.
logged() { "${@:2}" >"$1" 2>&1 </dev/null; }

source "$root/scripts/packages.sh"
source "$root/scripts/go.sh"
source "$root/scripts/python.sh"
source "$root/scripts/cross.sh"
source "$root/scripts/musl.sh"
source "$root/scripts/install.sh"
source "$root/scripts/package.sh"
source "$root/scripts/roots.sh"
source "$root/scripts/container.sh"
source "$root/scripts/lint.sh"
source "$root/scripts/check.sh"
source "$root/scripts/testssl.sh"
source "$root/scripts/bench.sh"
source "$root/scripts/site.sh"

word_env() {
    use_python
    local name
    for name in PATH GOTOOLCHAIN GOFLAGS PYTHON PKG_CONFIG_PATH CGO_ENABLED CGO_CFLAGS CGO_LDFLAGS; do
        printf 'export %s=%q\n' "$name" "${!name}"
    done
}

# --- building ---------------------------------------------------------------

changelog_version() { sed -n '/^## /{ s/^## \([^ ]*\).*/\1/p; q }' "$root/CHANGELOG.md"; }

# home_url prints FAPWS_HOME_URL, or the address of the project in pyproject.toml, or nothing.
home_url() {
    local url
    url=${FAPWS_HOME_URL-$(sed -n '/^\[tool.fapws\]/,/^\[/s/^home = "\(.*\)"$/\1/p' "$root/pyproject.toml")}
    printf '%s' "${url%/}"
}

# ask_git COMMAND... runs git in the repository of this source, and fails if there is none. safe.directory permits that
# the repository belongs to a different user.
ask_git() { [[ -e $root/.git ]] && git -C "$root" -c "safe.directory=$root" "$@" 2>/dev/null; }

# clone_source FOLDER clones the last commit of this repository, which may belong to another user.
clone_source() {
    git -c "safe.directory=*" clone -q --no-hardlinks --upload-pack "git -c safe.directory='*' upload-pack" "$root" "$1"
}

is_modified() { ask_git rev-parse -q --verify HEAD >/dev/null && ! ask_git diff --quiet HEAD --; }

# version_text prints the newest version in the changelog. It appends "+COMMIT.dirty" if files differ from the commit,
# or "+COMMIT" if the commit is not tagged with this version. An image has no repository, and gets the version in
# SOURCE_VERSION; the source for pip has it in PKG-INFO.
version_text() {
    local version commit
    [[ -z ${SOURCE_VERSION-} ]] || { printf '%s\n' "$SOURCE_VERSION"; return; }
    [[ ! -e $root/PKG-INFO ]] || { sed -n 's/^Version: //p' "$root/PKG-INFO"; return; }
    version=$(changelog_version)
    # The default length of a commit's abbreviation differs between clones, and the built files contain the version.
    commit=$(ask_git rev-parse --short=10 HEAD) || commit=
    if is_modified; then
        version+=+$commit.dirty
    elif [[ -n $commit ]] && ! ask_git tag --points-at HEAD | grep -qFx "v$version"; then
        version+=+$commit
    fi
    printf '%s\n' "$version"
}

# interpreter_flag prints the linker's flag that tells the bridge the path of its Python.
interpreter_flag() { printf '%s' "-X 'fapws/pybridge.interpreter=$python'"; }

# build_to FILE [FLAGS] builds the stripped executable, by default with the profile of word_profile.
build_to() {
    local log=$root/build/compile.log
    local packed
    mkdir -p "$root/build"
    pack_python
    pack_pages
    patiently "compiling; the first time takes some minutes" logged "$log" compile "$@" && return
    compile_errors "$log" >&2
    die "compiling failed; all messages are in ${log#"$root/"}"
}

# pack_pages compresses the pages of the documentation for the executable, and writes build/pages/overlay, which tells Go
# to take these. The file is renamed, because another build may be reading it.
pack_pages() {
    local folder=$root/build/pages page file separator='' overlay
    overlay=$folder/overlay.$BASHPID
    mkdir -p "$folder"
    {
        printf '{"Replace": {'
        for page in "$root"/docs/*.md; do
            [[ -e $page ]] || continue
            file=$folder/${page##*/}
            [[ $file -nt $page ]] || gzip -9nc "$page" >"$file"
            printf '%s"%s": "%s"' "$separator" "$page" "$file"
            separator=', '
        done
        printf '}}\n'
    } >"$overlay"
    mv "$overlay" "$folder/overlay"
}

# Packages that no request uses, apart from their callers' calls, and packages whose work on a request is small beside a
# system call, such as the start of a program. Without inlining in them, the executable is 0.8 MB smaller.
readonly small_packages="fapws/cmd/fapws/... fapws/docs fapws/runtime/otel fapws/runtime/source/programs
    fapws/runtime/source/ssi fapws/runtime/source/upload archive/zip crypto/ecdsa crypto/hpke
    crypto/internal/fips140/ecdsa crypto/internal/fips140/rsa crypto/rsa crypto/x509/... debug/... encoding/asn1
    encoding/csv encoding/json encoding/pem fmt github.com/BurntSushi/... github.com/fsnotify/... github.com/gomodule/...
    github.com/itchyny/... github.com/landlock-lsm/... github.com/mna/... github.com/spf13/... go.uber.org/...
    golang.org/x/crypto/acme/... golang.org/x/net/idna golang.org/x/text/... gopkg.in/... html internal/zstd math/big
    mime/... net net/http/... os/... reflect regexp/... text/... vendor/golang.org/x/net/...
    vendor/golang.org/x/text/..."

# compile FILE [FLAGS] runs go build. If SOURCE_DATE_EPOCH is set, the build ID is empty, because the build ID depends
# on directories, which the C flags contain. Otherwise Go keeps the build ID, and does not link again if nothing has
# changed.
compile() {
    local name flags=("${@:2}")
    # Builds without the profile are for tests, which use the packages as they compile them.
    [[ " $* " == *" -pgo=off "* ]] || for name in $small_packages; do flags+=("-gcflags=$name=-l"); done
    (cd "$root" && go build -trimpath -buildvcs=false -pgo=auto -overlay "$root/build/pages/overlay" "${flags[@]}" \
        -ldflags "-s -w ${SOURCE_DATE_EPOCH:+-buildid=} -X fapws/cmd/fapws/process.Version=$(version_text) \
$(interpreter_flag) ${library_linker:+-extld=\"$library_linker\"} -extldflags '\"$packed\"'" -o "$1" ./cmd/fapws)
}

# compile_errors LOG prints the errors in the output of a compiler or linker, without the command lines, which are too
# long.
compile_errors() {
    local text errors
    text=$(awk '{
        flags = 0
        for (i = 1; i <= NF; i++) flags += $i ~ /^-/
        if (flags <= 8) print substr($0, 1, 300)
    }' "$1")
    errors=$(grep -iE 'error|undefined|cannot|not found|no such|fatal|no space|killed|x509|dial' <<<"$text" |
        grep -vE 'exit status|returned 1|has no symbols') || errors=$text
    head -12 <<<"$errors"
}

word_build() {
    use_python
    local hint=
    [[ $py_linked == static || -n ${LIBPYTHON-} || ! -e $py_archive ]] ||
        hint="; LIBPYTHON=static runs Python code faster by a fifth, and fetches Python's source (35 MB)"
    say "Python $py_version ($python), $py_linked$hint"
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

# These words have no arguments.
readonly words_alone="asan build docs env lint outdated race release systemd test today tsan"

main() {
    local word='' python_option=''
    while (($#)); do
        case $1 in
        --python)
            (($# > 1)) || die "--python needs a path"
            python_option=$2 && shift
            ;;
        --python=*) python_option=${1#*=} ;;
        *)
            [[ -z $word ]] || break
            word=$1
            ;;
        esac
        shift
    done
    case $word in
    '' | help | -h | --help) usage && return ;;
    esac
    declare -F "word_$word" >/dev/null || { say "unknown word \"$word\": ./build.sh help lists the words"; exit 2; }
    (($# == 0)) || [[ " $words_alone " != *" $word "* ]] || die "unknown argument of $word: $1"
    "word_$word" "$@"
}

# Tests source this file to call its functions.
[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
