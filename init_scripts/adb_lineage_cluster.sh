#!/bin/bash
if grep -q $'\r' "$0" 2>/dev/null; then bash -c "$(tr -d '\r' <"$0")"; exit 0; fi # works with CRLF, and drops it
# Lineage for one cluster: installs adb_lineage into the cluster's Python, on every node.
#
# Cluster > Advanced > Init scripts; variables in Cluster > Advanced > Spark > Environment variables:
#   INIT_ADB_LINEAGE_WHEEL        where from: /Volumes/…/adb_lineage-1.0-py3-none-any.whl, a folder of wheels with all
#                                 dependencies, /Workspace/…, abfss://…, or adb_lineage==1.0 for the package index
#   INIT_ADB_LINEAGE_SETTINGS     non-secret settings, "account=contoso collection=abc123"; they go into the Spark conf
#   INIT_ADB_LINEAGE_PIP_OPTIONS  more options for pip, "--index-url https://…"
#   INIT_ADB_LINEAGE_SECONDS      time limit of the installation (120)
#   INIT_ADB_LINEAGE_LOG          the log (/var/log/adb_lineage/init.log)
#   ADB_LINEAGE_ACCOUNT and the other settings of the product itself; see docs/install.md
# It never stops a cluster from starting: it exits 0 whatever happens, and the log says what did.
# >>> shared: the same in every script of this folder; tests/databricks/test_init_scripts.py holds that
trap 'exit 0' EXIT # a cluster must start, whatever happens here

ROOT="${INIT_ADB_LINEAGE_ROOT:-}" # another root for tests
PYTHON="$ROOT/databricks/python3/bin/python"
LIMIT="${INIT_ADB_LINEAGE_SECONDS:-120}"
STATE="$ROOT/databricks/adb_lineage"
LOG="${INIT_ADB_LINEAGE_LOG:-$ROOT/var/log/adb_lineage/init.log}"

open_log() {
  mkdir -p "$(dirname "$LOG")" 2>/dev/null
  { : >>"$LOG"; } 2>/dev/null && return
  LOG="${TMPDIR:-/tmp}/adb_lineage-init.log"
  { : >>"$LOG"; } 2>/dev/null || LOG=/dev/null
}

log() { printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >>"$LOG" 2>/dev/null; }

give_up() { # once, in words, and the cluster goes on without lineage
  log "stopped: $*"
  echo "adb_lineage: not installed: $* (log: $LOG)"
  exit 0
}

is_driver() { [ "${DB_IS_DRIVER:-}" = "TRUE" ]; }

# abfss://container@account.dfs.core.windows.net/path to a file beside $STATE, with a SAS or a service principal
download() {
  timeout "$LIMIT" "$PYTHON" - "$1" "$2" >>"$LOG" 2>&1 <<'PYTHON'
import json, os, sys, urllib.parse, urllib.request
source, target = sys.argv[1:]
url = urllib.parse.urlsplit(source)
container, _, host = url.netloc.partition("@")
scheme = "https" if url.scheme == "abfss" else "http"  # as Hadoop has it
address = f"{scheme}://{host}/{container}{urllib.parse.quote(url.path)}"
headers = {"x-ms-version": "2021-08-06"}
sas = os.environ.get("INIT_ADB_LINEAGE_SAS", "").lstrip("?")
if sas:
    address += "?" + sas
else:
    tenant, client, secret = (os.environ.get(f"AZURE_{name}") for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET"))
    if not (tenant and client and secret):
        sys.exit("abfss needs AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or INIT_ADB_LINEAGE_SAS")
    authority = os.environ.get("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com").rstrip("/")
    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret,
            "scope": "https://storage.azure.com/.default"}
    reply = urllib.request.urlopen(f"{authority}/{tenant}/oauth2/v2.0/token", urllib.parse.urlencode(form).encode(),
                                   timeout=20)
    headers["Authorization"] = "Bearer " + json.load(reply)["access_token"]
try:
    body = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60).read()
except OSError as error:
    sys.exit(f"{source}: {error}")
with open(target, "wb") as stream:
    stream.write(body)
PYTHON
}

# What is installed stays as it is: every version becomes a constraint. Odd ones (Debian's) pip could not read.
constraints() {
  timeout "$LIMIT" "$PYTHON" - >"$1" 2>>"$LOG" <<'PYTHON'
import importlib.metadata
from pip._vendor.packaging.version import InvalidVersion, Version
found = {}  # of several copies of a package the first on the path is the one that counts
for one in importlib.metadata.distributions():
    found.setdefault(str(one.metadata["Name"]).lower().replace("-", "_"), one.version)
for name, version in sorted(found.items()):
    try:
        if name != "adb_lineage" and Version(version).local is None:
            print(f"{name}=={version}")
    except (InvalidVersion, TypeError):
        pass
PYTHON
}

