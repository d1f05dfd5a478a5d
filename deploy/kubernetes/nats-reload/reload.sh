# Has NATS take up its config, its users and its certificates when they change: it reads them at a
# signal only. Kubernetes replaces the files behind symbolic links.
pid="${1:-/run/nats/nats.pid}"
shift
[ $# -gt 0 ] || set -- /etc/nats/nats.conf /etc/nats/users.conf /run/secrets/nats/tls.crt /run/secrets/nats/tls.key /run/secrets/nats/ca.crt
before="$(cat "$@" | md5sum)"
echo "watching $*"
while sleep "${INTERVAL:-5}"; do
  now="$(cat "$@" | md5sum)"
  [ "$now" = "$before" ] && continue
  sleep "${SETTLE:-1}" # all of them are there when the first is
  now="$(cat "$@" | md5sum)"
  kill -HUP "$(cat "$pid")" && before="$now" && echo "NATS was told to reload"
done
