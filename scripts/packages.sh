# Sourced by build.sh: the Debian packages that building and testing need.
# shellcheck shell=bash

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
