# Sourced by build.sh: testssl tries HTTPS with testssl.sh, the program of that name.
# shellcheck shell=bash
#
# `test` does not run it: it takes some minutes. docs/https.md has its result.

# word_testssl [FLAGS] tries a server with a certificate of an authority made for that, and fails if there is a
# finding above LOW or, from version 3.2 of testssl on, a grade below A. FLAGS go to testssl.
word_testssl() {
    command -v testssl >/dev/null || want testssl testssl.sh
    command -v openssl >/dev/null || want openssl openssl
    install_wanted
    word_build
    local folder=$root/build/testssl server address status=0
    rm -rf "$folder"
    mkdir -p "$folder"
    issue_certificate "$folder"
    printf '%s\n' 'def application(environ, start_response):' '    start_response("200 OK", [])' '    return [b"hello\n"]' >"$folder/app.py"
    printf '%s\n' 'bind = "https://127.0.0.1:0"' 'certfile = "chain.pem"' 'keyfile = "key.pem"' 'hsts = "1y"' 'app = "app.py"' \
        'headers = { X-Content-Type-Options = "nosniff", X-Frame-Options = "DENY", Content-Security-Policy = "default-src '"'self'"'" }' \
        >"$folder/fapws.toml"
    FAPWS_ALLOW_ROOT=1 "$root/build/fapws" --config "$folder/fapws.toml" >"$folder/server.log" 2>&1 &
    server=$!
    until address=$(sed -n 's|^fapws .* https://127.0.0.1:\([0-9]*\)/.*|\1|p' "$folder/server.log") && [[ -n $address ]]; do
        kill -0 "$server" 2>/dev/null || die "the server has ended: $folder/server.log"
        sleep 0.1
    done
    testssl --quiet --color 0 --warnings off --add-ca "$folder/ca.pem" --jsonfile "$folder/report.json" "$@" \
        "https://localhost:$address/" | tee "$folder/report.txt" || status=$?
    kill "$server"
    wait "$server" || true
    say "testssl ended with $status; the whole report is build/testssl/report.txt"
    judge_testssl "$folder"
}

# issue_certificate FOLDER makes ca.pem, and key.pem with chain.pem for localhost.
issue_certificate() {
    local ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
    (
        cd "$1"
        openssl req -x509 "${ec[@]}" -days 30 -subj "/CN=fapws test authority" -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca-key.pem -out ca.pem
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
sys.exit(bool(bad) or any(not g.startswith("A") for g in grade))
PYTHON
}
