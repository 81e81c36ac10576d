"""Messages of a queue become training runs, as events over HTTP do: exactly one for a reason.

The DAG exists where `TANDEM_EVENTS_QUEUE` names a queue. Each of its runs takes all messages that have come since the
last one. A message that cannot be used makes the task `complain` fail, after the others were taken.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Asset, AssetWatcher, task
from tandem_queue import MessageTrigger, Queue, configured_queue

from pipelines.errors import UsageError


@task
def receive(**context: Any) -> dict[str, Any]:
    """Decide on all messages of this run, and on those that have come since.

    Airflow gives a run what came until its first event was queued, and forgets to make another run of what came between
    that moment and the making of this one.
    """
    from pipelines.steps.receive import receive as receive_messages  # on the worker: parsing stays fast

    own = [event for each in (context["triggering_asset_events"] or {}).values() for event in each]
    since = context["inlet_events"][0].after(context["dag_run"].run_after)
    batches = [(event.extra.get("payload") or {}).get("messages", []) for event in [*own, *since]]
    return receive_messages(list(dict.fromkeys(message for batch in batches for message in batch))).to_dict()


@task
def runs(received: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what to trigger."""
    return [
        {
            "trigger_dag_id": f"train__{run['model']}",
            "trigger_run_id": run["run_id"],
            "run_after": run["run_after"],
            "note": "; ".join(run["reasons"])[:1000],
        }
        for run in received["runs"]
    ]


@task(retries=0)
def complain(received: dict[str, Any]) -> None:
    """Fail where a message could not be used."""
    if received["refused"]:
        raise UsageError("\n".join([f"{len(received['refused'])} message(s) were not used.", *received["refused"]]))


def receiving_dag(queue: Queue) -> DAG:
    """Return the DAG that takes what comes through a queue."""
    watcher = AssetWatcher(name="tandem_events", trigger=MessageTrigger(queue.channel))
    events = Asset(name="tandem_events", uri="tandem://events", group="tandem", watchers=[watcher])
    with DAG(
        dag_id="receive_events",
        description="Takes events from a queue, and starts the trainings that they ask for.",
        schedule=[events],
        catchup=False,
        is_paused_upon_creation=False,  # who names a queue wants it heard
        default_args={"owner": "tandem", "retries": 2},
        tags=["events"],
        doc_md=__doc__,
    ) as dag:
        # the very asset that has the watcher: another of its name would take the watcher away
        received = receive.override(inlets=[events])()
        # mapped, so that one run of this DAG may start trainings of several models
        TriggerDagRunOperator.partial(
            task_id="retrain", logical_date=None, skip_when_already_exists=True
        ).expand_kwargs(runs(received))
        complain(received)
    return dag


if (configured := configured_queue()) is not None:
    globals()["receive_events"] = receiving_dag(configured)
