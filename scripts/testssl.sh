# Sourced by build.sh: testssl tries HTTPS with testssl.sh, the program of that name.
#
# `test` has a short run of it. docs/https.md has the result of a whole one.

# word_testssl [FLAGS] tries a server with a certificate of an authority made for that, and fails if there is a
# finding above LOW or a grade below A. FLAGS go to testssl, of which versions before 3.2 give no grade.
word_testssl() {
    command -v openssl >/dev/null || want openssl openssl
    command -v testssl >/dev/null || want testssl testssl.sh
    install_wanted
    word_build
    try_testssl "$@"
}

# test_testssl tries versions, ciphers with forward secrecy and the certificate.
test_testssl() { try_testssl --protocols --fs --server-defaults; }

# try_testssl FLAGS... starts the server, tries it, and looks at the findings.
try_testssl() {
    local folder=$root/build/testssl server url found
    unset "${!FAPWS_@}" # settings of the caller, and FAPWS_BIN, which is not one
    rm -rf "$folder"
    mkdir -p "$folder"
    issue_certificate "$folder"
    printf '%s\n' 'def application(environ, start_response):' '    start_response("200 OK", [])' '    return [b"hello\n"]' >"$folder/app.py"
    printf '%s\n' 'bind = "https://127.0.0.1:0"' 'certfile = "chain.pem"' 'keyfile = "key.pem"' 'hsts = "1y"' 'app = "app.py"' \
        'headers = { X-Content-Type-Options = "nosniff", X-Frame-Options = "DENY", Content-Security-Policy = "default-src '"'self'"'" }' \
        >"$folder/fapws.toml"
    FAPWS_ALLOW_ROOT=1 "$root/build/fapws" --config "$folder/fapws.toml" >"$folder/server.log" 2>&1 &
    server=$!
    # shellcheck disable=SC2064 # of this server
    trap "kill $server" EXIT
    url=$(await_url "$server" "$folder/server.log" https)
    (cd "$folder" && testssl --quiet --color 0 --warnings off --add-ca ca.pem --csvfile report.csv "$@" "${url/127.0.0.1/localhost}") |
        tee "$folder/report.txt" || say "testssl ended with $?"
    say "the whole report is build/testssl/report.txt"
    grep -q '"OK"' "$folder/report.csv" || die "testssl has found nothing"
    ! found=$(grep -E '"(MEDIUM|HIGH|CRITICAL|FATAL)"|"overall_grade".*,"[B-Z]",' "$folder/report.csv") || die "above LOW, or below grade A: $found"
}

# issue_certificate FOLDER makes ca.pem, and key.pem with chain.pem for localhost.
issue_certificate() {
    local ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
    (
        cd "$1"
        openssl req -x509 "${ec[@]}" -days 365 -subj "/CN=fapws test authority" -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca-key.pem -out ca.pem
        openssl req "${ec[@]}" -subj /CN=localhost -keyout key.pem -out request.pem
        printf '%s\n' subjectAltName=DNS:localhost,IP:127.0.0.1 extendedKeyUsage=serverAuth keyUsage=critical,digitalSignature \
            basicConstraints=critical,CA:FALSE subjectKeyIdentifier=hash authorityKeyIdentifier=keyid \
            crlDistributionPoints=URI:http://localhost/ca.crl >extensions
        openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 90 -extfile extensions -out leaf.pem
        cat leaf.pem ca.pem >chain.pem
    ) 2>/dev/null
}
