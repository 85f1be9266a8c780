# The commands of the guides that change a whole box, as they stand there. To be read by bash's `.`, after trouble.sh.

# `of_guide GUIDE`: the lines of its blocks that it says are run here.
of_guide() {
  awk -v here="Run by the packages' tests:" '
    /^```/ { if (block) block = 0; else { block = 1; run = ($0 == "```console" && substr(said, length(said) - length(here) + 1) == here) }; next }
    !block && NF { said = $0 }
    block && run && sub(/^\$ /, "") { print }
  ' "packaging/docs/guides/$1.md"
}

# `settings_of_guide GUIDE`: its last block of settings.
settings_of_guide() { block_of_guide "$1" toml; }

# `settings_of_guide_at GUIDE WORDS`: its block of settings that has these.
settings_of_guide_at() {
  awk -v words="$2" '/^```/ { if (index(text, words)) printf "%s", text; on = ($0 == "```toml"); text = ""; next } on { text = text $0 "\n" }' \
    "packaging/docs/guides/$1.md"
}

# `block_of_guide GUIDE KIND`: its last block of that kind.
block_of_guide() {
  awk -v kind="\`\`\`$2" '/^```/ { on = ($0 == kind); if (on) text = ""; next } on { text = text $0 "\n" } END { printf "%s", text }' "packaging/docs/guides/$1.md"
}

# `as_guided GUIDE`: each of its lines ends well, in a directory of its own, by a shell in which root has a `sudo`.
as_guided() {
  local guide=$1 line
  of_guide "$guide" >"$work.newer/$guide"
  check "$guide.md has lines to run" test -s "$work.newer/$guide"
  inside bash -c 'mkdir -p /root/guided && [ -e /usr/local/bin/sudo ] || ln -s /usr/bin/env /usr/local/bin/sudo'
  while IFS= read -r line <&8; do
    check "$guide.md: $line" guided "$line"
  done 8<"$work.newer/$guide"
}
# What it says of a box that is not well is no fault of the line.
guided() {
  local codes='^0$'
  if [[ $1 == *"ghostctl doctor"* ]]; then codes='^[01]$'; fi
  local code=0
  inside env PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash -euo pipefail -c "cd /root/guided && $1" || code=$?
  grep -qE "$codes" <<<"$code" || { echo "it ends with $code"; false; }
}

