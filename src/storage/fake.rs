//! x
pub struct FakeStore;
