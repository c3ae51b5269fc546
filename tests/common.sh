# Sourced by tests/run, tests/compat/run and .ci/run: where things are, and how what is missing gets installed.
# Everything that is built or downloaded lands below target/, but for the package managers' own caches.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export CARGO_TARGET_DIR=$root/target
compat_target=$root/target/compat-rust
venv=$root/target/venv
# The broker under test; another build can be named.
corelog=${CORELOG:-$root/target/debug/corelog}

# With HOME elsewhere, rustup still finds its toolchains beside the cargo that it put in PATH.
command -v cargo > /dev/null || PATH=$HOME/.cargo/bin:$PATH
if [ -z "${RUSTUP_HOME:-}" ] && [ ! -d "$HOME/.rustup" ]; then
    rustup_home=$(dirname "$(command -v cargo)")/../../.rustup
    [ -d "$rustup_home" ] && export RUSTUP_HOME=$rustup_home
fi

# The broker as the tests of the process have it, so that no section builds it again.
build_broker() { (cd "$root" && cargo test --workspace --locked --no-run --test it); }

say() { printf '\n== %s\n' "$*"; }

# need COMMAND PACKAGE …: installs the Debian packages of the commands that are missing.
need() {
    local missing=()
    while [ $# -gt 0 ]; do
        command -v "$1" > /dev/null || missing+=("$2")
        shift 2
    done
    [ ${#missing[@]} = 0 ] || install "${missing[@]}"
}

install() {
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    say "apt-get install $*"
    "${as_root[@]}" apt-get update -qq &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" > /dev/null
}

# pip_install PACKAGE …: into the tests' own virtual environment, made anew when it does not work here.
pip_install() {
    if ! "$venv/bin/python" -m pip --version > /dev/null 2>&1; then
        python3 -c 'import ensurepip, venv' 2> /dev/null || install python3-venv || return 1
        rm -rf "$venv"
        python3 -m venv "$venv" || return 1
    fi
    "$venv/bin/python" -m pip install -q --disable-pip-version-check "$@"
}
