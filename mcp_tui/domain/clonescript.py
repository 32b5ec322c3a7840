"""The shell scripts that put one commit of a repository on a node's disk.

POSIX sh and git 2.17 or newer. They read their environment: ``MCP_GIT_URL``, ``MCP_GIT_COMMIT``,
and where there are credentials ``MCP_GIT_CREDENTIAL_KEY`` with ``GIT_USERNAME`` and
``GIT_PASSWORD``, or ``MCP_GIT_SSH_DIR``. No ``$(`` and no ``$$`` stands in them: a kubelet expands
those in a command.
"""

from __future__ import annotations

from typing import Final

# Runs in the directory that receives the code. `fetch` by URL leaves no remote, so that running it
# again over a half-done clone works; a server that forbids fetching a commit gets a full fetch. Who
# is refused is not tried again. The last line says why: it becomes the container's message.
CLONE_SCRIPT: Final = r"""
set -eu
REFUSED='permission denied|host key verification failed|authentication failed'
REFUSED="$REFUSED|could not read (username|password)|returned error: 40[13]"
umask 0
HOME=`mktemp -d`
export HOME GIT_TERMINAL_PROMPT=0 LC_ALL=C
trap 'rm -rf "$HOME"' EXIT
git config --global safe.directory '*'
git config --global protocol.ext.allow never
git config --global http.lowSpeedLimit 100
git config --global http.lowSpeedTime 60
git config --global advice.detachedHead false
if [ -n "${MCP_GIT_CREDENTIAL_KEY:-}" ]; then
  git config --global "$MCP_GIT_CREDENTIAL_KEY" \
    '!f() { echo "username=$GIT_USERNAME"; echo "password=$GIT_PASSWORD"; }; f'
fi
if [ -n "${MCP_GIT_SSH_DIR:-}" ]; then
  ( umask 077; cat "$MCP_GIT_SSH_DIR/ssh-privatekey" > "$HOME/key"; echo >> "$HOME/key" )
  hosts="$HOME/known_hosts"; strict=accept-new
  if [ -s "$MCP_GIT_SSH_DIR/known_hosts" ]; then
    hosts="$MCP_GIT_SSH_DIR/known_hosts"; strict=yes
  fi
  GIT_SSH_COMMAND="ssh -i '$HOME/key' -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=30"
  GIT_SSH_COMMAND="$GIT_SSH_COMMAND -o UserKnownHostsFile=$hosts -o StrictHostKeyChecking=$strict"
  export GIT_SSH_COMMAND
fi
get() {
  if git fetch -q "$@" 2> "$HOME/said"; then cat "$HOME/said" >&2; return 0; fi
  cat "$HOME/said" >&2
  return 1
}
git init -q .
fetched= why=
for pause in 1 4 0; do
  if get --depth 1 --no-tags -- "$MCP_GIT_URL" "$MCP_GIT_COMMIT"; then fetched=yes; break; fi
  why=`grep -iE "$REFUSED" "$HOME/said" | tail -n 1`
  if [ -n "$why" ]; then break; fi
  echo "code: the server does not give that commit by itself; fetching all branches and tags" >&2
  if get -- "$MCP_GIT_URL" '+refs/heads/*:refs/remotes/origin/*' '+refs/tags/*:refs/tags/*'
  then fetched=yes; break; fi
  sleep "$pause"
done
if [ -z "$fetched" ]; then
  if [ -z "$why" ]; then why=`grep -E '^(ssh|fatal|error):' "$HOME/said" | head -n 1`; fi
  echo "code: cannot fetch $MCP_GIT_URL: $why" >&2; exit 65
fi
git checkout -q --force --detach "$MCP_GIT_COMMIT"
if [ "`git rev-parse HEAD`" != "$MCP_GIT_COMMIT" ]; then
  echo "code: `git rev-parse HEAD` is not $MCP_GIT_COMMIT" >&2; exit 66
fi
echo "code: $MCP_GIT_URL at $MCP_GIT_COMMIT"
""".strip()

# A TrainJob (v2.0) can only override init containers that its runtime has, so the trainer clones.
TRAINJOB_SCRIPT: Final = (
    'work=`mktemp -d`\ncd "$work"\n(\n'
    + CLONE_SCRIPT
    + "\n) || exit $?\n"
    + 'unset GIT_USERNAME GIT_PASSWORD\ncd "$work/$MCP_CODE_PATH"\nexec "$@"'
)
