//! Batch mode: the same logical plan, run by DataFusion over bounded tables. A quick answer for users, an oracle for tests.
