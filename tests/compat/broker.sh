# Sourced by tests/compat/run and tests/compat/shipped: a broker on an empty directory of its own below $data.
broker=

# A port that nothing listens on.
free_port() {
    local port
    while port=$((20000 + RANDOM % 10000)) && (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; do :; done
    echo $port
}

# start NAME [KEY=VALUE …]: starts a broker that listens on BOOTSTRAP, and waits until it says that it is ready. @BOOTSTRAP
# in a value is that address; its port is any, or the variable `port`.
start() {
    local dir=$data/$1 settings=(--set shards=2 --set admin.listen=) setting
    shift
    rm -rf "$dir" && mkdir -p "$dir"
    export BOOTSTRAP=127.0.0.1:${port:-$(free_port)}
    for setting; do settings+=(--set "${setting//@BOOTSTRAP/$BOOTSTRAP}"); done
    "$corelog" dev --data-dir "$dir/data" --listen "$BOOTSTRAP" "${settings[@]}" \
        > "$dir/stdout" 2> "$dir/stderr" < /dev/null &
    broker=$!
    for _ in $(seq 300); do
        grep -q ready "$dir/stdout" && return 0
        kill -0 $broker 2> /dev/null || break
        sleep 0.1
    done
    echo "the broker does not start:"; tail -20 "$dir/stdout" "$dir/stderr"
    return 1
}

# stop NAME: the broker must leave by itself, with success.
stop() {
    [ -n "$broker" ] || return 0
    local pid=$broker
    broker=
    kill "$pid" 2> /dev/null
    wait "$pid" || { echo "the broker left with status $?:"; tail -20 "$data/$1/stderr"; return 1; }
}
trap '[ -z "$broker" ] || kill -9 "$broker"' EXIT
