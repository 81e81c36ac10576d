"""The services of one machine: Airflow and MLflow as processes on loopback.

Airflow is known here only as a command and a REST API; nothing of it is imported.
"""
