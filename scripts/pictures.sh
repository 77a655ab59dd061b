# shellcheck shell=bash
# Pictures for the documentation; build.sh sources this file.

# word_pictures makes docs/images from running samples, by the test that uses them in Chromium, and a film. This has a network without other servers, where port 8888 is free.
word_pictures() {
    word_build
    need_test_tools
    mkdir -p "$root/docs/images"
    FAPWS_BIN=$root/build/fapws FAPWS_PICTURES=$root/docs/images test_go -count=1 -run '^TestConsole$' ./samples
    # shellcheck disable=SC2016 # of the inner shell
    unshare --user --map-root-user --net sh -c 'ip link set lo up; exec "$@"' - \
        "$python" "$root/scripts/film.py" "$root/build/fapws" "$root/docs/images/dev.svg"
}
