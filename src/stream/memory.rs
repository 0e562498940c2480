//! One account of a job's memory: whoever holds rows or state says how much, under a name, and the sum has a limit.
//!
//! ```text
//!   0 ───────────── limit ¾ ───────── limit
//!     what can wait stops here │      │ what cannot (state) fails here, with the names of who holds most
//! ```
//!
//! What can wait (a channel, a decode queue) always gets its first piece: it works off one at a time when memory is
//! short, and never waits for state that does not go away.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;

use crate::error::{Error, Result};

/// How many holders an error names.
const NAMED: usize = 4;

/// The account of one job. Clones share it.
#[derive(Debug, Clone)]
pub struct MemoryPool {
    account: Arc<Account>,
}

#[derive(Debug)]
struct Account {
    /// `u64::MAX` where there is no limit.
    limit: u64,
    used: AtomicU64,
    /// Locked when a holder comes or an error names them.
    holders: Mutex<Vec<Weak<Holding>>>,
    /// Somebody waits for memory to come back.
    is_short: AtomicBool,
    returned: Notify,
}

#[derive(Debug)]
struct Holding {
    name: String,
    bytes: AtomicU64,
}

/// One who holds memory, by name. Clones share the name and what is held.
#[derive(Debug, Clone)]
pub struct MemoryHolder {
    account: Arc<Account>,
    holding: Arc<Holding>,
}

/// Memory that is held until this is dropped.
#[derive(Debug)]
pub struct Grant {
    holder: MemoryHolder,
    bytes: u64,
}

impl MemoryPool {
    /// An account with this limit in bytes; `None`: it only counts.
    pub fn new(limit: Option<u64>) -> Self {
        let account = Account {
            limit: limit.unwrap_or(u64::MAX),
            used: AtomicU64::new(0),
            holders: Mutex::default(),
            is_short: AtomicBool::new(false),
            returned: Notify::new(),
        };
        Self { account: Arc::new(account) }
    }

    /// A new holder; those of one name are added up where they are named.
    pub fn holder(&self, name: impl Into<String>) -> MemoryHolder {
        let holding = Arc::new(Holding { name: name.into(), bytes: AtomicU64::new(0) });
        let mut holders = self.account.holders.lock().unwrap_or_else(PoisonError::into_inner);
        holders.retain(|holder| holder.strong_count() > 0);
        holders.push(Arc::downgrade(&holding));
        drop(holders);
        MemoryHolder { account: Arc::clone(&self.account), holding }
    }

    /// Bytes held now, all in all.
    pub fn used(&self) -> u64 {
        self.account.used.load(Ordering::Relaxed)
    }
}

impl MemoryHolder {
    /// Memory for what cannot wait; an error (`BL-LIM-MEMORY`) beyond the limit.
    pub fn reserve(&self, bytes: usize) -> Result<Grant> {
        let mut grant = self.nothing();
        grant.resize(bytes)?;
        Ok(grant)
    }

    /// Memory for what can wait; `None` if it has to.
    pub fn try_reserve(&self, bytes: usize) -> Option<Grant> {
        let mut grant = self.nothing();
        grant.try_grow(bytes).then_some(grant)
    }

    /// Memory for what can wait, once there is some. Cancel-safe.
    pub async fn reserve_when_free(&self, bytes: usize) -> Grant {
        loop {
            let returned = self.account.returned.notified();
            tokio::pin!(returned);
            // From here on no return is missed.
            returned.as_mut().enable();
            if let Some(grant) = self.try_reserve(bytes) {
                return grant;
            }
            self.account.is_short.store(true, Ordering::SeqCst);
            // Looked at once more: what came back before the flag was seen has told nobody.
            if let Some(grant) = self.try_reserve(bytes) {
                return grant;
            }
            returned.await;
        }
    }

    /// Counts what is there already, limit or no limit: whoever asks has to go without more until it is gone.
    pub fn hold(&self, bytes: usize) -> Grant {
        let bytes = bytes as u64;
        self.holding.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.account.used.fetch_add(bytes, Ordering::SeqCst);
        Grant { holder: self.clone(), bytes }
    }

    /// Whether what can wait should.
    pub fn is_short(&self) -> bool {
        self.account.used.load(Ordering::Relaxed) > self.account.limit / 4 * 3
    }

    /// A grant of nothing, to grow.
    pub fn nothing(&self) -> Grant {
        Grant { holder: self.clone(), bytes: 0 }
    }

    /// Bytes held under this holder.
    pub fn held(&self) -> u64 {
        self.holding.bytes.load(Ordering::Relaxed)
    }

    /// Adds to what is held if the sum then stays within `most`; else returns the sum that it would be. Nothing is
    /// added meanwhile, so that a refusal disturbs nobody.
    fn add(&self, bytes: u64, most: u64) -> std::result::Result<(), u64> {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= most);
        match self.account.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits) {
            Ok(_) => {
                self.holding.bytes.fetch_add(bytes, Ordering::Relaxed);
                Ok(())
            }
            Err(used) => Err(used.saturating_add(bytes)),
        }
    }

    fn give_back(&self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.holding.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.account.used.fetch_sub(bytes, Ordering::SeqCst);
        if self.account.is_short.swap(false, Ordering::SeqCst) {
            self.account.returned.notify_waiters();
        }
    }
}

