# Sourced by build.sh: lint, which is the first part of test.

check_gofmt() { ! (cd "$root" && gofmt -l bench cmd docs pybridge runtime samples) | grep .; }

check_vet() { (cd "$root" && go vet ./... && go vet -tags library ./cmd/fapws/process ./cmd/fapws); }

# check_static looks for what the compiler does not object to. A staticcheck that understands the newest Go needs it.
check_static() {
    local version=v0.8.0
    (($(go env GOVERSION | sed 's/^go1\.\([0-9]*\).*/\1/') >= 26)) || version=v0.6.1
    (cd "$root" && go run "honnef.co/go/tools/cmd/staticcheck@$version" ./...)
}

# check_shell checks build.sh and what it sources as one program: each part uses names of the others. The words get their
# arguments from main.
check_shell() {
    (
        cd "$root"
        cat build.sh scripts/*.sh | shellcheck -s bash -e SC2119,SC2120 -
        shellcheck -x bin/*.sh .ci/run .ci/*-test
    )
}

# check_workflows checks the definitions of a forge's checks, and the commands in them with shellcheck.
check_workflows() { (cd "$root" && go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.7 .github/workflows/*.yml); }

# check_c_format compares the C with .clang-format.
check_c_format() { (cd "$root" && find cmd pybridge runtime -name '*.[ch]' -exec clang-format --dry-run -Werror {} +); }

# check_python looks for the mistakes that pyflakes knows. Scripts of tests import Environ and Start_response as their users
# do, and contrib/fapws/__init__.py exports what it imports.
check_python() {
    (cd "$root" && flake8 --isolated --select F --exclude build,.git --per-file-ignores 'contrib/fapws/__init__.py:F401 */testdata/*:F401')
}

# check_spelling looks for common misspellings; .codespellrc has the deliberate ones.
check_spelling() { (cd "$root" && codespell); }

# Warnings that cpy3's wrappers cannot pass. Unused parameters are the rule in functions
# that Python calls.
readonly c_warnings=(-Wall -Wextra -Werror -Wdeprecated-declarations -Wno-unused-parameter)

# check_c compiles the C of pybridge with them, with the headers of each Python of this machine.
check_c() {
    local candidate version include job jobs=() status=0
    (cd "$root" && "${CC:-gcc}" "${c_warnings[@]}" -fsyntax-only cmd/fapws/*/*.c) || status=1
    while read -r candidate; do
        { read -r version && read -r include; } < <("$candidate" -S -c '
import sys, sysconfig
print("%d.%d.%d" % sys.version_info[:3] + sys.abiflags, sysconfig.get_config_var("INCLUDEPY"), sep="\n")')
        [[ -e $include/Python.h ]] || continue
        check_c_with "$version" "$include" &
        jobs+=($!)
    done < <(list_pythons)
    for job in "${jobs[@]}"; do
        wait "$job" || status=1
    done
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
    stage Python check_python
    stage spelling check_spelling
}

word_lint() {
    local failed=()
    use_python
    need_lint_tools
    lint
    stage "other machines" test_go -run '^TestOtherSystems$' ./cmd/fapws
    summary
}