guides() {
  local standing open
  inside bash -c 'mkdir -p /root/guided && echo sk-of-the-tests >/root/guided/vllm-key'
  settings_of_guide_at hardening 'plain = []' | inside bash -c 'cat >/etc/ghostllm/conf.d/guide.toml'
  as_guided hardening
  check "hardening.md: the service is shown its key" shown_its_key
  check "hardening.md: there is no plain port" fails connects 11430
  check "hardening.md: but that of TLS" connects 11443
  inside bash -c 'rm -r /etc/systemd/system/ghostllm.service.d /etc/ghostllm/conf.d/guide.toml && systemctl -q unmask ghostllm-plain.socket'

  settings_of_guide behind-a-proxy | inside bash -c 'cat >/etc/ghostllm/conf.d/guide.toml'
  as_guided behind-a-proxy
  open=$(inside ss -lntuH | grep -oE '[^ ]+:11443') || true
  check "behind-a-proxy.md: only the loopback is open" is "$open" 127.0.0.1:11443
  check "behind-a-proxy.md: and answered at" within 20 chatted 2
  proxies
  inside bash -c 'rm -r /etc/ghostllm/conf.d/guide.toml /etc/systemd/system/ghostllm-tls.socket.d && systemctl -q unmask ghostllm-quic.socket && systemctl daemon-reload &&
    systemctl stop "ghostllm*" && systemctl start ghostllm ghostllm-engine.socket'

  # What its block named `sh` makes, which is run as it stands there by the tests of the API.
  check "backup.md: a backup is made" inside bash -c 'cd /root/guided && echo four words that nobody guesses >passphrase && ghostctl backup --passphrase-file passphrase --yes box.backup'
  standing=$(standing) || true
  inside ghostctl keys create lost --scope chat >/dev/null 2>&1
  as_guided backup
  check "backup.md: the night's is there, and root's alone" is "$(inside stat -c '%a %U' /var/backups/box.backup)" "600 root"
  check "backup.md: and there will be others" active backup-of-the-box.timer
  inside bash -c 'systemctl -q disable --now backup-of-the-box.timer && rm /etc/systemd/system/backup-of-the-box.* /var/backups/box.backup'
  check "backup.md: the keys are those of the backup" is "$(standing)" "$standing"
  check "backup.md: and open it" within 20 chatted 3
}
# `proxied NAME`: that service, set up as the guide has it, gives a chat over each version that it says it has. Its certificate is of this machine's.
proxied() {
  local version
  check "behind-a-proxy.md: $1 takes it" inside systemctl start "$1"
  for version in "${@:2}"; do check "behind-a-proxy.md: $1 gives a chat over HTTP/$version" within 20 chatted_by_proxy "$version"; done
  check "behind-a-proxy.md: $1 names its own HTTP/3, or none" is "$(alternative)" "$alternative"
  inside systemctl stop "$1"
}
chatted_by_proxy() { at=443 named=llm.example.org ca=$work.newer/proxy.pem chatted "$1"; }
alternative() {
  at_its_network curl -sI -m 20 --cacert "$work.newer/proxy.pem" --resolve llm.example.org:443:127.0.0.1 https://llm.example.org/healthz |
    tr -d '\r' | sed -n 's/^[Aa]lt-[Ss]vc: //p' | sort -u | tr '\n' ' ' | sed 's/ $//'
}
proxies() {
  local alternative=
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=llm.example.org -addext subjectAltName=DNS:llm.example.org \
    -keyout "$work.newer/proxy.key" -out "$work.newer/proxy.pem" 2>/dev/null
  # As every Debian that was installed has it; Caddy's own socket is at that name.
  inside bash -c 'grep -qs localhost /etc/hosts || echo 127.0.0.1 localhost >>/etc/hosts; mkdir -p /etc/ssl && cd /srv/newer &&
    cp proxy.pem /etc/ssl/llm.pem && cp proxy.key /etc/ssl/llm.key && cp ca.pem /etc/ssl/ghostllm-ca.pem && chmod 644 /etc/ssl/llm.key &&
    rm -f /etc/nginx/sites-enabled/default'
  # Its first block of two is a whole server, into which the other goes.
  block_of_guide behind-a-proxy nginx >"$work.newer/http3"
  awk '/^```/ { on = ($0 == "```nginx"); next } on && /^}/ { print; exit } on { print }' packaging/docs/guides/behind-a-proxy.md >"$work.newer/nginx.conf"
  if inside nginx -V 2>&1 | grep -q http_v3_module; then
    sed -i "/listen 443 ssl;/r $work.newer/http3" "$work.newer/nginx.conf"
    inside cp /srv/newer/nginx.conf /etc/nginx/conf.d/ghostllm.conf
    alternative='h3=":443"; ma=86400'
    proxied nginx 1.1 3
  else
    echo "        not run here: nginx with HTTP/3, for which this Debian's $(inside nginx -v 2>&1 | sed 's/.*: //') is too old"
    inside cp /srv/newer/nginx.conf /etc/nginx/conf.d/ghostllm.conf
    alternative=$(alternative_of_ours)
    proxied nginx 1.1
  fi
  # It has no authority to ask for a certificate here.
  block_of_guide behind-a-proxy caddyfile | sed '1a\    tls /etc/ssl/llm.pem /etc/ssl/llm.key' >"$work.newer/Caddyfile"
  inside cp /srv/newer/Caddyfile /etc/caddy/Caddyfile
  alternative='h3=":443"; ma=2592000'
  proxied caddy 1.1 2 3
  inside rm /etc/nginx/conf.d/ghostllm.conf /etc/ssl/ghostllm-ca.pem /etc/ssl/llm.pem /etc/ssl/llm.key
}
alternative_of_ours() {
  at_its_network curl -sI -m 20 --cacert "$work.newer/ca.pem" https://localhost:11443/healthz | tr -d '\r' | sed -n 's/^[Aa]lt-[Ss]vc: //p'
}
# Where systemd shows a service its credentials, by root's eye.
shown_its_key() { inside grep -q sk-of-the-tests "/run/credentials/ghostllm.service/vllm-key"; }
