# Sourced by build.sh: finds Go, or fetches it.
# shellcheck shell=bash

# This version of Go is downloaded if no installed version is new enough. The checksums are those of the module's zip
# for each architecture. They were compared with the Go checksum database.
readonly go_fetched=1.26.10
declare -A go_checksums=(
    [amd64]=f64ecb0807852be2c98899561c45288a9ad57f4e88f3cd002ffabeccbd03bfe1
    [arm64]=195f18be92553fb272b9c4f9fca6e67b6a04d8831bf6c4b918ac70982fadb444
)

go_minimum=$(sed -n 's/^go 1\.\([0-9]*\).*/\1/p' "$root/go.mod") # of Go 1.x
readonly go_minimum

# want_go records the missing packages for downloads: certificate authorities, and curl if Go itself must be downloaded.
want_go() {
    find_go "$go_minimum" >/dev/null || command -v curl >/dev/null || want curl curl
    [[ -e /etc/ssl/certs/ca-certificates.crt || -n ${SSL_CERT_FILE-} ||
        ${GOPROXY-} == file:* || ${GOPROXY-} == off ]] ||
        ! command -v apt-get >/dev/null || want "certificate authorities" ca-certificates
}

# need_go puts Go 1.$go_minimum or later first on PATH: an installed version, or a version that it downloads to
# build/go.
need_go() {
    local go
    go=$(find_go "$go_minimum") || go=$(fetch_go) ||
        die "Go 1.$go_minimum or later is required, and fetching it failed: $go;" \
            "or install it from https://go.dev/dl/ and put its bin directory on PATH"
    [[ $(command -v go) == "$go" ]] || PATH=${go%/*}:$PATH
    # The user's GOTOOLCHAIN must not replace this Go by an older version.
    GOTOOLCHAIN=local
}

go_candidates() {
    type -aP go || true
    printf '%s\n' /usr/local/go/bin/go /usr/lib/go-1.*/bin/go "$root/build/go/$go_fetched/bin/go"
}

# local_go GO VARIABLE prints a setting of GO. GOTOOLCHAIN=local prevents an old Go from downloading a newer Go.
local_go() { (cd / && GOTOOLCHAIN=local "$1" env "$2" 2>/dev/null); }

# find_go MINOR prints the path of the first Go that has version 1.MINOR or later.
find_go() {
    local go minor
    while read -r go; do
        minor=$(local_go "$go" GOVERSION | sed -n 's/.*go1\.\([0-9]*\).*/\1/p')
        ((${minor:-0} < $1)) || { printf '%s\n' "$go"; return 0; }
    done < <(go_candidates)
    return 1
}

# fetch_go downloads Go from the configured GOPROXY and prints its path, or the reason for the failure. Without a Go or
# GOPROXY, it asks the proxy of Go modules before go.dev, as the go command does, which needs this proxy anyway.
fetch_go() {
    local proxy=${GOPROXY-} arch go said
    arch=$(machine_architecture)
    [[ -n ${go_checksums[$arch]-} ]] || { echo "no checksum is known for the Go of this processor ($arch)"; return 1; }
    [[ -n $proxy ]] || ! go=$(find_go 1) || proxy=$(local_go "$go" GOPROXY)
    say "fetching Go $go_fetched (70 MB) into build/go"
    # The failure of a download may also have a local cause, such as a full or read-only disk.
    if ! said=$(patiently "fetching Go $go_fetched" all_said unpack_go "$arch" "${proxy:-https://proxy.golang.org,direct}"); then
        fetch_reason "$said"
        return 1
    fi
    printf '%s\n' "$root/build/go/$go_fetched/bin/go"
}

# all_said COMMAND... runs COMMAND with standard error redirected to standard output.
all_said() { "$@" 2>&1 </dev/null; }

# fetch_reason TEXT prints why unpack_go failed; TEXT is the output of unpack_go. The last matching line is printed,
# because curl explains some errors after the first line.
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

# unpack_go ARCH PROXIES downloads the module golang.org/toolchain from the first proxy that has it, and checks its
# checksum. Then it unpacks the zip, sets the modes, which the zip lacks, and renames the files _go.mod to go.mod, as
# the go command does.
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
        curl -fsSL --netrc-optional --connect-timeout 20 --speed-limit 1 --speed-time 60 -o zip "${place%/}/${module/@//@v/}.zip" &&
            fetched=1 && break
    done
    [[ $fetched ]] && sha256sum -c <<<"${go_checksums[$1]}  zip" && "$python" -m zipfile -e zip . && rm zip &&
        find "$module" -name _go.mod -execdir mv {} go.mod \; && chmod 755 "$module"/bin/* "$module"/pkg/tool/*/* &&
        # This go.mod separates the directory from the module of the repository.
        touch "$module/go.mod" &&
        mv "$module" "$go_fetched"
)

# word_outdated prints the modules of go.mod that have newer versions. With -e, go continues if a proxy does not know
# one of the modules.
word_outdated() {
    use_python
    cd "$root"
    # shellcheck disable=SC2046 # several words
    go list -m -e -u -f '{{with .Update}}{{$.Path}} {{$.Version}}: {{.Version}}{{end}}' $(go_modules) | sed '/^$/d'
}

go_modules() { sed -n 's/^\t\([^ ]*\) v.*/\1/p' "$root/go.mod"; }
