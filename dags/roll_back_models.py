"""Build `roll_back__<model>` for every model spec: a person lets an earlier champion serve again.

One DAG a model and not one for all: Airflow gives rights by DAG, so that who may undo one model may not undo another.
"""

from __future__ import annotations

from airflow.sdk import DAG
from tandem_dags import model_dags, task_defaults
from tandem_rollback import FindChampionOperator, RollBackOperator, rollback_fields

from pipelines.spec import ModelSpec


def roll_back_dag(spec: ModelSpec) -> DAG:
    """Return the DAG of one model; nothing but its form, or a call of Airflow's API, starts it."""
    with DAG(
        dag_id=f"roll_back__{spec.name}",
        description=f"Lets a version of {spec.name} serve again that served before.",
        schedule=None,
        max_active_runs=1,
        catchup=False,
        is_paused_upon_creation=False,  # nothing starts it by itself, and who goes back wants it now
        default_args=task_defaults(spec),
        tags=["rollback", spec.kind, *spec.tags],
        doc_md=documentation(spec),
    ) as dag:
        found = FindChampionOperator(task_id="find_champion")
        RollBackOperator(task_id="roll_back", records=[found.output])
    dag.params.update(rollback_fields())
    return dag


def documentation(spec: ModelSpec) -> str:
    """Return what the DAG's page says."""
    return (
        f"Lets a version of **{spec.name}** serve again that served before: the one that the form names, or where it "
        "names none, the one before the version that serves now.\n\n"
        "An entry in the ledger says which, why and by whom; then MLflow's alias follows it. Nothing is deleted. The "
        "version that was rolled back from is not promoted again by the same candidate, nor by the same model trained "
        "anew; only a rollback to it lets it serve again.\n\n"
        "Where another version has come up since you asked, nothing is changed: look again, and ask again. A run that "
        "is tried again does not go back twice.\n\n"
        f"The same from a command line: `tandem rollback {spec.name} --to N --reason TEXT`."
    )


globals().update(model_dags("roll_back", roll_back_dag))
