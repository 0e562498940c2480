-- Two answers from one table: how do the airports do, six hours at a time, and which flights left more than two hours
-- late? The figures go to a report, the bad cases to whoever calls the passengers.
--
-- A statement set runs several INSERTs as one job. One checkpoint covers both outputs: kill it anywhere, and when it
-- has gone on, neither has lost a row or has one twice. Both INSERTs read the file in one go, so the footer counts its
-- rows once.
--
-- verify: restore parallelism batch
-- golden: six_hours 85 rows, long_delays 85 rows
-- closes: six_hours = from_time + INTERVAL '6' HOUR

SET 'execution.checkpointing.interval' = '1 s';

CREATE TABLE flights (
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
  'path' = 'queries/data/flights_week1.csv',
  'format' = 'csv'
);

CREATE TABLE six_hours (
  from_time     TIMESTAMP(3),
  origin        STRING,
  flights       BIGINT,
  average_delay INT,
  worst_delay   INT
) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/six_hours',
  'format' = 'csv'
);

CREATE TABLE long_delays (
  dep           TIMESTAMP(3),
  flight        STRING,
  route         STRING,
  delay_minutes INT
) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/long_delays',
  'format' = 'csv'
);

EXECUTE STATEMENT SET BEGIN
  INSERT INTO six_hours
  SELECT window_start, origin, COUNT(*), AVG(delay), MAX(delay)
  FROM TUMBLE(TABLE flights, DESCRIPTOR(dep), INTERVAL '6' HOUR)
  GROUP BY window_start, window_end, origin;

  INSERT INTO long_delays
  SELECT dep, CONCAT(carrier, CAST(flight AS STRING)), CONCAT(origin, '-', dest), delay
  FROM flights
  WHERE delay > 120;
END;
