# Sourced by deploy/run and deploy/test: finds Python, makes .venv, installs pinned requirements.
# Needs $top, the project's folder. Sets $python, the virtual environment's.

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

find_python() {
    local name
    for name in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        [ -n "$name" ] || continue
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

# How to run a command as root here: "", "sudo -n", or nothing at all (status 1).
as_root() {
    if [ "$(id -u)" = 0 ]; then return 0; fi
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then printf 'sudo -n'; return 0; fi
    return 1
}

install_packages() {
    local root
    command -v apt-get >/dev/null 2>&1 && root=$(as_root) || return 1
    say "Installing $* …"
    $root apt-get update -qq >&2 || true
    DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq --no-install-recommends "$@" >&2
}

make_venv() {
    local system version
    system=$(find_python) || fail "Python 3.11 to 3.14 is needed: apt-get install python3"
    if ! "$system" -c 'import venv, ensurepip' 2>/dev/null; then
        version=$("$system" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        install_packages "$version" ||
            fail "This Python has no venv. Run once: sudo apt-get install -y $version"
    fi
    say "Making .venv with $("$system" --version) …"
    rm -rf "$top/.venv"
    "$system" -m venv "$top/.venv"
}

# install_requirements FILE: once for each content of the requirement files.
install_requirements() {
    local stamp wanted
    stamp="$top/.venv/.installed-$(basename "$(dirname "$1")")"
    wanted=$(cat "$top/requirements.txt" "$1" | cksum)
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then return; fi
    say "Installing $(grep -c '==' "$1") pinned packages; the first time this takes about a minute …"
    # The files hold the whole closure, so two halves of it can come side by side.
    local packages half jobs=()
    packages=$(sed -E 's/[[:space:]]*#.*//' "$top/requirements.txt" "$1" | grep '==' | sort -u)
    for half in 0 1; do
        awk "NR % 2 == $half" <<<"$packages" >"$top/.venv/.half-$half"
        "$python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps \
            -r "$top/.venv/.half-$half" >&2 &
        jobs+=($!)
    done
    trap 'kill "${jobs[@]}" 2>/dev/null' INT TERM
    half=0
    wait "${jobs[0]}" || half=1
    wait "${jobs[1]}" || half=1
    trap - INT TERM
    [ "$half" = 0 ] ||
        fail "The packages could not be installed. Run this again when the package index answers."
    "$python" -m pip check >&2 || fail "These packages do not go together: remove .venv and run this again."
    printf '%s' "$wanted" >"$stamp"
}

python="$top/.venv/bin/python"
if ! "$python" -c 'import pip' 2>/dev/null; then make_venv; fi
