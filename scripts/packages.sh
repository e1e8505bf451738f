# Sourced by ./test and .ci/run: installs Debian packages that are missing.

# Installs the packages among its arguments that the machine lacks.
install_packages() {
  local missing=()
  for package in "$@"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  [ "${#missing[@]}" -eq 0 ] && return 0
  local sudo=()
  [ "$(id -u)" -eq 0 ] || sudo=(sudo)
  if ! command -v apt-get >/dev/null; then
    echo "Please install: ${missing[*]}" >&2
    return 1
  fi
  "${sudo[@]}" apt-get update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
}

# A Python that can make virtual environments.
python_with_venv() {
  for python in python3 /usr/bin/python3; do
    if "$python" -c 'import venv, ensurepip' 2>/dev/null; then
      command -v "$python"
      return 0
    fi
  done
  echo "No Python 3 with venv was found." >&2
  return 1
}
