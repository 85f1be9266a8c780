# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_ghostllm_global_optspecs
    string join \n h/help V/version
end

function __fish_ghostllm_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_ghostllm_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_ghostllm_using_subcommand
    set -l cmd (__fish_ghostllm_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c ghostllm -n "__fish_ghostllm_needs_command" -s h -l help -d 'Print help'
complete -c ghostllm -n "__fish_ghostllm_needs_command" -s V -l version -d 'Print version'
complete -c ghostllm -n "__fish_ghostllm_needs_command" -f -a "serve" -d 'Serve until told to stop'
complete -c ghostllm -n "__fish_ghostllm_needs_command" -f -a "inspect" -d 'Show what there is here at one glance: host, graphics cards, engines, models, listeners, limits'
complete -c ghostllm -n "__fish_ghostllm_needs_command" -f -a "config" -d 'Look at the configuration: what it is, whether it is sound, what it can be'
complete -c ghostllm -n "__fish_ghostllm_needs_command" -f -a "bench" -d 'Measure a model through the running daemon and beside it'
complete -c ghostllm -n "__fish_ghostllm_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand serve" -l config -d 'The configuration, instead of the one that is found; conf.d is read beside the found one only [default: /etc/ghostllm/ghostllm.toml, else $XDG_CONFIG_HOME/ghostllm/ghostllm.toml]' -r -F
complete -c ghostllm -n "__fish_ghostllm_using_subcommand serve" -l state-dir -d 'Where keys and certificates are kept [default: $STATE_DIRECTORY, else $XDG_STATE_HOME/ghostllm]' -r -F
complete -c ghostllm -n "__fish_ghostllm_using_subcommand serve" -l profile -d 'The profile to lie over the other settings: dev, staging or prod' -r
complete -c ghostllm -n "__fish_ghostllm_using_subcommand serve" -l set -d 'One setting, over the file\'s and the environment\'s; may be repeated: --set listen.tls=[::]:443' -r
complete -c ghostllm -n "__fish_ghostllm_using_subcommand serve" -s h -l help -d 'Print help'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand inspect" -l config -d 'The configuration, as `ghostllm serve` takes it; --flight needs none, and looks at none' -r -F
complete -c ghostllm -n "__fish_ghostllm_using_subcommand inspect" -l state-dir -d 'The state directory of the daemon; its admin socket is asked, and no other' -r -F
complete -c ghostllm -n "__fish_ghostllm_using_subcommand inspect" -l flight -d 'What the flight recorder has kept of the minutes before a card was lost, slowed down or near its end, or before an abrupt end: all records, and the minutes of this one, or of the newest. No daemon is needed' -r
complete -c ghostllm -n "__fish_ghostllm_using_subcommand inspect" -l profile -d 'The profile to lie over the other settings: dev, staging or prod' -r
complete -c ghostllm -n "__fish_ghostllm_using_subcommand inspect" -l set -d 'One setting, over the file\'s and the environment\'s; may be repeated: --set listen.tls=[::]:443' -r
complete -c ghostllm -n "__fish_ghostllm_using_subcommand inspect" -l json -d 'In one line, for programs: the form Inspected (with --flight: Flights) of packaging/docs/admin-api.schema.json'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and not __fish_seen_subcommand_from show check schema example reference help" -s h -l help -d 'Print help'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and not __fish_seen_subcommand_from show check schema example reference help" -f -a "show" -d 'Print every setting, its value and where that comes from'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and not __fish_seen_subcommand_from show check schema example reference help" -f -a "check" -d 'Look for faults, and print all of them with their places'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and not __fish_seen_subcommand_from show check schema example reference help" -f -a "schema" -d 'Print the JSON Schema of a configuration file, for editors'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and not __fish_seen_subcommand_from show check schema example reference help" -f -a "example" -d 'Print a commented configuration file of all settings and their defaults'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and not __fish_seen_subcommand_from show check schema example reference help" -f -a "reference" -d 'Print the reference page of all settings, in Markdown'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and not __fish_seen_subcommand_from show check schema example reference help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from show" -l config -d 'The same, as `ghostllm serve` takes it' -r -F
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from show" -l state-dir -d 'A state directory, for what `ghostctl config set` has kept there; `check` looks at all of it' -r -F
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from show" -l profile -d 'The profile to lie over the other settings: dev, staging or prod' -r
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from show" -l set -d 'One setting, over the file\'s and the environment\'s; may be repeated: --set listen.tls=[::]:443' -r
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from check" -l config -d 'The same, as `ghostllm serve` takes it' -r -F
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from check" -l state-dir -d 'A state directory, for what `ghostctl config set` has kept there; `check` looks at all of it' -r -F
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from check" -l profile -d 'The profile to lie over the other settings: dev, staging or prod' -r
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from check" -l set -d 'One setting, over the file\'s and the environment\'s; may be repeated: --set listen.tls=[::]:443' -r
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from schema" -s h -l help -d 'Print help'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from example" -s h -l help -d 'Print help'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from reference" -s h -l help -d 'Print help'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print every setting, its value and where that comes from'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "check" -d 'Look for faults, and print all of them with their places'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "schema" -d 'Print the JSON Schema of a configuration file, for editors'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "example" -d 'Print a commented configuration file of all settings and their defaults'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "reference" -d 'Print the reference page of all settings, in Markdown'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand bench" -s c -l concurrency -d 'Requests at a time' -r
complete -c ghostllm -n "__fish_ghostllm_using_subcommand bench" -l requests -d 'Requests through the gateway, and as many beside it' -r
complete -c ghostllm -n "__fish_ghostllm_using_subcommand bench" -l http -d 'The HTTP version that is spoken with the gateway' -r -f -a "1\t''
2\t''
3\t''"
complete -c ghostllm -n "__fish_ghostllm_using_subcommand bench" -l max-tokens -d 'Tokens of an answer at the most' -r
complete -c ghostllm -n "__fish_ghostllm_using_subcommand bench" -l ca -d 'A file with the CA to trust [default: the box\'s own, else the system\'s]' -r -F
complete -c ghostllm -n "__fish_ghostllm_using_subcommand bench" -l state-dir -d 'The daemon\'s state directory, where it is not the usual one' -r -F
complete -c ghostllm -n "__fish_ghostllm_using_subcommand bench" -l socket -d 'The daemon\'s admin socket [default: $GHOSTLLM_SOCKET, else the first that there is]' -r -F
complete -c ghostllm -n "__fish_ghostllm_using_subcommand bench" -l json -d 'One line of JSON, of the form Benched in admin-api.schema.json'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand bench" -s h -l help -d 'Print help'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand help; and not __fish_seen_subcommand_from serve inspect config bench help" -f -a "serve" -d 'Serve until told to stop'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand help; and not __fish_seen_subcommand_from serve inspect config bench help" -f -a "inspect" -d 'Show what there is here at one glance: host, graphics cards, engines, models, listeners, limits'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand help; and not __fish_seen_subcommand_from serve inspect config bench help" -f -a "config" -d 'Look at the configuration: what it is, whether it is sound, what it can be'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand help; and not __fish_seen_subcommand_from serve inspect config bench help" -f -a "bench" -d 'Measure a model through the running daemon and beside it'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand help; and not __fish_seen_subcommand_from serve inspect config bench help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Print every setting, its value and where that comes from'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "check" -d 'Look for faults, and print all of them with their places'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "schema" -d 'Print the JSON Schema of a configuration file, for editors'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "example" -d 'Print a commented configuration file of all settings and their defaults'
complete -c ghostllm -n "__fish_ghostllm_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "reference" -d 'Print the reference page of all settings, in Markdown'