impl Grant {
    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Holds this much from now on, for what cannot wait; an error (`BL-LIM-MEMORY`) where that is beyond the limit,
    /// and the grant stays as it was.
    pub fn resize(&mut self, bytes: usize) -> Result<()> {
        let bytes = bytes as u64;
        if bytes > self.bytes {
            let more = bytes - self.bytes;
            let added = self.holder.add(more, self.holder.account.limit);
            added.map_err(|needed| self.holder.account.exceeded(needed, &self.holder.holding.name, more))?;
        } else {
            self.holder.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Holds this much more, unless it has to wait: then nothing changes. A holder of nothing never has to.
    pub fn try_grow(&mut self, bytes: usize) -> bool {
        let more = bytes as u64;
        let most = if self.holder.held() == 0 { u64::MAX } else { self.holder.account.limit / 4 * 3 };
        let added = self.holder.add(more, most).is_ok();
        if added {
            self.bytes += more;
        }
        added
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.holder.give_back(self.bytes);
    }
}

impl Account {
    /// The error that names who asked for so much more, and who holds most if it is counted in.
    fn exceeded(&self, needed: u64, asking: &str, more: u64) -> Error {
        let holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        let mut by_name = BTreeMap::from([(asking.to_owned(), more)]);
        for holder in holders.iter().filter_map(Weak::upgrade) {
            *by_name.entry(holder.name.clone()).or_default() += holder.bytes.load(Ordering::Relaxed);
        }
        drop(holders);
        let mut by_size: Vec<(String, u64)> = by_name.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
        by_size.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let most: Vec<String> =
            by_size.iter().take(NAMED).map(|(name, bytes)| format!("{name} ({bytes} bytes)")).collect();
        Error::query(format!(
            "the job needs {needed} bytes of memory, more than its limit of {}: {asking} needs {more} more; with them most \
             is held by {}",
            self.limit,
            most.join(", ")
        ))
        .with_id("BL-LIM-MEMORY")
        .with_help("allow more: SET 'beadline.memory.limit' = '2 gb'")
        .with_help("or remember less: fewer keys, shorter windows, a watermark that waits less long")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_wait_fails_at_the_limit_and_names_who_holds_most() {
        let pool = MemoryPool::new(Some(1000));
        let (tables, other) = (pool.holder("the table of A"), pool.holder("the table of A"));
        let _first = tables.reserve(500).unwrap();
        let mut second = other.reserve(100).unwrap();
        let _queue = pool.holder("a queue").reserve(50).unwrap();
        let error = second.resize(500).unwrap_err();
        assert_eq!(error.id(), Some("BL-LIM-MEMORY"));
        assert!(error.message().contains("needs 1050 bytes"), "{error}");
        assert!(error.message().contains("held by the table of A (1000 bytes), a queue (50 bytes)"), "{error}");
        assert_eq!((second.bytes(), pool.used()), (100, 650), "a refusal takes nothing");
        second.resize(450).unwrap();
        drop(second);
        assert_eq!((pool.used(), other.held()), (550, 0));
    }

    #[test]
    fn what_can_wait_leaves_room_and_gets_one_piece_at_least() {
        let pool = MemoryPool::new(Some(1000));
        let (state, queue) = (pool.holder("state"), pool.holder("queue"));
        let mut first = queue.try_reserve(600).unwrap();
        assert!(queue.try_reserve(200).is_none() && !first.try_grow(200));
        assert_eq!(pool.used(), 600);
        let _state = state.reserve(400).unwrap();
        assert!(state.reserve(1).is_err());
        drop(first);
        let _one = queue.try_reserve(700).expect("alone");
        assert!(queue.try_reserve(1).is_none());
    }

    #[tokio::test]
    async fn a_waiter_goes_on_when_memory_comes_back() {
        let pool = MemoryPool::new(Some(100));
        let (state, queue) = (pool.holder("state"), pool.holder("queue"));
        let state = state.reserve(70).unwrap();
        let _piece = queue.try_reserve(5).unwrap();
        let waiting = queue.reserve_when_free(60);
        tokio::pin!(waiting);
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        drop(state);
        let grant = waiting.await;
        assert_eq!((grant.bytes(), pool.used()), (60, 65));
    }

    #[tokio::test]
    async fn two_waiters_for_their_own_pieces_both_go_on() {
        let pool = MemoryPool::new(Some(100));
        let queues = [pool.holder("a"), pool.holder("b")];
        let held: Vec<Grant> = queues.iter().map(|queue| queue.try_reserve(90).unwrap()).collect();
        let [a, b] = queues.each_ref().map(|queue| queue.reserve_when_free(90));
        tokio::pin!(a, b);
        assert!(futures::poll!(a.as_mut()).is_pending() && futures::poll!(b.as_mut()).is_pending());
        drop(held);
        let (a, b) = tokio::join!(a, b);
        assert_eq!(a.bytes() + b.bytes(), 180);
    }
}
