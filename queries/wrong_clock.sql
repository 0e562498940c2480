-- A row from the future: one of four instruments writes the wrong century once. Its row would move the watermark by a
-- hundred years, and every reading behind it would be late. With a limit it goes to the table of late rows with the reason
-- `future`, and no hour lacks a reading.
--
-- Compared is when the file was written, not the clock: read again next year, the same row is refused.
--
-- verify: parallelism
-- golden: weather_hours 13 rows, weather_refused 1 rows

SET 'beadline.watermark.max-future-drift' = '1 h';

CREATE TABLE weather (
  instrument  STRING,
  at_time     TIMESTAMP(3),
  temperature DECIMAL(4, 1),
  WATERMARK FOR at_time AS at_time - INTERVAL '30' MINUTE
) WITH (
  'connector' = 'filesystem',
  'path' = 'queries/data/weather.csv',
  'format' = 'csv'
);

CREATE TABLE weather_hours (
  hour_start TIMESTAMP(3),
  readings   BIGINT,
  coldest    DECIMAL(4, 1),
  warmest    DECIMAL(4, 1)
) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/weather_hours',
  'format' = 'csv'
);

CREATE TABLE weather_refused (
  instrument STRING,
  at_time    TIMESTAMP(3),
  operator   STRING,
  reason     STRING
) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/weather_refused',
  'format' = 'csv'
);

INSERT INTO weather_hours
SELECT window_start, COUNT(*), MIN(temperature), MAX(temperature)
FROM TUMBLE(TABLE weather, DESCRIPTOR(at_time), INTERVAL '1' HOUR)
GROUP BY window_start, window_end
LATE RECORDS INTO weather_refused;
