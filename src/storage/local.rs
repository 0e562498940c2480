//! x
pub struct LocalStore;
