# What the tests need beside Go, and how it gets here. Sourced by scripts/test, from the root of the repository; the product itself
# needs none of it.

# One line each: how to see that it is there | Debian package | what for
needs="
command -v gcc                                   | gcc                   | the race detector and the libmodbus server
test -e /usr/include/stdio.h                     | libc6-dev             | the race detector and the libmodbus server
command -v pkg-config                            | pkg-config            | finds libmodbus
pkg-config --exists libmodbus                    | libmodbus-dev         | a Modbus server to read from
command -v mosquitto                             | mosquitto             | a broker to publish to
command -v mosquitto_sub                         | mosquitto-clients     | a subscriber that writes down what it gets
/usr/bin/python3 -c 'import pymodbus'            | python3-pymodbus      | a second Modbus server to read from
/usr/bin/python3 -c 'import serial'              | python3-serial        | needed by pymodbus
/usr/bin/python3 -c 'import serial_asyncio'      | python3-serial-asyncio| needed by pymodbus
/usr/bin/python3 -c 'import typer'               | python3-typer         | needed by pymodbus
command -v socat                                 | socat                 | pairs of pseudo terminals as serial lines
command -v git                                   | git                   | lists the source files
command -v mkfs.ext4                             | e2fsprogs             | a file system that can be frozen
command -v fsfreeze                              | util-linux            | freezes it
command -v losetup                               | mount                 | mounts it
node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' | nodejs        | runs the OPC UA server node-opcua
command -v npm                                   | npm                   | installs node-opcua
"

# missing prints "package|purpose" of all that is not here.
missing() {
  local probe package purpose
  while IFS='|' read -r probe package purpose; do
    [ -n "$probe" ] || continue
    eval "$probe" >/dev/null 2>&1 || printf '%s|%s\n' "${package// /}" "${purpose# }"
  done <<<"$needs"
}

install_packages() {
  local list packages root=()
  list=$(missing)
  [ -n "$list" ] || return 0
  echo "The tests need these Debian packages, which are not installed:"
  awk -F'|' '{printf "  %-24s %s\n", $1, $2}' <<<"$list"
  packages=$(cut -d'|' -f1 <<<"$list" | sort -u)
  if ! command -v apt-get >/dev/null; then
    echo "There is no apt-get here: install their like by hand, then run this again." >&2
    exit 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null || ! sudo -v; then
      echo "Installing them needs root, and there is neither root nor sudo here. As root, run:" >&2
      echo "  apt-get install --no-install-recommends" $packages >&2
      exit 1
    fi
    root=(sudo)
  fi
  echo "Installing them with apt-get now."
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
  if grep -qx mosquitto <<<"$packages"; then # the package starts a broker of its own; the tests start theirs
    "${root[@]}" systemctl disable --now mosquitto >/dev/null 2>&1 || "${root[@]}" service mosquitto stop >/dev/null 2>&1 || true
  fi
  list=$(missing)
  [ -z "$list" ] || { echo "Still missing after the installation:" >&2; echo "$list" >&2; exit 1; }
}

# install_peers installs what scripts/peers/package-lock.json lists, unless it is there.
install_peers() {
  local dir=scripts/peers
  if cmp -s $dir/package-lock.json $dir/node_modules/.installed; then return; fi
  echo "Installing node-opcua into $dir/node_modules with npm now (about 70 MB)."
  npm ci --prefix $dir --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
  cp $dir/package-lock.json $dir/node_modules/.installed
}
