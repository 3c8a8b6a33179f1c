# SPDX-License-Identifier: MIT
# Debian packages and how to install them; sourced by the other scripts.

build_packages="g++ cmake python3 ninja-build pkg-config libexpected-dev libfmt-dev liblmdb-dev libseccomp-dev libboost-test-dev
libboost-program-options-dev libssl-dev libxxhash-dev libidn-dev libcrypt-dev libpam0g-dev libgsasl-dev libgdbm-dev libgdbm-compat-dev nettle-dev"
run_packages="curl"
test_packages="git python3 perl curl fetchmail mpop getmail6 nmh mutt procmail maildrop exim4-daemon-light dovecot-core openbsd-inetd systemd util-linux procps clang
libclang-rt-14-dev mandoc netbase bsdutils strace openssl fail2ban sslscan debootstrap lintian dpkg-dev file"
bench_packages="popa3d"

# missing_packages NAME...: those that are not installed.
missing_packages() {
  local name
  for name in "$@"; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || printf '%s ' "$name"
  done
}

# install_packages NAME...: installs what is missing, as root or through sudo.
install_packages() {
  local missing as_root=()
  command -v dpkg-query >/dev/null || { echo "error: this is not a Debian system; needed are: $*" >&2; return 1; }
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    elif command -v sudo >/dev/null && [ -t 0 ]; then
      as_root=(sudo)
    else
      echo "error: packages are missing and this user cannot install them; as root: apt-get install $missing" >&2
      return 1
    fi
  fi
  echo "installing: $missing" >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c '
    # Nothing that a package brings may start a service here.
    policy=/usr/sbin/policy-rc.d; made=
    [ -e $policy ] || { printf "#!/bin/sh\nexit 101\n" >$policy && chmod 755 $policy && made=1; }
    apt-get update -q >/dev/null && apt-get install -y -q --no-install-recommends "$@" >/dev/null; code=$?
    [ -z "$made" ] || rm -f $policy
    exit $code' sh $missing
}

# build PRESET [TARGET...]: configures once, then builds what changed.
build() {
  local preset=$1; shift
  [ -f "$top/build/$preset/build.ninja" ] || (cd "$top" && cmake --preset "$preset" >"/dev/null")
  (cd "$top" && NINJA_STATUS="[%f/%t] " cmake --build "build/$preset" ${1:+--target "$@"})
}
