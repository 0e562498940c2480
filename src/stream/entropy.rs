//! Randomness, passed in: nothing in the engine asks the operating system for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where whoever needs random values gets a seed. Clones draw from the same place.
#[derive(Debug, Clone, Default)]
pub struct Entropy {
    /// Of a simulation: how often it was drawn, from the seed on.
    seeded: Option<Arc<AtomicU64>>,
}

impl Entropy {
    /// Draws that follow from a seed and their order: for simulations.
    pub fn seeded(seed: u64) -> Self {
        Self { seeded: Some(Arc::new(AtomicU64::new(seed))) }
    }

    /// 128 bits that nobody else has drawn.
    pub fn draw(&self) -> u128 {
        match &self.seeded {
            Some(draws) => xxhash_rust::xxh3::xxh3_128(&draws.fetch_add(1, Ordering::Relaxed).to_le_bytes()),
            None => u128::from(system_bits()) << 64 | u128::from(system_bits()),
        }
    }
}

/// What SplitMix64 (Steele, Lea and Flood, 2014) gives in the state `value`: every bit of it depends on every bit of that. The
/// next state is [`SPLIT_MIX_STEP`] more.
#[inline]
pub fn split_mix(value: u64) -> u64 {
    let value = value.wrapping_add(SPLIT_MIX_STEP);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// From one state of SplitMix64 to the next.
pub const SPLIT_MIX_STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The standard library's hasher is seeded by the operating system.
#[expect(clippy::disallowed_methods, reason = "the one place that draws")]
fn system_bits() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_differ_and_those_of_a_seed_come_again() {
        let (system, one, same) = (Entropy::default(), Entropy::seeded(7), Entropy::seeded(7));
        assert_ne!(system.draw(), system.draw());
        let first = one.draw();
        assert_eq!(first, same.draw());
        assert_ne!(first, one.clone().draw());
    }
}
