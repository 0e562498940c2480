# The peer of the benchmark peers.rs: runs one statement a line of standard input in DuckDB, two threads, rows in memory, and
# answers each with a line of JSON: the seconds that it took, or why it failed.
import json
import sys
import time

import duckdb

connection = duckdb.connect(config={"threads": 2})
# A bar would stand on standard output between the answers.
connection.execute("SET enable_progress_bar = false")
print(json.dumps({"version": duckdb.__version__}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    try:
        started = time.perf_counter()
        # A query's rows stay in DuckDB, all of them and in its own form: they are not made into objects of Python.
        relation = connection.sql(request["sql"])
        if relation is not None:
            relation = (getattr(relation, "materialize", None) or relation.execute)()
        answer = {"seconds": time.perf_counter() - started}
        if request.get("fetch"):
            answer["row"] = [None if value is None else float(value) for value in relation.fetchall()[0]]
    except Exception as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
