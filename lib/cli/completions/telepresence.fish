# fish completion for telepresence
function __telepresence_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l answer ($words[1] complete -- $words[2..-1] "$current" 2>/dev/null)
    switch "$answer[1]"
        case 'command *'
            set -l skip (math (string replace 'command ' '' -- $answer[1]) + 1)
            complete -C (string join ' ' -- (string escape -- $words[(math $skip + 1)..-1]) "$current")
        case files
            __fish_complete_path "$current"
        case directories
            __fish_complete_directories "$current"
    end
    test (count $answer) -gt 1; and string match -v -- 'command *' $answer[2..-1]
end
complete -c telepresence -f -a '(__telepresence_complete)'