pip_install() {
  # shellcheck disable=SC2086 # the options are words
  timeout "$LIMIT" "$PYTHON" -m pip install --quiet --no-input --disable-pip-version-check --retries 1 --timeout 15 \
    ${INIT_ADB_LINEAGE_PIP_OPTIONS:-} "$@" >>"$LOG" 2>&1
}

# $1: a wheel, a folder of wheels (nothing else is asked then), an abfss URL of a wheel, or a requirement for the index
install_package() {
  local from="$1" work mark
  [ -x "$PYTHON" ] || give_up "$PYTHON is not there"
  work="$(mktemp -d 2>/dev/null)" || give_up "no temporary folder can be made"
  case "$from" in
  abfs://* | abfss://*)
    download "$from" "$work/$(basename "$from")" || give_up "$from cannot be read"
    from="$work/$(basename "$from")"
    ;;
  esac
  if [[ "$from" != */* && "$from" != *.whl ]]; then # a requirement, whatever lies in the working folder
    mark="$from"
    set -- --upgrade "$from"
  elif [ -d "$from" ]; then
    ls "$from"/adb_lineage-*.whl >/dev/null 2>&1 || give_up "no adb_lineage wheel in $from"
    mark="$(cat "$from"/adb_lineage-*.whl 2>/dev/null | cksum)"
    set -- --no-index --find-links "$from" --upgrade adb_lineage
  elif [ -f "$from" ]; then
    mark="$(cksum <"$from")"
    set -- --find-links "$(dirname "$from")" --upgrade "$from"
  else
    give_up "$from is not there"
  fi
  if [ "$(cat "$STATE/installed" 2>/dev/null)" = "$mark" ] && "$PYTHON" -c 'import adb_lineage' 2>/dev/null; then
    log "already installed: $from"
  else
    constraints "$work/constraints.txt"
    pip_install --constraint "$work/constraints.txt" "$@"
    case $? in
    0) ;;
    124) give_up "pip took longer than $LIMIT s (INIT_ADB_LINEAGE_SECONDS)" ;; # the limit is for all of it
    *)
      log "it does not go without changing a package of the runtime; trying with that"
      pip_install "$@" || give_up "pip could not install $from"
      ;;
    esac
    "$PYTHON" -c 'import adb_lineage' >>"$LOG" 2>&1 || give_up "what pip installed cannot be imported"
    { mkdir -p "$STATE" && printf '%s' "$mark" >"$STATE/installed"; } 2>/dev/null || log "$STATE cannot be written"
    log "installed: $from"
  fi
  rm -rf "$work"
}

# Python starts with lineage on, where the cluster's own environment does not say otherwise
turn_on() {
  local site
  site="$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' 2>>"$LOG")"
  # `-` sorts before `_`: this line is read before the package's own adb_lineage.pth
  { echo 'import os; os.environ.setdefault("ADB_LINEAGE_ENABLED", "true")' >"$site/adb-lineage-on.pth"; } \
    2>>"$LOG" || log "$site cannot be written"
}

# $1: name of the file; then key=value, each a line of the driver's Spark conf
write_conf() {
  local name="$1" folder="$ROOT/databricks/driver/conf" pair lines=""
  shift
  is_driver || return
  for pair in "$@"; do
    case "$pair" in
    *[\"\\]*) log "left out, quotes and backslashes cannot stand in the conf: ${pair%%=*}" ;;
    *=*) lines="$lines  \"${pair%%=*}\" = \"${pair#*=}\""$'\n' ;;
    *) log "left out, not key=value: $pair" ;;
    esac
  done
  [ -n "$lines" ] || return
  { mkdir -p "$folder" && printf '[driver] {\n%s}\n' "$lines" >"$folder/$name"; } 2>>"$LOG" ||
    log "$folder/$name cannot be written"
}

# $1: name of the file; then key=value of our own settings
write_settings() {
  local name="$1" one pairs=()
  shift
  for one in "$@"; do pairs+=("spark.adb_lineage.$one"); done
  write_conf "$name" "${pairs[@]}"
}
# <<< shared

open_log
log "adb_lineage_cluster.sh on ${DB_CLUSTER_ID:-a node}, driver: ${DB_IS_DRIVER:-unknown}"
install_package "${INIT_ADB_LINEAGE_WHEEL:-adb_lineage}"
turn_on
# shellcheck disable=SC2086 # settings are words
write_settings 60-adb-lineage.conf ${INIT_ADB_LINEAGE_SETTINGS:-}
log "done"
