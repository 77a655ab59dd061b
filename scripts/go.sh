# Sourced by build.sh: finds Go.
# shellcheck shell=bash

readonly go_minimum=25 # of Go 1.x, as in go.mod

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
