-- Electricity meters that do not exist yet: the query is written before the data is there. `datagen` makes readings,
-- a sequence numbers them, and computed columns turn the number into a meter and a time.
--
-- The seed makes the random numbers the same in every run. Rows are printed as the minutes become complete, and all
-- readings go to `blackhole`, which takes any load and forgets it. Change the WITH clause, and the rest stays.
-- Run it again, and it says that it has finished; with --fresh it starts over.
--
-- verify: parallelism batch at-least-once
-- golden: stdout 35 rows

SET 'execution.checkpointing.interval' = '1 s';
SET 'beadline.datagen.seed' = '7';

CREATE TABLE readings (
  n     BIGINT,
  watts INT,
  meter AS CONCAT('meter-', CAST(MOD(n, 5) AS STRING)),
  ts    AS TIMESTAMPADD(SECOND, CAST(n / 5 AS INT), TIMESTAMP '2024-03-01 08:00:00'),
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH (
  'connector' = 'datagen',
  'fields.n.kind' = 'sequence',
  'fields.n.start' = '0',
  'fields.n.end' = '1999',
  'fields.watts.min' = '100',
  'fields.watts.max' = '3000'
);

CREATE TABLE minutes (
  minute_start TIMESTAMP(3),
  meter        STRING,
  readings     BIGINT,
  average      INT,
  peak         INT
) WITH ('connector' = 'print');

CREATE TABLE archive (n BIGINT, meter STRING, watts INT) WITH ('connector' = 'blackhole');

EXECUTE STATEMENT SET BEGIN
  INSERT INTO minutes
  SELECT window_start, meter, COUNT(*), AVG(watts), MAX(watts)
  FROM TUMBLE(TABLE readings, DESCRIPTOR(ts), INTERVAL '1' MINUTE)
  GROUP BY window_start, window_end, meter;

  INSERT INTO archive SELECT n, meter, watts FROM readings;
END;
