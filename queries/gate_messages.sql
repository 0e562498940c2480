-- Messages from the gates: JSON, one departure a line, as a gateway logged it. Some lines are broken: one was cut when
-- the gateway restarted, one is a remark, one has no number, one no time. One bad line must not stop the rest.
--
-- With `skip` such rows are left out and counted: the footer says how many. Without it the job stops at the first and
-- names file, line and text. What is good goes on as JSON, with words for what the numbers mean.
--
-- verify: restore parallelism batch ordered
-- golden: gate_status 916 rows, stdout 4 rows

SET 'execution.checkpointing.interval' = '1 s';
SET 'beadline.on-error' = 'skip';

CREATE TABLE messages (
  sched   TIMESTAMP(3),
  dep     TIMESTAMP(3),
  carrier STRING,
  flight  INT,
  origin  STRING,
  dest    STRING,
  delay   AS TIMESTAMPDIFF(MINUTE, sched, dep),
  WATERMARK FOR dep AS dep
) WITH (
  'connector' = 'filesystem',
  'path' = 'queries/data/gates.jsonl',
  'format' = 'json',
  'json.timestamp-format.standard' = 'ISO-8601'
);

CREATE TABLE gate_status (
  flight STRING,
  origin STRING,
  dest   STRING,
  delay  INT,
  status STRING
) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/gate_status',
  'format' = 'json'
);

INSERT INTO gate_status
SELECT
  CONCAT(carrier, ' ', CAST(flight AS STRING)),
  origin,
  dest,
  delay,
  CASE
    WHEN delay < -5 THEN 'early'
    WHEN delay < 15 THEN 'on time'
    WHEN delay < 60 THEN 'delayed'
    ELSE 'very late'
  END
FROM messages;

SET 'execution.runtime-mode' = 'batch';

SELECT status, COUNT(*) AS flights, AVG(delay) AS average_delay
FROM gate_status
GROUP BY status
ORDER BY average_delay;
