# shellcheck shell=bash
# Pictures for the documentation; build.sh sources this file.

# word_pictures makes docs/images from running samples, by the test that uses them in Chromium.
word_pictures() {
    word_build
    need_test_tools
    mkdir -p "$root/docs/images"
    FAPWS_BIN=$root/build/fapws FAPWS_PICTURES=$root/docs/images test_go -count=1 -run '^TestConsole$' ./samples
}
