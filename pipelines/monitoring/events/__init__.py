"""What events from outside ask for: from the bytes of a body to requests for retraining, by the specs' rules.

Plain functions; who may send an event, and what becomes of a request, is decided elsewhere.
"""

from pipelines.monitoring.events.bodies import BODIES, Alerts, CloudEventBody, OwnEvent, S3Notification
from pipelines.monitoring.events.json_text import LARGEST_BYTES, read_json
from pipelines.monitoring.events.keys import claim_key
from pipelines.monitoring.events.reading import Received, read_event

__all__ = [
    "BODIES",
    "LARGEST_BYTES",
    "Alerts",
    "CloudEventBody",
    "OwnEvent",
    "Received",
    "S3Notification",
    "claim_key",
    "read_event",
    "read_json",
]
