# Sourced by build.sh: the Debian packages that building and testing need.

# want THING PACKAGE... notes that THING is missing; install_wanted installs
# the packages of all of them at once, so that a user types one command.
missing=() wanted=()
want() {
    missing+=("$1")
    wanted+=("${@:2}")
}

install_wanted() {
    ((${#wanted[@]})) || return 0
    local list
    printf -v list '%s, ' "${missing[@]}"
    can_install || die "missing: ${list%, }; on Debian and Ubuntu install them with: sudo apt-get install --no-install-recommends ${wanted[*]}"
    say "missing: ${list%, }; installing: ${wanted[*]}"
    apt_install "${wanted[@]}" || die "apt-get could not install: ${wanted[*]}"
    missing=() wanted=()
}

# can_install reports whether this user may install Debian packages.
can_install() { [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; }

apt_install() {
    apt_get install -y --no-install-recommends "$@" && return
    # The package lists of a fresh machine are empty or old.
    apt_get update && apt_get install -y --no-install-recommends "$@" && return
    grep -h '^[EW]:' "$root/build/apt.log" >&2 || true
    return 1
}

apt_get() {
    mkdir -p "$root/build"
    patiently "apt-get $1" logged "$root/build/apt.log" env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@"
}

# debian_suite prints the suite of this Debian, and fails elsewhere.
debian_suite() { [[ $(system_value ID) == debian ]] && release_name; }

# release_name prints the name of this Debian or Ubuntu. Testing and sid may have none.
release_name() { system_value VERSION_CODENAME | grep . || echo sid; }

# system_value NAME prints what /etc/os-release says, such as debian for ID.
system_value() {
    # shellcheck source=/dev/null
    (source /etc/os-release && printf '%s\n' "${!1-}")
}

# debian_mirror [LABEL] prints the mirror from which this machine installs the packages of that label.
debian_mirror() {
    local label=${1:-Debian} mirror
    # shellcheck disable=SC2016 # apt's own syntax
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' "Label: $label" 2>/dev/null | head -1)
    printf '%s\n' "${mirror:-http://deb.debian.org/${label,,}}"
}

# need_downloads sees to curl, which fetches Go, and to the certificates without which neither Go nor its modules can be downloaded.
need_downloads() {
    find_go >/dev/null || command -v curl >/dev/null || want curl curl
    [[ -e /etc/ssl/certs/ca-certificates.crt || -n ${SSL_CERT_FILE-} || ! $(type -P apt-get) ]] || want "certificate authorities" ca-certificates
}

# What samples/ shows and the tests need, each as "module=Debian package".
readonly frameworks="flask=python3-flask django=python3-django pyramid=python3-pyramid
    bottle=python3-bottle falcon=python3-falcon starlette=python3-starlette fastapi=python3-fastapi
    channels=python3-django-channels
    websockets=python3-websockets uvloop=python3-uvloop tusclient=python3-tuspy
    prometheus_client=python3-prometheus-client"

# need_frameworks sees to those of the system's Python. Another Python has its own.
need_frameworks() {
    local pair modules=() packages=()
    for pair in $frameworks; do
        (cd / && "$python" -c "import ${pair%=*}" 2>/dev/null) && continue
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

# What the tests run, each as "command or file=Debian package". apache2-bin has no
# service that would start, and dokuwiki needs no database.
readonly test_tools="git=git apache2=apache2-bin php-cgi=php-cgi /usr/share/dokuwiki/doku.php=dokuwiki
    ab=apache2-utils openssl=openssl wrk=wrk curl=curl h2load=nghttp2-client strace=strace systemd-analyze=systemd chromium=chromium promtool=prometheus pebble=pebble redis-server=redis-server haproxy=haproxy testssl=testssl.sh npm=npm"

# What lint runs.
readonly lint_tools="clang-format=clang-format shellcheck=shellcheck flake8=flake8 codespell=codespell"

need_lint_tools() {
    want_programs "for lint" "$lint_tools"
    install_wanted
}

# need_test_tools sees to those of lint, too, which is a part of test, and to axe-core, with which TestConsole checks pages.
need_test_tools() {
    want_programs "for the tests" "$test_tools"
    need_lint_tools
    [[ -e $root/build/axe/node_modules/axe-core ]] || patiently "fetching axe-core" logged "$root/build/axe.log" npm install --prefix "$root/build/axe" axe-core@4.14.1 ||
        say "npm could not fetch axe-core, without which TestConsole fails; see build/axe.log"
}

# want_programs WHY PAIRS notes the packages of missing commands and files.
want_programs() {
    local why=$1 pair
    PATH=$PATH:/usr/sbin
    for pair in $2; do
        [[ $pair == /* && -e ${pair%=*} ]] || command -v "${pair%=*}" >/dev/null || want "${pair%=*} ($why)" "${pair#*=}"
    done
}
