"""The steps of a run: one Airflow task, one file and one public function each."""
