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

# check_static runs staticcheck, which finds mistakes that the compiler accepts. With GOGC=400, it takes a third less time
# and up to twice the memory.
check_static() {
    local version=v0.8.0
    (($(go env GOVERSION | sed 's/^go1\.\([0-9]*\).*/\1/') >= 26)) || version=v0.6.1
    GOGC=400 go run "honnef.co/go/tools/cmd/staticcheck@$version" ./...
}

# check_shell checks build.sh and scripts/ as a part of build-test, which sources them. It checks several files at once,
# because this check takes as long as all others.
check_shell() {
    printf '%s\0' make.sh bin/*.sh .ci/run .ci/*-test | xargs -0 -n 1 -P "$(nproc)" shellcheck -x -a
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
readonly c_check=("${CC:-gcc}" -Wall -Wextra -Werror -Wdeprecated-declarations -Wno-unused-parameter)

# check_c calls c_check with the headers of the chosen Python and of each other Python on this machine.
check_c() {
    local candidate include includes=("$py_include") without=() running=() process
    while read -r candidate; do
        include=$("$candidate" -S -c 'import sysconfig; print(sysconfig.get_config_var("INCLUDEPY"))')
        if [[ ! -e $include/Python.h ]]; then
            without+=("$candidate")
        elif [[ $include != "$py_include" ]]; then
            includes+=("$include")
        fi
    done < <(list_pythons)
    say "checking C with the headers of ${includes[*]##*/}${without[*]:+; without headers: ${without[*]}}"
    for include in "${includes[@]}"; do
        check_c_with "$include" &
        running+=("$!")
    done
    "${c_check[@]}" -fsyntax-only cmd/fapws/*/*.c
    for process in "${running[@]}"; do wait "$process"; done
}

# check_c_with INCLUDE compiles pybridge with the headers in the directory INCLUDE. Python's headers are compiled only
# once, because they are much longer than our files.
check_c_with() {
    local header=$root/build/headers/${1//\//_}.h
    mkdir -p "$root/build/headers"
    printf '#include "%s"\n' python/compat.h core_python.h >"$header"
    "${c_check[@]}" -Ipybridge -I"$1" "$header" -o "$header.gch"
    "${c_check[@]}" -Ipybridge -I"$1" -include "$header" -fsyntax-only pybridge/*.c
    rm "$header.gch"
}

# lint runs the checks that need no running server. actionlint passes the commands in workflows to shellcheck;
# .codespellrc lists correct words that codespell would report.
lint() {
    stage gofmt check_gofmt
    stage vet go vet ./...
    stage "vet, other tags" go vet -tags library ./cmd/fapws/process
    stage staticcheck check_static
    stage shellcheck check_shell
    stage workflows go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.7 "$root"/.github/workflows/*.yml
    stage "C format" check_c_format
    stage "C warnings" check_c
    stage Python check_python
    stage spelling codespell
}

word_lint() {
    use_python
    need_lint_tools
    mapfile -t stages < <(stages_of lint)
    lint
    summary
}
