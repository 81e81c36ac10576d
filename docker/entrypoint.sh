#!/bin/sh
# Becomes the command it is given. Airflow's simple auth manager reads passwords from a file that it must be able to
# write; a container is given its password in the environment, so the file is made here, in memory, readable to us alone.
set -eu
if [ -n "${AIRFLOW_ADMIN_PASSWORD:-}" ]; then
    umask 077
    python -c 'import json, os; print(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))' \
        > "$AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"
    unset AIRFLOW_ADMIN_PASSWORD
    umask 022
fi
exec "$@"
