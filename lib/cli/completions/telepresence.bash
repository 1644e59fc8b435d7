# bash completion for telepresence: eval "$(telepresence completion bash)"
#
# What bash has cut at "=" and ":" (COMP_WORDBREAKS) is put together again where no blank is between; of the candidates
# it wants only what follows the last cut.
_telepresence() {
    local rest=$COMP_LINE word part i also
    local -a words=() answer=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        part=${COMP_WORDS[i]}
        if ((i > 0)) && [[ $rest != [[:blank:]]* ]]; then
            words[${#words[@]}-1]+=$part
        else
            words+=("$part")
        fi
        rest=${rest#"${rest%%[![:blank:]]*}"}
        rest=${rest#"$part"}
    done
    word=${words[${#words[@]}-1]}
    # The cursor may stand within the word.
    [[ $rest == "${COMP_LINE:COMP_POINT}" ]] || word=${word%"${COMP_LINE:COMP_POINT}"}
    words[${#words[@]}-1]=$word
    part=${COMP_WORDS[COMP_CWORD]}
    [[ $part == [=:] ]] && part=
    mapfile -t answer < <("${COMP_WORDS[0]}" complete -- "${words[@]:1}" 2>/dev/null)
    also=${answer[0]-none}
    COMPREPLY=()
    case $also in
    command\ *)
        if declare -F _command_offset >/dev/null; then
            _command_offset "$((${also#command } + 1))"
        elif ((${#words[@]} - 2 == ${also#command })); then
            mapfile -t COMPREPLY < <(compgen -A command -- "$part")
        else
            compopt -o default
        fi
        return
        ;;
    files) compopt -o default ;;
    directories) compopt -o dirnames ;;
    esac
    for i in "${answer[@]:1}"; do
        i=${i%%$'\t'*}
        printf -v i %q "${i#"${word%"$part"}"}"
        COMPREPLY+=("$i")
    done
}
complete -F _telepresence telepresence
