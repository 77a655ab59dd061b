# Sourced by build.sh: testssl tries HTTPS with testssl.sh, the program of that name.
# shellcheck shell=bash
#
# `test` has a short run of it. docs/https.md has the result of a whole one.

readonly testssl_folder=$root/build/testssl

# word_testssl [FLAGS] tries a server with a certificate of an authority made for that, and fails if there is a
# finding above LOW or a grade below A. FLAGS go to testssl. Versions before 3.2 give no grade: where the system has
# such a one, root runs that of a fresh Debian trixie instead.
word_testssl() {
    local run=(run_testssl) flags=("$@")
    command -v openssl >/dev/null || want openssl openssl
    if [[ $EUID -eq 0 ]] && ! gives_grades; then
        run=(testssl_in_root)
        need_debootstrap testssl
    else
        command -v testssl >/dev/null || want testssl testssl.sh
    fi
    install_wanted
    word_build
    try_testssl "${run[@]}"
}

# test_testssl tries versions, ciphers with forward secrecy and the certificate, with the testssl of this system.
test_testssl() {
    local flags=(--protocols --fs --server-defaults)
    try_testssl run_testssl
}

# try_testssl RUN... starts the server, has RUN try it, and judges the report.
try_testssl() {
    local folder=$testssl_folder server address
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
    until address=$(sed -n 's|^fapws .* https://127.0.0.1:\([0-9]*\)/.*|\1|p' "$folder/server.log") && [[ -n $address ]]; do
        kill -0 "$server" 2>/dev/null || die "the server has ended: $folder/server.log"
        sleep 0.1
    done
    "$@"
    say "the whole report is build/testssl/report.txt"
    judge_testssl "$folder"
}

# gives_grades reports whether this system has a testssl that rates a server.
gives_grades() {
    local program
    program=$(command -v testssl) && grep -q overall_grade "$program"
}

# run_testssl [COMMAND...] tries the server of word_testssl with testssl, as COMMAND runs it in its directory.
run_testssl() {
    local status=0
    (
        cd "$testssl_folder"
        "$@" testssl --quiet --color 0 --warnings off --add-ca ca.pem --jsonfile report.json "${flags[@]}" "https://localhost:$address/"
    ) | tee "$testssl_folder/report.txt" || status=$?
    say "testssl ended with $status"
}

# testssl_in_root does that with the testssl of a fresh system.
testssl_in_root() {
    local system=$roots_folder/testssl
    make_root trixie "$system"
    apt_in "$system" install testssl.sh
    cp "$testssl_folder/ca.pem" "$system/root"
    run_testssl in_root "$system" root env --chdir=/root
    cp "$system/root/report.json" "$testssl_folder"
    rm -rf "$system"
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

# judge_testssl FOLDER looks at the findings.
judge_testssl() {
    python3 - "$1/report.json" <<'PYTHON'
import json
import sys

findings = json.load(open(sys.argv[1]))
if isinstance(findings, dict):
    findings = [f for result in findings["scanResult"] for part in result.values() if isinstance(part, list) for f in part]
bad = [f for f in findings if f["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL")]
grade = [f["finding"] for f in findings if f["id"] == "overall_grade"]
for f in bad:
    print("%s %s: %s" % (f["severity"], f["id"], f["finding"]))
print("%d findings, %d above LOW%s" % (len(findings), len(bad), "".join("; grade " + g for g in grade)))
sys.exit(not findings or bool(bad) or any(not g.startswith("A") for g in grade))
PYTHON
}
