-- The beads of three friends. Ada, Ben and Cyd count the beads of a long necklace, each those of their own colour. Here and
-- there a coloured band is tied between two beads: whoever comes to it tells the assistant the count so far, and counts on.
-- When one of them forgets a count, all three go back to the last band that everybody had reported, and to the counts
-- that were told there. So no bead is left out, and none is counted twice.
--
-- Here the bands are barriers, the assistant's page is a checkpoint, and who forgets is the process. Let it die at the
-- third page that is written (a band every 2,000 beads), then run it again: it goes on from the second.
--
--     BEADLINE_FAILPOINT=manifest.before:3 beadline --fresh -D beadline.checkpoint.every-rows=2000 queries/beads.sql
--     beadline -D beadline.checkpoint.every-rows=2000 queries/beads.sql
--
-- The counts are those of a run in which nobody forgot anything: 14,400 beads each.
--
-- verify: restore parallelism ordered
-- golden: counts 72 rows, stdout 3 rows

SET 'execution.checkpointing.interval' = '1 s';

CREATE TABLE necklace (
  bead   BIGINT,
  friend AS CASE MOD(bead, 3) WHEN 0 THEN 'Ada' WHEN 1 THEN 'Ben' ELSE 'Cyd' END,
  -- A bead every two seconds: time says how far along the necklace a bead hangs.
  ts     AS TIMESTAMPADD(SECOND, CAST(bead * 2 AS INT), TIMESTAMP '2024-01-01 00:00:00'),
  WATERMARK FOR ts AS ts
) WITH (
  'connector' = 'datagen',
  'fields.bead.kind' = 'sequence',
  'fields.bead.start' = '0',
  'fields.bead.end' = '43199'
);

CREATE TABLE counts (upto TIMESTAMP(3), friend STRING, beads BIGINT) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/counts',
  'format' = 'csv'
);

-- The count of each friend so far, at 24 places of the necklace.
INSERT INTO counts
SELECT window_end, friend, COUNT(*)
FROM CUMULATE(TABLE necklace, DESCRIPTOR(ts), INTERVAL '1' HOUR, INTERVAL '1' DAY)
GROUP BY window_start, window_end, friend;

SET 'execution.runtime-mode' = 'batch';

SELECT friend, MAX(beads) AS beads
FROM counts
GROUP BY friend
ORDER BY friend;
