# Sourced by build.sh: test, race, asan, tsan, fuzz and load.
# shellcheck shell=bash

# Only a test that hangs reaches this timeout. A package takes many times longer on a slow machine, and the tests have
# their own limits.
readonly test_limit=180m

# Most tests wait for servers, so more tests than CPUs run at once. On a machine with slow page faults, as some virtual
# machines are, a client could then miss a limit of its server. Therefore FAPWS_TEST_SLOWNESS extends the limits, and at
# most five tests of a package run at once. lint has called go vet. With -w, programs have no tables for debuggers, and
# linking takes half the time; panics, and reports of sanitizers about C, have their lines nevertheless.
test_go() {
    (cd "$root" && FAPWS_TEST_SLOWNESS=${FAPWS_TEST_SLOWNESS:-3} go test -vet=off -timeout "$test_limit" \
        -p "$(($(nproc) + 1))" -parallel 5 -ldflags "-w $(interpreter_flag)" "$@")
}

# test_twice runs go test like test_go, and runs each test that fails once more, alone in its package: on a machine with
# other work, a client can miss a limit of its server. A test that fails twice fails, and so does what is no single test,
# such as a panic or a package that does not compile.
test_twice() {
    local log failed package names
    log=$(mktemp)
    test_go "$@" | tee "$log" && rm "$log" && return
    failed=$(failed_tests "$log")
    rm "$log"
    [[ -n $failed ]] || return 1
    while IFS=$'\t' read -r package names; do
        [[ -n $names ]] || return 1
        say "failed in $package: ${names//|/, }; once more"
        test_go -count=1 -run "^($names)\$" "$package" || return 1
    done <<<"$failed"
}

# failed_tests LOG prints a line for each package that has failed in the output of go test: the package, a tab, and the
# names of its failed tests, joined by "|". There are no names if the package did not run to its end.
failed_tests() {
    awk -F'[\t ]+' '
        /^--- FAIL: / { names = names (names == "" ? "" : "|") $3 }
        /^(panic|fatal error|unexpected fault|signal): / { broken = 1 }
        /^FAIL\t/ { print $2 "\t" (broken ? "" : names); names = ""; broken = 0 }' "$1"
}

# test_all runs the Go tests except those of test_soak, and those of race_packages that test_race_short runs.
test_all() {
    local fuzzed others status=0
    rm -rf "$fuzz_programs"
    mapfile -t fuzzed < <(fuzz_targets | sed 's|^|./|; s|/[^/]*$||' | sort -u |
        grep -vxFf <(printf '%s\n' "${race_packages[@]}"))
    mapfile -t others < <(go list ./... |
        grep -vxFf <(printf '%s\n' "${fuzzed[@]/#./fapws}" "${race_packages[@]/#./fapws}"))
    test_go -o "$fuzz_programs/" "${fuzzed[@]}" || status=1
    test_go -run "$race_skipped" "${race_packages[@]}" || status=1
    # The packages that take longest begin first.
    test_twice -skip "$soak" ./samples ./cmd/fapws/acceptance/process "${others[@]}" || status=1
    return "$status"
}

# test_all_and_compile runs the Go tests. They mostly wait, so what the stages after them need is compiled beside them,
# whenever a processor is free.
test_all_and_compile() {
    local compiler status=0 log=$root/build/for-stages.log
    compile_for_stages >"$log" 2>&1 &
    compiler=$!
    test_all || status=$?
    wait "$compiler" || { status=$? && say "compiling for the other stages failed:" && cat "$log" >&2; }
    return "$status"
}

# compile_for_stages makes the wheel and the programs of detectors. The packages of the tests for races are compiled into
# Go's cache, but not linked, because results of tests that have not changed are there, too.
compile_for_stages() {
    renice -n 19 "$BASHPID"
    make_test_wheel
    build_race
    go list -race -test -export "${race_packages[@]}"
    compile_sanitizer
}

