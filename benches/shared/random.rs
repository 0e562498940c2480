//! The random numbers of all benchmarks: the same in every run, and no pattern in them that a hash or a cache could use.

/// A generator (xorshift, its high bits mixed by a product with 2^64 over the golden ratio).
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        Self(0x2545_F491_4F6C_DD1D)
    }

    /// The next number, of 48 bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16
    }

    /// The next number from 0 to `end`, `end` not among them.
    pub fn below(&mut self, end: u64) -> i64 {
        (self.next() % end) as i64
    }
}
