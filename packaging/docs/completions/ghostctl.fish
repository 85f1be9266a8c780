# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_ghostctl_global_optspecs
    string join \n socket= timeout= json h/help V/version
end

function __fish_ghostctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_ghostctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_ghostctl_using_subcommand
    set -l cmd (__fish_ghostctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c ghostctl -n "__fish_ghostctl_needs_command" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_needs_command" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_needs_command" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -s V -l version -d 'Print version'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "status" -d 'How the box is, in one screen'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "keys" -d 'Keys: who may use the box'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "models" -d 'Models: which there are, and which are at work'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "backends" -d 'Backends: where models are, and whether they answer'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "requests" -d 'Requests: what is being answered'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "usage" -d 'What requests have used of the models, by key, model and day'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "gpu" -d 'The graphics cards: heat, what is done about it, and what is wrong'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "tasks" -d 'Background tasks: what each does, and why it failed last'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "cert" -d 'The certificate, and the CA that clients trust'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "config" -d 'The configuration: what it is, and whether it is sound'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "reload" -d 'Take the configuration on disk, and wait until it is in use'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "audit" -d 'Who has done what, the newest last'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "events" -d 'What happens, a line each, until Ctrl-C'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "logs" -d 'What the daemon and its engine have written into the journal'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "backup" -d 'Keys, audit log and configuration in one encrypted file'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "restore" -d 'A backup in the place of the state; the daemon must not run'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "doctor" -d 'What is amiss with this box, and what to do about it'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "completion" -d 'Print the completions of a shell'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "version" -d 'The version of this program, and of the daemon where it answers'
complete -c ghostctl -n "__fish_ghostctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand status" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand status" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand status" -l watch -d 'Again every two seconds, until Ctrl-C'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand status" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand status" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and not __fish_seen_subcommand_from ls create revoke rotate first help" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and not __fish_seen_subcommand_from ls create revoke rotate first help" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and not __fish_seen_subcommand_from ls create revoke rotate first help" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and not __fish_seen_subcommand_from ls create revoke rotate first help" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and not __fish_seen_subcommand_from ls create revoke rotate first help" -f -a "ls" -d 'Every key, without its secret'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and not __fish_seen_subcommand_from ls create revoke rotate first help" -f -a "create" -d 'Make a key; it is shown once'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and not __fish_seen_subcommand_from ls create revoke rotate first help" -f -a "revoke" -d 'No longer take a key, at once; answers that it waits for end'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and not __fish_seen_subcommand_from ls create revoke rotate first help" -f -a "rotate" -d 'Make a key in the place of another, which is taken for a while yet'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and not __fish_seen_subcommand_from ls create revoke rotate first help" -f -a "first" -d 'Show the key of the first start, once'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and not __fish_seen_subcommand_from ls create revoke rotate first help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from ls" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from ls" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from ls" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from create" -l role -d 'admin, operator, user or viewer [default: user]' -r -f -a "admin\t''
operator\t''
user\t''
viewer\t''"
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from create" -l scope -d 'chat, embeddings, models, metrics or admin; may repeat' -r -f -a "chat\t''
embeddings\t''
models\t''
metrics\t''
admin\t''"
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from create" -l class -d 'interactive or background' -r -f -a "interactive\t''
background\t''"
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from create" -l model -d 'Models that it may use, * for any letters; may repeat' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from create" -l expires -d 'It ends after this time, as 12h or 30d [default: never]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from create" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from create" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from create" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from revoke" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from revoke" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from revoke" -l yes -d 'Without asking'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from revoke" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l overlap -d 'The old key is taken for this time, as 12h [default: 1d]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from first" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from first" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from first" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from first" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "ls" -d 'Every key, without its secret'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "create" -d 'Make a key; it is shown once'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'No longer take a key, at once; answers that it waits for end'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "rotate" -d 'Make a key in the place of another, which is taken for a while yet'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "first" -d 'Show the key of the first start, once'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand models; and not __fish_seen_subcommand_from ls ps help" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand models; and not __fish_seen_subcommand_from ls ps help" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand models; and not __fish_seen_subcommand_from ls ps help" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand models; and not __fish_seen_subcommand_from ls ps help" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand models; and not __fish_seen_subcommand_from ls ps help" -f -a "ls" -d 'Every model, with its backend'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand models; and not __fish_seen_subcommand_from ls ps help" -f -a "ps" -d 'The models that are answering, with their requests'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand models; and not __fish_seen_subcommand_from ls ps help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand models; and __fish_seen_subcommand_from ls" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand models; and __fish_seen_subcommand_from ls" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand models; and __fish_seen_subcommand_from ls" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand models; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand models; and __fish_seen_subcommand_from ps" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand models; and __fish_seen_subcommand_from ps" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand models; and __fish_seen_subcommand_from ps" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand models; and __fish_seen_subcommand_from ps" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand models; and __fish_seen_subcommand_from help" -f -a "ls" -d 'Every model, with its backend'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand models; and __fish_seen_subcommand_from help" -f -a "ps" -d 'The models that are answering, with their requests'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand models; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backends; and not __fish_seen_subcommand_from ls test help" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backends; and not __fish_seen_subcommand_from ls test help" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backends; and not __fish_seen_subcommand_from ls test help" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backends; and not __fish_seen_subcommand_from ls test help" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backends; and not __fish_seen_subcommand_from ls test help" -f -a "ls" -d 'Every backend, as it was when it was last asked'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backends; and not __fish_seen_subcommand_from ls test help" -f -a "test" -d 'Ask backends now; exit code 1 where one does not answer'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backends; and not __fish_seen_subcommand_from ls test help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backends; and __fish_seen_subcommand_from ls" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backends; and __fish_seen_subcommand_from ls" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backends; and __fish_seen_subcommand_from ls" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backends; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backends; and __fish_seen_subcommand_from test" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backends; and __fish_seen_subcommand_from test" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backends; and __fish_seen_subcommand_from test" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backends; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backends; and __fish_seen_subcommand_from help" -f -a "ls" -d 'Every backend, as it was when it was last asked'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backends; and __fish_seen_subcommand_from help" -f -a "test" -d 'Ask backends now; exit code 1 where one does not answer'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backends; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and not __fish_seen_subcommand_from ls cancel help" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and not __fish_seen_subcommand_from ls cancel help" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and not __fish_seen_subcommand_from ls cancel help" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and not __fish_seen_subcommand_from ls cancel help" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and not __fish_seen_subcommand_from ls cancel help" -f -a "ls" -d 'Every request that is being answered, the oldest first'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and not __fish_seen_subcommand_from ls cancel help" -f -a "cancel" -d 'End a request; its client is told'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and not __fish_seen_subcommand_from ls cancel help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and __fish_seen_subcommand_from ls" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and __fish_seen_subcommand_from ls" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and __fish_seen_subcommand_from ls" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and __fish_seen_subcommand_from cancel" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and __fish_seen_subcommand_from cancel" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and __fish_seen_subcommand_from cancel" -l yes -d 'Without asking'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and __fish_seen_subcommand_from cancel" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and __fish_seen_subcommand_from cancel" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and __fish_seen_subcommand_from help" -f -a "ls" -d 'Every request that is being answered, the oldest first'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and __fish_seen_subcommand_from help" -f -a "cancel" -d 'End a request; its client is told'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand requests; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand usage" -l days -d 'Today and the days before, so many in all' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand usage" -l key -d 'Of this key alone: its id or name, local, or "uid N"' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand usage" -l model -d 'Of this model alone' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand usage" -l by -d 'A row for each day, key or model [default: key and model]' -r -f -a "day\t''
key\t''
model\t''"
complete -c ghostctl -n "__fish_ghostctl_using_subcommand usage" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand usage" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand usage" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand usage" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand gpu; and not __fish_seen_subcommand_from history" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand gpu; and not __fish_seen_subcommand_from history" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand gpu; and not __fish_seen_subcommand_from history" -l watch -d 'Draws it anew each second; q ends'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand gpu; and not __fish_seen_subcommand_from history" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand gpu; and not __fish_seen_subcommand_from history" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand gpu; and not __fish_seen_subcommand_from history" -f -a "history" -d 'What a card has been through: ten minutes by the second, or a day'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand gpu; and __fish_seen_subcommand_from history" -l card -d 'The card\'s number, as ghostctl gpu shows it' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand gpu; and __fish_seen_subcommand_from history" -l span -d 'How far back: 10m or 24h' -r -f -a "10m\t''
24h\t''"
complete -c ghostctl -n "__fish_ghostctl_using_subcommand gpu; and __fish_seen_subcommand_from history" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand gpu; and __fish_seen_subcommand_from history" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand gpu; and __fish_seen_subcommand_from history" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand gpu; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand tasks" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand tasks" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand tasks" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand tasks" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and not __fish_seen_subcommand_from show export fingerprint renew trust help" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and not __fish_seen_subcommand_from show export fingerprint renew trust help" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and not __fish_seen_subcommand_from show export fingerprint renew trust help" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and not __fish_seen_subcommand_from show export fingerprint renew trust help" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and not __fish_seen_subcommand_from show export fingerprint renew trust help" -f -a "show" -d 'Names, times and the CA'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and not __fish_seen_subcommand_from show export fingerprint renew trust help" -f -a "export" -d 'Give out the CA\'s certificate, for clients'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and not __fish_seen_subcommand_from show export fingerprint renew trust help" -f -a "fingerprint" -d 'The SHA-256 of the CA\'s certificate, to compare by eye'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and not __fish_seen_subcommand_from show export fingerprint renew trust help" -f -a "renew" -d 'Make the certificate anew, and with --new-ca the CA'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and not __fish_seen_subcommand_from show export fingerprint renew trust help" -f -a "trust" -d 'Have this system trust the CA'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and not __fish_seen_subcommand_from show export fingerprint renew trust help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from show" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from show" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from show" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from export" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from export" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from export" -l der -d 'Binary (DER), as Windows and Android like it'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from export" -l yes -d 'Write over a file that exists'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from export" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from fingerprint" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from fingerprint" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from fingerprint" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from fingerprint" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from renew" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from renew" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from renew" -l new-ca -d 'A new CA as well, which every client must then trust'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from renew" -l yes -d 'Without asking'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from renew" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from renew" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from trust" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from trust" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from trust" -l print -d 'Only print what to do on each system'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from trust" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from trust" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from help" -f -a "show" -d 'Names, times and the CA'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from help" -f -a "export" -d 'Give out the CA\'s certificate, for clients'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from help" -f -a "fingerprint" -d 'The SHA-256 of the CA\'s certificate, to compare by eye'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from help" -f -a "renew" -d 'Make the certificate anew, and with --new-ca the CA'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from help" -f -a "trust" -d 'Have this system trust the CA'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand cert; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and not __fish_seen_subcommand_from check show set unset help" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and not __fish_seen_subcommand_from check show set unset help" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and not __fish_seen_subcommand_from check show set unset help" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and not __fish_seen_subcommand_from check show set unset help" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and not __fish_seen_subcommand_from check show set unset help" -f -a "check" -d 'Whether what is on disk can be used; exit code 1 where it cannot'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and not __fish_seen_subcommand_from check show set unset help" -f -a "show" -d 'Every setting in use, with the place where it was set'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and not __fish_seen_subcommand_from check show set unset help" -f -a "set" -d 'Change settings at once, and keep that over the files'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and not __fish_seen_subcommand_from check show set unset help" -f -a "unset" -d 'Keep settings no more: what the files say counts again'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and not __fish_seen_subcommand_from check show set unset help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from check" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from check" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from check" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from show" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from show" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from set" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from set" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from set" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from unset" -l state-dir -d 'In this state directory, while no daemon runs' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from unset" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from unset" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from unset" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from unset" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "check" -d 'Whether what is on disk can be used; exit code 1 where it cannot'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Every setting in use, with the place where it was set'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "set" -d 'Change settings at once, and keep that over the files'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "unset" -d 'Keep settings no more: what the files say counts again'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand reload" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand reload" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand reload" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand reload" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand audit" -s n -d 'How many of the last acts' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand audit" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand audit" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand audit" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand audit" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand events" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand events" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand events" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand events" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand logs" -s n -l lines -d 'How many of the last entries; 50, or with --since all of them' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand logs" -l since -d 'Nothing older than this' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand logs" -l level -d 'This level and what matters more' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c ghostctl -n "__fish_ghostctl_using_subcommand logs" -l directory -d 'A copied journal, instead of this system\'s' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand logs" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand logs" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand logs" -s f -l follow -d 'Go on with what is written from now on, until Ctrl-C'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand logs" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backup" -l passphrase-file -d 'A file with the passphrase; - is stdin' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backup" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backup" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backup" -l with-ca-key -d 'The CA\'s key as well: who has it can be this box'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backup" -l yes -d 'Write over a file that exists'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backup" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand backup" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand restore" -l state-dir -d 'The state directory [default: the daemon\'s]' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand restore" -l passphrase-file -d 'A file with the passphrase; - is stdin' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand restore" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand restore" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand restore" -l list -d 'Only show what is in it'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand restore" -l yes -d 'Without asking'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand restore" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand restore" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand doctor" -l bundle -d 'Write a report without keys, secrets and prompts' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand doctor" -l state-dir -d 'The state directory, instead of the one that is found' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand doctor" -l root -d 'Where the system\'s own files lie, such as a mounted disk; for tests' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand doctor" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand doctor" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand doctor" -l fix -d 'Mend what is safe to mend, after showing all of it and asking'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand doctor" -l yes -d 'Do not ask before that, and write over the bundle\'s file'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand doctor" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand completion" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand completion" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand completion" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand completion" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand version" -l socket -d 'The daemon\'s admin socket' -r -F
complete -c ghostctl -n "__fish_ghostctl_using_subcommand version" -l timeout -d 'Wait so long for an answer [default: 10; reload: 90]' -r
complete -c ghostctl -n "__fish_ghostctl_using_subcommand version" -l json -d 'For programs: the API\'s answer, in one line'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand version" -s h -l help -d 'Print help'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "status" -d 'How the box is, in one screen'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "keys" -d 'Keys: who may use the box'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "models" -d 'Models: which there are, and which are at work'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "backends" -d 'Backends: where models are, and whether they answer'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "requests" -d 'Requests: what is being answered'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "usage" -d 'What requests have used of the models, by key, model and day'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "gpu" -d 'The graphics cards: heat, what is done about it, and what is wrong'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "tasks" -d 'Background tasks: what each does, and why it failed last'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "cert" -d 'The certificate, and the CA that clients trust'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "config" -d 'The configuration: what it is, and whether it is sound'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "reload" -d 'Take the configuration on disk, and wait until it is in use'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "audit" -d 'Who has done what, the newest last'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "events" -d 'What happens, a line each, until Ctrl-C'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "logs" -d 'What the daemon and its engine have written into the journal'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "backup" -d 'Keys, audit log and configuration in one encrypted file'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "restore" -d 'A backup in the place of the state; the daemon must not run'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "doctor" -d 'What is amiss with this box, and what to do about it'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "completion" -d 'Print the completions of a shell'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "version" -d 'The version of this program, and of the daemon where it answers'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and not __fish_seen_subcommand_from status keys models backends requests usage gpu tasks cert config reload audit events logs backup restore doctor completion version help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "ls" -d 'Every key, without its secret'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "create" -d 'Make a key; it is shown once'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "revoke" -d 'No longer take a key, at once; answers that it waits for end'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "rotate" -d 'Make a key in the place of another, which is taken for a while yet'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "first" -d 'Show the key of the first start, once'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from models" -f -a "ls" -d 'Every model, with its backend'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from models" -f -a "ps" -d 'The models that are answering, with their requests'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from backends" -f -a "ls" -d 'Every backend, as it was when it was last asked'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from backends" -f -a "test" -d 'Ask backends now; exit code 1 where one does not answer'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from requests" -f -a "ls" -d 'Every request that is being answered, the oldest first'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from requests" -f -a "cancel" -d 'End a request; its client is told'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from gpu" -f -a "history" -d 'What a card has been through: ten minutes by the second, or a day'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from cert" -f -a "show" -d 'Names, times and the CA'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from cert" -f -a "export" -d 'Give out the CA\'s certificate, for clients'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from cert" -f -a "fingerprint" -d 'The SHA-256 of the CA\'s certificate, to compare by eye'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from cert" -f -a "renew" -d 'Make the certificate anew, and with --new-ca the CA'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from cert" -f -a "trust" -d 'Have this system trust the CA'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "check" -d 'Whether what is on disk can be used; exit code 1 where it cannot'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Every setting in use, with the place where it was set'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "set" -d 'Change settings at once, and keep that over the files'
complete -c ghostctl -n "__fish_ghostctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "unset" -d 'Keep settings no more: what the files say counts again'
