# bash completion for fapws; after --, names of files.
_fapws() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == -- ]]; then
            compopt -o default
            return
        fi
    done
    case ${COMP_WORDS[1]}:$prev in
        import:* | user:-f | user:--file | bench:--cacert | ctl:--socket) compopt -o default; return ;;
        ctl:--pid) return ;;
        new:new) COMPREPLY=($(compgen -W "console django hello --help" -- "$cur")); return ;;
        new:*) compopt -o dirnames; return ;;
        user:*) COMPREPLY=($(compgen -W "add passwd remove list --file --help" -- "$cur")); return ;;
        bench:*) COMPREPLY=($(compgen -W "--connections --duration --requests --rate --threads --method \
            --header --body --http2 --streams --close --timeout --cacert --insecure --json --help" -- "$cur"))
            return ;;
        ctl:*) COMPREPLY=($(compgen -W "stack status top metrics logs reload restart start purge rotate stop ca --host --tag --all --pid \
            --socket --plain --once --json --help" -- "$cur")); return ;;
    esac
    case $prev in
%s        --help | help) COMPREPLY=($(compgen -W all -- "$cur")); return ;;
        -C | --chdir | --working-dir) compopt -o dirnames; return ;;
        %s) compopt -o default; return ;;
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "%s" -- "$cur"))
        return
    fi
    compopt -o filenames
    COMPREPLY=($(compgen -d -- "$cur") $(compgen -f -X '!*.py' -- "$cur"))
    if [[ $COMP_CWORD -eq 1 ]]; then
        COMPREPLY+=($(compgen -W "%s" -- "$cur"))
    fi
}
complete -F _fapws fapws
