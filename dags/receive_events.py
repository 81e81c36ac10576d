"""Messages of a queue become training runs, as events over HTTP do: exactly one for a reason.

The DAG exists where `TANDEM_EVENTS_QUEUE` names a queue. Each of its runs takes what waits there. A message leaves the
queue when it was decided on and Airflow holds the training that it asks for, not before; so none is lost, whatever is
killed. One that cannot be used goes to `<queue>:refused`, and makes the task `complain` fail.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, task
from airflow.sdk.exceptions import AirflowSkipException
from tandem_bell import QueueBell
from tandem_monitoring import RetrainOperator
from tandem_queue import configured_queue, mark, needed_queue

from pipelines.errors import UsageError


@task
def receive() -> dict[str, Any]:
    """Take what waits, and decide on it; what a run before this one took and did not get done, too."""
    from pipelines.steps.receive import receive as receive_messages  # on the worker: parsing stays fast

    messages = needed_queue().take()
    if not messages:
        raise AirflowSkipException("Nothing waits in the queue.")
    return {**receive_messages(messages).to_dict(), "marks": [mark(message) for message in messages]}


@task
def runs(received: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what to start, one for each training."""
    return [{"model": run["model"], "decided": {**run, "replay": None, "as_of": None}} for run in received["runs"]]


@task(trigger_rule="none_failed_min_one_success")  # where nothing is to be started, `retrain` is skipped
def acknowledge(received: dict[str, Any]) -> None:
    """Remove the messages from the queue, now that Airflow holds the runs they ask for."""
    marks = received["marks"]
    needed_queue().acknowledge(marks, [marks[number - 1] for number in received["refused_numbers"]])


@task(retries=0)
def complain(received: dict[str, Any]) -> None:
    """Fail where a message could not be used."""
    if received["refused"]:
        raise UsageError("\n".join([f"{len(received['refused'])} message(s) were not used.", *received["refused"]]))


def receiving_dag() -> DAG:
    """Return the DAG that takes what comes through the queue."""
    watcher = AssetWatcher(name="tandem_events", trigger=QueueBell())
    events = Asset(name="tandem_events", uri="tandem://events", group="tandem", watchers=[watcher])
    with DAG(
        dag_id="receive_events",
        description="Takes events from a queue, and starts the trainings that they ask for.",
        schedule=[events],
        max_active_runs=1,  # the queue relies on it: what is taken and not acknowledged, nobody is at work on
        catchup=False,
        is_paused_upon_creation=False,  # who names a queue wants it heard
        default_args={"owner": "tandem", "retries": 2},
        tags=["events"],
        doc_md=__doc__,
    ) as dag:
        received = receive()
        # mapped, so that one run of this DAG may start trainings of several models
        retrained = RetrainOperator.partial(task_id="retrain").expand_kwargs(runs(received))
        retrained >> acknowledge(received)
        complain(received)
    return dag


if configured_queue() is not None:
    globals()["receive_events"] = receiving_dag()
