# Sourced by build.sh: finds Go, or fetches it.
# shellcheck shell=bash

# This Go is downloaded if no installed Go is new enough. The checksums are of the module's zip for each architecture;
# the Go checksum database confirms its h1 hash.
readonly go_fetched=1.26.10
declare -A go_checksums=(
    [amd64]=f64ecb0807852be2c98899561c45288a9ad57f4e88f3cd002ffabeccbd03bfe1
    [arm64]=195f18be92553fb272b9c4f9fca6e67b6a04d8831bf6c4b918ac70982fadb444
)

go_minimum=$(sed -n 's/^go 1\.\([0-9]*\).*/\1/p' "$root/go.mod") # of Go 1.x
readonly go_minimum

# want_go notes the packages for downloads of Go and modules: curl, unless an installed Go is new enough, and
# certificate authorities.
want_go() {
    find_go "$go_minimum" >/dev/null || command -v curl >/dev/null || want curl curl
    [[ -e /etc/ssl/certs/ca-certificates.crt || -n ${SSL_CERT_FILE-} ||
        ${GOPROXY-} == file:* || ${GOPROXY-} == off ]] ||
        ! command -v apt-get >/dev/null || want "certificate authorities" ca-certificates
}

# need_go puts a Go of at least 1.$go_minimum first on PATH: an installed one, or one fetched into build/go.
need_go() {
    local go
    go=$(find_go "$go_minimum") || go=$(fetch_go) ||
        die "Go 1.$go_minimum or later is required, and fetching it failed: $go;" \
            "or install it from https://go.dev/dl/ and put its bin directory on PATH"
    [[ $(command -v go) == "$go" ]] || PATH=${go%/*}:$PATH
    # go is new enough. GOTOOLCHAIN of the user must not switch to an older Go.
    GOTOOLCHAIN=local
}

go_candidates() {
    type -aP go || true
    printf '%s\n' /usr/local/go/bin/go /usr/lib/go-1.*/bin/go "$root/build/go/$go_fetched/bin/go"
}

# local_go GO VARIABLE prints a setting of GO, without the newer Go that an old one would download for the module.
local_go() { (cd / && GOTOOLCHAIN=local "$1" env "$2" 2>/dev/null); }

# find_go MINOR prints the path of the first Go of at least 1.MINOR.
find_go() {
    local go minor
    while read -r go; do
        minor=$(local_go "$go" GOVERSION | sed -n 's/.*go1\.\([0-9]*\).*/\1/p')
        ((${minor:-0} < $1)) || { printf '%s\n' "$go"; return 0; }
    done < <(go_candidates)
    return 1
}

# fetch_go fetches Go from the configured GOPROXY and prints the new path, or why it failed.
fetch_go() {
    local proxy=${GOPROXY-} arch go said
    arch=$(machine_architecture)
    [[ -n ${go_checksums[$arch]-} ]] || { echo "no checksum is known for the Go of this processor ($arch)"; return 1; }
    [[ -n $proxy ]] || ! go=$(find_go 1) || proxy=$(local_go "$go" GOPROXY)
    say "fetching Go $go_fetched (70 MB) into build/go"
    # The download may also fail because the disk is full or read-only.
    if ! said=$(patiently "fetching Go $go_fetched" all_said unpack_go "$arch" "${proxy:-direct}"); then
        fetch_reason "$said"
        return 1
    fi
    printf '%s\n' "$root/build/go/$go_fetched/bin/go"
}

# all_said COMMAND... runs COMMAND with standard error redirected to standard output.
all_said() { "$@" 2>&1 </dev/null; }

# fetch_reason TEXT prints why unpack_go failed. TEXT is the output of unpack_go. curl explains some errors in further
# lines.
fetch_reason() {
    local reason
    reason=$(printf '%s\n' "$1" |
        grep -E '^curl: |Error: |No space left|cannot (create|remove)|did NOT match|forbids' | tail -n 1) ||
        reason=${1##*$'\n'}
    case $reason in
    'curl: (23)'*) reason+=" (is the disk full?)" ;;
    'curl: (60)'*) reason+=" (SSL_CERT_FILE names a file with the certificates of other authorities)" ;;
    esac
    printf '%s\n' "$reason"
}

# unpack_go ARCH PROXIES fetches the module golang.org/toolchain from the first proxy that has it, and, if its checksum
# is right, unpacks it as the go command does: the zip has no modes, and its go.mod files are called _go.mod.
unpack_go() (
    module=golang.org/toolchain@v0.0.1-go$go_fetched.linux-$1
    fetched=
    rm -rf "$root/build/go" || return # of another user, or read-only
    mkdir -p "$root/build/go" && cd "$root/build/go" || return
    for place in ${2//[,|]/ }; do
        case $place in
        off) echo "GOPROXY=off forbids downloads" && return 1 ;;
        direct) place=https://go.dev/dl/mod ;; # which golang.org/toolchain?go-get=1 names
        esac
        curl -fsSL --netrc-optional --speed-limit 1 --speed-time 60 -o zip "${place%/}/${module/@//@v/}.zip" &&
            fetched=1 && break
    done
    [[ $fetched ]] && sha256sum -c <<<"${go_checksums[$1]}  zip" && "$python" -m zipfile -e zip . && rm zip &&
        find "$module" -name _go.mod -execdir mv {} go.mod \; && chmod 755 "$module"/bin/* "$module"/pkg/tool/*/* &&
        # the directory must not belong to the module of the repository
        touch "$module/go.mod" &&
        mv "$module" "$go_fetched"
)

# word_outdated prints the modules of go.mod that have newer versions. With -e, go continues if a proxy does not know a
# module.
word_outdated() {
    use_python
    cd "$root"
    # shellcheck disable=SC2046 # several words
    go list -m -e -u -f '{{with .Update}}{{$.Path}} {{$.Version}}: {{.Version}}{{end}}' $(go_modules) | sed '/^$/d'
}

go_modules() { sed -n 's/^\t\([^ ]*\) v.*/\1/p' "$root/go.mod"; }
