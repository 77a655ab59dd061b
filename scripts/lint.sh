# Sourced by build.sh: lint, which is the first part of test.
# shellcheck shell=bash

# source_files PATTERN... prints the names of the project's files, each with a NUL behind it.
source_files() {
    local pattern names=()
    for pattern; do names+=(-o -name "$pattern"); done
    find "$root" \( -path "$root/build" -o -path "$root/.git" \) -prune -o -type f \( "${names[@]:1}" \) -print0
}

check_gofmt() {
    local files
    files=$(cd "$root" && gofmt -l bench cmd docs pybridge runtime samples)
    [[ -z $files ]] || die "not gofmt clean: $files"
}

check_vet() { (cd "$root" && go vet ./... && go vet -tags library ./cmd/fapws/process ./cmd/fapws); }

# check_static looks for what the compiler does not object to. A staticcheck that understands the newest Go needs it.
check_static() {
    local version=v0.8.0
    (($(go env GOVERSION | sed 's/^go1\.\([0-9]*\).*/\1/') >= 26)) || version=v0.6.1
    (cd "$root" && go run "honnef.co/go/tools/cmd/staticcheck@$version" ./...)
}

check_shell() { (cd "$root" && shellcheck -x -a build.sh bin/*.sh .ci/run .ci/*-test); }

# check_workflows checks the definitions of a forge's checks, and the commands in them with shellcheck.
check_workflows() { (cd "$root" && go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.7 .github/workflows/*.yml); }

# check_c_format compares the C with .clang-format.
check_c_format() { source_files '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror; }

# check_python has pyflakes look at all Python but for lines with a `# noqa`. It does not know that Environ and
# Start_response matter to a script that does not use them, nor that `import X as X` exports X.
check_python() {
    local found file line message status=0
    found=$(source_files '*.py' | xargs -0 pyflakes3) || true
    while IFS=: read -r file line message; do
        [[ -n $file ]] || continue
        [[ $message != *"base.Environ' imported but unused" && $message != *"base.Start_response' imported but unused" ]] || continue
        [[ $file != */contrib/fapws/__init__.py || $message != *"imported but unused" ]] || continue
        [[ $(sed -n "${line}p" "$file") != *"# noqa"* ]] || continue
        printf '%s:%s:%s\n' "$file" "$line" "$message"
        status=1
    done <<<"$found"
    return "$status"
}

# check_spelling looks for common misspellings; .codespellrc has the deliberate ones.
check_spelling() { (cd "$root" && codespell); }

# check_prose checks the spelling and grammar of all that users read.
check_prose() { "$python" "$root/scripts/prose.py" "$root"; }

# Warnings that cpy3's wrappers cannot pass. Unused parameters are the rule in functions
# that Python calls.
readonly c_warnings=(-Wall -Wextra -Werror -Wdeprecated-declarations -Wno-unused-parameter)

# check_c compiles our C with them.
check_c() {
    local flags
    eval "flags=($CGO_CFLAGS $(pkg-config --cflags python3))"
    (cd "$root" && "${CC:-gcc}" "${flags[@]}" "${c_warnings[@]}" -fsyntax-only pybridge/*.c cmd/fapws/*/*.c)
}

# check_c_others does so with the headers of every other Python of this machine: only
# `matrix` builds with them.
check_c_others() {
    local candidate version include checked=() without=() jobs=() job status=0
    while read -r candidate; do
        { read -r version && read -r include; } < <("$candidate" -S -c '
import sys, sysconfig
print("%d.%d.%d" % sys.version_info[:3] + sys.abiflags, sysconfig.get_config_var("INCLUDEPY"), sep="\n")')
        if [[ $include == "$py_include" ]]; then
            continue
        elif [[ -e $include/Python.h ]]; then
            check_c_with "$version" "$include" &
            jobs+=($!) checked+=("$version")
        else
            without+=("$version")
        fi
    done < <(list_pythons)
    for job in "${jobs[@]}"; do
        wait "$job" || status=1
    done
    say "C checked with the headers of Python ${checked[*]:-(there is no other)}${without[*]:+; without headers: ${without[*]}}"
    return "$status"
}

# check_c_with VERSION FOLDER checks with the headers in FOLDER. They are parsed once, which
# takes most of the time otherwise.
check_c_with() {
    local all=$root/build/headers/$1/all.h status=0
    local flags=("-I$root" "-I$2" "${c_warnings[@]}")
    mkdir -p "${all%/*}"
    printf '#include "%s"\n' pybridge/python/compat.h pybridge/core.h >"$all"
    (cd "$root" && "${CC:-gcc}" "${flags[@]}" -x c-header "$all" -o "$all.gch" &&
        "${CC:-gcc}" "${flags[@]}" -Winvalid-pch -include "$all" -fsyntax-only pybridge/*.c) || status=1
    rm -f "$all.gch" # 12 MB
    ((status == 0)) || say "the C of pybridge does not compile with Python $1"
    return "$status"
}

# lint runs the checks that need no running server.
lint() {
    stage gofmt check_gofmt
    stage vet check_vet
    stage staticcheck check_static
    stage shellcheck check_shell
    stage workflows check_workflows
    stage "C format" check_c_format
    stage "C warnings" check_c
    stage "C, other Pythons" check_c_others
    stage Python check_python
    stage spelling check_spelling
    stage prose check_prose
}

word_lint() {
    local failed=()
    use_python
    need_lint_tools
    lint
    stage "other machines" test_go -run '^TestOtherSystems$' ./cmd/fapws
    summary
}
