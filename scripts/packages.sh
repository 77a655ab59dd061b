# Sourced by build.sh: the Debian packages that building and testing need.
# shellcheck shell=bash

# want THING PACKAGE... records that THING is missing. install_wanted installs all missing packages at once, so that a
# user without root gets only one command to type.
missing=() wanted=()
want() {
    missing+=("$1")
    wanted+=("${@:2}")
}

install_wanted() {
    ((${#wanted[@]})) || return 0
    local list
    printf -v list '%s, ' "${missing[@]}"
    can_install || die "missing: ${list%, }; on Debian and Ubuntu install them with:" \
        "sudo apt-get install --no-install-recommends ${wanted[*]}"
    say "missing: ${list%, }; installing: ${wanted[*]}"
    apt_install "${wanted[@]}" || die "apt-get could not install: ${wanted[*]}"
    missing=() wanted=()
}

# can_install reports whether this user may install Debian packages.
can_install() { [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; }

apt_install() {
    apt_get install -y --no-install-recommends "$@" && return
    # On a fresh machine, the package lists are empty or outdated.
    apt_get update && apt_get install -y --no-install-recommends "$@" && return
    grep -h '^[EW]:' "$root/build/apt.log" >&2 || true
    return 1
}

apt_get() {
    mkdir -p "$root/build"
    patiently "apt-get $1" logged "$root/build/apt.log" env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@"
}

# apt_apart FOLDER COMMAND... runs apt-get with the sources, lists and cache in FOLDER instead of those of this machine.
apt_apart() {
    mkdir -p "$1"/{state/lists,cache/archives}/partial
    apt-get -q -o "Dir::State=$1/state" -o "Dir::Cache=$1/cache" -o "Dir::Etc::sourcelist=$1/sources.list" \
        -o Dir::Etc::sourceparts=/dev/null -o "APT::Sandbox::User=$(id -un)" -o Acquire::Languages=none \
        -o Acquire::Retries=3 "${@:2}"
}

# os_release NAME prints a value of /etc/os-release, such as ID, or nothing.
os_release() {
    # shellcheck source=/dev/null
    (unset "$1" && source /etc/os-release && printf '%s\n' "${!1-}") 2>/dev/null || true
}

# debian_suite prints the suite of this Debian system, and fails on other systems.
debian_suite() {
    local suite
    suite=$(os_release VERSION_CODENAME)
    [[ $(os_release ID) == debian ]] && printf '%s\n' "${suite:-sid}"
}

# debian_mirror [LABEL] prints the mirror from which this machine installs packages with the label LABEL.
debian_mirror() {
    local label=${1:-Debian} mirror
    # shellcheck disable=SC2016 # apt's own syntax
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' "Label: $label" 2>/dev/null | head -1)
    printf '%s\n' "${mirror:-http://deb.debian.org/${label,,}}"
}

# Modules for samples/ and the tests, each as "module=Debian package".
readonly frameworks="flask=python3-flask django=python3-django channels=python3-django-channels pyramid=python3-pyramid
    bottle=python3-bottle falcon=python3-falcon starlette=python3-starlette fastapi=python3-fastapi
    websockets=python3-websockets uvloop=python3-uvloop tusclient=python3-tuspy
    prometheus_client=python3-prometheus-client"

# need_frameworks records the frameworks that the system's Python lacks. Debian has no packages for any other Python, so
# the samples that need a missing framework are then not tested.
need_frameworks() {
    local pair absent modules=() packages=()
    # shellcheck disable=SC2086 # several words
    absent=$(cd / && "$python" -c '
import importlib.util, sys
print(*(pair for pair in sys.argv[1:] if not importlib.util.find_spec(pair.split("=")[0])))' $frameworks 2>/dev/null) ||
        absent=$frameworks
    for pair in $absent; do
        modules+=("${pair%=*}")
        packages+=("${pair#*=}")
    done
    ((${#modules[@]})) || return 0
    if [[ $(realpath "$python") == "$(realpath /usr/bin/python3)" ]]; then
        want "${modules[*]} (for the tests)" "${packages[@]}"
    else
        say "$python does not have ${modules[*]}: their samples are not tested"
    fi
}

# Commands for the tests, each as "command=Debian package". apache2-bin contains no service, so no Apache starts.
readonly test_tools="git=git apache2=apache2-bin php-cgi=php-cgi ab=apache2-utils openssl=openssl wrk=wrk curl=curl
    h2load=nghttp2-client systemd-analyze=systemd chromium=chromium promtool=prometheus pebble=pebble
    redis-server=redis-server haproxy=haproxy testssl=testssl.sh npm=npm xz=xz-utils readelf=binutils"

readonly lint_tools="clang-format=clang-format shellcheck=shellcheck flake8=flake8 codespell=codespell"

need_lint_tools() {
    want_programs "for lint" "$lint_tools"
    install_wanted
}

# want_test_tools records the missing frameworks and programs for all stages of test, including lint.
want_test_tools() {
    need_frameworks
    refuse_snap
    want_programs "for the tests" "$test_tools"
    want_programs "for lint" "$lint_tools"
    want_venv "$python"
    [[ $python -ef $site_python ]] || want_venv "$site_python"
}

# want_venv PYTHON records the package that the module venv of PYTHON needs on Debian.
want_venv() {
    local minor
    "$1" -c 'import ensurepip; ensurepip.version()' 2>/dev/null && return
    minor=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || minor=3
    want "virtual environments" "python$minor-venv"
}

# need_test_tools prepares this shell for `go test`, and installs the packages for all stages of test at once, so that a
# user without root gets only one command to type.
need_test_tools() {
    local also_wanted=want_test_tools
    use_python
    fetch_npm "$axe" "$axe_sha512"
    fetch_npm "$pyright" "$pyright_sha512"
    make_today
}

# make_today installs the packages of scripts/today.txt into build/today, unless they are installed. These packages need
# a newer Python than fapws itself. If they cannot be installed, only their tests fail.
make_today() {
    local venv=$root/build/today list=$root/scripts/today.txt
    cmp -s "$list" "$venv/installed.txt" &&
        [[ $("$venv/bin/python3" --version 2>&1) == "$("$python" --version)" ]] && return
    if [[ $(realpath "$python") != "$(realpath /usr/bin/python3)" ]]; then
        say "$python is not the system's: the packages of ${list#"$root/"} are not tested"
        return
    fi
    rm -rf "$venv"
    patiently "fetching the packages of ${list#"$root/"}" logged "$root/build/today.log" \
        install_packages "$python" "$venv" "$list" ||
        say "${list#"$root/"}: pip could not install them; see build/today.log"
}

# install_packages PYTHON VENV LIST creates a virtual environment with exactly the packages in the file LIST. pip compiles
# them to bytecode, because servers of tests write none, and would compile them at each start.
install_packages() {
    "$1" -m venv "$2" &&
        "$2/bin/python3" -m pip install --disable-pip-version-check --no-deps --only-binary :all: -r "$3" &&
        cp "$3" "$2/installed.txt"
}

word_today() {
    use_python
    make_today
}

# TestConsoleWorksFromTheLoginToTheReboot checks pages with axe-core. test_wheel_tools checks the wheel's type hints
# with pyright.
readonly axe=axe-core-4.14.1 axe_sha512=\
1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b73\
4f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5
readonly pyright=pyright-1.1.414 pyright_sha512=\
14f6596f9d637a90d7e1e3fb4c460378d16d984dd683092411c269bc7dff4265\
12b23d04032dcb5eefb10784ff1560de8edb179427c5affadb5858f0bb0b97c3

# fetch_npm PACKAGE SHA512 downloads a package from npm's configured registry, and unpacks it into build/PACKAGE. If
# this is not possible, only the tests that need the package fail.
fetch_npm() (
    [[ ! -e $root/build/$1 ]] || return 0
    mkdir -p "$root/build/npm"
    cd "$root/build/npm" || return
    if ! patiently "fetching $1" logged log npm pack "${1%-*}@${1##*-}" || ! sha512sum --status -c <<<"$2  $1.tgz"; then
        say "$1: npm could not fetch it, or its SHA-512 differs; see build/npm/log"
        return
    fi
    rm -rf package
    tar -xzf "$1.tgz"
    mv package "../$1"
)

# refuse_snap exits with an error if Chromium is Ubuntu's snap, which does not run in a container, and cannot access the
# profiles of the tests or their files in /tmp.
refuse_snap() {
    local program
    [[ $(os_release ID) == ubuntu ]] || return 0
    program=$(type -P chromium) && [[ $(realpath "$program") != */snap ]] && return
    die "the tests need Chromium, which Ubuntu has only as a snap: install another build," \
        "such as google-chrome-stable, and link it:" \
        "sudo ln -s /usr/bin/google-chrome-stable /usr/local/bin/chromium"
}

# want_programs WHY PAIRS records each missing command, and the Debian package that contains it. An element of PAIRS is
# "command=package".
want_programs() {
    local why=$1 pair
    PATH=$PATH:/usr/sbin
    for pair in $2; do
        command -v "${pair%=*}" >/dev/null || want "${pair%=*} ($why)" "${pair#*=}"
    done
}
