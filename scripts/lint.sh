# Sourced by build.sh: lint, which is the first part of test.
# shellcheck shell=bash

# source_files PATTERN... prints the names of the project's files that match a PATTERN, each followed by a NUL.
source_files() {
    local pattern names=()
    for pattern; do names+=(-o -name "$pattern"); done
    find "$root" \( -path "$root/build" -o -path "$root/.git" \) -prune -o -type f \( "${names[@]:1}" \) -print0
}

check_gofmt() {
    local files
    files=$(gofmt -l bench cmd docs pybridge runtime samples)
    [[ -z $files ]] || die "not gofmt clean: $files"
}

# check_static runs staticcheck, which finds mistakes that the compiler accepts.
check_static() {
    local version=v0.8.0
    (($(go env GOVERSION | sed 's/^go1\.\([0-9]*\).*/\1/') >= 26)) || version=v0.6.1
    go run "honnef.co/go/tools/cmd/staticcheck@$version" ./...
}

# check_shell checks several files at once, because the check of build.sh with its sourced files takes as long as all
# other checks.
check_shell() {
    printf '%s\0' build.sh make.sh bin/*.sh .ci/run .ci/*-test | xargs -0 -n 1 -P "$(nproc)" shellcheck -x -a
}

check_c_format() { source_files '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror; }

# check_python runs pyflakes on all Python files, by flake8, which supports "# noqa". __init__.py imports names only to
# export them.
check_python() {
    source_files '*.py' | xargs -0 flake8 --isolated --select F \
        --per-file-ignores "$root/contrib/fapws/__init__.py:F401"
}

# c_check compiles C with all warnings except two kinds: unused parameters, which Python's calling convention requires,
# and the warnings that cpy3's wrappers cause.
readonly c_check=("${CC:-gcc}" -Wall -Wextra -Werror -Wdeprecated-declarations -Wno-unused-parameter -fsyntax-only)

check_c() {
    local flags
    eval "flags=($CGO_CFLAGS $(pkg-config --cflags python3))"
    "${c_check[@]}" "${flags[@]}" pybridge/*.c cmd/fapws/*/*.c
}

# check_c_others calls c_check with the headers of each other Python on this machine.
check_c_others() {
    local candidate include includes=() without=() names
    while read -r candidate; do
        include=$("$candidate" -S -c 'import sysconfig; print(sysconfig.get_config_var("INCLUDEPY"))')
        if [[ ! -e $include/Python.h ]]; then
            without+=("$candidate")
        elif [[ $include != "$py_include" ]]; then
            includes+=("$include")
        fi
    done < <(list_pythons)
    names=${includes[*]##*/}
    say "C checked with the headers of ${names:-no other Python}${without[*]:+; without headers: ${without[*]}}"
    ((${#includes[@]})) || return 0
    printf '%s\0' "${includes[@]}" |
        xargs -0 -P "$(nproc)" -I{} "${c_check[@]}" -I. -I{} -include pybridge/python/compat.h pybridge/*.c
}

# lint runs the checks that need no running server. actionlint passes the commands in workflows to shellcheck;
# .codespellrc lists correct words that codespell would report.
lint() {
    stage gofmt check_gofmt
    stage vet go vet ./...
    stage "vet, library" go vet -tags library ./cmd/fapws/process ./cmd/fapws
    stage "32 bits" env CGO_ENABLED=0 GOARCH=arm GOARM=7 go build ./runtime ./runtime/source/{cache,static,upload}
    stage staticcheck check_static
    stage shellcheck check_shell
    stage workflows go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.7 "$root"/.github/workflows/*.yml
    stage "C format" check_c_format
    stage "C warnings" check_c
    stage "C, other Pythons" check_c_others
    stage Python check_python
    stage spelling codespell
}

word_lint() {
    use_python
    need_lint_tools
    lint
    summary
}
