# Deletes a directory and what is in it. What is mounted there is somebody's disk: it stays as it is, and is named.
clear() {
    if awk -v at="$1" '{ gsub(/\\040/, " ", $5) } $5 == at { found = 1 } END { exit !found }' /proc/self/mountinfo; then
        echo "$1 is mounted, and is left as it is: delete what you do not need there."
    elif awk -v at="$1/" '{ gsub(/\\040/, " ", $5) } index($5, at) == 1 { found = 1 } END { exit !found }' /proc/self/mountinfo; then
        for inside in "$1"/* "$1"/.[!.]* "$1"/..?*; do
            if [ -e "$inside" ] || [ -L "$inside" ]; then clear "$inside"; fi
        done
    else
        rm -rf --one-file-system "$1" || echo "$1 could not be deleted whole."
    fi
}