# test_fuzz TIME [FLAGS] runs every fuzz target for TIME, a duration or a number of inputs ("60s", "1000x"; see go test
# -fuzztime). Without FLAGS, the programs are those that test_all and test_race_short have kept. With the FLAGS -fuzz .,
# the programs are compiled with coverage, which guides the choice of inputs. Compiling them takes long, so this is only
# useful for many inputs.
test_fuzz() {
    local folder target inputs built='' program
    inputs=$(go env GOCACHE)/fuzz/fapws # where `go test -fuzz` keeps them
    mkdir -p "$fuzz_programs"
    while IFS=: read -r folder target; do
        folder=${folder%/*}
        program=$fuzz_programs/${folder##*/}.test
        say "fuzz $folder $target"
        [[ $folder == "$built" || $# == 1 ]] || go test -c "${@:2}" -o "$program" "./$folder"
        built=$folder
        fuzz_one "$folder" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$1" \
            -test.fuzzcachedir "$inputs/$folder" || return 1
    done < <(fuzz_targets)
}

# fuzz_targets prints FILE:TARGET for every fuzz target.
fuzz_targets() { grep -roP --include='*_test.go' '^func \KFuzz\w+' bench cmd pybridge runtime | sort; }

# test_all and test_race_short keep the programs of packages with fuzz targets for test_fuzz in this directory.
readonly fuzz_programs=$root/build/fuzz

# fuzz_one FOLDER FLAGS... runs a program of test_fuzz. If the time ends during a slow input, Go may report a failure
# without an input. This failure is ignored, because Go names every input that really fails.
fuzz_one() {
    local said status=0
    said=$(cd "$1" && "$program" "${@:2}" 2>&1) || status=$?
    grep -v '^warning: the test binary was not built with coverage' <<<"$said" || true
    [[ $status == 0 || ($said == *"context deadline exceeded"* && $said != *"Failing input"* && $said != *panic*) ]]
}

# Race tests end at the first race. By default, a program with the race detector sleeps for a second before it exits, so
# that other goroutines can complete their reports.
readonly race_options="halt_on_error=1 atexit_sleep_ms=50"

# These tests of pybridge read its source. With a detector, they would take longer than all others, and find no more.
readonly source_tests="AreComparedOnlyToSelect|WhatTheirFilesDefine|CallOnlyLowerParts"

# `test` runs these long tests without the race detector, and the word race runs them with it.
readonly race_skipped="Leak|LeavesNothing|SharedObjects|DoNotAllocate|AreSmall|\
SlowClientsOf|AheadIsBounded|HTTP2Bodies|LargeUpload|LoginFlood|$source_tests"

# `test` checks only these packages for races. The other packages use one goroutine, or start programs and wait for
# them.
readonly race_packages=(./pybridge ./runtime ./runtime/{backend,conn,eventloop,http2,live,logfile,source/app})

# `test` runs only these tests of the whole server with the race detector: HTTP/1, HTTP/2, channels, WebSockets,
# reloads, and all of them at once.
readonly race_chosen="^Test(PipelinedRequests|ClientThatExpectsContinue|MemoryThatIsSentToSeveralClients|\
BodiesOfParallelStreams|StreamingASGIBodies|ChannelCallbacksReportManyClients|GroupMessage|WebSocketsComeAndGo|\
ReloadClosesConnections|ReloadLoadsAChangedFile|Soak)"

# test_race FLAG|PACKAGE... runs the tests of packages with the race detector.
test_race() { GORACE=$race_options test_go -race "$@"; }

# test_race_short runs the tests of race_packages, except long tests, with the race detector.
test_race_short() { test_race -o "$fuzz_programs/" -skip "$race_skipped" "${race_packages[@]}"; }

# test_race_all calls test_race for all packages whose tests do not need a separate executable.
test_race_all() {
    local packages
    mapfile -t packages < <(go list ./pybridge/... ./runtime/... ./cmd/... |
        grep -vxE 'fapws/cmd/fapws(/acceptance/.*)?')
    test_race "${packages[@]}"
}

# test_watched FILE SKIPPED [FLAG|PACKAGE...] runs acceptance tests, by default all, in one mode, with the executable
# FILE, which contains a detector. It skips the tests that match SKIPPED, the tests of frameworks, because these are
# Python code, and tests that count threads, memory or CPU time, because detectors reserve terabytes.
test_watched() {
    local what=("${@:3}")
    ((${#what[@]})) || what=(./cmd/fapws/acceptance/...)
    FAPWS_BIN=$1 FAPWS_ONLY_MODE=threads \
        test_go -skip "Flask|Django|Pyramid|Bottle|Falcon|ChunkedBodies|Routes|\
ManyIdleClients|SteadyThreads|SupervisorKeepsNothing|TightLimits|LowLimitOfMemory|UploadMemory${2:+|$2}" \
        "${what[@]}"
}

build_race() { build_to "$root/build/race/fapws" -pgo=off -race; }

# test_race_whole [FLAG|PACKAGE...] runs acceptance tests with an executable that contains the race detector.
test_race_whole() {
    build_race
    GORACE=$race_options test_watched "$root/build/race/fapws" '' "$@"
}

readonly sanitizer_program=$root/build/sanitizer/pybridge.test

# compile_sanitizer compiles the tests of test_sanitizer, unless they are compiled. With -c, reports contain line numbers.
# Go expects the version text of the compiler to begin with the compiler's name, but Debian's Go calls
# x86_64-linux-gnu-gcc, whose text begins with another name.
compile_sanitizer() {
    mkdir -p "${sanitizer_program%/*}"
    GOEXPERIMENT=cgocheck2 CC=${CC:-gcc} test_go -asan -c -o "$sanitizer_program" ./pybridge
}

# test_sanitizer runs pybridge's tests with AddressSanitizer, and with a Go runtime that checks each pointer written to
# C memory (cgocheck2). AddressSanitizer checks only memory from malloc, so Python uses malloc as well. Builds with a
# sanitizer also check on which thread, with or without the GIL, and when each C function is called (CORE_CHECK).
# Reports go to files, because the tests read their own stderr.
test_sanitizer() {
    local report=${sanitizer_program%/*}/report
    rm -f "$report"*
    compile_sanitizer
    cd pybridge
    PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0:log_path="'$report'" \
        "$sanitizer_program" -test.timeout "$test_limit" -test.skip "$source_tests" || { cat "$report"* 2>/dev/null; return 1; }
}

# test_sanitizer_whole runs acceptance tests with an executable with AddressSanitizer. The sanitizer must not handle the
# server's signals, and must fail like malloc if memory is exhausted. Skipped are tests of memory, because the sanitizer
# keeps freed memory, and tests that crash on purpose.
test_sanitizer_whole() {
    GOEXPERIMENT=cgocheck2 CC=${CC:-gcc} build_to "$root/build/asan/fapws" -pgo=off -asan
    PYTHONMALLOC=malloc \
        ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:handle_segv=0:\
handle_sigbus=0:handle_abort=0:handle_sigfpe=0:handle_sigill=0 \
        test_watched "$root/build/asan/fapws" 'Soak|BackPressure|WriteWaits|TestCrash|CacheMemory'
}

# test_thread_sanitizer SUPPRESSIONS runs pybridge's tests with ThreadSanitizer, which checks the C code, and the calls
# between C and Go, but not Go's memory. Reports go to files, because the tests read their own stderr. Skipped are tests
# of crashes, because the sanitizer handles their signals itself, and tests that count threads or memory.
test_thread_sanitizer() {
    local folder=$root/build/tsan status=0
    rm -rf "$folder"
    mkdir -p "$folder"
    test_go -c -o "$folder/pybridge.test" ./pybridge
    cat "$1" scripts/tsan.supp >"$folder/suppressions"
    cd pybridge
    TSAN_OPTIONS="suppressions='$folder/suppressions' log_path='$folder/report' exitcode=0 history_size=4" \
        "$folder/pybridge.test" -test.timeout "$test_limit" -test.skip 'Crash|Leak|Fork' || status=1
    cat "$folder"/report* 2>/dev/null && return 1
    return "$status"
}

readonly soak='^Test(Soak|UploadMemory)'

# test_soak REQUESTS sends this number of mixed requests in each mode, and a large upload.
test_soak() {
    FAPWS_SOAK_REQUESTS=$1 FAPWS_UPLOAD_MIB=200 test_go -count=1 -run "$soak" -v \
        ./cmd/fapws/acceptance/http
}

# stages_of FUNCTION prints the names of the stages that FUNCTION runs, in their order.
stages_of() {
    local line name
    while read -r line; do
        line=${line%;}
        case $line in
        'stage "'*) name=${line#*\"} && printf '%s\n' "${name%%\"*}" ;;
        'stage '*) name=${line#* } && printf '%s\n' "${name%% *}" ;;
        lint) stages_of lint ;;
        'side_by_side '*) for name in ${line#* }; do stages_of "$name"; done ;;
        esac
    done < <(declare -f "$1")
}

# stage NAME COMMAND... runs COMMAND in $root, prints its duration, and adds NAME to failed if it fails. If the array
# stages contains NAME, messages also say which of how many stages this is.
failed=() stages=()
stage() {
    local name=$1 start=$SECONDS status ticker= place='' i
    for i in "${!stages[@]}"; do
        [[ ${stages[i]} != "$name" ]] || place="$((i + 1))/${#stages[@]} "
    done
    say "== $place$name"
    [[ ${aside-} ]] || tick 60 60 printf '== %s' "$place$name"
    set +e # inside `if` or `||` the shell would ignore set -e in the command
    (set -e; cd "$root"; "${@:2}") </dev/null
    status=$?
    set -e
    [[ ! $ticker ]] || stop_ticking
    printf '%s s: %s\n' "$((SECONDS - start))" "$name" >>"$root/build/stages.$$"
    if ((status)); then
        failed+=("$name")
        say "== $place$name FAILED ($((SECONDS - start)) s)"
    else
        say "== $place$name ok ($((SECONDS - start)) s)"
    fi
}

word_test() {
    need_test_tools
    word_build
    mapfile -t stages < <(stages_of word_test)
    export FAPWS_BIN=$root/build/fapws
    "$python" -m compileall -qq "$root"/contrib/fapws{,4} # the servers of tests then write no bytecode
    lint
    stage "Go tests" test_all_and_compile
    side_by_side packages detectors others
    summary
}

detectors() {
    stage race test_race_short
    stage "short fuzz" test_fuzz 1000x
    stage "race, the whole server" test_race_whole -run "$race_chosen" ./cmd/fapws/acceptance/{http,http2,live,process}
    stage "address sanitizer" test_sanitizer
}

others() {
    stage "Python tests" env -C contrib "$python" -m unittest discover -q -s tests -t .
    stage soak test_soak 20000
    stage "testssl, short" try_testssl --protocols --fs --server-defaults
    stage "site of the documentation" make_site
    stage "search of the documentation" node .ci/search-test.mjs build/site .ci/search.tsv docs/trouble.md
    stage "what build.sh decides" .ci/build-test
    stage "the standard library inside" test_library
    stage install .ci/install-test # makes build/fapws again, which the stages before it use
}

# test_library tests an executable that contains the standard library of this machine's Python, as the executables for
# musl contain theirs. Its extension modules stay files.
test_library() {
    local folders py_library
    mapfile -t folders < <("$python" -S -c 'import sys, sysconfig
if sys.version_info >= (3, 11) and "zlib" in sys.builtin_module_names:
    print(sysconfig.get_path("stdlib"), sysconfig.get_config_var("DESTSHARED"), sep="\n")')
    ((${#folders[@]})) || { say "not tested: Python $py_version cannot start without files"; return; }
    py_library=${folders[0]}
    build_to "$root/build/library/fapws"
    .ci/alone-test "$root/build/library/fapws" "${folders[1]}"
}

packages() {
    stage "files of a wheel" test_wheel_files
    stage wheel test_wheel_short
    stage "a fresh clone" .ci/clone-test
}

# side_by_side FUNCTION... runs functions that call stage at the same time, because most stages use only one CPU, and
# prints the output of each function when the function has ended. The trap is required, because processes in the
# background ignore SIGINT.
side_by_side() {
    local name process running=() before=${#failed[@]} output=$root/build/side-by-side ticker
    rm -rf "$output"
    mkdir -p "$output"
    trap 'kill 0' INT
    for name; do
        (aside=1; "$name"; ((${#failed[@]} == before))) >"$output/$name" 2>&1 &
        running+=("$!")
    done
    tick 60 60 last_lines "${@/#/$output/}"
    for name; do
        process=${running[0]} running=("${running[@]:1}")
        wait "$process" || failed+=("$name")
        cat "$output/$name"
    done
    stop_ticking
    trap - INT
}

# last_lines FILE... prints the last line of each file, which shows the progress of a stage.
last_lines() {
    local file
    for file; do
        grep '^build.sh: == ' "$file" 2>/dev/null | tail -n 1 | sed 's/^build.sh: //'
    done | paste -sd ' '
}

summary() {
    say "the stages that took longest:"
    sort -rn "$root/build/stages.$$" | head -n 5 | sed 's/^/  /' >&2
    rm "$root/build/stages.$$"
    if ((${#failed[@]})); then
        die "FAILED after $SECONDS s: ${failed[*]}"
    fi
    say "all good after $SECONDS s"
}

# longer_checks [NAME COMMAND]... runs each COMMAND as a stage called NAME.
longer_checks() {
    need_test_tools
    while (($#)); do
        stage "$1" "$2"
        shift 2
    done
    summary
}

word_race() { longer_checks race test_race_all "race, the whole server" test_race_whole; }
word_asan() {
    longer_checks "address sanitizer" test_sanitizer "address sanitizer, the whole server" test_sanitizer_whole
}

# word_tsan uses the suppressions in the source directory of the chosen Python, so that both have the same version.
word_tsan() {
    local CFLAGS="-fsanitize=thread -O1 -g" LDFLAGS="-fsanitize=thread -g" suppressions
    use_python
    suppressions=$("$python" -S -c '
from sysconfig import get_config_var
if "--with-thread-sanitizer" in get_config_var("CONFIG_ARGS"):
    print(get_config_var("abs_srcdir") + "/Tools/tsan/suppressions_free_threading.txt")')
    [[ $suppressions ]] ||
        die "$python was not built --with-thread-sanitizer: build one as CONTRIBUTING.md says," \
            "and name it with --python PATH"
    [[ -e $suppressions ]] || die "$suppressions not found: tsan needs the source directory in which $python was built"
    stage "thread sanitizer" test_thread_sanitizer "$suppressions"
    summary
}

word_load() {
    need_test_tools
    word_build
    FAPWS_BIN=$root/build/fapws FAPWS_AB="${1:-2000} ${2:-100000}" test_go -count=1 -v -run '^TestLoad' \
        ./cmd/fapws/acceptance/http
}

word_small() {
    need_test_tools
    word_build
    FAPWS_BIN=$root/build/fapws FAPWS_SMALL=1 test_go -count=1 -v -run '^TestSmall|^TestPower' -timeout 60m ./cmd/fapws/acceptance/process
}

word_fuzz() {
    use_python
    cd "$root"
    if [[ ${1-} == paths ]]; then
        FAPWS_TRIES=${2:-1000000} go test -count=1 -v -timeout "$test_limit" -run '^TestNoByteFromOutside' \
            ./runtime/source/static
        return
    fi
    test_fuzz "${1:-60}s" -fuzz .
}
