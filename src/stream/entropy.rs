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
