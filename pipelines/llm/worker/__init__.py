"""One process of a training: the only place that imports DeepSpeed. Started as `python -m pipelines.llm.worker JOB`.

It reads RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT, as torchrun sets them, and writes one JSON object a
line to its standard output; whatever libraries print goes to standard error.
"""
