//! The way from a task to the driver.

use tokio::sync::mpsc;

use crate::checkpoint::Event;

/// Where tasks report to.
#[derive(Debug, Clone)]
pub struct Events(mpsc::Sender<Event>);

impl Events {
    pub fn new(driver: mpsc::Sender<Event>) -> Self {
        Self(driver)
    }

    /// Reports; a driver that is gone has ended the job and needs no report.
    pub async fn send(&self, event: Event) {
        let _ = self.0.send(event).await;
    }
}
