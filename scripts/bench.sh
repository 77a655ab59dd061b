# Sourced by build.sh: bench.
# shellcheck shell=bash

# The loader and the peers, each as "command or module=Debian package".
readonly bench_tools="wrk=wrk uwsgi=uwsgi-core uwsgi_python3=uwsgi-plugin-python3
    flask=python3-flask django=python3-django /usr/bin/gunicorn=gunicorn waitress=python3-waitress cheroot=python3-cheroot /usr/bin/uvicorn=uvicorn
    uvloop=python3-uvloop httptools=python3-httptools hypercorn=python3-hypercorn websockets=python3-websockets
    starlette=python3-starlette fastapi=python3-fastapi nginx=nginx-light apache2=apache2 php-cgi=php-cgi h2load=nghttp2-client"

has_bench_tool() {
    command -v "$1" >/dev/null || [[ -n $(find /usr/lib/python3/dist-packages/"$1" \
        /usr/lib/uwsgi/plugins/"$1"_plugin.so -maxdepth 0 2>/dev/null) ]]
}

word_bench() {
    local tool missing=()
    word_build
    for tool in $bench_tools; do
        has_bench_tool "${tool%=*}" || missing+=("${tool#*=}")
    done
    if ((${#missing[@]})); then
        if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
            say "installing what to compare with: ${missing[*]}"
            apt_install "${missing[@]}" || say "some could not be installed; they are left out"
        else
            say "left out, not installed: ${missing[*]}"
        fi
    fi
    (cd "$root" && go build -buildvcs=false -o build/bench/ ./bench ./bench/baregnet ./bench/nethttp)
    FAPWS_BIN=$root/build/fapws exec "$root/build/bench/bench" -apps "$root/bench/apps" "$@"
}
