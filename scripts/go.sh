# Sourced by build.sh: finds Go, or fetches it.
# shellcheck shell=bash

# Go of this version is fetched where no Go is new enough. The checksums are
# those of the module zips; without one for an architecture nothing is fetched.
# They were computed from zips whose h1 hash the Go checksum database confirms.
readonly go_fetched=1.26.10
readonly go_checksums="amd64=f64ecb0807852be2c98899561c45288a9ad57f4e88f3cd002ffabeccbd03bfe1
    arm64=195f18be92553fb272b9c4f9fca6e67b6a04d8831bf6c4b918ac70982fadb444"

go_minimum=$(sed -n 's/^go 1\.\([0-9]*\).*/\1/p' "$root/go.mod") # of Go 1.x
readonly go_minimum
readonly go_switches=21 # from Go 1.21 on, go downloads other versions of itself

# The exit status of fetch_go.py if the disk is full.
readonly go_no_room=28

# need_go puts a Go of at least 1.$go_minimum first on PATH: one that is
# installed, one that an installed Go downloads, Debian's as root if it is new
# enough, or one that is fetched into build/go.
need_go() {
    local go
    go=$(find_go "$go_minimum") || go=$(switch_go) || {
        install_golang
        go=$(find_go "$go_minimum") || go=$(switch_go) || go=$(fetch_go)
    } || {
        (($? != go_no_room)) || exit 1 # fetch_go.py has said so
        die "Go 1.$go_minimum or later is required: install it from https://go.dev/dl/ and put its bin directory on PATH"
    }
    [[ $(command -v go) == "$go" ]] || PATH=${go%/*}:$PATH
    # go is new enough; a GOTOOLCHAIN of the user's must not switch to an older one.
    GOTOOLCHAIN=local
}

# go_candidates prints the paths at which Go may be installed.
go_candidates() {
    type -aP go || true
    printf '%s\n' /usr/local/go/bin/go /usr/lib/go-1.*/bin/go "$root/build/go/$go_fetched/bin/go"
}

# find_go MINOR prints the path of the first Go of at least 1.MINOR.
find_go() {
    local go minor
    while read -r go; do
        minor=$(go_minor "$go")
        ((${minor:-0} < $1)) || { printf '%s\n' "$go"; return 0; }
    done < <(go_candidates)
    return 1
}

# go_minor GO prints x of Go 1.x. It asks from / and with "local", because
# inside the module an old Go would download a newer one.
go_minor() { (cd / && GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null | sed -n 's/.*go1\.\([0-9]*\).*/\1/p'); }

# switch_go lets an installed Go download Go $go_fetched and prints the new path.
switch_go() {
    local go goroot
    go=$(find_go "$go_switches") || return 1
    goroot=$(cd / && GOTOOLCHAIN=go$go_fetched patiently "$go is older than Go 1.$go_minimum and is downloading Go $go_fetched" \
        "$go" env GOROOT) || return 1
    printf '%s\n' "$goroot/bin/go"
}

# install_golang installs Debian's Go, as root, if that is new enough, or if it can
# download newer ones and fetch_go cannot.
install_golang() {
    local minor least=$go_minimum
    can_install || return 0
    [[ " ${go_checksums//$'\n'/ }" == *" $(dpkg --print-architecture)="* ]] || least=$go_switches
    minor=$(golang_candidate)
    # The package lists of a fresh machine are empty.
    [[ -n $minor ]] || { apt_get update && minor=$(golang_candidate); } || return 0
    ((${minor:-0} >= least)) || return 0
    say "installing Go: golang-go"
    apt_install golang-go || true
}

# golang_candidate prints x of the Go 1.x that Debian's golang-go installs.
golang_candidate() { apt-cache policy golang-go 2>/dev/null | sed -n 's/^ *Candidate:.*[:^ ]1\.\([0-9]*\).*/\1/p'; }

# fetch_go fetches Go from the configured GOPROXY and prints the new path.
fetch_go() {
    local folder=$root/build/go/$go_fetched go proxy=${GOPROXY-}
    if [[ -z $proxy ]] && go=$(find_go 1); then
        proxy=$(cd / && GOTOOLCHAIN=local "$go" env GOPROXY)
    fi
    say "fetching Go $go_fetched (70 MB) into build/go"
    # shellcheck disable=SC2086 # a list
    GOPROXY=$proxy patiently "fetching Go $go_fetched" \
        "$python" -I "$root/scripts/fetch_go.py" "$go_fetched" "$folder" $go_checksums || return
    printf '%s\n' "$folder/bin/go"
}
