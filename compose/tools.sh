# What compose/backup and compose/restore share. Reads .env as Compose itself does: by asking it.
if docker compose version >/dev/null 2>&1; then
  compose() { docker compose "$@"; }
else
  compose() { docker-compose "$@"; }
fi

fail() {
  printf 'error: %s\n  fix: %s\n' "$1" "$2" >&2
  exit 1
}

setting() { # NAME DEFAULT: from the shell, then .env
  local found=${!1:-}
  [ -n "$found" ] || found=$( [ ! -f .env ] || sed -n "s/^$1=//p" .env | tail -1)
  printf '%s' "${found:-$2}"
}
POSTGRES_DB=$(setting POSTGRES_DB aegis)
POSTGRES_PREFECT_DB=$(setting POSTGRES_PREFECT_DB prefect)

require_running() {
  [ -n "$(compose ps -q "$1")" ] || fail "$1 does not run." "docker-compose up -d"
}

# A command in the database's container, as its superuser, with the password from the file.
in_postgres() {
  compose exec -T postgres sh -c \
    'PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE") PGHOST=${POSTGRES_HOST:-127.0.0.1} PGPORT=${POSTGRES_PORT:-5432} PGUSER=$POSTGRES_USER; export PGPASSWORD PGHOST PGPORT PGUSER; exec "$@"' \
    sh "$@"
}

# A command on the data volume, whether the worker runs or not.
in_data() {
  compose run --rm -T --no-deps worker "$@"
}
