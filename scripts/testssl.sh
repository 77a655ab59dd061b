# Sourced by build.sh: testssl checks HTTPS with the program testssl.sh. `test` runs only some of its checks.
# docs/https.md shows the result of all checks.
# shellcheck shell=bash

# word_testssl [FLAGS] checks a server whose certificate is from a new authority. It fails if there is a finding above
# LOW, or if the grade is below A. FLAGS are passed to testssl.sh. Versions before 3.2, such as that of Debian 12, give
# no grade.
word_testssl() {
    want_programs "for testssl" "openssl=openssl testssl=testssl.sh"
    install_wanted
    word_build
    try_testssl "$@"
}

# start_server LOG COMMAND... starts a server, sets server to its process ID, and waits until LOG contains its
# addresses.
start_server() {
    : >"$1"
    "${@:2}" >"$1" 2>&1 </dev/null &
    server=$!
    until grep -q '^ .*://.*:[0-9]*/' "$1"; do
        kill -0 "$server" 2>/dev/null || die "the server exited: $(<"$1")"
        sleep 0.1
    done
}

# address_of LOG SCHEME prints the server's address with this scheme.
address_of() { grep -om 1 "$2://127\.0\.0\.1:[0-9]*" "$1" | head -1; }

# try_testssl [FLAGS] starts the server, runs testssl, and checks the report.
try_testssl() {
    local folder=$root/build/testssl server address
    unset "${!FAPWS_@}" # settings of the caller, and FAPWS_BIN, which is not one
    rm -rf "$folder"
    mkdir -p "$folder"
    issue_certificate "$folder"
    cat >"$folder/fapws.toml" <<SETTINGS
bind = "https://127.0.0.1:0"
certfile = "chain.pem"
keyfile = "key.pem"
hsts = "1y"
app = "$root/samples/hello/hello.py"
[headers]
X-Content-Type-Options = "nosniff"
X-Frame-Options = "DENY"
Content-Security-Policy = "default-src 'self'"
SETTINGS
    start_server "$folder/server.log" env FAPWS_ALLOW_ROOT=1 "$root/build/fapws" --config "$folder/fapws.toml"
    # shellcheck disable=SC2064 # of this server
    trap "kill $server" EXIT
    address=$(address_of "$folder/server.log" https)
    (cd "$folder" && testssl --quiet --color 0 --warnings off --add-ca ca.pem --jsonfile report.json \
        "$@" "https://localhost:${address##*:}/") | tee "$folder/report.txt" ||
        say "testssl ended with ${PIPESTATUS[0]}"
    say "the whole report is build/testssl/report.txt"
    judge_testssl "$folder/report.json"
}

# issue_certificate FOLDER makes ca.pem, and key.pem with chain.pem for localhost.
issue_certificate() {
    local ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
    (
        cd "$1"
        openssl req -x509 "${ec[@]}" -days 365 -subj "/CN=fapws test authority" \
            -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca-key.pem -out ca.pem
        openssl req "${ec[@]}" -subj /CN=localhost -keyout key.pem -out request.pem
        printf '%s\n' subjectAltName=DNS:localhost,IP:127.0.0.1 extendedKeyUsage=serverAuth \
            keyUsage=critical,digitalSignature basicConstraints=critical,CA:FALSE subjectKeyIdentifier=hash \
            authorityKeyIdentifier=keyid crlDistributionPoints=URI:http://localhost/ca.crl >extensions
        openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 90 \
            -extfile extensions -out leaf.pem
        cat leaf.pem ca.pem >chain.pem
    ) 2>/dev/null
}

# judge_testssl REPORT prints the findings above LOW. It fails if there is such a finding, if the grade is below A, or
# if the report is empty.
judge_testssl() {
    grep -q '"severity"' "$1" || die "testssl has tried nothing"
    ! grep -E -B 3 -A 1 '"severity" *: *"(MEDIUM|HIGH|CRITICAL|FATAL)"' "$1" || die "there are findings above LOW"
    ! grep -A 4 '"overall_grade"' "$1" | grep '"finding"' | grep -v ': *"A' || die "the grade is below A"
}
