#compdef telepresence
_telepresence() {
    local -a answer described
    local also entry
    answer=("${(@f)$("${(Q)words[1]}" complete -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    also=${answer[1]-none}
    shift answer
    if [[ $also == command\ * ]]; then
        shift $((${also#command } + 1)) words
        ((CURRENT -= ${also#command } + 1))
        _normal
        return
    fi
    for entry in "${answer[@]}"; do
        [[ -n $entry ]] || continue
        entry=${entry//\\/\\\\}
        described+=("${${entry%%$'\t'*}//:/\\:}${${(M)entry%%*$'\t'*}:+:${entry#*$'\t'}}")
    done
    ((${#described})) && _describe -V telepresence described
    case $also in
    files) _files ;;
    directories) _files -/ ;;
    esac
}
if [[ ${funcstack[1]-} == _telepresence ]]; then
    _telepresence "$@"
else
    compdef _telepresence telepresence
fi
