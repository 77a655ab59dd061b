# Sourced by build.sh: docs makes the website of the documentation.
# shellcheck shell=bash

# mkdocs runs with the system's Python, because the site does not depend on the Python that fapws embeds.
readonly site_python=/usr/bin/python3

# make_mkdocs installs the packages of scripts/site/requirements.txt into the virtual environment build/docs, unless
# they are installed.
make_mkdocs() {
    local venv=$root/build/docs pinned=$root/scripts/site/requirements.txt
    cmp -s "$pinned" "$venv/installed.txt" && return
    rm -rf "$venv"
    patiently "fetching the packages of ${pinned#"$root/"}" logged "$root/build/docs.log" \
        install_packages "$site_python" "$venv" "$pinned" ||
        die "pip could not install the packages of ${pinned#"$root/"}; see build/docs.log"
}

# make_site writes the site to build/site. It fails if a link has no target, or if a page would load a file from another
# server.
make_site() {
    mkdir -p "$root/build"
    make_mkdocs
    # NO_MKDOCS_2_WARNING turns off an announcement of the theme's authors.
    NO_MKDOCS_2_WARNING=1 FAPWS_HOME_URL=$(home_url) \
        "$root/build/docs/bin/mkdocs" build --strict --quiet --config-file "$root/scripts/site/mkdocs.yml"
}

word_docs() {
    want_venv "$site_python"
    install_wanted
    make_site
    say "made build/site; look at it with: fapws -c build/site/fapws.toml"
}
